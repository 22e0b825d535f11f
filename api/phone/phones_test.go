package phone_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/api/phone"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

const androidChrome = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36"

// subscription is a browser's to one endpoint, as PushSubscription.toJSON gives it.
func subscription(endpoint string) map[string]any {
	return map[string]any{"endpoint": endpoint, "expirationTime": nil, "keys": map[string]any{"p256dh": "BA", "auth": "AA"}}
}

// register makes the handset's browser one that is told, and returns its id.
func (p *handset) register(endpoint string) string {
	p.t.Helper()
	body, err := json.Marshal(map[string]any{"kind": "webpush", "subscription": subscription(endpoint)})
	must(p.t, err)
	done := p.send(http.MethodPost, "/phone/phones", "application/json", string(body), "User-Agent", androidChrome).want(http.StatusOK)
	made, _ := done.member("phone").(map[string]any)
	id, _ := made["id"].(string)
	if id == "" {
		p.t.Fatalf("phone: got %s, want one with an id", done.text)
	}
	return id
}

// phones are the names of the owner's phones by id.
func (p *handset) phones() map[string]string {
	p.t.Helper()
	out := map[string]string{}
	list, _ := p.get("/phone/phones").want(http.StatusOK).member("phones").([]any)
	for _, one := range list {
		m := one.(map[string]any)
		out[m["id"].(string)] = m["name"].(string)
	}
	return out
}

func TestPhone_registered_isTestedAndRemoved(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	empty := p.get("/phone/phones").want(http.StatusOK)
	if got := empty.member("push_key"); got != apitest.PushKey {
		t.Errorf("push key: got %v, want the server's", got)
	}
	empty.wantText(`"phones":[]`, `"kinds":["webpush","fcm","email"]`).wantNoText("muted_until")
	for _, page := range []string{"/", "/notifications"} {
		p.get(page).want(http.StatusOK).wantText(apitest.PushKey)
	}

	id := p.register("https://push.example/1")
	if got, want := p.phones()[id], "Chrome Mobile on Pixel 8"; got != want {
		t.Errorf("name: got %q, want %q", got, want)
	}
	p.get("/notifications").want(http.StatusOK).wantText("Chrome Mobile on Pixel 8", id).wantNoText("push.example")

	path := "/phone/phones/" + id
	h.push.Answer(true, "The push service took it.")
	tested := p.call(path+"/test", map[string]any{}).want(http.StatusOK)
	if tested.member("sent") != true || tested.member("answer") != "The push service took it." {
		t.Errorf("test: got %s, want what the provider answered", tested.text)
	}
	p.form(path+"/test").want(http.StatusOK).wantText("The push service took it.", "Chrome Mobile on Pixel 8")
	h.push.Answer(false, "The push service does not know this browser any more.")
	if got := p.call(path+"/test", map[string]any{}).want(http.StatusOK).member("sent"); got != false {
		t.Errorf("sent: got %v, want false", got)
	}
	p.form(path + "/test").want(http.StatusOK).wantText("The push service does not know this browser any more.")
	if got := h.push.Tested(); !slices.Equal(got, []string{id, id, id, id}) {
		t.Errorf("tested: got %v, want %s four times", got, id)
	}

	p.form(path + "/remove").wantLocation("/notifications")
	p.form(path + "/remove").want(http.StatusNotFound)
	second := p.register("https://push.example/1")
	p.call("/phone/phones/"+second+"/remove", map[string]any{}).want(http.StatusNoContent)
	p.call("/phone/phones/"+second+"/remove", map[string]any{}).wantCode(http.StatusNotFound, "not_found")
	p.get("/activity").want(http.StatusOK).wantText("Notifications were switched on: Chrome Mobile on Pixel 8", "Notifications were switched off: Chrome Mobile on Pixel 8")
}

func TestPhone_registeredAgain_isTheSame(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	const times = 16 // a browser with as many tabs
	ids := make(chan reply, times)
	var tabs sync.WaitGroup
	for range times {
		tabs.Go(func() {
			body := `{"kind":"fcm","token":"token-1","name":"My app"}`
			r, err := p.try(context.Background(), http.MethodPost, "/phone/phones", "application/json", body)
			if err != nil {
				t.Error(err)
			}
			ids <- r
		})
	}
	tabs.Wait()
	for range times {
		(<-ids).want(http.StatusOK)
	}
	if got := p.phones(); len(got) != 1 {
		t.Errorf("phones: got %v, want one", got)
	}
}

func TestPhone_thatChangesHands_isTheNewOwners(t *testing.T) {
	h := newHouse(t)
	p, other := h.owner("ada"), h.owner("eve")
	p.register("https://push.example/1")
	other.register("https://push.example/1")
	if got := p.phones(); len(got) != 0 {
		t.Errorf("phones of the owner before: got %v, want none", got)
	}
	if got := other.phones(); len(got) != 1 {
		t.Errorf("phones of the new owner: got %v, want one", got)
	}
	p.get("/activity").want(http.StatusOK).wantText("Notifications were switched off")
}

func TestPhone_ofSomebodyElse_isAnsweredForLikeNone(t *testing.T) {
	h := newHouse(t)
	p, other := h.owner("ada"), h.owner("eve")
	id := p.register("https://push.example/1")
	const none = "00000000-0000-4000-8000-000000000000"
	for _, verb := range []string{"remove", "test"} {
		his := other.call("/phone/phones/"+id+"/"+verb, map[string]any{}).wantCode(http.StatusNotFound, "not_found")
		nobodys := other.call("/phone/phones/"+none+"/"+verb, map[string]any{}).wantCode(http.StatusNotFound, "not_found")
		if his.text != nobodys.text {
			t.Errorf("%s: got %s, want %s as for none", verb, his.text, nobodys.text)
		}
		other.form("/phone/phones/" + id + "/" + verb).want(http.StatusNotFound)
	}
	other.get("/notifications").want(http.StatusOK).wantNoText(id)
	if _, there := p.phones()[id]; !there || len(h.push.Tested()) != 0 {
		t.Errorf("phone: there %t, tests %v; want it as it was", there, h.push.Tested())
	}
}

func TestPhone_thatCannotBeUsed_isRefused(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	for name, c := range map[string]struct {
		body   any
		status int
		code   string
	}{
		"no kind":            {map[string]any{}, http.StatusUnprocessableEntity, "invalid"},
		"another kind":       {map[string]any{"kind": "pager"}, http.StatusUnprocessableEntity, "invalid"},
		"a mailbox":          {map[string]any{"kind": "email", "address": "eve@example.com"}, http.StatusForbidden, "forbidden"},
		"no subscription":    {map[string]any{"kind": "webpush", "token": "x"}, http.StatusUnprocessableEntity, "invalid"},
		"a null one":         {map[string]any{"kind": "webpush", "subscription": nil}, http.StatusUnprocessableEntity, "invalid"},
		"plain http":         {map[string]any{"kind": "webpush", "subscription": subscription("http://push.example/1")}, http.StatusUnprocessableEntity, "invalid"},
		"no token":           {map[string]any{"kind": "fcm", "subscription": subscription("https://push.example/1")}, http.StatusUnprocessableEntity, "invalid"},
		"token as a number":  {map[string]any{"kind": "fcm", "token": 7}, http.StatusBadRequest, "request_validation_error"},
		"name that deceives": {map[string]any{"kind": "fcm", "token": "x", "name": "a\u202eb"}, http.StatusUnprocessableEntity, "invalid"},
		"name too long":      {map[string]any{"kind": "fcm", "token": "x", "name": strings.Repeat("x", 65)}, http.StatusUnprocessableEntity, "invalid"},
	} {
		got := p.call("/phone/phones", c.body)
		if got.status != c.status || got.member("code") != c.code {
			t.Errorf("%s: got %d %s, want %d %s", name, got.status, got.text, c.status, c.code)
		}
	}
	for i := range account.MaxPhones {
		p.register(fmt.Sprint("https://push.example/", i))
	}
	p.call("/phone/phones", map[string]any{"kind": "fcm", "token": "one more"}).wantCode(http.StatusConflict, "too_many_phones")
	p.register("https://push.example/0") // again is not one more
}

func TestPhone_tests_arePacedByOwner(t *testing.T) {
	h := newHouse(t)
	p, other := h.owner("ada"), h.owner("eve")
	path := "/phone/phones/" + p.register("https://push.example/1") + "/test"
	h.push.Answer(true, "Taken.")
	for range 5 {
		p.call(path, map[string]any{}).want(http.StatusOK)
	}
	limited := p.call(path, map[string]any{}).wantCode(http.StatusTooManyRequests, "too_many_requests")
	if limited.header.Get("Retry-After") == "" {
		t.Error("Retry-After: got none")
	}
	other.call("/phone/phones/"+other.register("https://push.example/2")+"/test", map[string]any{}).want(http.StatusOK)
}

func TestNotifications_afterTwoDeclines_areMuted(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	p.register("https://push.example/1")
	for range 2 {
		p.call("/phone/requests/decline", map[string]any{"ref": scanned(h.ask(h.client, p.user, approval.Long))}).want(http.StatusOK)
	}
	text, _ := p.get("/phone/phones").want(http.StatusOK).member("muted_until").(string)
	until, err := time.Parse(time.RFC3339, text)
	must(t, err)
	if left := time.Until(until); left > approval.MuteFor || left < approval.MuteFor-time.Minute {
		t.Errorf("muted for %s, want %s", left, approval.MuteFor)
	}
	p.get("/notifications").want(http.StatusOK).wantText(until.UTC().Format("2006-01-02T15:04"))
	h.clock.advance(approval.MuteFor)
	p.get("/phone/phones").want(http.StatusOK).wantNoText("muted_until")
}

func TestWorkerAndOfflinePage_needNobody(t *testing.T) {
	h := newHouse(t)
	h.owner("ada").get("/offline").want(http.StatusOK).wantNoText("ada")
	worker := h.handset().get("/sw.js").want(http.StatusOK)
	for name, want := range map[string]string{"Content-Type": "text/javascript; charset=utf-8", "Cache-Control": "no-cache"} {
		if got := worker.header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	h.handset().get("/sw.js", "If-None-Match", worker.header.Get("ETag")).want(http.StatusNotModified)
}

func TestPush_thatThisServerHasNot_isNotOffered(t *testing.T) {
	h := newHouse(t)
	p := h.owner("ada")
	id := p.register("https://push.example/1") // when there still was push
	bare := h.config
	bare.Push = nil
	engine := gin.New()
	must(t, phone.Mount(engine, bare))
	ask := func(method, path, body string) reply {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.AddCookie(p.browser.Jar.Cookies(parsed(t, h.url))[0])
		w := httptest.NewRecorder()
		engine.ServeHTTP(w, r)
		return reply{t: t, status: w.Code, header: w.Header(), text: w.Body.String()}
	}
	ask(http.MethodGet, "/phone/phones", "").want(http.StatusOK).wantText(`"push_key":""`, `"kinds":[]`, id)
	ask(http.MethodGet, "/notifications", "").want(http.StatusOK).wantNoText(apitest.PushKey)
	test := ask(http.MethodPost, "/phone/phones/"+id+"/test", `{}`).want(http.StatusOK).wantText("This server sends no notifications")
	if test.member("sent") != false {
		t.Errorf("sent: got %v, want false", test.member("sent"))
	}
}
