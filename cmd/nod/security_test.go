package main

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// The tables of SECURITY.md: which they are, what they are about, and in which order.
var securityTables = map[string][]string{
	// RFC 10027, the table that ends its practical mitigations.
	"Cross-device flows": {
		"Establish Proximity", "Short-Lived/Timebound Codes", "One-Time or Limited Use Codes", "Unique Codes",
		"Content Filtering", "Detect and Remediate", "Trusted Devices", "Trusted Networks", "Limited Scopes",
		"Short-Lived Tokens", "Rate Limits", "Sender-Constrained Tokens", "User Education", "User Experience",
		"Authenticate-then-Initiate", "Request Initiation Verification", "Request Binding with Out-of-Band Data",
	},
	"Threats": {
		"A1", "A2", "A3", "A4", "A5", "A6", "A7", "B1", "B2", "B3", "B4", "B5", "B6",
		"C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8", "C9", "D1", "D2", "D3", "D4", "D5", "D6", "D7", "D8", "D9",
	},
	"Web, tokens, egress": {
		"Pages and headers", "Cookies and origins", "Tokens", "Outgoing calls", "Secrets in URLs", "Master key", "Decoders",
	},
	"After the approval": {
		"Signed-in devices", "Undo and report", "New passkeys", "Recovery codes", "Receipts", "Transactions", "Webhooks", "Audit",
	},
}

// stances are what the first line of an entry begins with, and whether the entry must
// name what keeps it.
var stances = map[string]bool{"Yes.": true, "Partly.": true, "Not done.": false, "Out of scope.": false}

// evidence is what can be pointed at: the tree's files, its Go tests by name, and the
// browser tests of a script by title.
type evidence struct {
	tree   fs.FS
	tests  map[string]bool
	titles map[string]map[string]bool
}

var (
	goTest   = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	jsTest   = regexp.MustCompile(`(?m)^\s*it\(\s*(?:'((?:[^'\\\n]|\\.)*)'|"((?:[^"\\\n]|\\.)*)")`)
	quoted   = regexp.MustCompile("`([^`]+)`")
	testName = regexp.MustCompile(`^(?:Test|Fuzz)\w+$`)
)

func gather(tree fs.FS) (evidence, error) {
	e := evidence{tree, map[string]bool{}, map[string]map[string]bool{}}
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		switch base := path.Base(name); {
		case err != nil:
			return err
		case d.IsDir() && (base == "node_modules" || base == "testdata" || len(base) > 1 && base[0] == '.'):
			return fs.SkipDir
		case strings.HasSuffix(base, "_test.go"):
			text, err := fs.ReadFile(tree, name)
			for _, m := range goTest.FindAllSubmatch(text, -1) {
				e.tests[string(m[1])] = true
			}
			return err
		case strings.HasSuffix(base, ".test.mjs"):
			text, err := fs.ReadFile(tree, name)
			e.titles[base] = map[string]bool{}
			for _, m := range jsTest.FindAllSubmatch(text, -1) {
				title := string(m[1]) + string(m[2])
				e.titles[base][strings.NewReplacer(`\'`, `'`, `\"`, `"`).Replace(title)] = true
			}
			return err
		}
		return nil
	})
	return e, err
}

// missing says what is wrong with a reference, "" when it leads somewhere.
func (e evidence) missing(ref string, isTest bool) string {
	script, title, inBrowser := strings.Cut(ref, ": ")
	switch {
	case isTest && inBrowser && !e.titles[script][title]:
		return "no test of that title in that script"
	case isTest && inBrowser:
		return ""
	case isTest && !testName.MatchString(ref):
		return "neither a Go test nor script.test.mjs: title"
	case isTest && !e.tests[ref]:
		return "no Go test of that name"
	case isTest:
		return ""
	}
	if info, err := fs.Stat(e.tree, ref); err != nil || !info.Mode().IsRegular() {
		return "no such file"
	}
	return ""
}

// entry is what a table says about one thing, over one line or several: a line whose
// first cell is empty goes on with the entry above it.
type entry struct {
	name  string
	lines [][]string // what nod does, where, test
}

// entries reads the table under a heading.
func entries(document, heading string) (out []entry) {
	_, rest, _ := strings.Cut(document, "\n## "+heading+"\n")
	rest, _, _ = strings.Cut(rest, "\n## ")
	head := true
	for line := range strings.Lines(rest) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			continue
		}
		if head { // up to and with the line of dashes
			head = !strings.HasPrefix(line, "|--") && !strings.HasPrefix(line, "| --")
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if name := strings.Trim(cells[0], "*"); name != "" {
			out = append(out, entry{name: name})
		}
		if len(out) > 0 {
			out[len(out)-1].lines = append(out[len(out)-1].lines, cells[1:])
		}
	}
	return out
}

// faults lists where the tables are not what they should be, or not what the tree is.
func (e evidence) faults(document string, tables map[string][]string) (out []string) {
	for heading, names := range tables {
		found := entries(document, heading)
		var got []string
		for _, x := range found {
			got = append(got, x.name)
			for _, f := range e.judge(x) {
				out = append(out, fmt.Sprintf("%s, %s: %s", heading, x.name, f))
			}
		}
		if !slices.Equal(got, names) {
			out = append(out, fmt.Sprintf("%s: got entries %q, want %q", heading, got, names))
		}
	}
	return out
}

func (e evidence) judge(x entry) (out []string) {
	files, tests := 0, 0
	for _, cells := range x.lines {
		if len(cells) != 3 {
			out = append(out, fmt.Sprintf("a line has %d cells, want 4", len(cells)+1))
			continue
		}
		for i, isTest := range []bool{false, true} {
			for _, m := range quoted.FindAllStringSubmatch(cells[i+1], -1) {
				if why := e.missing(m[1], isTest); why != "" {
					out = append(out, m[1]+": "+why)
				}
				if isTest {
					tests++
				} else {
					files++
				}
			}
		}
	}
	stance := stanceOf(x)
	kept, known := stances[stance]
	switch {
	case !known:
		out = append(out, fmt.Sprintf("begins with %q, want Yes. or Partly. or Not done. or Out of scope.", stance))
	case kept && (files == 0 || tests == 0):
		out = append(out, fmt.Sprintf("names %d files and %d tests, want some of both", files, tests))
	case !kept && files+tests > 0:
		out = append(out, "is not done and names what keeps it")
	}
	return out
}

// stanceOf is the first sentence of an entry.
func stanceOf(x entry) string {
	if len(x.lines) == 0 || len(x.lines[0]) == 0 {
		return ""
	}
	says, _, _ := strings.Cut(x.lines[0][0], ".")
	return says + "."
}

// Whether a row is true, only a reader of the code can say. This says that what it
// points at is there, so that nobody renames or removes a test without meeting the
// promise that it keeps.
func TestSecurity_tables_name_what_there_is(t *testing.T) {
	document, err := os.ReadFile("../../SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	e, err := gather(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range e.faults(string(document), securityTables) {
		t.Error(f)
	}
}

func TestSecurity_tables_that_promise_too_much_are_found(t *testing.T) {
	tree := fstest.MapFS{
		"core/a.go":                       {Data: []byte("package core")},
		"core/a_test.go":                  {Data: []byte("func TestA_holds(t *testing.T) {}\nfunc FuzzA(f *testing.F) {}\nfunc helper() {}\n")},
		"core/testdata/x_test.go":         {Data: []byte("func TestNowhere(t *testing.T) {}\n")},
		"web/e2e/node_modules/y_test.go":  {Data: []byte("func TestForeign(t *testing.T) {}\n")},
		"web/e2e/phone.test.mjs":          {Data: []byte("describe('one', () => {\n  it('is this phone\\'s own', async () => {});\n});\n")},
		"web/e2e/lib/not-a-test.mjs":      {Data: []byte("it('is no test', () => {});\n")},
		"web/e2e/node_modules/z.test.mjs": {Data: []byte("it('is foreign', () => {});\n")},
	}
	e, err := gather(tree)
	if err != nil {
		t.Fatal(err)
	}
	const good = "| **One** | Yes. So it is | `core/a.go` | `TestA_holds`, `FuzzA` |\n" +
		"| | in browsers too | `web/e2e/lib/not-a-test.mjs` | `phone.test.mjs: is this phone's own` |\n" +
		"| Two | Out of scope. | – | – |\n"
	table := func(rows string) string {
		return "# Security\n\n## Kept\n\nWords | with a bar.\n\n| what | nod | where | test |\n|---|---|---|---|\n" + rows + "\n## Next\n\n| a | b |\n"
	}
	for about, c := range map[string]struct{ was, is, want string }{
		"as it should be":               {"", "", ""},
		"file that is gone":             {"`core/a.go`", "`core/b.go`", "core/b.go: no such file"},
		"folder":                        {"`core/a.go`", "`core`", "core: no such file"},
		"test that is gone":             {"`FuzzA`", "`TestB`", "TestB: no Go test of that name"},
		"function that is no test":      {"`FuzzA`", "`helper`", "helper: neither a Go test"},
		"test in testdata":              {"`FuzzA`", "`TestNowhere`", "TestNowhere: no Go test"},
		"test of somebody else":         {"`FuzzA`", "`TestForeign`", "TestForeign: no Go test"},
		"title that is gone":            {"phone's own", "phone's", "no test of that title"},
		"script that is gone":           {"phone.test.mjs", "phones.test.mjs", "no test of that title"},
		"script of somebody else":       {"phone.test.mjs: is this phone's own", "z.test.mjs: is foreign", "no test of that title"},
		"no stance":                     {"Yes. So", "So", "begins with"},
		"promise without a test":        {"| `TestA_holds`, `FuzzA` |\n| | in browsers too | `web/e2e/lib/not-a-test.mjs` | `phone.test.mjs: is this phone's own` |", "| – |", "0 tests"},
		"what is not done, with a test": {"| – | – |", "| – | `TestA_holds` |", "is not done and names"},
		"cell too few":                  {"| – | – |", "| – |", "a line has 3 cells"},
		"entry that is gone":            {"| Two | Out of scope. | – | – |\n", "", "got entries"},
		"entry too many":                {"| Two |", "| Three | Not done. | – | – |\n| Two |", "got entries"},
	} {
		got := e.faults(table(strings.Replace(good, c.was, c.is, 1)), map[string][]string{"Kept": {"One", "Two"}})
		if c.want == "" && len(got) > 0 || c.want != "" && !strings.Contains(strings.Join(got, "\n"), c.want) {
			t.Errorf("%s: got %q, want %q", about, got, c.want)
		}
	}
}
