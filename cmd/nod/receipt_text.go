package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/webauthn"
)

// tellReceipt says in sentences what a good receipt proves, and what it does not.
// Whoever made a receipt up chose its texts, so none of them reaches the terminal as it
// is.
func tellReceipt(w io.Writer, got webauthn.Agreement, compared bool) {
	d, shown := got.Document, got.Context
	who := "The user " + plain(got.UserID)
	if name := cmp.Or(shown.Username, d.User.Name); name != "" {
		who = fmt.Sprintf("%s (user %s)", plain(name), plain(got.UserID))
	}
	fmt.Fprintf(w, "This receipt verifies. %s agreed %s.\n", who, agreedTo(got))
	if shown.Payload != "" {
		fmt.Fprintf(w, "\n%s\n", indented(shown.Payload))
	}
	fmt.Fprintln(w)
	for _, line := range circumstances(got) {
		fmt.Fprintln(w, line)
	}
	fmt.Fprintln(w, "\nIt does not prove:")
	for _, line := range unproven(got, compared) {
		fmt.Fprintln(w, "- "+line)
	}
}

// agreedTo is what follows "agreed".
func agreedTo(got webauthn.Agreement) string {
	app := inQuotes(got.Context.App)
	switch got.Purpose {
	case approval.Transaction:
		kind := ""
		if got.Context.PayloadType != approval.DefaultPayloadType {
			kind = ", of the kind " + inQuotes(got.Context.PayloadType)
		}
		return "to this transaction of the app " + app + kind
	case approval.AddCredential:
		if got.ClientID == "" {
			return "that the browser which had nod's own page open makes a passkey for this account"
		}
		return "that a device of the app " + app + " makes a passkey for this account"
	case approval.SignIn:
		return "that a device signs in with the app " + app + " as this user"
	default:
		return "to a request of the app " + app + " with the purpose " + inQuotes(string(got.Purpose))
	}
}

// circumstances are the signed facts, and nod's word on the time.
func circumstances(got webauthn.Agreement) []string {
	d, shown := got.Document, got.Context
	lines := []string{
		fmt.Sprintf("When: it was asked at %s and could be answered until %s.%s", plain(got.Asked), plain(got.Expires), noted(d.DecidedAt)),
		fmt.Sprintf("How: %s on %s own page at %s.", arrived(got.Way), whose(got.Way), plain(d.IssuedBy.Origin)),
		whoAsked(got),
	}
	if from := saidFrom(shown); from != "" {
		lines = append(lines, "From where, as "+whoSays(got)+": "+from+".")
	}
	if shown.BindingMessage != "" {
		lines = append(lines, "With the message: "+inQuotes(shown.BindingMessage))
	}
	for _, s := range shown.Scopes {
		lines = append(lines, fmt.Sprintf("It may: %s (scope %s)", plain(cmp.Or(s.Says, s.Scope)), plain(s.Scope)))
	}
	if len(shown.Details) > 0 {
		lines = append(lines, "In detail: "+plain(string(shown.Details)))
	}
	if shown.Payload != "" {
		lines = append(lines, "The transaction's tx_hash: "+shown.TransactionHash())
	}
	return append(lines,
		fmt.Sprintf("With what: a passkey%s, which verified the person; %s key %s.", called(d.Passkey.Name), got.Algorithm, got.Fingerprint),
		"Request: "+plain(got.RequestID))
}

// whoAsked names the app; a record without one says that nod itself asked.
func whoAsked(got webauthn.Agreement) string {
	if got.ClientID == "" {
		return "Who asked: nod itself, for a browser without a passkey."
	}
	return fmt.Sprintf("Who asked: the app %s, client %s, of namespace %s.", inQuotes(got.Context.App), plain(got.ClientID), plain(got.NamespaceID))
}

// whoSays is whose word the device's name and place are.
func whoSays(got webauthn.Agreement) string {
	if got.ClientID == "" {
		return "nod saw and the browser said"
	}
	return "the app said"
}

func noted(decidedAt string) string {
	t, err := time.Parse(time.RFC3339, decidedAt)
	if err != nil {
		return " When exactly it was answered is not noted."
	}
	return " nod noted the answer at " + t.UTC().Format("2006-01-02T15:04:05.000Z") + "."
}

func called(name string) string {
	if name == "" {
		return ""
	}
	return " called " + inQuotes(name)
}

// saidFrom names the new device by what its app said of it.
func saidFrom(c approval.Context) string {
	var parts []string
	for _, p := range []struct{ before, text string }{
		{"the device ", inQuotesIfAny(c.DeviceName)}, {"at the address ", plain(c.Address)}, {"near ", plain(c.Place)},
		{"with the software ", inQuotesIfAny(c.UserAgent)},
	} {
		if p.text != "" {
			parts = append(parts, p.before+p.text)
		}
	}
	return strings.Join(parts, ", ")
}

// arrived says how the person got to the request.
func arrived(w approval.Way) string {
	switch w {
	case approval.Scanned:
		return "they opened its link or scanned its code, and approved it"
	case approval.Typed:
		return "they typed the code that a device showed, and approved it"
	case approval.Pushed:
		return "they opened a notification, and approved it"
	case approval.Listed:
		return "they found it in their list of requests, and approved it"
	case approval.OnPage:
		return "they confirmed it"
	default:
		return "they approved it"
	}
}

func whose(w approval.Way) string {
	if w == approval.OnPage {
		return "the application's"
	}
	return "the issuer's"
}

// unproven are the limits of the evidence, the gravest first.
func unproven(got webauthn.Agreement, compared bool) []string {
	var out []string
	if !compared {
		out = append(out, "that the passkey belongs to that person. Whoever makes a key can sign a receipt with it. Compare its\n"+
			"  fingerprint with --passkey, or in the server's list of this user's credentials.")
	} else {
		out = append(out, "more about the passkey than you know of the fingerprint it was compared with.")
	}
	if got.Way == approval.OnPage {
		out = append(out, "what that page showed. The signature is over the text above, which nod did not show there.")
	}
	out = append(out, "the person's and the passkey's names, who issued the receipt, and the moment of the answer: they are nod's word.")
	if saidFrom(got.Context) != "" {
		out = append(out, "what "+whoSays(got)+" about the device and where it was.")
	}
	return append(out, "that it still stands. What was approved can be taken back or revoked afterwards.")
}

func inQuotesIfAny(text string) string {
	if text == "" {
		return ""
	}
	return inQuotes(text)
}

func inQuotes(text string) string { return `"` + strings.ReplaceAll(plain(text), `"`, `\"`) + `"` }

func indented(text string) string {
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for i, line := range lines {
		lines[i] = "    " + plain(strings.ReplaceAll(line, "\t", "    "))
	}
	return strings.Join(lines, "\n")
}

// plain writes what a terminal could obey, or a reader not see, as \u and its number.
func plain(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r == '\u200c' || r == '\u200d' || unicode.IsPrint(r) { // the joiners that scripts and emoji need
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
