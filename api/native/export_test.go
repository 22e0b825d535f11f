package native

import (
	"strings"

	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval/account"
)

// Table is the face's vocabulary.
func Table() wire.Table { return table }

// Rule is what a route asks of a token.
type Rule struct {
	Method, Path string // in the document's form
	Scope        account.Scope
	Required     bool
}

// Rules are the face's routes.
func Rules() []Rule {
	var out []Rule
	for _, r := range (&face{}).routes() {
		parts := strings.Split(r.path, "/")
		for i, p := range parts {
			if name, ok := strings.CutPrefix(p, ":"); ok {
				parts[i] = "{" + name + "}"
			}
		}
		out = append(out, Rule{r.method, strings.Join(parts, "/"), r.rule.scope, r.rule.need == required})
	}
	return out
}
