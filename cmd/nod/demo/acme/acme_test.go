package acme

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestQR_draws_approval_urls_of_nod_alone(t *testing.T) {
	app, err := New(Config{NodURL: "https://nod.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	for handle, want := range map[string]int{
		strings.Repeat("a", 43):  http.StatusOK, // drawn
		strings.Repeat("-_", 28): http.StatusOK, // of a QR code that rotates
		"":                       http.StatusBadRequest,
		"short":                  http.StatusBadRequest,
		strings.Repeat("a", 101): http.StatusBadRequest,
		"../../../evil.example/" + strings.Repeat("a", 20): http.StatusBadRequest,
		strings.Repeat("a", 43) + "\n":                     http.StatusBadRequest,
	} {
		w := httptest.NewRecorder()
		app.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/qr.svg?handle="+url.QueryEscape(handle), nil))
		if w.Code != want {
			t.Errorf("%q: got %d, want %d", handle, w.Code, want)
		}
		if drawn := strings.Contains(w.Body.String(), "<svg"); drawn != (want == http.StatusOK) {
			t.Errorf("%q: drawn %v", handle, drawn)
		}
	}
}
