package native

import (
	"context"
	"encoding/json"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// phonePart is a phone as this face shows it. Where it is reached is told to
// nobody.
type phonePart struct {
	ID        string            `json:"id"`
	Kind      account.PhoneKind `json:"kind"`
	Name      string            `json:"name"`
	CreatedAt time.Time         `json:"created_at"`
	ReachedAt time.Time         `json:"reached_at,omitzero"`
	Fault     string            `json:"fault,omitempty"`
}

func phoneFrom(p account.Phone) phonePart {
	return phonePart{p.ID, p.Kind, p.Name, p.CreatedAt, p.ReachedAt, p.Fault}
}

// phoneReply is the reply of a change to one phone.
type phoneReply struct {
	UserID string    `json:"user_id"`
	Phone  phonePart `json:"phone"`
}

// phoneBody says where a phone is reached, in the member of its kind.
type phoneBody struct {
	party
	Kind         account.PhoneKind `json:"kind"`
	Name         string            `json:"name"`
	Subscription json.RawMessage   `json:"subscription"`
	Token        string            `json:"token"`
	Address      string            `json:"address"`
}

// target is where the phone is reached. Whether that is a place this server goes
// to is not for this face to say.
func (b phoneBody) target() (account.Secret, error) {
	var field, text string
	switch b.Kind {
	case "":
		return "", missing("kind")
	case account.PhoneWebPush:
		field, text = "subscription", string(b.Subscription)
	case account.PhoneFCM:
		field, text = "token", b.Token
	case account.PhoneEmail:
		field, text = "address", b.Address
	default:
		return "", invalid("kind", "must be webpush, fcm or email")
	}
	if text == "" || text == "null" {
		return "", missing(field)
	}
	return account.Secret(text), nil
}

// phonesOf finds the user whose phones a call is about. The client's word in the
// body is not enough: whoever signed must have meant this user.
func (f *face) phonesOf(ctx context.Context, who *caller, p party) (account.User, error) {
	if !who.vouches() {
		return account.User{}, forbidden("The service token must name the user: username, udata or user_id.")
	}
	return f.known(ctx, who, p)
}

func (f *face) registerPhone(c *gin.Context, who *caller, in phoneBody) (any, error) {
	target, err := in.target()
	if err != nil {
		return nil, err
	}
	u, err := f.phonesOf(c.Request.Context(), who, in.party)
	if err != nil {
		return nil, err
	}
	phone := approval.NewPhone{Kind: in.Kind, Target: target, Name: in.Name}
	p, err := f.Directory.RegisterPhone(c.Request.Context(), u, phone, who.address, who.nonce...)
	return phoneReply{u.ID, phoneFrom(p)}, instead(err, approval.ErrTooMany, tooManyPhones)
}

func (f *face) listPhones(c *gin.Context, who *caller, in userBody) (any, error) {
	ctx := c.Request.Context()
	u, err := f.phonesOf(ctx, who, in.party)
	if err != nil {
		return nil, err
	}
	found, err := f.Accounts.Phones(ctx, u.ID)
	if err != nil {
		return nil, err
	}
	list := make([]phonePart, len(found)) // [] and not null
	for i, p := range found {
		list[i] = phoneFrom(p)
	}
	return struct {
		UserID string      `json:"user_id"`
		Phones []phonePart `json:"phones"`
	}{u.ID, list}, f.spend(ctx, who)
}

type phoneRefBody struct {
	party
	Phone struct {
		ID string `json:"id"`
	} `json:"phone"`
}

// removePhone answers alike for somebody else's phone and for none.
func (f *face) removePhone(c *gin.Context, who *caller, in phoneRefBody) (any, error) {
	ctx := c.Request.Context()
	if err := identifier("phone.id", in.Phone.ID); err != nil {
		return nil, err
	}
	u, err := f.phonesOf(ctx, who, in.party)
	if err != nil {
		return nil, err
	}
	p, err := f.Directory.PhoneOf(ctx, u, canonical(in.Phone.ID))
	if err == nil {
		err = f.Directory.RemovePhone(ctx, u, p.ID, who.address, who.nonce...)
	}
	return phoneReply{u.ID, phoneFrom(p)}, instead(err, approval.ErrNotFound, phoneNotFound)
}
