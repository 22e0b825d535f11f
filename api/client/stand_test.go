package client_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nod-auth/nod/api/client"
)

const (
	issuer = "https://login.example.com"
	code   = "device-code"
)

// said is one answer of a stand-in: after a hold, a reply or a broken connection.
type said struct {
	hold   time.Duration
	status int
	header http.Header
	body   string
	broken error // instead of an answer
	cut    bool  // the body breaks off
}

func says(status int, body string) said { return said{status: status, body: body} }

func fault(code string) said { return says(http.StatusBadRequest, `{"error":"`+code+`"}`) }

func (s said) held(d time.Duration) said { s.hold = d; return s }

func (s said) with(name, value string) said {
	s.header = http.Header{}
	s.header.Set(name, value)
	return s
}

var (
	pending  = fault("authorization_pending")
	slowDown = fault("slow_down")
	granted  = says(http.StatusOK, `{"access_token":"at-1","token_type":"Bearer","expires_in":600,"refresh_token":"rt-1","id_token":"it-1","scope":"openid tv","nod_approved_by":"ada"}`)
	badGate  = says(http.StatusBadGateway, "<html><h1>502 Bad Gateway</h1></html>").with("Content-Type", "text/html")
	reset    = said{broken: errors.New("connection reset by peer")}
	refused  = said{broken: &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}}
)

// call is what a stand-in was sent.
type call struct {
	*http.Request
	form url.Values
	at   time.Duration // since the code was given out
}

// stand is a server of RFC 8628 that answers as a test says. It needs no network,
// and so runs in fake time.
type stand struct {
	t        *testing.T
	metadata map[string]any  // nil: a server like others
	device   func(call) said // nil: a code for ten minutes
	polls    []said          // one after the other; the last one again and again
	poll     func(call) said // instead of polls
	revoke   said

	mu        sync.Mutex
	born      time.Time
	polled    []call
	asked     []call
	revoked   []call
	elsewhere []string // paths nobody should have asked for
}

func (s *stand) client() *http.Client { return &http.Client{Transport: s} }

// RoundTrip implements http.RoundTripper.
func (s *stand) RoundTrip(r *http.Request) (*http.Response, error) {
	c := call{Request: r}
	if r.Body != nil {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		_ = r.Body.Close()
		c.form, _ = url.ParseQuery(string(text))
	}
	return s.choose(c).reply(r)
}

func (s *stand) choose(c call) said {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.at = time.Since(s.born)
	switch place := "https://" + c.URL.Host + c.URL.Path; place {
	case issuer + "/.well-known/openid-configuration":
		return s.document()
	case issuer + "/device_authorization":
		s.born = time.Now()
		s.asked = append(s.asked, c)
		if s.device != nil {
			return s.device(c)
		}
		return says(http.StatusOK, newCode(600, 5))
	case issuer + "/token":
		s.polled = append(s.polled, c)
		if s.poll != nil {
			return s.poll(c)
		}
		return s.polls[min(len(s.polled), len(s.polls))-1]
	case issuer + "/revoke":
		s.revoked = append(s.revoked, c)
		return s.revoke
	default:
		s.elsewhere = append(s.elsewhere, place)
		return says(http.StatusNotFound, "")
	}
}

func newCode(life, interval int) string {
	return fmt.Sprintf(`{"device_code":%q,"user_code":"BCDF-GHJK","verification_uri":%q,"verification_uri_complete":%q,"expires_in":%d,"interval":%d}`,
		code, issuer+"/device", issuer+"/device?user_code=BCDF-GHJK", life, interval)
}

func (s *stand) document() said {
	m := map[string]any{
		"issuer": issuer, "device_authorization_endpoint": issuer + "/device_authorization",
		"token_endpoint": issuer + "/token", "revocation_endpoint": issuer + "/revoke",
	}
	maps.Copy(m, s.metadata)
	return says(http.StatusOK, asJSON(m))
}

func (s said) reply(r *http.Request) (*http.Response, error) {
	if s.hold > 0 {
		over := time.NewTimer(s.hold)
		defer over.Stop()
		select {
		case <-over.C:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	if s.broken != nil {
		return nil, s.broken
	}
	var body io.Reader = strings.NewReader(s.body)
	if s.cut {
		body = io.MultiReader(strings.NewReader(s.body[:len(s.body)/2]), brokenReader{})
	}
	header := s.header
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: s.status, Header: header, Body: io.NopCloser(body), Request: r}, nil
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// starts is when polls began, in seconds since the code was given out.
func (s *stand) starts() []float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []float64
	for _, c := range s.polled {
		out = append(out, c.at.Seconds())
	}
	return out
}

// told keeps what a login tells the person.
type told struct {
	prompts []client.Prompt
	events  []client.Event
	errs    []error
}

// config is a login at the stand-in.
func (s *stand) config(heard *told) client.LoginConfig {
	return client.LoginConfig{
		Issuer: issuer, ClientID: "tv", HTTPClient: s.client(),
		Prompt: func(p client.Prompt) { heard.prompts = append(heard.prompts, p) },
		Progress: func(p client.Progress) {
			heard.events = append(heard.events, p.Event)
			heard.errs = append(heard.errs, p.Err)
		},
	}
}
