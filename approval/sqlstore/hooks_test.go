package sqlstore

import (
	"path/filepath"
	"strings"
	"testing"
)

// However long the log is, and however much waits for another receiver, what is asked
// all the time looks at nothing but its own rows.
func TestHooks_areFoundByTheirOwnIndexes(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "nod.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, c := range []struct {
		query string
		args  []any
		want  string
	}{
		{dueHooks, []any{1}, "outbox_due_of_webhook (topic=? AND key>?)"},
		{dueHooks, []any{1}, "outbox_due_of_webhook (topic=? AND key=? AND next_at>?)"},
		{dueOfHook, []any{"w", 1, 1}, "outbox_due_of_webhook (topic=? AND (key,next_at)>(?,?) AND (key,next_at)<(?,?))"},
		{endedHooks, []any{1, 1}, "outbox_by_end_of_webhook (topic=? AND ends_at>? AND ends_at<?)"},
	} {
		scan := func(from row) (detail string, err error) {
			var id, parent, unused int64
			err = from.Scan(&id, &parent, &unused, &detail)
			return detail, err
		}
		plan, err := list(t.Context(), s.reads, scan, "EXPLAIN QUERY PLAN "+c.query, c.args...)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(plan, "\n")
		if !strings.Contains(got, c.want) || strings.Contains(got, "SCAN outbox") {
			t.Errorf("got plan\n%s\nwant %s", got, c.want)
		}
	}
}
