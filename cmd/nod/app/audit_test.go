package app

import (
	"net/http"
	"strings"
	"testing"
)

// A chain that was tampered with is named where operators look, and keeps nobody from
// signing in.
func TestServer_names_a_broken_audit_chain(t *testing.T) {
	s, _ := start(t, testConfig(t))
	if err := s.sealer.Turn(t.Context()); err != nil { // it does no harm to be one of two
		t.Fatal(err)
	}
	if status, body := get(t, "http://"+s.Address()+"/readyz?verbose"); status != http.StatusOK || strings.Contains(body, "audit") {
		t.Errorf("readyz?verbose: got %d %s, want no word of the audit", status, body)
	}
	head, err := s.Store.Head(t.Context())
	if err != nil || head.N == 0 {
		t.Fatalf("head = %+v, %v; want what the start wrote sealed", head, err)
	}
	forged := head
	forged.MAC = []byte("forged")
	if err := s.Store.Extend(t.Context(), head, forged, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.sealer.Turn(t.Context()); err == nil {
		t.Error("the sealer goes on with a forged head")
	}
	status, body := get(t, "http://"+s.Address()+"/readyz?verbose")
	if status != http.StatusOK || !strings.Contains(body, "audit") || !strings.Contains(body, "nod audit verify") {
		t.Errorf("readyz?verbose: got %d %s, want 200 and the broken chain named", status, body)
	}
	if r, err := s.VerifyAudit(t.Context()); err != nil || r.Whole() {
		t.Errorf("verify = %+v, %v; want the head named", r, err)
	}
}
