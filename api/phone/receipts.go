package phone

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
)

const receiptsPath = "/phone/receipts/"

func receiptPath(requestID string) string { return receiptsPath + requestID }

// receipt hands the visitor the evidence of an approval of theirs, as a file. Somebody
// whose account was deleted has no session and so gets none; the evidence stays with
// whoever asked.
func (f *face) receipt(c *gin.Context, who visitor) error {
	kept, err := f.Accounts.Receipt(c.Request.Context(), c.Param("id"))
	if err == nil && kept.UserID != who.User.ID {
		err = approval.ErrNotFound
	}
	if errors.Is(err, approval.ErrNotFound) {
		return &wire.Error{
			Status: http.StatusNotFound, Code: codeReceipt, Cause: err,
			Message: "There is no such receipt of yours. Only what you approved with a passkey leaves one.",
		}
	}
	if err != nil {
		return fmt.Errorf("find receipt: %w", err)
	}
	text, err := f.Ceremonies.Document(kept)
	if err != nil {
		return err
	}
	c.Header("Content-Disposition", `attachment; filename="nod-receipt-`+kept.RequestID+`.json"`)
	c.Data(http.StatusOK, "application/json; charset=utf-8", text)
	return nil
}

// receipted are the requests among the events of which the visitor has a receipt.
func (f *face) receipted(ctx context.Context, who visitor, events []approval.Event) (map[string]bool, error) {
	var ids []string
	for _, ev := range events {
		if ev.Name == approval.EventApproved {
			ids = append(ids, ev.RequestID)
		}
	}
	found, err := f.Accounts.Receipted(ctx, who.User.ID, ids)
	if err != nil {
		return nil, fmt.Errorf("list receipts: %w", err)
	}
	out := make(map[string]bool, len(found))
	for _, id := range found {
		out[id] = true
	}
	return out, nil
}
