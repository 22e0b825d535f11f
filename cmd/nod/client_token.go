package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/approval/account"
)

func newClientToken() *cobra.Command {
	var file, scope, username, userID string
	c := &cobra.Command{
		Use:   "token",
		Short: "Sign one service token, to try calls by hand",
		Long: `Sign a service token with a client's private key, as the application's backend
does for each of its calls. It is good for one scope and one use, and for five
minutes unless the server has another --service-token-window.

The credentials are what "nod client create --output json" printed. They stay on
this machine, and neither a server nor its database is asked.`,
		Example: `  nod client create --name Acme --type management --scope codes.generate --output json >acme.json
  nod client token --credentials acme.json --scope codes.generate
  nod client token --credentials - --scope users.create <acme.json`,
		Args: noArguments,
	}
	c.Flags().StringVar(&file, "credentials", "", "JSON file with client_id and private_key, - for standard input (required)")
	c.Flags().StringVar(&scope, "scope", "", "the one scope of the token (required)")
	c.Flags().StringVar(&username, "username", "", "bind the token to this user")
	c.Flags().StringVar(&userID, "user-id", "", "bind the token to this user")
	out := addOutput(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		switch {
		case file == "":
			return usagef("%s needs the client's credentials: give their file with --credentials", c.CommandPath())
		case !account.Scope(scope).Known():
			return usagef("--scope %s is not known%s", scope, orList(scope))
		}
		clientID, key, err := readCredentials(c, file)
		if err != nil {
			return fmt.Errorf("credentials %s: %w", file, err)
		}
		signed, err := token.SignService(key, token.Service{ClientID: clientID, Type: scope, Username: username, UserID: userID})
		if err != nil {
			return err
		}
		printed := struct {
			Token string `json:"token"`
		}{signed}
		return out.print(c, printed, func(w io.Writer) { fmt.Fprintln(w, signed) })
	}
	return c
}

// readCredentials reads what clientView was printed as.
func readCredentials(c *cobra.Command, file string) (clientID string, key token.PrivateKey, err error) {
	from := c.InOrStdin()
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", key, err
		}
		defer f.Close()
		from = f
	}
	var v clientView
	if err := json.NewDecoder(from).Decode(&v); err != nil || v.ClientID == "" || v.PrivateKey == "" {
		return "", key, fmt.Errorf("it is not a JSON object with client_id and private_key, as nod client create --output json prints it")
	}
	key, err = token.ParsePrivateKey([]byte(v.PrivateKey))
	return v.ClientID, key, err
}
