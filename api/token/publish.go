package token

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// CacheFor is how long a verifier may keep the published keys without asking
// again: what the JWKS says with Cache-Control: max-age. A new key is published
// longer than that before it signs, see [Lead].
const CacheFor = time.Minute

// JWKS returns the published keys as a JWK Set (RFC 7517 section 5), those of ES256
// before those of RS256, and of each the newest first: keys in use, the next one, and past ones until their last token has
// expired. It is up to date to the second while the store answers.
func (r *Ring) JWKS(ctx context.Context) ([]byte, error) {
	r.refresh(ctx, reloadEvery)
	now := r.now()
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, k := range r.snap.Load().keys {
		if k.published(now) {
			set.Keys = append(set.Keys, jose.JSONWebKey{
				Key: k.public, KeyID: k.kid, Algorithm: k.alg, Use: "sig",
			})
		}
	}
	out, err := json.Marshal(set)
	if err != nil {
		return nil, fmt.Errorf("write key set: %w", err)
	}
	return out, nil
}

// PEM returns one public key as SubjectPublicKeyInfo in PEM (RFC 7468 section
// 13) with LF line ends, for an empty kid the current one of ES256. The error matches
// ErrUnknownKey when no such key is published.
func (r *Ring) PEM(ctx context.Context, kid string) ([]byte, error) {
	if kid == "" {
		current, err := r.Current(ctx, r.now())
		if err != nil {
			return nil, err
		}
		kid = current
	}
	k, err := r.find(ctx, kid, &r.publicLook)
	if err != nil {
		return nil, fmt.Errorf("publish key: %w", err)
	}
	return bytes.Clone(k.pem), nil
}
