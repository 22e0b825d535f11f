package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nod-auth/nod/push"
)

// OpenPush opens the roads to phones that are configured, and lets the core know
// of them. Nothing is sent before (*push.Push).Run, except by who asks for it.
// What is wrong in a way that time may mend is a warning in the log; what is not
// (wrong credentials) is an error that says what to do. metrics may be nil.
func (c *Core) OpenPush(ctx context.Context, log *slog.Logger, metrics prometheus.Registerer) error {
	keys, err := c.VAPID(ctx)
	if err != nil {
		return err
	}
	public, err := c.PublicURL(ctx)
	if err != nil {
		return err
	}
	credentials, err := c.firebaseAccount()
	if err != nil {
		return err
	}
	set := c.Config
	c.Push, err = push.New(ctx, push.Config{
		Store: c.Store, Codes: c.Service.Codes, PublicURL: public, Key: c.master.derive(forPush),
		VAPID: keys, Contact: c.PushContact(public), Services: set.PushServices, Allow: set.PushAllowNetworks,
		FCMCredentials: credentials, FCMEndpoint: set.FCMEndpoint,
		SMTPURL: set.SMTPURL, SMTPFrom: set.SMTPFrom,
		WebhookURL: set.PushWebhookURL, WebhookSecret: set.PushWebhookSecret,
		LogPrompts: set.PushLog, Log: log, Metrics: metrics,
	})
	if err != nil {
		return err
	}
	c.Service.Reach, c.Service.Outbox, c.Service.Receivers = c.Push, c.Store, c.Push.Hooks()
	return nil
}

// PushContact is whom push services ask about what this server at the public URL
// sends; "" when nobody is known whom they could.
func (c *Core) PushContact(public string) string {
	if c.Config.PushContact == "" && strings.HasPrefix(public, "https://") {
		return public
	}
	return c.Config.PushContact
}

// firebaseAccount reads the service account; nil when none is configured.
func (c *Core) firebaseAccount() ([]byte, error) {
	path := c.Config.FCMCredentialsFile
	if path == "" {
		return nil, nil
	}
	account, err := os.ReadFile(path)
	if unreadable := (*fs.PathError)(nil); errors.As(err, &unreadable) {
		return nil, fmt.Errorf("fcm-credentials-file %s: %w; name the service account's JSON file from the Firebase console "+
			"(Project settings, Service accounts), and let this user read it", path, unreadable.Err)
	}
	return account, err
}
