package native

import (
	"time"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/approval"
)

// recoveryCode is a code that gives its user, on nod's page /recover, fifteen minutes
// to make a new passkey.
type recoveryCode struct {
	Code      string    `json:"code"`
	CreatedAt time.Time `json:"created_at"`
}

// makeRecoveryCode makes a set of one: what the user had before is void.
func (f *face) makeRecoveryCode(c *gin.Context, who *caller, in userBody) (any, error) {
	ctx := c.Request.Context()
	u, err := f.known(ctx, who, in.party)
	if err != nil {
		return nil, err
	}
	by := approval.Asker{ClientID: who.by.ID, Address: who.address}
	made, err := f.Directory.NewRecovery(ctx, u, 1, by, who.nonce...)
	if err != nil {
		return nil, err
	}
	return recoveryCode{made.Codes[0].Reveal(), made.MadeAt}, nil
}
