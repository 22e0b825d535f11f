package web

import (
	"html/template"
	"regexp"
	"strings"
	"testing"
)

func TestReview_declineComesFirstAndHasTheFocus(t *testing.T) {
	for _, match := range []string{MatchType, MatchPick, MatchNone, ""} {
		var buttons []tag
		for _, tag := range tags(t, render(t, ReviewPage{Card: Review{Match: match, Choices: []string{"1"}}})) {
			if tag.name == "button" {
				buttons = append(buttons, tag)
			}
		}
		if len(buttons) != 3 || strings.TrimSpace(buttons[0].text) != "Decline" {
			t.Fatalf("match %q: buttons are %v, want Decline, Approve and the report", match, buttons)
		}
		if _, focused := buttons[0].attributes["autofocus"]; !focused {
			t.Errorf("match %q: Decline does not ask for the focus", match)
		}
		if got := strings.TrimSpace(buttons[1].text); got != "Approve with passkey" {
			t.Errorf("match %q: second button is %q", match, got)
		}
		if got := strings.TrimSpace(buttons[2].text); buttons[2].attributes["class"] != "plain" || !strings.HasSuffix(got, "report") {
			t.Errorf("match %q: last button is %q, want the report, and that it stands back", match, got)
		}
	}
}

// keptForLater is what a script may show.
var keptForLater = regexp.MustCompile(`(?s)<template.*?</template>`)

func TestReview_sentenceIsAlwaysThereAndTheWarningAboveTheButtons(t *testing.T) {
	const sentence = "Only approve if you started this yourself, just now, and you can see the screen."
	for _, page := range []ReviewPage{{}, {Card: Review{Warning: "Another country."}}} {
		got := keptForLater.ReplaceAllString(render(t, page), "")
		if strings.Count(got, sentence) != 1 {
			t.Errorf("card has the sentence %d times, want once", strings.Count(got, sentence))
		}
		if want := min(1, len(page.Card.Warning)); strings.Count(got, `class="warning"`) != want {
			t.Errorf("card has %d warnings, want %d", strings.Count(got, `class="warning"`), want)
		}
		if warning := strings.Index(got, "Another country."); warning > strings.Index(got, "<button") {
			t.Error("the warning stands below the buttons")
		}
	}
}

func TestReview_numberIsAskedForAsTheModeSays(t *testing.T) {
	for _, test := range []struct {
		match         string
		fields, picks int
	}{{MatchType, 1, 0}, {MatchPick, 0, 3}, {MatchNone, 0, 0}, {"", 0, 0}} {
		got := render(t, ReviewPage{Card: Review{Match: test.match, Choices: []string{"482913", "104772", "930518"}}})
		fields, picks := strings.Count(got, `id="number"`), strings.Count(got, `type="radio"`)
		if fields != test.fields || picks != test.picks {
			t.Errorf("match %q: %d fields and %d choices, want %d and %d", test.match, fields, picks, test.fields, test.picks)
		}
	}
}

func TestReview_headingAsksWhatApprovingDoes(t *testing.T) {
	for _, test := range []struct {
		card Review
		want string
	}{
		{Review{}, "<h1>Sign in?</h1>"},
		{Review{AppName: "Acme"}, "<h1>Sign in to <bdi>Acme</bdi>?</h1>"},
		{Review{AppName: "Acme", DeviceName: "TV"}, "<h1>Sign in on <bdi>TV</bdi>?</h1>"},
		{Review{Purpose: "add a passkey", DeviceName: "TV"}, "<h1>Add a passkey on <bdi>TV</bdi>?</h1>"},
		{Review{AppName: "Acme", DeviceName: "TV"}, "<h1>Sign in on <bdi>TV</bdi>?</h1>"},
		{Review{AppName: "Acme", DeviceName: "TV", UserCode: "BCDF-GHJK"}, "<h1>Sign in on <bdi>TV</bdi> with <bdi>Acme</bdi>?</h1>"},
		{Review{AppName: "Acme", UserCode: "BCDF-GHJK"}, "<h1>Sign in to <bdi>Acme</bdi>?</h1>"},
		{Review{AppName: "Acme", Purpose: "sign in", Backend: true}, "<h1><bdi>Acme</bdi> asks for your approval</h1>"},
		{Review{Backend: true}, "<h1>An app asks for your approval</h1>"},
		{Review{Backend: true, AppName: "Acme", Payload: "Pay"}, "<h1>Approve this transaction?</h1>"},
	} {
		if got := render(t, ReviewPage{Card: test.card}); !strings.Contains(got, test.want) {
			t.Errorf("card of %+v lacks %q", test.card, test.want)
		}
	}
}

// parts cuts a card into what nod knows and what the device says.
func parts(t *testing.T, card Review, frame ...Frame) (known, claimed string) {
	t.Helper()
	page := render(t, ReviewPage{append(frame, Frame{})[0], card})
	known, rest, _ := strings.Cut(page, "</section>")
	claimed, _, _ = strings.Cut(rest, "</section>")
	return known, claimed
}

func TestReview_whatFollowsFromAClaimStandsWithTheClaims(t *testing.T) {
	for _, test := range []struct {
		card           Review
		known, claimed []string
	}{
		{Review{WaitPlace: "Lyon", Address: "addr", Place: "Berlin", Network: OtherCountry}, []string{"Lyon"}, []string{"Berlin", "(another country)"}},
		{Review{Address: "addr", Network: SameNetwork}, nil, []string{"Same network as this phone"}},
		{Review{DeviceName: "TV", Network: SameNetwork}, []string{"Same network as this phone"}, []string{"TV"}},
	} {
		known, claimed := parts(t, test.card)
		for _, want := range test.known {
			if !strings.Contains(known, want) || strings.Contains(claimed, want) {
				t.Errorf("card of %+v: %q is not what nod knows, and that alone", test.card, want)
			}
		}
		for _, want := range test.claimed {
			if !strings.Contains(claimed, want) || strings.Contains(known, "<dd>"+want) {
				t.Errorf("card of %+v: %q is not what the device says, and that alone", test.card, want)
			}
		}
	}
}

func TestReview_secondOpenerIsALineOrReadyToBecomeOne(t *testing.T) {
	const line = "<dt>Opened</dt>"
	for _, elsewhere := range []bool{false, true} {
		got := render(t, ReviewPage{Card: Review{OpenedElsewhere: elsewhere, Version: 7}})
		if hidden := strings.Contains(got, `<template id="elsewhere">`); strings.Count(got, line) != 1 || hidden == elsewhere {
			t.Errorf("opened elsewhere %t: %d lines, kept for later %t", elsewhere, strings.Count(got, line), hidden)
		}
		if want := `data-version="7"`; !strings.Contains(got, want) {
			t.Errorf("card lacks %s", want)
		}
	}
}

func TestReview_messageIsLargeWhereItIsWhatTheCardIsAbout(t *testing.T) {
	const confirm = "My device shows the same message"
	for name, test := range map[string]struct {
		card             Review
		large, confirmed bool
	}{
		"a device's":                {Review{Match: MatchType}, false, false},
		"a device's, to be matched": {Review{Match: MatchMessage}, true, true},
		"a backend's":               {Review{Match: MatchNone, Backend: true}, true, false},
		"a backend's, with numbers": {Review{Match: MatchPick, Backend: true}, true, false},
		"a backend's, to match":     {Review{Match: MatchMessage, Backend: true}, true, true},
	} {
		test.card.BindingMessage = "Transfer 4711"
		got := render(t, ReviewPage{Card: test.card})
		if shown := strings.Count(got, "<bdi>Transfer 4711</bdi>"); shown != 1 {
			t.Errorf("%s: message is shown %d times, want once", name, shown)
		}
		if large := strings.Contains(got, `<p class="message"><bdi>Transfer 4711</bdi>`); large != test.large {
			t.Errorf("%s: message is large %t, want %t", name, large, test.large)
		}
		if confirmed := strings.Contains(got, confirm); confirmed != test.confirmed {
			t.Errorf("%s: asks to confirm %t, want %t", name, confirmed, test.confirmed)
		}
	}
	if got := render(t, ReviewPage{Card: Review{Match: MatchMessage, Backend: true}}); strings.Contains(got, confirm) {
		t.Error("card without a message asks to confirm one")
	}
}

func TestReview_confirmationIsTheNumberThatTheCallSends(t *testing.T) {
	card := Review{Match: MatchMessage, BindingMessage: "Row 7"}
	for _, tag := range tags(t, render(t, ReviewPage{Card: card})) {
		if tag.attributes["type"] != "checkbox" {
			continue
		}
		want := map[string]string{"form": "approve", "name": "number", "value": "seen"}
		for name, value := range want {
			if tag.attributes[name] != value {
				t.Errorf("checkbox: %s is %q, want %q", name, tag.attributes[name], value)
			}
		}
		if _, required := tag.attributes["required"]; !required {
			t.Error("checkbox: can be left out, want it required")
		}
		return
	}
	t.Error("card has no checkbox")
}

func TestReview_codeOfTheDeviceIsToBeCompared(t *testing.T) {
	got := render(t, ReviewPage{Card: Review{UserCode: "BCDF-GHJK"}})
	if want := `<p class="code"><bdi>BCDF-GHJK</bdi></p>`; !strings.Contains(got, want) || !strings.Contains(got, "Check that your device shows") {
		t.Errorf("card lacks %s, or what to do with it", want)
	}
	if got := render(t, ReviewPage{}); strings.Contains(got, "Check that") {
		t.Error("card without a code asks to compare one")
	}
}

func TestReview_accountIsWhoeverWouldBeSignedIn(t *testing.T) {
	frame := Frame{SignedInAs: "ada"}
	for name, want := range map[string]string{"": "ada", "eve": "eve"} {
		known, _ := parts(t, Review{Username: name}, frame)
		if row := "<dt>Account</dt><dd><bdi>" + want + "</bdi></dd>"; !strings.Contains(known, row) {
			t.Errorf("card for %q lacks %s", name, row)
		}
	}
}

// TestReview_payloadIsShownToTheLetter: every space and line end of it, as text.
func TestReview_payloadIsShownToTheLetter(t *testing.T) {
	const payload = "\n  Pay <b>20 €</b> &amp; \"tip\"\n\tto Bob  \n"
	got := render(t, ReviewPage{Card: Review{Payload: payload, PayloadType: "text", AppName: "Acme", Backend: true}})
	want := `<p dir="auto">` + template.HTMLEscapeString(payload) + `</p>`
	if !strings.Contains(got, want) {
		t.Errorf("card lacks %q:\n%s", want, got)
	}
	if strings.Contains(got, "<dt>Kind") {
		t.Error("the card says that a text is a text")
	}
	got = render(t, ReviewPage{Card: Review{Payload: payload, PayloadType: "json"}})
	if !strings.Contains(got, "<dt>Kind</dt><dd><bdi>json</bdi></dd>") {
		t.Error("the card does not say what kind of text it is")
	}
	for size, want := range map[int]string{1: "short", 120: "short", 121: "medium", 480: "medium", 481: "long", 4096: "long"} {
		if got := (Review{Payload: strings.Repeat("x", size)}).PayloadSize(); got != want {
			t.Errorf("payload of %d bytes: got %s, want %s", size, got, want)
		}
	}
}
