package token

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

func currentRSA(t testing.TB, r *Ring, now time.Time) string {
	t.Helper()
	kid, err := r.CurrentFor(t.Context(), now, AlgRS256)
	if err != nil {
		t.Fatalf("current RS256 key: %v", err)
	}
	return kid
}

// expectIDToken is what an id_token_hint is held to.
func expectIDToken() Expect {
	e := expectLogin()
	e.Algs, e.AnyTime = []string{AlgES256, AlgRS256}, true
	return e
}

func TestSign_withRS256(t *testing.T) {
	store, c := &memStore{}, newClock()
	r, other := openRing(t, store, c), openRing(t, store, c)
	kid := currentRSA(t, r, c.Now())
	if again := currentRSA(t, other, c.Now()); again != kid {
		t.Errorf("the nodes sign with %s and %s, want one key", kid, again)
	}
	compact := sign(t, r, kid, exampleLogin())
	if again := sign(t, other, kid, exampleLogin()); again != compact {
		t.Errorf("the other node signs\n got %s\nwant %s", again, compact)
	}
	raw, err := r.JWKS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(raw, &set); err != nil {
		t.Fatal(err)
	}
	jws, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	header := jws.Signatures[0].Header
	if header.KeyID != kid || header.ExtraHeaders["typ"] != "JWT" {
		t.Errorf("header: got %+v, want kid %s and typ JWT", header, kid)
	}
	found := set.Key(kid)
	if len(found) != 1 || found[0].Algorithm != AlgRS256 {
		t.Fatalf("published as %v, want one RS256 key", found)
	}
	if _, err := jws.Verify(found[0].Key); err != nil {
		t.Errorf("verified with what is published: %v", err)
	}
	if bits := found[0].Key.(*rsa.PublicKey).N.BitLen(); bits != 2048 {
		t.Errorf("the key has %d bits, want 2048", bits)
	}
}

func TestPEM_ofAnRSAKey(t *testing.T) {
	b, r := newBench(t)
	text, err := r.PEM(t.Context(), b.rsaKID)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil || !b.rsaPrivate.PublicKey.Equal(public) {
		t.Errorf("got %s, %v; want the RSA key's public half", text, err)
	}
}

// A database of the version before has no RS256 key. Verifiers may still keep what
// that version published when the first one is made.
func TestOpen_databaseOfTheVersionBefore(t *testing.T) {
	store, c := &memStore{}, newClock()
	kid := currentKID(t, openRing(t, store, c), c.Now())
	store.rows = store.rows[:1]
	was := store.rows[0]
	c.advance(time.Hour)
	r := openRing(t, store, c)
	c.advance(time.Second)
	other := openRing(t, store, c)
	if len(store.rows) != 2 || !sameTimes(store.rows[0], was) {
		t.Fatalf("got %+v, want the ES256 key as it was and one of RS256", store.rows)
	}
	first := store.rows[1]
	at := epoch.Add(time.Hour + Lead)
	if first.Alg != AlgRS256 || !first.UseFrom.Equal(at) {
		t.Errorf("got %s from %s, want RS256 from %s", first.Alg, first.UseFrom, at)
	}
	if is, err := other.Rotate(t.Context(), Lead, testLife); !errors.Is(err, ErrRotating) ||
		!slices.Equal(is, []Rotation{{Alg: AlgRS256, New: first.KID, At: at}}) {
		t.Errorf("rotate meanwhile: got %+v, %v; want ErrRotating", is, err)
	}
	for _, step := range []struct {
		at    time.Time
		signs bool
	}{{c.Now(), false}, {at.Add(-time.Microsecond), false}, {at, true}} {
		c.advance(step.at.Sub(c.Now()))
		for name, ring := range map[string]*Ring{"first": r, "other": other} {
			if got := jwksKIDs(t, ring, AlgRS256); !slices.Equal(got, []string{first.KID}) {
				t.Errorf("at %s, %s: published %v, want %s", step.at, name, got, first.KID)
			}
			got, err := ring.CurrentFor(t.Context(), c.Now(), AlgRS256)
			if step.signs != (got == first.KID && err == nil) || !step.signs && !errors.Is(err, ErrUnknownKey) {
				t.Errorf("at %s, %s: got %q, %v; want it to sign: %v", step.at, name, got, err, step.signs)
			}
			if got := currentKID(t, ring, c.Now()); got != kid {
				t.Errorf("at %s, %s: ES256 signs with %s, want %s", step.at, name, got, kid)
			}
		}
	}
	rotate(t, r, Lead)
}

func TestCurrentFor_clockSteppedBack(t *testing.T) {
	store, c := &memStore{}, newClock()
	r := openRing(t, store, c)
	want := currentRSA(t, r, c.Now())
	if got := currentRSA(t, r, epoch.Add(-5*time.Minute)); got != want {
		t.Errorf("got %s, want the key that begins first, %s", got, want)
	}
}

func TestCurrentFor_noSuchAlgorithm(t *testing.T) {
	c := newClock()
	r := openRing(t, &memStore{}, c)
	for _, alg := range []string{"", "none", "HS256", "ES384"} {
		if kid, err := r.CurrentFor(t.Context(), c.Now(), alg); !errors.Is(err, ErrUnknownKey) {
			t.Errorf("%q: got %q, %v; want ErrUnknownKey", alg, kid, err)
		}
	}
}

func TestOpen_makesRSAKeyWhenAllHaveEnded(t *testing.T) {
	store, c := &memStore{}, newClock()
	old := currentRSA(t, openRing(t, store, c), c.Now())
	store.rows[1].UseUntil = epoch.Add(time.Hour)
	c.advance(2 * time.Hour)
	r := openRing(t, store, c)
	c.advance(Lead)
	if got := currentRSA(t, r, c.Now()); got == old || len(store.rows) != 3 {
		t.Errorf("got %s of %d keys, want a second RS256 key", got, len(store.rows))
	}
}

func TestOpen_refusesDamagedRSARows(t *testing.T) {
	for name, test := range map[string]struct {
		damage func(es, rs *StoredKey)
		want   error
	}{
		"algorithms swapped":        {func(es, rs *StoredKey) { es.Alg, rs.Alg = rs.Alg, es.Alg }, ErrDamagedKey},
		"called ES256":              {func(_, rs *StoredKey) { rs.Alg = AlgES256 }, ErrDamagedKey},
		"public half of ES256":      {func(es, rs *StoredKey) { rs.Public = es.Public }, ErrDamagedKey},
		"private half of ES256":     {func(es, rs *StoredKey) { rs.Sealed = es.Sealed }, ErrDamagedKey},
		"public half cut short":     {func(_, rs *StoredKey) { rs.Public = rs.Public[:100] }, ErrDamagedKey},
		"sealed half changed":       {func(_, rs *StoredKey) { rs.Sealed[50] ^= 1 }, ErrDamagedKey},
		"a small key":               {func(_, rs *StoredKey) { *rs = smallRSA() }, ErrDamagedKey},
		"another algorithm's label": {func(_, rs *StoredKey) { rs.Alg = "PS256" }, nil},
		"private half gone":         {func(_, rs *StoredKey) { rs.Sealed = nil }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			store, c := &memStore{}, newClock()
			openRing(t, store, c)
			for i := range store.rows {
				store.rows[i].Sealed = bytes.Clone(store.rows[i].Sealed)
			}
			test.damage(&store.rows[0], &store.rows[1])
			if _, err := Open(t.Context(), store, sealKey(7), c.Now); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// smallRSA has 1024 bits. That nobody knows its private half does not matter.
func smallRSA() StoredKey {
	public := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(0x1001), 1011), E: 65537}
	public.N.SetBit(public.N, 0, 1)
	spki, _ := x509.MarshalPKIXPublicKey(public)
	kid, _ := thumbprint(public)
	return StoredKey{KID: kid, Alg: AlgRS256, Public: spki}
}

func TestVerify_idTokenHints(t *testing.T) {
	c := newClock()
	r := openRing(t, &memStore{}, c)
	es := sign(t, r, currentKID(t, r, c.Now()), exampleLogin())
	rs := sign(t, r, currentRSA(t, r, c.Now()), exampleLogin())
	late := func(e Expect) Expect { e.Now = epoch.Add(24 * time.Hour); return e }
	early := func(e Expect) Expect { e.Now = epoch.Add(-24 * time.Hour); return e }
	only := func(algs ...string) Expect { e := expectLogin(); e.Algs = algs; return e }
	timely := expectIDToken()
	timely.AnyTime = false
	for _, test := range []struct {
		name, token string
		expect      Expect
		want        error
	}{
		{"ES256 by default", es, expectLogin(), nil},
		{"RS256 by default", rs, expectLogin(), ErrMalformed},
		{"ES256 where only RS256 is", es, only(AlgRS256), ErrMalformed},
		{"RS256 where only RS256 is", rs, only(AlgRS256), nil},
		{"ES256 where nothing is", es, only([]string{}...), nil},
		{"either, ES256", es, expectIDToken(), nil},
		{"either, RS256", rs, expectIDToken(), nil},
		{"expired, ES256", es, late(expectIDToken()), nil},
		{"expired, RS256", rs, late(expectIDToken()), nil},
		{"not yet, RS256", rs, early(expectIDToken()), nil},
		{"expired, where that counts", rs, late(timely), ErrStale},
		{"not yet, where that counts", rs, early(timely), ErrStale},
	} {
		if _, err := r.Verify(t.Context(), test.token, test.expect); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
	}
}

// hostileRSA are those that only a verifier of both algorithms could fall for.
func (b *bench) hostileRSA() []hostile {
	rs := strings.Replace(b.header(""), b.kid, b.rsaKID, 1)
	as := func(alg string) string { return strings.Replace(rs, "ES256", alg, 1) }
	sig := b.rsaWith(crypto.SHA256, false)
	changed := func(f func([]byte) []byte) func([]byte) []byte {
		return func(input []byte) []byte { return f(sig(input)) }
	}
	zeros := func(n int) func([]byte) []byte { return func([]byte) []byte { return make([]byte, n) } }
	other := func(input []byte) []byte {
		private, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		digest := sha256.Sum256(input)
		out, _ := rsa.SignPKCS1v15(nil, private, crypto.SHA256, digest[:])
		return out
	}
	return []hostile{
		{"ES256 signature under the RSA key's kid", b.sign(rs, goodClaims), ErrSignature},
		{"ES256 signature as RS256", b.sign(as("RS256"), goodClaims), ErrSignature},
		{"RS256 under the ES256 key's kid", b.forge(b.withAlg(`"RS256"`), sig), ErrSignature},
		{"RS256 signature as ES256", b.forge(rs, sig), ErrSignature},
		{"RS256 of another key", b.forge(as("RS256"), other), ErrSignature},
		{"RS256 over SHA-512", b.forge(as("RS256"), b.rsaWith(crypto.SHA512, false)), ErrSignature},
		{"PSS as RS256", b.forge(as("RS256"), b.rsaWith(crypto.SHA256, true)), ErrSignature},
		{"PS256", b.forge(as("PS256"), b.rsaWith(crypto.SHA256, true)), ErrMalformed},
		{"RS384", b.forge(as("RS384"), b.rsaWith(crypto.SHA384, false)), ErrMalformed},
		{"RS512", b.forge(as("RS512"), b.rsaWith(crypto.SHA512, false)), ErrMalformed},
		{"rs256", b.forge(as("rs256"), sig), ErrMalformed},
		{"none under the RSA key's kid", b.forge(as("none"), zeros(1)), ErrMalformed},
		{"HS256 with the RSA PEM", b.forge(as("HS256"), hs256(b.rsaPEM)), ErrMalformed},
		{"HS256 as RS256", b.forge(as("RS256"), hs256(b.rsaPEM)), ErrSignature},
		{"RS256 signature cut short", b.forge(as("RS256"), changed(func(s []byte) []byte { return s[:255] })), ErrSignature},
		{"RS256 signature with a zero before", b.forge(as("RS256"), changed(func(s []byte) []byte { return append([]byte{0}, s...) })), ErrSignature},
		{"RS256 signature with a zero after", b.forge(as("RS256"), changed(func(s []byte) []byte { return append(s, 0) })), ErrSignature},
		{"RS256 signature plus the modulus", b.forge(as("RS256"), changed(b.plusModulus)), ErrSignature},
		{"RS256 signature zero", b.forge(as("RS256"), zeros(256)), ErrSignature},
		{"RS256 signature one", b.forge(as("RS256"), changed(func([]byte) []byte { return append(make([]byte, 255), 1) })), ErrSignature},
		{"RS256 signature of ones", b.forge(as("RS256"), changed(func([]byte) []byte { return bytes.Repeat([]byte{0xff}, 256) })), ErrSignature},
		{"RS256 signature of the bare digest", b.forge(as("RS256"), b.bareDigest), ErrSignature},
		{"RS256 without kid", b.forge(strings.Replace(as("RS256"), `,"kid":"`+b.rsaKID+`"`, "", 1), sig), ErrMalformed},
		{"RS256 with the key in jwk", b.forge(strings.Replace(as("RS256"), `}`, `,"jwk":{"kty":"RSA","n":"AQAB","e":"AQAB"}}`, 1), sig), ErrMalformed},
	}
}

// plusModulus is the same number modulo n, in as many bytes where it fits and else
// in one more.
func (b *bench) plusModulus(sig []byte) []byte {
	sum, carry := make([]byte, len(sig)+1), 0
	n := b.rsaPrivate.N.FillBytes(make([]byte, len(sig)))
	for i := len(sig) - 1; i >= 0; i-- {
		digit := int(sig[i]) + int(n[i]) + carry
		sum[i+1], carry = byte(digit), digit>>8
	}
	sum[0] = byte(carry)
	return bytes.TrimPrefix(sum, []byte{0})
}

// bareDigest lacks the DigestInfo (RFC 8017 section 9.2).
func (b *bench) bareDigest(input []byte) []byte {
	digest := sha256.Sum256(input)
	sig, _ := rsa.SignPKCS1v15(nil, b.rsaPrivate, 0, digest[:])
	return sig
}

func TestVerify_hostileIDTokenHints(t *testing.T) {
	b, r := newBench(t)
	good := b.forge(strings.Replace(b.withAlg(`"RS256"`), b.kid, b.rsaKID, 1), b.rsaWith(crypto.SHA256, false))
	if _, err := r.Verify(t.Context(), good, expectIDToken()); err != nil {
		t.Fatalf("the token all others are made from: %v", err)
	}
	// Of the shared table, one is refused for another reason: see hostileRSA.
	all := slices.DeleteFunc(b.hostile(), func(h hostile) bool { return h.name == "RS256" })
	for _, h := range slices.Concat(all, b.hostileTimes(), b.hostileRSA()) {
		claims, err := r.Verify(t.Context(), h.token, expectIDToken())
		if !errors.Is(err, h.want) || claims.JSON != nil {
			t.Errorf("%s: got %v, want %v", h.name, err, h.want)
		}
	}
}

func BenchmarkSignRS256(b *testing.B) {
	c := newClock()
	r := openRing(b, &memStore{}, c)
	kid, login := currentRSA(b, r, c.Now()), exampleLogin()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Sign(b.Context(), kid, "JWT", login); err != nil {
			b.Fatal(err)
		}
	}
}
