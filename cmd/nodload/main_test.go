package main

import (
	"bytes"
	"encoding/json"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test's own program be the server, as main does.
func TestMain(m *testing.M) {
	if folder := os.Getenv(childVariable); folder != "" {
		if err := beServer(folder, os.Stdout); err != nil {
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

func TestMeasurements_run_against_a_server_of_their_own(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("memory and processor time are read from /proc, which needs Linux")
	}
	before := leftovers(t)
	for _, args := range [][]string{
		{"hold", "-n", "500", "--fills", "1", "--json"},
		{"wake", "-n", "20", "--samples", "5", "--json"},
		{"flows", "-c", "2", "-d", "300ms", "--json"},
	} {
		t.Run(args[0], func(t *testing.T) {
			var out bytes.Buffer
			c := command()
			c.SetArgs(args)
			c.SetOut(&out)
			if err := c.ExecuteContext(t.Context()); err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			var r report
			if err := json.Unmarshal([]byte(lines[len(lines)-1]), &r); err != nil {
				t.Fatalf("last line is not JSON: %v\n%s", err, out.String())
			}
			if len(r.Rows) < 4 {
				t.Fatalf("got %d rows\n%s", len(r.Rows), out.String())
			}
			for _, row := range r.Rows {
				if strings.Contains(row.Name, "stack") && row.Value > maxStack {
					t.Errorf("%s: got %.1f KiB, want at most %d", row.Name, row.Value, maxStack)
				}
				if row.Value < 0 || row.Name == "complete flows" && row.Value < 1 {
					t.Errorf("%s: got %v %s", row.Name, row.Value, row.Unit)
				}
			}
		})
	}
	if after := leftovers(t); after != before {
		t.Errorf("%d temporary folders, %d before", after, before)
	}
}

func leftovers(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir(os.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "nodload-") {
			n++
		}
	}
	return n
}

func TestURL_elsewhere_is_refused(t *testing.T) {
	for _, bad := range []string{"http://192.0.2.1:8080", "https://nod.example", "http://10.0.0.1", "http://localhost.example"} {
		if err := loopbackOnly(bad); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
	for _, good := range []string{"http://localhost:8080", "http://127.0.0.1:1", "http://[::1]:8080"} {
		if err := loopbackOnly(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}

func TestCommand_refuses_what_it_cannot_hold(t *testing.T) {
	for _, n := range []string{"0", "20001"} {
		c := command()
		c.SetArgs([]string{"hold", "-n", n})
		if err := c.ExecuteContext(t.Context()); err == nil {
			t.Errorf("hold -n %s was taken", n)
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
