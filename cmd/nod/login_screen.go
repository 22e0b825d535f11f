package main

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/nod-auth/nod/api/client"
	"github.com/nod-auth/nod/web"
)

// screen is what the person in front of the new device sees. In a terminal its last
// line counts down in place; elsewhere everything is said once.
type screen struct {
	w    io.Writer
	size func() (columns, rows int) // zeros: no terminal

	mu      sync.Mutex // over what follows, and over writing
	expires time.Time  // zero: no code is out
	opened  bool       // on a phone
	hiccup  bool       // the server is out of reach
	line    bool       // the last line is the countdown

	stop    chan struct{} // closed: the countdown ends
	counter sync.WaitGroup
}

func newScreen(w io.Writer, size func() (columns, rows int)) *screen {
	return &screen{w: w, size: size, stop: make(chan struct{})}
}

// terminal says whether there is one.
func (s *screen) terminal() bool { columns, _ := s.size(); return columns > 0 }

// prompt shows what to do, and starts the countdown.
func (s *screen) prompt(p client.Prompt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expires = p.Expires
	columns, rows := s.size()
	fmt.Fprint(s.w, instructions(p, columns, rows))
	s.tell(waitingWords + " " + s.left())
	if columns > 0 {
		s.counter.Go(s.count)
	}
}

// instructions are the three steps, with everything that fits.
func instructions(p client.Prompt, columns, rows int) string {
	var out strings.Builder
	place, code := printable(p.VerificationURI), printable(p.UserCode)
	out.WriteByte('\n')
	if qr := fittingQR(p.VerificationURIComplete, columns, rows); qr != "" {
		fmt.Fprintf(&out, "  Scan this with your phone:\n\n%s\n  Or:\n\n", qr)
	}
	fmt.Fprintf(&out, "  1. On your phone, open  %s\n", place)
	fmt.Fprintf(&out, "  2. Type the code        %s\n", code)
	if large := largeLetters(code); large != "" && widest(large)+5 <= columns {
		fmt.Fprintf(&out, "\n%s\n", margin(large, "     "))
	}
	out.WriteString("  3. Look at what is asked, and approve it there.\n")
	out.WriteString("     Only if you started this yourself, just now.\n\n")
	return out.String()
}

// fittingQR is the link as a QR code, "" when there is none or no room for it. One
// that cannot be seen whole is no use to a camera.
func fittingQR(link string, columns, rows int) string {
	const around = 2 // lines that may still be on the screen with it
	if link == "" || columns == 0 {
		return ""
	}
	qr, err := web.QRTerminal(link)
	if err != nil || widest(qr)+2 > columns || strings.Count(qr, "\n")+around > rows {
		return ""
	}
	return margin(qr, "  ")
}

var colourCode = regexp.MustCompile("\x1b\\[[0-9;]*m")

// widest is how many columns a text of lines takes.
func widest(text string) (columns int) {
	for line := range strings.Lines(colourCode.ReplaceAllString(text, "")) {
		columns = max(columns, utf8.RuneCountInString(strings.TrimRight(line, "\n")))
	}
	return columns
}

// margin puts each line of a text at a distance from the edge.
func margin(text, by string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString(by + line)
	}
	return out.String()
}

// progress tells how the wait goes on.
func (s *screen) progress(p client.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch p.Event {
	case client.Opened:
		s.opened = true
		s.tell(openedWords)
	case client.Interrupted:
		s.hiccup = true
		s.tell(hiccupWords)
	case client.Resumed:
		s.hiccup = false
		s.tell("Connected again, still waiting.")
	case client.Withdrawn:
		s.wipe()
		if p.Err == nil {
			s.tellLine("Canceled. The code is no longer good.")
			return
		}
		s.tellLine("Canceled. The server could not be told, so the code runs out by itself: " + s.left() + ".")
	}
}

const (
	waitingWords = "Waiting for your phone…"
	openedWords  = "Opened on a phone. Finish there."
	hiccupWords  = "Connection hiccup, still waiting. Your code is still good."
)

// tell says where the wait stands. In a terminal that is the countdown's line.
func (s *screen) tell(words string) {
	if s.terminal() {
		s.draw()
		return
	}
	s.tellLine(words)
}

func (s *screen) tellLine(words string) { fmt.Fprintln(s.w, words) }

// draw writes the countdown over itself.
func (s *screen) draw() {
	words := waitingWords
	switch {
	case s.hiccup:
		words = hiccupWords
	case s.opened:
		words = openedWords
	}
	columns, _ := s.size()
	words += " " + s.left()
	if short := []rune(words); len(short) >= columns && columns > 0 { // a line that wraps cannot be taken back
		words = s.left()
	}
	fmt.Fprint(s.w, "\r\x1b[K", words)
	s.line = true
}

// wipe takes the countdown away, for something that stays.
func (s *screen) wipe() {
	if s.line {
		fmt.Fprint(s.w, "\r\x1b[K")
	}
	s.line = false
}

// left is how long the code lives.
func (s *screen) left() string {
	d := max(0, time.Until(s.expires)+time.Second-1).Truncate(time.Second) // the first is the whole life
	return fmt.Sprintf("%d:%02d left", d/time.Minute, d%time.Minute/time.Second)
}

// count draws the countdown each second until close.
func (s *screen) count() {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-second.C:
		}
		s.mu.Lock()
		if s.line {
			s.draw()
		}
		s.mu.Unlock()
	}
}

// close ends the countdown. What is said from then on stays.
func (s *screen) close() {
	close(s.stop)
	s.counter.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipe()
}

// say says how it has ended.
func (s *screen) say(words string) { s.tellLine(words) }

// signedIn says as whom.
func (s *screen) signedIn(token *client.Token) {
	if token.ApprovedBy == "" {
		s.say("Signed in.")
		return
	}
	s.say("Signed in as " + printable(token.ApprovedBy) + ".")
}

// printable is a text of somebody else's without what could drive a terminal or turn
// the text around.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}
