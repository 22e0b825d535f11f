package push

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/sqlstore"
	"github.com/nod-auth/nod/approval/sqlstore/freshdb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is a whole core on a real store with a deliverer, one application and two
// people. Only the provider outside is made up.
type house struct {
	*testing.T
	path     string
	file     *sqlstore.Store
	store    *faulty
	core     *approval.Service
	people   *approval.Directory
	push     *Push
	provider *provider
	log      *lines
	app      account.Client
	ada, bob account.User
}

// inBubble runs a test in fake time: a retry after fifteen seconds takes none.
func inBubble(t *testing.T, test func(h *house)) {
	t.Helper()
	path := freshdb.File(t)
	synctest.Test(t, func(t *testing.T) {
		h := build(t, path, Config{})
		defer h.file.Close()
		test(h)
	})
}

// build opens the house. Its phones are Firebase registration tokens, which the
// provider answers for.
func build(t *testing.T, path string, c Config) *house {
	t.Helper()
	h := &house{T: t, path: path, provider: &provider{answers: make(map[string]answer)}, log: &lines{}}
	var err error
	h.file, err = sqlstore.Open(t.Context(), path)
	h.must(err)
	h.store = &faulty{Store: h.file}
	codes, err := approval.NewCodes(bytes.Repeat([]byte{1}, 32))
	h.must(err)
	c.Store, c.Codes, c.Key, c.PublicURL = h.store, codes, bytes.Repeat([]byte{2}, 32), "https://nod.example"
	c.Log = slog.New(slog.NewJSONHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h.push, err = New(t.Context(), c)
	h.must(err)
	h.push.byKind[account.PhoneFCM] = h.provider
	h.core, err = approval.New(approval.Config{
		Store: h.file, Codes: codes, Reach: h.push, Outbox: h.file,
		KeyID: func(context.Context, time.Time) (string, error) { return "kid-1", nil },
	})
	h.must(err)
	h.people = approval.NewDirectory(h.core, h.file)
	h.furnish()
	return h
}

// furnish finds or makes who lives here.
func (h *house) furnish() {
	h.Helper()
	ns, err := h.people.Namespace(h.Context(), approval.DefaultNamespace)
	h.must(err)
	clients, err := h.file.Clients(h.Context(), ns.ID)
	h.must(err)
	if len(clients) > 0 { // opened again
		h.app = clients[0]
		h.ada, err = h.file.UserByName(h.Context(), ns.ID, "ada")
		h.must(err)
		return
	}
	h.app, err = h.people.CreateClient(h.Context(), approval.NewClient{Client: account.Client{
		NamespaceID: ns.ID, Name: "Acme", Type: account.ClientManagement, Scopes: account.Scopes,
	}})
	h.must(err)
	h.ada, err = h.people.CreateUser(h.Context(), ns.ID, "", "ada")
	h.must(err)
	h.bob, err = h.people.CreateUser(h.Context(), ns.ID, "", "bob")
	h.must(err)
}

// runs starts the deliverer and returns what stops it, which may be called twice.
func (h *house) runs() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := h.push.Run(ctx, h.people); err != nil {
			h.Errorf("run: got %v, want nil", err)
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}

func (h *house) phone(u account.User, token string, a answer) account.Phone {
	h.Helper()
	p, err := h.people.RegisterPhone(h.Context(), u, approval.NewPhone{
		Kind: account.PhoneFCM, Target: account.Secret(token), Name: "Phone " + token,
	}, "")
	h.must(err)
	h.provider.set(token, a)
	return p
}

func (h *house) ask(u account.User) approval.Begun {
	h.Helper()
	b, err := h.core.Begin(h.Context(), approval.Ask{
		Face: "native", Client: h.app, User: u, Purpose: approval.SignIn, Kind: approval.Long, Notify: true,
	})
	h.must(err)
	if !b.Prompted {
		h.Fatal("begin: no prompt was queued")
	}
	return b
}

func (h *house) decline(b approval.Begun) {
	h.Helper()
	_, err := h.core.Decide(h.Context(), approval.Ref{Way: approval.Scanned, Secret: b.Handle},
		approval.Viewer{User: h.ada}, approval.Answer{Verdict: approval.Decline})
	h.must(err)
}

func (h *house) wantDelivery(b approval.Begun, want approval.Delivery) {
	h.Helper()
	got, err := h.core.Prompted(h.Context(), b.Request.ID)
	h.must(err)
	if got != want {
		h.Errorf("delivery: got %s, want %s", got, want)
	}
}

func (h *house) fault(id string) string {
	h.Helper()
	p, err := h.file.Phone(h.Context(), id)
	h.must(err)
	return p.Fault
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// answer is what the provider says to the n-th attempt on one phone, the first
// being 1.
type answer func(ctx context.Context, n int) error

func takes(context.Context, int) error { return nil }

// hangs says nothing until nobody waits any more.
func hangs(ctx context.Context, _ int) error {
	<-ctx.Done()
	return ctx.Err()
}

// fails answers the same each time.
func fails(err error) answer { return func(context.Context, int) error { return err } }

// failsOnce answers so the first time, and then takes.
func failsOnce(err error) answer {
	return func(_ context.Context, n int) error {
		if n == 1 {
			return err
		}
		return nil
	}
}

// provider stands for what is outside of nod: it answers each phone by a script
// and remembers what it was sent.
type provider struct {
	mu      sync.Mutex
	answers map[string]answer
	got     []delivery
}

type delivery struct {
	Message
	at time.Time
}

// Send implements Channel.
func (p *provider) Send(ctx context.Context, m Message) error {
	p.mu.Lock()
	p.got = append(p.got, delivery{m, time.Now()})
	a, n := p.answers[m.Target.Reveal()], 0
	for _, d := range p.got {
		if d.Target == m.Target {
			n++
		}
	}
	p.mu.Unlock()
	return a(ctx, n)
}

func (p *provider) set(token string, a answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers[token] = a
}

// to lists what one phone was sent.
func (p *provider) to(token string) []delivery {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []delivery
	for _, d := range p.got {
		if d.Target.Reveal() == token {
			out = append(out, d)
		}
	}
	return out
}

// faulty is the real store, which a test can take away.
type faulty struct {
	*sqlstore.Store
	mu     sync.Mutex
	outage error // of whatever the deliverer does with the outbox
	settle error // of settling alone
}

func (s *faulty) set(outage, settle error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outage, s.settle = outage, settle
}

func (s *faulty) faults() (outage, settle error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.outage, s.settle
}

func (s *faulty) NextDue(ctx context.Context, topic approval.Topic) (time.Time, error) {
	if outage, _ := s.faults(); outage != nil {
		return time.Time{}, outage
	}
	return s.Store.NextDue(ctx, topic)
}

func (s *faulty) Settle(ctx context.Context, m approval.Message, o approval.Outcome) error {
	if outage, settle := s.faults(); outage != nil || settle != nil {
		return approval.ErrUnavailable
	}
	return s.Store.Settle(ctx, m, o)
}

// lines is a log that can be searched.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
