package web

import (
	"strings"
	"testing"
)

func TestNotifications_everyStateOfABrowserIsThereAndHidden(t *testing.T) {
	states := map[string]bool{}
	for _, tag := range tags(t, render(t, NotificationsPage{PushKey: "key"})) {
		if state := tag.attributes["data-state"]; state != "" {
			_, states[state] = tag.attributes["hidden"]
		}
	}
	for _, state := range []string{"on", "off", "blocked", "install", "unsupported"} {
		if hidden, ok := states[state]; !ok || !hidden {
			t.Errorf("state %q: there %t, hidden before the script knows %t", state, ok, hidden)
		}
	}
	if got := render(t, NotificationsPage{}); strings.Contains(got, "data-state") || !strings.Contains(got, "sends no notifications to browsers") {
		t.Error("without a key the page offers what the server cannot do")
	}
}

func TestNotifications_phonesHaveFormsOfTheirOwn(t *testing.T) {
	got := render(t, NotificationsPage{Phones: []Phone{{ID: "p1", Kind: "fcm"}, {ID: "p2", Kind: "email", Name: "Mail", Fault: "the mailbox is full"}}})
	for _, want := range []string{
		`action="/phone/phones/p1/test"`, `action="/phone/phones/p1/remove"`, `action="/phone/phones/p2/test"`, `action="/phone/phones/p2/remove"`,
		"<bdi>App</bdi>", "<bdi>Mail</bdi>", "Not reached yet.", "<bdi>the mailbox is full</bdi>",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("page lacks %q", want)
		}
	}
}

func TestNotifications_muteSaysUntilWhenAndWhatStillWorks(t *testing.T) {
	const want = "12:00 UTC</time>. QR codes and the list of waiting requests still work."
	if got := render(t, NotificationsPage{MutedUntil: noon}); !strings.Contains(got, want) {
		t.Errorf("page lacks %q", want)
	}
	if got := render(t, NotificationsPage{}); strings.Contains(got, "declined") {
		t.Error("page speaks of a mute where there is none")
	}
}

func TestHome_offersPushOnlyWhereTheServerHasIt(t *testing.T) {
	if got := render(t, HomePage{}); strings.Contains(got, `id="push"`) {
		t.Error("home offers push without a key")
	}
	if got := render(t, HomePage{PushKey: "key"}); !strings.Contains(got, `data-key="key" data-user="" hidden`) {
		t.Error("the offer is not there, or not hidden until a script has looked")
	}
}
