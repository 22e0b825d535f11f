package phone_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nod-auth/nod/approval"
)

// FuzzCalls sends any body to the calls of somebody signed in: no answer is an
// internal error, and each is one of the document's.
func FuzzCalls(f *testing.F) {
	paths := []string{
		"/phone/requests/inspect", "/phone/requests/follow", "/phone/requests/opened", "/phone/requests/approve/options",
		"/phone/requests/approve", "/phone/requests/decline", "/phone/phones", "/phone/phones/PHONE/test",
	}
	for _, seed := range []string{
		``, `{}`, `null`, `[]`, `{"ref":{"way":"scanned","secret":"HANDLE"},"since":7}`, `{"ref":{"way":"pushed","secret":"PROMPT"},"since":-1,"number":"123456"}`,
		`{"ref":{"way":"typed","secret":"123 456"},"credential":{"id":"AA","rawId":"AA","type":"public-key","response":{}}}`,
		`{"kind":"webpush","subscription":{"endpoint":"https://push.example/1","keys":{"p256dh":"BA","auth":"AA"}}}`,
		`{"kind":"fcm","token":"x","name":"\ud800"}`, `{"kind":"email","address":"ada@example.com"}`, `{"since":1e99}`,
	} {
		for path := range paths {
			f.Add(seed, path)
		}
	}
	h := newHouse(f)
	h.service.Hub.Drain() // nothing is held
	p := h.owner("ada")
	b := h.ask(h.client, p.user, approval.Long)
	phone := p.register("https://push.example/1")
	h.push.Answer(true, "Taken.")
	session := p.browser.Jar.Cookies(parsed(f, h.url))[0]
	fill := strings.NewReplacer("HANDLE", b.Handle.Reveal(), "PROMPT", h.prompt(b), "PHONE", phone)
	f.Fuzz(func(t *testing.T, body string, path int) {
		to := fill.Replace(paths[uint(path)%uint(len(paths))])
		r := httptest.NewRequest(http.MethodPost, to, strings.NewReader(fill.Replace(body)))
		r.Header.Set("Content-Type", "application/json")
		r.AddCookie(session)
		w := httptest.NewRecorder()
		h.engine.ServeHTTP(w, r)
		if w.Code >= http.StatusInternalServerError {
			t.Errorf("%s: got %d %s", to, w.Code, w.Body)
		}
		if err := document().Check(r, w.Result(), w.Body.Bytes()); err != nil {
			t.Error(err)
		}
	})
}
