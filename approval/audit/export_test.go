package audit_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval/audit"
)

// chain is n rows, sealed.
func chain(n int) []audit.Entry {
	var all []audit.Entry
	var prev audit.Hash
	for i := range n {
		r := row()
		r.Op, r.Seq = fmt.Sprint("op ", i+1), int64(i)
		e := audit.Entry{N: int64(i + 1), Prev: prev, Hash: audit.Seal(prev, r), Row: r}
		all, prev = append(all, e), e.Hash
	}
	return all
}

// lines is an export as it is written.
func lines(t *testing.T, all []audit.Entry) []byte {
	t.Helper()
	var out bytes.Buffer
	write := audit.JSONLines(&out)
	for _, e := range all {
		if err := write(e); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

func TestJSONLines_haveEveryColumn(t *testing.T) {
	var got map[string]any
	if err := json.Unmarshal(lines(t, chain(2)[1:]), &got); err != nil {
		t.Fatal(err)
	}
	want := append([]string{"n", "prev", "hash"}, columns()...)
	for _, name := range want {
		if _, there := got[name]; !there {
			t.Errorf("no member %s in %v", name, got)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %d members, want %d: %v", len(got), len(want), got)
	}
	if loose := string(lines(t, []audit.Entry{{Row: row()}})); strings.Contains(loose, `"n"`) || strings.Contains(loose, `"hash"`) {
		t.Errorf("a row that is not sealed: got %s, want no place", loose)
	}
}

func columns() (names []string) {
	for f := range reflect.TypeFor[audit.Row]().Fields() {
		names = append(names, f.Tag.Get("json"))
	}
	return names
}

// table is a CSV file as it is read again.
func table(t *testing.T, all ...audit.Entry) [][]string {
	t.Helper()
	var out bytes.Buffer
	write, flush := audit.CSV(&out)
	var err error
	for _, e := range all {
		err = errors.Join(err, write(e))
	}
	if err := errors.Join(err, flush()); err != nil {
		t.Fatal(err)
	}
	got, err := csv.NewReader(&out).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestCSV_hasEveryColumn(t *testing.T) {
	e := chain(2)[1]
	got := table(t, e, audit.Entry{Row: row()})
	if want := append([]string{"n", "prev", "hash"}, columns()...); !slices.Equal(got[0], want) {
		t.Errorf("heading %v, want %v", got[0], want)
	}
	want := []string{
		"2", e.Prev.String(), e.Hash.String(), "op 2", "1", "1970-01-01T00:00:00.000002Z", "name", "ns", "req", "3",
		"user", "client", "key", "192.0.2.1", "Zoë",
	}
	if !slices.Equal(got[1], want) {
		t.Errorf("got %q, want %q", got[1], want)
	}
	if !slices.Equal(got[2][:3], []string{"", "", ""}) {
		t.Errorf("a row that is not sealed: got %q, want no place", got[2][:3])
	}
}

func TestCSV_isNoFormula(t *testing.T) {
	for text, want := range map[string]string{
		"=1+1":                 "'=1+1",
		"+49":                  "'+49",
		"-2":                   "'-2",
		"@SUM(A1)":             "'@SUM(A1)",
		"\t=1":                 "'\t=1",
		"＝1":                   "'＝1",
		"'quoted":              "''quoted",
		"plain = 1":            "plain = 1",
		`a,"b"` + "\nnext, =1": `a,"b"` + "\nnext, =1",
		"":                     "",
	} {
		// Every column of text is somebody's to choose.
		r := audit.Row{
			Op: text, Name: text, NamespaceID: text, RequestID: text, UserID: text, ClientID: text,
			PasskeyID: text, Address: text, Detail: text, At: time.UnixMicro(1).UTC(),
		}
		got := table(t, audit.Entry{Row: r})[1]
		for i, name := range table(t)[0] {
			if cell := got[i]; cell != want && !slices.Contains([]string{"n", "prev", "hash", "seq", "at", "version"}, name) {
				t.Errorf("%s %q: got %q, want %q", name, text, cell, want)
			}
		}
	}
}

func TestVerifyFile_ofWhatWasExported(t *testing.T) {
	all := chain(10)
	for name, c := range map[string]struct {
		rows []audit.Entry
		want audit.FileReport
	}{
		"whole":               {all, audit.FileReport{Rows: 10, First: 1, Last: 10}},
		"a part":              {all[3:], audit.FileReport{Rows: 7, First: 4, Last: 10}},
		"filtered":            {[]audit.Entry{all[1], all[4], all[5]}, audit.FileReport{Rows: 3, First: 2, Last: 6, Gaps: 1}},
		"late rows":           {[]audit.Entry{all[0], all[4], all[1], all[2], all[5], all[3]}, audit.FileReport{Rows: 6, First: 1, Last: 6}},
		"with an unsealed":    {append(slices.Clone(all), audit.Entry{Row: row()}), audit.FileReport{Rows: 11, Unsealed: 1, First: 1, Last: 10}},
		"empty":               {nil, audit.FileReport{}},
		"nothing sealed":      {[]audit.Entry{{Row: row()}}, audit.FileReport{Rows: 1, Unsealed: 1}},
		"the other way round": {[]audit.Entry{all[2], all[1], all[0]}, audit.FileReport{Rows: 3, First: 1, Last: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			c.want.Breaks = []audit.Break{}
			got, err := audit.VerifyFile(bytes.NewReader(lines(t, c.rows)))
			if err != nil || !reflect.DeepEqual(got, c.want) || !got.Whole() {
				t.Errorf("got %+v, %v; want %+v", got, err, c.want)
			}
		})
	}
}

func TestVerifyFile_namesWhatWasDone(t *testing.T) {
	text := func(spoil func(all []audit.Entry) []audit.Entry) []byte { return lines(t, spoil(chain(6))) }
	for name, c := range map[string]struct {
		file []byte
		n    int64 // of the first break; 0: the file cannot be read
	}{
		"changed row":  {text(func(all []audit.Entry) []audit.Entry { all[2].Detail = "x"; return all }), 3},
		"changed hash": {text(func(all []audit.Entry) []audit.Entry { all[2].Hash[0]++; return all }), 3},
		"changed row, its hash computed anew": {text(func(all []audit.Entry) []audit.Entry {
			all[2].Detail = "x"
			all[2].Hash = audit.Seal(all[2].Prev, all[2].Row)
			return all
		}), 4},
		"renumbered over a gap": {text(func(all []audit.Entry) []audit.Entry {
			all[3].N = 3
			return slices.Delete(all, 2, 3)
		}), 3},
		"another first row": {text(func(all []audit.Entry) []audit.Entry {
			all[1].N = 1
			return all[1:2]
		}), 1},
		"behind its successor": {text(func(all []audit.Entry) []audit.Entry {
			all[0].Detail = "x"
			all[0].Hash = audit.Seal(all[0].Prev, all[0].Row)
			return []audit.Entry{all[1], all[0]}
		}), 1},
		"another member": {[]byte(`{"n":1,"comment":"x"}`), 0},
		"half a line":    {lines(t, chain(2))[:500], 0},
		"no JSON":        {[]byte("n,prev,hash\n"), 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := audit.VerifyFile(bytes.NewReader(c.file))
			switch {
			case c.n == 0:
				if err == nil {
					t.Errorf("got %+v, want an error", got)
				}
			case err != nil || got.Whole() || got.Breaks[0].N != c.n:
				t.Errorf("got %+v, %v; want place %d named", got, err, c.n)
			}
		})
	}
}

func FuzzVerifyFile_neverFails(f *testing.F) {
	f.Add([]byte(`{"n":1,"hash":"00","op":"x"}`))
	f.Add([]byte(`{"op":"x","at":"2026-03-01T12:00:00Z"}` + "\n{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := audit.VerifyFile(bytes.NewReader(b))
		if err == nil && r.Rows < r.Unsealed {
			t.Errorf("%q: %+v counts more rows than there are", b, r)
		}
	})
}
