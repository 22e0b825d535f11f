package e2e

import (
	"net/http"
	"sync"
	"testing"
	"time"
)

// What clients do that nobody asked: cli/oauth, kubelogin, SSSD and step, by hand.
// The rule itself is tested in package oauth.
func TestPacing_asClientsBehave(t *testing.T) {
	t.Parallel()
	s := startStandard(t)
	c := s.register(t, "--grant", "device_code", "--hold", "0s")
	approved, denied := s.ask(t, c), s.ask(t, c)
	began := time.Now()
	poll := func(at time.Duration, code oauthReply) oauthReply {
		<-time.After(time.Until(began.Add(at))) // what is tested is when a client polls
		return s.poll(t.Context(), http.DefaultClient, c, code.DeviceCode)
	}
	// SSSD: at once, and from a second process.
	poll(0, approved).want(t, http.StatusBadRequest, errPending)
	poll(50*time.Millisecond, approved).want(t, http.StatusBadRequest, errPending)
	// Too fast, but a verdict wins over pacing.
	poll(2*time.Second, approved).want(t, http.StatusBadRequest, errSlowDown)
	if err := s.phone.approve(t.Context(), question{UserCode: approved.UserCode}); err != nil {
		t.Fatal(err)
	}
	poll(0, approved).want(t, http.StatusOK, "")
	// step: polls on after a no, as fast as it likes.
	if err := s.phone.decline(t.Context(), question{UserCode: denied.UserCode}); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		poll(0, denied).want(t, http.StatusBadRequest, errDenied)
	}
}

// Whoever polls while the server stops is told at once that nothing was decided, goes
// on with the next one on the same data, and is let in.
func TestTerminate_withHeldPolls(t *testing.T) {
	const polls = 200
	s := startStandard(t)
	c := s.register(t, "--grant", "device_code")
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: polls}}
	t.Cleanup(client.CloseIdleConnections)
	asked := make([]oauthReply, polls)
	for i := range asked {
		asked[i] = s.ask(t, c)
	}
	begin := func() []chan oauthReply {
		replies := make([]chan oauthReply, polls)
		for i, a := range asked {
			replies[i] = make(chan oauthReply, 1)
			go func() { replies[i] <- s.poll(t.Context(), client, c, a.DeviceCode) }()
		}
		s.awaitHeld(t, polls)
		return replies
	}

	held := begin()
	stopped := time.Now()
	s.terminate(t)
	for _, reply := range held {
		(<-reply).want(t, http.StatusBadRequest, errPending)
	}
	answered := time.Since(stopped)
	<-s.exited
	t.Logf("%d held polls answered within %v, exit after %v", polls, answered, time.Since(stopped))
	if answered > wakeLimit {
		t.Errorf("answers after SIGTERM: got all within %v, want under %v", answered, wakeLimit)
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code: got %d, want 0", code)
	}

	client.CloseIdleConnections()
	http.DefaultClient.CloseIdleConnections()
	s.phone.http.CloseIdleConnections()
	s.start(t)
	held = begin()
	s.approveAll(t, asked)
	for _, reply := range held {
		(<-reply).want(t, http.StatusOK, "")
	}
}

// approveAll approves everything that was asked, a few at a time.
func (s *standard) approveAll(t *testing.T, asked []oauthReply) {
	t.Helper()
	const hands = 8
	next := make(chan oauthReply)
	var group sync.WaitGroup
	for range hands {
		group.Go(func() {
			for a := range next {
				if err := s.phone.approve(t.Context(), question{UserCode: a.UserCode}); err != nil {
					t.Errorf("approve: %v", err)
				}
			}
		})
	}
	for _, a := range asked {
		next <- a
	}
	close(next)
	group.Wait()
}
