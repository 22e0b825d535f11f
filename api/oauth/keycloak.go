package oauth

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// nod as the authentication channel of a Keycloak realm: Keycloak is the OpenID
// provider, speaks CIBA with the realm's clients and issues the tokens; nod asks the
// person. Keycloak hears of the verdict at the client's OAuth.Callback, with the
// Bearer token that it sent along. Nobody collects such a request, so an approved one
// lapses in its time, as any does that nobody collects; what the person said is told
// at once.

// KeycloakPath is where on nod's origin a Keycloak realm asks as the client: what
// its operator writes behind the public URL into the realm's setting for the HTTP
// authentication channel. Keycloak cannot be given a password for it, so the path
// is one: "/keycloak/", the client's id, a dot, and the secret whose SHA-256 is the
// client's OAuth.SecretHash. Both are base64url, so that nothing is escaped.
func KeycloakPath(clientID string, secret account.Secret) string {
	return "/keycloak/" + clientID + "." + secret.Reveal()
}

const (
	// maxKeycloakToken bounds the JWT that Keycloak wants back, in bytes: its own has
	// about one thousand.
	maxKeycloakToken = 8 << 10
	// maxKeycloakScopes is how many scopes a person can be shown; a realm's clients
	// have a handful.
	maxKeycloakScopes = 32
)

var errNoChannel = oops(http.StatusNotFound, "not_found", "There is no such authentication channel.")

// keycloakAsk is what Keycloak sends. acr_values has no bearing: every approval is
// one with a passkey.
type keycloakAsk struct {
	BindingMessage string `json:"binding_message"`
	LoginHint      string `json:"login_hint"`
	Scope          string `json:"scope"`
}

// keycloak is POST /keycloak/:channel: 201 says that the person is being asked.
func (f *face) keycloak(c *gin.Context) error {
	ctx := c.Request.Context()
	client, err := f.channel(ctx, c.Param("channel"))
	if err != nil {
		return err
	}
	wire.Note(c, slog.String("client", client.ID))
	bearer, ok := strings.CutPrefix(c.GetHeader("Authorization"), "Bearer ")
	if !ok || !isBearer(bearer, maxKeycloakToken) {
		return oops(http.StatusUnauthorized, codeInvalidRequest, "The Bearer token to answer with is missing.")
	}
	var in keycloakAsk
	if err := readJSON(c, &in); err != nil {
		return err
	}
	if err := f.paceAsks(ctx, client.ID, asksPerClient); err != nil {
		return err
	}
	ask, err := f.keycloakQuestion(ctx, client, in, account.Secret(bearer))
	if err == nil {
		_, err = f.Service.Begin(ctx, ask)
	}
	if err != nil {
		return unbegun(err)
	}
	c.JSON(http.StatusCreated, struct{}{})
	return nil
}

// channel is the client whose path this is. Which of its two halves is wrong is not
// said.
func (f *face) channel(ctx context.Context, path string) (account.Client, error) {
	id, secret, _ := strings.Cut(path, ".")
	if !isID(id) {
		id = "-" // looked for all the same
	}
	client, err := f.Accounts.Client(ctx, id)
	if err != nil && !errors.Is(err, approval.ErrNotFound) {
		return account.Client{}, err
	}
	var hash []byte
	if client.Type == account.ClientKeycloak && client.OAuth != nil {
		hash = client.OAuth.SecretHash
	}
	if subtle.ConstantTimeCompare(account.Secret(secret).Hash(), hash) != 1 {
		return account.Client{}, errNoChannel
	}
	return client, nil
}

// readJSON is wire.Decode in this face's words.
func readJSON(c *gin.Context, into any) error {
	err := wire.Decode(c, wire.BodyLimit, into)
	if e, ok := errors.AsType[*wire.Error](err); ok {
		said := *e
		said.Code = codeInvalidRequest
		return &said
	}
	return err
}

func (f *face) keycloakQuestion(ctx context.Context, client account.Client, in keycloakAsk, bearer account.Secret) (approval.Ask, error) {
	ask := approval.Ask{
		Face: FaceKeycloak, Client: client, Audience: client.ID, Purpose: approval.SignIn, Kind: approval.PollCode, Notify: true,
	}
	var err error
	if ask.Context.BindingMessage, err = bindingMessage(in.BindingMessage); err != nil {
		return ask, err
	}
	if ask.Context.Scopes, err = keycloakScopes(client, in.Scope); err != nil {
		return ask, err
	}
	now, err := f.now(ctx)
	if err != nil {
		return ask, err
	}
	if ask.Life, err = keycloakLife(client, bearer, now); err != nil {
		return ask, err
	}
	to := approval.AnswerTo{Protocol: approval.AnswerKeycloak, URL: client.OAuth.Callback, Token: bearer}
	if ask.AnswerTo, err = f.sealed(ctx, to); err != nil {
		return ask, err
	}
	if in.LoginHint == "" {
		return ask, missing("login_hint")
	}
	if ask.User, err = f.person(ctx, client.NamespaceID, hint{in.LoginHint, in.LoginHint}); err != nil {
		return ask, err
	}
	return ask, f.paceAsks(ctx, client.ID+"/"+ask.User.ID, asksPerPerson)
}

// keycloakScopes are what a realm's client asks for. The realm knows which it may, so
// none is refused; those that the channel was not registered with are shown by their
// names alone.
func keycloakScopes(client account.Client, text string) ([]account.ScopeText, error) {
	says := make(map[string]string)
	for _, s := range client.OAuth.Scopes {
		says[s.Scope] = s.Says
	}
	var out []account.ScopeText
	for _, word := range strings.Fields(text) {
		if !isID(word) || len(out) == maxKeycloakScopes {
			return nil, oops(http.StatusBadRequest, codeInvalidScope, "The scope must be words of printable ASCII, and few enough to be read.")
		}
		if says[word] == "" {
			says[word] = word
		}
		out = append(out, account.ScopeText{Scope: word, Says: says[word]})
	}
	return out, nil
}

// keycloakLife is how long the person may take. Keycloak's token ends with its own
// request, so the question ends with it too; nobody but who knows the channel can
// say so, and no longer than any client may ask for. Of a token that does not tell,
// the client's registration says it.
func keycloakLife(client account.Client, bearer account.Secret, now time.Time) (time.Duration, error) {
	var claims struct {
		Expires int64 `json:"exp"`
	}
	if parts := strings.Split(bearer.Reveal(), "."); len(parts) == 3 {
		if text, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil {
			_ = json.Unmarshal(text, &claims) // what cannot be read does not tell
		}
	}
	if claims.Expires <= 0 {
		return client.OAuth.BackchannelLife, nil
	}
	left := min(time.Unix(claims.Expires, 0).Sub(now), account.MaxBackchannelLife)
	if left <= 0 {
		return 0, badRequest("The Bearer token has expired: Keycloak would not hear the answer. Compare the clocks.")
	}
	return left, nil
}
