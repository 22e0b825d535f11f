package phone

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/web"
)

func TestRows_everyErrorWord_hasAnAnswer(t *testing.T) {
	table := wire.Table{Rows: rows}
	for _, word := range approval.Words {
		got := table.Translate(fmt.Errorf("do something: %w", word))
		if got.Status == http.StatusInternalServerError || got.Code == "" || got.Message == "" {
			t.Errorf("%v: got %d %q %q, want a row of its own", word, got.Status, got.Code, got.Message)
		}
		if strings.Contains(got.Message, "do something") {
			t.Errorf("%v: the message repeats the error's text", word)
		}
	}
	for _, row := range rows {
		if (row.Status == http.StatusTooManyRequests || row.Status == http.StatusServiceUnavailable) && row.RetryAfter == 0 {
			t.Errorf("%v: got no Retry-After for %d", row.Word, row.Status)
		}
	}
	limited := table.Translate(&approval.LimitError{RetryAfter: 90 * time.Second})
	if limited.RetryAfter != 90*time.Second {
		t.Errorf("retry after: got %s, want the limit's own 1m30s", limited.RetryAfter)
	}
}

func TestSoftware_inWords(t *testing.T) {
	long := strings.Repeat("é", 100)
	for header, want := range map[string]string{
		"": "",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1": "Mobile Safari on iPhone",
		"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0":                                                                  "Firefox on Linux",
		"curl/8.5.0": "curl",
		"AcmeTV/1.0": "AcmeTV/1.0",
		long:         strings.Repeat("é", maxAgent) + "…",
	} {
		if got := software(header); got != want {
			t.Errorf("software(%.20q): got %q, want %q", header, got, want)
		}
	}
}

func TestPasskeyName_isAlwaysOneThatCanBeShown(t *testing.T) {
	for header, want := range map[string]string{
		"": "Passkey",
		"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0":                                                                                   "Firefox on Linux",
		"Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36":                                    "Pixel 8",
		"Mozilla/5.0 (Linux; Android 14; " + strings.Repeat("x", 100) + ") AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36":           "Passkey",
		"Mozilla/5.0 (Linux; Android 14; a\u202eb) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36":                                   "Passkey",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1 (no \u0000 byte)": "iPhone",
	} {
		if got := passkeyName(header); got != want {
			t.Errorf("passkeyName(%.40q): got %q, want %q", header, got, want)
		}
	}
}

func TestWarning_namesTheGravestOnly(t *testing.T) {
	bound := approval.Request{UserID: "u", Purpose: approval.SignIn, Match: "type"}
	elsewhere, abroad := web.Review{OpenedElsewhere: true, Network: web.OtherCountry}, web.Review{Network: web.OtherCountry}
	add, unbound, none := bound, bound, bound
	add.Purpose, unbound.UserID, none.Match = approval.AddCredential, "", "none"
	for name, c := range map[string]struct {
		request approval.Request
		way     approval.Way
		card    web.Review
		want    string
	}{
		"usual":            {bound, approval.Scanned, web.Review{Network: web.SameNetwork}, ""},
		"listed":           {bound, approval.Listed, web.Review{}, ""},
		"new passkey":      {add, approval.Listed, web.Review{}, "again and again"},
		"anybody's":        {unbound, approval.Scanned, web.Review{}, "does not know yet who you are"},
		"tied to nothing":  {none, approval.Listed, web.Review{}, "Nothing ties"},
		"pushed untied":    {none, approval.Pushed, web.Review{}, "Nothing ties"},
		"scanned anyway":   {none, approval.Scanned, web.Review{}, ""},
		"other country":    {add, approval.Scanned, abroad, "in another country"},
		"opened elsewhere": {add, approval.Pushed, elsewhere, "opened on another phone too"},
	} {
		got := warning(approval.View{Request: c.request, Ref: approval.Ref{Way: c.way}}, c.card)
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestTell_knowsEveryEventOfAUser(t *testing.T) {
	s := storyteller{}
	for name := range requestLines {
		for _, detail := range []string{"", "backend", "session", "wrong number", "holder"} {
			entry, ok := s.tell(approval.Event{Name: name, RequestID: "r", Detail: detail})
			if !ok || entry.Words == "" || strings.Contains(entry.Words, "%") {
				t.Errorf("%s, %q: got %q, %t", name, detail, entry.Words, ok)
			}
		}
	}
	for name := range accountLines {
		if entry, ok := s.tell(approval.Event{Name: name, Detail: "x"}); !ok || entry.Words == "" {
			t.Errorf("%s: got %q, %t", name, entry.Words, ok)
		}
	}
	if _, ok := s.tell(approval.Event{Name: "something.new"}); ok {
		t.Error("unknown event: got words, want none")
	}
}
