package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"
)

func TestJWKS_published(t *testing.T) {
	store, c := &memStore{}, newClock()
	r, other := openRing(t, store, c), openRing(t, store, c)
	first := currentKID(t, r, c.Now())
	next := addKey(t, r, epoch.Add(time.Hour))
	store.change(func(s *memStore) { s.rows[0].KeepUntil = epoch.Add(2 * time.Hour) })
	for _, step := range []struct {
		after time.Duration
		want  []string
	}{{time.Second, []string{next, first}}, {2 * time.Hour, []string{next}}} {
		c.advance(epoch.Add(step.after).Sub(c.Now()))
		if got := jwksKIDs(t, other, AlgES256); !slices.Equal(got, step.want) {
			t.Errorf("after %s: got %v, want %v", step.after, got, step.want)
		}
	}
}

// jwksKIDs lists the published keys of an algorithm.
func jwksKIDs(t *testing.T, r *Ring, alg string) []string {
	t.Helper()
	raw, err := r.JWKS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(raw, &set); err != nil {
		t.Fatal(err)
	}
	var kids []string
	for _, k := range set.Keys {
		ec := k["alg"] == "ES256" && k["kty"] == "EC" && k["crv"] == "P-256" && k["x"] != "" && k["y"] != "" && len(k) == 7
		rsa := k["alg"] == "RS256" && k["kty"] == "RSA" && k["n"] != "" && k["e"] == "AQAB" && len(k) == 6
		if !ec && !rsa || k["use"] != "sig" || k["kid"] == "" {
			t.Errorf("got %v, want a public ES256 or RS256 key and nothing else", k)
		}
		if k["alg"] == alg {
			kids = append(kids, k["kid"])
		}
	}
	return kids
}

func TestPEM_currentAndNamed(t *testing.T) {
	store, c := &memStore{}, newClock()
	r, other := openRing(t, store, c), openRing(t, store, c)
	kid := addKey(t, r, epoch)
	named, err := other.PEM(t.Context(), kid) // other has to look first
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(named, []byte("-----BEGIN PUBLIC KEY-----\n")) || bytes.Contains(named, []byte("\r")) {
		t.Errorf("got %q, want SubjectPublicKeyInfo with LF line ends", named)
	}
	public, err := ParsePublicKey(named)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := thumbprint(public); got != kid {
		t.Errorf("PEM of %s holds key %s", kid, got)
	}
	current, err := other.PEM(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	want, _ := other.PEM(t.Context(), currentKID(t, other, c.Now()))
	if !bytes.Equal(current, want) {
		t.Errorf("without kid: got %s, want the current key %s", current, want)
	}
	if _, err := other.PEM(t.Context(), "made-up"); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("made-up kid: got %v, want ErrUnknownKey", err)
	}
}
