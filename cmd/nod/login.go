package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/nod-auth/nod/api/client"
	"github.com/nod-auth/nod/cmd/nod/config"
)

// The exit statuses of nod login, besides everybody's. The last is what shells say
// of a program that Ctrl-C has ended.
const (
	exitDenied      = 3
	exitExpired     = 4
	exitUnreachable = 5
	exitCanceled    = 130
)

// secretVariable holds a client's secret, which does not belong among arguments:
// those are everybody's to read.
const secretVariable = "NOD_CLIENT_SECRET"

// loginFlags is what was typed.
type loginFlags struct {
	issuer, clientID string
	secretFile       string
	scopes           []string
	deviceName       string
	output           loginOutput
}

func newLogin() *cobra.Command {
	f := loginFlags{output: asToken, deviceName: thisMachine()}
	c := &cobra.Command{
		Use:   "login",
		Short: "Sign in here with your phone, and print the token",
		Long: `Sign in on this machine with the phone you already trust: the command shows a code,
you approve on the phone, and the token is printed on standard output. Everything
else is said on standard error, so that a script can take the token.

It works with every server of the OAuth device grant (RFC 8628), waits through
broken connections, and needs no terminal. Ctrl-C takes the request back.

A client with a secret is given it by --client-secret-file or in ` + secretVariable + `.

Exit status: 0 signed in, 1 the server or the client is not set up for this, 2 asked
wrongly, 3 declined, 4 the code has run out, 5 the server cannot be reached, 130
canceled.`,
		Example: `  nod login --issuer https://nod.example.com --client-id 3qY…
  curl --oauth2-bearer "$(nod login --issuer https://nod.example.com --client-id 3qY…)" https://api.example.com/
  nod login --issuer https://nod.example.com --client-id 3qY… --scope openid,offline_access --output json`,
		Args: noArguments,
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.issuer, "issuer", "", "the server, exactly as it names itself, like https://nod.example.com (required)")
	flags.StringVar(&f.clientID, "client-id", "", "as what to sign in (required)")
	flags.StringVar(&f.secretFile, "client-secret-file", "", "file that holds the client's secret")
	flags.StringSliceVar(&f.scopes, "scope", nil, "what the token is to allow; repeat it or separate by commas (default what the server gives without being asked)")
	flags.StringVar(&f.deviceName, "device-name", f.deviceName, "what the phone says this machine is called")
	flags.Var(&f.output, "output", "what is printed: the access token alone, or the server's whole answer")
	c.RunE = func(c *cobra.Command, _ []string) error { return f.run(c) }
	return c
}

// thisMachine is what this machine is called, "" when it does not say.
func thisMachine() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

// run signs in, until the first signal. From then on signals have their usual
// effect, so that a second one ends the program at once.
func (f *loginFlags) run(c *cobra.Command) error {
	asked, err := f.config()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	s := newScreen(c.ErrOrStderr(), terminalOf(os.Stderr))
	asked.Prompt, asked.Progress = s.prompt, s.progress
	token, err := client.Login(ctx, asked)
	s.close()
	if err != nil {
		return s.ended(ctx, err)
	}
	s.signedIn(token)
	return f.output.print(c.OutOrStdout(), token)
}

// config judges the flags; the error lists everything that is wrong with them.
func (f *loginFlags) config() (client.LoginConfig, error) {
	var faults config.Faults
	if f.issuer == "" {
		faults = append(faults, "--issuer is missing: say which server signs you in, like https://nod.example.com")
	}
	if f.clientID == "" {
		faults = append(faults, "--client-id is missing: whoever runs the server makes one with: nod client create --type oauth --grant device_code --auth none")
	}
	secret, err := f.secret()
	if err != nil {
		faults = append(faults, err.Error())
	}
	if len(faults) > 0 {
		return client.LoginConfig{}, faults
	}
	scopes := strings.Fields(strings.Join(f.scopes, " "))
	return client.LoginConfig{Issuer: f.issuer, ClientID: f.clientID, ClientSecret: secret, Scopes: scopes, DeviceName: f.deviceName}, nil
}

func (f *loginFlags) secret() (string, error) {
	if f.secretFile == "" {
		return os.Getenv(secretVariable), nil
	}
	text, err := os.ReadFile(f.secretFile)
	switch secret := strings.TrimSpace(string(text)); {
	case err != nil:
		return "", fmt.Errorf("--client-secret-file: %w", err)
	case secret == "":
		return "", fmt.Errorf("--client-secret-file: %s is empty", f.secretFile)
	default:
		return secret, nil
	}
}

// ended tells how a login has ended without a token, and with which status.
func (s *screen) ended(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, client.ErrDenied):
		s.say("Sign-in was declined. Nothing was shared.")
		return exitError{status: exitDenied}
	case errors.Is(err, client.ErrExpired):
		s.say("This code has run out. Run the command again for a new one.")
		return exitError{status: exitExpired}
	case ctx.Err() != nil:
		if s.expires.IsZero() { // otherwise it was said when the code was taken back
			s.say("Canceled.")
		}
		return exitError{status: exitCanceled}
	case errors.Is(err, client.ErrUnreachable):
		return exitError{exitUnreachable, errors.New(printable(err.Error()))}
	}
	return errors.New(printable(err.Error()))
}

// loginOutput is what is printed of an answer: the value of --output.
type loginOutput string

const (
	asToken  loginOutput = "token"
	asAnswer loginOutput = "json"
)

// Set implements pflag.Value.
func (o *loginOutput) Set(text string) error {
	switch v := loginOutput(strings.ToLower(text)); v {
	case asToken, asAnswer:
		*o = v
		return nil
	}
	return errors.New("use token or json")
}

func (o *loginOutput) String() string { return string(*o) }

// Type is what help texts show in place of the value.
func (*loginOutput) Type() string { return "token|json" }

// print writes the result. A token that could not be written is lost.
func (o loginOutput) print(w io.Writer, token *client.Token) error {
	text := bytes.NewBufferString(token.AccessToken)
	if o == asAnswer {
		text.Reset()
		if err := json.Indent(text, bytes.TrimSpace(token.Raw), "", "  "); err != nil {
			return fmt.Errorf("print the answer: %w", err)
		}
	}
	text.WriteByte('\n')
	if _, err := text.WriteTo(w); err != nil {
		return fmt.Errorf("print the token: %w; sign in again", err)
	}
	return nil
}

// terminalOf is how large the terminal is that f leads to, on each call; zeros when
// it leads to none that could be drawn on.
func terminalOf(f *os.File) func() (columns, rows int) {
	return func() (columns, rows int) {
		if os.Getenv("TERM") == "dumb" {
			return 0, 0
		}
		columns, rows, err := term.GetSize(int(f.Fd()))
		if err != nil {
			return 0, 0
		}
		return columns, rows
	}
}
