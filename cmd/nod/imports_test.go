package main

import (
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/nod-auth/nod/"

// rooms says what each room may import of the project, longest path first. A
// room that is not named may import nothing of ours.
var rooms = []struct {
	path string
	may  []string // prefixes; "*" is everything
	why  string
}{
	{"approval/account", nil, "the vocabulary is a leaf: everybody speaks it"},
	{"approval/audit", []string{"approval"}, "the chain is pure: it is handed where rows are kept"},
	{"approval/sqlstore/freshdb", []string{"approval/sqlstore"}, "a file for tests is made by the store"},
	{"approval/sqlstore", []string{"approval", "approval/audit"}, "a store knows the core and nothing above it"},
	{"approval/localbus", []string{"approval"}, "a bus knows the core and nothing above it"},
	{"approval/storetest", []string{"approval"}, "the suite must not know the store it tests"},
	{"approval", []string{"approval/account"}, "the core is pure: it does no I/O and knows no face and no store"},
	{"webauthn/virtual", []string{"webauthn"}, "an authenticator knows the ceremonies alone"},
	{"webauthn", []string{"approval", "approval/account"}, "ceremonies serve the core, and know no store and no face"},
	{"push/egress", nil, "the guarded client is a leaf: whoever calls out uses it"},
	{"push/virtual", nil, "a phone in software knows the protocols alone"},
	{"push", []string{"approval", "push"}, "channels deliver what the core queued, and know no store and no face"},
	{"web", nil, "pages are a leaf: they are handed what they show"},
	{"api/token", nil, "tokens are a leaf: verifying one must not need the house"},
	{"api/client", nil, "the SDK is a leaf: whoever uses it must not carry the house"},
	{"api/internal/apitest", []string{"approval", "approval/storetest", "webauthn", "webauthn/virtual", "web", "api"}, "the house of the tests has a phone, and is handed its store"},
	{"api/wire", []string{"approval"}, "the plumbing of the faces knows the core's words alone"},
	{"api", []string{"approval", "approval/account", "webauthn", "web", "api"}, "a face translates: it never sees a store"},
	{"cmd", []string{"*"}, "wiring"},
}

// keepers are the only rooms that may import a library.
var keepers = map[string]string{
	"github.com/gin-gonic/gin":        "api",
	"github.com/go-webauthn/webauthn": "webauthn",
	"github.com/skip2/go-qrcode":      "web",
	"modernc.org/sqlite":              "approval/sqlstore",
	"github.com/pressly/goose":        "approval/sqlstore",
	"github.com/redis/go-redis":       "approval/redisbus",
	"firebase.google.com/go":          "push",
	"github.com/SherClockHolmes":      "push",
	"github.com/wneessen/go-mail":     "push",
	"code.dny.dev/ssrf":               "push/egress",
	"github.com/oschwald":             "cmd",
	"database/sql":                    "approval/sqlstore",
	"github.com/spf13/cobra":          "cmd",
}

func TestImports_point_one_way(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"...").Output()
	if err != nil {
		t.Fatalf("list packages: %v", err)
	}
	seen := 0
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		from := strings.TrimPrefix(words[0], module)
		for _, imported := range words[1:] {
			if to, ours := strings.CutPrefix(imported, module); ours {
				judgeRoom(t, from, to)
			} else {
				judgeLibrary(t, from, imported)
			}
			seen++
		}
	}
	if seen < 100 {
		t.Fatalf("looked at %d imports only", seen)
	}
}

func judgeRoom(t *testing.T, from, to string) {
	t.Helper()
	for _, r := range rooms {
		if !inRoom(from, r.path) {
			continue
		}
		for _, may := range r.may {
			// A prefix stands for its own sub-packages only where those are of the
			// same room: approval does not bring in approval/sqlstore.
			if may == "*" || to == may || to == "approval/account" && may == "approval" ||
				may == "api" && inRoom(to, "api") || inRoom(to, r.path) && inRoom(may, r.path) {
				return
			}
		}
		t.Errorf("%s imports %s: %s", from, to, r.why)
		return
	}
	t.Errorf("%s imports %s, and no rule knows that room: add one", from, to)
}

func judgeLibrary(t *testing.T, from, library string) {
	t.Helper()
	for path, keeper := range keepers {
		if inRoom(library, path) && !inRoom(from, keeper) {
			t.Errorf("%s imports %s, which only %s may", from, library, keeper)
		}
	}
}

func inRoom(path, room string) bool { return path == room || strings.HasPrefix(path, room+"/") }
