package web

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadDetails_showsEverythingInItsOrder(t *testing.T) {
	text := func(label, text string) detail { return detail{Name: label, Label: inWords(label), Text: text} }
	list := func(items ...detail) detail { return detail{Parts: items, Listed: true} }
	item := func(text string) detail { return detail{Text: text} }
	named := func(d detail, name, label string) detail { d.Name, d.Label = name, label; return d }
	for raw, want := range map[string][]detail{
		``:   nil,
		`[]`: {item("(nothing)")},
		`{}`: {item("(nothing)")},
		`[{"creditorName":"Acme","type":"payment_initiation","instructedAmount":{"currency":"EUR","amount":"123.50"}}]`: {{
			Label: "Payment initiation",
			Parts: []detail{
				text("creditorName", "Acme"),
				named(detail{Parts: []detail{text("currency", "EUR"), text("amount", "123.50")}}, "instructedAmount", "Instructed amount"),
			},
		}},
		`[{"type":"https://files.example/read","actions":["read","list"]}]`: {{
			Label: "https://files.example/read",
			Parts: []detail{named(list(item("read"), item("list")), "actions", "Actions")},
		}},
		`{"type":"a","n":1.50e3,"yes":true,"no":false,"none":null,"empty":"","list":[],"object":{}}`: {{
			Label: "A",
			Parts: []detail{
				text("n", "1.50e3"), text("yes", "yes"), text("no", "no"), text("none", "(nothing)"),
				text("empty", "(empty)"), text("list", "(nothing)"), text("object", "(nothing)"),
			},
		}},
		`[{"type":"harmless","type":"transfer"}]`: {{Parts: []detail{text("type", "harmless"), text("type", "transfer")}}},
		`[{"Type":"harmless","type":"transfer"}]`: {{Label: "Transfer", Parts: []detail{text("Type", "harmless")}}},
		`[{"type":["a"]}]`:                        {{Parts: []detail{named(list(item("a")), "type", "Type")}}},
		`[{"":1}]`:                                {{Parts: []detail{{Label: "(no name)", Text: "1"}}}},
		`["read",["write"],[{"a":1}]]`:            {item("read"), list(item("write")), list(detail{Parts: []detail{text("a", "1")}})},
		`not JSON`:                                {item("not JSON")},
		`[{"type":"a"}] and more`:                 {item(`[{"type":"a"}] and more`)},
		`[{"type":`:                               {item(`[{"type":`)},
		`[{"type":"a"}][{"type":"b"}]`:            {item(`[{"type":"a"}][{"type":"b"}]`)},
	} {
		if diff := cmp.Diff(want, readDetails(json.RawMessage(raw))); diff != "" {
			t.Errorf("readDetails(%s): got other than wanted (-want +got):\n%s", raw, diff)
		}
	}
}

func TestInWords_ofAnIdentifier(t *testing.T) {
	for name, want := range map[string]string{
		"": "", "type": "Type", "creditorName": "Creditor name", "credit_limit": "Credit limit", "sales-order": "Sales order",
		"debtorIBAN": "Debtor IBAN", "IBAN": "IBAN", "line2Text": "Line2 text", "__a__": "A",
		"https://x.example/a": "https://x.example/a", "größe": "größe", "two words": "two words",
	} {
		if got := inWords(name); got != want {
			t.Errorf("inWords(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestReview_detailsAreRowsAndNeverJSON(t *testing.T) {
	card := Review{
		Scopes:  []Scope{{"profile", "see your username"}, {Scope: "photos.read"}},
		Details: json.RawMessage(`[{"type":"payment_initiation","amount":{"currency":"EUR"},"to":["Acme","Bolt"]}]`),
	}
	got := render(t, ReviewPage{Card: card})
	for _, want := range []string{
		"<li><bdi>See your username</bdi></li>", "<li><bdi>photos.read</bdi></li>", "<h3><bdi>Payment initiation</bdi></h3>",
		`<div class="nested"><dt><bdi>Amount</bdi></dt>`, "<dt><bdi>Currency</bdi></dt><dd><bdi>EUR</bdi>", "<li><bdi>Acme</bdi>", "<li><bdi>Bolt</bdi>",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("card lacks %s", want)
		}
	}
	for _, raw := range []string{"{&#34;", "[{", "&#34;type&#34;"} {
		if strings.Contains(got, raw) {
			t.Errorf("card shows %s, which is JSON", raw)
		}
	}
	if got := render(t, ReviewPage{}); strings.Contains(got, "it may") {
		t.Error("card that allows nothing has a heading for it")
	}
}

// TestReview_detailsAsDeepAsTheyMayBe: what is asked for is bounded in bytes, so
// its depth is too.
func TestReview_detailsAsDeepAsTheyMayBe(t *testing.T) {
	const depth = 4096 / 2
	raw := json.RawMessage(strings.Repeat("[", depth-4) + `"deep"` + strings.Repeat("]", depth-4))
	if got := render(t, ReviewPage{Card: Review{Details: raw}}); !strings.Contains(got, "<bdi>deep</bdi>") {
		t.Error("card lacks what is deepest")
	}
}

// FuzzReadDetails holds it to showing every text there is, and to ending.
func FuzzReadDetails(f *testing.F) {
	for _, seed := range []string{`[{"type":"a","b":["c",{"d":null}]}]`, `{}`, `[[[]]]`, `"x"`, `{"a":1,"a":2}`, `[`, ``} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got := readDetails(json.RawMessage(raw))
		if len(got) == 0 != (raw == "") {
			t.Fatalf("readDetails(%q): got %d entries", raw, len(got))
		}
		var value any
		if json.Unmarshal([]byte(raw), &value) != nil {
			return
		}
		shown := map[string]bool{"type": true} // its value is, as a heading
		collect(got, shown)
		for _, text := range texts(value) {
			if text != "" && !shown[text] && !shown[inWords(text)] {
				t.Errorf("readDetails(%q): %q is not shown", raw, text)
			}
		}
	})
}

func collect(details []detail, into map[string]bool) {
	for _, d := range details {
		into[d.Text], into[d.Label], into[d.Name] = true, true, true
		collect(d.Parts, into)
	}
}

// texts are the strings in a value and the names of its members.
func texts(value any) []string {
	var out []string
	switch value := value.(type) {
	case string:
		out = append(out, value)
	case []any:
		for _, each := range value {
			out = append(out, texts(each)...)
		}
	case map[string]any:
		for name, each := range value {
			out = append(append(out, name), texts(each)...)
		}
	}
	return out
}
