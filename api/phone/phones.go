package phone

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/web"
)

const (
	// registersPerMinute is far above a browser that registers at each visit.
	registersPerMinute = 30
	// testsPerMinute bounds what somebody can make this server send to a provider.
	testsPerMinute = 5
	// testWithin is how long a provider may take to answer a test, see Push.
	testWithin = 10 * time.Second
)

func (f *face) offline(c *gin.Context) error { return f.show(c, http.StatusOK, web.OfflinePage{}) }

func (f *face) notifications(c *gin.Context, who visitor) error {
	return f.showNotifications(c, who, web.NotificationsPage{})
}

// showNotifications fills the page around what has just been done or refused.
func (f *face) showNotifications(c *gin.Context, who visitor, page web.NotificationsPage) error {
	ctx := c.Request.Context()
	found, err := f.Accounts.Phones(ctx, who.User.ID)
	if err != nil {
		return fmt.Errorf("list phones: %w", err)
	}
	if page.MutedUntil, err = f.Service.Muted(ctx, who.User.ID); err != nil {
		return err
	}
	if page.Frame, err = f.frame(ctx, who); err != nil {
		return err
	}
	page.Phones, page.PushKey = phoneLines(found), f.pushKey()
	return f.show(c, http.StatusOK, page)
}

// pushKey is "" where this server sends nothing to browsers.
func (f *face) pushKey() string {
	if f.Push == nil {
		return ""
	}
	return f.Push.Key()
}

func phoneLine(p account.Phone) web.Phone {
	return web.Phone{
		ID: p.ID, Kind: string(p.Kind), Name: p.Name, CreatedAt: p.CreatedAt, ReachedAt: p.ReachedAt, Fault: p.Fault,
	}
}

func phoneLines(found []account.Phone) []web.Phone {
	lines := make([]web.Phone, len(found)) // [] and not null
	for i, p := range found {
		lines[i] = phoneLine(p)
	}
	return lines
}

// phones tells a script what the page tells a person, and what a phone needs to
// register.
func (f *face) phones(c *gin.Context, who visitor) error {
	ctx := c.Request.Context()
	found, err := f.Accounts.Phones(ctx, who.User.ID)
	if err != nil {
		return fmt.Errorf("list phones: %w", err)
	}
	muted, err := f.Service.Muted(ctx, who.User.ID)
	if err != nil {
		return err
	}
	kinds := []account.PhoneKind{}
	if f.Push != nil {
		kinds = append(kinds, f.Push.Kinds()...)
	}
	c.JSON(http.StatusOK, struct {
		Phones     []web.Phone         `json:"phones"`
		PushKey    string              `json:"push_key"`
		Kinds      []account.PhoneKind `json:"kinds"`
		MutedUntil time.Time           `json:"muted_until,omitzero"`
	}{phoneLines(found), f.pushKey(), kinds, muted})
	return nil
}

// phoneBody says where the visitor's phone is reached, in the member of its kind.
type phoneBody struct {
	Kind         account.PhoneKind `json:"kind"`
	Name         string            `json:"name"`
	Subscription json.RawMessage   `json:"subscription"`
	Token        string            `json:"token"`
}

// target is where the phone is reached. A session proves who holds a phone, but
// not whose a mailbox is: that takes a backend's word, on the native face.
func (b phoneBody) target() (account.Secret, error) {
	field, text := "subscription", string(b.Subscription)
	switch b.Kind {
	case account.PhoneWebPush:
	case account.PhoneFCM:
		field, text = "token", b.Token
	case account.PhoneEmail:
		return "", &wire.Error{
			Status: http.StatusForbidden, Code: codeForbidden,
			Message: "An e-mail address is registered by the app that you use, because it knows that it is yours.",
		}
	default:
		return "", &approval.InvalidError{Field: "kind", Reason: "must be webpush or fcm"}
	}
	if text == "" || text == "null" {
		return "", &approval.InvalidError{Field: field, Reason: "is missing"}
	}
	return account.Secret(text), nil
}

func (f *face) registerPhone(c *gin.Context, who visitor) error {
	if err := f.paceOwner(c, who, "phones", registersPerMinute); err != nil {
		return err
	}
	var in phoneBody
	if err := wire.Decode(c, wire.BodyLimit, &in); err != nil {
		return err
	}
	target, err := in.target()
	if err != nil {
		return err
	}
	phone := approval.NewPhone{Kind: in.Kind, Target: target, Name: cmp.Or(in.Name, phoneName(c.Request.UserAgent()))}
	p, err := f.Directory.RegisterPhone(c.Request.Context(), who.User, phone, who.Address)
	if errors.Is(err, approval.ErrTooMany) {
		return tooManyPhones(err)
	}
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, gin.H{"phone": phoneLine(p)})
	return nil
}

func tooManyPhones(cause error) error {
	return &wire.Error{
		Status: http.StatusConflict, Code: codePhones, Cause: cause,
		Message: fmt.Sprintf("Notifications go to %d phones and browsers at most. Remove one that you do not use any more.", account.MaxPhones),
	}
}

// removePhone is a plain form and a call.
func (f *face) removePhone(c *gin.Context, who visitor) error {
	if err := f.Directory.RemovePhone(c.Request.Context(), who.User, c.Param("id"), who.Address); err != nil {
		return err
	}
	if sendsJSON(c) {
		c.Status(http.StatusNoContent)
		return nil
	}
	return seeOther(c, "/notifications")
}

// testPhone is a plain form and a call. It waits for the provider's answer, so the
// body, in which there is nothing, is read to its end first.
func (f *face) testPhone(c *gin.Context, who visitor) error {
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(c.Writer, c.Request.Body, wire.BodyLimit)); err != nil {
		return &wire.Error{Status: http.StatusBadRequest, Code: codeInvalid, Message: "This call needs no body.", Cause: err}
	}
	p, err := f.Directory.PhoneOf(c.Request.Context(), who.User, c.Param("id"))
	if err != nil {
		return err
	}
	if err := f.paceOwner(c, who, "test", testsPerMinute); err != nil {
		return err
	}
	answer, sent := "This server sends no notifications. Whoever runs it can switch them on.", false
	if f.Push != nil {
		wire.Held(c, testWithin)
		answer, sent = f.Push.Test(c.Request.Context(), p)
	}
	if sent {
		reached := approval.Change{Op: approval.NewOp(), Effects: []approval.Effect{approval.NotePhone{ID: p.ID}}}
		if err := f.Directory.Record(c.Request.Context(), reached); err != nil {
			return err
		}
	}
	switch {
	case sendsJSON(c):
		c.JSON(http.StatusOK, gin.H{"sent": sent, "answer": answer})
		return nil
	case sent:
		return f.showNotifications(c, who, web.NotificationsPage{Notice: answer})
	default:
		return f.showNotifications(c, who, web.NotificationsPage{Error: answer})
	}
}
