package soak

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// verb is what a client asked for.
type verb string

const (
	generates   verb = "generate"
	authorizes  verb = "authorize"
	invalidates verb = "invalidate-all"
	revokes     verb = "revoke all devices"
	deactivates verb = "deactivate"
	activates   verb = "activate"
	collects    verb = "collect"
)

// outcome is what came of it, as far as the client knows.
type outcome string

const (
	unknown  outcome = "unknown"   // no answer, or "cannot answer": it may have happened
	done     outcome = "done"      // 200; of a collection: the token
	again    outcome = "try again" // says nothing about the request: the hold is over, or the node leaves
	pending  outcome = "pending"
	denied   outcome = "denied"
	expired  outcome = "expired"
	notFound outcome = "not found"
	inactive outcome = "inactive"
	other    outcome = "other"
)

// outcomes by the codes of the native contract.
var outcomes = map[string]outcome{
	tryAgain: again, "remote_session_in_progress": pending, "failed_to_authenticate": denied,
	"verification_code_expired": expired, "verification_code_not_found": notFound, "account_deactivated": inactive,
}

// act is one call as its client saw it.
type act struct {
	verb     verb
	user     string
	request  string // "" for what concerns a user
	node     string
	from     string // the address it is said to come from
	asked    time.Time
	answered time.Time
	outcome  outcome
	token    string // of a collection
	vouched  bool   // of a generation: approved from birth
	expires  time.Time
	said     string // the answer, for who reads a failure
}

func (a act) String() string {
	return fmt.Sprintf("%s of %s %s on %s from %s, asked %s, answered %s: %s (%s)", a.verb, a.user, a.request, a.node, a.from,
		a.asked.Format("05.000000"), a.answered.Format("05.000000"), a.outcome, a.said)
}

// history is everything that all clients saw.
type history struct {
	mu   sync.Mutex
	acts []act
}

// note writes an answered call down and says what came of it.
func (h *history) note(a act, got reply) outcome {
	a.answered, a.said = time.Now(), got.String()
	switch {
	case got.err != nil:
		a.outcome = unknown
	case got.status == http.StatusOK:
		a.outcome, a.token, a.expires = done, got.JWT, got.ExpiresAt
		a.request = cmp.Or(got.RequestID, a.request)
	default:
		a.outcome = cmp.Or(outcomes[got.Code], other)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acts = append(h.acts, a)
	return a.outcome
}

// claims are those of a token that the judgement needs.
type claims struct {
	JTI string `json:"jti"`
	IAT int64  `json:"iat"`
	For string `json:"udata"`
	Aud string `json:"aud"`
}

func claimsOf(jwt string) (c claims, err error) {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return c, fmt.Errorf("%q is no JWT", jwt)
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	return c, err
}
