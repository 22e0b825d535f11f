package token

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecrets_neverPrint(t *testing.T) {
	r := openRing(t, &memStore{}, newClock())
	private, _, err := NewServiceKey()
	if err != nil {
		t.Fatal(err)
	}
	key, err := ParsePrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for name, holder := range map[string]any{"ring": r, "key": key, "PEM": private} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			if got := fmt.Sprintf(verb, holder); got != "[secret]" {
				t.Errorf("%s under %s: got %.60s, want [secret]", name, verb, got)
			}
		}
		if got, err := json.Marshal(holder); err != nil || string(got) != `"[secret]"` {
			t.Errorf("%s as JSON: got %.60s, %v", name, got, err)
		}
		for format, handler := range map[string]func(*bytes.Buffer) slog.Handler{
			"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
			"JSON": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
		} {
			var out bytes.Buffer
			slog.New(handler(&out)).Info("x", "holder", holder)
			if !strings.Contains(out.String(), "[secret]") || out.Len() > 120 {
				t.Errorf("%s in a %s log: got %.200s", name, format, out.String())
			}
		}
	}
}
