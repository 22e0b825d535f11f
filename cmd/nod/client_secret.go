package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/cmd/nod/app"
	"github.com/nod-auth/nod/cmd/nod/config"
)

func newClientSecret() *cobra.Command {
	c := &cobra.Command{
		Use:   "secret [client-id]",
		Short: "Replace a client's secret",
		Long: `Draw a new secret for a client that authenticates with one, and print it, once. The
one before is refused from now on; who is signed in stays signed in. Of a Keycloak
realm's client it is a part of the URL that the realm is given.`,
		Example: "  nod client secret --client-id 3qY…\n  nod client secret --client-id 3qY… --output json | jq -r .client_secret",
		Args:    cobra.MaximumNArgs(1),
	}
	id := addClientID(c)
	out := addOutput(c)
	config.Flags(c.Flags(), append([]string{"public-url"}, dataSettings...)...)
	c.RunE = func(c *cobra.Command, args []string) error {
		return withClient(c, *id, args, func(core *app.Core, client account.Client) error {
			if err := usesSecret(client); err != nil {
				return err
			}
			ns, err := core.Store.Namespace(c.Context(), client.NamespaceID)
			if err != nil {
				return err
			}
			v, secret := viewClient(client, ns), account.NewSecret()
			if err := v.show(c.Context(), core, client, secret); err != nil {
				return err
			}
			if err := core.Directory.SetClientSecret(c.Context(), client, secret.Hash()); err != nil {
				return err
			}
			changed := struct {
				ClientID     string `json:"client_id"`
				ClientSecret string `json:"client_secret,omitempty"`
				KeycloakURL  string `json:"keycloak_url,omitempty"`
			}{v.ClientID, v.ClientSecret, v.KeycloakURL}
			return out.print(c, changed, func(w io.Writer) {
				table(w, []string{"client_id", v.ClientID})
				describeSecret(w, v)
			})
		})
	}
	return c
}

// usesSecret says what to do where a client has no secret.
func usesSecret(c account.Client) error {
	switch {
	case c.OAuth == nil || c.OAuth.Auth == account.AuthPrivateKey:
		return fmt.Errorf("client %s: it has no secret, it signs with a key; use nod client add-key", c.ID)
	case !c.OAuth.Auth.Secret():
		return fmt.Errorf("client %s: it has no secret, anybody may use its id (--auth none)", c.ID)
	}
	return nil
}

// usesKeys says what to do where a client does not sign.
func usesKeys(c account.Client) error {
	switch {
	case c.OAuth == nil || c.OAuth.Auth == account.AuthPrivateKey:
		return nil
	case c.OAuth.Auth.Secret():
		return fmt.Errorf("client %s: it has no keys, it authenticates with a secret; use nod client secret", c.ID)
	}
	return fmt.Errorf("client %s: it has no keys, anybody may use its id (--auth none)", c.ID)
}

func describeSecret(w io.Writer, v clientView) {
	switch {
	case v.KeycloakURL != "":
		fmt.Fprintf(w, `
The URL for the realm's authentication channel, shown this once: Keycloak's option that ends
in http-authentication-channel-uri. Whoever has it can ask the users of this namespace.

%s
`, v.KeycloakURL)
	case v.ClientSecret != "":
		fmt.Fprintf(w, "\nThe client secret, shown this once. Keep it where only the application can read it.\n\n%s\n", v.ClientSecret)
	}
}
