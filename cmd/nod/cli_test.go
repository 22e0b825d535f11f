package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nod-auth/nod/approval/account"
)

func TestExactOrigin_is_what_browsers_send(t *testing.T) {
	for text, want := range map[string]string{
		"https://app.example.com":      "https://app.example.com",
		"https://App.Example.com":      "https://app.example.com",
		"https://app.example.com:443":  "https://app.example.com",
		"https://app.example.com:8443": "https://app.example.com:8443",
		"http://localhost:3000":        "http://localhost:3000",
		"http://localhost:80":          "http://localhost",
		"http://app.example.com":       "not encrypted",
		"https://app.example.com/":     "write https://app.example.com",
		"https://app.example.com?x":    "write https://app.example.com",
		"https://app.example.com#":     "write https://app.example.com",
		"https://me@app.example.com":   "write https://app.example.com",
		"https://127.0.0.1":            "IP address",
		"http://[::1]:3000":            "IP address",
		"https://*.example.com":        "no wildcards",
		"https://.example.com":         "not exact",
		"https://äpp.example.com":      "xn-- form",
		"app.example.com":              "not a web origin",
		"ftp://app.example.com":        "not a web origin",
		"null":                         "not a web origin",
		"":                             "not a web origin",
	} {
		got, err := exactOrigin(text)
		if strings.HasPrefix(want, "http") {
			if got != want || err != nil {
				t.Errorf("%s: got %s, %v; want %s", text, got, err, want)
			}
		} else if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %s, %v; want an error with %q", text, got, err, want)
		}
	}
}

func TestRelatedNotes_count_names_outside_the_rp_id(t *testing.T) {
	var six []string
	for i := range 6 {
		six = append(six, fmt.Sprintf("https://app.brand%d.co.uk", i))
	}
	for _, c := range []struct {
		about      string
		rpID       string
		added, all []string
		want       []string // a part of each note
	}{
		{"the host itself", "example.com", []string{"https://example.com"}, nil, nil},
		{"below it", "example.com", []string{"https://a.example.com:8443"}, nil, nil},
		{"not below it", "example.com", []string{"https://badexample.com"}, nil, []string{"outside example.com"}},
		{"five names", "example.com", six[:1], six[:5], []string{"outside"}},
		{"six names", "example.com", six[:1], six, []string{"outside", "now have 6 domain names"}},
		{"one name under many suffixes", "example.com", []string{"https://brand.de"},
			[]string{"https://brand.fr", "https://brand.co.uk", "https://www.brand.it", "https://brand.es", "https://brand.at"}, []string{"outside"}},
		{"others have too many", "example.com", []string{"https://example.com"}, six, nil},
		{"nobody knows the domain yet", "", six, six, nil},
	} {
		got := relatedNotes(c.rpID, c.added, c.all)
		if len(got) != len(c.want) {
			t.Errorf("%s: got %d notes %q, want %d", c.about, len(got), got, len(c.want))
			continue
		}
		for i, part := range c.want {
			if !strings.Contains(got[i], part) {
				t.Errorf("%s: got %q, want %q in it", c.about, got[i], part)
			}
		}
	}
}

func TestReachable_asks_the_loopback_address_for_all(t *testing.T) {
	for listen, want := range map[string]string{
		":8080": "127.0.0.1:8080", "0.0.0.0:8080": "127.0.0.1:8080", "[::]:8080": "[::1]:8080",
		"192.0.2.1:80": "192.0.2.1:80", "localhost:8080": "localhost:8080",
	} {
		if got := reachable(listen); got != want {
			t.Errorf("reachable(%s): got %s, want %s", listen, got, want)
		}
	}
}

func TestHelp_is_complete(t *testing.T) {
	commands := append(newRoot().Commands(), newClient().Commands()...)
	commands = append(append(commands, newUser().Commands()...), newPush().Commands()...)
	commands = append(commands, newReceipt().Commands()...)
	commands = append(commands, newAudit().Commands()...)
	commands = append(commands, newWebhook().Commands()...)
	for _, c := range commands {
		if c.Short == "" || c.Long == "" {
			t.Errorf("%s has no help worth reading", c.CommandPath())
		}
		if c.Example == "" && !c.HasSubCommands() && c.Name() != "version" && c.Name() != "help" {
			t.Errorf("%s has no example", c.CommandPath())
		}
	}
	text := wrapped(account.Scopes, "  ", 76)
	if got := len(strings.Fields(text)); got != len(account.Scopes) {
		t.Errorf("help lists %d scopes, want %d", got, len(account.Scopes))
	}
	for line := range strings.Lines(text) {
		if len(strings.TrimRight(line, "\n")) > 76 || strings.HasSuffix(line, " \n") {
			t.Errorf("ragged line %q", line)
		}
	}
}
