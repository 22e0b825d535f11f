package oauth

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// maxRequestLife is the longest that a signed request may be valid (contract, "CIBA").
const maxRequestLife = 60 * time.Minute

// askParameters are those of an authentication request: a signed one has them inside,
// and outside nothing but what authenticates the client (CIBA Core section 7.1.1).
var askParameters = []string{
	"scope", "client_notification_token", "acr_values", "login_hint_token", "id_token_hint", "login_hint",
	"binding_message", "user_code", "requested_expiry", "authorization_details",
}

// unsigned are the parameters of a request, out of the JWT if it is a signed one, and
// what uses that up together with the request.
func (f *face) unsigned(ctx context.Context, client account.Client, in form) (form, []approval.Effect, error) {
	compact := in.get("request")
	if compact == "" {
		if client.OAuth.SignedOnly {
			return form{}, nil, badRequest("This client must sign its requests: the parameter request is missing.")
		}
		return in, nil, nil
	}
	for _, name := range askParameters {
		if in.get(name) != "" {
			return form{}, nil, badRequest("With the parameter request, " + name + " must be inside of it.")
		}
	}
	keys, err := f.keys(ctx, client.ID)
	if err != nil {
		return form{}, nil, err
	}
	now, err := f.now(ctx)
	if err != nil {
		return form{}, nil, err
	}
	a, err := token.VerifyAssertion(compact, keys...)
	if err != nil {
		return form{}, nil, because(badRequest("The signed request is not a JWT that this client signed with ES256."), err)
	}
	if why := f.unfitRequest(a, client.ID, now); why != "" {
		return form{}, nil, badRequest("The signed request is refused: " + why + ".")
	}
	inside, err := claimsForm(a.JSON)
	spent := approval.Spend{Box: approval.BoxJWT, Key: "request " + client.ID + " " + a.JTI, Until: a.Expires}
	return inside, []approval.Effect{spent}, err
}

// unfitRequest says what is wrong with a signed request, "" when nothing is.
func (f *face) unfitRequest(a token.Assertion, clientID string, now time.Time) string {
	switch {
	case a.Type != "" && a.Type != token.TypRequest:
		return "typ says that it is something else"
	case a.Issuer != clientID:
		return "iss must be the client's id"
	case !f.forUs(a):
		return "aud must be this server's issuer"
	case a.Expires.IsZero() || a.NotBefore.IsZero() || a.IssuedAt.IsZero():
		return "exp, nbf and iat must be there"
	case !isID(a.JTI):
		return "jti must be there, and be at most 128 printable characters"
	case !now.Before(a.Expires):
		return "it has expired"
	case inFuture(a, now):
		return "nbf or iat lies in the future"
	case a.Expires.Sub(a.NotBefore) > maxRequestLife:
		return "exp is more than 60 minutes after nbf"
	}
	return ""
}

// claimsForm reads the claims of a signed request as a form. All are texts but
// requested_expiry, which may be a number, and authorization_details (RFC 9396
// section 2), which is JSON.
func claimsForm(claims json.RawMessage) (form, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(claims, &all); err != nil {
		return form{}, because(badRequest("The claims of the signed request are not a JSON object."), err)
	}
	in := form{make(url.Values)}
	for _, name := range askParameters {
		raw, found := all[name]
		if !found || string(raw) == "null" {
			continue
		}
		text, ok := claimText(name, raw)
		if !ok {
			return form{}, badRequest("In the signed request, " + name + " has the wrong type.")
		}
		in.values.Set(name, text)
	}
	return in, nil
}

func claimText(name string, raw json.RawMessage) (text string, ok bool) {
	if err := json.Unmarshal(raw, &text); err == nil {
		return text, !strings.ContainsRune(text, 0)
	}
	switch {
	case name == "requested_expiry" && strings.Trim(string(raw), "0123456789") == "":
		return string(raw), true
	case name == "authorization_details" && raw[0] == '[':
		return string(raw), true
	}
	return "", false
}
