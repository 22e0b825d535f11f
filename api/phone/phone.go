package phone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/web"
	"github.com/nod-auth/nod/webauthn"
)

// Config is what the face is made of; every field that does not say what nil means is
// required.
type Config struct {
	// PublicURL is where phones reach nod: https://host[:port], or plain http on
	// localhost, where browsers keep no __Host- cookie.
	PublicURL  string
	Service    *approval.Service
	Directory  *approval.Directory
	Accounts   Accounts
	Ceremonies *webauthn.Ceremonies
	Pages      *web.Pages
	Push       Push       // nil: this server reaches no phone
	Gate       *wire.Gate // of the node; nil: one of the face's own
	Pacer      approval.Pacer
	Metrics    prometheus.Registerer // nil: nobody asks
	Log        *slog.Logger          // where the operator hears of reports; nil: nowhere
}

// Push is what the notifications page needs to know of package push. Safe for
// concurrent use.
type Push interface {
	// Key is the public key with which a browser subscribes (RFC 8292 section
	// 3.2), base64url without padding.
	Key() string
	// Kinds are the roads this server has to phones.
	Kinds() []account.PhoneKind
	// Test sends one phone a message that leads nowhere, and says in a sentence
	// what its provider answered and what to do. It may take ten seconds.
	Test(ctx context.Context, p account.Phone) (answer string, sent bool)
}

// Accounts is what the face reads, and the sessions it keeps.
type Accounts interface {
	account.Users
	account.Passkeys
	account.Phones
	account.Clients
	account.Sessions
	account.Invitations
	approval.Journal
	approval.Receipts
}

// face is one mounted Config.
type face struct {
	Config
	sessions   sessions
	protection *http.CrossOriginProtection
	pageWords  wire.Table
	callWords  wire.Table
	reports    prometheus.Counter
}

// Mount adds the face's routes to r. The chain before them must hold wire's
// Identify and Trust.
func Mount(r gin.IRouter, cfg Config) error {
	f, err := newFace(cfg)
	if err != nil {
		return fmt.Errorf("mount phone: %w", err)
	}
	page, call := f.page, f.call

	r.GET("/", page(f.owner(f.home)))
	r.GET("/a/:handle", page(f.owner(f.linked)))
	r.GET("/r/:id", page(f.owner(f.listed)))
	r.GET("/device", page(f.owner(f.device)))
	r.POST("/device", page(f.signedIn(f.typed)))
	r.GET("/devices", page(f.owner(f.devices)))
	r.GET("/notifications", page(f.owner(f.notifications)))
	r.GET("/activity", page(f.owner(f.activity)))
	r.GET("/enrol", page(f.enrolment))
	r.GET(arrivePath+"/*next", page(f.arrived))
	r.GET(web.OfflinePath, page(f.offline))
	r.GET(web.WorkerPath, gin.WrapH(web.ServiceWorker()))

	r.POST("/phone/signin/options", call(f.beginSignIn))
	r.POST("/phone/signin", call(f.signIn))
	r.POST("/phone/signout", page(f.signOut))
	r.POST("/phone/enrol/look", call(f.lookAtInvitation))
	r.POST("/phone/enrol/options", call(f.beginEnrol))
	r.POST("/phone/enrol", call(f.enrol))

	r.GET("/phone/requests", call(f.signedIn(f.waiting)))
	r.POST("/phone/requests/inspect", call(f.signedIn(f.inspect)))
	r.POST("/phone/requests/opened", call(f.signedIn(f.opened)))
	r.POST("/phone/requests/follow", call(f.signedIn(f.follow)))
	r.POST("/phone/requests/approve/options", call(f.signedIn(f.beginApproval)))
	r.POST("/phone/requests/approve", call(f.signedIn(f.approve)))
	r.POST("/phone/requests/decline", f.either(f.signedIn(f.decline)))
	r.POST("/phone/requests/report", f.either(f.signedIn(f.report)))
	r.POST("/phone/requests/undo", f.either(f.signedIn(f.undo)))
	r.POST("/phone/devices/revoke", page(f.signedIn(f.revokeDevices)))
	r.POST("/phone/devices/revoke-all", page(f.signedIn(f.revokeAll)))
	r.POST("/phone/sessions/:id/end", page(f.signedIn(f.endSession)))
	r.GET("/phone/phones", call(f.signedIn(f.phones)))
	r.POST("/phone/phones", call(f.signedIn(f.registerPhone)))
	r.POST("/phone/phones/:id/remove", f.either(f.signedIn(f.removePhone)))
	r.POST("/phone/phones/:id/test", f.either(f.signedIn(f.testPhone)))
	r.GET(receiptsPath+":id", page(f.owner(f.receipt)))
	f.mountWaysIn(r)
	return nil
}

// mountWaysIn adds what a person's own ways in are managed with: passkeys, links for
// another device, recovery codes, and the page of a device that has no passkey yet.
func (f *face) mountWaysIn(r gin.IRouter) {
	page, call := f.page, f.call

	r.GET("/passkeys", page(f.owner(f.passkeys)))
	r.GET("/recovery", page(f.owner(f.recovery)))
	r.GET("/recover", page(f.lost))
	r.POST("/recover", page(f.recover))

	r.POST("/phone/passkeys/:id/rename", page(f.signedIn(f.renamePasskey)))
	r.POST("/phone/passkeys/:id/delete", page(f.signedIn(f.deletePasskey)))
	r.POST("/phone/add/options", call(f.signedIn(f.beginAdd)))
	r.POST("/phone/add/vouch", call(f.signedIn(f.vouchAdd)))
	r.POST("/phone/add", call(f.signedIn(f.add)))
	r.POST("/phone/invite/options", call(f.signedIn(f.beginInvite)))
	r.POST("/phone/invite", call(f.signedIn(f.invite)))
	r.POST("/phone/recovery/options", call(f.signedIn(f.beginRecovery)))
	r.POST("/phone/recovery", call(f.signedIn(f.makeRecovery)))

	r.GET("/join", page(f.join))
	r.POST("/phone/join", call(f.beginJoin))
	r.POST("/phone/join/wait", call(f.awaitJoin))
	r.POST("/phone/join/passkey/options", call(f.beginJoinPasskey))
	r.POST("/phone/join/passkey", call(f.joinPasskey))
}

func newFace(cfg Config) (*face, error) {
	if cfg.Service == nil || cfg.Directory == nil || cfg.Accounts == nil || cfg.Ceremonies == nil || cfg.Pages == nil || cfg.Pacer == nil {
		return nil, errors.New("configuration: a part is missing")
	}
	public, err := url.Parse(cfg.PublicURL)
	if err != nil || public.Host == "" {
		return nil, errors.New("public url: not an absolute URL")
	}
	if cfg.Gate == nil {
		cfg.Gate = wire.NewGate(maxFollows)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	f := &face{Config: cfg, protection: http.NewCrossOriginProtection(), reports: newReports(cfg.Metrics)}
	// A proxy may change the Host header, which browsers without Sec-Fetch-Site
	// are judged by.
	if err := f.protection.AddTrustedOrigin(public.Scheme + "://" + public.Host); err != nil {
		return nil, fmt.Errorf("public url: %w", err)
	}
	f.sessions = sessions{store: cfg.Accounts, now: cfg.Service.Store.Now, secure: public.Scheme == "https"}
	f.pageWords = wire.Table{Rows: rows, Render: f.renderError}
	f.callWords = wire.Table{Rows: rows}
	return f, nil
}

// page and call adapt a handler whose errors are read by a person, or by a
// script. Both refuse what another origin's page makes a browser send.
func (f *face) page(h wire.Handler) gin.HandlerFunc { return f.pageWords.Adapt(spelled(f.ours(h))) }
func (f *face) call(h wire.Handler) gin.HandlerFunc { return f.callWords.Adapt(spelled(f.ours(h))) }

// either is for what is both a form and a call: the body's type decides.
func (f *face) either(h wire.Handler) gin.HandlerFunc {
	page, call := f.page(h), f.call(h)
	return func(c *gin.Context) {
		if sendsJSON(c) {
			call(c)
			return
		}
		page(c)
	}
}

// ours lets through what came from pages of ours or from no browser at all.
func (f *face) ours(h wire.Handler) wire.Handler {
	return func(c *gin.Context) error {
		if err := f.protection.Check(c.Request); err != nil {
			return &wire.Error{
				Status: http.StatusForbidden, Code: codeCrossOrigin,
				Message: "This was sent by another site. Open nod itself and try again.", Cause: err,
			}
		}
		return h(c)
	}
}

func sendsJSON(c *gin.Context) bool { return c.ContentType() == "application/json" }

// visit is a handler for somebody signed in.
type visit func(c *gin.Context, who visitor) error

// signedIn is for calls and forms: without a session they are refused.
func (f *face) signedIn(h visit) wire.Handler {
	return func(c *gin.Context) error {
		who, err := f.sessions.find(c)
		if err != nil {
			return err
		}
		return h(c, who)
	}
}

// owner is for pages: without a session they ask for one and come back.
func (f *face) owner(h visit) wire.Handler {
	return func(c *gin.Context) error {
		who, err := f.sessions.find(c)
		switch {
		case err == nil:
			return h(c, who)
		case !errors.Is(err, errSignedOut):
			return err
		case ledHere(c.Request):
			return f.arrive(c, c.Request.URL.RequestURI())
		default:
			return f.askToSignIn(c, c.Request.URL.RequestURI())
		}
	}
}

// show writes a page.
func (f *face) show(c *gin.Context, status int, page web.Page) error {
	c.Header("Content-Security-Policy", web.ContentSecurityPolicy)
	c.Header("Content-Type", "text/html; charset=utf-8")
	c.Status(status)
	return f.Pages.Render(c.Writer, page)
}

// seeOther sends the browser to a path of ours with a GET (RFC 9110 section
// 15.4.4).
func seeOther(c *gin.Context, path string) error {
	c.Redirect(http.StatusSeeOther, path)
	return nil
}

// frame is what every page needs; who is the zero visitor when nobody is.
func (f *face) frame(ctx context.Context, who visitor) (web.Frame, error) {
	now, err := f.Service.Store.Now(ctx)
	return web.Frame{Now: now, SignedInAs: who.User.Username}, err
}

// pace bounds how often one address may do what needs no session and costs
// something. The limits are far above what people do, many behind one address.
func (f *face) pace(c *gin.Context, what string, perMinute int) error {
	return f.take(c.Request.Context(), what, approval.AddressGroup(wire.Address(c)), perMinute)
}

// paceOwner is pace for what somebody signed in may do.
func (f *face) paceOwner(c *gin.Context, who visitor, what string, perMinute int) error {
	return f.take(c.Request.Context(), what, who.User.ID, perMinute)
}

func (f *face) take(ctx context.Context, what, whose string, perMinute int) error {
	if wait := f.Pacer.Take(ctx, "phone/"+what+"/"+whose, perMinute, time.Minute); wait > 0 {
		return fmt.Errorf("%s: %w", what, &approval.LimitError{RetryAfter: wait})
	}
	return nil
}
