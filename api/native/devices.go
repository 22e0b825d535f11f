package native

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// devicePart is something that is signed in, as this face shows it. Active says what an
// application that keeps somebody signed in by itself needs to know: that nobody has
// signed it out, and the user may take part. ExpiresAt is when what nod gave it ends.
type devicePart struct {
	ID            string             `json:"id"` // the sid of its tokens
	RequestID     string             `json:"request_id"`
	ClientID      string             `json:"client_id"`
	Kind          account.DeviceKind `json:"kind,omitempty"`
	App           string             `json:"app,omitempty"`
	Name          string             `json:"name,omitempty"`
	Place         string             `json:"place,omitempty"`
	Address       string             `json:"address,omitempty"`
	CollectedFrom string             `json:"collected_from,omitempty"`
	Scopes        []string           `json:"scopes"`
	ApprovedBy    string             `json:"approved_by,omitempty"`
	ApprovedVia   string             `json:"approved_via,omitempty"`
	PasskeyID     string             `json:"passkey_id,omitempty"`
	CreatedAt     time.Time          `json:"created_at"`
	SeenAt        time.Time          `json:"seen_at"`
	ExpiresAt     time.Time          `json:"expires_at"`
	RevokedAt     time.Time          `json:"revoked_at,omitzero"`
	RevokedBy     string             `json:"revoked_by,omitempty"`
	Active        bool               `json:"active"`
}

func deviceFrom(d account.Device, u account.User) devicePart {
	return devicePart{
		ID: d.ID, RequestID: d.RequestID, ClientID: d.ClientID, Kind: d.Kind, App: d.App, Name: d.Name,
		Place: d.Place, Address: d.Address, CollectedFrom: d.CollectedFrom, Scopes: append([]string{}, d.Scopes...),
		ApprovedBy: d.ApprovedBy, ApprovedVia: d.ApprovedVia, PasskeyID: d.PasskeyID,
		CreatedAt: d.CreatedAt, SeenAt: d.LastSeen(), ExpiresAt: d.Expires,
		RevokedAt: d.RevokedAt, RevokedBy: d.RevokedBy, Active: d.RevokedAt.IsZero() && u.Active(),
	}
}

// devicesBody says whose devices, and which.
type devicesBody struct {
	party
	Device struct {
		ID string `json:"id"`
	} `json:"device"`
	RequestID string `json:"request_id"`
	All       bool   `json:"all"`
}

// check wants at most one way to say which, and n of them at least.
func (b devicesBody) check(n int) error {
	var named int
	for field, id := range map[string]string{"device.id": b.Device.ID, "request_id": b.RequestID} {
		if id == "" {
			continue
		}
		named++
		if err := identifier(field, id); err != nil {
			return err
		}
	}
	if b.All {
		named++
	}
	if named < n || named > 1 {
		return invalid("device", "or request_id, or all must say which")
	}
	return nil
}

// means says whether the device is among those that the body is about.
func (b devicesBody) means(d account.Device) bool {
	switch {
	case b.Device.ID != "":
		return d.ID == canonical(b.Device.ID)
	case b.RequestID != "":
		return d.RequestID == canonical(b.RequestID)
	default:
		return true
	}
}

// deviceList is the reply of both calls.
type deviceList struct {
	UserID  string       `json:"user_id"`
	Devices []devicePart `json:"devices"`
}

// devicesOf reads what the body is about, as it stands now.
func (f *face) devicesOf(ctx context.Context, u account.User, in devicesBody) (deviceList, error) {
	found, err := f.Directory.Devices(ctx, u)
	out := deviceList{u.ID, []devicePart{}} // [] and not null
	for _, d := range found {
		if in.means(d) {
			out.Devices = append(out.Devices, deviceFrom(d, u))
		}
	}
	return out, err
}

func (f *face) listDevices(c *gin.Context, who *caller, in devicesBody) (any, error) {
	ctx := c.Request.Context()
	if err := in.check(0); err != nil {
		return nil, err
	}
	u, err := f.known(ctx, who, in.party)
	if err != nil {
		return nil, err
	}
	list, err := f.devicesOf(ctx, u, in)
	if err == nil {
		err = f.spend(ctx, who)
	}
	if err != nil {
		return nil, err
	}
	// Who asks about one keeps somebody signed in by it; who lists them all only looks.
	if one := list.Devices; in.Device.ID != "" && len(one) == 1 && one[0].Active {
		f.Service.Used(ctx, one[0].ID, one[0].SeenAt)
	}
	return list, nil
}

// revokeDevices answers alike for somebody else's device and for none. What was
// signed out before is no error, so that a call can be made again.
func (f *face) revokeDevices(c *gin.Context, who *caller, in devicesBody) (any, error) {
	ctx := c.Request.Context()
	if err := in.check(1); err != nil {
		return nil, err
	}
	u, err := f.known(ctx, who, in.party)
	if err != nil {
		return nil, err
	}
	by := approval.Revoker{By: approval.ByBackend, Address: who.address}
	switch {
	case in.All:
		_, err = f.Directory.RevokeAllDevices(ctx, u, by, who.nonce...)
	case in.RequestID != "":
		err = f.takeBack(ctx, u, canonical(in.RequestID), by, who)
	default:
		_, err = f.Directory.RevokeDevices(ctx, u, []string{canonical(in.Device.ID)}, by, who.nonce...)
	}
	if err != nil {
		return nil, instead(instead(err, approval.ErrNotFound, deviceNotFound), approval.ErrDecided, deviceNotFound)
	}
	return f.devicesOf(ctx, u, in)
}

// takeBack ends what one approval led to: its device, or while nobody has collected,
// the approval itself. Devices are kept longer than requests.
func (f *face) takeBack(ctx context.Context, u account.User, requestID string, by approval.Revoker, who *caller) error {
	if err := f.spend(ctx, who); err != nil {
		return err
	}
	_, err := f.Service.TakeBack(ctx, requestID, u, by)
	if !errors.Is(err, approval.ErrNotFound) {
		return err
	}
	all, listed := f.Directory.Devices(ctx, u)
	if listed != nil {
		return listed
	}
	i := slices.IndexFunc(all, func(d account.Device) bool { return d.RequestID == requestID })
	if i < 0 {
		return err
	}
	_, err = f.Directory.RevokeDevices(ctx, u, []string{all[i].ID}, by)
	return err
}
