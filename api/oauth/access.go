package oauth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// access is a live access token: what it says, and what it rests on.
type access struct {
	claims accessClaims
	device account.Device
	user   account.User
}

// jkt is the thumbprint of the key that the token is bound to, "" for one that
// whoever holds it may use.
func (a access) jkt() string {
	if a.claims.Confirm == nil {
		return ""
	}
	return a.claims.Confirm.JKT
}

// scheme is how the token must be sent, and its token_type.
func (a access) scheme() string {
	if a.jkt() != "" {
		return tokenDPoP
	}
	return tokenBearer
}

// may says whether the scope was granted.
func (a access) may(scope string) bool {
	return slices.Contains(strings.Fields(a.claims.Scope), scope)
}

// errDead is an access token that is none, or good no more: forged, expired, its
// device revoked, its user inactive, its client gone.
var errDead = errors.New("token is not live")

// access reads an access token of ours that is live at this moment: everything is
// read from the truth, so that what was revoked on one node is dead on all. errDead
// when it is not; other errors say nothing about it.
func (f *face) access(ctx context.Context, compact string) (access, error) {
	claims, err := f.accessClaims(ctx, compact)
	if err != nil {
		return access{}, err
	}
	d, u, err := f.Directory.Standing(ctx, claims.Session)
	if dead(err, approval.ErrNotFound, approval.ErrRevoked, approval.ErrExpired, approval.ErrInactive) {
		return access{}, fmt.Errorf("%w: %w", errDead, err)
	}
	return access{claims, d, u}, err
}

// accessClaims reads an access token that we made and whose time is not over.
func (f *face) accessClaims(ctx context.Context, compact string) (claims accessClaims, err error) {
	now, err := f.now(ctx)
	if err != nil {
		return claims, err
	}
	signed, err := f.Ring.Verify(ctx, compact, token.Expect{Issuer: f.Issuer, AnyAud: true, Typ: typAccess, Now: now})
	if dead(err, token.ErrMalformed, token.ErrSignature, token.ErrPurpose, token.ErrStale) {
		return claims, fmt.Errorf("%w: %w", errDead, err)
	}
	if err != nil {
		return claims, err
	}
	return claims, signed.Decode(&claims)
}

// dead says whether an error is one of those that are about the token itself.
func dead(err error, words ...error) bool {
	return slices.ContainsFunc(words, func(w error) bool { return errors.Is(err, w) })
}
