package push

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/sqlstore/freshdb"
)

const answerToken = "8d67dc78-7faa-4d41-aabd-67707b374255"

// backend is a server that wants to be told: a real one on loopback. It answers the
// n-th call, the first being 1, by a script.
type backend struct {
	*httptest.Server
	mu    sync.Mutex
	calls []heard
}

type heard struct {
	method, path, contentType, authorization, body string
}

func newBackend(t *testing.T, answers func(w http.ResponseWriter, r *http.Request, n int)) *backend {
	t.Helper()
	b := &backend{}
	b.Server = httptest.NewServer(b.handler(answers))
	t.Cleanup(b.Close)
	return b
}

func (b *backend) handler(answers func(w http.ResponseWriter, r *http.Request, n int)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		b.mu.Lock()
		b.calls = append(b.calls, heard{
			r.Method, r.URL.Path, r.Header.Get("Content-Type"), r.Header.Get("Authorization"), string(body),
		})
		n := len(b.calls)
		b.mu.Unlock()
		answers(w, r, n)
	})
}

func (b *backend) heard() []heard {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]heard(nil), b.calls...)
}

func status(code int) func(http.ResponseWriter, *http.Request, int) {
	return func(w http.ResponseWriter, _ *http.Request, _ int) { w.WriteHeader(code) }
}

// telling is a house that may call loopback and whose pauses are short.
func telling(t *testing.T) *house {
	t.Helper()
	h := tellingAt(t, freshdb.File(t))
	t.Cleanup(func() { h.file.Close() })
	return h
}

func tellingAt(t *testing.T, path string) *house {
	t.Helper()
	h := build(t, path, Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	h.push.answers.backoff = make([]time.Duration, 20)
	for i := range h.push.answers.backoff {
		h.push.answers.backoff[i] = 10 * time.Millisecond
	}
	return h
}

// asks begins a request whose asker wants to be told.
func (h *house) asks(protocol approval.AnswerProtocol, url string, change ...func(*approval.Ask)) approval.Begun {
	h.Helper()
	sealed, err := h.push.Answers().Seal(approval.AnswerTo{Protocol: protocol, URL: url, Token: answerToken})
	h.must(err)
	a := approval.Ask{
		Face: "ciba", Client: h.app, User: h.ada, Purpose: approval.SignIn, Kind: approval.PollCode, AnswerTo: sealed,
	}
	for _, f := range change {
		f(&a)
	}
	b, err := h.core.Begin(h.Context(), a)
	h.must(err)
	return b
}

func (h *house) approve(b approval.Begun) {
	h.Helper()
	_, err := h.core.Authorize(h.Context(), approval.Target{
		NamespaceID: h.app.NamespaceID, UserID: h.ada.ID, Kind: approval.PollCode, Purpose: approval.SignIn,
	}, b.Code, h.app)
	h.must(err)
}

func (h *house) cancel(b approval.Begun) {
	h.Helper()
	h.must(h.core.Cancel(h.Context(), h.holder(b), approval.SignIn))
}

func (h *house) holder(b approval.Begun) approval.Holder {
	return approval.Holder{Face: "ciba", Client: h.app, UserID: h.ada.ID, Kind: approval.PollCode, Code: b.Code}
}

// answered waits until nothing more will be told of a request and returns how that
// ended.
func (h *house) answered(b approval.Begun) (d approval.Delivery) {
	h.Helper()
	h.until("the answer has come to rest", func() bool {
		next, err := h.file.NextDue(h.Context(), approval.TopicAnswer)
		h.must(err)
		d, err = h.file.Delivery(h.Context(), approval.TopicAnswer, b.Request.ID)
		h.must(err)
		return next.IsZero() && d != approval.DeliveryNone
	})
	return d
}

func TestAnswers_ping_arrives_at_once_and_says_only_which(t *testing.T) {
	h, to := telling(t), newBackend(t, status(http.StatusNoContent))
	defer h.runs()()
	b := h.asks(approval.AnswerPing, to.URL+"/ping")
	began := time.Now()
	h.approve(b)
	if got := h.answered(b); got != approval.DeliverySent {
		t.Errorf("delivery: got %s, want %s", got, approval.DeliverySent)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %s, want less than a second", took)
	}
	want := heard{
		"POST", "/ping", "application/json", "Bearer " + answerToken,
		fmt.Sprintf(`{"auth_req_id":%q}`, b.Code.Reveal()),
	}
	if got := to.heard(); len(got) != 1 || got[0] != want {
		t.Errorf("ping: got %+v, want %+v, once", got, want)
	}
}

func TestAnswers_keycloak_hears_the_verdict(t *testing.T) {
	for _, c := range []struct {
		ends string
		end  func(*house, approval.Begun)
		want string
	}{
		{"approved", (*house).approve, "SUCCEED"},
		{"denied", (*house).decline, "UNAUTHORIZED"},
		{"canceled", (*house).cancel, "CANCELLED"},
		{"expired", (*house).runOut, "CANCELLED"},
	} {
		h, to := telling(t), newBackend(t, status(http.StatusOK))
		stop := h.runs()
		b := h.asks(approval.AnswerKeycloak, to.URL, func(a *approval.Ask) {
			if c.ends == "expired" {
				a.Life = time.Millisecond
			}
		})
		c.end(h, b)
		delivery := h.answered(b)
		stop()
		want := heard{"POST", "/", "application/json", "Bearer " + answerToken, `{"status":"` + c.want + `"}`}
		if got := to.heard(); len(got) != 1 || got[0] != want || delivery != approval.DeliverySent {
			t.Errorf("%s: got %+v, %s; want %+v, once and %s", c.ends, got, delivery, want, approval.DeliverySent)
		}
	}
}

// runOut lets the core see that a request's time is over.
func (h *house) runOut(b approval.Begun) {
	h.Helper()
	h.until("the request has expired", func() bool {
		_, err := h.core.Collect(h.Context(), h.holder(b), approval.SignIn, 0)
		return errors.Is(err, approval.ErrExpired)
	})
}

func TestKeycloakStatus_only_what_may_still_be_collected_is_a_yes(t *testing.T) {
	for state, want := range map[approval.State]string{
		approval.Approved: "SUCCEED", approval.Redeemed: "SUCCEED", approval.Denied: "UNAUTHORIZED",
		approval.Canceled: "CANCELLED", approval.Expired: "CANCELLED", approval.Lapsed: "CANCELLED",
	} {
		if got := keycloakStatus(state); got != want {
			t.Errorf("%s: got %s, want %s", state, got, want)
		}
	}
}

func TestAnswers_what_was_taken_back_meanwhile_is_never_told_as_a_yes(t *testing.T) {
	h, to := telling(t), newBackend(t, status(http.StatusOK))
	b := h.asks(approval.AnswerKeycloak, to.URL)
	h.approve(b)
	h.cancel(b)
	defer h.runs()()
	h.answered(b)
	for _, got := range to.heard() {
		if got.body != `{"status":"CANCELLED"}` {
			t.Errorf("told: got %s, want CANCELLED", got.body)
		}
	}
	if got := len(to.heard()); got == 0 {
		t.Error("told: got nothing, want CANCELLED")
	}
}

func TestAnswers_server_that_is_down_for_a_while_is_told_in_the_end(t *testing.T) {
	h, to := telling(t), &backend{}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	h.must(err)
	address := listener.Addr().String()
	h.must(listener.Close())
	defer h.runs()()
	b := h.asks(approval.AnswerPing, "http://"+address)
	h.decline(b)
	h.until("it was tried in vain", func() bool { return strings.Count(h.log.String(), "answer retry") > 1 })
	listener, err = new(net.ListenConfig).Listen(t.Context(), "tcp", address)
	h.must(err)
	to.Server = &httptest.Server{Listener: listener, Config: &http.Server{Handler: to.handler(status(http.StatusNoContent))}}
	to.Start()
	defer to.Close()
	if got := h.answered(b); got != approval.DeliverySent || len(to.heard()) != 1 {
		t.Errorf("delivery: got %s, %d calls; want %s, one", got, len(to.heard()), approval.DeliverySent)
	}
}

func TestAnswers_statuses_mean_what_they_should(t *testing.T) {
	for _, c := range []struct {
		status int
		tries  int
		want   approval.Delivery
	}{
		{204, 1, approval.DeliverySent}, {200, 1, approval.DeliverySent}, {202, 1, approval.DeliverySent},
		{500, 2, approval.DeliverySent}, {502, 2, approval.DeliverySent}, {503, 2, approval.DeliverySent},
		{408, 2, approval.DeliverySent}, {425, 2, approval.DeliverySent}, {429, 2, approval.DeliverySent},
		{401, 1, approval.DeliveryFailed}, {400, 1, approval.DeliveryFailed}, {403, 1, approval.DeliveryFailed},
		{404, 1, approval.DeliveryFailed}, {410, 1, approval.DeliveryFailed},
		{301, 1, approval.DeliveryFailed}, {302, 1, approval.DeliveryFailed}, {307, 1, approval.DeliveryFailed},
	} {
		h := telling(t)
		elsewhere := newBackend(t, status(http.StatusNoContent))
		to := newBackend(t, func(w http.ResponseWriter, _ *http.Request, n int) {
			if n > 1 {
				w.WriteHeader(http.StatusNoContent)
				return
			}
			w.Header().Set("Location", elsewhere.URL)
			w.WriteHeader(c.status)
			if c.status != http.StatusNoContent {
				fmt.Fprint(w, `{"a":"body"}`)
			}
		})
		stop := h.runs()
		b := h.asks(approval.AnswerPing, to.URL)
		h.approve(b)
		got := h.answered(b)
		stop()
		if got != c.want || len(to.heard()) != c.tries {
			t.Errorf("%d: got %s after %d tries, want %s after %d", c.status, got, len(to.heard()), c.want, c.tries)
		}
		if got := len(elsewhere.heard()); got != 0 {
			t.Errorf("%d: got %d calls elsewhere, want the redirect not followed", c.status, got)
		}
	}
}

func TestAnswers_server_that_stays_away_is_given_up(t *testing.T) {
	h, to := telling(t), newBackend(t, status(http.StatusInternalServerError))
	h.push.answers.backoff = h.push.answers.backoff[:2]
	defer h.runs()()
	b := h.asks(approval.AnswerPing, to.URL)
	h.approve(b)
	if got := h.answered(b); got != approval.DeliveryFailed || len(to.heard()) != 3 {
		t.Errorf("delivery: got %s after %d tries, want %s after 3", got, len(to.heard()), approval.DeliveryFailed)
	}
}

func TestAnswers_hang_is_cut_and_delays_no_other(t *testing.T) {
	h := telling(t)
	h.push.servers.client.Timeout = 500 * time.Millisecond
	hung := make(chan struct{}, 20)
	stuck := newBackend(t, func(_ http.ResponseWriter, r *http.Request, _ int) {
		hung <- struct{}{}
		<-r.Context().Done()
	})
	to := newBackend(t, status(http.StatusNoContent))
	defer h.runs()()
	first := h.asks(approval.AnswerPing, stuck.URL)
	h.approve(first)
	<-hung
	second := h.asks(approval.AnswerPing, to.URL)
	h.approve(second)
	h.until("the other is told", func() bool { return len(to.heard()) == 1 })
	if got := len(stuck.heard()); got != 1 {
		t.Errorf("the server that hangs: got %d calls by then, want 1", got)
	}
	<-hung // it was cut, and is tried again
	if !strings.Contains(h.log.String(), "no answer within") {
		t.Errorf("log: got\n%s\nwant that there was no answer in time", h.log)
	}
}
