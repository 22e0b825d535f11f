package push

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/sqlstore/freshdb"
	"github.com/nod-auth/nod/push/egress"
)

func TestAnswers_private_address_is_refused_and_not_tried_again(t *testing.T) {
	to := newBackend(t, status(http.StatusNoContent))
	h := build(t, freshdb.File(t), Config{})
	defer h.file.Close()
	defer h.runs()()
	for _, url := range []string{to.URL, strings.Replace(to.URL, "http:", "https:", 1), "https://10.0.0.1/"} {
		b := h.asks(approval.AnswerPing, url)
		h.approve(b)
		if got := h.answered(b); got != approval.DeliveryFailed {
			t.Errorf("%s: got %s, want %s", url, got, approval.DeliveryFailed)
		}
	}
	if got := len(to.heard()); got != 0 {
		t.Errorf("calls: got %d, want 0", got)
	}
	if got := strings.Count(h.log.String(), egress.ErrRefused.Error()); got != 3 {
		t.Errorf("log: got %d refusals, want 3, each once", got)
	}
}

func TestAnswers_death_between_commit_and_delivery_loses_nothing(t *testing.T) {
	path := freshdb.File(t)
	to := newBackend(t, status(http.StatusNoContent))
	h := tellingAt(t, path) // its deliverer never runs
	b := h.asks(approval.AnswerPing, to.URL)
	h.approve(b)
	h.file.Close()

	again := tellingAt(t, path)
	defer again.file.Close()
	defer again.runs()()
	if got := again.answered(b); got != approval.DeliverySent || len(to.heard()) != 1 {
		t.Errorf("delivery: got %s, %d calls; want %s, one", got, len(to.heard()), approval.DeliverySent)
	}
}

func TestAnswers_stop_hands_back_what_was_under_way(t *testing.T) {
	h := telling(t)
	hung := make(chan struct{})
	to := newBackend(t, func(w http.ResponseWriter, r *http.Request, n int) {
		if n == 1 {
			close(hung)
			<-r.Context().Done()
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	stop := h.runs()
	b := h.asks(approval.AnswerPing, to.URL)
	h.approve(b)
	<-hung
	stop()
	defer h.runs()()
	if got := h.answered(b); got != approval.DeliverySent || len(to.heard()) != 2 {
		t.Errorf("delivery: got %s, %d calls; want %s, two", got, len(to.heard()), approval.DeliverySent)
	}
}

func TestAnswers_sealed_shows_nothing_and_opens_here_alone(t *testing.T) {
	h, to := telling(t), newBackend(t, status(http.StatusBadRequest))
	b := h.asks(approval.AnswerPing, to.URL+"/secret-path")
	r, err := h.file.Find(t.Context(), approval.Key{ID: b.Request.ID})
	h.must(err)
	for _, secret := range []string{answerToken, "secret-path", string(approval.AnswerPing)} {
		if bytes.Contains(r.AnswerTo, []byte(secret)) {
			t.Errorf("at rest: contains %q", secret)
		}
	}
	got, err := h.push.servers.open(r.AnswerTo)
	want := approval.AnswerTo{Protocol: approval.AnswerPing, URL: to.URL + "/secret-path", Token: answerToken}
	if err != nil || got != want {
		t.Errorf("open: got %s %s, %v; want what was sealed", got.Protocol, got.URL, err)
	}
	phone, err := h.push.book.seal("phone-1", account.Secret(`{"protocol":"ciba-ping"}`))
	h.must(err)
	if _, err := h.push.servers.open(phone); err == nil {
		t.Error("open a phone's address: got nil, want an error")
	}
	r.AnswerTo[len(r.AnswerTo)-1] ^= 1
	if _, err := h.push.servers.open(r.AnswerTo); err == nil {
		t.Error("open what was changed: got nil, want an error")
	}

	defer h.runs()()
	h.approve(b)
	h.answered(b)
	for _, secret := range []string{answerToken, "secret-path", b.Code.Reveal()} {
		if strings.Contains(h.log.String(), secret) {
			t.Errorf("log: contains %q:\n%s", secret, h.log)
		}
	}
}

func TestAnswers_check_says_what_cannot_be_called(t *testing.T) {
	strict := build(t, freshdb.File(t), Config{})
	defer strict.file.Close()
	loopback := telling(t)
	for _, c := range []struct {
		house *house
		url   string
		ok    bool
	}{
		{strict, "https://app.example/ping", true}, {strict, "https://app.example:8443/ping?a=b", true}, {strict, "https://8.8.8.8/", true},
		{strict, "http://app.example/ping", false}, {strict, "http://localhost:3000/", false}, {strict, "https://127.0.0.1/", false},
		{strict, "https://[::1]/", false}, {strict, "https://[::ffff:10.0.0.1]/", false}, {strict, "https://a:b@app.example/", false},
		{strict, "ftp://app.example/", false}, {strict, "/ping", false}, {strict, "https://", false}, {strict, "%", false},
		{loopback, "http://localhost:3000/", true}, {loopback, "http://127.0.0.1:3000/", true},
		{loopback, "https://10.0.0.1/", false},
	} {
		err := c.house.push.Answers().Check(t.Context(), c.url)
		if c.ok != (err == nil) || err != nil && !errors.Is(err, approval.ErrInvalid) {
			t.Errorf("%q, loopback allowed %t: got %v, want ok %t", c.url, c.house == loopback, err, c.ok)
		}
	}
}
