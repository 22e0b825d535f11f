package push

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/push/virtual"
)

const testEndpoint = "https://web.push.apple.com/QGuQyavXutnMH9b4"

func TestParseSubscription_readsABrowsers(t *testing.T) {
	sub, err := virtual.NewService().Subscribe("https://WEB.push.apple.com:443", newTestVAPID(t).Public())
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseSubscription(account.Secret(sub.JSON()))
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(sub.Endpoint(), "https://WEB.push.apple.com:443", "https://web.push.apple.com", 1)
	if got.Endpoint != want || len(got.p256dh) != 65 || len(got.auth) != 16 {
		t.Errorf("got %+v, want the endpoint %s", got, want)
	}
}

func TestParseSubscription_takesPaddingAndUnknownMembers(t *testing.T) {
	point, auth := testKeys(t)
	encode := base64.URLEncoding.EncodeToString
	text, err := json.Marshal(map[string]any{
		"endpoint": testEndpoint, "expirationTime": 1e12, "keys": map[string]any{"p256dh": encode(point), "auth": encode(auth), "new": 1}, "options": nil,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := parseSubscription(account.Secret(text)); err != nil || got.Endpoint != testEndpoint {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestParseSubscription_refuses(t *testing.T) {
	point, auth := testKeys(t)
	offCurve := append([]byte{4}, make([]byte, 64)...)
	compressed := append([]byte{2}, point[1:33]...)
	text := func(endpoint string, p256dh, auth []byte) string {
		encode := base64.RawURLEncoding.EncodeToString
		b, err := json.Marshal(map[string]any{"endpoint": endpoint, "keys": map[string]string{"p256dh": encode(p256dh), "auth": encode(auth)}})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	good := text(testEndpoint, point, auth)
	for name, c := range map[string]struct{ text, field string }{
		"nothing":            {"", "subscription"},
		"no JSON":            {"https://web.push.apple.com/a", "subscription"},
		"an array":           {"[]", "subscription"},
		"two values":         {good + good, "subscription"},
		"a number":           {`{"endpoint":1}`, "subscription"},
		"a long text":        {good + strings.Repeat(" ", 5000), "subscription"},
		"no endpoint":        {`{"keys":{}}`, "endpoint"},
		"null":               {"null", "endpoint"},
		"a strange endpoint": {text("ftp://web.push.apple.com/a", point, auth), "endpoint"},
		"a long endpoint":    {text("https://web.push.apple.com/"+strings.Repeat("a", 2048), point, auth), "endpoint"},
		"no key":             {text(testEndpoint, nil, auth), "keys.p256dh"},
		"a short key":        {text(testEndpoint, point[:64], auth), "keys.p256dh"},
		"a compressed key":   {text(testEndpoint, compressed, auth), "keys.p256dh"},
		"no point":           {text(testEndpoint, offCurve, auth), "keys.p256dh"},
		"plain base64":       {strings.Replace(good, "p256dh\":\"B", "p256dh\":\"B+/", 1), "keys.p256dh"},
		"no secret":          {text(testEndpoint, point, nil), "keys.auth"},
		"a long secret":      {text(testEndpoint, point, append(auth, 0)), "keys.auth"},
	} {
		_, err := parseSubscription(account.Secret(c.text))
		if invalid := (*approval.InvalidError)(nil); !errors.As(err, &invalid) || invalid.Field != c.field {
			t.Errorf("%s: got %v, want an InvalidError on %s", name, err, c.field)
		}
	}
}

func FuzzParseSubscription(f *testing.F) {
	f.Add(`{"endpoint":"` + testEndpoint + `","keys":{"p256dh":"BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8","auth":"BTBZMqHH6r4Tts7J_aSIgg"}}`)
	f.Add("{}")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseSubscription(account.Secret(text))
		if err != nil {
			if !errors.Is(err, approval.ErrInvalid) {
				t.Errorf("got %v, want ErrInvalid", err)
			}
			return
		}
		if len(s.p256dh) != 65 || len(s.auth) != 16 || s.Endpoint == "" {
			t.Errorf("got %+v", s)
		}
	})
}

func testKeys(t testing.TB) (point, auth []byte) {
	t.Helper()
	point, err := base64.RawURLEncoding.DecodeString(newTestVAPID(t).Public())
	if err != nil {
		t.Fatal(err)
	}
	return point, make([]byte, 16)
}
