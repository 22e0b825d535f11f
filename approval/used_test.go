package approval_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/nod-auth/nod/approval"
)

// use lets the house hear that a device is in use, and write it down.
func (h *house) use(id string) {
	h.t.Helper()
	defer h.running()()
	h.core.Used(h.t.Context(), id, h.stored(id).LastSeen())
	synctest.Wait()
}

func TestUsed_is_noted_once_an_hour(t *testing.T) {
	inQuietBubble(t, func(t *testing.T, h *house) {
		_, got := h.letIn()
		born := h.stored(got.Grant.SID)
		rows := h.events(h.ada)
		for _, step := range []struct {
			after time.Duration
			want  time.Duration // since it was signed in
		}{
			{59 * time.Minute, 0},
			{time.Minute, time.Hour},
			{59 * time.Minute, time.Hour},
			{9 * time.Hour, 10*time.Hour + 59*time.Minute},
		} {
			time.Sleep(step.after)
			h.use(born.ID)
			d := h.stored(born.ID)
			if got := d.LastSeen().Sub(born.SeenAt); got != step.want || d.Version != born.Version {
				t.Errorf("last seen %s after its sign-in in version %d, want %s and %d", got, d.Version, step.want, born.Version)
			}
		}
		if now := h.events(h.ada); len(now) != len(rows) {
			t.Errorf("audit rows %v, want those from before, %v", now, rows)
		}
	})
}

func TestUsed_in_an_outage_is_noted_next_time(t *testing.T) {
	inQuietBubble(t, func(t *testing.T, h *house) {
		_, got := h.letIn()
		time.Sleep(2 * time.Hour)
		h.tamper.set(func(s *tampered) { s.refusal = approval.ErrUnavailable })
		h.use(got.Grant.SID)
		if d := h.stored(got.Grant.SID); !d.UsedAt.IsZero() {
			t.Errorf("noted at %s though nothing could be written", d.UsedAt)
		}
		h.tamper.set(func(s *tampered) { s.refusal = nil })
		time.Sleep(time.Minute)
		h.use(got.Grant.SID)
		if d := h.stored(got.Grant.SID); !d.UsedAt.Equal(d.SeenAt.Add(2*time.Hour + time.Minute)) {
			t.Errorf("noted at %s, want two hours and a minute after %s", d.UsedAt, d.SeenAt)
		}
	})
}

// However many ask at once, and before anybody writes: one note for each device.
func TestUsed_by_many_at_once_is_one_write(t *testing.T) {
	inQuietBubble(t, func(t *testing.T, h *house) {
		h.many(40)
		time.Sleep(2 * time.Hour)
		ds, err := h.people.Devices(t.Context(), h.ada)
		must(t, err)
		noted := 0
		h.tamper.set(func(s *tampered) {
			s.rewrite = func(cs []approval.Change) {
				for _, c := range cs {
					noted += len(c.Effects)
				}
			}
		})
		for range 100 {
			for _, d := range ds {
				h.core.Used(t.Context(), d.ID, d.LastSeen())
			}
		}
		running := h.running()
		synctest.Wait()
		running()
		if noted != len(ds) {
			t.Errorf("noted %d uses of %d devices, want each once", noted, len(ds))
		}
		for _, d := range ds {
			if got := h.stored(d.ID); got.UsedAt.IsZero() {
				t.Errorf("%s was not noted", d.ID)
			}
		}
	})
}

// What counts from the last refresh does not begin anew with a use.
func TestUsed_does_not_reopen_the_window_of_a_lost_refresh(t *testing.T) {
	inQuietBubble(t, func(t *testing.T, h *house) {
		c := h.oauth()
		got := h.signedIn(c)
		next, err := h.refresh(c, got.Refresh)
		must(t, err)
		must(t, h.core.LostRefresh(t.Context(), next))
		time.Sleep(2 * time.Hour)
		h.use(got.Device.ID)
		_, err = h.refresh(c, got.Refresh)
		wantError(t, "the one before, hours later", err, approval.ErrReplayed)
	})
}
