package oauth_test

import (
	"testing"
	"time"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/approval/account"
)

// nonceFor makes the client learn a nonce, as real ones do: by being refused once.
func nonceFor(r *apitest.Relying) {
	r.Helper()
	r.Proof.Nonce = ""
	reply := r.Poll("nothing").WantError(badRequest, "use_dpop_nonce")
	r.Proof.Nonce = reply.Header.Get("DPoP-Nonce")
	if r.Proof.Nonce == "" {
		r.Fatal("got no DPoP-Nonce")
	}
}

func TestDPoP_bindsTokensToTheFirstKeyThatIsShown(t *testing.T) {
	h := open(t)
	p := h.NewPerson("ada")
	for name, atTheDeviceEndpoint := range map[string]bool{"at the device endpoint": true, "at the token endpoint": false} {
		t.Run(name, func(t *testing.T) {
			r := h.NewRelying(account.OAuth{Auth: account.AuthNone})
			key, thief := h.NewProver(), h.NewProver()
			var b begun
			if atTheDeviceEndpoint {
				r.Proof = key
				nonceFor(r)
				b = begin(r, F{"scope": offline})
			} else { // openid-client sends none there
				b = begin(r, F{"scope": offline})
				r.Proof = key
				nonceFor(r)
				r.Poll(b.deviceCode).WantError(badRequest, "authorization_pending")
			}
			p.Approve(b.ref(), "")
			r.Proof = thief
			nonceFor(r)
			r.Poll(b.deviceCode).WantError(badRequest, "invalid_grant")
			r.Proof = nil
			r.Poll(b.deviceCode).WantError(badRequest, "invalid_grant")

			r.Proof = key
			reply := r.Poll(b.deviceCode).Want(ok)
			if got := reply.S("token_type"); got != "DPoP" {
				t.Errorf("got token_type %s, want DPoP", got)
			}
			if reply.Header.Get("DPoP-Nonce") == "" {
				t.Error("got no fresh DPoP-Nonce")
			}
			cnf, _ := claimsOf(h.House, reply.S("access_token"), "at+jwt", r.Client.ID)["cnf"].(M)
			if cnf["jkt"] != key.JKT() {
				t.Errorf("got cnf %v, want the key's thumbprint %s", cnf, key.JKT())
			}

			token := reply.S("refresh_token") // is bound to it as well
			for _, wrong := range []*apitest.Prover{nil, thief} {
				r.Proof = wrong
				r.Refresh(token).WantError(badRequest, "invalid_grant")
			}
			r.Proof = key
			if again := r.Refresh(token).Want(ok); again.S("token_type") != "DPoP" {
				t.Errorf("got token_type %s after a refresh, want DPoP", again.S("token_type"))
			}
		})
	}
}

func TestDPoP_proofIsForThisCallOnceAndFresh(t *testing.T) {
	h := open(t)
	r := h.NewRelying(account.OAuth{})
	key := h.NewProver()
	r.Proof = key
	nonceFor(r)
	r.Proof = nil
	url := h.URL + apitest.TokenPath
	send := func(proof string) apitest.Reply {
		c := r.Call(apitest.TokenPath, unknownCode)
		c.Header["DPoP"] = proof
		return h.Do(c)
	}
	const taken = "invalid_grant" // the proof is: the code is not
	for name, c := range map[string]struct {
		proof string
		code  string
	}{
		"as it should be":      {key.Sign("POST", url, nil), taken},
		"with a query":         {key.Sign("POST", url+"?x=1#y", nil), taken},
		"a clock that is off":  {key.Sign("POST", url, func(c M) { c["iat"] = 1_000_000 }), taken}, // the nonce counts
		"another method":       {key.Sign("GET", url, nil), "invalid_dpop_proof"},
		"another endpoint":     {key.Sign("POST", h.URL+apitest.DevicePath, nil), "invalid_dpop_proof"},
		"another host":         {key.Sign("POST", "https://other.example/oauth/token", nil), "invalid_dpop_proof"},
		"no htu":               {key.Sign("POST", url, func(c M) { delete(c, "htu") }), "invalid_dpop_proof"},
		"no jti":               {key.Sign("POST", url, func(c M) { delete(c, "jti") }), "invalid_dpop_proof"},
		"no nonce":             {key.Sign("POST", url, func(c M) { delete(c, "nonce") }), "use_dpop_nonce"},
		"a nonce of its own":   {key.Sign("POST", url, func(c M) { c["nonce"] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" }), "use_dpop_nonce"},
		"no proof at all":      {"x", "invalid_dpop_proof"},
		"two in one header":    {key.Sign("POST", url, nil) + ", " + key.Sign("POST", url, nil), "invalid_dpop_proof"},
		"a JWT of another typ": {apitest.SignJWT(h.House, key.Key, "JWT", nil, M{"htm": "POST", "htu": url, "jti": "1"}), "invalid_dpop_proof"},
	} {
		reply := send(c.proof)
		if reply.Status != badRequest || reply.JSON["error"] != c.code {
			t.Errorf("%s: got %d %s, want 400 %s", name, reply.Status, reply.Text, c.code)
		}
		if reply.Header.Get("DPoP-Nonce") == "" {
			t.Errorf("%s: got no DPoP-Nonce", name)
		}
	}

	once := key.Sign("POST", url, nil)
	send(once).WantError(badRequest, taken)
	send(once).WantError(badRequest, "invalid_dpop_proof")

	old := key.Sign("POST", url, nil)
	h.advance(5 * time.Minute)
	send(old).WantError(badRequest, "use_dpop_nonce")
	send(once).WantError(badRequest, "use_dpop_nonce") // forgotten by then, and worth nothing
}

func TestDPoP_isNeededWhereTheClientIsRegisteredSo(t *testing.T) {
	h := open(t)
	p, r := h.NewPerson("ada"), h.NewRelying(account.OAuth{RequireDPoP: true})
	b := begin(r, nil)
	p.Approve(b.ref(), "")
	r.Poll(b.deviceCode).WantError(badRequest, "invalid_dpop_proof")
	r.Proof = h.NewProver()
	nonceFor(r)
	r.Poll(b.deviceCode).Want(ok)
}
