package soak

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// manner is how a receiver of webhooks treats what it is sent.
type manner string

const (
	well      manner = "takes it"
	fails     manner = "answers 500"
	hangs     manner = "never answers"
	redirects manner = "redirects"
	closes    manner = "closes the connection"
	down      manner = "is down"
)

// manners come by turns, each beside another fault.
var manners = []manner{fails, well, hangs, well, redirects, closes, down, well}

const (
	// mostHanging leaves every node hands for what else there is: it has 8 for one
	// receiver (package push).
	mostHanging = 6
	// elsewhere is where the receiver redirects to, and nobody may come.
	elsewhere = "/elsewhere"
	// signedWithin is how far the time of a message may be from this machine's, which
	// is PostgreSQL's too: less than the 300 s by which nodes' clocks are wrong.
	signedWithin = time.Minute
)

// receiver is a backend that webhooks tell what happens.
type receiver struct {
	t       *testing.T
	address string          // host:port, the same through all its lives
	server  *http.Server    // of its last life
	served  <-chan struct{} // closed when that is over

	mu      sync.Mutex
	is      manner
	secrets []secret // oldest first
	told    map[string]telling
	hanging int
	cutOff  int // hung until its sender gave up, or died
	untaken map[manner]int
	faults  []string
}

// secret is one that signs messages, and when it was known to.
type secret struct {
	*webhooks.Webhook
	since time.Time
}

// telling is an event that was told.
type telling struct {
	body         []byte
	calls, taken int // taken were answered with 200
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{t: t, address: freeAddress(t), is: down, told: make(map[string]telling), untaken: make(map[manner]int)}
	r.be(well)
	t.Cleanup(func() { r.be(down) })
	return r
}

// be changes its manner. Only the test's own goroutine may.
func (r *receiver) be(how manner) {
	r.mu.Lock()
	was := r.is
	r.is = how
	r.mu.Unlock()
	switch {
	case how == down && was != down:
		_ = r.server.Close() // what is under way is cut off
		<-r.served
	case how != down && was == down:
		r.open()
	}
}

func (r *receiver) open() {
	l, err := net.Listen("tcp", r.address)
	if err != nil {
		r.t.Errorf("receiver of webhooks: %v", err)
		return
	}
	server, served := &http.Server{Handler: r, ReadHeaderTimeout: patience}, make(chan struct{})
	r.server, r.served = server, served
	go func() { // until it is down
		defer close(served)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			r.t.Errorf("receiver of webhooks: %v", err)
		}
	}()
}

// ServeHTTP implements http.Handler.
func (r *receiver) ServeHTTP(w http.ResponseWriter, call *http.Request) {
	body, err := io.ReadAll(call.Body)
	if err != nil {
		return // its sender is gone
	}
	switch r.hears(call, body) {
	case fails:
		w.WriteHeader(http.StatusInternalServerError)
	case redirects:
		http.Redirect(w, call, elsewhere, http.StatusTemporaryRedirect)
	case closes:
		panic(http.ErrAbortHandler)
	case hangs:
		<-call.Context().Done()
		r.mu.Lock()
		defer r.mu.Unlock()
		r.hanging--
		r.cutOff++
	}
}

// hears writes a call down and says how it is treated.
func (r *receiver) hears(call *http.Request, body []byte) manner {
	r.mu.Lock()
	defer r.mu.Unlock()
	if call.URL.Path == elsewhere {
		r.wrong("a redirect was followed")
	}
	if err := r.verify(call.Header, body); err != nil {
		r.wrong("a message that is not rightly signed: %v: %s", err, body)
		return fails
	}
	id := call.Header.Get(webhooks.HeaderWebhookID)
	as := r.told[id]
	if as.calls++; as.calls > 1 && !bytes.Equal(as.body, body) {
		r.wrong("event %s came with another body: %s, before %s", id, body, as.body)
	}
	as.body = body
	how := r.is
	switch {
	case how == hangs && r.hanging >= mostHanging:
		how = well
	case how == hangs:
		r.hanging++
	}
	if how == well {
		as.taken++
	} else {
		r.untaken[how]++
	}
	r.told[id] = as
	return how
}

// knows adds a secret.
func (r *receiver) knows(text string) {
	v, err := webhooks.NewWebhook(text)
	if err != nil {
		r.t.Errorf("secret of the webhook: %v", err)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secrets = append(r.secrets, secret{v, time.Now()})
}

// verify judges signature and time. A message that was begun after a secret was known
// must be signed with that; before, or at the same moment, the one before will do.
func (r *receiver) verify(h http.Header, body []byte) error {
	seconds, err := strconv.ParseInt(h.Get(webhooks.HeaderWebhookTimestamp), 10, 64)
	if err != nil {
		return err
	}
	at := time.Unix(seconds, 0)
	if off := time.Since(at).Abs(); off > signedWithin {
		return fmt.Errorf("its time is %s off", off)
	}
	err = errors.New("no secret is known")
	for i := len(r.secrets) - 1; i >= 0; i-- {
		s := r.secrets[i]
		if err = s.Verify(body, h); err == nil || at.After(s.since.Add(readingError)) {
			break
		}
	}
	return err
}

func (r *receiver) wrong(format string, args ...any) {
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}

// heard is what it was told so far, and what was wrong with the calls themselves.
func (r *receiver) heard() (told map[string]telling, faults []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.told), slices.Clone(r.faults)
}

// cameAgain counts what was taken after it had been refused.
func (r *receiver) cameAgain() (n int) {
	told, _ := r.heard()
	for _, as := range told {
		if as.taken > 0 && as.calls > as.taken {
			n++
		}
	}
	return n
}

// awaitHanging returns when somebody waits for an answer that does not come, and
// awaitMet when a manner was met at all. That it is down only its senders see.
func (r *receiver) awaitHanging() {
	r.t.Helper()
	r.await("a webhook is under way", func() bool { return r.hanging > 0 })
}

func (r *receiver) awaitMet(how manner) {
	r.t.Helper()
	r.await("a webhook met a receiver that "+string(how), func() bool { return how == well || how == down || r.untaken[how] > 0 })
}

func (r *receiver) await(what string, done func() bool) {
	r.t.Helper()
	eventually(r.t, patience, what, func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if !done() {
			return errors.New("not yet")
		}
		return nil
	})
}

// rest lets go of the connections that nodes keep.
func (r *receiver) rest() { r.server.SetKeepAlivesEnabled(false) }

// announcement is the body of a message.
type announcement struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      struct {
		RequestID string `json:"request_id"`
		Version   int64  `json:"version"`
		State     string `json:"state"`
		ClientID  string `json:"client_id"`
		UserID    string `json:"user_id"`
		PasskeyID string `json:"passkey_id"`
		DeviceID  string `json:"device_id"`
	} `json:"data"`
}

func (a telling) read() (out announcement, err error) {
	err = json.Unmarshal(a.body, &out)
	return out, err
}
