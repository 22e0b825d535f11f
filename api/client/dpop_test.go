package client_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/nod-auth/nod/api/client"
)

func newKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// proven is what a proof says, once its signature was checked with the key in it.
type proven struct {
	JTI, HTM, HTU, Nonce, ATH string
	IAT                       int64
}

func readProof(t *testing.T, proof string, key *ecdsa.PrivateKey) proven {
	t.Helper()
	signed, err := jose.ParseSignedCompact(proof, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatalf("proof %q: %v", proof, err)
	}
	head := signed.Signatures[0].Protected
	public, ok := head.JSONWebKey.Key.(*ecdsa.PublicKey)
	if !ok || !public.Equal(&key.PublicKey) || !head.JSONWebKey.IsPublic() || head.ExtraHeaders[jose.HeaderType] != "dpop+jwt" {
		t.Fatalf("header of the proof: got %+v, want the public key and dpop+jwt", head)
	}
	payload, err := signed.Verify(public)
	if err != nil {
		t.Fatal(err)
	}
	var p proven
	if err := json.Unmarshal(payload, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestLogin_proves_its_key_with_the_newest_nonce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard told
		key := newKey(t, elliptic.P256())
		proof, err := client.NewDPoP(key)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		check := func(c call, place, nonce string) said {
			p := readProof(t, c.Header.Get("DPoP"), key)
			if seen[p.JTI] || p.JTI == "" || p.HTM != "POST" || p.HTU != issuer+place || p.IAT != time.Now().Unix() || p.ATH != "" {
				t.Errorf("proof: got %+v for POST %s", p, place)
			}
			seen[p.JTI] = true
			if p.Nonce != nonce {
				return fault("use_dpop_nonce").with("DPoP-Nonce", nonce)
			}
			return said{}
		}
		s := &stand{t: t}
		s.device = func(c call) said {
			if refused := check(c, "/device_authorization", "n-1"); refused.status != 0 {
				return refused
			}
			return says(200, newCode(600, 5)).with("DPoP-Nonce", "n-2")
		}
		s.poll = func(c call) said {
			if refused := check(c, "/token", []string{"n-2", "n-3", "n-4", "n-4"}[len(s.polled)-1]); refused.status != 0 {
				return refused
			}
			if len(s.polled) == 1 {
				return pending.with("DPoP-Nonce", "n-3")
			}
			if len(s.polled) == 2 {
				return pending
			}
			return says(200, `{"access_token":"at-1","token_type":"DPoP"}`)
		}
		c := s.config(&heard)
		c.DPoP = proof
		got, err := client.Login(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if got.TokenType != "DPoP" || len(s.asked) != 2 || len(s.polled) != 4 {
			t.Errorf("got type %s after %d requests and %d polls, want DPoP after 2 and 4", got.TokenType, len(s.asked), len(s.polled))
		}
	})
}

// A server that wants ever other nonces is not asked in a loop.
func TestLogin_nonces_without_end(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard told
		proof, err := client.NewDPoP(newKey(t, elliptic.P256()))
		if err != nil {
			t.Fatal(err)
		}
		s := &stand{t: t}
		s.device = func(call) said { return fault("use_dpop_nonce").with("DPoP-Nonce", rand.Text()) }
		c := s.config(&heard)
		c.DPoP = proof
		_, err = client.Login(t.Context(), c)
		if err == nil || !strings.Contains(err.Error(), "use_dpop_nonce") || len(s.asked) != 2 {
			t.Errorf("got %v after %d requests, want use_dpop_nonce after 2", err, len(s.asked))
		}
	})
}

func TestDPoP_proof_for_a_resource(t *testing.T) {
	key := newKey(t, elliptic.P256())
	d, err := client.NewDPoP(key)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := d.Proof("GET", "https://me@api.example.com/things?page=2#top", "token", "n-1")
	if err != nil {
		t.Fatal(err)
	}
	got := readProof(t, proof, key)
	sum := sha256.Sum256([]byte("token"))
	want := base64.RawURLEncoding.EncodeToString(sum[:])
	if got.HTU != "https://api.example.com/things" || got.HTM != "GET" || got.Nonce != "n-1" || got.ATH != want {
		t.Errorf("proof: got %+v, want it for GET https://api.example.com/things, n-1 and %s", got, want)
	}
}

func TestNewDPoP_takes_P256_alone(t *testing.T) {
	for name, key := range map[string]*ecdsa.PrivateKey{"P-384": newKey(t, elliptic.P384()), "none": nil} {
		if _, err := client.NewDPoP(key); err == nil {
			t.Errorf("%s: got a DPoP, want an error", name)
		}
	}
}
