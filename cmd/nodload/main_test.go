package main

import (
	"bytes"
	"encoding/json"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval/testservers"
)

// TestMain lets the test's own program be a node, as main does.
func TestMain(m *testing.M) {
	if order := os.Getenv(childVariable); order != "" {
		if err := beNode(order, os.Stdin, os.Stdout); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// maxStack is how much stack a held wait may use, in KiB: 8 for the goroutine of
// its connection, 2 to 4 for net/http's, which notices that the client left, and
// a little for the rest of the server. What exceeds it is a large frame or a deep
// call on the way to the sleep, which doubles the 8 for as long as it sleeps.
const maxStack = 15

func TestMeasurements_run_on_a_file(t *testing.T) {
	needsProc(t)
	before := leftovers(t)
	for _, args := range [][]string{
		{"hold", "-n", "500", "--fills", "1"},
		{"wake", "-n", "20", "--samples", "5"},
		{"flows", "-c", "2", "-d", "300ms"},
		{"drain", "-n", "50"},
	} {
		t.Run(args[0], func(t *testing.T) { judge(t, measured(t, args...)) })
	}
	if after := leftovers(t); after != before {
		t.Errorf("%d temporary folders, %d before", after, before)
	}
}

func TestMeasurements_run_on_several_nodes(t *testing.T) {
	needsProc(t)
	if testing.Short() {
		t.Skip("starts PostgreSQL and Redis; -short")
	}
	// Started by the test, which skips where they are missing.
	database := testservers.StartPostgres(t, "shared_preload_libraries=pg_stat_statements").Fresh()
	redis := testservers.StartRedis(t).URL()
	before := leftovers(t)
	for _, args := range [][]string{
		{"wake", "-n", "20", "--samples", "5"},
		{"flows", "-c", "2", "-d", "300ms"},
		{"drain", "-n", "50"},
	} {
		t.Run(args[0], func(t *testing.T) {
			judge(t, measured(t, append(args, "--nodes", "3", "--database-url", database, "--redis-url", redis)...))
		})
	}
	t.Run("reads", func(t *testing.T) {
		r := measured(t, "reads", "-n", "50", "--window", "2s", "--nodes", "2", "--database-url", database, "--redis-url", redis)
		judge(t, r)
		// One read a second for each would be 60; the window is short and what nodes
		// do anyhow is not the same in both.
		const name = "PostgreSQL: more of these per waiter and minute"
		if got := r.value(t, name); got > 6 {
			t.Errorf("%s: got %v, want about 0", name, got)
		}
	})
	t.Run("start", func(t *testing.T) {
		judge(t, measured(t, "flows", "-c", "2", "-d", "300ms", "--nodes", "2", "--start"))
	})
	if after := leftovers(t); after != before {
		t.Errorf("%d temporary folders, %d before", after, before)
	}
}

func needsProc(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("memory and processor time are read from /proc, which needs Linux")
	}
}

func measured(t *testing.T, args ...string) report {
	t.Helper()
	var out bytes.Buffer
	c := command()
	c.SetArgs(append(args, "--json"))
	c.SetOut(&out)
	if err := c.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var r report
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &r); err != nil {
		t.Fatalf("last line is not JSON: %v\n%s", err, out.String())
	}
	t.Log(out.String())
	return r
}

// judge knows what no measurement may say, however slow the machine is.
func judge(t *testing.T, r report) {
	t.Helper()
	if len(r.Rows) < 3 {
		t.Errorf("got %d rows", len(r.Rows))
	}
	for _, row := range r.Rows {
		switch {
		case strings.Contains(row.Name, "stack") && row.Value > maxStack:
			t.Errorf("%s: got %.1f KiB, want at most %d", row.Name, row.Value, maxStack)
		case row.Name == "complete flows" && row.Value < 1, row.Name == "waits not told to try again" && row.Value != 0:
			t.Errorf("%s: got %v", row.Name, row.Value)
		// In these the wait may hear first, or the node may have more to do anyhow.
		case row.Value < 0 && !strings.Contains(row.Name, "decision answered") && !strings.Contains(row.Name, "more "):
			t.Errorf("%s: got %v %s", row.Name, row.Value, row.Unit)
		}
	}
}

func (r report) value(t *testing.T, name string) float64 {
	t.Helper()
	for _, row := range r.Rows {
		if row.Name == name {
			return row.Value
		}
	}
	t.Fatalf("no row %q in %v", name, r.Rows)
	return 0
}

func leftovers(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir(os.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), temporary) {
			n++
		}
	}
	return n
}

func TestURL_elsewhere_is_refused(t *testing.T) {
	for _, bad := range []string{"192.0.2.1", "nod.example", "10.0.0.1", "localhost.example", ""} {
		if err := loopback("--url", bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	for _, good := range []string{"localhost", "127.0.0.1", "::1"} {
		if err := loopback("--url", good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}

func TestCommand_refuses_what_it_cannot_do(t *testing.T) {
	for _, args := range []string{
		"hold -n 0", "hold -n 20001", "flows --nodes 0", "flows --nodes 10 --start", "flows --nodes 3",
		"flows --start --redis-url redis://127.0.0.1:6379", "flows --redis-url redis://127.0.0.1:6379",
		"flows --nodes 3 --database-url postgres://127.0.0.1/nod", "flows --url http://127.0.0.1:8080 --start",
		"flows --url http://192.0.2.1:8080", "flows --database-url postgres://192.0.2.1/nod",
		"flows --database-url mysql://127.0.0.1/nod",
	} {
		c := command()
		c.SetArgs(strings.Fields(args))
		if err := c.ExecuteContext(t.Context()); err == nil {
			t.Errorf("%s was taken", args)
		} else {
			t.Log(err)
		}
	}
}

func TestQuantile_picks_from_the_sorted_samples(t *testing.T) {
	d := make([]time.Duration, 100)
	for i := range d {
		d[i] = time.Duration(100 - i)
	}
	if got := quantile(d, .5); got != 51 {
		t.Errorf("p50: got %d, want 51", got)
	}
	if got := quantile(d, .99); got != 100 {
		t.Errorf("p99: got %d, want 100", got)
	}
	if got := quantile(nil, .5); got != 0 {
		t.Errorf("of nothing: got %d, want 0", got)
	}
}
