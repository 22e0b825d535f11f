package sqlstore_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval/audit"
)

// rowColumns are the columns that a hash is over, by audit.Row's own word.
func rowColumns() (names []string) {
	for f := range reflect.TypeFor[audit.Row]().Fields() {
		names = append(names, f.Tag.Get("json"))
	}
	return names
}

// opAt is the Op that has a place.
func (w *trail) opAt(n int64) string {
	w.Helper()
	found, err := w.a.Chain(w.Context(), n-1, 1)
	must(w.T, err)
	return found[0].Op
}

// found is what was told of a break.
type found struct {
	kind audit.Kind
	n    int64
}

func namesEveryChangedColumn(w *trail) {
	w.write(5)
	w.seal()
	for _, column := range rowColumns() {
		if column == "op" {
			continue // the row is then another's: see removed rows
		}
		op, is := w.opAt(3), "'another'"
		if column == "seq" || column == "at" || column == "version" {
			is = column + " + 1"
		}
		var was any
		must(w.T, w.db.QueryRow(`SELECT `+column+` FROM events WHERE op = $1`, op).Scan(&was))
		w.do(`UPDATE events SET `+column+` = `+is+` WHERE op = $1`, op)
		w.named("changed "+column, op, found{audit.Changed, 3})
		w.do(`UPDATE events SET `+column+` = $1 WHERE op = $2`, was, op)
	}
	w.whole(5)
}

// named fails unless verify tells of exactly these breaks; the first is of the row
// op, unless that is "".
func (w *trail) named(what, op string, want ...found) audit.Report {
	w.Helper()
	r := w.verify()
	var got []found
	for _, b := range r.Breaks {
		got = append(got, found{b.Kind, b.N})
		if b.Says == "" {
			w.Errorf("%s: %+v says nothing", what, b)
		}
	}
	if !reflect.DeepEqual(got, want) {
		w.Errorf("%s: got %+v, want %v", what, r, want)
	} else if op != "" && (r.Breaks[0].Op != op || r.Breaks[0].At.IsZero() && r.Breaks[0].Kind != audit.Missing) {
		w.Errorf("%s: got %+v, want it to name row %s and its time", what, r.Breaks[0], op)
	}
	return r
}

const writeByHand = `INSERT INTO events (op, seq, at, name, namespace_id, request_id, version, user_id, client_id, passkey_id, address, detail)
	SELECT 'by hand', seq, at, 'request.denied', '', '', 0, '', '', '', '', '' FROM events WHERE op = $1`

// renumber moves the places from n on; not in one statement, in which they would
// meet.
func renumber(w *trail, from, by int64) {
	w.Helper()
	w.do(`UPDATE audit_chain SET n = n + 1000000 WHERE n >= $1`, from)
	w.do(`UPDATE audit_chain SET n = n - 1000000 + $1 WHERE n >= 1000000`, by)
}

// swap lets two places change their rows and hashes.
func swap(w *trail, a, b int64) {
	w.Helper()
	for _, step := range [][2]int64{{a, -1}, {b, a}, {-1, b}} {
		w.do(`UPDATE audit_chain SET n = $1 WHERE n = $2`, step[1], step[0])
	}
}

// swapRows leaves the hashes where they were.
func swapRows(w *trail, a, b int64) {
	w.Helper()
	var x, y []byte
	must(w.T, w.db.QueryRow(`SELECT hash FROM audit_chain WHERE n = $1`, a).Scan(&x))
	must(w.T, w.db.QueryRow(`SELECT hash FROM audit_chain WHERE n = $1`, b).Scan(&y))
	swap(w, a, b)
	w.do(`UPDATE audit_chain SET hash = $1 WHERE n = $2`, x, a)
	w.do(`UPDATE audit_chain SET hash = $1 WHERE n = $2`, y, b)
}

func namesWhatWasDone(all *trail) {
	const rows = 9
	cases := map[string]struct {
		spoil func(w *trail, op func(n int64) string)
		op    int64 // the row that is named first; 0: none that is there
		want  []found
	}{
		"removed row": {func(w *trail, op func(int64) string) {
			w.do(`DELETE FROM events WHERE op = $1`, op(4))
		}, 4, []found{{audit.Missing, 4}}},
		"removed row and place": {func(w *trail, op func(int64) string) {
			w.do(`DELETE FROM events WHERE op = $1`, op(4))
			w.do(`DELETE FROM audit_chain WHERE n = 4`)
		}, 0, []found{{audit.Missing, 4}}},
		"removed row, places renumbered": {func(w *trail, op func(int64) string) {
			w.do(`DELETE FROM events WHERE op = $1`, op(4))
			w.do(`DELETE FROM audit_chain WHERE n = 4`)
			renumber(w, 5, -1)
		}, 5, []found{{audit.Missing, 4}}},
		"removed place, places renumbered": {func(w *trail, _ func(int64) string) {
			w.do(`DELETE FROM audit_chain WHERE n = 4`)
			renumber(w, 5, -1)
		}, 4, []found{{audit.Missing, 4}}},
		"removed first row": {func(w *trail, op func(int64) string) {
			w.do(`DELETE FROM events WHERE op = $1`, op(1))
			w.do(`DELETE FROM audit_chain WHERE n = 1`)
		}, 0, []found{{audit.Missing, 1}}},
		"removed last row": {func(w *trail, op func(int64) string) {
			w.do(`DELETE FROM events WHERE op = $1`, op(rows))
		}, rows, []found{{audit.Missing, rows}}},
		"removed last row and place": {func(w *trail, op func(int64) string) {
			w.do(`DELETE FROM events WHERE op = $1`, op(rows))
			w.do(`DELETE FROM audit_chain WHERE n = $1`, rows)
		}, 0, []found{{audit.CutOff, rows}}},
		"removed last place": {func(w *trail, _ func(int64) string) {
			w.do(`DELETE FROM audit_chain WHERE n = $1`, rows)
		}, rows, []found{{audit.CutOff, rows}}},
		"removed end": {func(w *trail, _ func(int64) string) {
			w.do(`DELETE FROM audit_chain WHERE n > 6`)
		}, 0, []found{{audit.CutOff, 7}}},
		"changed op": {func(w *trail, op func(int64) string) {
			w.do(`UPDATE events SET op = 'another' WHERE op = $1`, op(4))
		}, 4, []found{{audit.Missing, 4}}},
		"inserted row": {func(w *trail, op func(int64) string) {
			w.do(writeByHand, op(4))
			renumber(w, 5, 1)
			w.do(`INSERT INTO audit_chain (n, op, hash) VALUES (5, 'by hand', $1)`, make([]byte, 32))
		}, 0, []found{{audit.Inserted, 5}}},
		"inserted row with the right hash": {func(w *trail, op func(int64) string) {
			w.do(writeByHand, op(4))
			renumber(w, 5, 1)
			w.link(5, "by hand")
		}, 0, []found{{audit.Inserted, 5}}},
		"row behind the head": {func(w *trail, op func(int64) string) {
			w.do(writeByHand, op(4))
			w.link(rows+1, "by hand")
		}, 0, []found{{audit.Inserted, rows + 1}}},
		"swapped rows": {func(w *trail, _ func(int64) string) { swapRows(w, 3, 6) }, 6,
			[]found{{audit.Reordered, 3}, {audit.Reordered, 6}}},
		"swapped neighbours": {func(w *trail, _ func(int64) string) { swapRows(w, 3, 4) }, 4,
			[]found{{audit.Reordered, 3}, {audit.Reordered, 4}}},
		"swapped rows with their hashes": {func(w *trail, _ func(int64) string) { swap(w, 3, 6) }, 6,
			[]found{{audit.Reordered, 3}, {audit.Reordered, 4}, {audit.Reordered, 6}, {audit.Reordered, 7}}},
		"swapped neighbours with their hashes": {func(w *trail, _ func(int64) string) { swap(w, 3, 4) }, 4,
			[]found{{audit.Reordered, 3}, {audit.Reordered, 4}, {audit.Reordered, 5}}},
		"changed hash": {func(w *trail, _ func(int64) string) {
			w.do(`UPDATE audit_chain SET hash = $1 WHERE n = 4`, make([]byte, 32))
		}, 4, []found{{audit.Rehashed, 4}}},
		"changed last hash": {func(w *trail, _ func(int64) string) {
			w.do(`UPDATE audit_chain SET hash = $1 WHERE n = $2`, make([]byte, 32), rows)
		}, rows, []found{{audit.Rehashed, rows}}},
		"hash of another length": {func(w *trail, _ func(int64) string) {
			w.do(`UPDATE audit_chain SET hash = $1 WHERE n = 4`, []byte("short"))
		}, 4, []found{{audit.Rehashed, 4}}},
		"two changed rows": {func(w *trail, op func(int64) string) {
			w.do(`UPDATE events SET detail = 'x' WHERE op = $1 OR op = $2`, op(3), op(4))
		}, 3, []found{{audit.Changed, 3}, {audit.Changed, 4}}},
		"removed head": {func(w *trail, _ func(int64) string) {
			w.do(`DELETE FROM audit_head`)
		}, rows, []found{{audit.WrongHead, rows}}},
		"moved head": {func(w *trail, _ func(int64) string) {
			w.do(`UPDATE audit_head SET n = 5, hash = (SELECT hash FROM audit_chain WHERE n = 5)`)
		}, 0, []found{{audit.WrongHead, 5}}},
		"moved mark": {func(w *trail, _ func(int64) string) {
			w.do(`UPDATE audit_head SET mark_seq = mark_seq + 1`)
		}, 0, []found{{audit.WrongHead, rows}}},
		"everything behind a changed row computed anew": {func(w *trail, op func(int64) string) {
			w.do(`UPDATE events SET detail = 'x' WHERE op = $1`, op(4))
			ops := make([]string, rows+1)
			for n := int64(4); n <= rows; n++ {
				ops[n] = op(n)
			}
			for n := int64(4); n <= rows; n++ {
				w.do(`DELETE FROM audit_chain WHERE n = $1`, n)
				w.link(n, ops[n])
			}
		}, rows, []found{{audit.Rewritten, rows}}},
	}
	for name, c := range cases {
		all.Run(name, func(t *testing.T) {
			w := all.afresh(t)
			w.write(rows)
			w.seal()
			w.whole(rows)
			named := ""
			if c.op > 0 {
				named = w.opAt(c.op)
			}
			c.spoil(w, w.opAt)
			w.named(name, named, c.want...)
		})
	}
}

// link adds a place with the hash that is right for it.
func (w *trail) link(n int64, op string) {
	w.Helper()
	before, err := w.a.Chain(w.Context(), n-2, 1)
	must(w.T, err)
	w.do(`INSERT INTO audit_chain (n, op, hash) VALUES ($1, $2, $3)`, n, op, make([]byte, 32))
	is, err := w.a.Chain(w.Context(), n-1, 1)
	must(w.T, err)
	hash := audit.Seal(before[0].Hash, is[0].Row)
	w.do(`UPDATE audit_chain SET hash = $1 WHERE n = $2`, hash[:], n)
}

// On SQLite any column holds anything.
func TestVerify_namesWhatCannotBeRead(t *testing.T) {
	w := openTrail(t, "sqlite", newFixture(t).path)
	w.write(5)
	w.seal()
	for _, column := range []string{"seq", "at", "version"} {
		op, was := w.opAt(3), int64(0)
		must(t, w.db.QueryRow(`SELECT `+column+` FROM events WHERE op = $1`, op).Scan(&was))
		w.do(`UPDATE events SET `+column+` = 'text' WHERE op = $1`, op)
		if r := w.verify(); len(r.Breaks) != 1 || r.Breaks[0].Kind != audit.Changed || r.Breaks[0].Op != op {
			t.Errorf("%s: verify = %+v, want row %s named", column, r, op)
		}
		err := audit.Export(t.Context(), w.a, audit.Filter{}, func(audit.Entry) error { return nil })
		if column != "seq" && (err == nil || !strings.Contains(err.Error(), op)) { // a text is behind all numbers
			t.Errorf("%s: export = %v, want row %s named", column, err, op)
		}
		w.do(`UPDATE events SET `+column+` = $1 WHERE op = $2`, was, op)
	}
	w.whole(5)
}

func provenByAWitness(w *trail) {
	w.write(4)
	w.seal()
	witness, err := audit.ParsePlace(w.verify().Head)
	must(w.T, err)
	w.write(4)
	w.seal()
	if r := w.verify(witness); !r.Whole() {
		w.Errorf("a head that was printed before: %+v, want it in the chain", r)
	}
	// Who has the master key, too, begins again.
	w.do(`DELETE FROM audit_chain`)
	w.do(`DELETE FROM audit_head`)
	w.do(`UPDATE events SET detail = 'another' WHERE request_id = 'r2'`)
	must(w.T, newSealer(w.a).Turn(w.Context()))
	w.whole(8)
	r := w.verify(witness)
	if len(r.Breaks) != 1 || r.Breaks[0].Kind != audit.Rewritten || r.Breaks[0].N != 4 {
		w.Errorf("rewritten with the key: %+v, want the witness of place 4 to tell", r)
	}
	if r := w.verify(audit.Place{N: 99}); len(r.Breaks) != 1 || r.Breaks[0].N != 99 {
		w.Errorf("a witness of what is gone: %+v, want place 99 named", r)
	}
}

// A sealer seals nothing on top of a head that is not its own house's.
func refusesABrokenHead(all *trail) {
	cases := map[string]func(w *trail){
		"replaced": func(w *trail) { w.do(`UPDATE audit_head SET hash = $1`, make([]byte, 32)) },
		"removed":  func(w *trail) { w.do(`DELETE FROM audit_head`) },
		"older": func(w *trail) {
			old, err := w.a.Head(w.Context())
			must(w.T, err)
			w.write(1)
			w.seal()
			w.do(`DELETE FROM audit_chain WHERE n > $1`, old.N)
			w.do(`UPDATE audit_head SET n = $1, hash = $2, mark_seq = $3, mark_op = $4, mac = $5`,
				old.N, old.Hash[:], old.Mark.Seq, old.Mark.Op, old.MAC)
		},
	}
	refuses := func(w *trail, s *audit.Sealer) {
		w.write(1)
		w.advance(time.Minute)
		if err := s.Turn(w.Context()); !errors.Is(err, audit.ErrBroken) {
			w.Errorf("turn = %v, want %v", err, audit.ErrBroken)
		}
		if err := s.Stuck(); err == nil {
			w.Error("stuck = nil, want it to say so")
		}
		if r := w.verify(); r.Unsealed == 0 {
			w.Errorf("verify = %+v, want the new row unsealed", r)
		}
	}
	for name, spoil := range cases {
		all.Run(name, func(t *testing.T) {
			w := all.afresh(t)
			w.write(3)
			w.seal()
			spoil(w)
			refuses(w, w.one)
		})
	}
	all.Run("removed, and nobody remembers", func(t *testing.T) {
		w := all.afresh(t)
		w.write(3)
		w.seal()
		w.do(`DELETE FROM audit_head`)
		refuses(w, w.two)
	})
}
