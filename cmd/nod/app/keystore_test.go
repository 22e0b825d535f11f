package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/sqlstore"
	"github.com/nod-auth/nod/approval/sqlstore/freshdb"
	"github.com/nod-auth/nod/approval/testservers"
)

// handClock is a clock that moves when it is told to.
type handClock struct{ at atomic.Int64 }

func (c *handClock) now() time.Time { return time.UnixMicro(c.at.Load()).UTC() }

func (c *handClock) advance(d time.Duration) { c.at.Add(d.Microseconds()) }

// keyNode is what of a node signs and verifies.
type keyNode struct {
	*token.Ring
	store *sqlstore.Store
}

func openKeyNode(t *testing.T, where string, c *handClock) keyNode {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), where, sqlstore.WithClock(c.now))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	ring, err := token.Open(t.Context(), signingKeys{store}, bytes.Repeat([]byte{7}, 32), c.now)
	if err != nil {
		t.Fatal(err)
	}
	return keyNode{ring, store}
}

// liveToken is one that must verify until it expires.
type liveToken struct {
	compact string
	expires time.Time
}

// I14 on real databases: two nodes rotate each second, and sign and verify all the
// while; every token verifies at both, and with what either publishes, to its end.
func TestSigningKeys_rotated_each_second_under_load(t *testing.T) {
	const (
		rounds = 40
		life   = 10 * time.Second
	)
	for name, where := range map[string]func(t *testing.T) string{
		"SQLite":     func(t *testing.T) string { return freshdb.File(t) },
		"PostgreSQL": func(t *testing.T) string { return testservers.StartPostgres(t).Fresh() },
	} {
		t.Run(name, func(t *testing.T) {
			path, c := where(t), &handClock{}
			c.at.Store(time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC).UnixMicro())
			nodes := []keyNode{openKeyNode(t, path, c), openKeyNode(t, path, c)}
			var live []liveToken
			kids := map[string]bool{}
			for round := range rounds {
				var load sync.WaitGroup
				load.Go(func() {
					if _, err := nodes[round%2].Rotate(t.Context(), time.Second, life); err != nil {
						t.Errorf("round %d: %v", round, err)
					}
					if err := nodes[1-round%2].Tend(t.Context(), life); err != nil {
						t.Errorf("round %d: %v", round, err)
					}
				})
				made := make([]liveToken, len(nodes))
				for i, n := range nodes {
					load.Go(func() {
						made[i] = n.sign(t, life)
						for _, l := range live {
							n.verify(t, l)
						}
					})
				}
				load.Wait()
				live = append(live, made...)
				for len(live) > 0 && !c.now().Add(time.Second).Before(live[0].expires) {
					live = live[1:]
				}
				for _, n := range nodes {
					n.verifyOutside(t, live, kids)
				}
				if t.Failed() {
					return
				}
				c.advance(time.Second)
			}
			c.advance(3 * time.Minute)
			if err := nodes[0].Tend(t.Context(), life); err != nil {
				t.Fatal(err)
			}
			rows, err := nodes[1].store.SigningKeys(t.Context())
			if err != nil || len(kids) < rounds-1 || len(rows) != 2 {
				t.Errorf("%d keys signed and %d are left, %v; want one a second, and the last of each algorithm left", len(kids), len(rows), err)
			}
		})
	}
}

func (n keyNode) sign(t *testing.T, life time.Duration) liveToken {
	now, err := n.store.Now(t.Context())
	if err != nil {
		t.Error(err)
	}
	kid, err := n.Current(t.Context(), now)
	if err != nil {
		t.Error(err)
	}
	login := token.Login{Issuer: "https://nod.example", Audience: "tv", IssuedAt: now.Unix(), Expires: now.Add(life).Unix()}
	compact, err := n.Sign(t.Context(), kid, "JWT", login)
	if err != nil {
		t.Errorf("sign with %s: %v", kid, err)
	}
	return liveToken{compact, now.Add(life)}
}

func (n keyNode) verify(t *testing.T, l liveToken) {
	_, err := n.Verify(t.Context(), l.compact, token.Expect{Issuer: "https://nod.example", Audience: "tv", Typ: "JWT"})
	if err != nil {
		t.Errorf("verify a token that expires at %s: %v", l.expires, err)
	}
}

// verifyOutside knows nothing but the published keys.
func (n keyNode) verifyOutside(t *testing.T, live []liveToken, kids map[string]bool) {
	raw, err := n.JWKS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(raw, &set); err != nil {
		t.Fatal(err)
	}
	for _, l := range live {
		jws, err := jose.ParseSignedCompact(l.compact, []jose.SignatureAlgorithm{jose.ES256})
		if err != nil {
			t.Fatal(err)
		}
		kid := jws.Signatures[0].Header.KeyID
		kids[kid] = true
		keys := set.Key(kid)
		if len(keys) != 1 {
			t.Errorf("%s signed a token that expires at %s, and is published %d times", kid, l.expires, len(keys))
			continue
		}
		if _, err := jws.Verify(keys[0].Key); err != nil {
			t.Errorf("verify: %v", err)
		}
	}
}

func TestSigningKeys_deliver_again_as_long_as_the_core_does(t *testing.T) {
	c := &handClock{}
	c.advance(time.Hour)
	n := openKeyNode(t, freshdb.File(t), c)
	all, err := n.Rotate(t.Context(), token.Lead, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	is := all[0]
	c.advance(is.At.Sub(c.now()) - time.Microsecond)
	last := n.sign(t, time.Minute)
	c.advance(approval.RedeliveryWindow + time.Second)
	if err := n.Tend(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Sign(t.Context(), is.Old, "JWT", token.Login{}); err != nil {
		t.Errorf("within the redelivery window of its last token: %v", err)
	}
	c.advance(time.Minute)
	if err := n.Tend(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Sign(t.Context(), is.Old, "JWT", token.Login{}); !errors.Is(err, token.ErrUnknownKey) {
		t.Errorf("a minute after it: got %v, want the private half gone", err)
	}
	if n.verifyOutside(t, []liveToken{last}, map[string]bool{}); t.Failed() {
		t.Error("but the public half must stay")
	}
}

// The tokens of the standard faces live as long as their client says, which may be
// longer than those of the native face do.
func TestSigningKeys_are_kept_for_the_longest_token_of_any_client(t *testing.T) {
	core := openCore(t, testConfig(t))
	ctx := t.Context()
	namespace, err := core.Directory.Namespace(ctx, approval.DefaultNamespace)
	if err != nil {
		t.Fatal(err)
	}
	client := func(access, id time.Duration) {
		_, err := core.Directory.CreateClient(ctx, approval.NewClient{Client: account.Client{
			Name: "TV", Type: account.ClientOAuth, NamespaceID: namespace.ID, OAuth: &account.OAuth{
				Grants: []account.GrantType{account.GrantDeviceCode}, Auth: account.AuthNone, AccessLife: access, IDTokenLife: id,
			},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	client(2*time.Hour, time.Minute)
	is, err := core.RotateKeys(ctx, token.Lead)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range is {
		if kept := r.OldUntil.Sub(r.At); kept < 2*time.Hour {
			t.Errorf("%s: kept for %s after the rotation, want the two hours of an access token", r.Alg, kept)
		}
	}
	client(time.Minute, 3*time.Hour) // registered since
	if err := core.tendKeys(ctx); err != nil {
		t.Fatal(err)
	}
	keys, err := core.Ring.Keys(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if k.State == token.KeyCurrent && k.KeepUntil.Sub(k.UseUntil) < 3*time.Hour {
			t.Errorf("%s: kept until %s, want the three hours of an ID token", k.Alg, k.KeepUntil)
		}
	}
}

func TestTendKeys_goes_on_until_told_to_stop(t *testing.T) {
	c := testConfig(t)
	synctest.Test(t, func(t *testing.T) {
		core := openCore(t, c)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- core.TendKeys(ctx, quiet) }()
		time.Sleep(10 * tendEvery)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestJWKS_is_cached_as_long_as_a_rotation_expects(t *testing.T) {
	s, _ := start(t, testConfig(t))
	r, err := client.Get("http://" + s.Address() + "/.well-known/jwks.json")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	want := fmt.Sprintf("public, max-age=%d", int(token.CacheFor.Seconds()))
	if got := r.Header.Get("Cache-Control"); r.StatusCode != http.StatusOK || got != want {
		t.Errorf("got %d and Cache-Control %q, want %q", r.StatusCode, got, want)
	}
}
