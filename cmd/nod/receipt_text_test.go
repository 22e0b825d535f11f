package main

import (
	"strings"
	"testing"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/webauthn"
)

// A receipt of what nod's own page asked names no app and no client.
func TestTellReceipt_ofNodItself(t *testing.T) {
	got := webauthn.Agreement{Agreed: approval.Agreed{
		RequestID: "r", UserID: "u", Purpose: approval.AddCredential, Way: approval.Typed, Verdict: approval.Approve,
		Context: approval.Context{App: "nod", Address: "203.0.113.7", UserAgent: "Chrome"},
	}}
	var b strings.Builder
	tellReceipt(&b, got, false)
	for _, want := range []string{
		"The user u agreed that the browser which had nod's own page open makes a passkey for this account.",
		"Who asked: nod itself, for a browser without a passkey.",
		`From where, as nod saw and the browser said: at the address 203.0.113.7, with the software "Chrome".`,
		"- what nod saw and the browser said about the device and where it was.",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("got %s\nwant in it: %s", b.String(), want)
		}
	}
	for _, none := range []string{"the app", "client ,", "namespace"} {
		if strings.Contains(b.String(), none) {
			t.Errorf("got %s\nwant no %q in it", b.String(), none)
		}
	}
}
