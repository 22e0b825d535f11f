package approval

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nod-auth/nod/approval/account"
)

// checkOAuth judges how a client of the standard faces is registered and fills in
// what it leaves open.
func checkOAuth(c account.Client) (*account.OAuth, error) {
	if c.OAuth == nil {
		if c.Type == account.ClientOAuth || c.Type == account.ClientKeycloak {
			return nil, &InvalidError{"grants", "must not be empty"}
		}
		return nil, nil
	}
	o := *c.OAuth
	fill(&o)
	for _, rule := range []struct {
		broken bool
		field  string
		reason string
	}{
		{c.Type != account.ClientOAuth && c.Type != account.ClientKeycloak, "type", "must be oauth"},
		{c.Type == account.ClientOAuth && len(o.Grants) == 0, "grant", "must name device_code, ciba or both"},
		{!slices.Contains(account.AuthMethods, o.Auth), "auth", "is not a method of authentication"},
		{o.MayUse(account.GrantCIBA) && o.Auth == account.AuthNone, "auth", "must not be none with the grant ciba: only clients that prove who they are may ask people (CIBA Core section 4)"},
		{o.Auth.Secret() && o.SecretHash == nil, "secret", "is missing"},
		{o.Hold < 0 || o.Hold > account.MaxHold, "hold", fmt.Sprintf("must be between 0s and %s: above that, clients give up", account.MaxHold)},
		{o.IDTokenAlg != "ES256" && o.IDTokenAlg != "RS256", "id_token_alg", "must be ES256 or RS256"},
		{o.DeviceCodeLife < time.Minute || o.DeviceCodeLife > time.Hour, "device_code_life", "must be between 1m and 1h"},
		{o.BackchannelLife < 10*time.Second || o.BackchannelLife > account.MaxBackchannelLife, "backchannel_life", fmt.Sprintf("must be between 10s and %s", account.MaxBackchannelLife)},
		{o.AccessLife < time.Minute || o.AccessLife > 24*time.Hour, "access_life", "must be between 1m and 24h"},
		{o.IDTokenLife < time.Minute || o.IDTokenLife > 24*time.Hour, "id_token_life", "must be between 1m and 24h"},
		{o.RefreshIdle < time.Hour || o.RefreshIdle > 400*24*time.Hour, "refresh_idle", "must be between 1h and 400 days"},
		{o.Delivery != account.DeliverPoll && o.Delivery != account.DeliverPing, "delivery", "must be poll or ping"},
		{o.Delivery == account.DeliverPing && !reachable(o.Notification), "notification", "must be an https URL: there pings go"},
		{c.Type == account.ClientKeycloak && !reachable(o.Callback), "callback", "must be an https URL: Keycloak's .../ext/ciba/auth/callback"},
	} {
		if rule.broken {
			return nil, &InvalidError{rule.field, rule.reason}
		}
	}
	for i, s := range o.Scopes {
		if s.Scope == "" || strings.ContainsFunc(s.Scope, notInScope) {
			return nil, &InvalidError{"scope", "must be words of printable ASCII without quotes, backslashes and spaces (RFC 6749 section 3.3)"}
		}
		says, err := CleanText("scope", cmp.Or(s.Says, standardScopes[s.Scope], s.Scope), MaxBindingMessage)
		if err != nil {
			return nil, err
		}
		o.Scopes[i].Says = says
	}
	return &o, nil
}

// fill sets the defaults. A hold of 0 means what it says.
func fill(o *account.OAuth) {
	o.Scopes = slices.Clone(o.Scopes)
	o.Auth = cmp.Or(o.Auth, account.AuthBasic)
	o.IDTokenAlg = cmp.Or(o.IDTokenAlg, "ES256")
	o.Delivery = cmp.Or(o.Delivery, account.DeliverPoll)
	o.DeviceCodeLife = cmp.Or(o.DeviceCodeLife, account.DefaultDeviceCodeLife)
	o.BackchannelLife = cmp.Or(o.BackchannelLife, account.DefaultBackchannelLife)
	o.AccessLife = cmp.Or(o.AccessLife, account.DefaultAccessLife)
	o.IDTokenLife = cmp.Or(o.IDTokenLife, account.DefaultIDTokenLife)
	o.RefreshIdle = cmp.Or(o.RefreshIdle, account.DefaultRefreshIdle)
}

// standardScopes is what scopes that everybody knows allow, in words for the person
// who is asked.
var standardScopes = map[string]string{
	account.ScopeOpenID:  "know who you are",
	account.ScopeProfile: "see your username",
	account.ScopeOffline: "stay signed in until you revoke it",
}

// notInScope is what a scope-token cannot contain (RFC 6749 section 3.3).
func notInScope(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }

// reachable says whether the text is an absolute URL that may carry a secret: https,
// or http to this machine.
func reachable(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return false
	}
	host := u.Hostname()
	return u.Scheme == "https" || u.Scheme == "http" && (host == "localhost" || host == "127.0.0.1" || host == "::1")
}

// SetClientSecret replaces a client's secret by the one with this hash
// (account.Secret.Hash): the one before is refused from then on. ErrInvalid for a
// client that does not authenticate with a secret.
func (d *Directory) SetClientSecret(ctx context.Context, c account.Client, hash []byte) error {
	if c.OAuth == nil || !c.OAuth.Auth.Secret() {
		return fmt.Errorf("set client secret: %w", &InvalidError{"auth", "is not a method with a secret"})
	}
	return d.apply(ctx, "set client secret", clientEvent(EventClientSecretSet, c), SetClientSecret{c.ID, hash})
}

// minCIBACode is how many letters and digits a user's own choice of a code has at
// least: nothing but separators would be everybody's.
const minCIBACode = 4

// SetUserCode gives a user the code that backends must know to ask them (CIBA Core
// section 7.1, user_code), or with "" takes it away.
func (d *Directory) SetUserCode(ctx context.Context, u account.User, code account.Secret) error {
	var hash []byte
	if code != "" {
		if utf8.RuneCountInString(normalise(UserCode, code.Reveal())) < minCIBACode {
			return &InvalidError{"user_code", fmt.Sprintf("must have at least %d letters or digits", minCIBACode)}
		}
		hash = d.service.Codes.CIBACode(u, code)
	}
	return d.apply(ctx, "set user code", userEvent(EventUserCodeSet, u), SetUserCode{u.ID, hash})
}

// NewUserCode draws a code for SetUserCode: eight letters, as XXXX-XXXX.
func (d *Directory) NewUserCode() account.Secret { return d.service.Codes.Code(UserCode, newID()) }

// CIBACode is what is stored of a user's code, however it is spelled.
func (c *Codes) CIBACode(u account.User, code account.Secret) []byte {
	return c.prf("ciba code", u.NamespaceID, u.ID, normalise(UserCode, code.Reveal()))
}
