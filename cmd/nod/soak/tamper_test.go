package soak

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os/exec"
	"slices"
	"testing"
)

// verdict is what audit verify says.
type verdict struct {
	Sealed, Unsealed, Late int64
	Whole                  bool
	Breaks                 []brokenPlace
	exit                   int
}

// brokenPlace is one thing that it names.
type brokenPlace struct {
	Kind string
	N    int64
	Op   string
}

func (c *cluster) verify(t *testing.T) (v verdict) {
	t.Helper()
	cmd := exec.Command(c.binary, "audit", "verify", "--output", "json")
	cmd.Env, cmd.Dir = c.env(c.store), t.TempDir()
	out, err := cmd.Output()
	failed, said := errors.AsType[*exec.ExitError](err)
	if said {
		v.exit, err = failed.ExitCode(), nil
	}
	if err = errors.Join(err, json.Unmarshal(out, &v)); err != nil {
		t.Fatalf("audit verify: %v\n%s", err, out)
	}
	return v
}

// tampered changes one sealed row, removes one and puts two into another order, each
// by SQL as somebody with the database and no key would, and wants each named. The
// nodes end first, so that nothing is sealed meanwhile.
func (c *cluster) tampered(t *testing.T, rng *rand.Rand) {
	t.Helper()
	for _, n := range c.nodes {
		n.stop()
	}
	was := c.verify(t)
	if !was.Whole || was.exit != 0 || was.Unsealed != 0 || was.Sealed < 10 {
		t.Fatalf("audit verify before anybody touched it: got %+v, want it whole", was)
	}
	db, at := c.database(t), 2+rng.Int64N(was.Sealed-4)
	exec := func(statement string, args ...any) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), statement, args...); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	var op, next string
	const places = `SELECT a.op, b.op FROM audit_chain a, audit_chain b WHERE a.n = $1 AND b.n = $1 + 1`
	if err := db.QueryRowContext(t.Context(), places, at).Scan(&op, &next); err != nil {
		t.Fatal(err)
	}
	change := func(by int) { exec(`UPDATE events SET version = version + $1 WHERE op = $2`, by, op) }
	place := func(op string, at int64) { exec(`UPDATE audit_chain SET op = $1 WHERE n = $2`, op, at) }
	order := func(first, second string) { place("aside", at); place(second, at+1); place(first, at) }
	exec(`CREATE TABLE kept AS SELECT * FROM events WHERE op = '` + op + `'`)
	for _, s := range []struct {
		what     string
		do, undo func()
		want     []brokenPlace
	}{
		{"a row is changed", func() { change(1) }, func() { change(-1) }, []brokenPlace{{"changed", at, op}}},
		{"a row is removed", func() { exec(`DELETE FROM events WHERE op = $1`, op) }, func() { exec(`INSERT INTO events SELECT * FROM kept`) },
			[]brokenPlace{{"missing", at, op}}},
		{"two rows change places", func() { order(next, op) }, func() { order(op, next) },
			[]brokenPlace{{"reordered", at, next}, {"reordered", at + 1, op}}},
	} {
		s.do()
		if got := c.verify(t); got.Whole || got.exit != 1 || !slices.Equal(got.Breaks, s.want) {
			t.Errorf("%s: got %+v, want exit status 1 and %+v", s.what, got, s.want)
		}
		s.undo()
	}
	if got := c.verify(t); !got.Whole || got.exit != 0 {
		t.Errorf("all put back: got %+v, want it whole", got)
	}
}
