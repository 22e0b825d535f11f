package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nod-auth/nod/cmd/nod/demo/acme"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience ends a test that has got stuck.
const patience = 30 * time.Second

func TestDemo_wakes_the_phone_and_types_the_number(t *testing.T) {
	var story, claims bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := Run(ctx, Options{Listen: anyPort, AppListen: anyPort, Story: &story, Claims: &claims}); err != nil {
		t.Fatalf("%v\n%s", err, &story)
	}
	for _, want := range []string{
		"turned on notifications", "a QR code, and waits", "A push message wakes the phone", "the one on the television, to be typed",
		"Its owner types ", "Acme TV has its JWT",
	} {
		if !strings.Contains(story.String(), want) {
			t.Errorf("the story lacks %q:\n%s", want, &story)
		}
	}
	var c acme.Claims
	if err := json.Unmarshal(claims.Bytes(), &c); err != nil || c["udata"] != person {
		t.Errorf("claims: got %s, %v; want %s's", &claims, err, person)
	}
}

// stage is a demo that somebody plays with.
type stage struct {
	t     *testing.T
	keys  chan byte
	mu    sync.Mutex
	told  strings.Builder
	heard chan struct{} // signalled after each line
}

func (s *stage) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told.Write(p)
	select {
	case s.heard <- struct{}{}:
	default:
	}
	return len(p), nil
}

// hears waits until the story says something, and forgets it up to there.
func (s *stage) hears(text string) {
	s.t.Helper()
	late := time.After(patience)
	for {
		s.mu.Lock()
		story := s.told.String()
		_, after, found := strings.Cut(story, text)
		if found {
			s.told.Reset()
			s.told.WriteString(after)
		}
		s.mu.Unlock()
		if found {
			return
		}
		select {
		case <-s.heard:
		case <-late:
			s.t.Fatalf("the story does not say %q:\n%s", text, story)
		}
	}
}

// newStage plays until the test ends, with the household that takes part.
func newStage(t *testing.T) (*stage, *household) {
	t.Helper()
	s := &stage{t: t, keys: make(chan byte), heard: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	o := Options{Listen: anyPort, AppListen: anyPort, Keys: s.keys, Story: s, Claims: io.Discard}
	h, err := build(ctx, t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- h.perform(ctx, o) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the demo ended with %v", err)
		}
	})
	return s, h
}

func TestDemo_goes_on_when_there_are_no_prompts_any_more(t *testing.T) {
	s, h := newStage(t)
	s.hears("A push message wakes the phone")
	s.hears("Press a to approve")
	tv, err := newDevice(h.appURL, h.nod.URL(), h.page.ID, person)
	if err != nil {
		t.Fatal(err)
	}
	defer tv.http.CloseIdleConnections()
	again := func(how string) {
		t.Helper()
		if _, err := tv.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.hears(how)
		s.hears("Press a to approve")
	}
	decide := func(key byte, says string) {
		t.Helper()
		s.keys <- key
		s.hears(says)
		s.keys <- ' ' // is taken when the decision has been made
	}
	decide('d', "The phone declines.")
	again("A push message wakes the phone")
	decide('d', "The phone declines.") // the second no mutes push
	for range 5 {
		again("The phone scans the QR code.")
	}
	decide('a', "The phone approves: ") // which ends the mute
	again("A push message wakes the phone")
	decide('a', "Its owner types ")
}
