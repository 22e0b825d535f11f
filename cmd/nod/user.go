package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/cmd/nod/app"
	"github.com/nod-auth/nod/cmd/nod/config"
)

func newUser() *cobra.Command {
	return group("user", "Manage the people who decide",
		`A user is a person who decides on a phone. An invitation lets that person enrol a
first passkey; from then on the phone's pages are enough.

These commands work on the server's database, also while it runs; what they
change holds at once.`,
		newUserCreate(), newUserInvite(), newUserCode(), newUserList(),
		newUserStatus("deactivate", "Suspend a user",
			"Suspend a user: open requests are canceled, phones are signed out, and nothing can be approved until the user is activated again.",
			(*approval.Directory).Deactivate, approval.ErrInactive),
		newUserStatus("activate", "Let a suspended user take part again",
			"Let a suspended user take part again, with the same passkeys.",
			(*approval.Directory).Activate, approval.ErrExists))
}

// userView is a user as it is printed.
type userView struct {
	ID          string             `json:"id"`
	Username    string             `json:"username"`
	NamespaceID string             `json:"namespace_id"`
	Status      account.UserStatus `json:"status"`
	Passkeys    *int               `json:"passkeys,omitempty"` // active ones, in lists
	CreatedAt   time.Time          `json:"created_at"`
}

func viewUser(u account.User) userView {
	return userView{ID: u.ID, Username: u.Username, NamespaceID: u.NamespaceID, Status: u.Status, CreatedAt: u.CreatedAt}
}

// who names a user on the command line.
type who struct{ username, namespace string }

func addWho(c *cobra.Command) *who {
	var w who
	c.Flags().StringVar(&w.username, "username", "", "the user's name (required)")
	addNamespace(c, &w.namespace)
	return &w
}

func addNamespace(c *cobra.Command, into *string) {
	c.Flags().StringVar(into, "namespace", approval.DefaultNamespace, "the namespace, by name or id")
}

// check is an error when no user is named.
func (w who) check(c *cobra.Command) error {
	if w.username == "" {
		return usagef("%s needs to know which user: give the name with --username", c.CommandPath())
	}
	return nil
}

// find returns the user, who must exist.
func (w who) find(ctx context.Context, core *app.Core) (account.User, error) {
	ns, err := findNamespace(ctx, core, w.namespace)
	if err != nil {
		return account.User{}, err
	}
	name, err := approval.CleanText("username", w.username, approval.MaxUsername)
	if err != nil {
		return account.User{}, err
	}
	u, err := core.Store.UserByName(ctx, ns.ID, name)
	if errors.Is(err, approval.ErrNotFound) {
		return u, fmt.Errorf("user %s: there is none of that name in namespace %s; \"nod user list\" shows them", name, ns.Name)
	}
	return u, err
}

func newUserCreate() *cobra.Command {
	c := &cobra.Command{
		Use:     "create",
		Short:   "Create a user",
		Long:    "Create a user, who can do nothing before enrolling a passkey: invite the user next.",
		Example: "  nod user create --username zoe\n  nod user create --username zoe --namespace staging --output json",
		Args:    noArguments,
	}
	w := addWho(c)
	out := addOutput(c)
	config.Flags(c.Flags(), dataSettings...)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := w.check(c); err != nil {
			return err
		}
		return withCore(c, true, func(core *app.Core) error {
			ns, err := core.Directory.Namespace(c.Context(), w.namespace)
			if err != nil {
				return err
			}
			u, err := core.Directory.CreateUser(c.Context(), ns.ID, "", w.username)
			if errors.Is(err, approval.ErrExists) {
				return fmt.Errorf("user %s: there is one of that name in namespace %s already", w.username, ns.Name)
			}
			if err != nil {
				return err
			}
			return out.print(c, viewUser(u), func(text io.Writer) {
				table(text, []string{"id", u.ID}, []string{"username", u.Username}, []string{"namespace", ns.Name + " (" + ns.ID + ")"})
			})
		})
	}
	return c
}

// pageSize is how many users one look at the database reads.
const pageSize = 500

func newUserList() *cobra.Command {
	var namespace string
	c := &cobra.Command{
		Use:     "list",
		Short:   "List users",
		Long:    "List the users of a namespace by name, with how many passkeys each can use.",
		Example: "  nod user list\n  nod user list --namespace staging --output json",
		Args:    noArguments,
	}
	addNamespace(c, &namespace)
	out := addOutput(c)
	config.Flags(c.Flags(), dataSettings...)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return withCore(c, false, func(core *app.Core) error {
			views, err := listUsers(c.Context(), core, namespace)
			if err != nil {
				return err
			}
			return out.print(c, views, func(w io.Writer) { tableOfUsers(w, views) })
		})
	}
	return c
}

func listUsers(ctx context.Context, core *app.Core, namespace string) ([]userView, error) {
	ns, err := findNamespace(ctx, core, namespace)
	if err != nil {
		return nil, err
	}
	views := []userView{}
	for last := ""; ; {
		page, err := core.Store.Users(ctx, ns.ID, last, pageSize)
		if err != nil {
			return nil, err
		}
		for _, u := range page {
			n, err := activePasskeys(ctx, core, u)
			if err != nil {
				return nil, err
			}
			v := viewUser(u)
			v.Passkeys = &n
			views, last = append(views, v), u.Username
		}
		if len(page) < pageSize {
			return views, nil
		}
	}
}

func activePasskeys(ctx context.Context, core *app.Core, u account.User) (int, error) {
	keys, err := core.Store.Passkeys(ctx, u.ID)
	n := 0
	for _, k := range keys {
		if k.Status == account.PasskeyActive {
			n++
		}
	}
	return n, err
}

func tableOfUsers(w io.Writer, views []userView) {
	rows := [][]string{{"USERNAME", "STATUS", "PASSKEYS", "CREATED", "ID"}}
	for _, v := range views {
		rows = append(rows, []string{v.Username, string(v.Status), strconv.Itoa(*v.Passkeys), v.CreatedAt.Format(time.RFC3339), v.ID})
	}
	table(w, rows...)
}

// newUserStatus makes the two commands that suspend a user and end that. Doing
// it again is no error: what was asked for is so.
func newUserStatus(
	name, short, long string,
	change func(*approval.Directory, context.Context, account.User, ...approval.Effect) (account.User, error), already error,
) *cobra.Command {
	c := &cobra.Command{
		Use: name, Short: short, Long: long,
		Example: "  nod user " + name + " --username zoe",
		Args:    noArguments,
	}
	w := addWho(c)
	out := addOutput(c)
	config.Flags(c.Flags(), dataSettings...)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := w.check(c); err != nil {
			return err
		}
		return withCore(c, false, func(core *app.Core) error {
			u, err := w.find(c.Context(), core)
			if err != nil {
				return err
			}
			if u, err = change(core.Directory, c.Context(), u); err != nil && !errors.Is(err, already) {
				return err
			}
			return out.print(c, viewUser(u), func(text io.Writer) {
				fmt.Fprintf(text, "User %s is %s.\n", u.Username, u.Status)
			})
		})
	}
	return c
}
