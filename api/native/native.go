package native

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/webauthn"
)

// Face is the name of this face in every request it begins: no other face can
// collect them.
const Face = "native"

// Prefixes are the base paths at which every endpoint answers.
var Prefixes = []string{"", "/api/native"}

// Config is what the face is made of. Limits that are zero have defaults.
type Config struct {
	PublicURL string // scheme://host[:port]; the issuer of tokens of clients without one of their own

	WaitHold           time.Duration // how long a wait is held; 0: 120 s, the contract's "up to 2 minutes"
	MaxWaitsPerAddress int           // held waits without a token, an IPv6 address counts by its /64; 0: 50
	MaxWaitsPerClient  int           // held waits with a token; 0: MaxWaits
	MaxWaits           int           // held by this node; 0: DefaultMaxWaits
	InitsPerMinute     int           // ceremonies an address may begin without a token; 0: 60
	TokenWindow        time.Duration // how far a service token's iat may be off; 0: 300 s

	Service    *approval.Service
	Directory  *approval.Directory
	Accounts   Accounts
	Ceremonies *webauthn.Ceremonies
	Ring       *token.Ring
	Gate       *wire.Gate            // of the node; nil: one of MaxWaits places
	Pacer      approval.Pacer        // nil: nothing is paced
	Metrics    prometheus.Registerer // nil: nobody asks
}

// Accounts is what the face reads of accounts.
type Accounts interface {
	account.Users
	account.Passkeys
	account.Phones
	account.Clients
	OriginLister
	approval.Receipts
}

// DefaultMaxWaits is how many calls a node holds that was not told otherwise.
const DefaultMaxWaits = 10_000

// maxWatch is the contract's "held up to 25 s" for a request's state.
const maxWatch = 25 * time.Second

func (c Config) withDefaults() Config {
	fill(&c.WaitHold, 120*time.Second)
	fill(&c.MaxWaitsPerAddress, 50)
	fill(&c.MaxWaits, DefaultMaxWaits)
	fill(&c.MaxWaitsPerClient, c.MaxWaits)
	fill(&c.InitsPerMinute, 60)
	fill(&c.TokenWindow, 300*time.Second)
	if c.Gate == nil {
		c.Gate = wire.NewGate(c.MaxWaits)
	}
	c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	return c
}

func fill[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

// face is the state the handlers share.
type face struct {
	Config
	origins *origins
	metrics *metrics
}

// route is one line of the face's table.
type route struct {
	method, path string
	rule         rule
	handle       wire.Handler
}

// routes is the whole face. A token of the rule's scope must or may come with a
// call; the rule's zero value never reads one.
func (f *face) routes() []route {
	return []route{
		post(f, "/manage/users", must(account.UsersCreate), readJSON, f.createUser),
		post(f, "/manage/users/retrieve", must(account.UsersRetrieve), readJSON, f.retrieveUser),
		post(f, "/manage/users/delete", must(account.UsersDelete), readJSON, f.deleteUser),
		post(f, "/manage/users/invite", must(account.CredentialsForceAdd), readJSON, f.inviteUser),
		on(f, http.MethodDelete, "/manage/users/:user_id", must(account.UsersDelete), readPathUser, f.deleteUser),
		on(f, http.MethodPut, "/manage/users/:user_id/activate", must(account.UsersActivate), readPathUser, f.activateUser),
		on(f, http.MethodPut, "/manage/users/:user_id/deactivate", must(account.UsersDeactivate), readPathUser, f.deactivateUser),

		post(f, "/codes/:type/generate", must(account.CodesGenerate), readCode, f.generate),
		post(f, "/codes/:type/authorize", must(account.CodesAuthorize), readCode, f.authorize),
		post(f, "/codes/:type/invalidate-all", must(account.CodesInvalidate), readCode, f.invalidateAll),
		post(f, "/codes/:type/generate/fido2/init", may(account.CodesGenerate), readSelf, f.beginSelfGenerate),
		post(f, "/codes/:type/generate/fido2/complete", rule{}, readSelfAnswer, f.selfGenerate),

		{http.MethodPost, "/authenticate/code/wait", waitRule, f.wait},
		post(f, "/authenticate/fido2/init", may(account.AuthLogin), readJSON, f.beginAuthenticate),
		post(f, "/authenticate/fido2/complete", rule{}, readWebAuthn, f.completeAuthenticate),
		post(f, "/register/fido2/init", may(account.AuthRegister), readJSON, f.beginRegister),
		post(f, "/register/fido2/complete", rule{}, readWebAuthn, f.completeRegister),

		post(f, "/credentials/fido2/init/code", may(account.CredentialsAdd), readJSON, f.beginAddByCode),
		post(f, "/credentials/fido2/init/force", must(account.CredentialsForceAdd), readJSON, f.beginAddByForce),
		post(f, "/credentials/fido2/complete", rule{}, readWebAuthn, f.completeAdd),
		on(f, http.MethodGet, "/credentials", must(account.CredentialsList), readCredentialsQuery, f.listCredentials),
		post(f, "/credentials/list", must(account.CredentialsList), readJSON, f.listCredentials),
		post(f, "/credentials/rename", must(account.CredentialsRename), readJSON, f.renameCredential),
		post(f, "/credentials/revoke", must(account.CredentialsRevoke), readJSON, f.revokeCredential),
		post(f, "/credentials/recovery-code", must(account.CredentialsAddRecovery), readJSON, f.makeRecoveryCode),

		post(f, "/phones/register", must(account.PhonesRegister), readJSON, f.registerPhone),
		post(f, "/phones/list", must(account.PhonesRegister), readJSON, f.listPhones),
		post(f, "/phones/remove", must(account.PhonesRegister), readJSON, f.removePhone),

		post(f, "/devices/list", must(account.DevicesList), readJSON, f.listDevices),
		post(f, "/devices/revoke", must(account.DevicesRevoke), readJSON, f.revokeDevices),

		post(f, "/webhooks", must(account.WebhooksManage), readJSON, f.addWebhook),
		post(f, "/webhooks/list", must(account.WebhooksManage), readJSON, f.listWebhooks),
		post(f, "/webhooks/deliveries", must(account.WebhooksManage), readJSON, f.listDeliveries),
		post(f, "/webhooks/replay", must(account.WebhooksManage), readJSON, f.replayWebhook),
		post(f, "/webhooks/rotate", must(account.WebhooksManage), readJSON, f.rotateWebhook),
		post(f, "/webhooks/enable", must(account.WebhooksManage), readJSON, f.enableWebhook),
		post(f, "/webhooks/remove", must(account.WebhooksManage), readJSON, f.removeWebhook),

		post(f, "/tx", must(account.TxCreate), readJSON, f.createTx),
		{http.MethodPost, "/tx/init", may(account.TxCreate), f.initTx},
		post(f, "/tx/complete", rule{}, readWebAuthn, f.completeTx),
		{http.MethodPost, "/tx/wait", waitRule, f.waitTx},
		on(f, http.MethodGet, "/receipts/:request_id", must(account.ReceiptsRead), readReceipt, f.receipt),

		{http.MethodGet, "/requests/:request_id/state", rule{}, f.state},
		{http.MethodGet, "/certs", rule{}, f.certs},
	}
}

// Mount adds the face's routes, at both prefixes, with their CORS preflights.
func Mount(r gin.IRouter, c Config) {
	f := newFace(c)
	preflights := make(map[string][]string) // path: methods
	for _, rt := range f.routes() {
		for _, prefix := range rt.prefixes() {
			path := prefix + rt.path
			r.Handle(rt.method, path, f.origins.welcome, table.Adapt(rt.handle))
			preflights[path] = append(preflights[path], rt.method)
		}
	}
	for path, methods := range preflights {
		r.OPTIONS(path, f.origins.preflight(methods))
	}
}

// prefixes are the base paths of a route. The vendor's web SDK looks for transactions
// one step further down than its server SDK does, and one base URL serves both.
func (r route) prefixes() []string {
	out := slices.Clone(Prefixes)
	if strings.HasPrefix(r.path, "/tx") {
		for _, prefix := range Prefixes {
			out = append(out, prefix+"/api")
		}
	}
	return out
}

func newFace(c Config) *face {
	c = c.withDefaults()
	f := &face{Config: c, origins: newOrigins(c.Accounts, c.PublicURL)}
	f.metrics = newMetrics(c.Metrics, c.Gate.Held)
	return f
}
