package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/cmd/nod/app"
	"github.com/nod-auth/nod/cmd/nod/config"
)

func newClient() *cobra.Command {
	return group("client", "Register the applications that use nod",
		`A client is an application that uses nod, or one side of it: its backend
(management), its web page (directweb) or its app (native); anything that speaks
OAuth (oauth); or a Keycloak realm (keycloak-channel). Clients of one namespace
share users and codes.

These commands work on the server's database, also while it runs; what they
change holds at once.`,
		newClientCreate(), newClientList(), newClientShow(), newClientSecret(), newClientAddKey(), newClientRemoveKey(), newClientToken(), newClientDelete())
}

// clientView is a client as it is printed.
type clientView struct {
	ClientID         string             `json:"client_id"`
	KeyID            string             `json:"key_id,omitempty"`
	PrivateKey       string             `json:"private_key,omitempty"`   // PEM; printed once, kept nowhere
	ClientSecret     string             `json:"client_secret,omitempty"` // the same
	KeycloakURL      string             `json:"keycloak_url,omitempty"`  // the same: it holds the secret
	NamespaceID      string             `json:"namespace_id"`
	Namespace        string             `json:"namespace"`
	Name             string             `json:"name"`
	Type             account.ClientType `json:"type"`
	Scopes           []account.Scope    `json:"scopes"`
	Origins          []string           `json:"origins"`
	Match            account.Match      `json:"match"`
	OpenRegistration bool               `json:"open_registration"`
	RequireWaitToken bool               `json:"require_wait_token"`
	Notify           bool               `json:"notify"`
	RotateQR         bool               `json:"rotate_qr"`
	CreatedAt        time.Time          `json:"created_at"`
	Keys             []keyView          `json:"keys,omitempty"`
	OAuth            *oauthView         `json:"oauth,omitempty"`
}

type keyView struct {
	KeyID     string    `json:"key_id"`
	CreatedAt time.Time `json:"created_at"`
}

func viewClient(c account.Client, ns account.Namespace) clientView {
	return clientView{
		ClientID: c.ID, NamespaceID: c.NamespaceID, Namespace: ns.Name, Name: c.Name, Type: c.Type,
		Scopes: append([]account.Scope{}, c.Scopes...), Origins: append([]string{}, c.Origins...),
		Match: c.Match, OpenRegistration: c.OpenRegistration, RequireWaitToken: c.RequireWaitToken,
		Notify: c.Notify, RotateQR: c.RotateQR, CreatedAt: c.CreatedAt, OAuth: viewOAuth(c),
	}
}

// viewKeys adds the client's keys to its view.
func viewKeys(ctx context.Context, core *app.Core, v clientView) (clientView, error) {
	keys, err := core.Store.ClientKeys(ctx, v.ClientID)
	for _, k := range keys {
		v.Keys = append(v.Keys, keyView{k.ID, k.CreatedAt})
	}
	return v, err
}

func newClientList() *cobra.Command {
	var namespace string
	c := &cobra.Command{
		Use:     "list",
		Short:   "List clients and their keys",
		Long:    "List clients and the ids of their keys, of one namespace or of all. As JSON it says everything that\n\"nod client show\" says of one.",
		Example: "  nod client list\n  nod client list --namespace staging --output json",
		Args:    noArguments,
	}
	c.Flags().StringVar(&namespace, "namespace", "", "only this namespace's, by name or id")
	out := addOutput(c)
	config.Flags(c.Flags(), dataSettings...)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return withCore(c, false, func(core *app.Core) error {
			views, err := listClients(c.Context(), core, namespace)
			if err != nil {
				return err
			}
			return out.print(c, views, func(w io.Writer) { tableOfClients(w, views) })
		})
	}
	return c
}

func listClients(ctx context.Context, core *app.Core, namespace string) ([]clientView, error) {
	only := ""
	if namespace != "" {
		ns, err := findNamespace(ctx, core, namespace)
		if err != nil {
			return nil, err
		}
		only = ns.ID
	}
	clients, err := core.Store.Clients(ctx, only)
	if err != nil {
		return nil, err
	}
	views := make([]clientView, 0, len(clients))
	for _, client := range clients {
		ns, err := core.Store.Namespace(ctx, client.NamespaceID)
		if err != nil {
			return nil, err
		}
		v, err := viewKeys(ctx, core, viewClient(client, ns))
		if err != nil {
			return nil, err
		}
		views = append(views, v)
	}
	return views, nil
}

func tableOfClients(w io.Writer, views []clientView) {
	rows := [][]string{{"CLIENT ID", "NAME", "TYPE", "NAMESPACE", "KEYS", "ORIGINS"}}
	for _, v := range views {
		rows = append(rows, []string{v.ClientID, v.Name, string(v.Type), v.Namespace,
			strconv.Itoa(len(v.Keys)), orDash(strings.Join(v.Origins, ","))})
	}
	table(w, rows...)
}

func newClientDelete() *cobra.Command {
	c := &cobra.Command{
		Use:   "delete [client-id]",
		Short: "Delete a client",
		Long: `Delete a client with its keys. Its service tokens are refused and its open
requests are canceled at once, those of people who are about to approve included.`,
		Example: "  nod client delete --client-id 3qY…",
		Args:    cobra.MaximumNArgs(1),
	}
	id := addClientID(c)
	out := addOutput(c)
	config.Flags(c.Flags(), dataSettings...)
	c.RunE = func(c *cobra.Command, args []string) error {
		return withClient(c, *id, args, func(core *app.Core, client account.Client) error {
			if err := core.Directory.DeleteClient(c.Context(), client); err != nil {
				return err
			}
			deleted := struct {
				ClientID string `json:"client_id"`
				Name     string `json:"name"`
				Deleted  bool   `json:"deleted"`
			}{client.ID, client.Name, true}
			return out.print(c, deleted, func(w io.Writer) {
				fmt.Fprintf(w, "Deleted client %s (%s); its open requests are canceled.\n", client.ID, client.Name)
			})
		})
	}
	return c
}

// addClientID adds --client-id, for those who would rather name what they give.
func addClientID(c *cobra.Command) *string {
	return c.Flags().String("client-id", "", "the client, if it is not an argument")
}

// withClient runs act on the client that a flag or an argument names.
func withClient(c *cobra.Command, flag string, args []string, act func(*app.Core, account.Client) error) error {
	id := flag
	if len(args) == 1 {
		id = args[0]
	}
	switch {
	case id == "":
		return usagef("%s needs to know which client: give its id with --client-id (\"nod client list\" shows them)", c.CommandPath())
	case flag != "" && len(args) == 1:
		return usagef("%s: name the client once, as an argument or with --client-id", c.CommandPath())
	}
	return withCore(c, false, func(core *app.Core) error {
		client, err := core.Store.Client(c.Context(), id)
		if errors.Is(err, approval.ErrNotFound) {
			return fmt.Errorf("client %s: there is none with this id; \"nod client list\" shows them", id)
		}
		if err != nil {
			return err
		}
		return act(core, client)
	})
}

// findNamespace finds one that must exist.
func findNamespace(ctx context.Context, core *app.Core, name string) (account.Namespace, error) {
	ns, err := core.Store.Namespace(ctx, name)
	if errors.Is(err, approval.ErrNotFound) {
		return ns, fmt.Errorf("namespace %s: there is none; it is made with the first client or user in it", name)
	}
	return ns, err
}
