package token

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
)

// onlyES256 is the allow-list of every token but an ID token: one algorithm (RFC
// 8725 section 3.1).
var onlyES256 = []jose.SignatureAlgorithm{jose.ES256}

// dialect is what tokens of one kind may look like.
type dialect struct {
	limit     int // bytes
	algs      []jose.SignatureAlgorithm
	bringsKey bool // in the header's jwk, as a DPoP proof must and no other may
}

// refusedHeaders bring a key, name one, or change how the signature is
// computed. A key comes from the ring or from the client's record only (RFC
// 8725 section 3.10), but for the jwk of a DPoP proof, which proves nothing else
// than that its sender has that key. We implement no extension (crit, b64).
var refusedHeaders = []string{"jwk", "jku", "x5c", "x5u", "x5t", "x5t#S256", "crit", "b64", "zip", "enc"}

// parsed is a token that has the right shape and whose signature nobody has
// looked at yet.
type parsed struct {
	alg     string // one of the dialect's
	header  object
	claims  object
	payload []byte
	jws     *jose.JSONWebSignature
}

// parseCompact reads a compact JWS of the dialect. Every error matches
// ErrMalformed, and none repeats any of the input.
func parseCompact(compact string, d dialect) (*parsed, error) {
	if len(compact) > d.limit {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrMalformed, d.limit)
	}
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("%w: %d parts, not three", ErrMalformed, len(parts))
	}
	segments := make([][]byte, len(parts))
	for i, part := range parts {
		segment, err := decodeSegment(part)
		if err != nil {
			return nil, err
		}
		segments[i] = segment
	}
	header, err := parseObject(segments[0])
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	alg, err := d.checkHeader(header)
	if err != nil {
		return nil, err
	}
	claims, err := parseObject(segments[1])
	if err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	jws, err := jose.ParseSignedCompact(compact, d.algs)
	if err != nil {
		return nil, fmt.Errorf("%w: not a JWS", ErrMalformed)
	}
	return &parsed{alg: alg, header: header, claims: claims, payload: segments[1], jws: jws}, nil
}

// decodeSegment accepts the one canonical spelling. encoding/base64 alone
// would skip line breaks and, unless strict, ignore loose trailing bits.
func decodeSegment(part string) ([]byte, error) {
	if part == "" || strings.ContainsAny(part, "\r\n") {
		return nil, fmt.Errorf("%w: empty or broken segment", ErrMalformed)
	}
	segment, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return nil, fmt.Errorf("%w: segment is not base64url", ErrMalformed)
	}
	return segment, nil
}

func (d dialect) checkHeader(header object) (alg string, err error) {
	alg, _, err = header.text("alg")
	if err != nil {
		return "", err
	}
	if !slices.Contains(d.algs, jose.SignatureAlgorithm(alg)) {
		return "", fmt.Errorf("%w: another algorithm", ErrMalformed)
	}
	for _, name := range refusedHeaders {
		if _, found := header[name]; found && !(d.bringsKey && name == "jwk") {
			return "", fmt.Errorf("%w: header has %s", ErrMalformed, name)
		}
	}
	return alg, nil
}

// signedBy says whether key signed the token; one of another curve or another
// kind than the token's algorithm never did.
func (p *parsed) signedBy(key crypto.PublicKey) bool {
	if !fits(p.alg, key) {
		return false
	}
	_, err := p.jws.Verify(key)
	return err == nil
}

// object is a JSON object whose member names are unique, compared exactly.
type object map[string]json.RawMessage

// parseObject refuses duplicate names instead of choosing one of them, as RFC
// 7519 section 4 allows: two readers never see two different tokens in one.
func parseObject(data []byte) (object, error) {
	if !utf8.Valid(data) || !json.Valid(data) {
		return nil, fmt.Errorf("%w: not JSON", ErrMalformed)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if start, err := dec.Token(); err != nil || start != json.Delim('{') {
		return nil, fmt.Errorf("%w: not a JSON object", ErrMalformed)
	}
	members := object{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("%w: not JSON", ErrMalformed)
		}
		name, _ := token.(string)
		if _, again := members[name]; again {
			return nil, fmt.Errorf("%w: a member occurs twice", ErrMalformed)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, fmt.Errorf("%w: not JSON", ErrMalformed)
		}
		members[name] = value
	}
	return members, nil
}

func (o object) absent(name string) bool {
	value, found := o[name]
	return !found || string(value) == "null"
}

// text returns a string member, and whether it is there; null is absence.
func (o object) text(name string) (value string, found bool, err error) {
	if o.absent(name) {
		return "", false, nil
	}
	if err := json.Unmarshal(o[name], &value); err != nil {
		return "", false, fmt.Errorf("%w: %s is not a string", ErrMalformed, name)
	}
	return value, true, nil
}

// maxSeconds is 9999-12-31T23:59:59Z: the last second RFC 3339 can write.
const maxSeconds = 253402300799

// seconds returns a NumericDate (RFC 7519 section 2) of the years 1970 to 9999,
// in whole seconds. It may be written as a float, but not with a fraction.
func (o object) seconds(name string) (value int64, found bool, err error) {
	if o.absent(name) {
		return 0, false, nil
	}
	f, err := strconv.ParseFloat(string(o[name]), 64)
	if err != nil || f != math.Trunc(f) || f < 0 || f > maxSeconds {
		return 0, false, fmt.Errorf("%w: %s is not a whole number of seconds", ErrMalformed, name)
	}
	return int64(f), true, nil
}
