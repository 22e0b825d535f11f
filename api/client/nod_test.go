package client_test

import (
	"context"
	"crypto/elliptic"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nod-auth/nod/api/client"
	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/sqlstore"
	"github.com/nod-auth/nod/approval/sqlstore/freshdb"
)

// open starts a real nod with a person on it.
func open(t *testing.T) (*apitest.House, *apitest.Person) {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), freshdb.File(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	h := apitest.Open(t, s)
	return h, h.NewPerson("ada")
}

// under is a login under way.
type under struct {
	t       *testing.T
	prompt  chan client.Prompt
	events  chan client.Progress
	ended   chan struct{}
	token   *client.Token
	err     error
	endedAt time.Time
}

// start logs in on its own goroutine, which the test waits for.
func start(t *testing.T, ctx context.Context, c client.LoginConfig) *under {
	t.Helper()
	u := &under{t: t, prompt: make(chan client.Prompt, 1), events: make(chan client.Progress, 16), ended: make(chan struct{})}
	c.Prompt = func(p client.Prompt) { u.prompt <- p }
	c.Progress = func(p client.Progress) { u.events <- p }
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer close(u.ended)
		u.token, u.err = client.Login(ctx, c)
		u.endedAt = time.Now()
	}()
	t.Cleanup(func() {
		cancel()
		<-u.ended
	})
	return u
}

const patience = 10 * time.Second

// typed waits for the prompt and returns how somebody who typed the code got there.
func (u *under) typed() approval.Ref {
	u.t.Helper()
	select {
	case p := <-u.prompt:
		return apitest.Typed(p.UserCode)
	case <-u.ended:
		u.t.Fatalf("the login ended before there was a code: %v", u.err)
	case <-time.After(patience):
		u.t.Fatal("no code")
	}
	panic("unreachable")
}

func (u *under) wait() (*client.Token, error) {
	u.t.Helper()
	select {
	case <-u.ended:
	case <-time.After(patience):
		u.t.Fatal("the login does not end")
	}
	return u.token, u.err
}

func (u *under) wantEvent(want client.Event) client.Progress {
	u.t.Helper()
	select {
	case p := <-u.events:
		if p.Event != want {
			u.t.Errorf("event: got %s (%v), want %s", p.Event, p.Err, want)
		}
		return p
	case <-time.After(patience):
		u.t.Fatalf("no event, want %s", want)
		return client.Progress{}
	}
}

func held(h *apitest.House) {
	h.Helper()
	h.Until("the poll is held", func() bool { return h.Service.Hub.Sleeping() > 0 })
}

func TestLogin_at_nod(t *testing.T) {
	h, ada := open(t)
	for name, o := range map[string]account.OAuth{
		"a public client":        {Auth: account.AuthNone},
		"a secret in the header": {Auth: account.AuthBasic},
		"a secret in the body":   {Auth: account.AuthPost},
	} {
		t.Run(name, func(t *testing.T) {
			o.Hold = 20 * time.Second
			app := h.NewRelying(o)
			u := start(t, t.Context(), client.LoginConfig{
				Issuer: h.URL, ClientID: app.Client.ID, ClientSecret: app.Secret.Reveal(),
				Scopes: []string{"openid", "profile", "offline_access"}, DeviceName: "build machine 7",
			})
			ref := u.typed()
			held(h)
			ada.Opens(ref)
			u.wantEvent(client.Opened)
			held(h)
			ada.Approve(ref, "")
			approved := time.Now()
			got, err := u.wait()
			if err != nil {
				t.Fatal(err)
			}
			if late := u.endedAt.Sub(approved); late > 500*time.Millisecond {
				t.Errorf("the token came %v after the approval, want it at once", late)
			}
			want := []string{"openid", "profile", "offline_access"}
			if got.TokenType != "Bearer" || got.RefreshToken == "" || got.IDToken == "" || got.ApprovedBy != "ada" || !slices.Equal(got.Scopes, want) {
				t.Errorf("got type %s, refresh token %t, ID token %t, by %q, scopes %v", got.TokenType, got.RefreshToken != "", got.IDToken != "", got.ApprovedBy, got.Scopes)
			}
			v := &client.Verifier{Issuer: h.URL, Audience: app.Client.ID}
			claims, err := v.Verify(t.Context(), got.AccessToken)
			if err != nil || claims.Subject != ada.ID || claims.ClientID != app.Client.ID || claims.SessionID == "" || !slices.Equal(claims.Scopes, want) {
				t.Errorf("access token: got %+v, %v", claims, err)
			}
			if _, err := v.Verify(t.Context(), got.IDToken); !errors.Is(err, client.ErrToken) {
				t.Errorf("the ID token as a credential: got %v, want ErrToken", err)
			}
		})
	}
}

func TestLogin_at_nod_declined(t *testing.T) {
	h, ada := open(t)
	app := h.NewRelying(account.OAuth{Auth: account.AuthNone, Hold: 20 * time.Second})
	u := start(t, t.Context(), client.LoginConfig{Issuer: h.URL, ClientID: app.Client.ID})
	ref := u.typed()
	held(h)
	ada.Decline(ref)
	if _, err := u.wait(); !errors.Is(err, client.ErrDenied) {
		t.Errorf("got %v, want ErrDenied", err)
	}
}

func TestLogin_at_nod_given_up(t *testing.T) {
	h, ada := open(t)
	app := h.NewRelying(account.OAuth{Auth: account.AuthNone, Hold: 20 * time.Second})
	ctx, cancel := context.WithCancel(t.Context())
	u := start(t, ctx, client.LoginConfig{Issuer: h.URL, ClientID: app.Client.ID})
	ref := u.typed()
	held(h)
	cancel()
	if _, err := u.wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's end", err)
	}
	if p := u.wantEvent(client.Withdrawn); p.Err != nil {
		t.Errorf("withdrawn: %v", p.Err)
	}
	if err := ada.TryApprove(ref, ""); err == nil {
		t.Error("the request could still be approved")
	}
}

func TestLogin_at_nod_bound_to_a_key(t *testing.T) {
	h, ada := open(t)
	app := h.NewRelying(account.OAuth{Auth: account.AuthNone, Hold: 20 * time.Second})
	proof, err := client.NewDPoP(newKey(t, elliptic.P256()))
	if err != nil {
		t.Fatal(err)
	}
	u := start(t, t.Context(), client.LoginConfig{Issuer: h.URL, ClientID: app.Client.ID, Scopes: []string{"openid"}, DPoP: proof})
	ref := u.typed()
	held(h)
	ada.Approve(ref, "")
	got, err := u.wait()
	if err != nil {
		t.Fatal(err)
	}
	if got.TokenType != "DPoP" {
		t.Errorf("type: got %s, want DPoP", got.TokenType)
	}
	v := &client.Verifier{Issuer: h.URL, Audience: app.Client.ID}
	if _, err := v.Verify(t.Context(), got.AccessToken); !errors.Is(err, client.ErrToken) || !strings.Contains(err.Error(), "bound to a key") {
		t.Errorf("without a proof: got %v, want a refusal that says why", err)
	}
	if status := userinfo(t, h, proof, got.AccessToken); status != http.StatusOK {
		t.Errorf("userinfo with a proof: got %d, want 200", status)
	}
}

// userinfo calls a resource as the documentation of DPoP.Proof says.
func userinfo(t *testing.T, h *apitest.House, proof *client.DPoP, token string) (status int) {
	t.Helper()
	nonce := ""
	for range 2 {
		p, err := proof.Proof(http.MethodGet, h.URL+"/oauth/userinfo", token, nonce)
		if err != nil {
			t.Fatal(err)
		}
		r := h.Do(apitest.Call{Path: "/oauth/userinfo", Header: map[string]string{"Authorization": "DPoP " + token, "DPoP": p}})
		status, nonce = r.Status, r.Header.Get("DPoP-Nonce")
		if status == http.StatusOK {
			break
		}
	}
	return status
}

// gateway stands before nod and does what gateways do.
type gateway struct {
	url  string
	mode atomic.Int32
	up   context.Context // ends when what is held is cut
	cut  context.CancelFunc
}

// What a gateway does with calls.
const (
	passes = iota
	breaks // connections
	pages  // 502 in HTML
)

// newGateway makes one that answers as the issuer, under its own address.
func newGateway(t *testing.T, h *apitest.House) *gateway {
	t.Helper()
	g := &gateway{}
	g.up, g.cut = context.WithCancel(t.Context())
	target, err := url.Parse(h.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = target.Host },
		Transport:      transport,
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ModifyResponse: g.rename(h.URL),
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch g.mode.Load() {
		case breaks:
			panic(http.ErrAbortHandler)
		case pages:
			w.WriteHeader(http.StatusBadGateway)
			_, _ = io.WriteString(w, "<html>502 Bad Gateway</html>")
			return
		}
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		if g.up.Err() == nil {
			defer context.AfterFunc(g.up, cancel)()
		}
		proxy.ServeHTTP(w, r.WithContext(ctx))
	}))
	g.url = server.URL
	t.Cleanup(func() {
		server.Close()
		transport.CloseIdleConnections()
	})
	return g
}

// rename makes the gateway the issuer.
func (g *gateway) rename(from string) func(*http.Response) error {
	return func(r *http.Response) error {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		renamed := strings.ReplaceAll(string(text), from, g.url)
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(renamed)), int64(len(renamed))
		r.Header.Del("Content-Length")
		return nil
	}
}

// fail breaks what is held, and lets nothing through.
func (g *gateway) fail(mode int32) {
	g.mode.Store(mode)
	g.cut()
}

// A held poll that is cut, a gateway without its server, then the approval: the
// login goes on as if nothing had happened.
func TestLogin_at_nod_through_a_bad_gateway(t *testing.T) {
	for name, mode := range map[string]int32{"connections break": breaks, "pages of errors": pages} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, ada := open(t)
			app := h.NewRelying(account.OAuth{Auth: account.AuthNone, Hold: 20 * time.Second})
			g := newGateway(t, h)
			u := start(t, t.Context(), client.LoginConfig{Issuer: g.url, ClientID: app.Client.ID, Scopes: []string{"openid"}})
			ref := u.typed()
			held(h)
			g.fail(mode)
			u.wantEvent(client.Interrupted)
			ada.Approve(ref, "")
			g.mode.Store(passes)
			if got, err := u.wait(); err != nil || got.ApprovedBy != "ada" {
				t.Errorf("got %v, %v; want the token", got, err)
			}
		})
	}
}

func TestWait_at_nod(t *testing.T) {
	h, _ := open(t)
	app := h.NewApp(account.Client{RequireWaitToken: true})
	tv := client.Native{BaseURL: h.URL + "/api/native", ClientID: app.Client.ID}
	token := func(context.Context) (string, error) { return app.Token(account.AuthTemporary), nil }
	for name, test := range map[string]struct {
		kind    string
		decide  func(apitest.Code)
		request func(*client.WaitRequest)
		want    error // nil: approved
		code    string
	}{
		"approved": {client.CodeShort, func(c apitest.Code) { app.Authorize(c).Want(200) }, nil, nil, ""},
		"a phrase": {client.CodePhrase, func(c apitest.Code) { app.Authorize(c).Want(200) }, nil, nil, ""},
		"declined": {client.CodeLong, func(c apitest.Code) {
			app.Post("/codes/long/invalidate-all", account.CodesInvalidate, apitest.M{"username": "ada", "purpose": "temporary_authentication"}).Want(200)
		}, nil, client.ErrDenied, "failed_to_authenticate"},
		"another's": {client.CodeLong, nil, func(w *client.WaitRequest) { w.Username = "bob" }, &client.Error{}, "verification_code_not_found"},
		"no token":  {client.CodeLong, nil, func(w *client.WaitRequest) { w.Token = nil }, &client.Error{}, "unauthorized"},
	} {
		t.Run(name, func(t *testing.T) {
			c := app.Generate("ada", test.kind, nil)
			w := client.WaitRequest{Username: "ada", Code: c.Code, CodeType: c.Kind, Token: token}
			if test.request != nil {
				test.request(&w)
			}
			type ending struct {
				got *client.Result
				err error
			}
			ended := make(chan ending, 1)
			before := h.Service.Hub.Sleeping()
			go func() {
				got, err := tv.Wait(t.Context(), w)
				ended <- ending{got, err}
			}()
			if test.decide != nil {
				h.Until("the wait is held", func() bool { return h.Service.Hub.Sleeping() > before })
				test.decide(c)
			}
			e := <-ended
			if test.want != nil {
				var said *client.Error
				if !errors.As(e.err, &said) || said.Code != test.code {
					t.Errorf("got %v, want %s", e.err, test.code)
				}
				return
			}
			if e.err != nil {
				t.Fatal(e.err)
			}
			claims, err := (&client.Verifier{Issuer: h.URL, Audience: app.Client.ID}).Verify(t.Context(), e.got.JWT)
			if err != nil || claims.Username != "ada" || claims.Subject != e.got.UserID {
				t.Errorf("token: got %+v, %v; want ada's", claims, err)
			}
		})
	}
}
