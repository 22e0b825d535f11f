package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/cmd/nod/app"
	"github.com/nod-auth/nod/cmd/nod/config"
)

func newPushTest() *cobra.Command {
	c := &cobra.Command{
		Use:   "test",
		Short: "Send a test to every phone of a user",
		Long: `Send a message that leads nowhere to every phone of a user, and say of each in a
sentence what its provider answered and what to do. It goes out from here, not
through the server. The exit status is 0 when at least one phone took it.`,
		Example: "  nod push test --user zoe\n  nod push test --user zoe --namespace staging --output json",
		Args:    noArguments,
	}
	w := addUser(c)
	out := addOutput(c)
	config.Flags(c.Flags(), pushSettings...)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := w.check(c); err != nil {
			return err
		}
		return withPush(c, func(core *app.Core) error {
			phones, err := w.reachable(c.Context(), core)
			if err != nil {
				return err
			}
			if len(phones) == 0 {
				return fmt.Errorf("user %s has no phone to be reached on; they turn it on at /notifications on the phone, "+
					"or you add an address with: nod push add --user %s --email …", w.username, w.username)
			}
			tests, sent := tryPhones(c.Context(), core, phones)
			err = out.print(c, tests, func(text io.Writer) { tableOfTests(text, tests) })
			if err == nil && sent == 0 {
				err = fmt.Errorf("no phone of user %s was reached", w.username)
			}
			return err
		})
	}
	return c
}

// phones lists the phones of the user, who must exist.
func (w who) phones(ctx context.Context, core *app.Core) ([]account.Phone, error) {
	u, err := w.find(ctx, core)
	if err != nil {
		return nil, err
	}
	return core.Store.Phones(ctx, u.ID)
}

// reachable lists what a test goes to: the user's phones and, as one without a
// kind, the channels that need no phone.
func (w who) reachable(ctx context.Context, core *app.Core) ([]account.Phone, error) {
	u, err := w.find(ctx, core)
	if err != nil {
		return nil, err
	}
	phones, err := core.Store.Phones(ctx, u.ID)
	if core.Config.PushWebhookURL != "" || core.Config.PushLog {
		phones = append(phones, account.Phone{UserID: u.ID, Name: "webhook or log"})
	}
	return phones, err
}

// phoneTest is what came of a test.
type phoneTest struct {
	ID     string            `json:"id,omitempty"`
	Kind   account.PhoneKind `json:"kind,omitempty"`
	Name   string            `json:"name"`
	Sent   bool              `json:"sent"`
	Answer string            `json:"answer"`
}

// tryPhones tests one phone after the other: there are at most account.MaxPhones.
func tryPhones(ctx context.Context, core *app.Core, phones []account.Phone) (tests []phoneTest, sent int) {
	for _, p := range phones {
		t := phoneTest{ID: p.ID, Kind: p.Kind, Name: p.Name}
		t.Answer, t.Sent = core.Push.Test(ctx, p)
		if t.Sent {
			sent++
		}
		tests = append(tests, t)
	}
	return tests, sent
}

func tableOfTests(w io.Writer, tests []phoneTest) {
	rows := make([][]string, len(tests))
	for i, t := range tests {
		word := "failed"
		if t.Sent {
			word = "sent"
		}
		rows[i] = []string{word, strings.TrimSpace(t.Name + " " + string(t.Kind)), t.Answer}
	}
	table(w, rows...)
}
