package phone

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
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
	add, unbound, none, mute := bound, bound, bound, bound
	mute.Match = account.MatchMessage
	message := mute
	message.Context.BindingMessage = "Row 7"
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
		"message to match": {message, approval.Pushed, web.Review{}, ""},
		"no message":       {mute, approval.Pushed, web.Review{}, "Nothing ties"},
		"typed user code":  {unbound, approval.Typed, web.Review{UserCode: "BCDF-GHJK"}, ""},
		"typed abroad":     {unbound, approval.Typed, web.Review{UserCode: "BCDF-GHJK", Network: web.OtherCountry}, "in another country"},
	} {
		view := approval.View{Request: c.request, Ref: approval.Ref{Way: c.way}, UserCode: c.card.UserCode}
		got := warning(view, c.card)
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestTell_knowsEveryEventOfAUser(t *testing.T) {
	s := storyteller{requests: map[string]approval.Request{"b": {CodeKind: approval.PollCode}}}
	for name := range requestLines {
		for _, detail := range []string{"", "backend", "session", "wrong number", "holder"} {
			for _, request := range []string{"r", "b"} {
				entry, ok := s.tell(approval.Event{Name: name, RequestID: request, Detail: detail})
				if !ok || entry.Words == "" || strings.Contains(entry.Words, "%") {
					t.Errorf("%s of %s, %q: got %q, %t", name, request, detail, entry.Words, ok)
				}
			}
		}
	}
	for name := range accountLines {
		if entry, ok := s.tell(approval.Event{Name: name, Detail: "x"}); !ok || entry.Words == "" {
			t.Errorf("%s: got %q, %t", name, entry.Words, ok)
		}
	}
}

func TestTell_whatAPersonNeedNotKnow_isNotTold(t *testing.T) {
	for _, ev := range []approval.Event{
		{Name: "something.new"}, {Name: "something.new", RequestID: "r"}, {Name: approval.EventBound, RequestID: "r"},
		{Name: approval.EventLapsed, RequestID: "r", Detail: faceKeycloak},
		{Name: approval.EventClientCreated}, {Name: approval.EventClientKeyAdded}, {Name: approval.EventClientDeleted},
	} {
		if entry, ok := (storyteller{}).tell(ev); ok {
			t.Errorf("%s: got %q, want no words", ev.Name, entry.Words)
		}
	}
}

func TestTell_inWords(t *testing.T) {
	scopes := []account.ScopeText{{Scope: "openid", Says: "know who you are"}, {Scope: "offline_access", Says: "stay signed in until you revoke it"}}
	s := storyteller{
		requests: map[string]approval.Request{
			"tv":   {CodeKind: approval.PollCode, TypedHash: []byte{1}, Context: approval.Context{App: "Acme TV", DeviceName: "Living-room TV", Scopes: scopes}},
			"bank": {CodeKind: approval.PollCode, Context: approval.Context{App: "Acme Bank"}},
		},
		apps: map[string]string{"c": "Acme TV"},
	}
	for name, c := range map[string]struct {
		event         approval.Event
		words, detail string
		mark          string
	}{
		"approved, for what":  {approval.Event{Name: approval.EventApproved, RequestID: "tv", Address: "192.0.2.1"}, "You approved a sign-in on Living-room TV (Acme TV)", "It may know who you are; stay signed in until you revoke it. From 192.0.2.1", web.MarkApproved},
		"declined":            {approval.Event{Name: approval.EventDenied, RequestID: "tv"}, "You declined a sign-in on Living-room TV (Acme TV)", "", web.MarkDeclined},
		"asked by a backend":  {approval.Event{Name: approval.EventRequested, RequestID: "bank"}, "You were asked for your approval: a request of Acme Bank", "", ""},
		"a backend's answer":  {approval.Event{Name: approval.EventRedeemed, RequestID: "bank"}, "The app has its answer: a request of Acme Bank", "", ""},
		"signed out by owner": {approval.Event{Name: approval.EventDeviceRevoked, RequestID: "tv", Detail: "owner Living-room TV"}, "You signed out Living-room TV (Acme TV)", "", ""},
		"never collected":     {approval.Event{Name: approval.EventLapsed, RequestID: "tv", Detail: "native"}, "Approved, but never used: a sign-in on Living-room TV (Acme TV)", "", ""},
		"taken back":          {approval.Event{Name: approval.EventCanceled, RequestID: "tv", Detail: "recovery"}, "A recovery code was used, which took back the approval of a sign-in on Living-room TV (Acme TV)", "", ""},
		"long gone":           {approval.Event{Name: approval.EventDeviceRevoked, RequestID: "gone", ClientID: "c", Detail: "client ended Kiosk 7"}, "The app was removed, which signed out Kiosk 7 (Acme TV)", "", ""},
		"without a name":      {approval.Event{Name: approval.EventDeviceRevoked, RequestID: "bank", Detail: "holder"}, "Signed out by itself: Acme Bank", "", ""},
		"of nobody known":     {approval.Event{Name: approval.EventDeviceRevoked, RequestID: "gone", Detail: "something new"}, "Signed out: a device", "", ""},
		"a copied token":      {approval.Event{Name: approval.EventDeviceRevoked, RequestID: "tv", Detail: "reuse Living-room TV"}, "nod signed out Living-room TV (Acme TV): a token was used that had been replaced, so somebody may have a copy", "", web.MarkAlert},
		"lost on its way":     {approval.Event{Name: approval.EventLost, RequestID: "tv", Detail: "jti"}, "The answer got lost on its way, and what was in it is worthless: a sign-in on Living-room TV (Acme TV)", "", ""},
		"at the second try":   {approval.Event{Name: approval.EventReminted, RequestID: "tv", Detail: "jti"}, "The device was let in at its second try: a sign-in on Living-room TV (Acme TV)", "", ""},
		"a user code":         {approval.Event{Name: approval.EventUserCodeSet}, "The code with which apps may ask you was changed", "", ""},
	} {
		want := web.ActivityEntry{Words: c.words, Detail: c.detail, Mark: c.mark}
		if got, ok := s.tell(c.event); !ok || got != want {
			t.Errorf("%s: got %+v, %t; want %+v", name, got, ok, want)
		}
	}
}

func TestRevokedLines_coverEveryReason(t *testing.T) {
	for _, by := range []approval.By{
		approval.ByOwner, approval.ByHolder, approval.ByReuse, approval.ByLost, approval.ByBackend, approval.ByRecovery,
		approval.ByUserEnded, approval.ByClientEnded, approval.ByPasskeyEnded,
	} {
		l, called := revokedLine(string(by) + " Living-room TV")
		if l.words == "Signed out: %s" || called != "Living-room TV" {
			t.Errorf("%s: got %q about %q, want words of its own about Living-room TV", by, l.words, called)
		}
	}
}

func TestInWords_isNeverTooShort(t *testing.T) {
	for wait, want := range map[time.Duration]string{
		0: "1 second", time.Millisecond: "1 second", time.Second: "1 second", 1100 * time.Millisecond: "2 seconds", 99 * time.Second: "99 seconds",
		100 * time.Second: "2 minutes", 2 * time.Minute: "2 minutes", 2*time.Minute + 1: "3 minutes", time.Hour: "60 minutes",
	} {
		if got := inWords(wait); got != want {
			t.Errorf("inWords(%s): got %q, want %q", wait, got, want)
		}
	}
}

func TestAsTyped_undoesWhatKeyboardsDo(t *testing.T) {
	for typed, want := range map[string]string{
		"": "", "  ": "", " BCDF-GHJK ": "BCDF-GHJK", "bcdf–ghjk": "bcdf-ghjk", "bcdf\u2011ghjk": "bcdf-ghjk", "ＢＣＤＦ　ＧＨＪＫ": "BCDF GHJK",
		"BCDF\u200b-GHJK\ufeff": "BCDF-GHJK", "４８２ ９１３": "482 913", "correct horse battery staple": "correct horse battery staple",
	} {
		if got := asTyped(typed).Reveal(); got != want {
			t.Errorf("asTyped(%q): got %q, want %q", typed, got, want)
		}
	}
}
