package phone

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/nod-auth/nod/approval"
)

// untold are the events that no page tells of, and why.
var untold = map[approval.EventName]string{
	approval.EventBound:       "a key of the new device's, which the person has never seen",
	approval.EventUserDeleted: "nobody is left to read it",
	"namespace.created":       "the operator's",
	"client.created":          "the operator's", "client.key_added": "the operator's", "client.key_removed": "the operator's",
	"client.secret_changed": "the operator's", "client.deleted": "the operator's",
	"key.added": "the operator's", "key.retired": "the operator's", "key.removed": "the operator's",
	"setting.changed": "the operator's",
	"webhook.added":   "the operator's", "webhook.removed": "the operator's", "webhook.rotated": "the operator's",
	"webhook.disabled": "the operator's", "webhook.enabled": "the operator's", "webhook.replayed": "the operator's",
}

// TestTell_everyEventOfTheCore_orSaysWhyNot reads the core's source for the names of
// what can happen.
func TestTell_everyEventOfTheCore_orSaysWhyNot(t *testing.T) {
	names := eventNames(t)
	if len(names) < 40 {
		t.Fatalf("found %d names only: %v", len(names), names)
	}
	for _, name := range names {
		_, ofRequest := requestLines[name]
		_, ofAccount := accountLines[name]
		told := ofRequest || ofAccount || name == approval.EventDeviceRevoked // which has lines by its reason
		if why := untold[name]; told == (why != "") {
			t.Errorf("%s: told: %t, untold because %q; want one of the two", name, told, why)
		}
	}
}

func eventNames(t *testing.T) (names []approval.EventName) {
	t.Helper()
	files, err := filepath.Glob("../../approval/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if is, ok := spec.Type.(*ast.Ident); !ok || is.Name != "EventName" {
				return true
			}
			for _, value := range spec.Values {
				text, err := strconv.Unquote(value.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				names = append(names, approval.EventName(text))
			}
			return true
		})
	}
	return names
}
