package push

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/push/egress"
)

// Answers tells servers that asked for it how a request ended: a CIBA client by a
// ping, a Keycloak realm by the verdict. Whom to tell is sealed in the request's
// row, that there is something to tell in the outbox; what to tell is read from the
// request when it is sent. Safe for concurrent use.
type Answers struct {
	push   *Push
	guard  egress.Config
	client *http.Client
	aead   *subtle.XChaCha20Poly1305
}

// Answers is the part of p that servers are told through.
func (p *Push) Answers() *Answers { return p.servers }

func newAnswers(p *Push, c Config) (*Answers, error) {
	key, err := hkdf.Key(sha256.New, c.Key, nil, "nod/push/answers/v1", keySize) // the label is for ever
	if err != nil {
		return nil, fmt.Errorf("push key: %w", err)
	}
	aead, err := subtle.NewXChaCha20Poly1305(key)
	if err != nil {
		return nil, fmt.Errorf("push key: %w", err)
	}
	// An operator registers these addresses, so their ports are nobody else's choice.
	guard := egress.Config{Allow: slices.Clone(c.Allow), AnyPort: true, Timeout: attemptTime}
	client := egress.New(guard)
	p.closers = append(p.closers, client.CloseIdleConnections)
	return &Answers{push: p, guard: guard, client: client, aead: aead}, nil
}

// Check judges where a server wants to be told. An *approval.InvalidError says what
// is wrong with it. It resolves no name: where one leads is judged at every attempt.
func (a *Answers) Check(_ context.Context, url string) error {
	if err := a.guard.Refuses(url); err != nil {
		return &approval.InvalidError{Field: "url", Reason: fmt.Sprintf(
			"must be one that this server may call: %v (push-allow-networks names what else it may)", err)}
	}
	return nil
}

// sealedAnswer is what AnswerTo is at rest. It has no Secret, which would be
// written as "[secret]".
type sealedAnswer struct {
	Protocol approval.AnswerProtocol `json:"protocol"`
	URL      string                  `json:"url"`
	Token    string                  `json:"token"`
}

// answerPlace names table and column: nothing that is sealed for another place can
// be opened here.
var answerPlace = []byte("requests/answer_to")

// Seal encrypts whom to tell for a request's row (approval.Ask.AnswerTo).
func (a *Answers) Seal(to approval.AnswerTo) ([]byte, error) {
	text, err := json.Marshal(sealedAnswer{to.Protocol, to.URL, to.Token.Reveal()})
	if err != nil {
		return nil, fmt.Errorf("seal answer: %w", err)
	}
	sealed, err := a.aead.Encrypt(text, answerPlace)
	if err != nil {
		return nil, fmt.Errorf("seal answer: %w", err)
	}
	return sealed, nil
}

func (a *Answers) open(sealed []byte) (approval.AnswerTo, error) {
	text, err := a.aead.Decrypt(sealed, answerPlace)
	if err != nil {
		return approval.AnswerTo{}, errors.New("it was sealed under another master key")
	}
	var to sealedAnswer
	if err := json.Unmarshal(text, &to); err != nil {
		return approval.AnswerTo{}, errors.New("nobody can read whom to tell")
	}
	return approval.AnswerTo{Protocol: to.Protocol, URL: to.URL, Token: account.Secret(to.Token)}, nil
}

// deliver makes one attempt and gives the message back.
func (a *Answers) deliver(ctx context.Context, t turn) {
	to, body, err := a.compose(ctx, t.row.Key)
	switch {
	case errors.Is(err, approval.ErrUnavailable), err != nil && ctx.Err() != nil:
		t.log.WarnContext(ctx, "answer goes on later", "about", t.row.Key, "error", err)
		t.settle(ctx, approval.Outcome{State: approval.DeliveryQueued, Next: t.now().Add(pollEvery)})
		return
	case err != nil:
		t.log.WarnContext(ctx, "answer cannot be given", "about", t.row.Key, "error", err)
		t.settle(ctx, approval.Outcome{State: approval.DeliveryFailed, Note: err.Error()})
		return
	}
	err = a.send(ctx, to, body, t.row.Until.Sub(t.now()))
	if err != nil && ctx.Err() != nil { // cut off: nobody knows what came of it
		t.settle(ctx, approval.Outcome{State: approval.DeliveryQueued, Next: t.now()})
		return
	}
	a.conclude(ctx, t, to, err)
}

// conclude writes what came of an attempt: into the row, the log and the metrics.
func (a *Answers) conclude(ctx context.Context, t turn, to approval.AnswerTo, err error) {
	level, outcome, said := slog.LevelDebug, outcomeTaken, ""
	o := approval.Outcome{State: approval.DeliverySent}
	if err != nil {
		said = plain(err)
		level, outcome, o = slog.LevelWarn, outcomeFailed, approval.Outcome{State: approval.DeliveryFailed, Note: said}
		if next, ok := t.again(int(t.row.Attempt), err, t.now(), t.row.Until); ok {
			level, outcome = slog.LevelInfo, outcomeRetry
			o.State, o.Next = approval.DeliveryQueued, next
		}
	}
	a.push.metrics.attempt(string(to.Protocol), outcome)
	t.log.LogAttrs(ctx, level, "answer "+outcome,
		slog.String("channel", string(to.Protocol)), slog.String("about", t.row.Key), slog.String("answer", said))
	t.settle(ctx, o)
	t.look() // the queue may sleep for longer than until then
}

// compose reads whom to tell of a request, and what. An error that is not
// ErrUnavailable is for good.
func (a *Answers) compose(ctx context.Context, requestID string) (to approval.AnswerTo, body []byte, err error) {
	r, err := a.push.store.Find(ctx, approval.Key{ID: requestID})
	if err != nil {
		return to, nil, err
	}
	if to, err = a.open(r.AnswerTo); err != nil {
		return to, nil, err
	}
	var says any
	switch to.Protocol {
	case approval.AnswerPing:
		says = ping{a.push.codes.Code(approval.PollCode, r.ID).Reveal()}
	case approval.AnswerKeycloak:
		says = keycloakAnswer{keycloakStatus(r.State)}
	default:
		return to, nil, fmt.Errorf("nobody speaks the protocol %q", to.Protocol)
	}
	body, err = json.Marshal(says)
	return to, body, err
}

// ping says which request it is about and nothing more (CIBA Core section 10.2):
// the client asks the token endpoint what became of it.
type ping struct {
	ID string `json:"auth_req_id"`
}

// keycloakAnswer is what Keycloak's authentication channel sends back.
type keycloakAnswer struct {
	Status string `json:"status"`
}

// keycloakStatus is a verdict in Keycloak's words. An approval that lapsed before
// Keycloak could be told is none any more: its time is over here as it is there.
func keycloakStatus(s approval.State) string {
	switch s {
	case approval.Approved, approval.Redeemed:
		return "SUCCEED"
	case approval.Denied:
		return "UNAUTHORIZED"
	default:
		return "CANCELLED"
	}
}

// send makes one attempt. It ends in attemptTime, and when the answer is of no use
// any more.
func (a *Answers) send(ctx context.Context, to approval.AnswerTo, body []byte, left time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, min(attemptTime, left))
	defer cancel()
	r, err := newPost(ctx, to.URL, body)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+to.Token.Reveal())
	return post(a.client, r, "the server that asked to be told", time.Now)
}
