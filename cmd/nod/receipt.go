package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/nod-auth/nod/webauthn"
)

// maxReceipt is in bytes. The longest record has a payload or details of 4 KiB and
// texts of 2 KiB; it is written twice, once in base64 and once with escapes, of which
// the longest turns one byte into six.
const maxReceipt = 128 << 10

func newReceipt() *cobra.Command {
	return group("receipt", "Check the evidence of an approval",
		`Every approval with a passkey leaves a receipt: what was shown, and the passkey's
signature over it. Applications fetch it from /receipts/REQUEST-ID with the scope
receipts.read, people download it from the page that says what they approved.`,
		newReceiptVerify())
}

// verifiedReceipt is a receipt as it is printed for programs.
type verifiedReceipt struct {
	Verified    bool            `json:"verified"`
	Part        string          `json:"part,omitempty"` // of one that is not: what is wrong with which part
	Why         string          `json:"why,omitempty"`
	RequestID   string          `json:"request_id,omitempty"`
	Algorithm   string          `json:"algorithm,omitempty"`
	Fingerprint string          `json:"fingerprint,omitempty"`
	Compared    bool            `json:"fingerprint_compared"` // with --passkey
	Origin      string          `json:"origin,omitempty"`
	Agreed      json.RawMessage `json:"agreed,omitempty"` // the signed record
	TxHash      string          `json:"tx_hash,omitempty"`

	NotSigned *notSigned `json:"not_signed,omitempty"`
}

// notSigned is what nod says beside what was signed.
type notSigned struct {
	Issuer      string `json:"issuer"`
	Username    string `json:"username,omitempty"`
	PasskeyName string `json:"passkey_name,omitempty"`
	DecidedAt   string `json:"decided_at,omitempty"`
}

func newReceiptVerify() *cobra.Command {
	c := &cobra.Command{
		Use:   "verify FILE|-",
		Short: "Check a receipt without any of nod's data",
		Long: `Check a receipt without any of nod's data, and say what was agreed to.

The file must be as it was downloaded, white space aside. What is checked: the
challenge is the hash of the record; the browser signed it on the page that is named;
the authenticator verified the person; the signature is the passkey's; the record is a
yes to this very request; and what is not signed fits what is.

A receipt cannot prove whose passkey it was. Compare the key's fingerprint with
--passkey, by one that you did not get with the receipt: from the list of the user's
credentials, say. With --request, it must be the receipt of that request.

The exit status is 0 for a receipt that is good and 1 for one that is not.`,
		Example: "  nod receipt verify nod-receipt.json\n" +
			"  nod receipt verify --passkey SHA256:4pIu… --output json - < nod-receipt.json | jq .agreed",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("name one file, or - for the standard input")
			}
			return nil
		},
	}
	passkey := c.Flags().String("passkey", "", "fingerprint that the passkey must have, as SHA256:…")
	request := c.Flags().String("request", "", "id of the request that the receipt must be of")
	out := addOutput(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		text, err := readReceipt(c.InOrStdin(), args[0])
		if err != nil {
			return err
		}
		got, err := webauthn.VerifyDocument(text)
		if err == nil {
			err = expected(got, *request, *passkey)
		}
		if err != nil {
			return refuseReceipt(c, *out, err)
		}
		return out.print(c, printedReceipt(got, *passkey != ""), func(w io.Writer) { tellReceipt(w, got, *passkey != "") })
	}
	return c
}

func readReceipt(stdin io.Reader, name string) ([]byte, error) {
	from := stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("read receipt: %w", err)
		}
		defer func() { _ = file.Close() }() // only read
		from = file
	}
	text, err := io.ReadAll(io.LimitReader(from, maxReceipt+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read receipt: %w", err)
	case len(text) > maxReceipt:
		return nil, fmt.Errorf("read receipt: it is longer than %d bytes, and so no receipt", maxReceipt)
	}
	return text, nil
}

// expected holds a good receipt to what it should be about.
func expected(got webauthn.Agreement, requestID, fingerprint string) error {
	switch {
	case requestID != "" && requestID != got.RequestID:
		return &webauthn.ReceiptError{Part: "request", Why: "it is the receipt of another one, " + got.RequestID}
	case fingerprint != "" && !webauthn.SameFingerprint(fingerprint, got.Fingerprint):
		return &webauthn.ReceiptError{Part: "passkey", Why: "its fingerprint is another one, " + got.Fingerprint}
	}
	return nil
}

// refuseReceipt says what is wrong, to programs as data.
func refuseReceipt(c *cobra.Command, out output, err error) error {
	if wrong, ok := errors.AsType[*webauthn.ReceiptError](err); ok && out == asJSON {
		if err := out.print(c, verifiedReceipt{Part: wrong.Part, Why: wrong.Why}, nil); err != nil {
			return err
		}
	}
	return fmt.Errorf("this receipt does not verify: %w", err)
}

func printedReceipt(got webauthn.Agreement, compared bool) verifiedReceipt {
	d := got.Document
	out := verifiedReceipt{
		Verified: true, RequestID: got.RequestID, Algorithm: got.Algorithm, Fingerprint: got.Fingerprint, Compared: compared,
		Origin: d.IssuedBy.Origin, Agreed: d.RecordDecoded,
		NotSigned: &notSigned{d.IssuedBy.Issuer, d.User.Name, d.Passkey.Name, d.DecidedAt},
	}
	if got.Context.Payload != "" {
		out.TxHash = got.Context.TransactionHash()
	}
	return out
}
