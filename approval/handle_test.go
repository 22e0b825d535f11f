package approval

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/nod-auth/nod/approval/account"
)

// handles are one request's three derived ones, and what recognises each.
func handles(c *Codes, id string) (made map[string]account.Secret, known map[string]func(account.Secret) bool) {
	made = map[string]account.Secret{
		"prompt": c.Prompt(id), "rotating": c.rotating(id, 1), "own": c.own(id, "u1"),
	}
	known = map[string]func(account.Secret) bool{
		"prompt":   func(h account.Secret) bool { return c.prompted(h) == id },
		"rotating": func(h account.Secret) bool { got, step := c.rotated(h); return got == id && step == 1 },
		"own": func(h account.Secret) bool {
			got, _ := requestOf(h)
			return got == id && same(h, c.own(got, "u1"))
		},
	}
	return made, known
}

func TestHandles_are_good_for_one_thing(t *testing.T) {
	c := testCodes(t)
	made, known := handles(c, uuid.NewString())
	for is, h := range made {
		for as, knows := range known {
			if got := knows(h); got != (is == as) {
				t.Errorf("the %s handle as %s: recognised %v", is, as, got)
			}
		}
	}
}

func TestHandles_depend_on_key_request_user_and_step(t *testing.T) {
	c := testCodes(t)
	other, _ := NewCodes([]byte(strings.Repeat("x", 32)))
	id := uuid.NewString()
	seen := map[account.Secret]string{}
	for name, h := range map[string]account.Secret{
		"prompt": c.Prompt(id), "another request's": c.Prompt(uuid.NewString()), "another key's": other.Prompt(id),
		"rotating": c.rotating(id, 0), "the next": c.rotating(id, 1), "the 256th": c.rotating(id, 256),
		"own": c.own(id, "u1"), "another user's": c.own(id, "u2"), "nobody's": c.own(id, ""),
	} {
		if was := seen[h]; was != "" {
			t.Errorf("%s is %s", name, was)
		}
		seen[h] = name
	}
	if n := len(c.Prompt(id)); n != 54 {
		t.Errorf("a prompt's handle has %d characters, want 54", n)
	}
	if n := len(c.rotating(id, 0)); n != 56 {
		t.Errorf("a rotating handle has %d characters, want 56", n)
	}
}

// One character more, less or other is another handle, and so is another text of
// the same bytes.
func TestHandles_are_exact(t *testing.T) {
	c := testCodes(t)
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/ \n"
	rapid.Check(t, func(t *rapid.T) {
		made, known := handles(c, uuid.NewString())
		name := rapid.SampledFrom([]string{"prompt", "rotating", "own"}).Draw(t, "handle")
		h := made[name].Reveal()
		at := rapid.IntRange(0, len(h)-1).Draw(t, "at")
		with := string(alphabet[rapid.IntRange(0, len(alphabet)-1).Draw(t, "with")])
		changed := map[string]string{
			"replaced": h[:at] + with + h[at+1:], "inserted": h[:at] + with + h[at:], "appended": h + with,
			"cut": h[:at], "dropped": h[:at] + h[at+1:],
		}[rapid.SampledFrom([]string{"replaced", "inserted", "appended", "cut", "dropped"}).Draw(t, "how")]
		if got := known[name](account.Secret(changed)); got != (changed == h) {
			t.Fatalf("%s, changed from %q to %q: recognised %v", name, h, changed, got)
		}
	})
}

func TestHandles_of_foreign_bytes_are_none(t *testing.T) {
	c := testCodes(t)
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 0, 60).Draw(t, "bytes")
		h := account.Secret(base64.RawURLEncoding.EncodeToString(b))
		if id, _ := c.rotated(h); id != "" || c.prompted(h) != "" {
			t.Fatalf("%q is a handle", h.Reveal())
		}
	})
	if h := c.Prompt("no uuid"); h != "" || c.prompted(h) != "" {
		t.Errorf("something that is no request's id has the handle %q", h)
	}
}

func TestRotating_changes_every_thirty_seconds(t *testing.T) {
	c := testCodes(t)
	r := Request{ID: uuid.NewString(), CreatedAt: born}
	for after, step := range map[time.Duration]uint16{
		-time.Second: 0, 0: 0, 30*time.Second - 1: 0, 30 * time.Second: 1, 45 * time.Second: 1, 10 * time.Minute: 20,
	} {
		h, until := c.Rotating(r, born.Add(after))
		if _, got := c.rotated(h); got != step {
			t.Errorf("after %v: step %d, want %d", after, got, step)
		}
		if want := born.Add(time.Duration(step+1) * 30 * time.Second); !until.Equal(want) {
			t.Errorf("after %v: until %v, want %v", after, until.Sub(born), want.Sub(born))
		}
	}
	for after, want := range map[time.Duration]bool{30 * time.Second: true, 35*time.Second - 1: true, 35 * time.Second: false, time.Hour: false} {
		if got := r.fresh(0, born.Add(after)); got != want {
			t.Errorf("the first QR code after %v: taken %v, want %v", after, got, want)
		}
	}
}
