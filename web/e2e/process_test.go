package e2e

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// An acknowledged approval survives a crash: whoever waits afterwards has the
// JWT, and never a second, different one.
func TestKill_rightAfterAuthorize(t *testing.T) {
	s := startServer(t)
	backend := s.newClient(t, "management")
	user := s.newUser(t, "alice")
	for round := range 5 {
		code := backend.generate(t, user)
		waiting := backend.hold(t.Context(), user, code)
		waiting.awaitTaken(t)
		backend.authorize(t, user, code)
		s.kill(t)
		cut := <-waiting.answer
		backend.http.CloseIdleConnections()
		s.start(t)

		got := backend.wait(t.Context(), user, code)
		if got.Status != http.StatusOK || got.JWT == "" {
			t.Fatalf("round %d: wait after the restart: got %+v, want 200 and a JWT", round, got)
		}
		s.verifyJWT(t, got.JWT)
		if cut.JWT != "" && cut.JWT != got.JWT {
			t.Errorf("round %d: two JWTs for one approval:\n%s\n%s", round, cut.JWT, got.JWT)
		}
	}
}

// A denial survives as well.
func TestKill_rightAfterInvalidate(t *testing.T) {
	s := startServer(t)
	backend := s.newClient(t, "management")
	user := s.newUser(t, "alice")
	code := backend.generate(t, user)
	backend.authorize(t, user, code)
	got := backend.call(t.Context(), "/codes/long/invalidate-all", "codes.invalidate",
		map[string]any{"username": user, "purpose": purposeLogin})
	if got.Status != http.StatusOK {
		t.Fatalf("invalidate-all: got %+v, want 200", got)
	}
	s.kill(t)
	backend.http.CloseIdleConnections()
	s.start(t)
	if got := backend.wait(t.Context(), user, code); got.Status != http.StatusForbidden && got.Status != http.StatusNotFound {
		t.Errorf("wait on an invalidated code: got %+v, want 403 or 404", got)
	}
}

func TestTerminate_withHeldWaits(t *testing.T) {
	const (
		users, codesEach = 40, 50
		waits            = users * codesEach
		limit            = 5 * time.Second
	)
	// Each wait is one descriptor here and one in the server.
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil || files.Max < waits+500 {
		missing(t, "%d held waits need a limit of %d open files, got %d", waits, waits+500, files.Max)
	}
	s := startServer(t, "--max-waits-per-address", "3000")
	backend := s.newClient(t, "management")
	asked := generateMany(t, backend, users, codesEach)

	waiters := make([]held, len(asked))
	for i, request := range asked {
		waiters[i] = backend.hold(t.Context(), request.user, request.code)
	}
	for _, h := range waiters {
		h.awaitTaken(t)
	}
	s.caughtUp(t)

	begin := time.Now()
	s.terminate(t)
	codes := map[string]int{}
	for _, h := range waiters {
		got := <-h.answer
		codes[fmt.Sprintf("%d %s", got.Status, got.Code)]++
		if got.Err != nil || got.Code == "" || got.Message == "" || got.Status < 400 || got.Status == http.StatusRequestTimeout {
			t.Fatalf("a wait at shutdown: got %+v, want an error as JSON", got)
		}
	}
	answered := time.Since(begin)
	<-s.exited
	exited := time.Since(begin)
	t.Logf("%d held waits answered within %v, exit after %v: %v", waits, answered, exited, codes)
	if exited > limit {
		t.Errorf("exit after SIGTERM: got %v, want under %v", exited, limit)
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code: got %d, want 0", code)
	}

	// The codes live on: a client that waits again has lost nothing.
	backend.http.CloseIdleConnections()
	s.start(t)
	backend.authorize(t, asked[0].user, asked[0].code)
	if got := backend.wait(t.Context(), asked[0].user, asked[0].code); got.Status != http.StatusOK {
		t.Errorf("wait after the restart: got %+v, want 200", got)
	}
}

// pendingCode is what a new device holds.
type pendingCode struct{ user, code string }

// generateMany makes codes for many users, several at a time.
func generateMany(t *testing.T, backend *native, users, codesEach int) []pendingCode {
	t.Helper()
	made := make([]pendingCode, users*codesEach)
	var group sync.WaitGroup
	for i := range users {
		group.Go(func() {
			user := fmt.Sprintf("user-%d", i)
			got := backend.call(t.Context(), "/manage/users", "users.create", map[string]any{"username": user})
			if got.Status != http.StatusOK {
				t.Errorf("create %s: got %+v, want 200", user, got)
				return
			}
			for j := range codesEach {
				got := backend.call(t.Context(), "/codes/long/generate", "codes.generate",
					map[string]any{"username": user, "purpose": purposeLogin, "authorize": false})
				if got.Status != http.StatusOK {
					t.Errorf("generate for %s: got %+v, want 200", user, got)
					return
				}
				made[i*codesEach+j] = pendingCode{user: user, code: got.Code}
			}
		})
	}
	group.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return made
}

const peers = 64

// Peers that wait while the code is pending replace one another; whoever comes
// back after the approval is given the same JWT.
func TestWaiters_onOneCode(t *testing.T) {
	s := startServer(t, "--max-waits-per-address", "200")
	backend := s.newClient(t, "management")
	user := s.newUser(t, "alice")
	for range 3 {
		code := backend.generate(t, user)
		waiters := make([]held, peers)
		for i := range waiters {
			waiters[i] = backend.hold(t.Context(), user, code)
		}
		for _, h := range waiters {
			h.awaitTaken(t)
		}
		s.caughtUp(t)
		backend.authorize(t, user, code)
		answers := make([]answer, 0, 2*peers)
		for _, h := range waiters {
			answers = append(answers, <-h.answer)
		}
		again := together(peers, func() answer { return backend.wait(t.Context(), user, code) })
		assertOneJWT(t, s, append(answers, again...), peers)
	}
}

// Peers that race to collect an approved code are given one JWT.
func TestWaiters_onOneApprovedCode(t *testing.T) {
	s := startServer(t, "--max-waits-per-address", "200")
	backend := s.newClient(t, "management")
	user := s.newUser(t, "alice")
	for range 10 {
		code := backend.generate(t, user)
		backend.authorize(t, user, code)
		assertOneJWT(t, s, together(peers, func() answer { return backend.wait(t.Context(), user, code) }), peers)
	}
}

// together runs n calls that start at the same moment.
func together(n int, call func() answer) []answer {
	answers := make([]answer, n)
	start := make(chan struct{})
	var group sync.WaitGroup
	for i := range answers {
		group.Go(func() {
			<-start
			answers[i] = call()
		})
	}
	close(start)
	group.Wait()
	return answers
}

// assertOneJWT checks that all answers together carry one JWT, that at least so
// many of them carry it, and that the rest are waits that were replaced.
func assertOneJWT(t *testing.T, s *server, answers []answer, atLeast int) {
	t.Helper()
	carrying := map[string]int{}
	for _, got := range answers {
		switch {
		case got.Status == http.StatusOK && got.JWT != "":
			carrying[got.JWT]++
		case got.Status == http.StatusBadRequest && got.Code == "remote_session_timeout":
		default:
			t.Errorf("wait: got %+v, want 200 or 400 remote_session_timeout", got)
		}
	}
	jwts := slices.Collect(maps.Keys(carrying))
	if len(jwts) != 1 {
		t.Fatalf("distinct JWTs for one code: got %d, want 1: %v", len(jwts), carrying)
	}
	if got := carrying[jwts[0]]; got < atLeast {
		t.Errorf("answers that carry the JWT: got %d of %d, want at least %d", got, len(answers), atLeast)
	}
	s.verifyJWT(t, jwts[0])
}

// A client that went away collects nothing: the approval is there for the next
// one, even though it is another client, to whom nothing is ever redelivered.
func TestDisconnect_collectsNothing(t *testing.T) {
	s := startServer(t)
	backend, web := s.newClient(t, "management"), s.newClient(t, "directweb")
	user := s.newUser(t, "alice")
	for range 10 {
		code := backend.generate(t, user)
		ctx, hangUp := context.WithCancel(t.Context())
		gone := backend.hold(ctx, user, code)
		gone.awaitTaken(t)
		s.caughtUp(t)
		hangUp()
		<-gone.answer
		s.caughtUp(t)
		backend.authorize(t, user, code)
		if got := web.wait(t.Context(), user, code); got.Status != http.StatusOK {
			t.Fatalf("wait after another client hung up: got %+v, want 200", got)
		}
	}
}

// A client that went away gives back its place among the waits of its address.
func TestDisconnect_freesItsPlace(t *testing.T) {
	s := startServer(t, "--max-waits-per-address", "1")
	backend := s.newClient(t, "management")
	user := s.newUser(t, "alice")
	ctx, hangUp := context.WithCancel(t.Context())
	gone := backend.hold(ctx, user, backend.generate(t, user))
	gone.awaitTaken(t)
	s.caughtUp(t)

	refused := backend.hold(t.Context(), user, backend.generate(t, user))
	if got := <-refused.answer; got.Status != http.StatusTooManyRequests || got.Code != "too_many_requests" {
		t.Fatalf("one wait above the limit: got %+v, want 429 too_many_requests", got)
	}
	hangUp()
	<-gone.answer

	deadline := time.Now().Add(5 * time.Second)
	for {
		code := backend.generate(t, user)
		next := backend.hold(t.Context(), user, code)
		s.caughtUp(t)
		backend.authorize(t, user, code)
		switch got := <-next.answer; {
		case got.Status == http.StatusOK:
			return
		case got.Status != http.StatusTooManyRequests:
			t.Fatalf("wait: got %+v, want 200 or 429", got)
		case time.Now().After(deadline):
			t.Fatal("the place of a client that hung up was still taken after 5 s")
		}
	}
}
