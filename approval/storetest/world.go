package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// world is a store with one of everything in it.
type world struct {
	*testing.T
	Backend
	ctx       context.Context
	start     time.Time // the store's time when the world was made
	namespace account.Namespace
	client    account.Client
	user      account.User
	passkey   account.Passkey
}

func newWorld(t *testing.T, b Backend) *world {
	w := &world{T: t, Backend: b, ctx: t.Context()}
	w.start = w.now()
	w.namespace = account.Namespace{ID: "0123456789abcdef", Name: "default", CreatedAt: w.start}
	w.client = w.newClient()
	w.user = w.newUser("ada")
	w.passkey = w.newPasskey(w.user)
	w.do(approval.AddNamespace{Namespace: w.namespace}, approval.AddClient{Client: w.client},
		approval.AddUser{User: w.user}, approval.AddPasskey{Passkey: w.passkey})
	return w
}

func (w *world) now() time.Time {
	w.Helper()
	now, err := w.Now(w.ctx)
	if err != nil {
		w.Fatalf("Now = %v", err)
	}
	return now
}

// needAdvance skips a case on a backend whose clock cannot be moved.
func (w *world) needAdvance() {
	if w.Advance == nil {
		w.Skip("this backend's clock cannot be moved")
	}
}

func id() string { return uuid.NewString() }

// hash is a hash of something that is used nowhere else.
func hash() []byte {
	h := sha256.Sum256([]byte(id()))
	return h[:]
}

func (w *world) newClient() account.Client {
	return account.Client{
		ID: id(), NamespaceID: w.namespace.ID, Name: "Acme TV", Type: account.ClientManagement,
		Scopes:  []account.Scope{account.CodesGenerate, account.CodesAuthorize},
		Origins: []string{"https://tv.example", "http://localhost:3000"}, RequireWaitToken: true,
		Match: account.MatchType, Notify: true, RotateQR: true, Issuer: "https://id.example", CreatedAt: w.start,
	}
}

func (w *world) newUser(name string) account.User {
	return account.User{
		ID: id(), NamespaceID: w.namespace.ID, ClientID: w.client.ID, Username: name,
		Status: account.UserActive, CreatedAt: w.start, UpdatedAt: w.start,
	}
}

func (w *world) newPasskey(of account.User) account.Passkey {
	return account.Passkey{
		ID: id(), UserID: of.ID, CredentialID: hash(), PublicKey: []byte("cose"), SignCount: 7, AAGUID: []byte("0123456789abcdef"),
		Transports: []string{"internal", "hybrid"}, BackupEligible: true, Attestation: "none",
		Status: account.PasskeyActive, Name: "Phone", CreatedAt: w.start, UpdatedAt: w.start, RequestID: id(), VouchedBy: id(),
	}
}

// newOAuthClient is one of the standard faces.
func (w *world) newOAuthClient() account.Client {
	c := w.newClient()
	c.Type, c.Match = account.ClientOAuth, account.MatchMessage
	c.OAuth = &account.OAuth{
		Grants: []account.GrantType{account.GrantDeviceCode, account.GrantCIBA}, Auth: account.AuthPost, SecretHash: hash(), Relaxed: true,
		Hold: account.DefaultHold, Scopes: []account.ScopeText{{Scope: "tv.watch", Says: "watch films & more"}}, IDTokenAlg: "RS256",
		Audience: "https://api.example", NoComplete: true, RequireDPoP: true,
		DeviceCodeLife: time.Minute, BackchannelLife: 2 * time.Minute, AccessLife: 3 * time.Minute, IDTokenLife: 4 * time.Minute, RefreshIdle: 5 * time.Hour,
		Delivery: account.DeliverPing, Notification: "https://rp.example/ping?a=1&b=2", NeedUserCode: true, SignedOnly: true, Callback: "https://kc.example/cb",
	}
	return c
}

// newDevice is one that the world's user let in, good for two months: longer than it
// is kept after it was last seen.
func (w *world) newDevice() account.Device {
	now := w.now()
	return account.Device{
		ID: id(), Version: 1, NamespaceID: w.namespace.ID, ClientID: w.client.ID, UserID: w.user.ID, RequestID: id(), PasskeyID: w.passkey.ID,
		Username: w.user.Username, Name: "TV “Küche”", Place: "Berlin, Germany", Address: "2001:db8::1", Scopes: []string{"openid", "offline_access"},
		App: w.client.Name, Kind: account.DeviceScreen, Agent: "Mozilla/5.0", CollectedFrom: "192.0.2.8",
		ApprovedBy: "passkey", ApprovedWith: w.passkey.Name, ApprovedVia: "scanned",
		Details: []byte(`[{"type":"pay","to":"<Bob> & co"}]`), JKT: "thumbprint", AMR: []string{"pop", "user"}, ACR: "phr",
		AuthTime: now, CreatedAt: now, SeenAt: now, Expires: now.Add(2 * account.KeepDevice), Generation: 1,
	}
}

// moving is the change of a device to its next version.
func moving(d account.Device, change func(d *account.Device)) (approval.SetDevice, account.Device) {
	next := d
	next.Version++
	change(&next)
	return approval.SetDevice{From: d.Version, Is: next}, next
}

// newRequest is a question to the world's user that lives three minutes.
func (w *world) newRequest() approval.Request {
	now := w.now()
	return approval.Request{
		ID: id(), Face: "native", NamespaceID: w.namespace.ID, ClientID: w.client.ID, Purpose: approval.SignIn,
		Context: approval.Context{
			App: w.client.Name, Username: w.user.Username, DeviceName: "TV “Küche”", Address: "2001:db8::1",
			Scopes:  []account.ScopeText{{Scope: "openid", Says: "know who you are"}},
			Details: []byte(`[{"type":"pay","to":"<Bob> & co","note":"` + "\u2028" + `"}]`), // byte for byte: it is signed
		},
		Audience: w.client.ID, TokenNeeded: true, UserID: w.user.ID, Match: account.MatchPick,
		CodeKind: approval.Short, CodeHash: hash(), TypedHash: hash(), HandleHash: hash(), AnswerTo: []byte("sealed"), CreatedAt: now, Expires: now.Add(3 * time.Minute),
	}
}

// step is the change that moves r to a state, with its audit row.
func step(r approval.Request, to approval.State, name approval.EventName) approval.Change {
	next := r
	next.State = to
	next.Version++
	return approval.Change{
		Op: approval.NewOp(), Request: &next, From: r.Version,
		Event: approval.Event{
			Name: name, NamespaceID: r.NamespaceID, RequestID: r.ID, Version: next.Version,
			UserID: r.UserID, ClientID: r.ClientID, Address: "192.0.2.1", Detail: string(to),
		},
	}
}

func (w *world) creating(r approval.Request) approval.Change {
	c := step(r, approval.Pending, approval.EventRequested)
	c.Needs = approval.Needs{UserID: r.UserID, ClientIDs: []string{r.ClientID}}
	return c
}

func (w *world) approving(r approval.Request) approval.Change {
	c := step(r, approval.Approved, approval.EventApproved)
	c.Request.UserID = w.user.ID
	c.Request.Decision = &approval.Decision{
		By: approval.ByPasskey, Way: approval.Typed, UserID: w.user.ID, PasskeyID: w.passkey.ID, PasskeyName: w.passkey.Name,
		At: w.now(), Matched: true,
	}
	c.Before = r.Expires
	c.Needs = approval.Needs{UserID: w.user.ID, PasskeyID: w.passkey.ID, ClientIDs: []string{r.ClientID}}
	return c
}

func (w *world) redeeming(r approval.Request) approval.Change {
	now := w.now()
	c := step(r, approval.Redeemed, approval.EventRedeemed)
	c.Request.Grant = &approval.Grant{
		JTI: id(), SID: id(), KID: "k1", Audience: w.client.ID, Subject: w.user.ID, Username: w.user.Username,
		IssuedAt: now, Expires: now.Add(10 * time.Minute), AuthTime: now, AMR: []string{"hwk", "user"}, ACR: "phr", Address: "192.0.2.7",
		JKT: r.JKT, Offline: true,
	}
	c.Before = r.Expires.Add(approval.CollectGrace)
	c.Needs = approval.Needs{UserID: w.user.ID, PasskeyID: w.passkey.ID, ClientIDs: []string{r.ClientID}}
	return c
}

// revoking takes the grant of a redeemed request back.
func (w *world) revoking(r approval.Request) approval.Change {
	c := step(r, approval.Redeemed, approval.EventGrantRevoked)
	g := *r.Grant
	g.RevokedAt = w.now()
	c.Request.Grant = &g
	return c
}

// apply applies changes that must succeed and returns what the last one's
// request became.
func (w *world) apply(changes ...approval.Change) approval.Request {
	w.Helper()
	if err := w.Apply(w.ctx, changes...); err != nil {
		w.Fatalf("Apply = %v", err)
	}
	if r := changes[len(changes)-1].Request; r != nil {
		return *r
	}
	return approval.Request{}
}

// refuse applies changes that must fail with a word.
func (w *world) refuse(word error, changes ...approval.Change) {
	w.Helper()
	if err := w.Apply(w.ctx, changes...); !errors.Is(err, word) {
		w.Errorf("Apply = %v, want %v", err, word)
	}
}

func effects(es ...approval.Effect) approval.Change {
	return approval.Change{Op: approval.NewOp(), Effects: es}
}

func (w *world) do(es ...approval.Effect) { w.Helper(); w.apply(effects(es...)) }

func (w *world) dont(word error, es ...approval.Effect) { w.Helper(); w.refuse(word, effects(es...)) }

// request makes and stores a request.
func (w *world) request() approval.Request { w.Helper(); return w.apply(w.creating(w.newRequest())) }

func (w *world) find(id string) approval.Request {
	w.Helper()
	r, err := w.Find(w.ctx, approval.Key{ID: id})
	if err != nil {
		w.Fatalf("Find %s = %v", id, err)
	}
	return r
}

// events counts the world's user's audit rows by name.
func (w *world) events() map[approval.EventName]int {
	w.Helper()
	es, err := w.Events(w.ctx, w.user.ID, 1_000_000)
	if err != nil {
		w.Fatalf("Events = %v", err)
	}
	out := map[approval.EventName]int{}
	for _, e := range es {
		out[e.Name]++
	}
	return out
}

// same fails when two values differ; no bytes and nil bytes are the same.
func (w *world) same(what string, got, want any) {
	w.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		w.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// is fails unless the error is the word; a nil word is success.
func (w *world) is(what string, got, want error) {
	w.Helper()
	if !errors.Is(got, want) {
		w.Errorf("%s = %v, want %v", what, got, want)
	}
}

// value is for calls that must succeed.
func value[T any](w *world, what string) func(T, error) T {
	return func(v T, err error) T {
		w.Helper()
		if err != nil {
			w.Fatalf("%s = %v", what, err)
		}
		return v
	}
}

// together runs do n times at the same moment and counts the outcomes, by error
// word; nil is success.
func (w *world) together(n int, do func(i int) error) map[error]int {
	w.Helper()
	var (
		wg       sync.WaitGroup
		mu       sync.Mutex
		gate     = make(chan struct{})
		outcomes = map[error]int{}
	)
	for i := range n {
		wg.Go(func() {
			<-gate
			err := word(do(i))
			mu.Lock()
			defer mu.Unlock()
			outcomes[err]++
		})
	}
	close(gate)
	wg.Wait()
	return outcomes
}

// word reduces an error to the sentinel it matches.
func word(err error) error {
	for _, w := range append([]error{approval.ErrConflict}, approval.Words...) {
		if errors.Is(err, w) {
			return w
		}
	}
	if err != nil {
		return fmt.Errorf("no word: %w", err)
	}
	return nil
}
