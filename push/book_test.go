package push

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/sqlstore/freshdb"
	"github.com/nod-auth/nod/push/virtual"
)

func testBook(t *testing.T, key byte) book {
	t.Helper()
	s, err := ParseServices(nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := newBook(bytes.Repeat([]byte{key}, keySize), s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBook_bad_targets_are_refused_with_what_is_wrong(t *testing.T) {
	b := testBook(t, 1)
	for _, c := range []struct {
		kind   account.PhoneKind
		target string
		field  string
	}{
		{"pager", "123", "kind"},
		{account.PhoneWebPush, "", "subscription"},
		{account.PhoneWebPush, "https://fcm.googleapis.com/x", "subscription"},
		{account.PhoneFCM, "", "token"},
		{account.PhoneFCM, strings.Repeat("a", maxToken+1), "token"},
		{account.PhoneFCM, "two words", "token"},
		{account.PhoneFCM, "line\nbreak", "token"},
		{account.PhoneFCM, "../projects", "token"},
		{account.PhoneFCM, "töken", "token"},
		{account.PhoneEmail, "", "address"},
		{account.PhoneEmail, "grace", "address"},
		{account.PhoneEmail, "grace@", "address"},
		{account.PhoneEmail, "@example.net", "address"},
		{account.PhoneEmail, "Ada <grace@example.net>", "address"},
		{account.PhoneEmail, "<grace@example.net>", "address"},
		{account.PhoneEmail, " grace@example.net", "address"},
		{account.PhoneEmail, "grace@example.net, bob@example.net", "address"},
		{account.PhoneEmail, "grace@example.net\r\nBcc: bob@example.net", "address"},
		{account.PhoneEmail, "grace(comment)@example.net", "address"},
		{account.PhoneEmail, "grace@[10.0.0.1]", "address"},
		{account.PhoneEmail, strings.Repeat("a", maxLocalPart+1) + "@example.net", "address"},
		{account.PhoneEmail, "grace@" + strings.Repeat("a.", maxAddress/2) + "org", "address"},
		{account.PhoneEmail, "grace@exam\u202eple.org", "address"},
	} {
		_, err := b.place(c.kind, account.Secret(c.target))
		invalid, ok := errors.AsType[*approval.InvalidError](err)
		switch {
		case !ok || invalid.Field != c.field:
			t.Errorf("%s %q: got %v, want a complaint about its %s", c.kind, c.target, err, c.field)
		case len(c.target) > 3 && strings.Contains(err.Error(), c.target):
			t.Errorf("%s %q: the complaint repeats it: %v", c.kind, c.target, err)
		}
	}
}

func TestBook_one_place_has_one_name(t *testing.T) {
	b := testBook(t, 1)
	name := func(b book, kind account.PhoneKind, target string) string {
		t.Helper()
		place, err := b.place(kind, account.Secret(target))
		if err != nil {
			t.Fatalf("%s %q: %v", kind, target, err)
		}
		return string(b.hash("u", kind, place))
	}
	point, auth := testKeys(t)
	ada := name(b, account.PhoneEmail, "ada@example.org")
	browser := virtualSubscription("https://fcm.googleapis.com/fcm/send/1", point, auth)
	for _, c := range []struct {
		what string
		got  string
		want string
		same bool
	}{
		{"the domain's case", name(b, account.PhoneEmail, "ada@Example.ORG"), ada, true},
		{"the mailbox's case", name(b, account.PhoneEmail, "Ada@example.org"), ada, false},
		{"the kind", name(b, account.PhoneFCM, "abc"), string(b.hash("u", account.PhoneEmail, "abc")), false},
		{"the key", name(testBook(t, 2), account.PhoneEmail, "ada@example.org"), ada, false},
		{"a subscription's keys", name(b, account.PhoneWebPush, virtualSubscription("https://fcm.googleapis.com/fcm/send/1", point, auth[1:], 7)),
			name(b, account.PhoneWebPush, browser), true},
		{"a subscription's endpoint", name(b, account.PhoneWebPush, virtualSubscription("https://fcm.googleapis.com/fcm/send/2", point, auth)),
			name(b, account.PhoneWebPush, browser), false},
	} {
		if same := c.got == c.want; same != c.same {
			t.Errorf("%s: the same name is %t, want %t", c.what, same, c.same)
		}
	}
}

func virtualSubscription(endpoint string, point, auth []byte, more ...byte) string {
	return `{"endpoint":"` + endpoint + `","keys":{"p256dh":"` + encode(point) + `","auth":"` + encode(append(auth[:len(auth):len(auth)], more...)) + `"}}`
}

func TestBook_sealed_target_opens_for_its_phone_alone(t *testing.T) {
	b := testBook(t, 1)
	const target = "ada@example.org"
	sealed, err := b.seal("phone-1", target)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("ada")) {
		t.Error("sealed: contains the target")
	}
	if got, err := b.open(account.Phone{ID: "phone-1", Sealed: sealed}); err != nil || got.Reveal() != target {
		t.Errorf("open: got %q, %v; want the target", got.Reveal(), err)
	}
	if _, err := b.open(account.Phone{ID: "phone-2", Sealed: sealed}); err == nil {
		t.Error("open as another phone's: got no error")
	}
	if _, err := testBook(t, 2).open(account.Phone{ID: "phone-1", Sealed: sealed}); err == nil {
		t.Error("open with another key: got no error")
	}
}

func TestCheck_kind_without_a_channel_is_refused(t *testing.T) {
	h := build(t, freshdb.File(t), Config{})
	defer h.file.Close()
	_, err := h.push.Check("u", account.PhoneEmail, "ada@example.org")
	if invalid, ok := errors.AsType[*approval.InvalidError](err); !ok || invalid.Field != "kind" {
		t.Errorf("check: got %v, want a complaint about its kind", err)
	}
}

func TestReaches_follows_the_phones(t *testing.T) {
	h := build(t, freshdb.File(t), Config{})
	defer h.file.Close()
	reaches := func(userID string, want bool) {
		t.Helper()
		if got, err := h.push.Reaches(t.Context(), userID); err != nil || got != want {
			t.Errorf("reaches: got %t, %v; want %t", got, err, want)
		}
	}
	reaches(h.ada.ID, false)
	phone := h.phone(h.ada, "token-1", takes)
	reaches(h.ada.ID, true)
	reaches(h.bob.ID, false)
	reaches("", false)
	h.must(h.people.RemovePhone(t.Context(), h.ada, phone.ID, ""))
	reaches(h.ada.ID, false)
	h.push.shared = []road{{name: logName, label: logName, channel: h.provider}}
	reaches(h.bob.ID, true)
	reaches("", false)
}

func TestStore_file_does_not_tell_where_phones_are(t *testing.T) {
	h := build(t, freshdb.File(t), Config{VAPID: newTestVAPID(t), SMTPURL: "smtp://127.0.0.1:1", SMTPFrom: "nod@example.org"})
	service := virtual.NewService()
	sub, err := service.Subscribe("https://fcm.googleapis.com", h.push.Key())
	h.must(err)
	for kind, target := range map[account.PhoneKind]string{
		account.PhoneFCM: "firebase-token-4711", account.PhoneEmail: "ada.lovelace@example.org", account.PhoneWebPush: sub.JSON(),
	} {
		_, err := h.people.RegisterPhone(t.Context(), h.ada, approval.NewPhone{Kind: kind, Target: account.Secret(target), Name: "Phone"}, "")
		h.must(err)
	}
	for _, when := range []string{"open", "closed"} {
		files, err := filepath.Glob(h.path + "*")
		h.must(err)
		for _, file := range files {
			content, err := os.ReadFile(file)
			h.must(err)
			for _, secret := range []string{"firebase-token-4711", "ada.lovelace", "example.org", "fcm.googleapis.com", sub.Endpoint(), "p256dh"} {
				if bytes.Contains(content, []byte(secret)) {
					t.Errorf("%s, while the store is %s: contains %q", filepath.Base(file), when, secret)
				}
			}
		}
		if when == "open" {
			h.must(h.file.Close())
		}
	}
}
