package audit

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// exportPage is how many rows one question goes over, whether they match or not.
const exportPage = 1000

// Export hands the rows that match to write, in the order of their positions, and
// never holds more than a page. What is written meanwhile may be in it or not.
func Export(ctx context.Context, t Trail, f Filter, write func(Entry) error) error {
	after := first
	if !f.Since.IsZero() {
		after.Seq = f.Since.UnixMicro() // no row's Seq is below its time
	}
	for {
		to, passed, err := t.Stride(ctx, after, exportPage)
		if err != nil || passed == 0 {
			return err
		}
		page, err := t.Entries(ctx, f, after, to)
		if err != nil {
			return err
		}
		for _, e := range page {
			if e.Damaged {
				return e.damage()
			}
			if err := write(e); err != nil {
				return fmt.Errorf("write audit row %s: %w", e.Op, err)
			}
		}
		after = to
	}
}

// JSONLines writes each row as one line of JSON; VerifyFile reads that. A row that
// is not sealed has no n, no prev and no hash, and the first of all has no prev.
func JSONLines(w io.Writer) func(Entry) error {
	lines := json.NewEncoder(w)
	lines.SetEscapeHTML(false)
	return func(e Entry) error { return lines.Encode(e) }
}

// fields are the columns of an export, in the order of a CSV file.
var fields = []struct {
	name string
	text func(Entry) string
}{
	{"n", func(e Entry) string { return sealed(e, strconv.FormatInt(e.N, 10)) }},
	{"prev", func(e Entry) string { return sealed(e, e.Prev.String()) }},
	{"hash", func(e Entry) string { return sealed(e, e.Hash.String()) }},
	{"op", func(e Entry) string { return harmless(e.Op) }},
	{"seq", func(e Entry) string { return strconv.FormatInt(e.Seq, 10) }},
	{"at", func(e Entry) string { return e.At.Format(time.RFC3339Nano) }},
	{"name", func(e Entry) string { return harmless(e.Name) }},
	{"namespace_id", func(e Entry) string { return harmless(e.NamespaceID) }},
	{"request_id", func(e Entry) string { return harmless(e.RequestID) }},
	{"version", func(e Entry) string { return strconv.FormatInt(e.Version, 10) }},
	{"user_id", func(e Entry) string { return harmless(e.UserID) }},
	{"client_id", func(e Entry) string { return harmless(e.ClientID) }},
	{"passkey_id", func(e Entry) string { return harmless(e.PasskeyID) }},
	{"address", func(e Entry) string { return harmless(e.Address) }},
	{"detail", func(e Entry) string { return harmless(e.Detail) }},
}

func sealed(e Entry, text string) string {
	if e.N == 0 {
		return ""
	}
	return text
}

// harmless keeps a spreadsheet from taking a text for a formula (OWASP, CSV
// Injection): what begins like one gets an apostrophe, and so does what begins with
// an apostrophe, so that taking one away gives back the text.
func harmless(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r\n'＝＋－＠", []rune(text)[0]) {
		return "'" + text
	}
	return text
}

// CSV writes a heading and then each row as a record (RFC 4180). flush writes what
// is left at the end.
func CSV(w io.Writer) (write func(Entry) error, flush func() error) {
	file := csv.NewWriter(w)
	record := make([]string, len(fields))
	for i, f := range fields {
		record[i] = f.name
	}
	_ = file.Write(record) // the error is kept, and comes with the next
	write = func(e Entry) error {
		for i, f := range fields {
			record[i] = f.text(e)
		}
		return file.Write(record)
	}
	flush = func() error {
		file.Flush()
		return file.Error()
	}
	return write, flush
}
