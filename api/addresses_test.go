package api_test

import (
	"regexp"
	"testing"

	"github.com/nod-auth/nod/api"
)

// inAddresses is all that paths and queries take, and why a proxy may write it into
// its log: none of it lets anybody in.
var inAddresses = map[string]string{
	"file":       "the name of an asset",
	"next":       "a path of nod's own, with what paths and queries take",
	"channel":    "the id of a Keycloak channel, whose calls are signed",
	"type":       "the kind of a code",
	"id":         "names what its owner alone reaches, with the session",
	"user_id":    "names a user, whom a signed token asks for",
	"username":   "likewise",
	"client_id":  "public (RFC 6749 section 2.2)",
	"request_id": "names a request, whose code or client's token asks for it",
	"status":     "a filter of a list",
	"since":      "the version of a state",
	"deleted":    "the id of a passkey that was just deleted, shown to its owner alone",
	"kid":        "names a public key",
	"verbose":    "a switch",
	"handle":     "of a request: it is never waited on, and answered by somebody signed in alone",
	"user_code":  "likewise, and good for the time that a device shows it",
}

// Whoever reads the addresses of all calls, a proxy's log say, learns nothing that
// lets anybody in.
func TestRoutes_takeNoSecretInTheirAddresses(t *testing.T) {
	h := open(t)
	routes, err := api.Routes(h.Config)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{} // parameters, and where one was
	param := regexp.MustCompile(`[:*]([^/]+)`)
	for _, r := range routes {
		for _, name := range param.FindAllStringSubmatch(r.Path, -1) {
			found[name[1]] = r.Method + " " + r.Path
		}
	}
	for path, item := range h.Document.Spec.Paths.Map() {
		for method, op := range item.Operations() {
			for _, p := range append(op.Parameters, item.Parameters...) {
				if p.Value.In == "query" {
					found[p.Value.Name] = method + " " + path
				}
			}
		}
	}
	for name, where := range found {
		if inAddresses[name] == "" {
			t.Errorf("%s takes %q in its address: a secret belongs into a body, a header or a fragment; for what is none, say why", where, name)
		}
	}
	for name := range inAddresses {
		if found[name] == "" {
			t.Errorf("%q is in no address any more", name)
		}
	}
}
