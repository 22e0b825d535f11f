package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/cmd/nod/app"
	"github.com/nod-auth/nod/cmd/nod/config"
)

// clientTypes are those that can be created; OpenID Connect comes later.
var clientTypes = []string{string(account.ClientManagement), string(account.ClientWeb), string(account.ClientNative)}

// clientFlags is what was typed, to be judged as a whole.
type clientFlags struct {
	name, kind, match string
	scopes, origins   []string
	namespace         string
	publicKey         string
	openRegistration  bool
	requireWaitToken  bool
	notify, rotateQR  bool
}

func newClientCreate() *cobra.Command {
	var f clientFlags
	c := &cobra.Command{
		Use:   "create",
		Short: "Register a client and make its key",
		Long: `Register a client and print its id and its private key. The key is printed once
and kept nowhere: give it to the backend that signs service tokens.

A backend (management) needs the scopes of the calls it makes. A web page
(directweb) or an app (native) needs the origins it runs on, and shares the
namespace of its backend.

Scopes:
` + wrapped(account.Scopes, "  ", 76),
		Example: `  nod client create --name "Acme TV" --type management \
    --scope codes.generate,codes.authorize,codes.invalidate,users.create
  nod client create --name "Acme TV" --type directweb --origin https://tv.acme.example
  nod client create --name CI --type management --scope codes.generate --output json | jq -r .private_key`,
		Args: noArguments,
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.name, "name", "", "what people see as the application's name (required)")
	flags.StringVar(&f.kind, "type", "", "one of "+strings.Join(clientTypes, ", ")+" (required)")
	flags.StringSliceVar(&f.scopes, "scope", nil, "what its tokens may do; repeat it or separate by commas")
	flags.StringVar(&f.namespace, "namespace", approval.DefaultNamespace, "whose users and codes it shares; made when it is new")
	flags.StringSliceVar(&f.origins, "origin", nil, "where its pages live, like https://app.example.com; may be repeated")
	flags.BoolVar(&f.openRegistration, "open-registration", false, "anybody may register a passkey under a name nobody has")
	flags.BoolVar(&f.requireWaitToken, "require-wait-token", false, "a device may only wait with a token of scope auth.temporary (recommended)")
	flags.StringVar(&f.match, "match", string(account.MatchType), "how a request opened from the phone's list is tied to the device: type a number, pick one of three, or none")
	flags.BoolVar(&f.notify, "notify", false, "its requests prompt the user's phones, unless one says \"notify\": false")
	flags.BoolVar(&f.rotateQR, "rotate-qr", false, "its QR codes change every 30 seconds, so that a picture of one is soon worth nothing")
	flags.StringVar(&f.publicKey, "public-key", "", "PEM file of a P-256 public key, to keep the private one where it is")
	out := addOutput(c)
	config.Flags(flags, dataSettings...)
	c.RunE = func(c *cobra.Command, _ []string) error { return createClient(c, f, *out) }
	return c
}

func createClient(c *cobra.Command, f clientFlags, out output) error {
	client, err := f.client()
	if err != nil {
		return err
	}
	private, public, err := f.key()
	if err != nil {
		return err
	}
	return withCore(c, true, func(core *app.Core) error {
		ns, err := core.Directory.Namespace(c.Context(), f.namespace)
		if err != nil {
			return err
		}
		client.NamespaceID = ns.ID
		made, err := core.Directory.CreateClient(c.Context(), approval.NewClient{Client: client, Public: public})
		if err != nil {
			return err
		}
		v := viewClient(made, ns)
		v.PrivateKey = string(private)
		if keys, err := core.Store.ClientKeys(c.Context(), made.ID); err == nil && len(keys) == 1 {
			v.KeyID = keys[0].ID
		}
		if err := out.print(c, v, func(w io.Writer) { describeClient(w, v) }); err != nil {
			return err
		}
		return advise(c.Context(), core, made, func(s string) { note(c, "nod: %s", s) })
	})
}

// client judges the flags; the error lists everything that is wrong with them.
func (f clientFlags) client() (account.Client, error) {
	var faults config.Faults
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if strings.TrimSpace(f.name) == "" {
		fault("--name is missing: say what people will see as the application's name")
	}
	if f.kind == "" {
		fault("--type is missing: use %s", strings.Join(clientTypes, ", "))
	} else if !slices.Contains(clientTypes, f.kind) {
		fault("--type %s is not known%s", f.kind, orOneOf(f.kind, clientTypes))
	}
	if !slices.Contains(account.Matches, account.Match(f.match)) {
		fault("--match %s is not known%s", f.match, orOneOf(f.match, words(account.Matches)))
	}
	client := account.Client{
		Name: f.name, Type: account.ClientType(f.kind), Match: account.Match(f.match),
		OpenRegistration: f.openRegistration, RequireWaitToken: f.requireWaitToken,
		Notify: f.notify, RotateQR: f.rotateQR,
	}
	for _, word := range f.scopes {
		scope := account.Scope(strings.TrimSpace(word))
		if !scope.Known() {
			fault("--scope %s is not known%s", scope, orList(string(scope)))
		} else if !client.May(scope) {
			client.Scopes = append(client.Scopes, scope)
		}
	}
	for _, text := range f.origins {
		origin, err := exactOrigin(strings.TrimSpace(text))
		if err != nil {
			fault("--origin %v", err)
		} else if !slices.Contains(client.Origins, origin) {
			client.Origins = append(client.Origins, origin)
		}
	}
	if len(faults) > 0 {
		return client, faults
	}
	return client, nil
}

// key makes a key pair, or reads the operator's public key.
func (f clientFlags) key() (token.PrivatePEM, []byte, error) {
	if f.publicKey == "" {
		return token.NewServiceKey()
	}
	text, err := os.ReadFile(f.publicKey)
	if err != nil {
		return nil, nil, fmt.Errorf("public key: %w", err)
	}
	key, err := token.ParsePublicKey(text)
	if err != nil {
		return nil, nil, fmt.Errorf("public key %s: %w; make a pair with: openssl ecparam -name prime256v1 -genkey", f.publicKey, err)
	}
	public, err := x509.MarshalPKIXPublicKey(key)
	return nil, public, err
}

func describeClient(w io.Writer, v clientView) {
	table(w,
		[]string{"client_id", v.ClientID},
		[]string{"name", v.Name},
		[]string{"type", string(v.Type)},
		[]string{"namespace", v.Namespace + " (" + v.NamespaceID + ")"},
		[]string{"scopes", orDash(strings.Join(words(v.Scopes), " "))},
		[]string{"origins", orDash(strings.Join(v.Origins, " "))},
		[]string{"key", v.KeyID},
	)
	describeKey(w, v.PrivateKey)
}

func describeKey(w io.Writer, private string) {
	if private != "" {
		fmt.Fprintf(w, "\nThe private key, shown this once. Keep it where only the backend can read it.\n\n%s", private)
	}
}

// advise says what the operator may not expect of the client.
func advise(ctx context.Context, core *app.Core, client account.Client, say func(string)) error {
	if client.Type == account.ClientManagement && len(client.Scopes) == 0 {
		say("this client has no --scope, so every call that needs a token will refuse it")
	}
	rpID, err := core.RPID(ctx)
	if err != nil {
		return err
	}
	origins, err := core.Store.Origins(ctx)
	if err != nil {
		return err
	}
	for _, s := range relatedNotes(rpID, client.Origins, origins) {
		say(s)
	}
	return nil
}

// words turns typed words into plain ones.
func words[T ~string](typed []T) []string {
	out := make([]string, len(typed))
	for i, w := range typed {
		out[i] = string(w)
	}
	return out
}

// orOneOf ends a sentence about a word that is not one of a few.
func orOneOf(word string, known []string) string {
	if near := config.Nearest(word, known); near != "" {
		return "; did you mean " + near + "?"
	}
	return "; use one of " + strings.Join(known, ", ")
}

// orList ends a sentence about a scope that does not exist.
func orList(scope string) string {
	if near := config.Nearest(scope, words(account.Scopes)); near != "" {
		return "; did you mean " + near + "?"
	}
	return `; "nod client create --help" lists the scopes`
}

// wrapped writes words in lines of at most width characters.
func wrapped[T ~string](list []T, indent string, width int) string {
	var b strings.Builder
	line := indent
	for _, w := range words(list) {
		if len(line)+1+len(w) > width {
			b.WriteString(line + "\n")
			line = indent
		}
		if line != indent {
			line += " "
		}
		line += w
	}
	return b.String() + line
}
