package native

import (
	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/approval"
)

type receiptBody struct {
	party
	requestID string // from the path
}

// readReceipt takes the request from the path. A backend reads for another client of
// its namespace by naming that, as everywhere on this face.
func readReceipt(c *gin.Context, into *receiptBody) error {
	into.ClientID, into.requestID = c.Query("client_id"), canonical(c.Param("request_id"))
	return identifier("request_id", into.requestID)
}

// receipt hands the evidence of an approval to the client that asked, or collected.
func (f *face) receipt(c *gin.Context, who *caller, in receiptBody) (any, error) {
	ctx := c.Request.Context()
	kept, err := f.Accounts.Receipt(ctx, in.requestID)
	if err == nil && !kept.ReadableBy(who.client.ID) {
		err = approval.ErrNotFound
	}
	if err != nil {
		return nil, instead(err, approval.ErrNotFound, receiptNotFound)
	}
	if err := f.spend(ctx, who); err != nil {
		return nil, err
	}
	text, err := f.Ceremonies.Document(kept)
	return document(text), err
}
