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

	push "github.com/nod-auth/nod/push/virtual"
	webauthn "github.com/nod-auth/nod/webauthn/virtual"
)

// phone is a registered phone in software. It uses the calls that the scripts
// of the phone's pages use, with a real passkey whose private key it holds.
type phone struct {
	origin string
	http   *http.Client
	keys   *webauthn.Authenticator
	pushed *push.Subscription
}

// ref names a request: how the phone got there, and the secret of that way.
type ref struct {
	Way    string `json:"way"`
	Secret string `json:"secret"`
}

// scanned is what a QR code leads to: the last part of the link is the handle.
func scanned(link string) ref { return ref{"scanned", link[strings.LastIndexByte(link, '/')+1:]} }

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
	Match      string    `json:"match"` // "none": no number is asked for
	Ref        ref       `json:"ref"`   // what to name the request by from now on
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
		keys: webauthn.New(),
	}, nil
}

// enrol makes a passkey with an invitation link, which signs the phone in too.
func (p *phone) enrol(ctx context.Context, link string) error {
	_, secret, _ := strings.Cut(link, "#")
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

// look opens what a link or a prompt leads to and tells that it did.
func (p *phone) look(ctx context.Context, at ref) (card, error) {
	var c card
	if err := p.call(ctx, "/phone/requests/inspect", about{Ref: at}, &c); err != nil {
		return card{}, err
	}
	return c, p.call(ctx, "/phone/requests/opened", about{Ref: c.Ref}, nil)
}

// about is what the calls about one request take.
type about struct {
	Ref        ref             `json:"ref"`
	Number     string          `json:"number,omitempty"`     // that the screen shows
	Credential json.RawMessage `json:"credential,omitempty"` // the passkey's answer
}

// approve types the number, "" where none is asked for, and signs the question
// with the passkey.
func (p *phone) approve(ctx context.Context, at ref, number string) error {
	options, err := p.options(ctx, "/phone/requests/approve/options", about{Ref: at, Number: number})
	if err != nil {
		return err
	}
	credential, err := p.keys.GetJSON(p.origin, options)
	if err != nil {
		return err
	}
	return p.call(ctx, "/phone/requests/approve", about{Ref: at, Credential: json.RawMessage(credential)}, nil)
}

func (p *phone) decline(ctx context.Context, at ref) error {
	return p.call(ctx, "/phone/requests/decline", about{Ref: at}, nil)
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
	return p.exchange(ctx, http.MethodPost, path, body, into)
}

func (p *phone) get(ctx context.Context, path string, into any) error {
	return p.exchange(ctx, http.MethodGet, path, nil, into)
}

func (p *phone) exchange(ctx context.Context, method, path string, body []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, p.origin+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Origin", p.origin)
	}
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
