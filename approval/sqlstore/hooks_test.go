package sqlstore

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/testservers"
)

// A node whose replies from the server are late has a copy of its clock that is behind.
// What it writes later than another node is later all the same for the receiver.
func TestHooks_areDatedByTheServerItself(t *testing.T) {
	url := testservers.StartPostgres(t).Fresh()
	var nodes [2]*Store
	for i := range nodes {
		s, err := Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		nodes[i] = s
	}
	clock := nodes[1].engine.(*server).serverClock
	clock.mu.Lock()
	clock.read = clock.read.Add(-time.Minute)
	clock.mu.Unlock()
	first, second := approval.NewOp(), approval.NewOp()
	for i, op := range []string{first, second} {
		err := nodes[i].Apply(t.Context(), approval.Change{Op: op, Effects: []approval.Effect{approval.Deliver{
			Topic: approval.TopicWebhook, Key: "w", Body: []byte(`{"id": "` + op + `"}`), Until: time.Now().Add(time.Hour),
		}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	at := make(map[string]time.Time)
	told, err := nodes[0].HookDeliveries(t.Context(), approval.HookFilter{WebhookID: "w"}, 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range told {
		at[d.Announcement.ID] = d.Announcement.Timestamp
	}
	if len(at) != 2 || !at[second].After(at[first]) {
		t.Errorf("dated %v; want two, the second, %s, after the first", at, second)
	}
}

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
