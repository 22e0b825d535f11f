package approval

import "testing"

func TestHub_holder_is_the_newest_wait(t *testing.T) {
	h := NewHub()
	want := func(when, address string) {
		t.Helper()
		if got := h.holder("r1"); got != address {
			t.Errorf("%s: got %q, want %q", when, got, address)
		}
	}
	watching := h.sit("r1", nil)
	want("somebody watches", "")
	older := h.sit("r1", &Holder{Address: "192.0.2.1"})
	want("somebody waits", "192.0.2.1")
	newer := h.sit("r1", &Holder{Address: "192.0.2.2"})
	want("replaced, and not gone yet", "192.0.2.2")
	older.leave()
	newer.leave()
	want("all waits are over", "")
	watching.leave()
	if n := h.Sleeping(); n != 0 || len(h.shard("r1").seats) != 0 {
		t.Errorf("%d sleep, %d requests are kept", n, len(h.shard("r1").seats))
	}
}
