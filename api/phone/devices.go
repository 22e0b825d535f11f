package phone

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/web"
)

const (
	// endedFor is how long the page shows what was signed out: long enough for whoever
	// did it to see that it worked, and for others to notice it.
	endedFor = 24 * time.Hour
	// maxDevices is how many of each the page shows, newest first.
	maxDevices = 200
)

// devices shows what is signed in as the visitor.
func (f *face) devices(c *gin.Context, who visitor) error {
	ctx := c.Request.Context()
	found, err := f.Directory.Devices(ctx, who.User)
	if err != nil {
		return err
	}
	frame, err := f.frame(ctx, who)
	if err != nil {
		return err
	}
	page := web.DevicesPage{Frame: frame}
	var stand, ended []account.Device
	for _, d := range found {
		switch {
		case d.RevokedAt.IsZero() && frame.Now.Before(d.KeepUntil()):
			stand = append(stand, d)
		case d.RevokedBy != string(approval.ByLost) && frame.Now.Before(d.RevokedAt.Add(endedFor)):
			ended = append(ended, d)
		}
	}
	slices.SortStableFunc(ended, func(a, b account.Device) int { return b.RevokedAt.Compare(a.RevokedAt) })
	if page.Devices, err = f.deviceLines(ctx, stand); err != nil {
		return err
	}
	if page.Ended, err = f.deviceLines(ctx, ended); err != nil {
		return err
	}
	if page.Sessions, err = f.sessionLines(ctx, who, frame.Now); err != nil {
		return err
	}
	return f.show(c, http.StatusOK, page)
}

// deviceLines puts devices into words. Clients are read one by one, because there are
// few, for what their scopes allow.
func (f *face) deviceLines(ctx context.Context, found []account.Device) ([]web.Device, error) {
	clients := map[string]account.Client{}
	var lines []web.Device
	for _, d := range found[:min(len(found), maxDevices)] {
		client, known := clients[d.ClientID]
		if !known {
			var err error
			if client, err = f.Accounts.Client(ctx, d.ClientID); err != nil && !errors.Is(err, approval.ErrNotFound) {
				return nil, fmt.Errorf("find client: %w", err)
			}
			clients[d.ClientID] = client
		}
		lines = append(lines, f.deviceLine(d, client))
	}
	return lines, nil
}

func (f *face) deviceLine(d account.Device, c account.Client) web.Device {
	address := cmp.Or(d.Address, collectedBySelf(d))
	line := web.Device{
		ID: d.ID, Kind: string(d.Kind), Name: cmp.Or(d.Name, software(d.Agent)), AppName: cmp.Or(d.App, c.Name),
		Place: cmp.Or(d.Place, f.Service.Place(address).Name), Address: address,
		SignedInAt: d.CreatedAt, SeenAt: d.LastSeen(), How: howApproved(d),
		EndedAt: d.RevokedAt, Why: whyEnded[approval.By(d.RevokedBy)],
	}
	for _, name := range d.Scopes {
		scope := web.Scope{Scope: name}
		if c.OAuth != nil {
			if i := slices.IndexFunc(c.OAuth.Scopes, func(s account.ScopeText) bool { return s.Scope == name }); i >= 0 {
				scope.Says = c.OAuth.Scopes[i].Says
			}
		}
		line.Scopes = append(line.Scopes, scope)
	}
	return line
}

// collectedBySelf is the address of what is signed in, where it collected by itself; a
// server's says nothing about the person.
func collectedBySelf(d account.Device) string {
	if d.Kind == account.DeviceServer {
		return ""
	}
	return d.CollectedFrom
}

// ways are how the phone got to a request, as a phrase after "approved with a passkey".
var ways = map[approval.Way]string{
	approval.Scanned: ", by QR code or link",
	approval.Typed:   ", by the code it showed",
	approval.Pushed:  ", by notification",
	approval.Listed:  ", from the list of requests",
}

func howApproved(d account.Device) string {
	switch approval.By(d.ApprovedBy) {
	case approval.ByPasskey:
		with := "With your passkey"
		if d.ApprovedWith != "" {
			with += " “" + d.ApprovedWith + "”"
		}
		if d.Kind == account.DevicePage {
			return with + ", on the app's own page"
		}
		return with + ways[approval.Way(d.ApprovedVia)]
	case approval.ByBackend:
		if d.ApprovedWith != "" {
			return "Not by you: by " + d.ApprovedWith
		}
		return "Not by you: by the app"
	default:
		return ""
	}
}

// whyEnded are phrases after "Signed out".
var whyEnded = map[approval.By]string{
	approval.ByOwner:    "by you",
	approval.ByHolder:   "by itself",
	approval.ByReuse:    "by nod: a token was used that had been replaced, so somebody may have a copy",
	approval.ByBackend:  "by the app",
	approval.ByRecovery: "with a recovery code",
}

// sessionLines lists the browsers that are signed in, the visitor's first.
func (f *face) sessionLines(ctx context.Context, who visitor, now time.Time) ([]web.Session, error) {
	found, err := f.liveSessions(ctx, who, now)
	if err != nil {
		return nil, err
	}
	lines := make([]web.Session, 0, len(found))
	for _, s := range found[:min(len(found), maxDevices)] {
		line := web.Session{
			ID: phoneOf(s), Name: s.Name, Address: s.Address, Place: f.Service.Place(s.Address).Name,
			SignedInAt: s.CreatedAt, LastUsed: s.SeenAt, Current: phoneOf(s) == who.Phone,
		}
		if line.Current {
			line.LastUsed = now
			lines = slices.Insert(lines, 0, line)
			continue
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// liveSessions are those that would let somebody in.
func (f *face) liveSessions(ctx context.Context, who visitor, now time.Time) ([]account.Session, error) {
	passkeys, err := f.Accounts.Passkeys(ctx, who.User.ID)
	if err != nil {
		return nil, fmt.Errorf("list passkeys: %w", err)
	}
	found, err := f.Accounts.Sessions(ctx, who.User.ID)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	return slices.DeleteFunc(found, func(s account.Session) bool {
		works := func(p account.Passkey) bool { return p.ID == s.PasskeyID && p.Status == account.PasskeyActive }
		return !s.Live(now) || !slices.ContainsFunc(passkeys, works)
	}), nil
}

func revoker(who visitor) approval.Revoker {
	return approval.Revoker{By: approval.ByOwner, Address: who.Address}
}

// revokeDevices signs out the devices that the form names and leads back to where it
// stood. One that had ended is no error: it is what was wanted.
func (f *face) revokeDevices(c *gin.Context, who visitor) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	ids := form["device"]
	if len(ids) == 0 || len(ids) > maxDevices {
		return &wire.Error{Status: http.StatusUnprocessableEntity, Code: codeInvalid, Message: "Nothing was named that could be signed out."}
	}
	if _, err := f.Directory.RevokeDevices(c.Request.Context(), who.User, ids, revoker(who)); err != nil {
		return err
	}
	return seeOther(c, nextOf(form, "/devices"))
}

// nextOf is where a form leads on to, among our own paths.
func nextOf(form url.Values, otherwise string) string {
	if next := form.Get("next"); next != "" {
		return web.LocalPath(next)
	}
	return otherwise
}

// revokeAll signs out everything but the browser it is asked from.
func (f *face) revokeAll(c *gin.Context, who visitor) error {
	ctx := c.Request.Context()
	if _, err := readForm(c); err != nil {
		return err
	}
	here, err := f.session(ctx, who, who.Phone)
	if err != nil {
		return err
	}
	if _, err := f.Directory.SignOutEverywhere(ctx, who.User, revoker(who), here.Hash); err != nil {
		return err
	}
	return seeOther(c, "/devices")
}

// endSession signs another browser out. One that had ended is no error.
func (f *face) endSession(c *gin.Context, who visitor) error {
	ctx := c.Request.Context()
	if _, err := readForm(c); err != nil {
		return err
	}
	other, err := f.session(ctx, who, c.Param("id"))
	if err == nil {
		err = f.Directory.EndSession(ctx, who.User, other, revoker(who))
	}
	if err != nil && !errors.Is(err, approval.ErrNotFound) {
		return err
	}
	return seeOther(c, "/devices")
}

// session finds a session of the visitor's by the name that pages know it by.
func (f *face) session(ctx context.Context, who visitor, id string) (account.Session, error) {
	found, err := f.Accounts.Sessions(ctx, who.User.ID)
	if err != nil {
		return account.Session{}, fmt.Errorf("list sessions: %w", err)
	}
	i := slices.IndexFunc(found, func(s account.Session) bool { return phoneOf(s) == id })
	if i < 0 {
		return account.Session{}, fmt.Errorf("find session: %w", approval.ErrNotFound)
	}
	return found[i], nil
}
