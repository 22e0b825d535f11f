package approval

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// noteEvery is how far apart two notes of one device's use are, at least. Each is a
	// write on a path that only reads, perhaps a hundred times a second; and its owner,
	// who wants to tell what is in use from what is forgotten, needs it no finer than an
	// hour. A device in constant use is written 24 times a day.
	noteEvery = time.Hour
	// notesAtOnce is how many one transaction writes. They are in nobody's way, not even
	// on SQLite with its one writer: two short statements each.
	notesAtOnce = 16
	// maxNotes bounds what waits to be written while the store is slow: 10 000 of about
	// 150 bytes, 1.5 MB. What does not fit is noted at its next use.
	maxNotes = 10_000
)

// NoteUse moves a device's UsedAt forward to At, and nothing else: the version stays,
// so that no refresh that is under way loses. A device that is gone, has ended or was
// seen later is no error.
type NoteUse struct {
	DeviceID string
	At       time.Time
}

func (NoteUse) effect() {}

// Used notes that a device, which was seen at that time (account.Device.LastSeen), is
// just in use, as far as nod hears of it: its token was introspected, or shown at
// userinfo, or its application asked whether it still stands. It returns at once and
// never fails: Run writes it, at most once in noteEvery for a device, and when that
// fails, or nod stops before it, the next use is noted instead.
func (s *Service) Used(ctx context.Context, deviceID string, seen time.Time) {
	now, err := s.Store.Now(ctx)
	if err == nil && !now.Before(seen.Add(noteEvery)) {
		s.uses.add(deviceID, now.Truncate(time.Second))
	}
}

// uses are the devices whose use nobody has written down yet.
type uses struct {
	mu   sync.Mutex
	at   map[string]time.Time
	some chan struct{} // holds one when there may be something to write
}

func newUses() *uses { return &uses{at: map[string]time.Time{}, some: make(chan struct{}, 1)} }

func (u *uses) add(id string, at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, waits := u.at[id]; waits || len(u.at) >= maxNotes {
		return
	}
	u.at[id] = at
	select {
	case u.some <- struct{}{}:
	default:
	}
}

// next is some of what waits, and it waits on: a device that is used again while its
// note is being written is not noted twice.
func (u *uses) next() []Effect {
	u.mu.Lock()
	defer u.mu.Unlock()
	var notes []Effect
	for id, at := range u.at {
		if len(notes) == notesAtOnce {
			break
		}
		notes = append(notes, NoteUse{id, at})
	}
	return notes
}

func (u *uses) done(notes []Effect) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, n := range notes {
		delete(u.at, n.(NoteUse).DeviceID)
	}
}

// noteUses writes down what was used, until ctx ends.
func (s *Service) noteUses(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.uses.some:
		}
		for notes := s.uses.next(); len(notes) > 0 && ctx.Err() == nil; notes = s.uses.next() {
			if err := s.apply(ctx, Change{Op: NewOp(), Effects: notes}); err != nil {
				slog.WarnContext(ctx, "when devices were last seen is noted later", "devices", len(notes), "error", err)
			}
			s.uses.done(notes)
		}
	}
}
