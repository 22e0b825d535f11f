package client

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// keysKeptFor holds where the server does not say how long.
	keysKeptFor = 5 * time.Minute

	// keysStaleFor is how long keys count while no newer can be had. It is also how
	// long a key counts that was withdrawn in an emergency, if somebody can cut this
	// machine off.
	keysStaleFor = time.Hour

	// keysPause is the least time between two fetches: nobody makes this verifier
	// flood the server with tokens that name unknown keys.
	keysPause = time.Second

	// keysTimeout bounds a fetch, and so what one request may wait for it.
	keysTimeout = 5 * time.Second
)

// keySet is what the issuer published. It is never changed.
type keySet struct {
	keys  map[string]*ecdsa.PublicKey
	fresh time.Time // until then nothing is fetched
	stale time.Time // until then they count
}

func (s *keySet) find(kid string) *ecdsa.PublicKey {
	if s == nil {
		return nil
	}
	return s.keys[kid]
}

// key finds the key that a token names. A known one is had at once, except that one
// caller at a time fetches the set when it is no longer fresh.
func (v *Verifier) key(ctx context.Context, kid string) (*ecdsa.PublicKey, error) {
	now := time.Now()
	set := v.keys.Load()
	key := set.find(kid)
	usable := key != nil && now.Before(set.stale)
	switch {
	case usable && now.Before(set.fresh):
		return key, nil
	case usable && !v.fetching.TryLock():
		return key, nil
	case !usable:
		v.fetching.Lock()
	}
	defer v.fetching.Unlock()
	v.fetch(ctx)
	set = v.keys.Load()
	switch key := set.find(kid); {
	case set == nil || !time.Now().Before(set.stale):
		return nil, fmt.Errorf("%w: %w", ErrKeys, v.trouble)
	case key == nil:
		return nil, refuse("the issuer has published no such key")
	default:
		return key, nil
	}
}

// fetch replaces the set, unless somebody has tried a moment ago. It goes on when
// the caller leaves: others wait for it. It is called with the lock held.
func (v *Verifier) fetch(ctx context.Context) {
	if time.Since(v.fetched) < keysPause {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keysTimeout)
	defer cancel()
	set, err := v.download(ctx)
	if err == nil {
		v.keys.Store(set)
	}
	v.fetched, v.trouble = time.Now(), err
}

func (v *Verifier) download(ctx context.Context) (*keySet, error) {
	h, done := ownHTTP(v.HTTPClient)
	defer done()
	place := v.KeysURL
	if place == "" {
		m, err := discover(ctx, h, v.Issuer)
		if err != nil {
			return nil, err
		}
		place = m.JWKS
	}
	if err := checkURL("keys URL", place); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, place, nil)
	if err != nil {
		return nil, err
	}
	a, err := send(h, req)
	if err != nil {
		return nil, err
	}
	var published jose.JSONWebKeySet
	if err := a.ok(&published); err != nil {
		return nil, fmt.Errorf("fetch %s: %w", place, err)
	}
	return newKeySet(published, a.header, time.Now())
}

// newKeySet keeps the keys that can have signed a token: P-256, with a name.
func newKeySet(published jose.JSONWebKeySet, header http.Header, now time.Time) (*keySet, error) {
	s := &keySet{keys: map[string]*ecdsa.PublicKey{}, fresh: now.Add(maxAge(header))}
	s.stale = s.fresh.Add(keysStaleFor)
	for _, k := range published.Keys {
		public, ok := k.Key.(*ecdsa.PublicKey)
		if ok && public.Curve == elliptic.P256() && k.KeyID != "" && (k.Use == "" || k.Use == "sig") {
			s.keys[k.KeyID] = public
		}
	}
	if len(s.keys) == 0 {
		return nil, errors.New("the published set has no key for ES256")
	}
	return s, nil
}

// maxAge reads Cache-Control (RFC 9111 section 5.2.2), of which only the age
// matters here. At most a day: keys change.
func maxAge(header http.Header) time.Duration {
	for part := range strings.SplitSeq(header.Get("Cache-Control"), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch n, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); {
		case strings.EqualFold(name, "no-store"), strings.EqualFold(name, "no-cache"):
			return 0
		case strings.EqualFold(name, "max-age") && err == nil:
			return min(time.Duration(n)*time.Second, 24*time.Hour)
		}
	}
	return keysKeptFor
}
