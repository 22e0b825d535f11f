package push

import (
	"context"
	"log/slog"
)

// logChannel writes messages and their links into the log, for whoever develops
// an application and has no phone at hand. Who reads the log can open what is in
// it, though not approve: that needs the user's own session and passkey.
type logChannel struct {
	log    *slog.Logger
	public string
}

// Send implements Channel.
func (c *logChannel) Send(ctx context.Context, m Message) error {
	_, body := words(m)
	c.log.InfoContext(ctx, "push: "+body, "user", m.User.Username, "link", link(c.public, m))
	return nil
}

func (c *logChannel) check(context.Context) (says string, err error) {
	return "messages and their links are written to the log: good for development and for nothing else", nil
}

// link is where a message leads, as a whole.
func link(public string, m Message) string { return public + m.Path() }
