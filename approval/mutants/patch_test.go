package mutants

import (
	"strings"
	"testing"
)

const example = `Mutant: two is three
Taught: arithmetic, in a long
 sentence
Breaks: I1
Fails: ./approval TestOne
Fails: ./approval/sqlstore TestStore/Two

--- a/approval/x.go
+++ b/approval/x.go
@@ -1,3 +1,3 @@ func one()
 one

-two
+three
`

func TestParse_reads_header_and_hunks(t *testing.T) {
	m, err := parse("00-example", strings.NewReader(example))
	if err != nil {
		t.Fatal(err)
	}
	if len(m.fails) != 2 || m.fails[1] != (claim{"./approval/sqlstore", "TestStore/Two"}) {
		t.Errorf("got claims %v", m.fails)
	}
	if len(m.files) != 1 || m.files[0].path != "approval/x.go" {
		t.Fatalf("got files %v", m.files)
	}
	got, err := m.files[0].apply("zero\none\n\ntwo\nfour\n")
	if want := "zero\none\n\nthree\nfour\n"; err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

func TestApply_says_when_the_code_has_moved_on(t *testing.T) {
	m, err := parse("00-example", strings.NewReader(example))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"gone": "one\n\n2\n", "there twice": "one\n\ntwo\none\n\ntwo\n", "only part of a line": "and one\n\ntwo\n",
	} {
		if got, err := m.files[0].apply(text); err == nil || !strings.Contains(err.Error(), "no longer applies") {
			t.Errorf("%s: got %q, %v; want an error that says so", name, got, err)
		}
	}
}

func TestParse_refuses_what_it_cannot_hold_to(t *testing.T) {
	for name, broken := range map[string]string{
		"no reason":       strings.Replace(example, "Taught", "Thought", 1),
		"no test":         strings.ReplaceAll(example, "Fails", "Failed"),
		"a test pattern":  strings.Replace(example, "TestOne", "TestOne TestTwo", 1),
		"no change":       example[:strings.Index(example, "---")],
		"text in between": strings.Replace(example, "@@ -1", "and then\n@@ -1", 1),
	} {
		if _, err := parse(name, strings.NewReader(broken)); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}
