package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/cmd/nod/app"
	"github.com/nod-auth/nod/cmd/nod/config"
)

func newClientAddKey() *cobra.Command {
	var f clientFlags
	c := &cobra.Command{
		Use:   "add-key [client-id]",
		Short: "Give a client a second key, to rotate",
		Long: `Make another key for a client that signs (of the native API, or with --auth
private_key_jwt) and print its private half, once. Both keys are accepted until the
old one is removed, so nothing fails in between: add a key, give it to the backend,
remove the old one with "nod client remove-key".`,
		Example: "  nod client add-key --client-id 3qY…\n  nod client add-key --client-id 3qY… --public-key backend.pub.pem",
		Args:    cobra.MaximumNArgs(1),
	}
	id := addClientID(c)
	c.Flags().StringVar(&f.publicKey, "public-key", "", "PEM file of a P-256 public key, to keep the private one where it is")
	out := addOutput(c)
	config.Flags(c.Flags(), dataSettings...)
	c.RunE = func(c *cobra.Command, args []string) error {
		private, public, err := f.key()
		if err != nil {
			return err
		}
		return withClient(c, *id, args, func(core *app.Core, client account.Client) error {
			if err := usesKeys(client); err != nil {
				return err
			}
			key, err := core.Directory.AddClientKey(c.Context(), client, public)
			if errors.Is(err, approval.ErrTooMany) {
				return fmt.Errorf("client %s: it has %d keys already; remove one first with: nod client remove-key", client.ID, account.MaxClientKeys)
			}
			if err != nil {
				return err
			}
			added := struct {
				ClientID   string `json:"client_id"`
				KeyID      string `json:"key_id"`
				PrivateKey string `json:"private_key,omitempty"`
			}{client.ID, key.ID, string(private)}
			return out.print(c, added, func(w io.Writer) {
				table(w, []string{"client_id", client.ID}, []string{"key", key.ID})
				describeKey(w, added.PrivateKey)
			})
		})
	}
	return c
}

func newClientRemoveKey() *cobra.Command {
	var keyID string
	c := &cobra.Command{
		Use:   "remove-key [client-id] --key-id ID",
		Short: "End one of a client's keys",
		Long: `End one of a client's keys: what is signed with it is refused from now on.
"nod client list --output json" shows the ids of keys, the newest first.`,
		Example: "  nod client remove-key --client-id 3qY… --key-id 0b6f6a52-…",
		Args:    cobra.MaximumNArgs(1),
	}
	id := addClientID(c)
	c.Flags().StringVar(&keyID, "key-id", "", "the key to end (required)")
	out := addOutput(c)
	config.Flags(c.Flags(), dataSettings...)
	c.RunE = func(c *cobra.Command, args []string) error {
		if keyID == "" {
			return usagef("%s needs to know which key: give its id with --key-id (\"nod client list --output json\" shows them)", c.CommandPath())
		}
		return withClient(c, *id, args, func(core *app.Core, client account.Client) error {
			err := core.Directory.RemoveClientKey(c.Context(), client, keyID)
			if errors.Is(err, approval.ErrNotFound) {
				return fmt.Errorf("client %s: it has no key %s; \"nod client list --output json\" shows them", client.ID, keyID)
			}
			if err != nil {
				return err
			}
			removed := struct {
				ClientID string `json:"client_id"`
				KeyID    string `json:"key_id"`
				Removed  bool   `json:"removed"`
			}{client.ID, keyID, true}
			return out.print(c, removed, func(w io.Writer) {
				fmt.Fprintf(w, "Removed key %s of client %s.\n", keyID, client.ID)
			})
		})
	}
	return c
}

func describeKey(w io.Writer, private string) {
	if private != "" {
		fmt.Fprintf(w, "\nThe private key, shown this once. Keep it where only the backend can read it.\n\n%s", private)
	}
}
