package oauth_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/approval/account"
)

// unknownCode is a poll that only an authenticated client learns to be in vain.
var unknownCode = F{"grant_type": string(account.GrantDeviceCode), "device_code": "nothing"}

// with adds to a form.
func with(in F, more F) F {
	out := F{}
	for _, f := range []F{in, more} {
		for name, value := range f {
			out[name] = value
		}
	}
	return out
}

func post(h *house, path string, in F, header ...string) apitest.Reply {
	h.Helper()
	c := Call{Path: path, Body: apitest.Values(in), Header: map[string]string{}}
	for i := 0; i < len(header); i += 2 {
		c.Header[header[i]] = header[i+1]
	}
	return h.Do(c)
}

func TestClient_authenticatesAsItIsRegistered(t *testing.T) {
	h := open(t)
	for _, method := range account.AuthMethods {
		r := h.NewRelying(account.OAuth{Auth: method})
		r.Post(apitest.TokenPath, unknownCode).WantError(badRequest, "invalid_grant")
	}
}

// TestClient_mayPutItsSecretEitherWay is x/oauth2's default AuthStyle, which tries
// the header first and the body next, whatever the registration says.
func TestClient_mayPutItsSecretEitherWay(t *testing.T) {
	h := open(t)
	for _, method := range []account.AuthMethod{account.AuthBasic, account.AuthPost} {
		r := h.NewRelying(account.OAuth{Auth: method})
		id, secret := r.Client.ID, r.Secret.Reveal()
		inBody := F{"client_id": id, "client_secret": secret}
		post(h, apitest.TokenPath, unknownCode, "Authorization", apitest.Basic(id, secret)).WantError(badRequest, "invalid_grant")
		post(h, apitest.TokenPath, with(unknownCode, inBody)).WantError(badRequest, "invalid_grant")
		// Both at once are two methods; the id in the body as well is none.
		post(h, apitest.TokenPath, with(unknownCode, inBody), "Authorization", apitest.Basic(id, secret)).WantError(badRequest, "invalid_request")
		post(h, apitest.TokenPath, with(unknownCode, F{"client_id": id}), "Authorization", apitest.Basic(id, secret)).WantError(badRequest, "invalid_grant")
		post(h, apitest.TokenPath, with(unknownCode, F{"client_id": "another"}), "Authorization", apitest.Basic(id, secret)).WantError(badRequest, "invalid_request")
	}
}

func TestClient_isFormEncodedInsideBasic(t *testing.T) {
	h := open(t)
	r := h.NewRelying(account.OAuth{})
	var every strings.Builder // each character as %XX is the same text
	for _, b := range []byte(r.Client.ID) {
		fmt.Fprintf(&every, "%%%02X", b)
	}
	header := "basic " + base64.StdEncoding.EncodeToString([]byte(every.String()+":"+r.Secret.Reveal()))
	post(h, apitest.TokenPath, unknownCode, "Authorization", header).WantError(badRequest, "invalid_grant")
}

func TestClient_isRefusedAlikeWhateverIsWrong(t *testing.T) {
	h := open(t)
	confidential, public := h.NewRelying(account.OAuth{}), h.NewRelying(account.OAuth{Auth: account.AuthNone})
	keyed := h.NewRelying(account.OAuth{Auth: account.AuthPrivateKey})
	native := h.NewApp(account.Client{})
	secret := confidential.Secret.Reveal()
	deleted := h.NewRelying(account.OAuth{})
	if err := h.Directory.DeleteClient(t.Context(), deleted.Client); err != nil {
		t.Fatal(err)
	}

	basic := func(id, secret string) apitest.Reply {
		return post(h, apitest.TokenPath, unknownCode, "Authorization", apitest.Basic(id, secret))
	}
	body := func(id, secret string) apitest.Reply {
		return post(h, apitest.TokenPath, with(unknownCode, F{"client_id": id, "client_secret": secret}))
	}
	asserted := func(by *apitest.Relying, as string) apitest.Reply {
		signed := by.Assertion(func(c M) { c["iss"], c["sub"] = as, as })
		return post(h, apitest.TokenPath, with(unknownCode, F{
			"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion": signed,
		}))
	}
	wantBasic := basic("nobody", secret).WantError(refused, "invalid_client")
	wantBody := body("nobody", secret).WantError(refused, "invalid_client")
	if got := wantBasic.Header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Basic") {
		t.Errorf("got WWW-Authenticate %q, want Basic after Basic was tried", got)
	}
	if got := wantBody.Header.Get("WWW-Authenticate"); got != "" {
		t.Errorf("got WWW-Authenticate %q, want none", got)
	}
	other := confidential.Client
	for name, c := range map[string]struct{ got, want apitest.Reply }{
		"wrong secret":                      {basic(other.ID, "wrong"), wantBasic},
		"wrong secret in the body":          {body(other.ID, "wrong"), wantBody},
		"no secret":                         {basic(other.ID, ""), wantBasic},
		"only its name":                     {body(other.ID, ""), wantBody},
		"another client's secret":           {basic(deleted.Client.ID, secret), wantBasic},
		"deleted":                           {basic(deleted.Client.ID, deleted.Secret.Reveal()), wantBasic},
		"native":                            {basic(native.Client.ID, "x"), wantBasic},
		"native, by its name":               {body(native.Client.ID, ""), wantBody},
		"public with a secret":              {basic(public.Client.ID, "x"), wantBasic},
		"keyed with a secret":               {body(keyed.Client.ID, "x"), wantBody},
		"keyed, by its name":                {body(keyed.Client.ID, ""), wantBody},
		"not an id":                         {body("a b\x7f", "x"), wantBody},
		"a very long id":                    {body(strings.Repeat("x", 1000), "x"), wantBody},
		"another scheme":                    {post(h, apitest.TokenPath, unknownCode, "Authorization", "Bearer x"), wantBasic},
		"broken Basic":                      {post(h, apitest.TokenPath, unknownCode, "Authorization", "Basic ???"), wantBasic},
		"broken encoding in Basic":          {post(h, apitest.TokenPath, unknownCode, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("%zz:x"))), wantBasic},
		"an assertion of nobody":            {asserted(keyed, "nobody"), wantBody},
		"an assertion as another":           {asserted(keyed, other.ID), wantBody},
		"an assertion as the native client": {asserted(keyed, native.Client.ID), wantBody},
	} {
		if c.got.Status != c.want.Status || c.got.Text != c.want.Text {
			t.Errorf("%s: got %d %s, want %d %s", name, c.got.Status, c.got.Text, c.want.Status, c.want.Text)
		}
		ignore := cmpopts.IgnoreMapEntries(func(k string, _ []string) bool { return k == "Date" || k == "X-Request-Id" })
		if diff := cmp.Diff(c.want.Header, c.got.Header, ignore); diff != "" {
			t.Errorf("%s: headers differ:\n%s", name, diff)
		}
		if strings.Contains(c.got.Text, secret) {
			t.Errorf("%s: the answer repeats the secret", name)
		}
	}
	if strings.Contains(h.Log.String(), secret) {
		t.Error("the log has the secret")
	}
	post(h, apitest.TokenPath, unknownCode).WantError(refused, "invalid_client")
}

// TestClient_thatIsPublicOnlySaysWhoItIs has x/oauth2's first try, too: Basic with an
// empty secret.
func TestClient_thatIsPublicOnlySaysWhoItIs(t *testing.T) {
	h := open(t)
	r := h.NewRelying(account.OAuth{Auth: account.AuthNone})
	post(h, apitest.TokenPath, with(unknownCode, F{"client_id": r.Client.ID})).WantError(badRequest, "invalid_grant")
	post(h, apitest.TokenPath, unknownCode, "Authorization", apitest.Basic(r.Client.ID, "")).WantError(badRequest, "invalid_grant")
	post(h, apitest.TokenPath, with(unknownCode, F{"client_id": r.Client.ID, "client_secret": ""})).WantError(badRequest, "invalid_grant")
}

func TestClient_mayBeRelaxedAtTheDeviceEndpointAlone(t *testing.T) {
	h := open(t)
	for _, relaxed := range []bool{false, true} {
		r := h.NewRelying(account.OAuth{Relaxed: relaxed})
		named := F{"client_id": r.Client.ID}
		if relaxed {
			post(h, apitest.DevicePath, named).Want(ok)
		} else {
			post(h, apitest.DevicePath, named).WantError(refused, "invalid_client")
		}
		post(h, apitest.DevicePath, with(named, F{"client_secret": "wrong"})).WantError(refused, "invalid_client")
		post(h, apitest.DevicePath, with(named, F{"client_secret": r.Secret.Reveal()})).Want(ok)
		post(h, apitest.TokenPath, with(unknownCode, named)).WantError(refused, "invalid_client")
	}
}

func TestClientAssertion_isGoodOnceAndForThisServer(t *testing.T) {
	h := open(t)
	r := h.NewRelying(account.OAuth{Auth: account.AuthPrivateKey})
	now := time.Now()
	send := func(path, assertion string) apitest.Reply {
		return post(h, path, with(unknownCode, F{
			"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion": assertion,
		}))
	}
	for name, c := range map[string]struct {
		spoil func(M)
		right bool
	}{
		"as it should be":        {nil, true},
		"for the token endpoint": {func(c M) { c["aud"] = h.URL + "/oauth/token" }, true},
		"for both":               {func(c M) { c["aud"] = []string{h.URL, h.URL + "/oauth/token"} }, true},
		"an hour":                {func(c M) { c["exp"] = now.Add(59 * time.Minute).Unix() }, true},
		"without iat":            {func(c M) { delete(c, "iat") }, true},
		"a clock ahead":          {func(c M) { c["iat"] = now.Add(30 * time.Second).Unix() }, true},
		"for another server":     {func(c M) { c["aud"] = "https://other.example" }, false},
		"for others as well":     {func(c M) { c["aud"] = []string{h.URL, "https://other.example"} }, false},
		"for nobody":             {func(c M) { delete(c, "aud") }, false},
		"another subject":        {func(c M) { c["sub"] = "another" }, false},
		"no subject":             {func(c M) { delete(c, "sub") }, false},
		"no exp":                 {func(c M) { delete(c, "exp") }, false},
		"expired":                {func(c M) { c["exp"] = now.Add(-time.Second).Unix() }, false},
		"more than an hour":      {func(c M) { c["exp"] = now.Add(2 * time.Hour).Unix() }, false},
		"not yet":                {func(c M) { c["nbf"] = now.Add(10 * time.Minute).Unix() }, false},
		"from the future":        {func(c M) { c["iat"] = now.Add(10 * time.Minute).Unix() }, false},
		"no jti":                 {func(c M) { delete(c, "jti") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			reply := send(apitest.TokenPath, r.Assertion(c.spoil))
			if c.right {
				reply.WantError(badRequest, "invalid_grant")
			} else {
				reply.WantError(refused, "invalid_client")
			}
		})
	}

	once := r.Assertion(nil)
	send(apitest.TokenPath, once).WantError(badRequest, "invalid_grant")
	send(apitest.TokenPath, once).WantError(refused, "invalid_client")
	send(apitest.DevicePath, once).WantError(refused, "invalid_client")
	send(apitest.DevicePath, r.Assertion(func(c M) { c["aud"] = h.URL + "/oauth/device_authorization" })).Want(ok)

	proof := apitest.SignJWT(h.House, r.Key, "oauth-authz-req+jwt", nil, M{
		"iss": r.Client.ID, "sub": r.Client.ID, "aud": h.URL, "jti": "1", "exp": now.Add(time.Minute).Unix(),
	})
	send(apitest.TokenPath, proof).WantError(refused, "invalid_client") // made for something else
	post(h, apitest.TokenPath, with(unknownCode, F{"client_assertion": once})).WantError(badRequest, "invalid_request")
	post(h, apitest.TokenPath, with(unknownCode, F{
		"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer", "client_assertion": once,
	})).WantError(badRequest, "invalid_request")
}

func TestClient_isUnavailableWithItsStore(t *testing.T) {
	h := open(t)
	r := h.NewRelying(account.OAuth{})
	h.store.down.Store(true)
	reply := r.Post(apitest.DevicePath, nil).WantError(http.StatusServiceUnavailable, "temporarily_unavailable")
	if reply.Header.Get("Retry-After") == "" {
		t.Error("got no Retry-After")
	}
}
