package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/cmd/nod/config"
)

// oauthFlags is what was typed about a client of the standard faces.
type oauthFlags struct {
	grants           []string
	auth, deviceAuth string
	hold             time.Duration
	tokenFormat      string
	idTokenAlg       string
	audience         string
	noComplete       bool
	requireDPoP      bool
	deviceCodeLife   time.Duration
	backchannelLife  time.Duration
	accessLife       time.Duration
	idTokenLife      time.Duration
	refreshIdle      time.Duration
	delivery         string
	notification     string
	needUserCode     bool
	signedOnly       bool
	callback         string
}

// Words of the command line.
const (
	grantDevice = "device_code"
	grantCIBA   = "ciba"

	authStrict  = "strict"
	authRelaxed = "relaxed"

	tokenJWT = "jwt"
)

var (
	grantWords      = []string{grantDevice, grantCIBA}
	deviceAuthWords = []string{authStrict, authRelaxed}
	deliveryWords   = []string{string(account.DeliverPoll), string(account.DeliverPing)}
	idTokenAlgs     = []string{"ES256", "RS256"}
)

// defaultScopes is what an OAuth client may ask for when nothing else is said.
var defaultScopes = []string{account.ScopeOpenID, account.ScopeProfile, account.ScopeOffline}

func (f *oauthFlags) add(flags *pflag.FlagSet) {
	flags.StringSliceVar(&f.grants, "grant", nil, "how it asks (oauth, required): device_code, ciba or both")
	flags.StringVar(&f.auth, "auth", string(account.AuthBasic), "how it proves who it is (oauth): "+strings.Join(words(account.AuthMethods), ", "))
	flags.StringVar(&f.deviceAuth, "device-auth", authStrict, "what the device endpoint asks of a client with a secret or a key (oauth): strict, or relaxed for libraries that send only client_id there")
	flags.DurationVar(&f.hold, "hold", account.DefaultHold, "how long a poll for something undecided is held open (oauth); at most "+account.MaxHold.String()+", 0s answers at once")
	flags.StringVar(&f.tokenFormat, "token-format", tokenJWT, "of access tokens (oauth): jwt (RFC 9068)")
	flags.StringVar(&f.idTokenAlg, "id-token-alg", idTokenAlgs[0], "what ID tokens are signed with (oauth): "+strings.Join(idTokenAlgs, " or "))
	flags.StringVar(&f.audience, "audience", "", "who its access tokens are for (oauth); its own id when it is not given")
	flags.BoolVar(&f.requireDPoP, "require-dpop", false, "it gets tokens only when it shows a key that they are bound to (oauth, RFC 9449)")
	flags.BoolVar(&f.noComplete, "no-verification-uri-complete", false, "no link that holds the user code, so that it is always typed (oauth)")
	flags.DurationVar(&f.deviceCodeLife, "device-code-life", account.DefaultDeviceCodeLife, "how long a person may take (oauth, grant device_code)")
	flags.DurationVar(&f.backchannelLife, "backchannel-life", account.DefaultBackchannelLife, "the same where a backend asks (oauth with grant ciba, keycloak-channel)")
	flags.DurationVar(&f.accessLife, "access-life", account.DefaultAccessLife, "of access tokens (oauth)")
	flags.DurationVar(&f.idTokenLife, "id-token-life", account.DefaultIDTokenLife, "of ID tokens (oauth)")
	flags.DurationVar(&f.refreshIdle, "refresh-idle", account.DefaultRefreshIdle, "how long an unused refresh token lives (oauth)")
	flags.StringVar(&f.delivery, "ciba-delivery", deliveryWords[0], "how it learns of the answer (oauth, grant ciba): "+strings.Join(deliveryWords, " or "))
	flags.StringVar(&f.notification, "ciba-notification", "", "https URL where pings go (oauth, with --ciba-delivery ping)")
	flags.BoolVar(&f.needUserCode, "ciba-user-code", false, "it must know the code of a user it asks for, see nod user code (oauth, grant ciba)")
	flags.BoolVar(&f.signedOnly, "ciba-signed-only", false, "only signed authentication requests (oauth, grant ciba, auth private_key_jwt)")
	flags.StringVar(&f.callback, "callback", "", "https URL where the realm hears the answer (keycloak-channel, required)")
}

// belonging says which flags go with which types, and what to do with one that does
// not go with the type given.
var belonging = []struct {
	flags []string
	types []account.ClientType
}{
	{[]string{"origin", "open-registration", "require-wait-token", "notify", "rotate-qr"}, nativeTypes},
	{[]string{"public-key"}, append(slices.Clone(nativeTypes), account.ClientOAuth)},
	{[]string{
		"grant", "auth", "device-auth", "hold", "token-format", "id-token-alg", "audience", "require-dpop", "no-verification-uri-complete",
		"device-code-life", "access-life", "id-token-life", "refresh-idle", "ciba-delivery", "ciba-notification", "ciba-user-code", "ciba-signed-only",
	}, []account.ClientType{account.ClientOAuth}},
	{[]string{"backchannel-life"}, []account.ClientType{account.ClientOAuth, account.ClientKeycloak}},
	{[]string{"callback"}, []account.ClientType{account.ClientKeycloak}},
}

// misplaced reports the flags that were given and say nothing about a client of the
// type.
func misplaced(c *cobra.Command, kind account.ClientType, fault faulter) {
	for _, b := range belonging {
		for _, name := range b.flags {
			if c.Flags().Changed(name) && !slices.Contains(b.types, kind) {
				fault("--%s is for clients of type %s: leave it out, or use another --type", name, orWords(words(b.types)))
			}
		}
	}
}

// faulter notes one more thing that is wrong, as a sentence with what to do.
type faulter func(format string, args ...any)

// register judges the flags of an OAuth client. given says which were typed.
func (f oauthFlags) register(scopes []string, given func(flag string) bool, fault faulter) *account.OAuth {
	o := &account.OAuth{
		Auth: account.AuthMethod(f.auth), Relaxed: f.deviceAuth == authRelaxed, Hold: f.hold, Scopes: scopeTexts(scopes, fault),
		IDTokenAlg: strings.ToUpper(f.idTokenAlg), Audience: f.audience, NoComplete: f.noComplete, RequireDPoP: f.requireDPoP,
		DeviceCodeLife: f.deviceCodeLife, BackchannelLife: f.backchannelLife, AccessLife: f.accessLife,
		IDTokenLife: f.idTokenLife, RefreshIdle: f.refreshIdle,
		Delivery: account.Delivery(f.delivery), Notification: f.notification, NeedUserCode: f.needUserCode, SignedOnly: f.signedOnly,
	}
	for _, word := range f.grants {
		if g, known := grantOf(strings.TrimSpace(word)); !known {
			fault("--grant %s is not known%s", word, orOneOf(word, grantWords))
		} else if !o.MayUse(g) {
			o.Grants = append(o.Grants, g)
		}
	}
	if len(f.grants) == 0 {
		fault("--grant is missing: use device_code for devices, ciba for backends that know whom to ask, or both")
	}
	oneOf(fault, "auth", f.auth, words(account.AuthMethods))
	oneOf(fault, "device-auth", f.deviceAuth, deviceAuthWords)
	oneOf(fault, "token-format", f.tokenFormat, []string{tokenJWT})
	oneOf(fault, "id-token-alg", o.IDTokenAlg, idTokenAlgs)
	oneOf(fault, "ciba-delivery", f.delivery, deliveryWords)
	f.agree(o, given, fault)
	return o
}

// channel judges the flags of a Keycloak realm's client. Its secret is a part of the
// URL that the realm is given; its scopes only give words to those the realm sends.
func (f oauthFlags) channel(scopes []string, fault faulter) *account.OAuth {
	if f.callback == "" {
		fault("--callback is missing: give the realm's URL that ends in /protocol/openid-connect/ext/ciba/auth/callback")
	}
	return &account.OAuth{
		Auth: account.AuthPost, Scopes: scopeTexts(scopes, fault), BackchannelLife: f.backchannelLife, Callback: f.callback,
	}
}

// The flags that only one of the grants heeds.
var (
	ofDevices = []string{"device-auth", "no-verification-uri-complete", "device-code-life"}
	ofCIBA    = []string{"backchannel-life", "ciba-delivery", "ciba-notification", "ciba-user-code", "ciba-signed-only"}
)

// agree reports what was said and has no effect beside what else was said.
func (f oauthFlags) agree(o *account.OAuth, given func(string) bool, fault faulter) {
	unheeded := func(name string, by account.GrantType) bool { return given(name) && len(o.Grants) > 0 && !o.MayUse(by) }
	for _, name := range ofDevices {
		if unheeded(name, account.GrantDeviceCode) {
			fault("--%s is about devices: add --grant device_code, or leave it out", name)
		}
	}
	for _, name := range ofCIBA {
		if unheeded(name, account.GrantCIBA) {
			fault("--%s is about CIBA: add --grant ciba, or leave it out", name)
		}
	}
	if o.Auth == account.AuthNone && given("device-auth") && f.deviceAuth == authStrict {
		fault("--device-auth strict needs a client that can prove who it is: use another --auth than none, or leave it out")
	}
	if given("public-key") && o.Auth != account.AuthPrivateKey {
		fault("--public-key is for clients that sign: add --auth private_key_jwt, or leave it out")
	}
	if o.SignedOnly && o.Auth != account.AuthPrivateKey {
		fault("--ciba-signed-only needs a key to sign with: add --auth private_key_jwt, or leave it out")
	}
	if o.Notification != "" && o.Delivery != account.DeliverPing {
		fault("--ciba-notification is where pings go: add --ciba-delivery ping, or leave it out")
	}
}

// scopeTexts reads scopes: a list of names, or one name with what it allows in words
// for the person who is asked ("tv.play=play films on your behalf").
func scopeTexts(given []string, fault faulter) []account.ScopeText {
	if given == nil {
		given = defaultScopes
	}
	var out []account.ScopeText
	for _, text := range given {
		name, says, described := strings.Cut(text, "=")
		names := []string{name}
		if !described {
			names = strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
		}
		for _, name := range names {
			scope := account.ScopeText{Scope: strings.TrimSpace(name), Says: strings.TrimSpace(says)}
			if slices.ContainsFunc(out, func(s account.ScopeText) bool { return s.Scope == scope.Scope }) {
				fault("--scope %s is there twice: name each once", scope.Scope)
				continue
			}
			out = append(out, scope)
		}
	}
	return out
}

func grantOf(word string) (account.GrantType, bool) {
	switch word {
	case grantDevice, string(account.GrantDeviceCode):
		return account.GrantDeviceCode, true
	case grantCIBA, string(account.GrantCIBA):
		return account.GrantCIBA, true
	}
	return "", false
}

func grantWord(g account.GrantType) string {
	if g == account.GrantCIBA {
		return grantCIBA
	}
	return grantDevice
}

func oneOf(fault faulter, flag, word string, known []string) {
	if !slices.Contains(known, word) {
		fault("--%s %s is not known%s", flag, word, orOneOf(word, known))
	}
}

// orWords is a list in a sentence: "a, b or c".
func orWords(list []string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	last := len(list) - 1
	return fmt.Sprintf("%s or %s", strings.Join(list[:last], ", "), list[last])
}

// flagOf is the flag of a field that the core judges, where it has another name.
var flagOf = map[string]string{
	"grants": "grant", "id_token_alg": "id-token-alg", "device_code_life": "device-code-life", "backchannel_life": "backchannel-life",
	"access_life": "access-life", "id_token_life": "id-token-life", "refresh_idle": "refresh-idle",
	"delivery": "ciba-delivery", "notification": "ciba-notification",
}

// asFlag says what is wrong with a flag where the core says it of a field.
func asFlag(err error) error {
	if invalid, ok := errors.AsType[*approval.InvalidError](err); ok {
		return config.Faults{"--" + cmp.Or(flagOf[invalid.Field], invalid.Field) + " " + invalid.Reason}
	}
	return err
}
