package push

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net/mail"
	"strings"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// book is the address book: it judges where a phone is to be reached, names the
// place by a keyed hash and keeps it encrypted. With the database alone nobody
// can write to a phone, nor try whether a mailbox is known.
type book struct {
	services Services
	hashKey  []byte
	aead     *subtle.XChaCha20Poly1305
}

const keySize = 32 // bytes: what HMAC-SHA256 and XChaCha20-Poly1305 take whole

// newBook derives its keys from one of 32 bytes; the labels are for ever.
func newBook(key []byte, s Services) (book, error) {
	if len(key) != keySize {
		return book{}, fmt.Errorf("push key: %d bytes, not %d", len(key), keySize)
	}
	hashKey, err := hkdf.Key(sha256.New, key, nil, "nod/push/hash/v1", keySize)
	if err != nil {
		return book{}, fmt.Errorf("push key: %w", err)
	}
	sealKey, err := hkdf.Key(sha256.New, key, nil, "nod/push/seal/v1", keySize)
	if err != nil {
		return book{}, fmt.Errorf("push key: %w", err)
	}
	aead, err := subtle.NewXChaCha20Poly1305(sealKey)
	if err != nil {
		return book{}, fmt.Errorf("push key: %w", err)
	}
	return book{services: s, hashKey: hashKey, aead: aead}, nil
}

// place normalises a target to what makes it that place and no other. The error
// is an *approval.InvalidError that repeats nothing of it.
func (b book) place(kind account.PhoneKind, target account.Secret) (string, error) {
	switch kind {
	case account.PhoneWebPush:
		sub, err := parseSubscription(target)
		if err == nil {
			err = b.services.Allow(sub.Endpoint)
		}
		return sub.Endpoint, err // the keys beside it may change, the place stays
	case account.PhoneFCM:
		return target.Reveal(), checkToken(target.Reveal())
	case account.PhoneEmail:
		return mailbox(target.Reveal())
	default:
		return "", &approval.InvalidError{Field: "kind", Reason: "must be one that this server can reach"}
	}
}

// hash names a place. Who holds a browser or an application is its one owner; a
// mailbox may be several people's, and its address is no secret, so that nobody
// takes it from another by naming it. Kinds and ids contain no zero byte, so no two
// lists of parts run together.
func (b book) hash(userID string, kind account.PhoneKind, place string) []byte {
	if kind == account.PhoneEmail {
		place = userID + "\x00" + place
	}
	m := hmac.New(sha256.New, b.hashKey)
	m.Write([]byte(string(kind) + "\x00" + place))
	return m.Sum(nil)
}

// sealedPlace names table, row and column: what is sealed for one phone cannot be
// opened as another's.
func sealedPlace(phoneID string) []byte { return []byte("phones/" + phoneID + "/sealed") }

func (b book) seal(phoneID string, target account.Secret) ([]byte, error) {
	sealed, err := b.aead.Encrypt([]byte(target.Reveal()), sealedPlace(phoneID))
	if err != nil {
		return nil, fmt.Errorf("seal phone %s: %w", phoneID, err)
	}
	return sealed, nil
}

func (b book) open(p account.Phone) (account.Secret, error) {
	target, err := b.aead.Decrypt(p.Sealed, sealedPlace(p.ID))
	if err != nil {
		return "", fmt.Errorf("open phone %s: it was registered under another master key; remove it and register it again", p.ID)
	}
	return account.Secret(target), nil
}

// maxToken bounds a registration token, in bytes. Firebase documents no bound and
// no form; tokens seen are 140 to 200 long.
const maxToken = 4096

func checkToken(token string) error {
	const others = "-_:."
	plain := func(c rune) bool {
		return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune(others, c)
	}
	switch {
	case token == "":
		return badField("token", "must not be empty")
	case len(token) > maxToken:
		return badField("token", fmt.Sprintf("must not be longer than %d bytes", maxToken))
	case strings.ContainsFunc(token, func(c rune) bool { return !plain(c) }):
		return badField("token", "must be the registration token that Firebase gave to the application, unchanged")
	}
	return nil
}

const (
	maxAddress   = 254 // bytes: RFC 5321 section 4.5.3.1.3 without its angle brackets
	maxLocalPart = 64  // section 4.5.3.1.1
)

// mailbox takes a bare address and writes its domain in lower case, which is all
// that RFC 5321 section 2.4 lets anybody but the mailbox's own server do.
func mailbox(address string) (string, error) {
	const bare = "must be a bare e-mail address, such as ada@example.org"
	if len(address) > maxAddress {
		return "", badField("address", fmt.Sprintf("must not be longer than %d bytes", maxAddress))
	}
	if _, err := approval.CleanText("address", address, maxAddress); err != nil {
		return "", err
	}
	a, err := mail.ParseAddress(address)
	if err != nil || a.Name != "" || a.Address != address {
		return "", badField("address", bare)
	}
	at := strings.LastIndexByte(address, '@')
	local, domain := address[:at], address[at+1:]
	if len(local) > maxLocalPart || strings.HasPrefix(domain, "[") {
		return "", badField("address", bare)
	}
	return local + "@" + strings.ToLower(domain), nil
}
