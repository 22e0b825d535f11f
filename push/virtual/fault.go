package virtual

import (
	"fmt"
	"net/http"
	"sync"
)

// Fault is how a provider fails.
type Fault struct {
	Status     int    // to answer with, such as 503 or 410
	RetryAfter string // the header of that name; empty: absent
	Code       string // FCM's error code, such as QUOTA_EXCEEDED; empty: as Status suggests
	Body       string // instead of the usual one
	Hang       bool   // not to answer at all until the caller gives up
}

// faults counts requests and fails some of them.
type faults struct {
	mu       sync.Mutex
	requests int
	left     int // below 0: without end
	fault    Fault
}

// set fails the next n requests, or all to come if n is below 0.
func (f *faults) set(n int, fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left, f.fault = n, fault
}

// next counts a request and says whether and how it fails.
func (f *faults) next() (Fault, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests++
	if f.left == 0 {
		return Fault{}, false
	}
	if f.left > 0 {
		f.left--
	}
	return f.fault, true
}

func (f *faults) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests
}

// write answers as the fault says. The request's body has been read: the server
// notices only then that a caller has gone.
func (f Fault) write(w http.ResponseWriter, r *http.Request, body string) {
	if f.Hang {
		<-r.Context().Done()
		return
	}
	if f.RetryAfter != "" {
		w.Header().Set("Retry-After", f.RetryAfter)
	}
	if f.Body != "" {
		body = f.Body
	}
	w.WriteHeader(f.Status)
	fmt.Fprint(w, body) // the caller may be gone: then nobody minds
}
