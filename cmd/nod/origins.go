package main

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// exactOrigin reads an origin, and writes it the way browsers do: they are
// compared byte for byte. The error is a sentence that begins with the text.
func exactOrigin(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return "", fmt.Errorf("%s is not a web origin; write it like https://app.example.com", text)
	}
	host := strings.ToLower(u.Hostname())
	origin := u.Scheme + "://" + strings.ToLower(u.Host)
	if port := u.Port(); port == "" || (u.Scheme == "https" && port == "443") || (u.Scheme == "http" && port == "80") {
		origin = u.Scheme + "://" + host
	}
	switch _, notIP := netip.ParseAddr(host); {
	case notIP == nil:
		return "", fmt.Errorf("%s is an IP address, and browsers offer no passkeys there; use a name, or http://localhost", text)
	case u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery || strings.HasSuffix(text, "#"):
		return "", fmt.Errorf("%s has more than an origin; write %s", text, origin)
	case strings.ContainsAny(host, "*%") || host != strings.Trim(host, "."):
		return "", fmt.Errorf("%s is not exact; name each origin, there are no wildcards", text)
	case u.Scheme == "http" && host != "localhost":
		return "", fmt.Errorf("%s is not encrypted, and browsers offer no passkeys there; use https, or http only with localhost", text)
	}
	for _, r := range host {
		if r > 127 {
			return "", fmt.Errorf("%s is not written in ASCII; use its xn-- form", text)
		}
	}
	return origin, nil
}

// maxLabels is how many different names of registrable domains a browser looks
// at in the list of related origins (WebAuthn L3 section 5.11.1: at least five,
// and browsers take just that).
const maxLabels = 5

// relatedNotes says what is special about origins outside the RP ID's domain,
// when that is known; all are those of every client.
func relatedNotes(rpID string, added, all []string) []string {
	if rpID == "" {
		return nil
	}
	var notes []string
	for _, origin := range added {
		if !within(rpID, hostOf(origin)) {
			notes = append(notes, fmt.Sprintf("%s is outside %s: passkeys work there only in browsers that know related origins, "+
				"which look at no more than %d different domain names at /.well-known/webauthn", origin, rpID, maxLabels))
		}
	}
	if len(notes) == 0 {
		return nil
	}
	labels := make(map[string]bool)
	for _, origin := range slices.Concat(all, added) {
		if host := hostOf(origin); !within(rpID, host) {
			labels[label(host)] = true
		}
	}
	if n := len(labels); n > maxLabels {
		notes = append(notes, fmt.Sprintf("all clients together now have %d domain names outside %s, and browsers ignore "+
			"all but %d: passkeys will not work on every origin", n, rpID, maxLabels))
	}
	return notes
}

func hostOf(origin string) string {
	u, err := url.Parse(origin)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

func within(rpID, host string) bool { return host == rpID || strings.HasSuffix(host, "."+rpID) }

// label is the name that counts: example of shop.example.co.uk.
func label(host string) string {
	registrable, err := publicsuffix.EffectiveTLDPlusOne(host)
	if err != nil {
		return host // localhost, say
	}
	name, _, _ := strings.Cut(registrable, ".")
	return name
}
