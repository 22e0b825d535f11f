package sqlstore

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// micros is how a time is stored: microseconds since 1970, 0 for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// instant reads what micros wrote.
type instant struct{ to *time.Time }

func (i instant) Scan(src any) error {
	us, ok := src.(int64)
	if !ok {
		return fmt.Errorf("time column holds %T", src)
	}
	*i.to = time.Time{}
	if us != 0 {
		*i.to = time.UnixMicro(us).UTC()
	}
	return nil
}

// blob keeps "no bytes" NULL, so that unique columns may lack them.
func blob(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

// document is how a value that is only read whole is stored: JSON, in which JSON of
// the caller's stays as it is, byte for byte. The values are plain structs and lists,
// for which encoding cannot fail.
func document(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err))
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// optional is document for a pointer: ” for nil.
func optional[T any](v *T) string {
	if v == nil {
		return ""
	}
	return document(v)
}

// parsed reads what document or optional wrote; ” leaves the value alone.
type parsed struct{ to any }

func (p parsed) Scan(src any) error {
	s, ok := src.(string)
	if !ok {
		return fmt.Errorf("document column holds %T", src)
	}
	if s == "" {
		return nil
	}
	return json.Unmarshal([]byte(s), p.to)
}
