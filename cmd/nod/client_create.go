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

// nativeTypes are those of the native API that can be created, clientTypes all.
var (
	nativeTypes = []account.ClientType{account.ClientManagement, account.ClientWeb, account.ClientNative}
	clientTypes = words(append(slices.Clone(nativeTypes), account.ClientOAuth, account.ClientKeycloak))
)

// clientFlags is what was typed, to be judged as a whole.
type clientFlags struct {
	name, kind, match string
	scopes, origins   []string
	namespace         string
	publicKey         string
	openRegistration  bool
	requireWaitToken  bool
	notify, rotateQR  bool
	oauth             oauthFlags
}

func newClientCreate() *cobra.Command {
	var f clientFlags
	c := &cobra.Command{
		Use:   "create",
		Short: "Register a client and make its key or secret",
		Long: `Register a client and print its id and its private key or secret. Either is printed
once and kept nowhere: give it to the backend that needs it.

Of the native API: a backend (management) needs the scopes of the calls it makes;
a web page (directweb) or an app (native) needs the origins it runs on, and shares
the namespace of its backend.

Of the standard faces: a device, a tool or a backend that speaks OAuth (oauth) needs
the grants it uses. Its scopes are yours to invent; say with each what it allows, in
words for the person who is asked: --scope "tv.play=play films on your behalf". A
Keycloak realm that lets nod ask its users (keycloak-channel) needs its callback;
scopes with words only say how those of the realm are shown.

Scopes of service tokens:
` + wrapped(account.Scopes, "  ", 76),
		Example: `  nod client create --name "Acme TV" --type management \
    --scope codes.generate,codes.authorize,codes.invalidate,users.create
  nod client create --name "Acme TV" --type directweb --origin https://tv.acme.example
  nod client create --name acme-cli --type oauth --grant device_code --auth none
  nod client create --name Bank --type oauth --grant ciba --scope openid --scope "pay=pay from your account"
  nod client create --name CI --type management --scope codes.generate --output json | jq -r .private_key`,
		Args: noArguments,
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.name, "name", "", "what people see as the application's name (required)")
	flags.StringVar(&f.kind, "type", "", "one of "+strings.Join(clientTypes, ", ")+" (required)")
	flags.StringArrayVar(&f.scopes, "scope", nil, "what its tokens may do; repeat it or separate by commas (oauth: openid, profile and offline_access when it is not given)")
	flags.StringVar(&f.namespace, "namespace", approval.DefaultNamespace, "whose users and codes it shares; made when it is new")
	flags.StringSliceVar(&f.origins, "origin", nil, "where its pages live, like https://app.example.com; may be repeated")
	flags.BoolVar(&f.openRegistration, "open-registration", false, "anybody may register a passkey under a name nobody has")
	flags.BoolVar(&f.requireWaitToken, "require-wait-token", false, "a device may only wait with a token of scope auth.temporary (recommended)")
	flags.StringVar(&f.match, "match", "", "how a request opened from the phone's list is tied to the device: type a number, pick one of three, compare the message, or none (type; oauth and keycloak-channel: message)")
	flags.BoolVar(&f.notify, "notify", false, "its requests prompt the user's phones, unless one says \"notify\": false")
	flags.BoolVar(&f.rotateQR, "rotate-qr", false, "its QR codes change every 30 seconds, so that a picture of one is soon worth nothing")
	flags.StringVar(&f.publicKey, "public-key", "", "PEM file of a P-256 public key, to keep the private one where it is")
	f.oauth.add(flags)
	out := addOutput(c)
	config.Flags(flags, append([]string{"public-url"}, dataSettings...)...)
	c.RunE = func(c *cobra.Command, _ []string) error { return createClient(c, f, *out) }
	return c
}

func createClient(c *cobra.Command, f clientFlags, out output) error {
	client, err := f.client(c)
	if err != nil {
		return err
	}
	made, err := f.credentials(&client)
	if err != nil {
		return err
	}
	return withCore(c, true, func(core *app.Core) error {
		ns, err := core.Directory.Namespace(c.Context(), f.namespace)
		if err != nil {
			return err
		}
		client.NamespaceID = ns.ID
		client, err := core.Directory.CreateClient(c.Context(), approval.NewClient{Client: client, Public: made.public})
		if err != nil {
			return asFlag(err)
		}
		v, err := viewKeys(c.Context(), core, viewClient(client, ns))
		if err != nil {
			return err
		}
		if len(v.Keys) == 1 {
			v.KeyID, v.Keys = v.Keys[0].KeyID, nil
		}
		v.PrivateKey = string(made.private)
		if err := v.show(c.Context(), core, client, made.secret); err != nil {
			return err
		}
		if err := out.print(c, v, func(w io.Writer) { describeClient(w, v) }); err != nil {
			return err
		}
		return advise(c.Context(), core, client, func(s string) { note(c, "nod: %s", s) })
	})
}

// client judges the flags; the error lists everything that is wrong with them.
func (f clientFlags) client(c *cobra.Command) (account.Client, error) {
	var faults config.Faults
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	client := account.Client{
		Name: f.name, Type: account.ClientType(f.kind), Match: account.Match(f.match),
		OpenRegistration: f.openRegistration, RequireWaitToken: f.requireWaitToken,
		Notify: f.notify, RotateQR: f.rotateQR,
	}
	if strings.TrimSpace(f.name) == "" {
		fault("--name is missing: say what people will see as the application's name")
	}
	switch {
	case f.kind == "":
		fault("--type is missing: use %s", strings.Join(clientTypes, ", "))
	case !slices.Contains(clientTypes, f.kind):
		fault("--type %s is not known%s", f.kind, orOneOf(f.kind, clientTypes))
	default:
		misplaced(c, client.Type, fault)
	}
	if f.match != "" {
		oneOf(fault, "match", f.match, words(account.Matches))
	}
	switch client.Type {
	case account.ClientOAuth:
		client.OAuth = f.oauth.register(f.scopes, c.Flags().Changed, fault)
	case account.ClientKeycloak:
		client.OAuth = f.oauth.channel(f.scopes, fault)
	default:
		client.Scopes = serviceScopes(f.scopes, fault)
	}
	client.Origins = f.exactOrigins(fault)
	if len(faults) > 0 {
		return client, faults
	}
	return client, nil
}

// serviceScopes reads the scopes of service tokens.
func serviceScopes(given []string, fault faulter) (out []account.Scope) {
	for _, word := range strings.Split(strings.Join(given, ","), ",") {
		scope := account.Scope(strings.TrimSpace(word))
		if scope == "" && len(given) == 0 {
			continue
		}
		if !scope.Known() {
			fault("--scope %s is not known%s", scope, orList(string(scope)))
		} else if !slices.Contains(out, scope) {
			out = append(out, scope)
		}
	}
	return out
}

func (f clientFlags) exactOrigins(fault faulter) (out []string) {
	for _, text := range f.origins {
		origin, err := exactOrigin(strings.TrimSpace(text))
		if err != nil {
			fault("--origin %v", err)
		} else if !slices.Contains(out, origin) {
			out = append(out, origin)
		}
	}
	return out
}

// credentials is what a client proves with who it is: a key, a secret, or nothing.
type credentials struct {
	private token.PrivatePEM // "" when the operator has it
	public  []byte
	secret  account.Secret
}

// credentials draws what a client of its kind needs, and notes the hash of a secret.
func (f clientFlags) credentials(client *account.Client) (made credentials, err error) {
	switch {
	case client.OAuth == nil || client.OAuth.Auth == account.AuthPrivateKey:
		made.private, made.public, err = f.key()
	case client.OAuth.Auth.Secret():
		made.secret = account.NewSecret()
		client.OAuth.SecretHash = made.secret.Hash()
	}
	return made, err
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

// advise says what the operator may not expect of the client.
func advise(ctx context.Context, core *app.Core, client account.Client, say func(string)) error {
	if client.Type == account.ClientManagement && len(client.Scopes) == 0 {
		say("this client has no --scope, so every call that needs a token will refuse it")
	}
	if o := client.OAuth; o.MayUse(account.GrantCIBA) && !slices.ContainsFunc(o.Scopes, func(s account.ScopeText) bool { return s.Scope == account.ScopeOpenID }) {
		say("this client has no --scope openid, which every CIBA request asks for (CIBA Core section 7.1)")
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
