package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the program itself available as "nod" to whatever runs it: it
// is this test binary, which behaves like the program under that name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"nod": main})
}

// TestTranscripts runs the sessions in testdata/script, each in a folder and an
// environment of its own.
func TestTranscripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"mode": scriptMode, "keep": scriptKeep, "serve": scriptServe, "receive": scriptReceive, "published": scriptPublished,
			"sealed": scriptSealed, "sql": scriptSQL, "forge": scriptForge,
		},
	})
}

// scriptMode checks a file's permissions: mode 0600 file…
func scriptMode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: mode octal file...")
	}
	want, err := strconv.ParseUint(args[0], 8, 32)
	ts.Check(err)
	for _, name := range args[1:] {
		info, err := os.Stat(ts.MkAbs(name))
		ts.Check(err)
		if got := info.Mode().Perm(); got != fs.FileMode(want) {
			ts.Fatalf("%s: mode %04o, want %04o", name, got, want)
		}
	}
}

// scriptKeep puts a member of the JSON object just printed into a variable:
// keep member VARIABLE. Where a list was printed, its first element counts.
func scriptKeep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: keep member VARIABLE")
	}
	printed := []byte(ts.ReadFile("stdout"))
	var list []map[string]any
	if json.Unmarshal(printed, &list) != nil {
		var object map[string]any
		ts.Check(json.Unmarshal(printed, &object))
		list = append(list, object)
	}
	value, found := list[0][args[0]]
	if !found {
		ts.Fatalf("no member %q in %s", args[0], printed)
	}
	ts.Setenv(args[1], fmt.Sprint(value))
}

// scriptServe starts a server on a free port and puts its URL into $URL:
// serve flag… It is stopped when the script ends.
func scriptServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: serve flag...")
	}
	s, err := startServer(ts.Getenv("WORK"), args...)
	ts.Check(err)
	ts.Setenv("URL", s.url)
	ts.Defer(func() { ts.Check(s.stop()) })
}

// scriptReceive starts somebody who takes webhooks and puts the address into
// $HOOK: receive. It stops when the script ends.
func scriptReceive(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: receive")
	}
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Webhook-Signature") == "" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	ts.Setenv("HOOK", receiver.URL)
	ts.Defer(receiver.Close)
}
