package native

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

const (
	maxIdentifier = 128 // bytes: client ids have 44 to 88, ours are UUIDs
	maxCode       = 128 // bytes: the longest four words of the list and their separators have 45
	// maxBinary is in bytes. Credential ids end at 1,023 (WebAuthn L3 section
	// 5.8.3); client data and attestations are bounded by the body.
	maxBinary = 48 << 10
)

func missing(field string) *wire.Error {
	return &wire.Error{Status: http.StatusBadRequest, Code: "missing_parameter", Message: "The parameter " + field + " is missing."}
}

func invalid(field, reason string) error {
	return &approval.InvalidError{Field: field, Reason: reason}
}

// identifier accepts what can be an id: opaque, printable, not long.
func identifier(field, s string) error {
	if s == "" {
		return missing(field)
	}
	if len(s) > maxIdentifier || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return invalid(field, "is not an id")
	}
	return nil
}

// canonical writes a UUID as nod does; anything else stays as it is.
func canonical(id string) string {
	if u, err := uuid.Parse(id); err == nil && len(id) == len(uuid.Nil.String()) {
		return u.String()
	}
	return id
}

// username reads a required name into the form in which names are stored.
func username(given *string) (string, error) {
	if given == nil {
		return "", missing("username")
	}
	if strings.TrimSpace(*given) == "" {
		return "", &wire.Error{Status: http.StatusBadRequest, Code: "username_empty", Message: "The username must not be empty."}
	}
	name, err := approval.CleanText("username", *given, approval.MaxUsername)
	if wrong, ok := errors.AsType[*approval.InvalidError](err); ok {
		return "", &wire.Error{Status: http.StatusBadRequest, Code: "username_invalid", Message: "The username " + wrong.Reason + ".", Cause: err}
	}
	return name, err
}

// subject finds the user a body means and checks that the token means the same.
// Nobody is the zero User and no error; asked is what the caller called them.
func (f *face) subject(ctx context.Context, who *caller, p party) (u account.User, asked string, err error) {
	if p.UserID == nil && p.Username == nil {
		return u, "", missing("username")
	}
	if p.Username != nil {
		if asked, err = username(p.Username); err != nil {
			return u, "", err
		}
	}
	if p.UserID != nil {
		u, err = f.userByID(ctx, *p.UserID)
		if asked != "" && u.Username != asked { // two names, two people: nobody
			u = account.User{}
		}
		asked = canonical(*p.UserID)
	} else {
		u, err = f.Accounts.UserByName(ctx, who.client.NamespaceID, asked)
	}
	switch {
	case errors.Is(err, approval.ErrNotFound), err == nil && u.NamespaceID != who.client.NamespaceID:
		u = account.User{}
	case err != nil:
		return u, "", err
	}
	return u, asked, who.means(u, p)
}

func (f *face) userByID(ctx context.Context, id string) (account.User, error) {
	if err := identifier("user_id", id); err != nil {
		return account.User{}, err
	}
	return f.Accounts.User(ctx, canonical(id))
}

// known is subject for calls that need somebody who exists.
func (f *face) known(ctx context.Context, who *caller, p party) (account.User, error) {
	u, _, err := f.subject(ctx, who, p)
	if err == nil && u.ID == "" {
		err = userNotFound
	}
	return u, err
}

// kindOf reads the code's kind from the path; another kind is another path.
func kindOf(c *gin.Context) (approval.CodeKind, error) {
	kind := approval.CodeKind(c.Param("type"))
	if !kind.Known() {
		return "", notFound
	}
	return kind, nil
}

// purposeOf reads what a code is for.
func purposeOf(text string) (approval.Purpose, error) {
	switch p := approval.Purpose(text); p {
	case approval.SignIn, approval.AddCredential:
		return p, nil
	case "":
		return "", missing("purpose")
	default:
		return "", invalid("purpose", "must be temporary_authentication or add_credential")
	}
}

// presentedCode is a code as its holder sends it.
type presentedCode struct {
	Code string `json:"code"`
	Type string `json:"type"`
}

// read checks the code's form, not the code; otherwise is the kind of one that
// names none, "" where it must.
func (p presentedCode) read(otherwise approval.CodeKind) (account.Secret, approval.CodeKind, error) {
	kind := approval.CodeKind(p.Type)
	if kind == "" {
		kind = otherwise
	}
	switch {
	case p.Code == "":
		return "", "", missing("authentication_code.code")
	case kind == "":
		return "", "", missing("authentication_code.type")
	case !kind.Known():
		return "", "", invalid("authentication_code.type", "must be short, long or phrase")
	}
	code, err := secretCode("authentication_code.code", p.Code)
	return code, kind, err
}

func secretCode(field, text string) (account.Secret, error) {
	if text == "" {
		return "", missing(field)
	}
	if len(text) > maxCode {
		return "", invalid(field, "is longer than any code")
	}
	return account.Secret(text), nil
}

// binaryMember is one member to be read, and where it goes.
type binaryMember struct {
	into  *[]byte
	field string
	text  string
}

// binaries reads the members of a ceremony's answer, which is called payload.
func binaries(payload string, members []binaryMember) (err error) {
	for _, m := range members {
		if *m.into, err = binary(payload+"."+m.field, m.text); err != nil {
			return err
		}
	}
	return nil
}

// binary reads one base64url member of a ceremony's answer. Padding is let
// through; nothing else is.
func binary(field, text string) ([]byte, error) {
	if text == "" {
		return nil, missing(field)
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil || len(raw) > maxBinary {
		return nil, invalid(field, "must be base64url without padding")
	}
	return raw, nil
}
