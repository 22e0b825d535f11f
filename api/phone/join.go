package phone

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/web"
	"github.com/nod-auth/nod/webauthn"
)

// Face is what nod itself asks on its page /join: whether a browser that has no passkey
// may make one. No other face collects that, and this one collects nothing else.
const Face = "nod"

const (
	// joinsPerMinute is how often one address may ask: each is a row that stays for as
	// long as long codes live, and an office of a few hundred people may share an address.
	joinsPerMinute = 30
	// joinsHeld is how many of these pages one address has open at once, as many as native
	// waits without a token.
	joinsHeld = 50
)

// The cookie that proves whose request it is: the browser's that asked. It is good for
// nothing but waiting for the answer and making that passkey.
const joinCookie = plainCookie + "-join"

// itself is who asks: no client. The QR code rotates, so that it can be drawn again after
// the page was loaded anew without a handle being stored, and a picture of it is soon
// good for nothing: whoever has it approved gets into an account for good.
var itself = account.Client{Name: "nod", Match: account.MatchNone, RotateQR: true}

// errNoJoin is for a browser that waits for nothing, or not any more.
var errNoJoin = &wire.Error{
	Status: http.StatusNotFound, Code: codeNotFound, Message: "Nothing is waiting in this browser any more. Ask for a new code.",
}

// awaited is where the request stands that this browser waits for.
type awaited struct {
	RequestID       string    `json:"request_id"`
	State           string    `json:"state"`
	Version         int64     `json:"version"`
	ExpiresAt       time.Time `json:"expires_at"`
	ApprovedAs      string    `json:"approved_as,omitempty"`
	OpenedElsewhere bool      `json:"opened_elsewhere,omitempty"`
	*shownToPhone             // while it is undecided
}

// shownToPhone is what has to travel from this screen to a phone.
type shownToPhone struct {
	Code string `json:"code"` // to be typed at Page
	Page string `json:"page"`
	URL  string `json:"url"` // in the QR code, until the next takes its place
	QR   string `json:"qr"`  // a data: URL
}

func (f *face) join(c *gin.Context) error {
	who, err := f.sessions.find(c)
	if err != nil && !errors.Is(err, errSignedOut) {
		return err
	}
	frame, err := f.frame(c.Request.Context(), who)
	if err != nil {
		return err
	}
	return f.show(c, http.StatusOK, web.JoinPage{Frame: frame})
}

// beginJoin goes on with what this browser waits for already, or asks.
func (f *face) beginJoin(c *gin.Context) error {
	if err := f.pace(c, "join", joinsPerMinute); err != nil {
		return err
	}
	ctx := c.Request.Context()
	if h, err := f.joining(c); err == nil {
		st, err := f.Service.Await(ctx, h, approval.AddCredential, 0, 0)
		switch {
		case err == nil && st.Request.State.Open():
			return f.tellAwaited(c, *st)
		case err != nil && !errors.Is(err, approval.ErrNotFound):
			return err
		}
	}
	begun, err := f.Service.Begin(ctx, approval.Ask{
		Face: Face, Client: itself, Purpose: approval.AddCredential, Kind: approval.PollCode, Typed: true,
		Life:    f.Service.Lives[approval.Long],
		Context: approval.Context{Address: wire.Address(c), UserAgent: c.Request.UserAgent()},
	})
	if err != nil {
		return err
	}
	life := begun.Request.Expires.Add(approval.CollectGrace).Sub(begun.Request.CreatedAt)
	http.SetCookie(c.Writer, f.sessions.strict(joinCookie, begun.Code, life))
	return f.tellAwaited(c, approval.Status{Request: begun.Request})
}

// joining is this browser as the holder of what it asked for.
func (f *face) joining(c *gin.Context) (approval.Holder, error) {
	cookie, err := c.Request.Cookie(f.sessions.called(joinCookie))
	if err != nil || cookie.Value == "" {
		return approval.Holder{}, errNoJoin
	}
	return approval.Holder{
		Face: Face, Kind: approval.PollCode, Code: account.Secret(cookie.Value), Address: wire.Address(c),
	}, nil
}

// awaitJoin holds the call until there is news. The body is read to its end first: only
// then is a browser that leaves noticed.
func (f *face) awaitJoin(c *gin.Context) error {
	var in struct {
		Since int64 `json:"since"`
	}
	if err := wire.Decode(c, wire.BodyLimit, &in); err != nil {
		return err
	}
	h, err := f.joining(c)
	if err != nil {
		return err
	}
	leave, ok := f.Gate.Enter("join "+approval.AddressGroup(h.Address), joinsHeld)
	if !ok {
		return fmt.Errorf("wait to join: %w", &approval.LimitError{RetryAfter: followRetry})
	}
	defer leave()
	wire.Held(c, followFor)
	st, err := f.Service.Await(c.Request.Context(), h, approval.AddCredential, in.Since, followFor)
	if err != nil {
		return noJoin(err)
	}
	return f.tellAwaited(c, *st)
}

func noJoin(err error) error {
	if errors.Is(err, approval.ErrNotFound) {
		return errNoJoin
	}
	return err
}

func (f *face) tellAwaited(c *gin.Context, st approval.Status) error {
	r := st.Request
	now, err := f.Service.Store.Now(c.Request.Context())
	if err != nil {
		return err
	}
	out := awaited{
		RequestID: r.ID, State: string(standing(r, now)), Version: r.Version, ExpiresAt: r.Expires,
		ApprovedAs: st.ApprovedBy, OpenedElsewhere: !r.AgainAt.IsZero(),
	}
	if out.State == string(approval.Pending) {
		if out.shownToPhone, err = f.shownToPhone(r, now); err != nil {
			return err
		}
		if !r.OpenedAt.IsZero() {
			out.State = "opened"
		}
	}
	c.JSON(http.StatusOK, out)
	return nil
}

func (f *face) shownToPhone(r approval.Request, now time.Time) (*shownToPhone, error) {
	public := strings.TrimRight(f.PublicURL, "/")
	handle, _ := f.Service.Codes.Rotating(r, now)
	link := public + "/a/" + handle.Reveal()
	qr, err := web.QRSVG(link)
	if err != nil {
		return nil, fmt.Errorf("draw qr code: %w", err)
	}
	_, host, _ := strings.Cut(public, "://")
	return &shownToPhone{
		Code: f.Service.Codes.Code(approval.UserCode, r.ID).Reveal(), Page: host + "/device", URL: link, QR: dataURL(qr),
	}, nil
}

func dataURL(svg []byte) string {
	return "data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString(svg)
}

// beginJoinPasskey asks for the passkey once a phone has approved it.
func (f *face) beginJoinPasskey(c *gin.Context) error {
	if err := f.pace(c, "enrol", enrolsPerMinute); err != nil {
		return err
	}
	h, err := f.joining(c)
	if err != nil {
		return err
	}
	options, err := f.Ceremonies.BeginJoin(c.Request.Context(), h)
	if err != nil {
		return noJoin(err)
	}
	c.JSON(http.StatusOK, gin.H{"publicKey": options})
	return nil
}

// joinPasskey stores the passkey and signs in with it.
func (f *face) joinPasskey(c *gin.Context) error {
	h, err := f.joining(c)
	if err != nil {
		return err
	}
	answer, err := answerOf[webauthn.Attestation](c)
	if err != nil {
		return err
	}
	user, passkey, err := f.Ceremonies.Join(c.Request.Context(), h, answer, passkeyName(c.Request.UserAgent()))
	if err != nil {
		return noJoin(err)
	}
	if err := f.sessions.start(c, user, passkey); err != nil {
		return err
	}
	http.SetCookie(c.Writer, f.sessions.strict(joinCookie, "", -time.Second))
	c.JSON(http.StatusOK, struct {
		Name     string `json:"name"`
		Redirect string `json:"redirect"`
	}{passkey.Name, "/passkeys"})
	return nil
}
