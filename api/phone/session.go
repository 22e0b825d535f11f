package phone

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// touchEvery is how exact a session's last use is known: a write for every look
// at a page would cost more than the hour is worth against 30 days.
const touchEvery = time.Hour

// The cookie's name. Browsers keep the prefix __Host- for cookies that are
// Secure, for one host alone and for all of its paths (RFC 6265bis section
// 4.1.3.2), which plain http on localhost cannot have.
const (
	plainCookie  = "nod"
	securePrefix = "__Host-"
)

// errSignedOut means that there is no session, or not any more. It does not say
// why: the remedy is the same.
var errSignedOut = &wire.Error{
	Status: http.StatusUnauthorized, Code: codeSignedOut,
	Message: "You are signed out. Sign in and try again.",
}

// visitor is somebody signed in.
type visitor struct{ approval.Viewer }

// sessions gives browsers a cookie and finds who holds one.
type sessions struct {
	store interface {
		account.Users
		account.Passkeys
		account.Sessions
	}
	now    func(context.Context) (time.Time, error)
	secure bool
}

// start signs the browser in; a session it had is over.
func (s sessions) start(c *gin.Context, u account.User, p account.Passkey) error {
	ctx := c.Request.Context()
	now, err := s.now(ctx)
	if err != nil {
		return fmt.Errorf("start session: %w", err)
	}
	if err := s.forget(c); err != nil {
		return err
	}
	secret := account.NewSecret()
	fresh := account.Session{
		Hash: secret.Hash(), UserID: u.ID, PasskeyID: p.ID, Name: phoneName(c.Request.UserAgent()), Address: wire.Address(c),
		CreatedAt: now, SeenAt: now,
	}
	if err := s.store.AddSession(ctx, fresh); err != nil {
		return fmt.Errorf("start session: %w", err)
	}
	http.SetCookie(c.Writer, s.cookie(secret, account.SessionIdle))
	return nil
}

// end signs the browser out, on the server first.
func (s sessions) end(c *gin.Context) error {
	if err := s.forget(c); err != nil {
		return err
	}
	http.SetCookie(c.Writer, s.cookie("", -time.Second))
	return nil
}

func (s sessions) forget(c *gin.Context) error {
	secret := s.secret(c)
	if secret == "" {
		return nil
	}
	err := s.store.EndSession(c.Request.Context(), secret.Hash())
	if err != nil && !errors.Is(err, approval.ErrNotFound) {
		return fmt.Errorf("end session: %w", err)
	}
	return nil
}

// find returns who sent the request; errSignedOut when nobody is signed in.
func (s sessions) find(c *gin.Context) (visitor, error) {
	secret := s.secret(c)
	if secret == "" {
		return visitor{}, errSignedOut
	}
	ctx := c.Request.Context()
	found, err := s.live(ctx, secret.Hash())
	if errors.Is(err, approval.ErrNotFound) {
		return visitor{}, errSignedOut
	}
	if err != nil {
		return visitor{}, fmt.Errorf("find session: %w", err)
	}
	if err := s.touch(c, found.session, secret, found.now); err != nil {
		// The page is more important than the hour.
		wire.Note(c, slog.Any("touch", err))
	}
	return visitor{approval.Viewer{
		User: found.user, Address: wire.Address(c), Phone: phoneOf(found.session), PasskeyID: found.session.PasskeyID,
	}}, nil
}

// phoneOf names the phone that a session is on, so that another one is noticed.
// It is kept with requests, so it says nothing about the session: half a SHA-256
// of what is stored of its secret.
func phoneOf(s account.Session) string {
	sum := sha256.Sum256(append([]byte("phone of session "), s.Hash...))
	return base64.RawURLEncoding.EncodeToString(sum[:sha256.Size/2])
}

type living struct {
	session account.Session
	user    account.User
	now     time.Time
}

// live reads a session with what it hangs on; ErrNotFound when any of it ended.
func (s sessions) live(ctx context.Context, hash []byte) (living, error) {
	var l living
	var p account.Passkey
	var err error
	if l.session, err = s.store.Session(ctx, hash); err != nil {
		return l, err
	}
	if l.now, err = s.now(ctx); err != nil {
		return l, err
	}
	if l.user, err = s.store.User(ctx, l.session.UserID); err != nil {
		return l, err
	}
	if p, err = s.store.Passkey(ctx, l.session.PasskeyID); err != nil {
		return l, err
	}
	if !l.session.Live(l.now) || !l.user.Active() || p.Status != account.PasskeyActive {
		return l, approval.ErrNotFound
	}
	return l, nil
}

// touch notes that the session is used, and lets its cookie live on with it.
func (s sessions) touch(c *gin.Context, old account.Session, secret account.Secret, now time.Time) error {
	if now.Before(old.SeenAt.Add(touchEvery)) {
		return nil
	}
	if err := s.store.TouchSession(c.Request.Context(), old.Hash, now); err != nil {
		return err
	}
	http.SetCookie(c.Writer, s.cookie(secret, account.SessionIdle))
	return nil
}

func (s sessions) secret(c *gin.Context) account.Secret {
	cookie, err := c.Request.Cookie(s.called(plainCookie))
	if err != nil {
		return ""
	}
	return account.Secret(cookie.Value)
}

// called is the name that a cookie of ours has at this public URL.
func (s sessions) called(plain string) string {
	if s.secure {
		return securePrefix + plain
	}
	return plain
}

// cookie carries the session's secret for a time; a negative one deletes it.
func (s sessions) cookie(secret account.Secret, life time.Duration) *http.Cookie {
	return s.strict(plainCookie, secret, life)
}

// strict is a cookie out of reach for scripts and for other sites.
func (s sessions) strict(plain string, secret account.Secret, life time.Duration) *http.Cookie {
	return &http.Cookie{
		Name: s.called(plain), Value: secret.Reveal(), Path: "/", MaxAge: int(life.Seconds()),
		Secure: s.secure, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}
}
