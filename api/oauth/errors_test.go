package oauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
)

// answered is what a client sees of an error.
func answered(t *testing.T, err error) (*httptest.ResponseRecorder, map[string]any) {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	w := httptest.NewRecorder()
	c, e := gin.CreateTestContext(w)
	c.Request = httptest.NewRequest(http.MethodPost, "/oauth/token", nil)
	e.POST("/oauth/token", words.Adapt(func(*gin.Context) error { return err }))
	e.ServeHTTP(w, c.Request)
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	return w, body
}

// known are the codes of RFC 6749 section 5.2, RFC 8628 section 3.5 and the
// temporarily_unavailable of RFC 6749 section 4.1.2.1.
var known = []string{
	codeInvalidRequest, codeInvalidClient, codeInvalidGrant, codeUnauthorizedClient, codeInvalidScope, codeUnsupportedGrant,
	codePending, codeSlowDown, codeDenied, codeExpired, codeUnavailable,
}

func TestWords_allHaveAnAnswer(t *testing.T) {
	charset := regexp.MustCompile(`^[\x20\x21\x23-\x5b\x5d-\x7e]+$`) // RFC 6749 section 5.2
	for _, word := range approval.Words {
		w, body := answered(t, fmt.Errorf("collect secret: %w", word))
		code, _ := body["error"].(string)
		description, _ := body["error_description"].(string)
		if !slices.Contains(known, code) || !charset.MatchString(description) || regexp.MustCompile("secret").MatchString(description) {
			t.Errorf("%v: got %s", word, w.Body)
		}
		if len(body) != 2 || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%v: got %v, %v", word, body, w.Header())
		}
		if later := w.Header().Get("Retry-After"); (w.Code == 429 || w.Code == 503) != (later != "") {
			t.Errorf("%v: got %d with Retry-After %q", word, w.Code, later)
		}
	}
}

func TestWords_meanWhatTheRFCsSay(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{approval.ErrPending, 400, "authorization_pending"},
		{approval.ErrDenied, 400, "access_denied"},
		{approval.ErrExpired, 400, "expired_token"},
		{approval.ErrNotFound, 400, "invalid_grant"},
		{approval.ErrInactive, 400, "access_denied"},
		{approval.ErrUnavailable, 503, "temporarily_unavailable"}, // never access_denied
		{&approval.LimitError{RetryAfter: time.Minute}, 429, "slow_down"},
		{errors.New("a secret fault"), 500, "server_error"},
	} {
		w, body := answered(t, c.err)
		if w.Code != c.status || body["error"] != c.code {
			t.Errorf("%v: got %d %s, want %d %s", c.err, w.Code, w.Body, c.status, c.code)
		}
	}
}

func TestDescribe_keepsToTheCharactersThatAreAllowed(t *testing.T) {
	if got, want := describe("say \"yes\" \\ caf\u00e9\n."), "say 'yes' ' caf''."; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestInstead_saysWhatIsWrongAndKeepsTheCause(t *testing.T) {
	cause := fmt.Errorf("begin: %w", &approval.InvalidError{Field: "device_name", Reason: "must be shorter"})
	err := instead(cause, approval.ErrInvalid, errDetails)
	e, ok := errors.AsType[*wire.Error](err)
	if !ok || e.Code != codeInvalidDetails || e.Message != "device_name must be shorter." || !errors.Is(err, approval.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	if got := instead(cause, approval.ErrDenied, errDetails); got != cause { //nolint:errorlint // the same one
		t.Errorf("got %v, want the error as it was", got)
	}
	if errDetails.Cause != nil {
		t.Error("the reply that is shared was written to")
	}
}
