package wire_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.TestMode)
	m.Run()
}

// serve lets a handler behind middleware answer a request.
func serve(r *http.Request, chain ...gin.HandlerFunc) *httptest.ResponseRecorder {
	e := gin.New()
	e.Use(chain[:len(chain)-1]...)
	e.Handle(r.Method, "/x/:secret", chain[len(chain)-1])
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	return w
}

func get() *http.Request { return httptest.NewRequest(http.MethodGet, "/x/hunter2?y=hunter3", nil) }

func TestAddress_isThePeersUnlessAProxyVouches(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	for name, c := range map[string]struct {
		peer    string
		lines   []string
		trusted []netip.Prefix
		want    string
	}{
		"no proxies":               {"192.0.2.1:5", []string{"203.0.113.9"}, nil, "192.0.2.1"},
		"a stranger's header":      {"192.0.2.1:5", []string{"203.0.113.9"}, proxies, "192.0.2.1"},
		"a proxy":                  {"10.0.0.1:5", []string{"203.0.113.9"}, proxies, "203.0.113.9"},
		"what the caller wrote":    {"10.0.0.1:5", []string{"198.51.100.1, 203.0.113.9"}, proxies, "203.0.113.9"},
		"a line of the caller's":   {"10.0.0.1:5", []string{"198.51.100.1", "203.0.113.9"}, proxies, "203.0.113.9"},
		"two proxies":              {"10.0.0.1:5", []string{"198.51.100.1, 203.0.113.9, 10.0.0.2"}, proxies, "203.0.113.9"},
		"proxies all the way":      {"10.0.0.1:5", []string{"10.0.0.3,10.0.0.2"}, proxies, "10.0.0.3"},
		"a proxy without a header": {"10.0.0.1:5", nil, proxies, "10.0.0.1"},
		"broken entries":           {"10.0.0.1:5", []string{"203.0.113.9, unknown"}, proxies, "10.0.0.1"},
		"broken before":            {"10.0.0.1:5", []string{"unknown, 10.0.0.2"}, proxies, "10.0.0.2"},
		"IPv6":                     {"[2001:db8::1]:5", []string{"2001:db9::7"}, proxies, "2001:db9::7"},
		"mapped":                   {"[::ffff:10.0.0.1]:5", []string{"::ffff:203.0.113.9"}, proxies, "203.0.113.9"},
		"zone":                     {"[fe80::1%eth0]:5", nil, nil, "fe80::1"},
		"no address":               {"@", []string{"203.0.113.9"}, proxies, ""},
	} {
		r := get()
		r.RemoteAddr = c.peer
		r.Header["X-Forwarded-For"] = c.lines
		r.Header.Set("X-Real-Ip", "203.0.113.66")
		serve(r, wire.Trust(c.trusted), func(gc *gin.Context) {
			if got := wire.Address(gc); got != c.want {
				t.Errorf("%s: got %q, want %q", name, got, c.want)
			}
		})
	}
}

// FuzzAddress holds that no header moves an untrusted peer, and that behind a
// trusted one nothing but an address comes out.
func FuzzAddress(f *testing.F) {
	f.Add("203.0.113.9, 10.0.0.1")
	f.Add(",,, ,")
	f.Fuzz(func(t *testing.T, header string) {
		for peer, proxies := range map[string][]netip.Prefix{"192.0.2.1:5": nil, "10.0.0.1:5": {netip.MustParsePrefix("10.0.0.0/8")}} {
			r := get()
			r.RemoteAddr, r.Header["X-Forwarded-For"] = peer, []string{header}
			serve(r, wire.Trust(proxies), func(c *gin.Context) {
				got := wire.Address(c)
				if a, err := netip.ParseAddr(got); err != nil || a.Zone() != "" || a.Is4In6() {
					t.Errorf("got %q, want a plain address", got)
				}
				if proxies == nil && got != "192.0.2.1" {
					t.Errorf("got %q, want the peer", got)
				}
			})
		}
	})
}

func TestPrefersHTML_weighsTheHeader(t *testing.T) {
	for accept, want := range map[string]bool{
		"": false, "*/*": false, "text/html": true, "application/json": false, "text/*": true,
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": true,
		"text/html;q=0.5, application/json":                               false,
		"text/html;q=0, */*":                                              false,
		"text/html;q=nonsense":                                            false,
		";;;,text/html":                                                   true,
	} {
		if got := wire.PrefersHTML(accept); got != want {
			t.Errorf("%q: got %t, want %t", accept, got, want)
		}
	}
}

func TestTranslate_keepsDetailsAndHidesTexts(t *testing.T) {
	table := wire.Table{Rows: []wire.Row{
		{Word: approval.ErrTooMany, Status: 429, Code: "many", Message: "Wait."},
		{Word: approval.ErrInvalid, Status: 400, Code: "invalid", Message: "No."},
		{Word: approval.ErrUnavailable, Status: 503, Code: "away", Message: "Later.", RetryAfter: time.Second},
	}}
	for name, c := range map[string]struct {
		err     error
		status  int
		code    string
		message string
		retry   time.Duration
	}{
		"a limit":       {fmt.Errorf("wait: %w", &approval.LimitError{RetryAfter: time.Minute}), 429, "many", "Wait.", time.Minute},
		"a field":       {&approval.InvalidError{Field: "name", Reason: "must not be empty"}, 400, "invalid", "name must not be empty.", 0},
		"a store":       {fmt.Errorf("%w: disk on fire", approval.ErrUnavailable), 503, "away", "Later.", time.Second},
		"out of time":   {context.DeadlineExceeded, 503, "away", "Later.", time.Second},
		"a reply":       {fmt.Errorf("x: %w", &wire.Error{Status: 418, Code: "teapot", Message: "Tea."}), 418, "teapot", "Tea.", 0},
		"anything else": {errors.New("secret"), 500, "internal_server_error", "", 0},
	} {
		e := table.Translate(c.err)
		if e.Status != c.status || e.Code != c.code || (c.message != "" && e.Message != c.message) || e.RetryAfter != c.retry {
			t.Errorf("%s: got %+v", name, e)
		}
		if strings.Contains(e.Message, "secret") || strings.Contains(e.Message, "fire") {
			t.Errorf("%s: the message tells the error's text: %s", name, e.Message)
		}
	}
}

func TestFail_answersOnceAndRoundsRetryAfterUp(t *testing.T) {
	table := wire.Table{}
	w := serve(get(), table.Adapt(func(*gin.Context) error {
		return &wire.Error{Status: 429, Code: "many", Message: "Wait.", RetryAfter: 1200 * time.Millisecond, Extra: map[string]any{"left": 2}}
	}))
	if got, want := w.Body.String(), `{"code":"many","left":2,"message":"Wait."}`; got != want || w.Code != 429 {
		t.Errorf("got %d %s, want 429 %s", w.Code, got, want)
	}
	if got := w.Header().Get("Retry-After"); got != "2" {
		t.Errorf("got Retry-After %s, want 2", got)
	}
	w = serve(get(), table.Adapt(func(c *gin.Context) error {
		c.String(http.StatusOK, "done")
		return errors.New("too late")
	}))
	if w.Code != http.StatusOK || w.Body.String() != "done" {
		t.Errorf("got %d %s, want the first answer alone", w.Code, w.Body)
	}
}

func TestRecover_hidesThePanicAndLogsIt(t *testing.T) {
	var log strings.Builder
	logger := slog.New(slog.NewTextHandler(&log, nil))
	w := serve(get(), wire.Identify, wire.AccessLog(logger), wire.Recover(wire.Table{}, logger), func(*gin.Context) { panic("ouch") })
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "ouch") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), "ouch") || !strings.Contains(log.String(), "stack=") {
		t.Errorf("got log %s, want the panic and its stack", &log)
	}
	if id := w.Header().Get("X-Request-Id"); id == "" || !strings.Contains(log.String(), id) {
		t.Errorf("request id %q is not in the log", id)
	}
}

func TestAccessLog_holdsTheRouteAndNoSecret(t *testing.T) {
	var log strings.Builder
	serve(get(), wire.AccessLog(slog.New(slog.NewTextHandler(&log, nil))), func(c *gin.Context) {
		wire.Note(c, slog.String("client", "acme"))
		c.Status(http.StatusOK)
	})
	for _, want := range []string{"route=/x/:secret", "status=200", "client=acme"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("got log %s, want %s", &log, want)
		}
	}
	if strings.Contains(log.String(), "hunter") {
		t.Errorf("the log holds a secret: %s", &log)
	}
}

func TestAccessLog_says499ForAClientThatLeft(t *testing.T) {
	var log strings.Builder
	ctx, leave := context.WithCancel(t.Context())
	leave()
	serve(get().WithContext(ctx), wire.AccessLog(slog.New(slog.NewTextHandler(&log, nil))), wire.Table{}.Adapt(func(c *gin.Context) error {
		return fmt.Errorf("wait: %w", c.Request.Context().Err())
	}))
	if !strings.Contains(log.String(), "status=499") || strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("got log %s, want 499 and no alarm", &log)
	}
}

type embedded struct {
	Name string `json:"name"`
}

func TestDecode_refusesWhatIsNotOneJSONObject(t *testing.T) {
	for name, c := range map[string]struct {
		kind, body string
		status     int
		code       string
	}{
		"right":           {"application/json", `{"name":"x","unknown":[1]}`, 0, ""},
		"with a charset":  {"application/json; charset=utf-8", `{"name":"x"}`, 0, ""},
		"white space":     {"application/json", " {\"name\":\"x\"}\n", 0, ""},
		"empty":           {"application/json", "", 400, "missing_body"},
		"trailing":        {"application/json", `{"name":"x"} x`, 400, "request_validation_error"},
		"a list":          {"application/json", `[]`, 400, "request_validation_error"},
		"wrong type":      {"application/json", `{"inner":{"number":"x"}}`, 400, "request_validation_error"},
		"wrong name":      {"application/json", `{"name":7}`, 400, "request_validation_error"},
		"broken UTF-8":    {"application/json", "{\"name\":\"\xff\"}", 400, "request_validation_error"},
		"too large":       {"application/json", `{"name":"` + strings.Repeat("x", 100) + `"}`, 413, "request_validation_error"},
		"a form":          {"application/x-www-form-urlencoded", `{"name":"x"}`, 415, "request_validation_error"},
		"nothing said":    {"", `{"name":"x"}`, 415, "request_validation_error"},
		"large and wrong": {"text/plain", strings.Repeat("x", 100), 413, "request_validation_error"},
	} {
		r := httptest.NewRequest(http.MethodPost, "/x/y", strings.NewReader(c.body))
		r.Header.Set("Content-Type", c.kind)
		serve(r, func(gc *gin.Context) {
			var into struct {
				embedded
				Inner struct {
					Number int `json:"number"`
				} `json:"inner"`
			}
			err := wire.Decode(gc, 64, &into)
			e, _ := errors.AsType[*wire.Error](err)
			if c.code == "" && (err != nil || into.Name != "x") {
				t.Errorf("%s: got %v, %+v", name, err, into)
			}
			if c.code != "" && (e == nil || e.Status != c.status || e.Code != c.code) {
				t.Errorf("%s: got %v, want %d %s", name, err, c.status, c.code)
			}
			if name == "wrong type" && !strings.Contains(e.Message, "inner.number") {
				t.Errorf("got %q, want the field's name", e.Message)
			}
			if name == "wrong name" && e.Message != "name has the wrong type." {
				t.Errorf("got %q, want the field's own name", e.Message)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(`{"name":"x"}`)
	f.Add(`{"name":"\ud800"}`)
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest(http.MethodPost, "/x/y", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		serve(r, func(c *gin.Context) {
			var into struct{ Name string }
			if err := wire.Decode(c, 1024, &into); err != nil {
				if _, ok := errors.AsType[*wire.Error](err); !ok {
					t.Errorf("got %v, want a reply", err)
				}
			}
		})
	})
}

// TestHeld_outlivesTheDeadlinesOfOtherReplies has a server whose deadlines are
// over before the handler answers, and a client that leaves.
func TestHeld_outlivesTheDeadlinesOfOtherReplies(t *testing.T) {
	e := gin.New()
	over := func(c *gin.Context) { // both deadlines, in the past
		control := http.NewResponseController(c.Writer)
		_ = control.SetReadDeadline(time.Now().Add(-time.Second))
		_ = control.SetWriteDeadline(time.Now().Add(-time.Second))
	}
	entered, left := make(chan struct{}), make(chan struct{})
	e.GET("/held", over, func(c *gin.Context) {
		wire.Held(c, time.Minute)
		c.String(http.StatusOK, "answered")
	})
	e.GET("/left", func(c *gin.Context) {
		wire.Held(c, time.Minute)
		close(entered)
		<-c.Request.Context().Done()
		close(left)
	})
	server := httptest.NewUnstartedServer(e)
	server.Config.ReadTimeout, server.Config.WriteTimeout = time.Minute, time.Minute
	server.Start()
	defer server.Close()

	res, err := server.Client().Get(server.URL + "/held")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("got %d, want 200", res.StatusCode)
	}

	ctx, leave := context.WithCancel(t.Context())
	go func() { <-entered; leave() }()
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/left", nil)
	if _, err := server.Client().Do(req); err == nil {
		t.Fatal("got an answer after leaving")
	}
	select {
	case <-left:
	case <-time.After(5 * time.Second):
		t.Error("the handler did not notice that the client left")
	}
}

func TestGate_hasPlacesForEachAndForAll(t *testing.T) {
	g := wire.NewGate(3)
	enter := func(key string) func() {
		t.Helper()
		leave, ok := g.Enter(key, 2)
		if !ok {
			t.Fatalf("%s: got no place, want one", key)
		}
		return leave
	}
	full := func(key string) {
		t.Helper()
		if _, ok := g.Enter(key, 2); ok {
			t.Errorf("%s: got a place, want none", key)
		}
	}
	first := enter("ada")
	enter("ada")
	full("ada")
	enter("eve")
	full("bob") // all of them are taken
	first()
	if got := g.Held(); got != 2 {
		t.Errorf("held: got %d, want 2", got)
	}
	enter("ada")
	full("ada")
}
