package web

import (
	"strings"
	"testing"
	"time"
)

func TestLocalPath_onlyPathsOfThisOriginPass(t *testing.T) {
	for next, want := range map[string]string{
		"/": "/", "/a/x": "/a/x", "/r/1?y=2": "/r/1?y=2",
		"": "/", "a": "/", "//evil.example": "/", "///evil.example": "/", `/\evil.example`: "/", "/\t/evil.example": "/", "/a\nb": "/",
		"https://evil.example/": "/", "javascript:alert(1)": "/", "/%zz": "/",
	} {
		if got := LocalPath(next); got != want {
			t.Errorf("LocalPath(%q) = %q, want %q", next, got, want)
		}
	}
}

func TestAgo_wordsFollowTheTimePassed(t *testing.T) {
	for passed, want := range map[time.Duration]string{
		-time.Second: "just now", 9 * time.Second: "just now", 10 * time.Second: "10 seconds ago", 59 * time.Second: "59 seconds ago",
		time.Minute: "1 minute ago", 2 * time.Minute: "2 minutes ago", 59 * time.Minute: "59 minutes ago", time.Hour: "1 Mar 2026, 11:00 UTC",
	} {
		if got := ago(noon.Add(-passed), noon); got != want {
			t.Errorf("ago(%v before now) = %q, want %q", passed, got, want)
		}
	}
	if got, want := ago(noon, time.Time{}), "1 Mar 2026, 12:00 UTC"; got != want {
		t.Errorf("ago without a now = %q, want %q", got, want)
	}
}

func TestLeft_countsDownToZero(t *testing.T) {
	for remaining, want := range map[time.Duration]string{
		103 * time.Second: "1:43 left", 5 * time.Second: "0:05 left", 0: "0:00 left", -time.Minute: "0:00 left",
	} {
		if got := left(noon.Add(remaining), noon); got != want {
			t.Errorf("left(%v) = %q, want %q", remaining, got, want)
		}
	}
}

func TestGroupDigits_sixDigitsStandByThree(t *testing.T) {
	for number, want := range map[string]string{"482913": "482 913", "48": "48", "": "", "48291x": "48291x", "1234567": "1234567"} {
		if got := groupDigits(number); got != want {
			t.Errorf("groupDigits(%q) = %q, want %q", number, got, want)
		}
	}
}

func TestVerdictOf_unknownStateReadsAsClosed(t *testing.T) {
	for _, state := range []string{"approved", "redeemed", "denied", "expired", "canceled", "lapsed"} {
		if got := verdictOf(state, false); got != verdicts[state] {
			t.Errorf("verdictOf(%q) = %+v", state, got)
		}
	}
	if got, want := verdictOf("?", true).Heading, "This request is closed"; got != want {
		t.Errorf("heading of an unknown state = %q, want %q", got, want)
	}
}

func TestVerdictOf_whereABackendAsked_speaksOfNoDevice(t *testing.T) {
	for state, usual := range verdicts {
		got := verdictOf(state, true)
		if got.Heading != usual.Heading || got.Text == "" || strings.Contains(got.Text, "device") {
			t.Errorf("verdictOf(%q) for a backend = %+v, want the same heading and no device", state, got)
		}
	}
}
