package approval

import (
	"context"
	"net/netip"
	"time"

	"github.com/nod-auth/nod/approval/account"
)

const guessWindow = 2 * time.Minute

func (g Guesses) withDefaults() Guesses {
	fill := func(n *int, otherwise int) {
		if *n == 0 {
			*n = otherwise
		}
	}
	fill(&g.PerUser, 5)
	fill(&g.PerUserHourly, 10)
	fill(&g.PerAddress, 20)
	fill(&g.PerClient, 200)
	return g
}

// userBudgets bounds the wrong codes of one user. A user who does not exist has
// a budget too, by the name that was asked for: the answers must not differ.
func (s *Service) userBudgets(userID, asked string) []Budget {
	who := "user:" + userID
	if userID == "" {
		who = s.Codes.Blind("nobody", asked)
	}
	return []Budget{
		{Key: who, Limit: s.Guesses.PerUser, Window: guessWindow},
		{Key: who + "/hour", Limit: s.Guesses.PerUserHourly, Window: time.Hour},
	}
}

func (s *Service) addressBudget(address string) Budget {
	return Budget{Key: s.Codes.Blind("address", AddressGroup(address)), Limit: s.Guesses.PerAddress, Window: guessWindow}
}

func (s *Service) clientBudget(clientID string) Budget {
	return Budget{Key: "client:" + clientID, Limit: s.Guesses.PerClient, Window: guessWindow}
}

// AddressGroup is what counts as one address: an IPv4 address, or the /64 that
// one household or host is usually given (RFC 6177).
func AddressGroup(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if a = a.Unmap().WithZone(""); a.Is4() {
		return a.String()
	}
	p, _ := a.Prefix(64) // cannot fail for an IPv6 address
	return p.String()
}

// byCode finds the request that a code belongs to. A wrong guessable code costs
// one try of every budget.
func (s *Service) byCode(ctx context.Context, namespaceID, userID string, kind CodeKind, code account.Secret, budgets []Budget) (*Request, error) {
	k := Key{CodeHash: s.Codes.Hash(namespaceID, userID, kind, code.Reveal())}
	if !kind.Guessable() {
		return s.find(ctx, k)
	}
	return s.guess(ctx, k, budgets)
}

// guess and find are the only frames of a wait with whole requests in them: inlined,
// they would lie in their callers' side by side (see Collect).
//
//go:noinline
func (s *Service) guess(ctx context.Context, k Key, budgets []Budget) (*Request, error) {
	r, err := s.Store.Guess(ctx, k, budgets)
	return &r, err
}

//go:noinline
func (s *Service) find(ctx context.Context, k Key) (*Request, error) {
	r, err := s.Store.Find(ctx, k)
	return &r, err
}
