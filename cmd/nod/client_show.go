package main

import (
	"context"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nod-auth/nod/api/oauth"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/cmd/nod/app"
	"github.com/nod-auth/nod/cmd/nod/config"
)

// oauthView is how a client of the standard faces is registered, in the words of
// the flags that say so.
type oauthView struct {
	Grants          []string            `json:"grants,omitempty"`
	Auth            account.AuthMethod  `json:"auth,omitempty"`
	DeviceAuth      string              `json:"device_auth,omitempty"`
	Hold            string              `json:"hold,omitempty"`
	Scopes          []account.ScopeText `json:"scopes,omitempty"`
	TokenFormat     string              `json:"token_format,omitempty"`
	IDTokenAlg      string              `json:"id_token_alg,omitempty"`
	Audience        string              `json:"audience,omitempty"`
	NoComplete      bool                `json:"no_verification_uri_complete,omitempty"`
	RequireDPoP     bool                `json:"require_dpop,omitempty"`
	DeviceCodeLife  string              `json:"device_code_life,omitempty"`
	BackchannelLife string              `json:"backchannel_life,omitempty"`
	AccessLife      string              `json:"access_life,omitempty"`
	IDTokenLife     string              `json:"id_token_life,omitempty"`
	RefreshIdle     string              `json:"refresh_idle,omitempty"`
	Delivery        account.Delivery    `json:"ciba_delivery,omitempty"`
	Notification    string              `json:"ciba_notification,omitempty"`
	NeedUserCode    bool                `json:"ciba_user_code,omitempty"`
	SignedOnly      bool                `json:"ciba_signed_only,omitempty"`
	Callback        string              `json:"callback,omitempty"`
}

func viewOAuth(c account.Client) *oauthView {
	o := c.OAuth
	switch {
	case o == nil:
		return nil
	case c.Type == account.ClientKeycloak:
		return &oauthView{Scopes: o.Scopes, BackchannelLife: o.BackchannelLife.String(), Callback: o.Callback}
	}
	v := &oauthView{
		Auth: o.Auth, Hold: o.Hold.String(), Scopes: o.Scopes, TokenFormat: tokenJWT, IDTokenAlg: o.IDTokenAlg, Audience: o.Audience,
		RequireDPoP: o.RequireDPoP, AccessLife: o.AccessLife.String(), IDTokenLife: o.IDTokenLife.String(),
	}
	for _, g := range o.Grants {
		v.Grants = append(v.Grants, grantWord(g))
	}
	if o.MayUse(account.GrantRefresh) {
		v.RefreshIdle = o.RefreshIdle.String()
	}
	if o.MayUse(account.GrantDeviceCode) {
		v.DeviceCodeLife, v.NoComplete = o.DeviceCodeLife.String(), o.NoComplete
		v.DeviceAuth = deviceAuth(o)
	}
	if o.MayUse(account.GrantCIBA) {
		v.BackchannelLife, v.Delivery, v.Notification = o.BackchannelLife.String(), o.Delivery, o.Notification
		v.NeedUserCode, v.SignedOnly = o.NeedUserCode, o.SignedOnly
	}
	return v
}

// deviceAuth is what the device endpoint asks of the client, "" of one that has
// nothing to prove with.
func deviceAuth(o *account.OAuth) string {
	switch {
	case !o.Confidential():
		return ""
	case o.Relaxed:
		return authRelaxed
	}
	return authStrict
}

func newClientShow() *cobra.Command {
	c := &cobra.Command{
		Use:     "show [client-id]",
		Short:   "Show what a client is registered with",
		Long:    "Show everything a client is registered with, and the ids of its keys. Keys and secrets themselves are\nkept nowhere and cannot be shown.",
		Example: "  nod client show --client-id 3qY…\n  nod client show --client-id 3qY… --output json | jq .oauth",
		Args:    cobra.MaximumNArgs(1),
	}
	id := addClientID(c)
	out := addOutput(c)
	config.Flags(c.Flags(), dataSettings...)
	c.RunE = func(c *cobra.Command, args []string) error {
		return withClient(c, *id, args, func(core *app.Core, client account.Client) error {
			ns, err := core.Store.Namespace(c.Context(), client.NamespaceID)
			if err != nil {
				return err
			}
			v, err := viewKeys(c.Context(), core, viewClient(client, ns))
			if err != nil {
				return err
			}
			return out.print(c, v, func(w io.Writer) { describeClient(w, v) })
		})
	}
	return c
}

// show puts a secret that was just drawn into the view, in the form in which it is
// used.
func (v *clientView) show(ctx context.Context, core *app.Core, c account.Client, secret account.Secret) error {
	switch {
	case secret == "":
		return nil
	case c.Type == account.ClientKeycloak:
		base, err := core.PublicURL(ctx)
		v.KeycloakURL = base + oauth.KeycloakPath(c.ID, secret)
		return err
	}
	v.ClientSecret = secret.Reveal()
	return nil
}

func describeClient(w io.Writer, v clientView) {
	rows := [][]string{
		{"client_id", v.ClientID},
		{"name", v.Name},
		{"type", string(v.Type)},
		{"namespace", v.Namespace + " (" + v.NamespaceID + ")"},
	}
	if v.OAuth == nil {
		rows = append(rows,
			[]string{"scopes", orDash(strings.Join(words(v.Scopes), " "))},
			[]string{"origins", orDash(strings.Join(v.Origins, " "))})
	} else {
		rows = append(rows, v.OAuth.rows()...)
	}
	rows = append(rows, []string{"match", string(v.Match)})
	if v.KeyID != "" {
		rows = append(rows, []string{"key", v.KeyID})
	}
	for _, k := range v.Keys {
		rows = append(rows, []string{"key", k.KeyID})
	}
	table(w, rows...)
	describeKey(w, v.PrivateKey)
	describeSecret(w, v)
}

// rows is what there is to say, one line each; scopes each with their words.
func (v *oauthView) rows() (rows [][]string) {
	yes := func(is bool) string {
		if !is {
			return ""
		}
		return strconv.FormatBool(is)
	}
	for _, row := range [][]string{
		{"grants", strings.Join(v.Grants, " ")}, {"auth", string(v.Auth)}, {"device auth", v.DeviceAuth},
		{"hold", v.Hold}, {"access tokens", v.TokenFormat}, {"ID tokens", v.IDTokenAlg}, {"audience", v.Audience},
		{"no verification_uri_complete", yes(v.NoComplete)}, {"DPoP required", yes(v.RequireDPoP)},
		{"device code life", v.DeviceCodeLife}, {"backchannel life", v.BackchannelLife},
		{"access token life", v.AccessLife}, {"ID token life", v.IDTokenLife}, {"refresh token idle", v.RefreshIdle},
		{"CIBA delivery", string(v.Delivery)}, {"CIBA notification", v.Notification},
		{"CIBA user code", yes(v.NeedUserCode)}, {"CIBA signed only", yes(v.SignedOnly)}, {"callback", v.Callback},
	} {
		if row[1] != "" {
			rows = append(rows, row)
		}
	}
	for _, s := range v.Scopes {
		rows = append(rows, []string{"scope " + s.Scope, s.Says})
	}
	return rows
}
