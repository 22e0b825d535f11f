package native_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// webhookCall is a call about the webhooks of the client's namespace; "" adds one.
func webhookCall(app *apitest.App, verb string, body M) apitest.Reply {
	app.Helper()
	path := "/webhooks"
	if verb != "" {
		path += "/" + verb
	}
	return app.Do(Call{Path: path, Body: withClient(app, body), Token: app.Token(account.WebhooksManage)})
}

func addedWebhook(app *apitest.App, events ...string) (id string) {
	app.Helper()
	return webhookCall(app, "", M{"url": "https://backend.example/nod?key=1", "events": events}).Want(http.StatusOK).S("webhook.id")
}

func ofWebhook(id string, more M) M {
	body := M{"webhook": M{"id": id}}
	for k, v := range more {
		body[k] = v
	}
	return body
}

type deliveryList struct {
	Deliveries []struct {
		EventID  string `json:"event_id"`
		Type     string
		State    string
		Attempts int
		Answer   string
		Data     map[string]any
	}
	NextCursor string `json:"next_cursor"`
}

// happened makes n requests, each an event.
func happened(app *apitest.App, n int) {
	app.Helper()
	for range n {
		app.Do(Call{Path: "/codes/long/generate", Token: app.Token(account.CodesGenerate),
			Body: withClient(app, M{"username": "ada", "purpose": "temporary_authentication"})}).Want(http.StatusOK)
	}
}

func TestWebhooks_areAddedListedRotatedAndRemoved(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	added := webhookCall(app, "", M{"url": "https://backend.example/nod?key=1", "events": []string{"request.denied", "request.approved"}}).Want(http.StatusOK)
	id, secret := added.S("webhook.id"), added.S("secret")
	var list struct {
		Webhooks []struct {
			ID             string
			Events         []string
			OldSecretUntil time.Time `json:"old_secret_until"`
		}
	}
	listed := webhookCall(app, "list", M{}).Want(http.StatusOK)
	listed.Into(&list)
	if len(list.Webhooks) != 1 || list.Webhooks[0].ID != id || len(list.Webhooks[0].Events) != 2 || strings.Contains(listed.Text, "whsec_") {
		t.Errorf("list: got %s, want the one, and no secret", listed.Text)
	}
	rotated := webhookCall(app, "rotate", ofWebhook(strings.ToUpper(id), M{"grace_seconds": 60})).Want(http.StatusOK)
	if next := rotated.S("secret"); next == secret || !strings.HasPrefix(next, "whsec_") || rotated.S("webhook.old_secret_until") == "" {
		t.Errorf("rotated: got %s, want another secret and until when the old one is good", rotated.Text)
	}
	w, err := h.Directory.WebhookOf(context.Background(), "", id)
	must(app, err)
	_, err = h.Directory.DisableWebhook(context.Background(), w, "answered 410, Gone")
	must(app, err)
	if got := webhookCall(app, "list", M{}).Want(http.StatusOK).Text; !strings.Contains(got, `"disabled":"answered 410, Gone"`) {
		t.Errorf("list of a disabled one: got %s, want why", got)
	}
	webhookCall(app, "replay", ofWebhook(id, M{"failed": true})).Want(http.StatusConflict, "webhook_disabled")
	webhookCall(app, "enable", ofWebhook(id, nil)).Want(http.StatusOK)
	if got := webhookCall(app, "remove", ofWebhook(id, nil)).Want(http.StatusOK).S("webhook.id"); got != id {
		t.Errorf("removed: got %s, want %s", got, id)
	}
	for _, verb := range []string{"remove", "enable", "rotate", "deliveries"} {
		webhookCall(app, verb, ofWebhook(id, nil)).Want(http.StatusNotFound, "webhook_not_found")
	}
}

func TestWebhooks_deliveriesAreReadAndReplayed(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	h.NewUser("ada")
	id := addedWebhook(app)
	happened(app, 3)
	read := func(more M) (list deliveryList) {
		t.Helper()
		webhookCall(app, "deliveries", ofWebhook(id, more)).Want(http.StatusOK).Into(&list)
		return list
	}
	all := read(nil).Deliveries
	if len(all) != 3 || all[0].Type != "request.requested" || all[0].State != "queued" || all[0].Data["username"] != "ada" {
		t.Fatalf("deliveries: got %+v, want three that are queued", all)
	}
	first := read(M{"limit": 2})
	rest := read(M{"limit": 2, "cursor": first.NextCursor})
	if len(first.Deliveries) != 2 || len(rest.Deliveries) != 1 || rest.Deliveries[0].EventID != all[2].EventID || rest.NextCursor != "" {
		t.Errorf("in two parts: got %d and %d, want two and the oldest", len(first.Deliveries), len(rest.Deliveries))
	}
	queue := h.Store.(approval.HookQueue)
	ms, err := queue.ClaimHook(context.Background(), id, 3, time.Hour)
	must(app, err)
	for i, o := range []approval.Outcome{{State: approval.DeliverySent, Note: "answered 200"}, {State: approval.DeliveryFailed, Note: "answered 500"}} {
		must(app, h.Store.Settle(context.Background(), ms[i], o))
	}
	failed := read(M{"failed": true}).Deliveries
	if len(failed) != 1 || failed[0].Answer != "answered 500" || failed[0].Attempts != 1 {
		t.Errorf("failed: got %+v, want the one that was answered with 500", failed)
	}
	for _, c := range []struct {
		what string
		body M
		want float64
	}{
		{"failed", M{"failed": true}, 1}, {"none is left", M{"failed": true, "since": time.Now().Add(time.Hour)}, 0},
		{"one event", M{"event_id": all[0].EventID}, 1}, {"another's", M{"event_id": "00000000-0000-4000-8000-000000000000"}, 0},
		{"since an hour", M{"since": time.Now().Add(-time.Hour)}, 3},
	} {
		if got := webhookCall(app, "replay", ofWebhook(id, c.body)).Want(http.StatusOK).JSON["replayed"]; got != c.want {
			t.Errorf("replay %s: got %v, want %v", c.what, got, c.want)
		}
	}
	for _, d := range read(nil).Deliveries {
		if d.State != "queued" || d.Attempts != 0 {
			t.Errorf("after a replay: got %s after %d attempts, want queued after none", d.State, d.Attempts)
		}
	}
}

func TestWebhooks_ofAnotherNamespaceAreAnsweredForLikeNone(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	foreign := h.NewApp(account.Client{NamespaceID: h.Namespace("elsewhere").ID})
	id := addedWebhook(app)
	for _, verb := range []string{"deliveries", "rotate", "enable", "remove"} {
		other := webhookCall(foreign, verb, ofWebhook(id, nil)).Want(http.StatusNotFound, "webhook_not_found")
		none := webhookCall(foreign, verb, ofWebhook("00000000-0000-4000-8000-000000000000", nil)).Want(http.StatusNotFound, "webhook_not_found")
		if other.Text != none.Text {
			t.Errorf("%s: got %s, want %s as for none", verb, other.Text, none.Text)
		}
	}
	if got := webhookCall(foreign, "list", M{}).Want(http.StatusOK).Text; strings.Contains(got, id) {
		t.Errorf("list: got %s, want none of another namespace", got)
	}
}

func TestWebhooks_needTheirScope(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{Scopes: []account.Scope{account.PhonesRegister}})
	for _, verb := range []string{"", "/list", "/deliveries", "/replay", "/rotate", "/enable", "/remove"} {
		body := withClient(app, ofWebhook("00000000-0000-4000-8000-000000000000", M{"url": "https://backend.example"}))
		h.Do(Call{Path: "/webhooks" + verb, Body: body}).Want(http.StatusUnauthorized, "unauthorized")
		h.Do(Call{Path: "/webhooks" + verb, Body: body, Token: app.Token(account.PhonesRegister)}).Want(http.StatusForbidden, "forbidden")
		h.Do(Call{Path: "/webhooks" + verb, Body: body, Token: app.Token(account.WebhooksManage)}).Want(http.StatusForbidden, "forbidden")
	}
}

func TestWebhooks_thatCannotBeAreRefused(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	id := addedWebhook(app)
	for what, c := range map[string]struct {
		verb string
		body M
		code string
	}{
		"no url":              {"", M{}, "missing_parameter"},
		"plain http":          {"", M{"url": "http://backend.example"}, "request_validation_error"},
		"event there is not":  {"", M{"url": "https://backend.example", "events": []string{hunter}}, "request_validation_error"},
		"no webhook":          {"rotate", M{}, "missing_parameter"},
		"no id of one":        {"remove", ofWebhook("a b", nil), "request_validation_error"},
		"negative grace":      {"rotate", ofWebhook(id, M{"grace_seconds": -1}), "request_validation_error"},
		"endless grace":       {"rotate", ofWebhook(id, M{"grace_seconds": 1 << 40}), "request_validation_error"},
		"replay of all":       {"replay", ofWebhook(id, nil), "missing_parameter"},
		"large page":          {"deliveries", ofWebhook(id, M{"limit": 501}), "request_validation_error"},
		"cursor of one's own": {"deliveries", ofWebhook(id, M{"cursor": hunter}), "request_validation_error"},
		"event that is none":  {"deliveries", ofWebhook(id, M{"event_id": "a b"}), "request_validation_error"},
	} {
		discreet(t, what, webhookCall(app, c.verb, c.body).Want(http.StatusBadRequest, c.code))
	}
	for range account.MaxWebhooks - 1 {
		addedWebhook(app)
	}
	webhookCall(app, "", M{"url": "https://backend.example"}).Want(http.StatusConflict, "too_many_webhooks")
}
