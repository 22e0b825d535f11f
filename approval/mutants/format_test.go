package mutants

import (
	"errors"
	"fmt"
	"io"
	"net/mail"
	"path"
	"strings"
)

// mutant is one patch file.
type mutant struct {
	name  string
	fails []claim
	files []filePatch
}

// claim is one test that must fail.
type claim struct{ pkg, test string }

// filePatch is what happens to one file, named relative to the module.
type filePatch struct {
	path  string
	hunks []hunk
}

// hunk replaces whole lines: old has the context and what is removed, new the
// context and what is added.
type hunk struct{ old, new string }

// parse reads a patch file.
func parse(name string, r io.Reader) (mutant, error) {
	m := mutant{name: name}
	msg, err := mail.ReadMessage(r)
	if err != nil {
		return m, fmt.Errorf("patch %s: header: %w", name, err)
	}
	for _, key := range []string{"Mutant", "Taught", "Breaks", "Fails"} {
		if msg.Header.Get(key) == "" {
			return m, fmt.Errorf("patch %s: header: no %s", name, key)
		}
	}
	for _, line := range msg.Header["Fails"] {
		words := strings.Fields(line)
		if len(words) != 2 || !strings.HasPrefix(words[0], "./") {
			return m, fmt.Errorf("patch %s: Fails: got %q, want a package and a test", name, line)
		}
		m.fails = append(m.fails, claim{words[0], words[1]})
	}
	diff, err := io.ReadAll(msg.Body)
	if err != nil {
		return m, fmt.Errorf("patch %s: %w", name, err)
	}
	if m.files, err = parseDiff(string(diff)); err != nil {
		return m, fmt.Errorf("patch %s: %w", name, err)
	}
	return m, nil
}

// parseDiff reads a unified diff of files that exist before and after.
func parseDiff(diff string) (files []filePatch, err error) {
	var f *filePatch
	var h *hunk
	for line := range strings.Lines(diff) {
		switch rest := strings.TrimRight(line, "\r\n"); {
		case strings.HasPrefix(line, "diff "), strings.HasPrefix(line, "index "), strings.HasPrefix(line, "--- a/"):
			h = nil
		case strings.HasPrefix(line, "+++ b/"):
			files = append(files, filePatch{path: path.Clean(strings.TrimPrefix(rest, "+++ b/"))})
			f, h = &files[len(files)-1], nil
		case strings.HasPrefix(line, "@@") && f != nil:
			f.hunks = append(f.hunks, hunk{})
			h = &f.hunks[len(f.hunks)-1]
		case h == nil:
			return nil, fmt.Errorf("diff: what is %q?", rest)
		case rest == "": // an empty line of context whose space an editor took
			h.add(' ', "\n")
		default:
			h.add(line[0], line[1:])
		}
	}
	if len(files) == 0 {
		return nil, errors.New("diff: it changes nothing")
	}
	return files, nil
}

func (h *hunk) add(sign byte, line string) {
	if sign != '+' {
		h.old += line
	}
	if sign != '-' {
		h.new += line
	}
}

// apply is the text with the patch in it.
func (f filePatch) apply(text string) (string, error) {
	text = "\n" + text // so that what is looked for begins where a line does
	for i, h := range f.hunks {
		old := "\n" + h.old
		if n := count(text, old); n != 1 {
			return "", fmt.Errorf("%s: hunk %d no longer applies: what it changes is there %d times, want once; "+
				"write the same bug into the code as it is now", f.path, i+1, n)
		}
		text = strings.Replace(text, old, "\n"+h.new, 1)
	}
	return text[1:], nil
}

// count is strings.Count for places that may share their first and last line end.
func count(text, part string) (n int) {
	for {
		i := strings.Index(text, part)
		if i < 0 {
			return n
		}
		n, text = n+1, text[i+1:]
	}
}
