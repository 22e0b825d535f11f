package token

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const testLife = 10 * time.Minute

// rotate rotates both, and returns the rotation of ES256.
func rotate(t testing.TB, r *Ring, in time.Duration) Rotation {
	t.Helper()
	is, err := r.Rotate(t.Context(), in, testLife)
	if err != nil {
		t.Fatal(err)
	}
	if len(is) != 2 || is[0].Alg != AlgES256 || is[1].Alg != AlgRS256 || !is[0].At.Equal(is[1].At) {
		t.Fatalf("got %+v, want rotations of ES256 and RS256 at one moment", is)
	}
	return is[0]
}

func TestRotate_lifeOfAKey(t *testing.T) {
	store, c := &memStore{}, newClock()
	r, other := openRing(t, store, c), openRing(t, store, c)
	first := currentKID(t, r, c.Now())
	old := sign(t, r, first, exampleLogin())
	is := rotate(t, r, Lead)
	want := Rotation{Alg: AlgES256, New: is.New, At: epoch.Add(2 * time.Minute), Old: first, OldUntil: epoch.Add(14 * time.Minute)}
	if is != want {
		t.Errorf("rotation: got %+v, want %+v", is, want)
	}
	for _, step := range []struct {
		after   time.Duration
		current string
		states  []KeyState
	}{
		{0, first, []KeyState{KeyNext, KeyCurrent}},
		{2*time.Minute - time.Microsecond, first, []KeyState{KeyNext, KeyCurrent}},
		{2 * time.Minute, is.New, []KeyState{KeyCurrent, KeyRetiring}},
		{4*time.Minute - time.Microsecond, is.New, []KeyState{KeyCurrent, KeyRetiring}},
		{4 * time.Minute, is.New, []KeyState{KeyCurrent, KeyRetired}},
		{14*time.Minute - time.Microsecond, is.New, []KeyState{KeyCurrent, KeyRetired}},
		{14 * time.Minute, is.New, []KeyState{KeyCurrent}},
	} {
		c.advance(epoch.Add(step.after).Sub(c.Now()))
		if err := other.Tend(t.Context(), testLife); err != nil {
			t.Fatal(err)
		}
		for name, ring := range map[string]*Ring{"the node that rotated": r, "the other": other} {
			if got := currentKID(t, ring, c.Now()); got != step.current {
				t.Errorf("after %s, %s: signs with %s, want %s", step.after, name, got, step.current)
			}
			keys, err := ring.Keys(t.Context())
			got := map[string][]KeyState{}
			for _, k := range keys {
				got[k.Alg] = append(got[k.Alg], k.State)
			}
			if err != nil || !slices.Equal(got[AlgES256], step.states) || !slices.Equal(got[AlgRS256], step.states) {
				t.Errorf("after %s, %s: keys are %v, %v; want %v of each", step.after, name, got, err, step.states)
			}
			for _, alg := range algs {
				if n := len(jwksKIDs(t, ring, alg)); n != len(step.states) {
					t.Errorf("after %s, %s: %d %s keys are published, want %d", step.after, name, n, alg, len(step.states))
				}
			}
			_, err = ring.Sign(t.Context(), first, "JWT", exampleLogin())
			if again := !slices.Contains(step.states, KeyRetired) && len(step.states) > 1; again != (err == nil) {
				t.Errorf("after %s, %s: delivering again: %v, want it to work %v", step.after, name, err, again)
			}
			expect := expectLogin()
			expect.Now = epoch
			if _, err := ring.Verify(t.Context(), old, expect); (err == nil) != (len(step.states) > 1) {
				t.Errorf("after %s, %s: the old token: %v", step.after, name, err)
			}
		}
	}
	if len(store.rows) != 2 {
		t.Errorf("%d rows are left, want one of each algorithm", len(store.rows))
	}
}

func TestRotate_twiceAtOnce(t *testing.T) {
	store, c := &memStore{}, newClock()
	nodes := [2]*Ring{openRing(t, store, c), openRing(t, store, c)}
	var is [2][]Rotation
	var errs [2]error
	var both sync.WaitGroup
	for i, r := range nodes {
		both.Go(func() { is[i], errs[i] = r.Rotate(t.Context(), Lead, testLife) })
	}
	both.Wait()
	if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs[:]...), ErrRotating) {
		t.Errorf("got %v, want one to hear that a rotation is under way", errs)
	}
	if !slices.Equal(is[0], is[1]) || len(is[0]) != 2 || is[0][0].At != epoch.Add(Lead) || len(store.rows) != 4 {
		t.Errorf("got %+v and %+v, %d keys; want the same rotations and four keys", is[0], is[1], len(store.rows))
	}
	c.advance(Lead)
	rotate(t, nodes[0], Lead)
}

// The transaction stood, but its answer was lost, so it is run again.
func TestRotate_appliedTwice(t *testing.T) {
	store, c := &memStore{}, newClock()
	r := openRing(t, store, c)
	next, err := r.seal.generateEach(algs)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if store.rows, err = rotated(store.rows, next, c.Now(), Lead, testLife); err != nil {
			t.Fatal(err)
		}
		c.advance(time.Second)
	}
	if len(store.rows) != 4 || !store.rows[2].UseFrom.Equal(epoch.Add(Lead)) || !store.rows[3].UseFrom.Equal(epoch.Add(Lead)) {
		t.Errorf("got %+v, want one successor of each, from %s", store.rows, epoch.Add(Lead))
	}
}

func TestRotate_leavesKeysOfOtherAlgorithmsAlone(t *testing.T) {
	later := StoredKey{KID: "later", Alg: "EdDSA", Public: []byte("?"), UseFrom: epoch.Add(time.Hour), UseUntil: epoch.Add(2 * time.Hour)}
	store, c := &memStore{rows: []StoredKey{later}}, newClock()
	r := openRing(t, store, c)
	rotate(t, r, Lead)
	c.advance(24 * time.Hour)
	if err := r.Tend(t.Context(), testLife); err != nil {
		t.Fatal(err)
	}
	if got := store.rows[0]; !sameTimes(got, later) {
		t.Errorf("got %+v, want %+v", got, later)
	}
}

// A command line that knows of shorter tokens than the servers sign must not
// make their keys end early.
func TestTend_keepsKeysForTheLongestTokens(t *testing.T) {
	store, c := &memStore{}, newClock()
	r := openRing(t, store, c)
	rotate(t, r, Lead)
	for _, life := range []time.Duration{time.Hour, testLife} {
		if err := r.Tend(t.Context(), life); err != nil {
			t.Fatal(err)
		}
		if got, want := store.rows[0].KeepUntil, epoch.Add(Lead+maxStale+time.Hour+leeway); !got.Equal(want) {
			t.Errorf("after a node with tokens of %s: kept until %s, want %s", life, got, want)
		}
	}
}

func TestTend_writesOnlyWhatIsDue(t *testing.T) {
	store, c := &memStore{}, newClock()
	r := openRing(t, store, c)
	rotate(t, r, Lead)
	refuse := errors.New("written")
	r.store = readOnly{store, refuse}
	if err := r.Tend(t.Context(), testLife); err != nil {
		t.Errorf("nothing due: got %v, want no write", err)
	}
	c.advance(time.Hour)
	if err := r.Tend(t.Context(), testLife); !errors.Is(err, refuse) {
		t.Errorf("an hour later: got %v, want a write", err)
	}
}

type readOnly struct {
	KeyStore
	err error
}

func (s readOnly) ChangeSigningKeys(context.Context, func(time.Time, []StoredKey) ([]StoredKey, error)) error {
	return s.err
}

// The store's clock decides, whatever this machine's says.
func TestRotate_byTheStoresClock(t *testing.T) {
	store, stores, wrong := &memStore{}, newClock(), newClock()
	store.clock = stores.Now
	wrong.advance(-3 * time.Hour)
	r := openRing(t, store, wrong)
	is := rotate(t, r, Lead)
	if !is.At.Equal(epoch.Add(Lead)) {
		t.Errorf("takes over at %s, want %s", is.At, epoch.Add(Lead))
	}
	for range 14 {
		stores.advance(time.Minute)
		wrong.advance(time.Minute)
	}
	if _, err := r.JWKS(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := jwksKIDs(t, r, AlgES256); !slices.Equal(got, []string{is.New}) {
		t.Errorf("published %v, want only %s: the old one was kept until %s", got, is.New, is.OldUntil)
	}
}

func TestOpens_judgesTheSealKey(t *testing.T) {
	store := &memStore{}
	openRing(t, store, newClock())
	if err := Opens(store.rows, sealKey(7)); err != nil {
		t.Errorf("its own: %v", err)
	}
	if err := Opens(store.rows, sealKey(8)); !errors.Is(err, ErrMasterKey) {
		t.Errorf("another: got %v, want ErrMasterKey", err)
	}
}

// I14: while keys rotate as fast as they can and two nodes sign and verify all
// the time, every token verifies until it expires: at both nodes, and at a
// verifier outside that asks for the published keys no more often than it must.
func TestRotate_underLoad(t *testing.T) {
	for _, c := range []struct {
		about               string
		in, cache, life, of time.Duration
	}{
		{"each second, nothing cached", time.Second, 0, 10 * time.Second, 30 * time.Second},
		{"by the book", Lead, CacheFor, time.Minute, 30 * time.Minute},
	} {
		t.Run(c.about, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { rotateUnderLoad(t, c.in, c.cache, c.life, c.of) })
		})
	}
}

func rotateUnderLoad(t *testing.T, in, cache, life, of time.Duration) {
	store := &memStore{clock: time.Now}
	var nodes [2]*Ring
	for i := range nodes {
		var err error
		if nodes[i], err = Open(t.Context(), store, sealKey(7), time.Now); err != nil {
			t.Fatal(err)
		}
	}
	end := time.Now().Add(of)
	var work sync.WaitGroup
	for worker := range 8 {
		here, there := nodes[worker%2], nodes[1-worker%2]
		outside := &verifier{of: nodes[worker/2%2], cache: cache}
		work.Go(func() {
			for time.Now().Before(end) {
				if err := liveToken(t.Context(), here, there, outside, life); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	rotations, deleted := 0, 0
	for ; time.Now().Before(end); time.Sleep(in) {
		if _, err := nodes[rotations%2].Rotate(t.Context(), in, life); err != nil {
			t.Error(err)
		}
		if err := nodes[0].Tend(t.Context(), life); err != nil {
			t.Error(err)
		}
		rotations++
		deleted = 2*(rotations+1) - len(store.rows)
	}
	work.Wait()
	if want := int(of / in); rotations < want {
		t.Errorf("rotated %d times, want %d", rotations, want)
	}
	if of > 2*maxStale+life+leeway && deleted == 0 {
		t.Error("no key was ever deleted")
	}
}

// liveToken signs a token and looks at it all its life.
func liveToken(ctx context.Context, here, there *Ring, outside *verifier, life time.Duration) error {
	signed := time.Now()
	kid, err := here.Current(ctx, signed)
	if err != nil {
		return err
	}
	login := exampleLogin()
	login.IssuedAt, login.Expires = signed.Unix(), signed.Add(life).Unix()
	token, err := here.Sign(ctx, kid, "JWT", login)
	if err != nil {
		return err
	}
	for range 8 {
		if again, err := there.Sign(ctx, kid, "JWT", login); time.Since(signed) < redelivery && (err != nil || again != token) {
			return fmt.Errorf("deliver again after %s: %s, %w", time.Since(signed), again, err)
		}
		for name, err := range map[string]error{
			"here": second(here.Verify(ctx, token, expectLogin())), "there": second(there.Verify(ctx, token, expectLogin())),
			"outside": outside.verify(ctx, token),
		} {
			if err != nil {
				return fmt.Errorf("verify %s, %s after signing with %s: %w", name, time.Since(signed), kid, err)
			}
		}
		time.Sleep(life/8 - 7*time.Millisecond)
	}
	return nil
}

func second(_ Claims, err error) error { return err }

// verifier knows only what a node publishes, and keeps it as long as it may.
type verifier struct {
	of    *Ring
	cache time.Duration
	keys  jose.JSONWebKeySet
	asked time.Time
}

func (v *verifier) verify(ctx context.Context, token string) error {
	if v.asked.IsZero() || time.Since(v.asked) >= v.cache {
		raw, err := v.of.JWKS(ctx)
		if err != nil {
			return err
		}
		v.keys, v.asked = jose.JSONWebKeySet{}, time.Now()
		if err := json.Unmarshal(raw, &v.keys); err != nil {
			return err
		}
	}
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256, jose.RS256})
	if err != nil {
		return err
	}
	found := v.keys.Key(jws.Signatures[0].Header.KeyID)
	if len(found) != 1 {
		return fmt.Errorf("%d keys of that name among %d", len(found), len(v.keys.Keys))
	}
	_, err = jws.Verify(found[0].Key)
	return err
}
