package push

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	netmail "net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval/account"
)

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// relay is a mail server on loopback that answers each command as it is told, and
// otherwise agrees. An answer of "-" is none.
type relay struct {
	answers  map[string]string // by the command's first word
	offers   []string          // to EHLO
	identity *tls.Config       // with which it encrypts from the first byte; nil: never

	mu     sync.Mutex
	letter string
	heard  []string
}

// listen returns where it is; it ends with the test.
func (r *relay) listen(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	if r.identity != nil {
		l = tls.NewListener(l, r.identity)
	}
	ctx, stop := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				defer context.AfterFunc(ctx, func() { conn.Close() })()
				r.serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		stop()
		l.Close()
		serving.Wait()
	})
	return at
}

func (r *relay) serve(conn net.Conn) {
	in := bufio.NewScanner(conn)
	say := func(word, usual string) {
		if text, told := r.answers[word]; told {
			usual = text
		}
		if usual != "-" {
			fmt.Fprint(conn, usual+"\r\n")
		}
	}
	say("", "220 relay.example")
	for in.Scan() {
		word, _, _ := strings.Cut(strings.ToUpper(in.Text()), " ")
		r.note(in.Text())
		switch word {
		case "EHLO":
			for _, offer := range r.offers {
				fmt.Fprint(conn, "250-"+offer+"\r\n")
			}
			say(word, "250 relay.example")
		case "AUTH":
			say(word, "235 2.7.0 welcome")
		case "DATA":
			say(word, "354 go on")
			r.read(in)
			say(".", "250 2.0.0 taken")
		case "QUIT":
			say(word, "221 bye")
			return
		default:
			say(word, "250 2.1.0 fine")
		}
	}
}

func (r *relay) read(in *bufio.Scanner) {
	var letter strings.Builder
	for in.Scan() && in.Text() != "." {
		letter.WriteString(in.Text() + "\r\n")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.letter = letter.String()
}

func (r *relay) note(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard = append(r.heard, line)
}

func (r *relay) got() (letter string, heard []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.letter, r.heard
}

var toAda = Message{
	ID: "0192-message", Kind: Prompt, Handle: "handle-4711", At: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
	Target: "ada@example.org",
}

func TestMail_letter_has_the_words_and_the_link(t *testing.T) {
	r := &relay{}
	m := testMailer(t, "smtp://"+r.listen(t), "Acme sign-in <nod@example.com>")
	if err := m.Send(t.Context(), toAda); err != nil {
		t.Fatal(err)
	}
	text, heard := r.got()
	letter, err := netmail.ReadMessage(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"From": `"Acme sign-in" <nod@example.com>`, "To": "<ada@example.org>", "Subject": "nod: a request waits for your answer",
		"Message-ID": "<0192-message@example.com>", "Date": "Sun, 01 Mar 2026 12:00:00 +0000",
		"Auto-Submitted": "auto-generated", "X-Entity-Ref-ID": "0192-message", "References": "", "In-Reply-To": "",
	} {
		if got := letter.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	for _, want := range []string{"A request waits for your answer. Open to see it.", "https://nod.example/a/handle-4711\r\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("letter: got\n%s\nwant %q in it", text, want)
		}
	}
	if !strings.HasPrefix(heard[len(heard)-1], "QUIT") {
		t.Errorf("commands: got %q, want QUIT at the end", heard)
	}
}

func TestMail_answers_mean_what_they_should(t *testing.T) {
	for _, c := range []struct {
		word, answer string
		retry        bool
		says         string // "": it was taken
	}{
		{"RCPT", "451 4.7.1 <ada@example.org>: greylisted", true, "451"},
		{"RCPT", "550 5.1.1 <ada@example.org>: unknown", false, "550"},
		{"RCPT", "452 4.2.2 <ada@example.org>: full", true, "452"},
		{"MAIL", "553 5.7.1 not yours", false, "553"},
		{"DATA", "421 4.3.2 closing", true, "421"},
		{".", "554 5.7.1 <ada@example.org>: spam", false, "554"},
		{".", "450 4.2.0 later", true, "450"},
		{"AUTH", "535 5.7.8 wrong for user nod with password secret-4711", false, "535"},
		{"AUTH", "454 4.7.0 not now", true, "454"},
		{"", "554 no", false, "554"},
		{"", "421 later", true, "421"},
		{"RSET", "500 what", false, ""},
		{"QUIT", "500 what", false, ""},
	} {
		r := &relay{answers: map[string]string{c.word: c.answer}, offers: []string{"relay.example", "AUTH PLAIN", "ENHANCEDSTATUSCODES"}}
		err := testMailer(t, "smtp://nod:secret-4711@"+r.listen(t), "nod@example.com").Send(t.Context(), toAda)
		_, again := errors.AsType[*RetryError](err)
		switch {
		case (err == nil) != (c.says == ""), again != c.retry:
			t.Errorf("%s %s: got %v, want retry %t", c.word, c.answer, err, c.retry)
		case err == nil:
		case !strings.Contains(err.Error(), c.says):
			t.Errorf("%s %s: got %v, want %s in it", c.word, c.answer, err, c.says)
		case strings.Contains(err.Error(), "ada"), strings.Contains(err.Error(), "secret"):
			t.Errorf("%s %s: got %v, want no address and no password", c.word, c.answer, err)
		}
	}
}

func TestMail_silence_ends_with_the_attempt(t *testing.T) {
	for _, word := range []string{"", "EHLO", "MAIL", "RCPT", "DATA", "."} {
		r := &relay{answers: map[string]string{word: "-"}}
		m := testMailer(t, "smtp://"+r.listen(t), "nod@example.com")
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		began := time.Now()
		err := m.Send(ctx, toAda)
		cancel()
		if _, again := errors.AsType[*RetryError](err); !again || time.Since(began) > 5*time.Second {
			t.Errorf("silent after %q: got %v after %s, want a retry at once", word, err, time.Since(began))
		}
	}
}

func TestMail_relay_is_signed_in_to_under_encryption_alone(t *testing.T) {
	certified := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate, which names example.com
	defer certified.Close()
	trusted := certified.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	offers := []string{"relay.example", "AUTH PLAIN"}
	for _, c := range []struct {
		name, scheme string
		relay        *relay
		trust        *x509.CertPool
		says         string // "": it was taken
	}{
		{"smtps", "smtps", &relay{offers: offers, identity: certified.TLS}, trusted, ""},
		{"smtps, nobody vouches for it", "smtps", &relay{offers: offers, identity: certified.TLS}, x509.NewCertPool(), "certificate"},
		{"smtps, and it speaks in the clear", "smtps", &relay{offers: offers}, trusted, "mail server"},
		{"smtp, and it does not encrypt", "smtp", &relay{offers: offers}, trusted, "STARTTLS"},
		{"smtp, and it says that it does", "smtp", &relay{offers: append(offers, "STARTTLS")}, trusted, "mail server"},
	} {
		address := c.relay.listen(t)
		m := testMailer(t, c.scheme+"://nod:secret-4711@example.com", "nod@example.com")
		m.connect = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}
		if m.implicit != nil {
			m.implicit.RootCAs = c.trust
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		err := m.Send(ctx, toAda)
		cancel()
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.says)
		}
		letter, heard := c.relay.got()
		if signed := strings.Contains(strings.Join(heard, " "), "AUTH"); signed != (err == nil) || (letter != "") != (err == nil) {
			t.Errorf("%s: heard %q and the letter %q, want both if and only if it was taken", c.name, heard, letter)
		}
	}
}

func testMailer(t *testing.T, address, from string) *mailer {
	t.Helper()
	m, err := newMailer(account.Secret(address), from, "https://nod.example")
	if err != nil {
		t.Fatal(err)
	}
	return m
}
