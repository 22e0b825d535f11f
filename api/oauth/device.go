package oauth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// How many device codes are welcome in a minute. A person types one in some seconds,
// so an address may stand for many people; whoever proves to be the client asks from
// its own machines for all its users, and a client's own number only bounds what
// strangers who know its public id make the server store.
const (
	codesPerAddress = 120
	codesPerClient  = 6000
	codesWindow     = time.Minute
)

// deviceAnswer is RFC 8628 section 3.2's answer. Both numbers are always there.
type deviceAnswer struct {
	DeviceCode string `json:"device_code"`
	UserCode   string `json:"user_code"`
	URI        string `json:"verification_uri"`
	Complete   string `json:"verification_uri_complete,omitempty"`
	ExpiresIn  int64  `json:"expires_in"` // seconds
	Interval   int64  `json:"interval"`   // seconds
}

// deviceAuthorization begins a request that any user of the client's namespace may
// answer who types the user code (RFC 8628 section 3.1). Besides scope it takes
// authorization_details (RFC 9396), a DPoP proof, which binds the tokens to its key
// at once, device_name, which the person is shown as what the device says, and
// expected_sub, the sub of the one user whose answer counts, for a client that knows
// who is in front of it. Whether anybody has that sub is not looked up: nobody can
// answer one that nobody has, and a stranger learns nothing from the code.
func (f *face) deviceAuthorization(c *gin.Context) error {
	in, err := readForm(c)
	if err != nil {
		return err
	}
	who, err := f.client(c, in, true)
	if err != nil {
		return err
	}
	a, err := f.deviceAsk(c, who, in)
	if err != nil {
		return err
	}
	b, err := f.Service.Begin(c.Request.Context(), a)
	if err != nil {
		return notBegun(err)
	}
	noStore(c)
	c.JSON(http.StatusOK, f.deviceAnswer(who.client.OAuth, b))
	return nil
}

// deviceAsk reads the question.
func (f *face) deviceAsk(c *gin.Context, who *caller, in form) (approval.Ask, error) {
	o := who.client.OAuth
	if !o.MayUse(account.GrantDeviceCode) {
		return approval.Ask{}, notRegistered(account.GrantDeviceCode)
	}
	if err := f.paceCodes(c.Request.Context(), who); err != nil {
		return approval.Ask{}, err
	}
	scopes, err := askedScopes(o, in)
	if err != nil {
		return approval.Ask{}, err
	}
	details, err := askedDetails(in)
	if err != nil {
		return approval.Ask{}, err
	}
	jkt, err := f.proof(c, "")
	return approval.Ask{
		Face: FaceDevice, Client: who.client, Kind: approval.PollCode, Typed: true, Audience: who.client.ID,
		Purpose: approval.SignIn, Life: o.DeviceCodeLife, JKT: jkt,
		Context: approval.Context{
			DeviceName: in.get("device_name"), Address: who.address, UserAgent: c.Request.UserAgent(),
			Scopes: scopes, Details: details, ExpectedSub: in.get("expected_sub"),
		},
	}, err
}

func (f *face) deviceAnswer(o *account.OAuth, b approval.Begun) deviceAnswer {
	page := f.Issuer + "/device"
	out := deviceAnswer{
		DeviceCode: b.Code.Reveal(), UserCode: b.UserCode.Reveal(), URI: page,
		ExpiresIn: int64(b.Request.Expires.Sub(b.Request.CreatedAt).Seconds()), Interval: int64(interval.Seconds()),
	}
	if !o.NoComplete {
		out.Complete = page + "?user_code=" + url.QueryEscape(out.UserCode)
	}
	return out
}

// paceCodes bounds what strangers make the server store.
func (f *face) paceCodes(ctx context.Context, who *caller) error {
	wait := f.Pacer.Take(ctx, "device client "+who.client.ID, codesPerClient, codesWindow)
	if wait == 0 && !who.proven {
		wait = f.Pacer.Take(ctx, "device "+approval.AddressGroup(who.address), codesPerAddress, codesWindow)
	}
	if wait > 0 {
		return &approval.LimitError{RetryAfter: wait}
	}
	return nil
}

// askedScopes are the scopes that a call asks for, with their words. All must be the
// client's. Without any it asks for all of them but offline_access, which nobody
// should get without wanting it (RFC 6749 section 3.3 leaves the default to us).
func askedScopes(o *account.OAuth, in form) ([]account.ScopeText, error) {
	asked := in.words("scope")
	if len(asked) == 0 {
		return slices.DeleteFunc(slices.Clone(o.Scopes), func(s account.ScopeText) bool { return s.Scope == account.ScopeOffline }), nil
	}
	out := make([]account.ScopeText, 0, len(asked))
	for _, scope := range asked {
		i := slices.IndexFunc(o.Scopes, func(s account.ScopeText) bool { return s.Scope == scope })
		if i < 0 {
			return nil, oops(http.StatusBadRequest, codeInvalidScope, "The client is not registered with all of these scopes.")
		}
		out = append(out, o.Scopes[i])
	}
	return out, nil
}

var errDetails = oops(http.StatusBadRequest, codeInvalidDetails,
	"The parameter authorization_details must be a JSON array of objects, each with a text as type and no name twice.")

// askedDetails is the parameter authorization_details (RFC 9396 section 2), nil
// without one. A name that occurs twice in an object is refused: the person, who is
// shown the one, and the resource server must not read different things.
func askedDetails(in form) (json.RawMessage, error) {
	text := in.get("authorization_details")
	if text == "" {
		return nil, nil
	}
	var list []map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list) == 0 {
		return nil, errDetails
	}
	for _, object := range list {
		var kind *string
		if json.Unmarshal(object["type"], &kind) != nil || kind == nil || *kind == "" {
			return nil, errDetails
		}
	}
	if !uniqueNames(json.NewDecoder(bytes.NewReader([]byte(text)))) {
		return nil, errDetails
	}
	return json.RawMessage(text), nil
}

// uniqueNames says whether no object in a JSON text has a name twice.
func uniqueNames(d *json.Decoder) bool {
	var open []map[string]bool // of each object or array that is open: its names, nil for an array
	key := false               // the next text is a name
	for {
		t, err := d.Token()
		if err != nil {
			return errors.Is(err, io.EOF)
		}
		switch t := t.(type) {
		case json.Delim:
			switch t {
			case '{':
				open = append(open, make(map[string]bool))
			case '[':
				open = append(open, nil)
			default:
				open = open[:len(open)-1]
			}
			key = len(open) > 0 && open[len(open)-1] != nil
			continue
		case string:
			if key {
				names := open[len(open)-1]
				if names[t] {
					return false
				}
				names[t], key = true, false
				continue
			}
		}
		key = len(open) > 0 && open[len(open)-1] != nil
	}
}

// notBegun says what Begin's words mean where a client asks.
func notBegun(err error) error {
	if invalid, ok := errors.AsType[*approval.InvalidError](err); ok && invalid.Field == "authorization_details" {
		return instead(err, approval.ErrInvalid, errDetails)
	}
	return instead(err, approval.ErrRevoked, errClient) // it was deleted a moment ago
}

// notRegistered is the answer to a client that was not given the grant.
func notRegistered(g account.GrantType) *wire.Error {
	return oops(http.StatusBadRequest, codeUnauthorizedClient, "The client is not registered for "+string(g)+".")
}
