package web

import (
	"cmp"
	"fmt"
	"html/template"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// functions are the words of the templates.
var functions = template.FuncMap{
	"asset":     AssetPath,
	"ago":       ago,
	"blankRow":  func() WaitingRequest { return WaitingRequest{} },
	"capital":   capital,
	"clock":     clock,
	"details":   readDetails,
	"digits":    groupDigits,
	"iso":       iso,
	"left":      left,
	"localPath": LocalPath,
	"row":       func(request WaitingRequest, now time.Time) requestRow { return requestRow{request, now} },
	"stamp":     stamp,
	"verdict":   verdictOf,
}

// requestRow lets the part that shows a request also know the time.
type requestRow struct {
	WaitingRequest
	Now time.Time
}

// LocalPath returns next when it is a path on the origin that serves it, and
// "/" for everything else. Backslashes and control characters are refused
// because browsers read "/\host" and "/<tab>/host" as another host.
func LocalPath(next string) string {
	odd := func(r rune) bool { return r == '\\' || unicode.IsControl(r) }
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsFunc(next, odd) {
		return "/"
	}
	if parsed, err := url.Parse(next); err != nil || parsed.Host != "" {
		return "/"
	}
	return next
}

// iso is the machine's form of a time: RFC 3339 in UTC to the millisecond,
// empty for the zero time.
func iso(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// stamp is the reader's form of a time before the script puts it into the
// phone's own time zone.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2 Jan 2006, 15:04 UTC")
}

// clock is the reader's form of a time within the hour.
func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("15:04 UTC")
}

// ago tells how long before now t was. It says "just now" under 10 s, and is
// absolute from one hour on or when one of the two is unknown.
func ago(t, now time.Time) string {
	if t.IsZero() || now.IsZero() {
		return stamp(t)
	}
	switch passed := now.Sub(t); {
	case passed < 10*time.Second:
		return "just now"
	case passed < time.Minute:
		return fmt.Sprintf("%d seconds ago", int(passed.Seconds()))
	case passed < 2*time.Minute:
		return "1 minute ago"
	case passed < time.Hour:
		return fmt.Sprintf("%d minutes ago", int(passed.Minutes()))
	}
	return stamp(t)
}

// left tells how long is left from now until t: "1:43 left", never less than
// "0:00 left", absolute when now is unknown.
func left(t, now time.Time) string {
	if t.IsZero() || now.IsZero() {
		return stamp(t)
	}
	seconds := max(0, int(t.Sub(now).Seconds()))
	return fmt.Sprintf("%d:%02d left", seconds/60, seconds%60)
}

// groupDigits sets a number of six digits in two groups of three, which is how
// the screen shows it; anything else stays as it is.
func groupDigits(number string) string {
	if len(number) != 6 || strings.Trim(number, "0123456789") != "" {
		return number
	}
	return number[:3] + " " + number[3:]
}

// capital makes the first letter of a phrase a capital.
func capital(phrase string) string {
	first, size := utf8.DecodeRuneInString(phrase)
	if size == 0 {
		return ""
	}
	return string(unicode.ToUpper(first)) + phrase[size:]
}

// verdict is how a final state reads.
type verdict struct {
	Mark    string // icon: approved, declined or past
	Heading string
	Text    string
}

var verdicts = map[string]verdict{
	"approved": {"approved", "Approved", "The device goes on by itself. You can put the phone away."},
	"redeemed": {"approved", "Approved", "The device has gone on by itself. You can put the phone away."},
	"denied":   {"declined", "Declined", "Nothing was shared."},
	"expired":  {"past", "This request has run out", "Nothing was shared. If you still need it, start again on the device."},
	"canceled": {"past", "This request was canceled", "Nothing was shared. If you still need it, start again on the device."},
	"undone":   {"past", "Undone", "You took your approval back before anything came of it. Nothing was shared."},
	"ended":    {"past", "Approved, and signed out", "What you let in is signed out again. What it did in between is not undone."},

	"deleted": {"past", "Approved, and taken back", "What was done with it in between is not undone."},

	// A report says what became of the request, because it may have come too late.
	"reported":         {"declined", "Reported", "Nothing was shared. Whoever runs this service has been told."},
	"reported ended":   {"declined", "Reported", "What was let in is signed out. What it did in between is not undone. Whoever runs this service has been told."},
	"reported deleted": {"declined", "Reported", "What was done with it in between is not undone. Whoever runs this service has been told."},
	"reported late":    {"declined", "Reported", "You had approved it, and that cannot be taken back here. Whoever runs this service has been told."},

	"lapsed": {"past", "Approved, but not used", "The device did not collect its answer in time, so nothing was shared. If you still need it, start again on the device."},
}

// backendTexts are the texts where a server asked and there may be no device.
var backendTexts = map[string]string{
	"approved": "The app goes on by itself. You can put the phone away.",
	"redeemed": "The app has gone on by itself. You can put the phone away.",
	"expired":  "Nothing was shared. If you still need it, start again where you began.",
	"canceled": "Nothing was shared. If you still need it, start again where you began.",
	"lapsed":   "The app did not collect its answer in time, so nothing was shared. If you still need it, start again where you began.",
}

// verdictOf describes a final state; one it does not know reads as decided.
func verdictOf(state string, backend bool) verdict {
	known, ok := verdicts[state]
	if !ok {
		return verdict{"past", "This request is closed", "It has already been decided. If you still need it, start again where you began."}
	}
	if backend {
		known.Text = cmp.Or(backendTexts[state], known.Text)
	}
	return known
}
