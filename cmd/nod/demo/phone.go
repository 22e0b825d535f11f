package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"time"

	"github.com/nod-auth/nod/webauthn/virtual"
)

// phone is a registered phone in software. It uses the calls that the scripts
// of the phone's pages use, with a real passkey whose private key it holds.
type phone struct {
	origin string
	http   *http.Client
	keys   *virtual.Authenticator
}

// card is what the phone shows before anything can be approved.
type card struct {
	RequestID  string    `json:"request_id"`
	App        string    `json:"app"`
	Device     string    `json:"device"`
	Address    string    `json:"address"`
	Username   string    `json:"username"`
	ExpiresAt  time.Time `json:"expires_at"`
	UserAgent  string    `json:"user_agent"`
	BindingMsg string    `json:"binding_message"`
}

func newPhone(origin string) (*phone, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	return &phone{
		origin: origin,
		http: &http.Client{
			Jar: jar, Timeout: 10 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		keys: virtual.New(),
	}, nil
}

// enrol makes a passkey with an invitation link, which signs the phone in too.
func (p *phone) enrol(ctx context.Context, link string) error {
	secret := link[strings.LastIndexByte(link, '/')+1:]
	options, err := p.options(ctx, "/phone/enrol/options", map[string]any{"invitation": secret})
	if err != nil {
		return err
	}
	credential, err := p.keys.CreateJSON(p.origin, options)
	if err != nil {
		return err
	}
	return p.call(ctx, "/phone/enrol", map[string]any{"invitation": secret, "credential": json.RawMessage(credential)}, nil)
}

// look opens what a scanned link leads to and tells that it did.
func (p *phone) look(ctx context.Context, link string) (card, error) {
	var c card
	if err := p.call(ctx, "/phone/requests/inspect", ref(link), &c); err != nil {
		return card{}, err
	}
	return c, p.call(ctx, "/phone/requests/opened", ref(link), nil)
}

// approve signs the question with the passkey.
func (p *phone) approve(ctx context.Context, link string) error {
	options, err := p.options(ctx, "/phone/requests/approve/options", ref(link))
	if err != nil {
		return err
	}
	credential, err := p.keys.GetJSON(p.origin, options)
	if err != nil {
		return err
	}
	in := ref(link)
	in["credential"] = json.RawMessage(credential)
	return p.call(ctx, "/phone/requests/approve", in, nil)
}

func (p *phone) decline(ctx context.Context, link string) error {
	return p.call(ctx, "/phone/requests/decline", ref(link), nil)
}

// ref names the request behind a scanned link: its last part is the handle.
func ref(link string) map[string]any {
	return map[string]any{"ref": map[string]string{"way": "scanned", "secret": link[strings.LastIndexByte(link, '/')+1:]}}
}

func (p *phone) options(ctx context.Context, path string, in any) (json.RawMessage, error) {
	var out struct {
		PublicKey json.RawMessage `json:"publicKey"`
	}
	return out.PublicKey, p.call(ctx, path, in, &out)
}

func (p *phone) call(ctx context.Context, path string, in, into any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.origin+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Origin", p.origin)
	res, err := p.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return err
	}
	if res.StatusCode >= 300 {
		return fmt.Errorf("%s: status %d: %s", path, res.StatusCode, answer)
	}
	if into == nil || len(answer) == 0 {
		return nil
	}
	return json.Unmarshal(answer, into)
}
