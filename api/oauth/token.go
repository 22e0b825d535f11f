package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/approval/account"
)

// token is the token endpoint (RFC 6749 section 3.2). Whatever the grant, nothing is
// looked up or counted for a client before it is authenticated.
func (f *face) token(c *gin.Context) error {
	in, err := readForm(c)
	if err != nil {
		return err
	}
	switch grant := account.GrantType(in.get("grant_type")); grant {
	case account.GrantDeviceCode:
		return f.poll(c, in, pollKind{FaceDevice, grant, "device_code", "device_code"})
	case account.GrantCIBA:
		return f.poll(c, in, pollKind{FaceCIBA, grant, "auth_req_id", "ciba"})
	case account.GrantRefresh:
		return f.refresh(c, in)
	case "":
		return missing("grant_type")
	default:
		return oops(http.StatusBadRequest, codeUnsupportedGrant, "This server does not know the grant_type.")
	}
}

// grantee is the client that asks for tokens, and the key that it shows.
func (f *face) grantee(c *gin.Context, in form, g account.GrantType) (who *caller, jkt string, err error) {
	if who, err = f.client(c, in, false); err != nil {
		return nil, "", err
	}
	if !who.client.OAuth.MayUse(g) {
		return nil, "", notRegistered(g)
	}
	if jkt, err = f.proof(c, ""); err != nil {
		return nil, "", err
	}
	if jkt == "" && who.client.OAuth.RequireDPoP {
		return nil, "", oops(http.StatusBadRequest, codeInvalidProof, "This client must send a DPoP proof.")
	}
	return who, jkt, nil
}

// lostWithin bounds the note that a reply was lost: the client is gone by then.
const lostWithin = 5 * time.Second

// errLost marks tokens that were made and did not leave.
var errLost = errors.New("tokens not delivered")

// hand makes tokens and delivers them. Tokens that are made are either sent or
// revoked, never both: when they cannot be signed, when the client left or the
// server gives up before they are written, and when writing them fails, lost is
// called, and whoever is still there may ask again.
//
// The context is judged before the reply and not after: a client that has read its
// tokens closes the connection too, and must not lose them for it.
func (f *face) hand(c *gin.Context, i issue, lost func(context.Context) error) error {
	ctx := c.Request.Context()
	answer, err := f.mint(ctx, i)
	if err == nil {
		if err = ctx.Err(); err == nil {
			err = deliver(c, answer)
		}
	}
	if err == nil {
		return nil
	}
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), lostWithin)
	defer cancel()
	return fmt.Errorf("%w: %w", errLost, errors.Join(err, lost(after)))
}

// deliver writes an answer as far as the server can tell: into the kernel's buffer.
// Its length is said, so that flushing it makes no chunks of it.
func deliver(c *gin.Context, answer any) error {
	body, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	noStore(c)
	c.Header("Content-Type", "application/json; charset=utf-8")
	c.Header("Content-Length", strconv.Itoa(len(body)))
	c.Status(http.StatusOK)
	if _, err := c.Writer.Write(body); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	if err := http.NewResponseController(beneath(c.Writer)).Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("write answer: %w", err)
	}
	return nil
}

// beneath is the server's own writer: gin's keeps the error of a flush to itself.
func beneath(w http.ResponseWriter) http.ResponseWriter {
	if outer, ok := w.(interface{ Unwrap() http.ResponseWriter }); ok {
		return outer.Unwrap()
	}
	return w
}
