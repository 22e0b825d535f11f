package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// hookReceiver takes webhooks, or leaves them hanging until it is awake.
type hookReceiver struct {
	*httptest.Server
	verify *webhooks.Webhook

	mu    sync.Mutex
	awake bool
	hung  int
	took  map[string][]string // types by the request they are about
	wrong int                 // signatures
}

func newHookReceiver(t *testing.T) *hookReceiver {
	r := &hookReceiver{took: make(map[string][]string)}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *hookReceiver) ServeHTTP(_ http.ResponseWriter, call *http.Request) {
	body, _ := io.ReadAll(call.Body)
	r.mu.Lock()
	if !r.awake {
		r.hung++
		r.mu.Unlock()
		<-call.Context().Done()
		return
	}
	defer r.mu.Unlock()
	if r.verify.Verify(body, call.Header) != nil {
		r.wrong++
		return
	}
	var event struct {
		Type string
		Data struct {
			RequestID string `json:"request_id"`
		}
	}
	if json.Unmarshal(body, &event) == nil && !slices.Contains(r.took[event.Data.RequestID], event.Type) {
		r.took[event.Data.RequestID] = append(r.took[event.Data.RequestID], event.Type)
	}
}

func (r *hookReceiver) with(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

// awaits returns when done says so, under the receiver's lock.
func (r *hookReceiver) awaits(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(2 * patience)
	for so := false; !so; {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%s: not after %s; took %v", what, 2*patience, r.took)
		}
		r.with(func() { so = done() })
	}
}

// Events that were committed when the server was killed arrive after its restart:
// those that nobody had begun to deliver, and those that were on their way. So do
// those of what the command line does.
func TestWebhook_loses_nothing_through_crashes(t *testing.T) {
	t.Parallel()
	dir, receiver := t.TempDir(), newHookReceiver(t)
	serve := func() *process { t.Helper(); return serveIn(t, dir, "--push-allow-networks", "127.0.0.0/8") }
	var user struct{ ID string }
	cli(t, dir, &user, "user", "create", "--username", "zoe")
	var hook struct{ ID, Secret string }
	cli(t, dir, &hook, "webhook", "add", "--url", receiver.URL+"/nod", "--push-allow-networks", "127.0.0.0/8")
	verify, err := webhooks.NewWebhook(hook.Secret)
	if err != nil {
		t.Fatal(err)
	}
	receiver.verify = verify
	server := serve()
	app := newBackend(t, dir, server.url)

	const rounds, each = 3, 10
	for range rounds {
		for range each {
			app.generate(t, "zoe")
		}
		receiver.awaits(t, "some are on their way", func() bool { return receiver.hung > 0 })
		if err := server.cmd.Process.Kill(); err != nil { // SIGKILL
			t.Fatal(err)
		}
		if err := server.wait(); err == nil {
			t.Fatal("the server survived SIGKILL")
		}
		receiver.with(func() { receiver.hung = 0 })
		server = serve()
		app.url = server.url
	}
	receiver.with(func() { receiver.awake = true })
	receiver.awaits(t, "every request was told of", func() bool { return len(receiver.took) == rounds*each })

	cli(t, dir, &user, "user", "deactivate", "--username", "zoe")
	receiver.awaits(t, "every request was told of again", func() bool {
		for _, types := range receiver.took {
			if !slices.Contains(types, "request.requested") || !slices.Contains(types, "request.canceled") {
				return false
			}
		}
		return true
	})
	receiver.with(func() {
		if receiver.wrong != 0 {
			t.Errorf("%d messages were not signed with the webhook's secret", receiver.wrong)
		}
	})
	var log []struct{ State string }
	cli(t, dir, &log, "webhook", "deliveries", "--id", hook.ID, "--limit", "1000")
	if len(log) != 2*rounds*each {
		t.Errorf("log: got %d lines, want %d", len(log), 2*rounds*each)
	}
}
