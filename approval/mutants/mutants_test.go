package mutants

import (
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// within bounds one run of one test. The slowest waits 10 s for what its mutant
// keeps from coming; the rest is room for a busy machine.
const within = 90 * time.Second

// rounds is how often a mutant may get away: a test in which 64 race for one thing
// need not meet the fault every time on a machine that is idle.
const rounds = 10

// root is the module's folder, seen from this one.
const root = "../.."

func TestMutants_are_caught(t *testing.T) {
	w := newWorkshop(t)
	ms := load(t)
	sound := w.build(t, "", packages(ms...)...)
	for _, m := range ms {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			w.judge(t, m, sound)
		})
	}
}

// load reads every patch.
func load(t *testing.T) (ms []mutant) {
	t.Helper()
	paths, err := filepath.Glob("*.patch")
	if err != nil || len(paths) == 0 {
		t.Fatalf("patches: got %v, %v; want some", paths, err)
	}
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		m, err := parse(strings.TrimSuffix(path, ".patch"), f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		ms = append(ms, m)
	}
	return ms
}

// packages lists what the mutants' tests are in, each once.
func packages(ms ...mutant) (all []string) {
	for _, m := range ms {
		for _, c := range m.fails {
			if !slices.Contains(all, c.pkg) {
				all = append(all, c.pkg)
			}
		}
	}
	return all
}

// workshop builds tests and runs them.
type workshop struct{ root, gotool string }

func newWorkshop(t *testing.T) workshop {
	t.Helper()
	gotool, err := exec.LookPath("go")
	if err != nil {
		t.Fatalf("the mutants are built with the go command: %v", err)
	}
	dir, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	touch(t, dir)
	return workshop{dir, gotool}
}

// touch looks at every source, so that go test, which remembers a result together
// with the files that the test looked at, knows what this one rests on.
func touch(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		switch name := filepath.Base(path); {
		case err != nil:
			return err
		case e.IsDir() && (name == "node_modules" || strings.HasPrefix(name, ".")):
			return fs.SkipDir
		case slices.Contains([]string{".go", ".sql", ".mod", ".sum"}, filepath.Ext(name)):
			_, err = os.Stat(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// judge holds one mutant against what its header claims.
func (w workshop) judge(t *testing.T, m mutant, sound binaries) {
	t.Helper()
	var can []claim
	for _, c := range m.fails {
		switch end, out := w.run(t, sound, c); end {
		case "PASS":
			can = append(can, c)
		case "SKIP":
			t.Logf("%s %s skips:\n%s", c.pkg, c.test, out)
		case "":
			t.Fatalf("%s has no test %s:\n%s", c.pkg, c.test, out)
		default:
			t.Fatalf("%s %s does not pass without the mutant either:\n%s", c.pkg, c.test, out)
		}
	}
	if len(can) == 0 {
		t.Skip("all of its tests skip")
	}
	sick := w.build(t, w.overlay(t, m), packages(m)...)
	for _, c := range can {
		end, out := w.run(t, sick, c)
		for n := 1; end == "PASS" && n < rounds; n++ {
			end, out = w.run(t, sick, c)
		}
		if end != "FAIL" {
			t.Errorf("the mutant survives %s %s (%q): the suite has a hole\n%s", c.pkg, c.test, end, out)
		}
	}
}

// overlay writes the patched files and says in a file for go build -overlay what
// they stand for.
func (w workshop) overlay(t *testing.T, m mutant) (path string) {
	t.Helper()
	dir, replace := t.TempDir(), map[string]string{}
	for _, f := range m.files {
		source := filepath.Join(w.root, filepath.FromSlash(f.path))
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		patched, err := f.apply(string(text))
		if err != nil {
			t.Fatal(err)
		}
		replace[source] = filepath.Join(dir, strings.ReplaceAll(f.path, "/", "+"))
		if err := os.WriteFile(replace[source], []byte(patched), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	listing, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, listing, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// binaries are the built tests of some packages.
type binaries map[string]string

// build builds the packages' tests, with an overlay when there is one. They are
// never debugged, and without symbols they link in half the time.
func (w workshop) build(t *testing.T, overlay string, pkgs ...string) binaries {
	t.Helper()
	dir, built := t.TempDir(), binaries{}
	for _, pkg := range pkgs {
		built[pkg] = filepath.Join(dir, filepath.Base(pkg)+".test")
	}
	args := append([]string{"test", "-c", "-overlay", overlay, "-ldflags", "-s -w", "-o", dir + string(filepath.Separator)}, pkgs...)
	cmd := exec.CommandContext(t.Context(), w.gotool, args...)
	cmd.Dir = w.root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v: it must build\n%s", strings.Join(args, " "), err, out)
	}
	return built
}

// run runs one test and says how it ended: PASS, FAIL, SKIP, "hangs", or "" when
// there is no such test.
func (w workshop) run(t *testing.T, built binaries, c claim) (end, out string) {
	t.Helper()
	var pattern []string
	for _, name := range strings.Split(c.test, "/") {
		pattern = append(pattern, "^"+regexp.QuoteMeta(name)+"$")
	}
	ctx, cancel := context.WithTimeout(t.Context(), within+10*time.Second) // its own time-out ends it better
	defer cancel()
	cmd := exec.CommandContext(ctx, built[c.pkg], "-test.v", "-test.timeout", within.String(), "-test.run", strings.Join(pattern, "/"))
	cmd.Dir = filepath.Join(w.root, filepath.FromSlash(c.pkg))
	text, _ := cmd.CombinedOutput() // how it ended is in there
	if ctx.Err() != nil || strings.Contains(string(text), "panic: test timed out") {
		return "hangs", string(text)
	}
	verdict := regexp.MustCompile(`(?m)^\s*--- (PASS|FAIL|SKIP): ` + regexp.QuoteMeta(c.test) + ` \(`)
	if found := verdict.FindSubmatch(text); found != nil {
		end = string(found[1])
	}
	return end, string(text)
}
