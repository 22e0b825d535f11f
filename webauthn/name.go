package webauthn

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// transports are the words of WebAuthn L3 section 5.8.4; a page may send any.
var transports = []string{"internal", "hybrid", "usb", "nfc", "ble", "smart-card"}

// known keeps the transports that are words of the specification, each once.
func known(said []string) []string {
	var out []string
	for _, t := range transports {
		if slices.Contains(said, t) {
			out = append(out, t)
		}
	}
	return out
}

// makers name the keepers of passkeys that people know, by AAGUID. Nobody vouches
// for an AAGUID here: it gives a passkey its first name and decides nothing.
var makers = map[string]string{
	"ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4": "Google Password Manager",
	"fbfc3007-154e-4ecc-8c0b-6e020557d7bd": "Apple Passwords",
	"dd4ec289-e01d-41c9-bb89-70fa845d4bf2": "Apple Passwords",
	"adce0002-35bc-c60a-648b-0b25f1f05503": "Chrome on Mac",
	"08987058-cadc-4b81-b6e1-30de50dcbe96": "Windows Hello",
	"9ddd1817-af5a-4672-a2b9-3e3dd95000a9": "Windows Hello",
	"6028b017-b1d4-4c02-b4b3-afcdafc96bb2": "Windows Hello",
	"53414d53-554e-4700-0000-000000000000": "Samsung Pass",
	"bada5566-a7aa-401f-bd96-45619a55120d": "1Password",
	"d548826e-79b4-db40-a3d8-11116f7e8349": "Bitwarden",
	"531126d6-e717-415c-9320-3d9aa6981239": "Dashlane",
	"fdb141b2-5d84-443e-8a35-4698c205a502": "KeePassXC",
}

// defaultName is what a new passkey is called when nobody named it: its keeper,
// or what kind of thing it lives on, with a number where that is taken.
func defaultName(k account.Passkey, owned []account.Passkey) string {
	base := kindName(k)
	name := base
	for n := 2; slices.ContainsFunc(owned, func(o account.Passkey) bool { return o.Name == name }); n++ {
		name = fmt.Sprintf("%s %d", base, n)
	}
	return name
}

func kindName(k account.Passkey) string {
	if id, err := uuid.FromBytes(k.AAGUID); err == nil && makers[id.String()] != "" {
		return makers[id.String()]
	}
	carried := func(t string) bool { return t == "usb" || t == "nfc" || t == "ble" || t == "smart-card" }
	if slices.ContainsFunc(k.Transports, carried) && !slices.Contains(k.Transports, "internal") {
		return "Security key"
	}
	return "Passkey"
}

// cleanName accepts a name that somebody gave a passkey; "" when they gave none.
func cleanName(field, name string) (string, error) {
	return approval.CleanText(field, strings.TrimSpace(name), approval.MaxName)
}
