package web

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// hostile is what a device might call itself: markup, quotes, a template
// action, a right-to-left override, control characters.
const hostile = `"'><script>alert(1)</script><img src=x onerror=alert(2)> {{.}} ` + "\u202e\u2066evil\x00\n\t" + ` javascript:alert(3)`

// samplePages returns every page with text in each of its fields.
func samplePages(text string) []Page {
	frame := Frame{Now: noon, SignedInAs: text}
	review := func(match string) Page {
		return ReviewPage{frame, Review{
			RequestID: text, Way: text, Secret: text, AppName: text, Username: text, WaitAddress: text,
			AskedAt: noon.Add(-20 * time.Second), ExpiresAt: noon.Add(103 * time.Second),
			WaitPlace: text, Network: text, OpenedElsewhere: true, Version: 3,
			DeviceName: text, UserAgent: text, Address: text, Place: text, BindingMessage: text, Purpose: text,
			Match: match, Choices: []string{text, "482913"}, TriesLeft: 2, Warning: text,
			UserCode: text, Scopes: []Scope{{text, text}, {Scope: text}}, Details: detailsOf(text),
		}}
	}
	backend := review(MatchMessage).(ReviewPage)
	backend.Card.Backend, backend.Card.Details = true, json.RawMessage(text)
	return []Page{
		SignInPage{frame, text, text},
		HomePage{frame, []WaitingRequest{{text, text, text, noon, noon}}, text, NudgeSpare}, HomePage{Frame: frame, Nudge: NudgeCodes},
		ReviewPage{frame, Review{Payload: text, PayloadType: text, Backend: true, AppName: text}},
		review(MatchType), review(MatchPick), review(MatchMessage), review(MatchNone), review(text), backend,
		DevicePage{frame, text},
		EnrolPage{frame},
		RecoveryPage{frame, CodeSet{Made: 10, Left: 7, MadeAt: noon}}, RecoverPage{frame, text, text},
		PasskeysPage{frame, []Passkey{
			{ID: text, Name: text, CreatedAt: noon, LastUsedAt: noon, Synced: true, Current: true},
			{ID: text + "2", Name: text, Suspended: true, Last: true},
		}, CodeSet{Made: 10, Left: 7, MadeAt: noon}, text, text, []Device{{ID: text, Name: text, AppName: text}, {}}},
		NotificationsPage{frame, []Phone{
			{ID: text, Kind: "webpush", Name: text, CreatedAt: noon, ReachedAt: noon, Fault: text},
			{ID: text + "2", Kind: "email", Name: text}, {ID: text + "3", Kind: "fcm"}, {ID: text + "4", Kind: text},
		}, text, noon, text, text},
		OfflinePage{frame}, JoinPage{frame},
		ReviewPage{frame, Review{Own: true, AppName: text, DeviceName: text, Address: text, Place: text, UserCode: text, Network: OtherCountry}},
		ResultPage{Frame: frame, State: "redeemed", Passkey: true, AppName: text, Device: text},
		ResultPage{Frame: frame, State: "approved", Passkey: true, After: After{Undo: true}},
		ResultPage{Frame: frame, State: "redeemed", Passkey: true, LastPasskey: true, After: After{Undo: true, Report: true}},
		ResultPage{Frame: frame, State: "reported deleted", Passkey: true, Deleted: Deletions{Passkeys: 2, Devices: 2}},
		ActivityPage{frame, []ActivityEntry{
			{At: noon, Words: text, Detail: text, Mark: MarkApproved, Receipt: "/phone/receipts/" + text},
			{At: noon, Words: text, Detail: text, Mark: MarkDeclined}, {At: noon, Words: text, Detail: text, Mark: MarkAlert},
			{At: noon, Words: text, Detail: text, Mark: text},
		}},
		ResultPage{
			Frame: frame, RequestID: text, State: "approved", Already: true, AppName: text, Device: text, DecidedAt: noon,
			Backend: true, Scopes: []Scope{{text, text}}, Payload: text, Receipt: "/phone/receipts/" + text,
		},
		ResultPage{Frame: frame, RequestID: text, State: text, AppName: text, Device: text, DecidedAt: noon},
		MessagePage{frame, text, text, text, text, text, text},
	}
}

// detailsOf are authorization_details with a text wherever there can be one.
func detailsOf(text string) json.RawMessage {
	raw, err := json.Marshal([]any{
		map[string]any{"type": text, text: text, "list": []any{text, []any{text}, map[string]any{text: text}}},
		text, []any{}, map[string]any{},
	})
	if err != nil {
		panic(err) // strings can always be marshalled
	}
	return raw
}

func zeroPages() []Page {
	return []Page{
		SignInPage{}, HomePage{}, ReviewPage{}, DevicePage{}, EnrolPage{}, PasskeysPage{}, ActivityPage{}, ResultPage{}, MessagePage{},
		RecoveryPage{}, RecoverPage{}, NotificationsPage{}, NotificationsPage{Phones: make([]Phone, 1)}, OfflinePage{}, JoinPage{},
		HomePage{Requests: make([]WaitingRequest, 1)}, PasskeysPage{Passkeys: make([]Passkey, 1)}, ActivityPage{Entries: make([]ActivityEntry, 1)},
	}
}

func render(t *testing.T, page Page) string {
	t.Helper()
	pages, err := New()
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	var out bytes.Buffer
	if err := pages.Render(&out, page); err != nil {
		t.Fatalf("Render(%T): %v", page, err)
	}
	return out.String()
}

// tag is a start tag of a page.
type tag struct {
	name       string
	attributes map[string]string
	text       string // what follows it directly
}

// tags reads a page as a browser's parser would see its tags: every value that
// broke out of its place would show up as a tag or an attribute.
func tags(t *testing.T, page string) []tag {
	t.Helper()
	decoder := xml.NewDecoder(strings.NewReader(strings.TrimPrefix(page, "<!doctype html>")))
	decoder.Strict, decoder.AutoClose, decoder.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	var found []tag
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatalf("page does not parse: %v\n%s", err, page)
		}
		switch token := token.(type) {
		case xml.StartElement:
			attributes := map[string]string{}
			for _, a := range token.Attr {
				attributes[a.Name.Local] = a.Value
			}
			found = append(found, tag{name: token.Name.Local, attributes: attributes})
		case xml.CharData:
			if len(found) > 0 {
				found[len(found)-1].text += string(token)
			}
		}
	}
}

func TestRender_anyDataLeavesNothingAPolicyWouldRefuse(t *testing.T) {
	for _, page := range slices.Concat(zeroPages(), samplePages("Living-room TV"), samplePages(hostile), samplePages(strings.Repeat("long ", 4000))) {
		for _, tag := range tags(t, printable(render(t, page))) {
			checkTag(t, page, tag)
		}
	}
}

// printable drops what XML cannot hold, so that its parser can be used.
func printable(page string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, page)
}

func checkTag(t *testing.T, page Page, tag tag) {
	t.Helper()
	if tag.name == "style" || tag.name == "img" {
		t.Errorf("%T has a <%s>", page, tag.name)
	}
	if tag.name == "script" && (!strings.HasPrefix(tag.attributes["src"], "/assets/") || strings.TrimSpace(tag.text) != "") {
		t.Errorf("%T has an inline or foreign script: %v", page, tag)
	}
	for name, value := range tag.attributes {
		if name == "style" || strings.HasPrefix(name, "on") {
			t.Errorf("%T: <%s> has the attribute %s", page, tag.name, name)
		}
		if slices.Contains([]string{"href", "src", "action"}, name) && !strings.HasPrefix(value, "/") {
			t.Errorf("%T: <%s %s=%q> leaves this origin", page, tag.name, name, value)
		}
	}
}

func TestRender_hostileDataStaysTextAndApart(t *testing.T) {
	for _, page := range samplePages(hostile) {
		got := render(t, page)
		for _, broken := range []string{"<script>alert", "<img", `"'>`} {
			if strings.Contains(got, broken) {
				t.Errorf("%T contains %q", page, broken)
			}
		}
	}
	card := render(t, ReviewPage{Card: Review{DeviceName: "TV \u202e", UserAgent: "UA \u202e", Address: "addr \u202e", Place: "place \u202e", BindingMessage: "msg \u202e"}})
	for _, claim := range []string{"TV", "UA", "addr", "place", "msg"} {
		if total, apart := strings.Count(card, claim+" \u202e"), strings.Count(card, "<bdi>"+claim+" \u202e</bdi>"); total == 0 || total != apart {
			t.Errorf("%q is shown %d times, set apart %d times", claim, total, apart)
		}
	}
}

func TestRender_everyPageHasWhatABrowserAndAReaderNeed(t *testing.T) {
	for _, page := range slices.Concat(zeroPages(), samplePages("x")) {
		got := render(t, page)
		for _, want := range []string{
			`<!doctype html>`, `<html lang="en">`, ` · nod</title>`, `<meta name="viewport"`, `<meta name="theme-color"`,
			`<svg class="mark"`, `<link rel="icon" type="image/svg+xml"`, `<link rel="manifest"`, `<main`,
		} {
			if !strings.Contains(got, want) {
				t.Errorf("%T lacks %q", page, want)
			}
		}
		if strings.Contains(got, "<title> ·") {
			t.Errorf("%T has no title of its own", page)
		}
		checkIDs(t, page, tags(t, got))
	}
}

// checkIDs holds pages to what labels and descriptions rely on: ids are unique
// and what refers to one finds it.
func checkIDs(t *testing.T, page Page, found []tag) {
	t.Helper()
	ids := map[string]int{}
	for _, tag := range found {
		ids[tag.attributes["id"]]++
	}
	for id, times := range ids {
		if id != "" && times > 1 {
			t.Errorf("%T has the id %q %d times", page, id, times)
		}
	}
	for _, tag := range found {
		for _, name := range []string{"for", "form", "aria-labelledby", "aria-describedby"} {
			for _, id := range strings.Fields(tag.attributes[name]) {
				if ids[id] == 0 {
					t.Errorf("%T: <%s %s=%q> refers to nothing", page, tag.name, name, id)
				}
			}
		}
	}
}

func TestPasskeys_lastOneCannotBeDeleted(t *testing.T) {
	got := render(t, PasskeysPage{Passkeys: []Passkey{{ID: "k1", Name: "Phone", Last: true}}})
	if strings.Contains(got, "/phone/passkeys/k1/delete") {
		t.Error("the last passkey has a form that deletes it")
	}
	if want := "This is the only passkey you can sign in with"; !strings.Contains(got, want) {
		t.Errorf("page lacks the reason %q", want)
	}
	if got := render(t, PasskeysPage{Passkeys: []Passkey{{ID: "k1"}}}); !strings.Contains(got, `action="/phone/passkeys/k1/delete"`) {
		t.Error("another passkey has no form that deletes it")
	}
}

func TestSignIn_nextStaysOnThisOrigin(t *testing.T) {
	for next, want := range map[string]string{"/a/x": "/a/x", "//evil.example": "/", "https://evil.example": "/"} {
		if got := render(t, SignInPage{Next: next}); !strings.Contains(got, `data-next="`+want+`"`) {
			t.Errorf("next %q does not become %q", next, want)
		}
	}
}

func TestRender_writerThatFailsIsReported(t *testing.T) {
	pages, err := New()
	if err != nil {
		t.Fatal(err)
	}
	if err := pages.Render(brokenWriter{}, MessagePage{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("Render to a broken writer: %v, want %v", err, io.ErrClosedPipe)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
