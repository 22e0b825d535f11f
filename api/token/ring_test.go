package token

import (
	"context"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"
)

func TestOpen_makesFirstKeyOnce(t *testing.T) {
	store, c := &memStore{}, newClock()
	c.advance(1500 * time.Nanosecond) // a store keeps microseconds
	first := currentKID(t, openRing(t, store, c), c.Now())
	c.advance(time.Hour)
	again := currentKID(t, openRing(t, store, c), c.Now())
	if len(store.rows) != 2 || first != again {
		t.Fatalf("got %d rows, kids %s and %s; want one key of each algorithm", len(store.rows), first, again)
	}
	if row := store.rows[0]; row.KID != first || row.Alg != "ES256" || !row.UseFrom.Equal(epoch.Add(time.Microsecond)) {
		t.Errorf("stored %+v, want kid %s, ES256, from %s", row, first, epoch.Add(time.Microsecond))
	}
	if row := store.rows[1]; row.Alg != "RS256" || !row.UseFrom.Equal(epoch.Add(time.Microsecond)) {
		t.Errorf("stored %+v, want RS256, from %s", row, epoch.Add(time.Microsecond))
	}
}

func TestOpen_makesKeyWhenAllHaveEnded(t *testing.T) {
	store, c := &memStore{}, newClock()
	old := currentKID(t, openRing(t, store, c), c.Now())
	store.rows[0].UseUntil = epoch.Add(time.Hour)
	c.advance(2 * time.Hour)
	if got := currentKID(t, openRing(t, store, c), c.Now()); got == old || len(store.rows) != 3 {
		t.Errorf("got %s of %d keys, want a second ES256 key", got, len(store.rows))
	}
}

func TestOpen_wrongMasterKey(t *testing.T) {
	store, c := &memStore{}, newClock()
	openRing(t, store, c)
	_, err := Open(t.Context(), store, sealKey(8), c.Now)
	if !errors.Is(err, ErrMasterKey) || !strings.Contains(err.Error(), "is not the one this database was made with") {
		t.Errorf("got %v, want ErrMasterKey in words", err)
	}
	if len(store.rows) != 2 {
		t.Errorf("a wrong master key left %d rows, want 2", len(store.rows))
	}
}

func TestOpen_refusesUnusableSealKey(t *testing.T) {
	for _, key := range [][]byte{nil, make([]byte, 32), sealKey(1)[:31], append(sealKey(1), 1)} {
		store := &memStore{}
		if _, err := Open(t.Context(), store, key, newClock().Now); err == nil || len(store.rows) != 0 {
			t.Errorf("seal key of %d bytes: got %v and %d rows, want an error and none", len(key), err, len(store.rows))
		}
	}
}

func TestOpen_refusesDamagedRows(t *testing.T) {
	for name, test := range map[string]struct {
		damage func(a, b *StoredKey)
		want   error
	}{
		// With both shut, nothing tells a swap from another master key.
		"sealed halves swapped":      {func(a, b *StoredKey) { a.Sealed, b.Sealed = b.Sealed, a.Sealed }, ErrMasterKey},
		"sealed half of another row": {func(a, b *StoredKey) { a.Sealed = b.Sealed }, ErrDamagedKey},
		"sealed half changed":        {func(a, _ *StoredKey) { a.Sealed[30] ^= 1 }, ErrDamagedKey},
		"sealed half cut short":      {func(a, _ *StoredKey) { a.Sealed = a.Sealed[:5] }, ErrDamagedKey},
		"public halves swapped":      {func(a, b *StoredKey) { a.Public, b.Public = b.Public, a.Public }, ErrDamagedKey},
		"public half cut short":      {func(a, _ *StoredKey) { a.Public = a.Public[:40] }, ErrDamagedKey},
		"kids swapped":               {func(a, b *StoredKey) { a.KID, b.KID = b.KID, a.KID }, ErrDamagedKey},
		"another key's name and public half": {
			func(a, b *StoredKey) { a.KID, a.Public = b.KID, b.Public }, ErrDamagedKey,
		},
	} {
		t.Run(name, func(t *testing.T) {
			store, c := &memStore{}, newClock()
			r := openRing(t, store, c)
			addKey(t, r, epoch.Add(time.Hour))
			store.rows = slices.Delete(store.rows, 1, 2) // the RS256 key, which would open
			test.damage(&store.rows[0], &store.rows[1])
			if _, err := Open(t.Context(), store, sealKey(7), c.Now); !errors.Is(err, test.want) {
				t.Errorf("open: got %v, want %v", err, test.want)
			}
			if err := r.Reload(t.Context()); !errors.Is(err, test.want) {
				t.Errorf("reload: got %v, want %v", err, test.want)
			}
			sign(t, r, currentKID(t, r, c.Now()), exampleLogin()) // goes on with what it has
		})
	}
}

// Two locks on one door: the place is authenticated, and what comes out must
// be the private half of the key in the row. The place's text is part of the
// stored format.
func TestStoredKey_sealedForItsPlace(t *testing.T) {
	store := &memStore{}
	r := openRing(t, store, newClock())
	row := store.rows[0]
	aead, err := subtle.NewXChaCha20Poly1305(sealKey(7))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := aead.Decrypt(row.Sealed, []byte("signing_keys/"+row.KID+"/sealed")); err != nil {
		t.Errorf("open at its place: %v", err)
	}
	for _, place := range []string{"", "signing_keys/other/sealed", "signing_keys/" + row.KID + "/public"} {
		if _, err := aead.Decrypt(row.Sealed, []byte(place)); err == nil {
			t.Errorf("opened at %q", place)
		}
	}
	private, _, err := NewServiceKey()
	if err != nil {
		t.Fatal(err)
	}
	other, _ := pem.Decode(private)
	if row.Sealed, err = aead.Encrypt(other.Bytes, sealedPlace(row.KID)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.seal.load(row); !errors.Is(err, ErrDamagedKey) {
		t.Errorf("another key sealed at this place: got %v, want ErrDamagedKey", err)
	}
}

func TestOpen_storeFails(t *testing.T) {
	down := errors.New("database is locked")
	if _, err := Open(t.Context(), &memStore{fail: down}, sealKey(7), newClock().Now); !errors.Is(err, down) {
		t.Errorf("got %v, want the store's error", err)
	}
}

func TestOpen_ignoresKeysOfOtherAlgorithms(t *testing.T) {
	store, c := &memStore{rows: []StoredKey{{KID: "later", Alg: "EdDSA", Public: []byte("?")}}}, newClock()
	if kid := currentKID(t, openRing(t, store, c), c.Now()); kid == "later" || len(store.rows) != 3 {
		t.Errorf("got %s of %d keys, want keys of ours beside the other", kid, len(store.rows))
	}
}

// Both nodes find the store empty, then both want to write.
func TestOpen_twoNodesAtOnce(t *testing.T) {
	store, c := &memStore{}, newClock()
	store.clock = c.Now
	var empty sync.WaitGroup
	empty.Add(2)
	var firstReads sync.Mutex
	left := 2
	store.inRead = func() {
		firstReads.Lock()
		first := left > 0
		left--
		firstReads.Unlock()
		if first {
			empty.Done()
			empty.Wait()
		}
	}
	var rings [2]*Ring
	var open sync.WaitGroup
	for i := range rings {
		open.Go(func() {
			var err error
			if rings[i], err = Open(t.Context(), store, sealKey(7), c.Now); err != nil {
				t.Errorf("node %d: %v", i, err)
			}
		})
	}
	open.Wait()
	if t.Failed() {
		return
	}
	if len(store.rows) != 2 {
		t.Errorf("got %d first keys, want one of each algorithm", len(store.rows))
	}
	for i, r := range rings {
		token := sign(t, r, currentKID(t, r, c.Now()), exampleLogin())
		if _, err := rings[1-i].Verify(t.Context(), token, expectLogin()); err != nil {
			t.Errorf("node %d does not accept the other's token: %v", 1-i, err)
		}
	}
}

func TestCurrent_rotation(t *testing.T) {
	store, c := &memStore{}, newClock()
	r, other := openRing(t, store, c), openRing(t, store, c)
	first := currentKID(t, r, c.Now())
	next := addKey(t, r, epoch.Add(time.Minute))
	store.change(func(s *memStore) {
		s.rows[0].UseUntil = epoch.Add(time.Minute)
		s.rows[0].KeepUntil = epoch.Add(12 * time.Minute)
	})
	old := sign(t, r, first, exampleLogin())
	for _, step := range []struct {
		after time.Duration
		want  string
	}{{0, first}, {59 * time.Second, first}, {time.Minute, next}, {time.Hour, next}} {
		c.advance(epoch.Add(step.after).Sub(c.Now()))
		for name, ring := range map[string]*Ring{"the node that rotated": r, "the other": other} {
			if got := currentKID(t, ring, c.Now()); got != step.want {
				t.Errorf("after %s, %s: got %s, want %s", step.after, name, got, step.want)
			}
		}
		expect := expectLogin()
		expect.Now = epoch
		_, err := r.Verify(t.Context(), old, expect)
		if kept := step.after < 12*time.Minute; kept != (err == nil) {
			t.Errorf("after %s, old token: got %v, want accepted %v", step.after, err, kept)
		}
	}
}

func TestCurrent_allKeysEnded(t *testing.T) {
	store, c := &memStore{}, newClock()
	r := openRing(t, store, c)
	store.change(func(s *memStore) { s.rows[0].UseUntil = epoch.Add(time.Hour) })
	c.advance(time.Hour)
	if kid, err := r.Current(t.Context(), c.Now()); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("got %q, %v; want ErrUnknownKey", kid, err)
	}
}

func TestCurrent_clockSteppedBack(t *testing.T) {
	store, c := &memStore{}, newClock()
	r := openRing(t, store, c)
	want := currentKID(t, r, c.Now())
	addKey(t, r, epoch.Add(time.Hour))
	if got := currentKID(t, r, epoch.Add(-5*time.Minute)); got != want {
		t.Errorf("got %s, want the key that begins first, %s", got, want)
	}
}

func TestCurrent_equalTimesTieByKID(t *testing.T) {
	store, c := &memStore{}, newClock()
	r := openRing(t, store, c)
	kids := []string{currentKID(t, r, c.Now())}
	for range 7 {
		kids = append(kids, addKey(t, r, epoch))
	}
	want := slices.Min(kids)
	for range kids { // in whatever order the store returns them
		store.rows = append(store.rows[1:], store.rows[0])
		if got := currentKID(t, openRing(t, store, c), c.Now()); got != want {
			t.Errorf("got %s, want the lowest kid %s", got, want)
		}
	}
}

// What is known serves on, except for new tokens: another node may have rotated.
func TestCurrent_storeGoneForGood(t *testing.T) {
	store, c := &memStore{}, newClock()
	r := openRing(t, store, c)
	want := currentKID(t, r, c.Now())
	token := sign(t, r, want, exampleLogin())
	down := errors.New("gone")
	store.change(func(s *memStore) { s.fail = down })
	for _, step := range []struct {
		age   time.Duration
		want  string
		err   error
		reads int
	}{{29 * time.Second, want, nil, 0}, {31 * time.Second, want, nil, 1}, {59 * time.Second, want, nil, 1}, {time.Hour, "", down, 2}} {
		c.advance(epoch.Add(step.age).Sub(c.Now()))
		before := store.readCount()
		for range 10 {
			if got, err := r.Current(t.Context(), c.Now()); got != step.want || !errors.Is(err, step.err) {
				t.Errorf("after %s: got %s, %v; want %s, %v", step.age, got, err, step.want, step.err)
			}
		}
		if got := store.readCount() - before; got != step.reads {
			t.Errorf("after %s: got %d reads in one instant, want %d", step.age, got, step.reads)
		}
	}
	if got := sign(t, r, want, exampleLogin()); got != token {
		t.Errorf("redelivered %s, want %s", got, token)
	}
	if got := jwksKIDs(t, r, AlgES256); !slices.Equal(got, []string{want}) {
		t.Errorf("published %v, want %s", got, want)
	}
	store.change(func(s *memStore) { s.fail = nil })
	c.advance(time.Second)
	if got := currentKID(t, r, c.Now()); got != want {
		t.Errorf("after it came back: got %s, want %s", got, want)
	}
}

// Whoever comes while another is reading waits for that, once the keys are too old.
func TestCurrent_waitsForAReadWhenTheKeysAreTooOld(t *testing.T) {
	store, c := &memStore{}, newClock()
	r, other := openRing(t, store, c), openRing(t, store, c)
	c.advance(time.Hour)
	next := addKey(t, other, c.Now())
	r.reading <- struct{}{}
	got := make(chan string)
	go func() {
		kid, err := r.Current(t.Context(), c.Now())
		if err != nil {
			t.Error(err)
		}
		got <- kid
	}()
	r.unlock()
	if kid := <-got; kid != next {
		t.Errorf("got %s, want the key of now, %s", kid, next)
	}
}

func TestRing_usedByManyWhileItRotates(t *testing.T) {
	store, c := &memStore{}, newClock()
	r, other := openRing(t, store, c), openRing(t, store, c)
	var work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			for range 20 {
				if err := signHereVerifyThere(t.Context(), r, other, c.Now()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 10 {
		addKey(t, r, c.Now().Add(time.Minute))
		if err := other.Reload(t.Context()); err != nil {
			t.Error(err)
		}
		c.advance(time.Minute)
	}
	work.Wait()
}

func signHereVerifyThere(ctx context.Context, here, there *Ring, now time.Time) error {
	kid, err := here.Current(ctx, now)
	if err != nil {
		return err
	}
	token, err := here.Sign(ctx, kid, "JWT", exampleLogin())
	if err != nil {
		return err
	}
	expect := expectLogin()
	expect.Now = epoch
	if _, err := there.Verify(ctx, token, expect); err != nil {
		return err
	}
	_, err = there.JWKS(ctx)
	return err
}
