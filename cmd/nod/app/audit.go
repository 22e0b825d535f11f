package app

import (
	"context"

	"github.com/nod-auth/nod/approval/audit"
)

func (c *Core) auditKey() audit.Key { return c.master.derive(forAudit) }

// VerifyAudit holds the audit rows to their chain, see [audit.Verify].
func (c *Core) VerifyAudit(ctx context.Context, witnesses ...audit.Place) (audit.Report, error) {
	return audit.Verify(ctx, c.Store, c.auditKey(), witnesses...)
}

// RestartAudit lets a broken chain go on, see [audit.Restart].
func (c *Core) RestartAudit(ctx context.Context, by, reason string) (audit.Restarted, error) {
	return audit.Restart(ctx, c.Store, c.auditKey(), by, reason)
}
