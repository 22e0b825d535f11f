package sqlstore_test

import (
	"errors"
	"testing"

	"github.com/nod-auth/nod/approval/audit"
)

// restart is what an operator does once the evidence is safe.
func (w *trail) restart() audit.Restarted {
	w.Helper()
	r, err := audit.Restart(w.Context(), w.b, auditKey, "root@node1", "restored from the backup of Monday")
	must(w.T, err)
	return r
}

func restartsWhatIsBroken(all *trail) {
	const rows = 9
	cases := map[string]struct {
		spoil string
		known int64 // breaks that can still be seen behind the restart
		left  int64 // places before it
	}{
		"removed head":     {`DELETE FROM audit_head`, 0, rows},
		"forged head":      {`UPDATE audit_head SET mark_seq = mark_seq + 1`, 0, rows},
		"no head any more": {`UPDATE audit_head SET n = 0`, 0, rows},
		"changed row":      {`UPDATE events SET detail = 'x' WHERE op = (SELECT op FROM audit_chain WHERE n = 4)`, 1, rows},
		"removed rows":     {`DELETE FROM events WHERE op IN (SELECT op FROM audit_chain WHERE n < 3)`, 2, rows},
		"cut off":          {`DELETE FROM audit_chain WHERE n > 6`, 0, 6},
		"no chain":         {`DELETE FROM audit_chain`, 0, 0},
	}
	for name, c := range cases {
		all.Run(name, func(t *testing.T) {
			w := all.afresh(t)
			w.write(rows)
			w.seal()
			if _, err := audit.Restart(w.Context(), w.a, auditKey, "root", "for fun"); !errors.Is(err, audit.ErrWhole) {
				t.Errorf("restart of a whole chain: got %v, want %v", err, audit.ErrWhole)
			}
			w.do(c.spoil)
			before := w.verify()
			if before.Whole() {
				t.Fatal("nothing is broken")
			}
			got := w.restart()
			if got.N != c.left+1 || got.Breaks != int64(len(before.Breaks)) || got.First == "" || got.Head != before.Head {
				t.Errorf("restart = %+v, want it at place %d, for the breaks of %+v", got, c.left+1, before)
			}
			w.one, w.two = newSealer(w.a), newSealer(w.b) // as after a start
			w.write(3)
			w.seal()
			must(t, w.two.Turn(w.Context()))
			r := w.verify()
			if !r.Whole() || r.Known != c.known || r.Unsealed != 0 {
				t.Errorf("verify = %+v, want a whole chain with %d known breaks and everything sealed", r, c.known)
			}
			if len(r.Restarts) != 1 || r.Restarts[0] != got {
				t.Errorf("restarts = %+v, want %+v", r.Restarts, got)
			}
		})
	}
}

func excusesNothingElse(all *trail) {
	cases := map[string]func(w *trail, at int64){
		"another row before it": func(w *trail, _ int64) {
			w.do(`UPDATE events SET detail = 'y' WHERE op = $1`, w.opAt(2))
		},
		"the same row again": func(w *trail, _ int64) {
			w.do(`UPDATE events SET detail = 'y' WHERE op = $1`, w.opAt(4))
		},
		"a row after it": func(w *trail, at int64) {
			w.do(`UPDATE events SET detail = 'y' WHERE op = $1`, w.opAt(at+2))
		},
		"its own reason": func(w *trail, at int64) {
			w.do(`UPDATE events SET detail = REPLACE(detail, 'Monday', 'Sunday') WHERE op = $1`, w.opAt(at))
		},
		"its own time": func(w *trail, at int64) {
			w.do(`UPDATE events SET at = at + 1 WHERE op = $1`, w.opAt(at))
		},
		// Whoever can write rows has the sealer seal it like any other.
		"one that nod did not make": func(w *trail, at int64) {
			w.do(`UPDATE events SET detail = 'y' WHERE op = $1`, w.opAt(at+1))
			w.do(`INSERT INTO events (op, seq, at, name, namespace_id, request_id, version, user_id, client_id, passkey_id, address, detail)
				SELECT 'by hand', (SELECT MAX(seq) + 1 FROM events), at, name, namespace_id, request_id, version, user_id, client_id, passkey_id, address, detail
				FROM events WHERE op = $1`, w.opAt(at))
			w.seal()
		},
	}
	for name, spoil := range cases {
		all.Run(name, func(t *testing.T) {
			w := all.afresh(t)
			w.write(9)
			w.seal()
			w.do(`UPDATE events SET detail = 'x' WHERE op = $1`, w.opAt(4))
			at := w.restart().N
			w.write(3)
			w.seal()
			if r := w.verify(); !r.Whole() || r.Known != 1 {
				t.Fatalf("verify = %+v, want one known break", r)
			}
			spoil(w, at)
			if r := w.verify(); r.Whole() {
				t.Errorf("verify = %+v, want what was done since named", r)
			}
		})
	}
}
