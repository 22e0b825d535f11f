package native_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// generate makes a long code for Ada; more is added to the body.
func generate(app *apitest.App, more M) apitest.Reply {
	app.Helper()
	body := M{"username": "ada", "purpose": "temporary_authentication"}
	for k, v := range more {
		body[k] = v
	}
	return app.Post("/codes/long/generate", account.CodesGenerate, body).Want(http.StatusOK)
}

// state asks where the request of generate's answer stands, since a version.
func state(r apitest.Reply, since int64) Call {
	r.Helper()
	return Call{
		Path:   fmt.Sprintf("/requests/%s/state?since=%d", r.S("request_id"), since),
		Header: map[string]string{"Authorization": "Code " + r.S("code")},
	}
}

func TestGenerate_promptsWhereItIsAskedToOrTheClientWas(t *testing.T) {
	h := open(t)
	quiet, loud := h.NewApp(account.Client{}), h.NewApp(account.Client{Notify: true})
	for i, c := range []struct {
		app  *apitest.App
		more M
		want string
	}{
		{quiet, M{}, "none"},
		{quiet, M{"notify": nil}, "none"},
		{quiet, M{"notify": false}, "none"},
		{quiet, M{"notify": true}, "queued"},
		{loud, M{}, "queued"},
		{loud, M{"notify": nil}, "queued"},
		{loud, M{"notify": true}, "queued"},
		{loud, M{"notify": false}, "none"},
		{loud, M{"authorize": true}, "none"}, // there is nothing to ask
	} {
		name := fmt.Sprint("ada", i) // each has one live prompt
		h.NewUser(name)
		registered(c.app, name, name)
		c.more["username"] = name
		before := h.Reach.Told()
		r := generate(c.app, c.more)
		if got := r.S("push"); got != c.want {
			t.Errorf("%d: notify %v: got push %s, want %s", i, c.more["notify"], got, c.want)
		}
		if told := h.Reach.Told() > before; told != (c.want == "queued") && c.more["authorize"] == nil {
			t.Errorf("%d: told to deliver: got %t", i, told)
		}
		if got := h.Do(state(r, 0)).Want(http.StatusOK).S("push"); got != c.want {
			t.Errorf("%d: got state's push %s, want %s", i, got, c.want)
		}
	}
}

func TestGenerate_withoutAPhonePromptsNobody(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	h.NewUser("ada")
	if got := generate(app, M{"notify": true}).S("push"); got != "none" {
		t.Errorf("got push %s, want none", got)
	}
}

func TestState_tellsHowFarThePromptGot(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	for name, c := range map[string]struct {
		outcome approval.Outcome
		want    string
	}{
		"taken":             {approval.Outcome{State: approval.DeliverySent}, "sent"},
		"refused":           {approval.Outcome{State: approval.DeliveryFailed}, "failed"},
		"to be tried again": {approval.Outcome{State: approval.DeliveryQueued, Next: time.Now().Add(time.Minute)}, "queued"},
	} {
		h.NewUser(name)
		registered(app, name, name)
		r := generate(app, M{"username": name, "notify": true})
		claimed, err := h.Store.Claim(t.Context(), approval.TopicPrompt, 10, time.Minute)
		must(app, err)
		if len(claimed) != 1 || claimed[0].Key != r.S("request_id") {
			t.Fatalf("%s: got %v to deliver, want the prompt of %s", name, claimed, r.S("request_id"))
		}
		must(app, h.Store.Settle(t.Context(), claimed[0], c.outcome))
		if got := h.Do(state(r, 0)).Want(http.StatusOK).S("push"); got != c.want {
			t.Errorf("%s: got push %s, want %s", name, got, c.want)
		}
	}
}

func TestState_tellsOfASecondOpener(t *testing.T) {
	h := open(t)
	app, u := h.NewApp(account.Client{}), h.NewUser("ada")
	r := generate(app, nil)
	ref := approval.Ref{Way: approval.Listed, Secret: account.Secret(r.S("request_id"))}
	_, err := h.Service.Opened(t.Context(), ref, approval.Viewer{User: u, Phone: "one"})
	must(app, err)
	if got := h.Do(state(r, 0)).Want(http.StatusOK).JSON["opened_elsewhere"]; got != nil {
		t.Errorf("opened on one phone: got opened_elsewhere %v, want none", got)
	}
	held := h.Held(state(r, 2))
	_, err = h.Service.Opened(t.Context(), ref, approval.Viewer{User: u, Phone: "another"})
	must(app, err)
	if got := h.Answer(held).Want(http.StatusOK).JSON["opened_elsewhere"]; got != true {
		t.Errorf("opened on two phones: got opened_elsewhere %v, want true", got)
	}
}

// qr is what a page shows that follows a request.
type qr struct {
	State   string
	Version int64
	URL     string    `json:"approval_url"`
	Until   time.Time `json:"approval_url_expires_at"`
}

func TestState_drawsARotatingQRCodeAnew(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{RotateQR: true})
	h.NewUser("ada")
	r := generate(app, nil)
	var first, second, late qr
	r.Into(&first)
	h.Do(state(r, 0)).Want(http.StatusOK).Into(&second)
	if second.URL != first.URL || !second.Until.Equal(first.Until) || first.Until.IsZero() {
		t.Errorf("at once: got %+v, want the QR code of generate %+v", second, first)
	}
	h.advance(time.Until(first.Until) - time.Second)
	began := time.Now()
	h.Do(state(r, second.Version)).Want(http.StatusOK).Into(&late)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("held for %s, want it to end with the QR code", took)
	}
	if late.State != "pending" || late.URL == first.URL || !late.Until.Equal(first.Until.Add(approval.RotateEvery)) {
		t.Errorf("after the first QR code: got %+v, want another until %s", late, first.Until.Add(approval.RotateEvery))
	}
	app.Post("/codes/long/invalidate-all", account.CodesInvalidate, M{"username": "ada", "purpose": "temporary_authentication"}).Want(http.StatusOK)
	if over := h.Do(state(r, 0)).Want(http.StatusOK); over.JSON["approval_url"] != nil {
		t.Errorf("taken back: got %s, want no QR code", over.Text)
	}
}

func TestGenerate_withoutRotation_namesNoEndOfTheURL(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	h.NewUser("ada")
	r := generate(app, nil)
	if s := h.Do(state(r, 0)).Want(http.StatusOK); strings.Contains(r.Text+s.Text, "approval_url_expires_at") || s.JSON["approval_url"] != nil {
		t.Errorf("got %s and %s, want a URL that stays", r.Text, s.Text)
	}
}
