package oauth_test

import (
	"bytes"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/localbus"
)

// beside is another node on the same store, which remembers nothing of the first: as
// when Redis was flushed, or is away.
func (b *bank) beside(t *testing.T) *bank {
	t.Helper()
	return &bank{store: b.store, push: b.push, client: b.client, secret: b.secret, key: b.key, ada: b.ada,
		House: apitest.Open(t, b.store, func(s *apitest.Setup) {
			s.API.Answers, s.API.Pacer, s.API.NonceKey = b.push.Answers(), localbus.NewPacer(), bytes.Repeat([]byte{6}, 32)
			s.Core.Reach = b.push
		})}
}

func TestBackchannel_user_codes_are_guessed_up_to_the_limit_over_all_nodes(t *testing.T) {
	b := openBank(t, func(c *account.Client) { c.OAuth.NeedUserCode = true })
	code := b.Directory.NewUserCode()
	b.must(b.Directory.SetUserCode(t.Context(), b.ada, code))
	nodes := []*bank{b, b.beside(t), b.beside(t), b.beside(t)}
	var judged, refused atomic.Int64
	var all sync.WaitGroup
	for i := range 32 {
		node := nodes[i%len(nodes)]
		all.Go(func() {
			switch r := node.asks(params{"user_code": "BCDF-GHJK"}); r.Status {
			case http.StatusBadRequest:
				judged.Add(1)
			case http.StatusTooManyRequests:
				refused.Add(1)
			default:
				t.Errorf("wrong code: got %d %s", r.Status, r.Text)
			}
		})
	}
	all.Wait()
	if judged.Load() != 10 || refused.Load() != 22 {
		t.Errorf("wrong codes: got %d judged and %d refused, want 10 and 22", judged.Load(), refused.Load())
	}
	for _, node := range nodes {
		wantError(t, "the right one after too many", node.asks(params{"user_code": code.Reveal()}), http.StatusTooManyRequests, "slow_down")
	}
}
