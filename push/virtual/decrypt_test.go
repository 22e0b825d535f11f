package virtual

import (
	"crypto/ecdh"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"testing"
)

// The example of RFC 8291 section 5 and appendix A.
const (
	examplePrivate = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
	exampleSecret  = "BTBZMqHH6r4Tts7J_aSIgg"
	exampleText    = "When I grow up, I want to be a watermelon"
	exampleMessage = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIg" +
		"Dll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)

func TestDecrypt_opensTheExampleOfTheRFC(t *testing.T) {
	got, err := Decrypt(exampleKey(t), raw(t, exampleSecret), raw(t, exampleMessage))
	if err != nil || string(got) != exampleText {
		t.Errorf("got %q, %v, want %q", got, err, exampleText)
	}
}

func TestDecrypt_refusesWhatIsNotForIt(t *testing.T) {
	edit := func(change func(m []byte) []byte) []byte { return change(raw(t, exampleMessage)) }
	for name, c := range map[string]struct {
		message []byte
		want    string
	}{
		"empty":         {nil, "shorter"},
		"header alone":  {edit(func(m []byte) []byte { return m[:headerBytes] }), "shorter"},
		"cut":           {edit(func(m []byte) []byte { return m[:len(m)-1] }), "not encrypted for"},
		"changed":       {edit(func(m []byte) []byte { m[len(m)-1] ^= 1; return m }), "not encrypted for"},
		"other salt":    {edit(func(m []byte) []byte { m[0] ^= 1; return m }), "not encrypted for"},
		"no point":      {edit(func(m []byte) []byte { m[headerBytes-1] ^= 1; return m }), "not a point"},
		"key id length": {edit(func(m []byte) []byte { m[saltBytes+sizeBytes] = 64; return m }), "not 65 bytes"},
		"two records": {edit(func(m []byte) []byte {
			binary.BigEndian.PutUint32(m[saltBytes:], 18)
			return m
		}), "more than one record"},
	} {
		if _, err := Decrypt(exampleKey(t), raw(t, exampleSecret), c.message); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
}

func TestUnpad_wantsTheDelimiterOfALastRecord(t *testing.T) {
	for padded, want := range map[string]string{"a\x02": "a", "a\x02\x00\x00": "a", "\x02": "", "a\x00\x02\x02": "a\x00\x02"} {
		if got, err := unpad([]byte(padded)); err != nil || string(got) != want {
			t.Errorf("%q: got %q, %v, want %q", padded, got, err, want)
		}
	}
	for _, padded := range []string{"", "\x00\x00", "a\x01", "a"} {
		if got, err := unpad([]byte(padded)); err == nil {
			t.Errorf("%q: got %q, want an error", padded, got)
		}
	}
}

func FuzzDecrypt(f *testing.F) {
	f.Add(raw(f, exampleMessage))
	f.Add(make([]byte, headerBytes+tagBytes+1))
	key, secret := exampleKey(f), raw(f, exampleSecret)
	f.Fuzz(func(t *testing.T, message []byte) {
		if got, err := Decrypt(key, secret, message); err == nil && string(got) != exampleText {
			t.Errorf("opened a forgery: %q", got)
		}
	})
}

func exampleKey(t testing.TB) *ecdh.PrivateKey {
	t.Helper()
	key, err := ecdh.P256().NewPrivateKey(raw(t, examplePrivate))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func raw(t testing.TB, text string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
