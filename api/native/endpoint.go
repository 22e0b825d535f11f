package native

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
)

// party is how nearly every body says for whom and about whom it is.
type party struct {
	ClientID string  `json:"client_id"`
	UserID   *string `json:"user_id"`
	Username *string `json:"username"`
}

func (p party) whom() party { return p }

// body is anything that embeds a party.
type body interface{ whom() party }

// nothing is the reply without content.
type nothing struct{}

// post is on for the usual method.
func post[B body](f *face, path string, r rule, read func(*gin.Context, *B) error, act func(*gin.Context, *caller, B) (any, error)) route {
	return on(f, http.MethodPost, path, r, read, act)
}

// on makes a route: read the body whole, find out who calls, act, write.
func on[B body](f *face, method, path string, r rule, read func(*gin.Context, *B) error, act func(*gin.Context, *caller, B) (any, error)) route {
	return route{method, path, r, func(c *gin.Context) error {
		var in B
		if err := read(c, &in); err != nil {
			return err
		}
		return serve(f, c, in, r, act)
	}}
}

// serve answers a call whose body was read.
func serve[B body](f *face, c *gin.Context, in B, r rule, act func(*gin.Context, *caller, B) (any, error)) error {
	who, err := f.admit(c, in.whom().ClientID, r)
	if err != nil {
		return err
	}
	out, err := act(c, who, in)
	if err != nil {
		return f.settle(c.Request.Context(), who, err)
	}
	switch out := out.(type) {
	case nothing:
		c.Status(http.StatusNoContent)
	case document:
		c.Data(http.StatusOK, "application/json; charset=utf-8", out)
	default:
		c.JSON(http.StatusOK, out)
	}
	return nil
}

// document is a reply that is JSON already, and goes out to the byte.
type document []byte

// settle uses up the nonce of a call that came to nothing, so that its token
// cannot be sent again, and tells a token's second use from its first.
func (f *face) settle(ctx context.Context, who *caller, err error) error {
	switch {
	case len(who.nonce) == 0, errors.Is(err, approval.ErrUnavailable), errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, approval.ErrReplayed):
		return tokenError("This service token was used before. Sign a new one for each call.", err)
	}
	if spent := f.spend(ctx, who); spent != nil {
		return spent
	}
	return err
}

// spend uses up the nonce of a call that has no effect of its own.
func (f *face) spend(ctx context.Context, who *caller) error {
	err := f.Service.Spend(ctx, who.nonce...)
	if errors.Is(err, approval.ErrReplayed) {
		return tokenError("This service token was used before. Sign a new one for each call.", err)
	}
	if err == nil {
		who.nonce = nil
	}
	return err
}

// readJSON reads an ordinary body, readWebAuthn one with a ceremony's answer.
func readJSON[B body](c *gin.Context, into *B) error { return wire.Decode(c, wire.BodyLimit, into) }

func readWebAuthn[B body](c *gin.Context, into *B) error {
	return wire.Decode(c, wire.WebAuthnLimit, into)
}

// readPathUser takes the user from the path; these calls have no body.
func readPathUser(c *gin.Context, into *userBody) error {
	id := c.Param("user_id")
	into.UserID = &id
	return nil
}

// note puts the client into the request's log line.
func note(c *gin.Context, who *caller) {
	wire.Note(c, slog.String("client", who.client.ID))
	if who.by != nil && who.by.ID != who.client.ID {
		wire.Note(c, slog.String("signed_by", who.by.ID))
	}
}
