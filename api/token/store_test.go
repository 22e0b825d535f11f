package token

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sync"
	"testing"
	"time"
)

var epoch = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// clock is a hand-set clock.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: epoch} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// memStore keeps what KeyStore promises, in memory.
type memStore struct {
	mu     sync.Mutex
	clock  func() time.Time // nil: it stands at the epoch
	rows   []StoredKey
	reads  int
	fail   error
	inRead func() // runs after a read has taken its rows
}

func (s *memStore) SigningKeys(ctx context.Context) ([]StoredKey, time.Time, error) {
	s.mu.Lock()
	s.reads++
	rows, now, err, inRead := slices.Clone(s.rows), s.now(), s.fail, s.inRead
	s.mu.Unlock()
	if inRead != nil {
		inRead()
	}
	return rows, now, cmp.Or(err, ctx.Err())
}

func (s *memStore) ChangeSigningKeys(_ context.Context, change func(time.Time, []StoredKey) ([]StoredKey, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	rows, err := change(s.now(), slices.Clone(s.rows))
	if err == nil {
		s.rows = rows
	}
	return err
}

func (s *memStore) now() time.Time {
	if s.clock == nil {
		return epoch
	}
	return s.clock()
}

func (s *memStore) readCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}

func (s *memStore) change(f func(*memStore)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

func sealKey(fill byte) []byte { return bytes.Repeat([]byte{fill}, 32) }

func openRing(t testing.TB, store KeyStore, c *clock) *Ring {
	t.Helper()
	if s, ok := store.(*memStore); ok && s.clock == nil {
		s.clock = c.Now
	}
	r, err := Open(t.Context(), store, sealKey(7), c.Now)
	if err != nil {
		t.Fatalf("open ring: %v", err)
	}
	return r
}

// addKey adds an ES256 key that signs from then on, and ends none.
func addKey(t testing.TB, r *Ring, from time.Time) (kid string) {
	t.Helper()
	k, err := r.seal.generate(AlgES256)
	if err != nil {
		t.Fatal(err)
	}
	add := func(_ time.Time, keys []StoredKey) ([]StoredKey, error) { return append(keys, k.from(from)), nil }
	if err := r.store.ChangeSigningKeys(t.Context(), add); err != nil {
		t.Fatal(err)
	}
	if err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	return k.KID
}

func currentKID(t testing.TB, r *Ring, now time.Time) string {
	t.Helper()
	kid, err := r.Current(t.Context(), now)
	if err != nil {
		t.Fatalf("current key: %v", err)
	}
	return kid
}

func sign(t testing.TB, r *Ring, kid string, claims any) string {
	t.Helper()
	compact, err := r.Sign(t.Context(), kid, "JWT", claims)
	if err != nil {
		t.Fatalf("sign: %v", err)
	}
	return compact
}

func exampleLogin() Login {
	return Login{
		Issuer: "https://nod.example", Subject: "5a1c0f6e-6a0e-4c6e-9a3b-0a4f6f3f7f10",
		SessionID: "0b8c7a52-3b5a-4b0e-8a86-1f2a0c9f3d11", Namespace: "00112233aabbccdd",
		Audience: "client-1", Action: ActionLogin,
		IssuedAt: epoch.Unix(), Expires: epoch.Add(10 * time.Minute).Unix(),
		ID: "9f3d2a10-1111-4222-8333-444455556666", Username: "zoë~?>😀@example.org",
		Methods: []string{"hwk", "user"}, Class: "phr", AuthTime: epoch.Unix(),
	}
}

func expectLogin() Expect {
	return Expect{Issuer: "https://nod.example", Audience: "client-1", Typ: "JWT"}
}
