package oauth_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/localbus"
	"github.com/nod-auth/nod/approval/sqlstore"
	"github.com/nod-auth/nod/approval/sqlstore/freshdb"
	"github.com/nod-auth/nod/push"
)

// bank is a house with a backend that asks people by CIBA, and package push, which
// tells it of verdicts.
type bank struct {
	*apitest.House
	ahead  atomic.Int64
	store  *sqlstore.Store
	push   *push.Push
	client account.Client
	secret account.Secret
	key    *ecdsa.PrivateKey
	ada    account.User
}

// openBank opens the house. The backend is one for client_secret_basic with a key for
// what it signs; change may make another one of it.
func openBank(t *testing.T, change ...func(*account.Client)) *bank {
	t.Helper()
	b := &bank{secret: account.NewSecret()}
	now := func() time.Time { return time.Now().Add(time.Duration(b.ahead.Load())) }
	var err error
	b.store, err = sqlstore.Open(t.Context(), freshdb.File(t), sqlstore.WithClock(now))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.store.Close() })
	codes, err := approval.NewCodes(bytes.Repeat([]byte{2}, 32)) // as the house's
	if err != nil {
		t.Fatal(err)
	}
	b.push, err = push.New(t.Context(), push.Config{
		Store: b.store, Codes: codes, PublicURL: "https://nod.example", Key: bytes.Repeat([]byte{5}, 32),
		Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	if err != nil {
		t.Fatal(err)
	}
	b.House = apitest.Open(t, b.store, func(s *apitest.Setup) {
		s.API.Answers, s.API.Pacer, s.API.NonceKey = b.push.Answers(), localbus.NewPacer(), bytes.Repeat([]byte{6}, 32)
		s.Core.Reach = b.push
	})
	b.client, b.key = b.newClient(change...)
	b.ada = b.NewUser("ada")
	return b
}

func (b *bank) newClient(change ...func(*account.Client)) (account.Client, *ecdsa.PrivateKey) {
	b.Helper()
	c := account.Client{
		NamespaceID: b.Namespace(approval.DefaultNamespace).ID, Name: "Acme Bank", Type: account.ClientOAuth,
		OAuth: &account.OAuth{
			Grants: []account.GrantType{account.GrantCIBA}, Auth: account.AuthBasic, SecretHash: b.secret.Hash(), Hold: account.DefaultHold,
			Scopes: []account.ScopeText{{Scope: "openid"}, {Scope: "profile"}, {Scope: "payments", Says: "see your payments"}},
		},
	}
	for _, f := range change {
		f(&c)
	}
	text, public, err := token.NewServiceKey()
	b.must(err)
	block, _ := pem.Decode(text)
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	b.must(err)
	c, err = b.Directory.CreateClient(context.Background(), approval.NewClient{Client: c, Public: public})
	b.must(err)
	return c, parsed.(*ecdsa.PrivateKey)
}

func (b *bank) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// runs starts the deliverer; it ends with the test.
func (b *bank) runs(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = b.push.Run(ctx, b.Directory) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

type params map[string]string

// call makes one with a form, authenticated unless the form brings a client's id.
func (b *bank) call(path string, p params) apitest.Call {
	values := make(url.Values)
	for name, value := range p {
		values.Set(name, value)
	}
	header := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	if p["client_id"] == "" {
		r := http.Request{Header: make(http.Header)}
		r.SetBasicAuth(url.QueryEscape(b.client.ID), b.secret.Reveal())
		header["Authorization"] = r.Header.Get("Authorization")
	}
	return apitest.Call{Path: path, Body: values.Encode(), Header: header}
}

// asks sends an authentication request; what is not said is as it has to be.
func (b *bank) asks(p params) apitest.Reply {
	b.Helper()
	full := params{"scope": "openid", "login_hint": "ada"}
	maps.Copy(full, p)
	return b.Do(b.call("/oauth/bc-authorize", full))
}

func (b *bank) begins(p params) (id string) {
	b.Helper()
	return b.asks(p).Want(http.StatusOK).S("auth_req_id")
}

func (b *bank) pollCall(id string) apitest.Call {
	return b.call("/oauth/token", params{"grant_type": string(account.GrantCIBA), "auth_req_id": id})
}

func (b *bank) polls(id string) apitest.Reply {
	b.Helper()
	return b.Do(b.pollCall(id))
}

func wantError(t *testing.T, about string, r apitest.Reply, status int, code string) {
	t.Helper()
	if r.Status != status || r.JSON["error"] != code {
		t.Errorf("%s: got %d %s, want %d %s", about, r.Status, r.Text, status, code)
	}
}

// request is the one that an id is of.
func (b *bank) request(id string) approval.Request {
	b.Helper()
	r, err := b.store.Find(b.Context(), approval.Key{
		CodeHash: b.Service.Codes.Hash(b.client.NamespaceID, "", approval.PollCode, id),
	})
	b.must(err)
	return r
}

// listed is a request on the list of the person's own, which is what a prompt that
// nobody tapped leaves.
func listed(requestID string) approval.Ref {
	return approval.Ref{Way: approval.Listed, Secret: account.Secret(requestID)}
}

func viewer(u account.User) approval.Viewer { return approval.Viewer{User: u} }

// approves says yes with a passkey, having seen the binding message.
func (b *bank) approves(u account.User, requestID string) {
	b.Helper()
	ref, who := listed(requestID), viewer(u)
	q, err := b.Service.Prepare(b.Context(), ref, who, approval.MessageSeen)
	b.must(err)
	_, err = b.Service.Decide(b.Context(), ref, who, approval.Answer{Verdict: approval.Approve, Proof: &approval.Proof{
		UserID: u.ID, PasskeyID: b.passkey(u), Record: q.Record, Way: q.Way, Matched: q.Matched,
	}})
	b.must(err)
}

// passkey gives the user one. Nothing here looks at its signatures: package webauthn's
// tests do.
func (b *bank) passkey(u account.User) string {
	b.Helper()
	p := account.Passkey{
		ID: uuid.NewString(), UserID: u.ID, CredentialID: []byte(uuid.NewString()), PublicKey: []byte("cose"),
		Status: account.PasskeyActive, Name: "phone",
	}
	b.must(b.Directory.Record(b.Context(), approval.Change{
		Op: approval.NewOp(), Event: approval.Event{Name: approval.EventPasskeyAdded, UserID: u.ID, PasskeyID: p.ID},
		Effects: []approval.Effect{approval.AddPasskey{Passkey: p}},
	}))
	return p.ID
}

func (b *bank) declines(u account.User, requestID string) {
	b.Helper()
	_, err := b.Service.Decide(b.Context(), listed(requestID), viewer(u), approval.Answer{Verdict: approval.Decline})
	b.must(err)
}

// signs makes a JWT of a type with a key.
func (b *bank) signs(key *ecdsa.PrivateKey, typ string, claims M) string {
	b.Helper()
	return signedWith(b, jose.SigningKey{Algorithm: jose.ES256, Key: key}, new(jose.SignerOptions).WithType(jose.ContentType(typ)), claims)
}

func signedWith(b *bank, key jose.SigningKey, options *jose.SignerOptions, claims M) string {
	b.Helper()
	signer, err := jose.NewSigner(key, options)
	b.must(err)
	payload, err := json.Marshal(claims)
	b.must(err)
	signed, err := signer.Sign(payload)
	b.must(err)
	compact, err := signed.CompactSerialize()
	b.must(err)
	return compact
}

// ago is a claim: a time that lies so many seconds back.
func ago(seconds int) int64 { return time.Now().Add(-time.Duration(seconds) * time.Second).Unix() }
