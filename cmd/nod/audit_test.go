package main

import (
	"database/sql"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptSealed waits until the server has sealed all audit rows, which it does
// within seconds: sealed
func scriptSealed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: sealed")
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for {
		c := exec.Command("nod", "audit", "verify", "--output", "json")
		c.Dir, c.Env = ts.Getenv("WORK"), []string{"PATH=" + os.Getenv("PATH")}
		out, err := c.Output()
		ts.Check(err)
		var got struct{ Sealed, Unsealed int }
		ts.Check(json.Unmarshal(out, &got))
		if got.Sealed > 0 && got.Unsealed == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			ts.Fatalf("not sealed: %s", out)
		}
	}
}

// scriptSQL does something to a database behind nod's back: sql file statement
func scriptSQL(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sql file statement")
	}
	db, err := sql.Open("sqlite", ts.MkAbs(args[0])+"?_pragma=busy_timeout(5000)")
	ts.Check(err)
	_, err = db.Exec(args[1])
	ts.Check(errors.Join(err, db.Close()))
}

// scriptForge replaces a text in a file: forge file from to
func scriptForge(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: forge file from to")
	}
	was := ts.ReadFile(args[0])
	is := strings.ReplaceAll(was, args[1], args[2])
	if is == was {
		ts.Fatalf("no %s in %s", args[1], args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(is), 0o600))
}

func TestMoment_reads_dates_and_durations(t *testing.T) {
	now := time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"":                          "0001-01-01T00:00:00Z",
		"2026-03-01":                "2026-03-01T00:00:00Z",
		"2026-03-01T12:00:00+02:00": "2026-03-01T10:00:00Z",
		"90m":                       "2026-03-31T10:30:00Z",
		"36h":                       "2026-03-30T00:00:00Z",
		"30d":                       "2026-03-01T12:00:00Z",
		"0":                         "2026-03-31T12:00:00Z",
		"-1h":                       "",
		"-1d":                       "",
		"d":                         "",
		"2026-13-01":                "",
		"yesterday":                 "",
	} {
		got, err := moment(text, now)
		if want == "" {
			if err == nil {
				t.Errorf("%q: got %s, want an error", text, got)
			}
		} else if err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%q: got %s, %v; want %s", text, got.Format(time.RFC3339), err, want)
		}
	}
}
