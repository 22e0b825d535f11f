package audit_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval/audit"
)

// row has another value in every column.
func row() audit.Row {
	return audit.Row{
		Op: "op", Seq: 1, At: time.UnixMicro(2).UTC(), Name: "name", NamespaceID: "ns", RequestID: "req", Version: 3,
		UserID: "user", ClientID: "client", PasskeyID: "key", Address: "192.0.2.1", Detail: "Zoë",
	}
}

// The bytes that are hashed are for ever: they are spelt out here as the package
// comment says, by hand.
func TestSeal_isWhatTheCommentSays(t *testing.T) {
	prev := audit.Seal(audit.Hash{}, audit.Row{})
	text := func(s string) string { return fmt.Sprintf("%08x%x", len(s), s) }
	number := func(v int) string { return fmt.Sprintf("%08x%016x", 8, v) }
	spelt := fmt.Sprintf("%x", "nod/audit/row/v1") + prev.String() + text("op") + number(1) + number(2) + text("name") + text("ns") +
		text("req") + number(3) + text("user") + text("client") + text("key") + text("192.0.2.1") + "000000045a6fc3ab"
	b, err := hex.DecodeString(spelt)
	if err != nil {
		t.Fatal(err)
	}
	want := audit.Hash(sha256.Sum256(b))
	if got := audit.Seal(prev, row()); got != want {
		t.Errorf("seal = %s, want %s", got, want)
	}
}

func TestSeal_dependsOnEverything(t *testing.T) {
	seen := map[audit.Hash]string{audit.Seal(audit.Hash{}, row()): "nothing"}
	note := func(what string, h audit.Hash) {
		if was, twice := seen[h]; twice {
			t.Errorf("with %s changed the hash is that with %s changed", what, was)
		}
		seen[h] = what
	}
	note("the hash before", audit.Seal(audit.Hash{1}, row()))
	for i := range reflect.TypeFor[audit.Row]().NumField() {
		r := row()
		switch f := reflect.ValueOf(&r).Elem().Field(i); f.Kind() {
		case reflect.String:
			f.SetString(f.String() + "x")
		case reflect.Int64:
			f.SetInt(f.Int() + 1)
		default:
			f.Set(reflect.ValueOf(time.UnixMicro(9)))
		}
		note(reflect.TypeFor[audit.Row]().Field(i).Name, audit.Seal(audit.Hash{}, r))
	}
	// A letter that moves from one column to the next.
	r := row()
	r.NamespaceID, r.RequestID = "n", "sreq"
	note("a border", audit.Seal(audit.Hash{}, r))
}

func TestParsePlace_readsWhatIsPrinted(t *testing.T) {
	want := audit.Place{N: 4711, Hash: audit.Seal(audit.Hash{}, row())}
	if got, err := audit.ParsePlace(" " + want.String() + "\n"); got != want || err != nil {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
	hash := want.Hash.String()
	for _, text := range []string{"", "4711", "4711:", ":" + hash, "0:" + hash, "-1:" + hash, "4711:" + hash[1:], "4711:" + hash + "00", "x:" + hash, "1:" + hash + ":"} {
		if got, err := audit.ParsePlace(text); err == nil {
			t.Errorf("%q: got %s, want an error", text, got)
		}
	}
}

func TestKey_neverPrints(t *testing.T) {
	key := audit.Key(bytes.Repeat([]byte("k"), 32))
	for _, verb := range []string{"%v", "%s", "%x", "%+v", "%#v", "%q"} {
		if got := fmt.Sprintf(verb, key); got != "[secret]" {
			t.Errorf("%s: got %s, want [secret]", verb, got)
		}
	}
}
