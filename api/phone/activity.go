package phone

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/web"
)

// activityLength is how many events the page shows: a few weeks of somebody who
// signs in every day.
const activityLength = 100

// activity shows the audit rows of the visitor, in words.
func (f *face) activity(c *gin.Context, who visitor) error {
	ctx := c.Request.Context()
	events, err := f.Accounts.Events(ctx, who.User.ID, activityLength)
	if err != nil {
		return fmt.Errorf("list events: %w", err)
	}
	story, err := f.storyteller(ctx, who, events)
	if err != nil {
		return err
	}
	frame, err := f.frame(ctx, who)
	if err != nil {
		return err
	}
	page := web.ActivityPage{Frame: frame}
	for _, ev := range events {
		if entry, ok := story.tell(ev); ok {
			page.Entries = append(page.Entries, entry)
		}
	}
	return f.show(c, http.StatusOK, page)
}

// storyteller knows what the events are about.
type storyteller struct {
	requests map[string]approval.Request // by id; those long over are gone
	apps     map[string]string           // clients' names by id; "" when deleted
	receipts map[string]bool             // request ids of which there is one
}

// storyteller reads what the events name: requests in one question, clients one
// by one because there are few.
func (f *face) storyteller(ctx context.Context, who visitor, events []approval.Event) (storyteller, error) {
	s := storyteller{requests: map[string]approval.Request{}, apps: map[string]string{}}
	filter := approval.Filter{UserID: who.User.ID}
	found, err := f.Service.Store.List(ctx, filter, activityLength)
	if err != nil {
		return s, fmt.Errorf("list requests: %w", err)
	}
	for _, r := range found {
		s.requests[r.ID] = r
	}
	for _, ev := range events {
		if _, known := s.apps[ev.ClientID]; known || ev.ClientID == "" {
			continue
		}
		client, err := f.Accounts.Client(ctx, ev.ClientID)
		if err != nil && !errors.Is(err, approval.ErrNotFound) {
			return s, fmt.Errorf("find client: %w", err)
		}
		s.apps[ev.ClientID] = client.Name
	}
	s.receipts, err = f.receipted(ctx, who, events)
	return s, err
}

// tell puts an event into words; ok is false for what a person need not know.
func (s storyteller) tell(ev approval.Event) (entry web.ActivityEntry, ok bool) {
	l, ok := accountLines[ev.Name]
	words := l.words
	switch {
	case ev.Name == approval.EventPasskeyRevoked && ev.RequestID != "":
		words = deletedWords(ev.Detail)
	case ok && l.named && ev.Detail != "":
		words += ": " + ev.Detail
	case !ok && ev.RequestID != "":
		l, ok = s.requestLine(ev)
		words = strings.Replace(l.words, "%s", s.subject(ev), 1)
	}
	entry = web.ActivityEntry{At: ev.At, Words: words, Detail: s.detail(ev), Mark: l.mark}
	if ev.Name == approval.EventApproved && s.receipts[ev.RequestID] {
		entry.Receipt = receiptPath(ev.RequestID)
	}
	return entry, ok
}

func (s storyteller) requestLine(ev approval.Event) (line, bool) {
	if ev.Name == approval.EventLapsed && ev.Detail == faceKeycloak {
		return line{}, false // it was told of the yes at once; nobody collects
	}
	if l, ok := lineBy[by{ev.Name, ev.Detail}]; ok {
		return l, true
	}
	if ev.Name == approval.EventDeviceRevoked {
		l, _ := revokedLine(ev.Detail)
		return l, true
	}
	if l, ok := backendLines[ev.Name]; ok && fromBackend(s.requests[ev.RequestID]) {
		return l, true
	}
	l, ok := requestLines[ev.Name]
	return l, ok
}

// deletedWords are of a passkey that went with the approval that it was added by: the
// event's detail is why, and what it was called.
func deletedWords(detail string) string {
	words, why := "You took back that a passkey was added, and it was deleted", string(approval.ByOwner)
	if strings.HasPrefix(detail, string(approval.ByReport)) {
		words, why = "You reported that a passkey was added, and it was deleted", string(approval.ByReport)
	}
	if name := strings.TrimSpace(strings.TrimPrefix(detail, why)); name != "" {
		words += ": " + name
	}
	return words
}

// revokedLine says why something was signed out, and what that was called: the
// event's detail is both.
func revokedLine(detail string) (l line, called string) {
	for why, l := range revokedLines {
		if rest, ok := strings.CutPrefix(detail, string(why)); ok {
			return l, strings.TrimSpace(rest)
		}
	}
	return line{words: "Signed out: %s"}, ""
}

// detail is the quieter line: where an event came from, and of a yes what for.
func (s storyteller) detail(ev approval.Event) string {
	parts := make([]string, 0, 2)
	if asked := s.requests[ev.RequestID].Context.Scopes; len(asked) > 0 && ev.Name == approval.EventApproved {
		says := make([]string, len(asked))
		for i, scope := range asked {
			says[i] = scope.Says
		}
		parts = append(parts, "It may "+strings.Join(says, "; "))
	}
	if text := s.requests[ev.RequestID].Context.Payload; text != "" && ev.Name == approval.EventApproved {
		parts = append(parts, "You agreed to “"+gist(text)+"”")
	}
	if origin := from(ev); origin != "" {
		parts = append(parts, origin)
	}
	return strings.Join(parts, ". ")
}

// gist is the beginning of a long text, on one line; the receipt has all of it.
func gist(text string) string {
	const most = 120 // runes: about two lines on a phone
	words := []rune(strings.Join(strings.Fields(text), " "))
	if len(words) <= most {
		return string(words)
	}
	return string(words[:most]) + "…"
}

// from says where an event came from, as far as it is known.
func from(ev approval.Event) string {
	switch {
	case ev.Address == "":
		return ""
	case ev.Name == approval.EventRequested: // told by the asker; all others were seen
		return "Said to come from " + ev.Address
	default:
		return "From " + ev.Address
	}
}

// subject is what a request was about, "a sign-in on Living-room TV (Acme TV)", or
// what was signed in by it, "Living-room TV (Acme TV)".
func (s storyteller) subject(ev approval.Event) string {
	r := s.requests[ev.RequestID]
	app := cmp.Or(r.Context.App, s.apps[ev.ClientID])
	if r.Face == Face { // there is no app
		app = ""
	}
	name := device(r.Context)
	if ev.Name == approval.EventDeviceRevoked {
		_, called := revokedLine(ev.Detail)
		return cmp.Or(together(cmp.Or(name, called), app), app, "a device")
	}
	if r.Purpose == approval.Transaction {
		return "a transaction of " + cmp.Or(app, "an app")
	}
	if fromBackend(r) {
		return "a request of " + cmp.Or(app, "an app")
	}
	what := "a sign-in"
	if r.Purpose == approval.AddCredential {
		what = "a new passkey"
	}
	switch {
	case name != "":
		return what + " on " + together(name, app)
	case app != "":
		return what + " to " + app
	default:
		return what
	}
}

// together names a device and its app: "Living-room TV (Acme TV)"; "" without a
// device.
func together(name, app string) string {
	if name == "" || app == "" {
		return name
	}
	return name + " (" + app + ")"
}

// line is how one kind of event reads.
type line struct {
	words string // for a request: with the place of its subject
	mark  string
	named bool // the event's detail is a name that belongs to the sentence
}

var requestLines = map[approval.EventName]line{
	approval.EventRequested:    {words: "A device asked for %s"},
	approval.EventOpened:       {words: "You looked at %s"},
	approval.EventOpenedAgain:  {words: "Another phone or browser looked at %s too", mark: web.MarkAlert},
	approval.EventMismatched:   {words: "A wrong number was entered for %s", mark: web.MarkAlert},
	approval.EventApproved:     {words: "You approved %s", mark: web.MarkApproved},
	approval.EventDenied:       {words: "You declined %s", mark: web.MarkDeclined},
	approval.EventCanceled:     {words: "Canceled: %s"},
	approval.EventExpired:      {words: "Nobody answered in time: %s"},
	approval.EventLapsed:       {words: "Approved, but never used: %s"},
	approval.EventRedeemed:     {words: "The device was let in: %s"},
	approval.EventGrantRevoked: {words: "The app took back its code after %s"},
	approval.EventLost:         {words: "The answer got lost on its way, and what was in it is worthless: %s"},
	approval.EventReminted:     {words: "The device was let in at its second try: %s"},
	approval.EventReported:     {words: "You reported %s: it was not you", mark: web.MarkAlert},
}

// backendLines replace the lines where a server asked, and no device.
var backendLines = map[approval.EventName]line{
	approval.EventRequested: {words: "You were asked for your approval: %s"},
	approval.EventRedeemed:  {words: "The app has its answer: %s"},
	approval.EventReminted:  {words: "The app has its answer, at its second try: %s"},
}

// revokedLines are about what was signed in, by why it is not any more.
var revokedLines = map[approval.By]line{
	approval.ByOwner:        {words: "You signed out %s"},
	approval.ByHolder:       {words: "Signed out by itself: %s"},
	approval.ByReuse:        {words: "nod signed out %s: a token was used that had been replaced, so somebody may have a copy", mark: web.MarkAlert},
	approval.ByLost:         {words: "The answer got lost on its way, and what was in it is worthless: %s"},
	approval.ByRecovery:     {words: "A recovery code was used, which signed out %s"},
	approval.ByBackend:      {words: "The app signed out %s"},
	approval.ByUserEnded:    {words: "Your account was switched off, which signed out %s"},
	approval.ByClientEnded:  {words: "The app was removed, which signed out %s"},
	approval.ByPasskeyEnded: {words: "A passkey was deleted, which signed out %s"},
}

// by is an event and what it rests on.
type by struct {
	name   approval.EventName
	detail string
}

// lineBy replaces the line where somebody else, or something else, decided.
var lineBy = map[by]line{
	{approval.EventApproved, string(approval.ByBackend)}:  {words: "The app approved %s", mark: web.MarkApproved},
	{approval.EventDenied, "wrong number"}:                {words: "Declined because of wrong numbers: %s", mark: web.MarkAlert},
	{approval.EventCanceled, string(approval.ByHolder)}:   {words: "The device gave up: %s"},
	{approval.EventCanceled, string(approval.ByBackend)}:  {words: "The app took back %s"},
	{approval.EventCanceled, string(approval.ByOwner)}:    {words: "You took back your approval of %s"},
	{approval.EventCanceled, string(approval.ByRecovery)}: {words: "A recovery code was used, which took back the approval of %s"},
}

var accountLines = map[approval.EventName]line{
	approval.EventSignedIn:        {words: "Signed in to nod with a passkey", named: true},
	approval.EventSessionEnded:    {words: "A browser was signed out of nod", named: true},
	approval.EventSignedOut:       {words: "You signed out of nod in a browser", named: true},
	approval.EventUserCreated:     {words: "Your account was made"},
	approval.EventUserActivated:   {words: "Your account was switched on again"},
	approval.EventUserDeactivated: {words: "Your account was switched off", mark: web.MarkAlert},
	approval.EventInvited:         {words: "An invitation to make a passkey was made"},
	approval.EventPasskeyAdded:    {words: "A passkey was made", named: true},
	approval.EventPasskeyRenamed:  {words: "A passkey was renamed, before it was called", named: true},
	approval.EventPasskeyRevoked:  {words: "A passkey was deleted", named: true, mark: web.MarkAlert},
	approval.EventPasskeySuspect:  {words: "A passkey was suspended, because its counter went backwards", named: true, mark: web.MarkAlert},
	approval.EventRecoveryMade:    {words: "New recovery codes were made, and the old ones do not work any more"},
	approval.EventRecovered:       {words: "A recovery code was used, which signed you out everywhere", mark: web.MarkAlert},
	approval.EventUserCodeSet:     {words: "The code with which apps may ask you was changed"},
	approval.EventPhoneAdded:      {words: "Notifications were switched on", named: true},
	approval.EventPhoneRemoved:    {words: "Notifications were switched off", named: true},
	approval.EventPhoneGone:       {words: "Notifications cannot be delivered any more and were switched off", named: true, mark: web.MarkAlert},
}
