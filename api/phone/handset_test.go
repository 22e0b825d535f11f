package phone_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/webauthn/virtual"
)

// handset is somebody's phone: a browser and an authenticator.
type handset struct {
	t       testing.TB
	house   *house
	browser *http.Client
	keys    *virtual.Authenticator
	user    account.User
}

func (h *house) handset() *handset {
	h.t.Helper()
	jar, err := cookiejar.New(nil)
	must(h.t, err)
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	browser := &http.Client{Jar: jar, CheckRedirect: stay, Transport: document().Transport(h.t, h.server.Client().Transport)}
	return &handset{t: h.t, house: h, browser: browser, keys: virtual.New()}
}

// owner is a handset whose owner has enrolled and is signed in.
func (h *house) owner(name string) *handset {
	h.t.Helper()
	p := h.handset()
	p.user = h.newUser(name)
	p.enrol(h.invite(p.user)).want(http.StatusOK)
	return p
}

// reply is what came back, read to its end.
type reply struct {
	t      testing.TB
	status int
	header http.Header
	text   string
}

func (p *handset) send(method, path, contentType, body string, header ...string) reply {
	p.t.Helper()
	r, err := p.try(context.Background(), method, path, contentType, body, header...)
	must(p.t, err)
	return r
}

// try is send for a call that may be given up.
func (p *handset) try(ctx context.Context, method, path, contentType, body string, header ...string) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, method, p.house.url+path, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := p.browser.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return reply{t: p.t, status: res.StatusCode, header: res.Header, text: string(text)}, err
}

func (p *handset) get(path string, header ...string) reply {
	p.t.Helper()
	return p.send(http.MethodGet, path, "", "", header...)
}

func (p *handset) call(path string, body any) reply {
	p.t.Helper()
	text, err := json.Marshal(body)
	must(p.t, err)
	return p.send(http.MethodPost, path, "application/json", string(text))
}

func (p *handset) form(path string, fields ...string) reply {
	p.t.Helper()
	values := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		values.Set(fields[i], fields[i+1])
	}
	return p.send(http.MethodPost, path, "application/x-www-form-urlencoded", values.Encode())
}

// invited asks whom an invitation is for.
func (p *handset) invited(invitation string) reply {
	p.t.Helper()
	return p.call("/phone/enrol/look", map[string]any{"invitation": invitation})
}

func (p *handset) enrol(invitation string) reply {
	p.t.Helper()
	begun := p.call("/phone/enrol/options", map[string]any{"invitation": invitation})
	if begun.status != http.StatusOK {
		return begun
	}
	made, err := p.keys.CreateJSON(p.house.url, []byte(begun.text))
	must(p.t, err)
	return p.call("/phone/enrol", map[string]any{"invitation": invitation, "credential": json.RawMessage(made)})
}

func (p *handset) signIn(next string) reply {
	p.t.Helper()
	begun := p.call("/phone/signin/options", map[string]any{}).want(http.StatusOK)
	return p.call("/phone/signin", map[string]any{"credential": p.sign(begun), "next": next})
}

// sign answers request options with the handset's passkey.
func (p *handset) sign(options reply) json.RawMessage {
	p.t.Helper()
	answer, err := p.keys.GetJSON(p.house.url, []byte(options.text))
	must(p.t, err)
	return answer
}

type ref map[string]string

func scanned(b approval.Begun) ref { return ref{"way": "scanned", "secret": b.Handle.Reveal()} }
func typed(b approval.Begun) ref   { return ref{"way": "typed", "secret": b.Code.Reveal()} }
func listed(b approval.Begun) ref  { return ref{"way": "listed", "secret": b.Request.ID} }

func (p *handset) beginApproval(r ref, number string) reply {
	p.t.Helper()
	return p.call("/phone/requests/approve/options", map[string]any{"ref": r, "number": number})
}

func (p *handset) approve(r ref, number string) reply {
	p.t.Helper()
	begun := p.beginApproval(r, number)
	if begun.status != http.StatusOK {
		return begun
	}
	return p.call("/phone/requests/approve", map[string]any{"ref": r, "credential": p.sign(begun)})
}

func (r reply) want(status int) reply {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("status: got %d, want %d\n%s", r.status, status, r.text)
	}
	return r
}

func (r reply) wantCode(status int, code string) reply {
	r.t.Helper()
	r.want(status)
	if got := r.member("code"); got != code {
		r.t.Errorf("code: got %v, want %s", got, code)
	}
	if message, _ := r.member("message").(string); message == "" {
		r.t.Error("message: got none")
	}
	return r
}

func (r reply) wantText(parts ...string) reply {
	r.t.Helper()
	for _, part := range parts {
		if !strings.Contains(r.text, part) {
			r.t.Errorf("page: %q is not in it\n%s", part, r.text)
		}
	}
	return r
}

func (r reply) wantNoText(parts ...string) reply {
	r.t.Helper()
	for _, part := range parts {
		if strings.Contains(r.text, part) {
			r.t.Errorf("page: %q is in it", part)
		}
	}
	return r
}

func (r reply) wantLocation(path string) reply {
	r.t.Helper()
	r.want(http.StatusSeeOther)
	if got := r.header.Get("Location"); got != path {
		r.t.Errorf("location: got %q, want %q", got, path)
	}
	return r
}

// member reads one member of a JSON reply.
func (r reply) member(name string) any {
	r.t.Helper()
	var members map[string]any
	if err := json.Unmarshal([]byte(r.text), &members); err != nil {
		r.t.Fatalf("reply is not JSON: %v\n%s", err, r.text)
	}
	return members[name]
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// otherNumber is six digits that are not the ones given.
func otherNumber(number account.Secret) string {
	if number.Reveal() == "111111" {
		return "222222"
	}
	return "111111"
}
