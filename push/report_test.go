package push

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/sqlstore/freshdb"
)

func TestTest_sentence_says_what_was_answered_and_what_to_do(t *testing.T) {
	inBubble(t, func(h *house) {
		for _, c := range []struct {
			token  string
			answer answer
			sent   bool
			want   string
		}{
			{"takes", takes, true, "took it"},
			{"gone", fails(ErrGone), false, "Remove it here"},
			{"busy", fails(errBusy), false, "it answered 503. This may pass"},
			{"later", fails(&RetryError{After: time.Minute, Err: errors.New("it answered 429")}), false, "tried again in 1m0s"},
			{"refuses", fails(errors.New("it answered 401: wrong key")), false, "It was refused: it answered 401: wrong key."},
			{"hangs", hangs, false, "no answer within 10s"},
		} {
			got, sent := h.push.Test(h.Context(), h.phone(h.ada, c.token, c.answer))
			if sent != c.sent || !strings.Contains(got, c.want) {
				h.Errorf("%s: got %q, %t; want %q, %t", c.token, got, sent, c.want, c.sent)
			}
			m := h.provider.to(c.token)
			if len(m) != 1 || m[0].Kind != Test || m[0].Path() != "/notifications" || m[0].Handle != "" {
				h.Errorf("%s: got %d messages, want one test", c.token, len(m))
			}
		}
		got, sent := h.push.Test(h.Context(), account.Phone{ID: "1", UserID: h.ada.ID, Kind: account.PhoneEmail})
		if sent || !strings.Contains(got, "no channel") {
			h.Errorf("mail: got %q, %t; want that there is no channel", got, sent)
		}
	})
}

func TestTest_without_a_phone_goes_to_the_channels_that_need_none(t *testing.T) {
	h := build(t, freshdb.File(t), Config{LogPrompts: true})
	defer h.file.Close()
	got, sent := h.push.Test(t.Context(), account.Phone{UserID: h.ada.ID})
	if !sent || !strings.Contains(h.log.String(), "https://nod.example/notifications") {
		t.Errorf("test: got %q, %t and the log %s; want the link in it", got, sent, h.log)
	}
}

func TestReport_channels_are_asked(t *testing.T) {
	var status atomic.Int64
	status.Store(http.StatusOK)
	_, c := receiver(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) })
	r := &relay{offers: []string{"relay.example", "AUTH PLAIN"}}
	c.SMTPURL, c.SMTPFrom = account.Secret("smtp://nod:pass@"+r.listen(t)), "nod@example.com"
	c.VAPID, c.LogPrompts = newTestVAPID(t), true
	h := build(t, freshdb.File(t), c)
	defer h.file.Close()
	defer h.push.close()
	for _, f := range h.push.Report(t.Context()) {
		if !f.OK || f.Says == "" || f.Do != "" {
			t.Errorf("%s: got %+v, want that all is well", f.Name, f)
		}
	}
	if letter, heard := r.got(); letter != "" || !strings.Contains(strings.Join(heard, " "), "AUTH") {
		t.Errorf("mail: got %q, want that nod signs in and sends nothing", heard)
	}
	status.Store(http.StatusInternalServerError)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	found := h.push.Report(ctx)
	for _, f := range found {
		if f.Name == webhookName && (f.OK || !strings.Contains(f.Says, "500") || f.Do == "") {
			t.Errorf("%s: got %+v, want what it answered and what to do", f.Name, f)
		}
	}
	if len(found) != 5 { // webpush, fcm (the test's provider), email, webhook, log
		t.Errorf("findings: got %d, want 5", len(found))
	}
}

func TestReport_nothing_configured_is_said(t *testing.T) {
	p, err := New(t.Context(), testConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Report(t.Context()); len(got) != 1 || got[0].OK || got[0].Do == "" {
		t.Errorf("report: got %+v, want that nobody is reached", got)
	}
}
