package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

type claimsKey struct{}

// Claims returns what the token of a request says that came through
// [Verifier.Middleware]; nil for any other.
func Claims(ctx context.Context) *Verified {
	v, _ := ctx.Value(claimsKey{}).(*Verified)
	return v
}

// Middleware lets requests through to next that show a good token in the header
// Authorization (RFC 6750 section 2.1); see [Claims]. Others are answered 401 with
// the challenge of RFC 6750 section 3, and 503 when the issuer's keys cannot be had,
// which is not the caller's fault.
func (v *Verifier) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, err := bearer(r)
		var claims *Verified
		if err == nil {
			claims, err = v.Verify(r.Context(), token)
		}
		if err != nil {
			refuseRequest(w, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), claimsKey{}, claims)))
	})
}

// errNoToken is a request that shows none: its answer names no error (RFC 6750
// section 3.1).
var errNoToken = errors.New("no token")

// bearer is the token of a request. One that is sent for a proof of its key is
// refused here too, with the reason.
func bearer(r *http.Request) (string, error) {
	given := r.Header.Values("Authorization")
	if len(given) == 0 {
		return "", errNoToken
	}
	scheme, token, _ := strings.Cut(given[0], " ")
	switch {
	case len(given) > 1:
		return "", refuse("there is more than one header Authorization")
	case strings.EqualFold(scheme, "DPoP"):
		return "", refuse("tokens that are bound to a key (DPoP) are not taken here")
	case !strings.EqualFold(scheme, "Bearer"):
		return "", errNoToken
	}
	return strings.TrimSpace(token), nil
}

func refuseRequest(w http.ResponseWriter, err error) {
	var say string
	status, code, challenge := http.StatusUnauthorized, "invalid_token", "Bearer"
	switch {
	case errors.Is(err, errNoToken):
		say = "This needs a token: Authorization: Bearer <token>."
	case errors.Is(err, ErrToken):
		say = reason(err)
		challenge = `Bearer error="invalid_token", error_description="` + say + `"`
	default:
		status, code, say, challenge = http.StatusServiceUnavailable, "temporarily_unavailable", "Tokens cannot be verified right now. Try again.", ""
		w.Header().Set("Retry-After", "1")
	}
	if challenge != "" {
		w.Header().Set("WWW-Authenticate", challenge)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// A caller that has gone needs no answer.
	_ = json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": say})
}

// reason is why a token was refused: always one of this package's own sentences.
func reason(err error) string {
	_, why, _ := strings.Cut(err.Error(), ErrToken.Error()+": ")
	return "The token is refused: " + why + "."
}
