package demo

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/nod-auth/nod/cmd/nod/demo/acme"
	"github.com/nod-auth/nod/web"
)

// errQuit ends the demo without being a failure.
var errQuit = errors.New("quit")

// play tells the story: the stage, then a first sign-in by a device in
// software, then, when somebody is there, whatever the pages ask.
func (h *household) play(ctx context.Context, o Options) error {
	say := func(format string, args ...any) { fmt.Fprintf(o.Story, format+"\n", args...) }
	say("\nnod: a new device waits, a phone decides with a passkey, the device has its JWT\n")
	say("  1  The server is at %s, its data in a temporary folder.", h.nod.URL())
	link, err := h.invitation(ctx)
	if err != nil {
		return err
	}
	if err := h.phone.enrol(ctx, link); err != nil {
		return err
	}
	if err := h.phone.subscribe(ctx, h.service); err != nil {
		return err
	}
	say("  2  A phone has enrolled as %s: it opened an invitation, made a passkey and turned on notifications.", person)
	say("  3  %s is at %s.", "Acme TV", h.appURL)
	tv, err := newDevice(h.appURL, h.nod.URL(), h.page.ID, person)
	if err != nil {
		return err
	}
	c, err := tv.start(ctx)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	waited, stopWaiting := context.WithCancel(ctx)
	defer stopWaiting()
	go func() { ended <- tv.wait(waited, c) }() // ends with waited, and is received below or buffered
	s := &scene{household: h, o: o, say: say, first: ended}
	if o.Keys == nil {
		return s.alone(ctx)
	}
	return s.withSomebody(ctx)
}

// scene is the state of the story.
type scene struct {
	*household
	o      Options
	say    func(string, ...any)
	first  chan error // how the device's own wait ended
	latest *question  // what the phone looks at; nil: nothing
	since  time.Time  // when the phone last decided
}

// question is a request on the phone's screen.
type question struct {
	ref    ref
	number string // to be typed before it can be approved; "": none is asked for
}

// alone approves by itself and ends with the claims.
func (s *scene) alone(ctx context.Context) error {
	if err := s.show(ctx, <-s.asked); err != nil {
		return err
	}
	if err := s.decide(ctx, 'a'); err != nil {
		return err
	}
	if err := <-s.first; err != nil {
		return err
	}
	return s.welcome(<-s.signedIn)
}

// withSomebody lets keys decide, and keeps the pages open until q.
func (s *scene) withSomebody(ctx context.Context) error {
	link, err := s.invitation(ctx)
	if err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case c := <-s.asked:
			err = s.show(ctx, c)
			s.say("\n     Press a to approve, d to decline, q to quit.\n")
		case key := <-s.o.Keys:
			err = s.decide(ctx, key)
		case claims := <-s.signedIn:
			if err = s.welcome(claims); err == nil {
				s.say("\n     The pages stay open. Open %s for another try;", s.appURL)
				s.say("     to be the phone yourself, open %s\n     in a browser that has passkeys. q quits.\n", link)
			}
		case end := <-s.first:
			if s.first = nil; end != nil {
				s.say("     The television hears: %v. Nothing was shared.", end)
				s.say("\n     Open %s for another try; q quits.\n", s.appURL)
			}
		}
		if err != nil {
			return err
		}
	}
}

// show shows what the television shows, and then what the phone does: it is woken
// by a push prompt or, where there is none, scans.
func (s *scene) show(ctx context.Context, c acme.Code) error {
	qr, err := web.QRTerminal(c.ApprovalURL)
	if err != nil {
		return err
	}
	if s.o.Keys == nil { // a file or a pipe has no colours
		qr = colours.ReplaceAllString(qr, "")
	}
	s.say("\n     Acme TV shows   %s   and a QR code, and waits:\n\n%s\n     %s\n", grouped(c.Code), indent(qr), c.ApprovalURL)
	seen, err := s.reached(ctx, c)
	if err != nil {
		return err
	}
	s.latest = &question{ref: seen.Ref}
	s.say("     The phone asks its owner:")
	s.say("       Sign in on %s?", seen.Device)
	s.say("       app       %s (registered)", seen.App)
	s.say("       for       %s", seen.Username)
	s.say("       address   %s (as the app says)", seen.Address)
	s.say("       runs out  in %s", time.Until(seen.ExpiresAt).Round(time.Second))
	if seen.Match != "none" {
		s.latest.number = c.Code
		s.say("       number    the one on the television, to be typed")
	}
	return nil
}

// reached lets the question reach the phone, by push or by its camera.
func (s *scene) reached(ctx context.Context, c acme.Code) (card, error) {
	why := "No push prompt this time: one at a time, and few that nobody approves"
	if c.Push == "queued" {
		p, seen, err := s.phone.prompted(ctx, c.RequestID)
		if err == nil {
			s.say("  4  A push message wakes the phone, %d ms after the code was asked for: %d bytes that only this phone", p.At.Sub(c.Asked).Milliseconds(), p.Size)
			s.say("     can read. They say where to look, and hold no code and nothing to approve with.")
			return seen, nil
		}
		why = err.Error()
	}
	s.say("  4  %s. The phone scans the QR code.", why)
	return s.phone.look(ctx, scanned(c.ApprovalURL))
}

// grouped writes a code as the television does.
func grouped(code string) string { return code[:3] + " " + code[3:] }

// decide does what a key says with what the phone looks at.
func (s *scene) decide(ctx context.Context, key byte) error {
	const ctrlC = 3
	switch key {
	case 'q', 'Q', ctrlC:
		return errQuit
	case 'a', 'A', 'd', 'D':
	default:
		return nil
	}
	if s.latest == nil {
		s.say("     Nothing is waiting for the phone. Open %s.", s.appURL)
		return nil
	}
	asked := *s.latest
	s.latest, s.since = nil, time.Now()
	var err error
	switch {
	case key == 'd' || key == 'D':
		s.say("  5  The phone declines.")
		err = s.phone.decline(ctx, asked.ref)
	case asked.number != "":
		s.say("  5  Its owner types %s, and the phone approves: its passkey signs exactly this question.", grouped(asked.number))
		err = s.phone.approve(ctx, asked.ref, asked.number)
	default:
		s.say("  5  The phone approves: its passkey signs exactly this question.")
		err = s.phone.approve(ctx, asked.ref, "")
	}
	if err != nil && s.o.Keys != nil { // decided elsewhere, or run out: the story goes on
		s.say("     That did not work any more: %v", err)
		return nil
	}
	return err
}

// welcome shows what the application knows now.
func (s *scene) welcome(c acme.Claims) error {
	when := ""
	if !s.since.IsZero() {
		when = fmt.Sprintf(", %d ms after the decision began", time.Since(s.since).Milliseconds())
	}
	s.say("  6  Acme TV has its JWT%s. Verified through nod's published keys:\n", when)
	return tellClaims(s.o.Claims, c, s.o.Keys != nil)
}

var colours = regexp.MustCompile("\x1b\\[[0-9;]*m")

func indent(s string) string {
	return "     " + strings.ReplaceAll(strings.TrimSuffix(s, "\n"), "\n", "\n     ") + "\n"
}
