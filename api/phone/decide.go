package phone

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/api/wire"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/web"
	"github.com/nod-auth/nod/webauthn"
)

// reference is a request as a phone names it: how it got there, and the secret
// that belongs to that way.
type reference struct {
	Way    string `json:"way"`
	Secret string `json:"secret"`
}

func referenceTo(r approval.Ref) reference { return reference{string(r.Way), r.Secret.Reveal()} }

func (r reference) ref() approval.Ref {
	return approval.Ref{Way: approval.Way(r.Way), Secret: account.Secret(r.Secret)}
}

// about is the body of a call that carries nothing but a reference.
type about struct {
	Ref reference `json:"ref"`
}

// shown is the card of a phone that is not a browser, and how it names the
// request from now on: a QR code that rotates is exchanged by looking at it.
type shown struct {
	web.Review
	Ref reference `json:"ref"`
}

// inspect gives the card to a phone that is not a browser.
func (f *face) inspect(c *gin.Context, who visitor) error {
	var in about
	if err := wire.Decode(c, wire.BodyLimit, &in); err != nil {
		return err
	}
	ctx := c.Request.Context()
	view, err := f.Service.Inspect(ctx, in.Ref.ref(), who.Viewer)
	if err != nil {
		return err
	}
	now, err := f.Service.Store.Now(ctx)
	if err != nil {
		return err
	}
	switch state := standing(view.Request, now); state {
	case approval.Pending:
		c.JSON(http.StatusOK, shown{f.card(view, who), referenceTo(view.Ref)})
		return nil
	case approval.Expired, approval.Lapsed:
		return approval.ErrExpired
	default:
		return &approval.DecidedError{State: state}
	}
}

// opened tells the waiting side that somebody has the card in front of them. It
// is a call of the page's script, because a GET may come from a preview.
func (f *face) opened(c *gin.Context, who visitor) error {
	var in about
	if err := wire.Decode(c, wire.BodyLimit, &in); err != nil {
		return err
	}
	if _, err := f.Service.Opened(c.Request.Context(), in.Ref.ref(), who.Viewer); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}

// beginApproval judges the number and returns what the passkey has to sign.
func (f *face) beginApproval(c *gin.Context, who visitor) error {
	var in struct {
		about
		Number string `json:"number"`
	}
	if err := wire.Decode(c, wire.BodyLimit, &in); err != nil {
		return err
	}
	options, err := f.Ceremonies.BeginApproval(c.Request.Context(), in.Ref.ref(), who.Viewer, in.Number)
	if err != nil {
		return f.unmatched(c, who, in.Ref.ref(), in.Number, err)
	}
	c.JSON(http.StatusOK, gin.H{"publicKey": options})
	return nil
}

// unmatched tells what is missing, which costs no try, from a wrong number.
func (f *face) unmatched(c *gin.Context, who visitor, ref approval.Ref, given string, err error) error {
	missing, ok := errors.AsType[*approval.MismatchError](err)
	if !ok {
		return err
	}
	view, unseen := f.Service.Inspect(c.Request.Context(), ref, who.Viewer)
	switch {
	case unseen == nil && view.NeedsSeen:
		return &wire.Error{
			Status: http.StatusUnprocessableEntity, Code: codeMessageUnseen, Cause: err,
			Message: "First look whether your device shows the same message, and say so.",
		}
	case strings.TrimSpace(given) == "":
		return &wire.Error{
			Status: http.StatusUnprocessableEntity, Code: codeNumberNeeded, Cause: err,
			Message: "Enter the number that the screen shows.",
			Extra:   map[string]any{"tries_left": missing.Left},
		}
	default:
		return err
	}
}

func (f *face) approve(c *gin.Context, who visitor) error {
	var in struct {
		about
		Credential json.RawMessage `json:"credential"`
	}
	if err := wire.Decode(c, wire.WebAuthnLimit, &in); err != nil {
		return err
	}
	answer, err := credential[webauthn.Assertion](in.Credential)
	if err != nil {
		return err
	}
	decided, err := f.Ceremonies.Approve(c.Request.Context(), in.Ref.ref(), who.Viewer, answer)
	if err != nil {
		return err
	}
	return sayDecided(c, decided)
}

// decline is a plain form and a call. Declining again is no conflict.
func (f *face) decline(c *gin.Context, who visitor) error {
	asForm := !sendsJSON(c)
	ref, err := declined(c, asForm)
	if err != nil {
		return err
	}
	r, err := f.Service.Decide(c.Request.Context(), ref, who.Viewer, approval.Answer{Verdict: approval.Decline})
	if errors.Is(err, approval.ErrDecided) && r.State == approval.Denied {
		err = nil
	}
	switch {
	case err == nil && asForm:
		return seeOther(c, resultPath(r))
	case err == nil:
		return sayDecided(c, r)
	case asForm && r.ID != "" && (errors.Is(err, approval.ErrDecided) || errors.Is(err, approval.ErrExpired)):
		return f.tooLate(c, who, r)
	default:
		return err
	}
}

func declined(c *gin.Context, asForm bool) (approval.Ref, error) {
	if !asForm {
		var in about
		err := wire.Decode(c, wire.BodyLimit, &in)
		return in.Ref.ref(), err
	}
	form, err := readForm(c)
	return reference{Way: form.Get("way"), Secret: form.Get("secret")}.ref(), err
}

func sayDecided(c *gin.Context, r approval.Request) error {
	c.JSON(http.StatusOK, gin.H{"request_id": r.ID, "state": r.State, "redirect": resultPath(r)})
	return nil
}

func resultPath(r approval.Request) string { return "/r/" + r.ID }
