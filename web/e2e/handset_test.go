package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nod-auth/nod/webauthn/virtual"
)

// handset is somebody's phone without a browser: it makes the calls that the
// scripts of nod's pages make, with a passkey in software. It is for tests that look
// at the other side. Safe for concurrent use.
type handset struct {
	username string
	origin   string
	http     *http.Client
	signing  sync.Mutex
	keys     *virtual.Authenticator
}

// newHandset creates a user and enrols a phone, which is signed in afterwards.
func (s *server) newHandset(t *testing.T, username string) *handset {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 8}
	t.Cleanup(transport.CloseIdleConnections)
	h := &handset{
		username: s.newUser(t, username), origin: s.url, keys: virtual.New(),
		http: &http.Client{Jar: jar, Transport: transport, Timeout: patience},
	}
	var invitation struct {
		URL string `json:"url"`
	}
	s.cli(t, &invitation, "user", "invite", "--username", username)
	if err := h.enrol(t.Context(), invitation.URL); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *handset) enrol(ctx context.Context, link string) error {
	_, secret, _ := strings.Cut(link, "#")
	credential, err := h.signs(ctx, h.keys.CreateJSON, "/phone/enrol/options", map[string]any{"invitation": secret})
	if err != nil {
		return err
	}
	return h.call(ctx, "/phone/enrol", map[string]any{"invitation": secret, "credential": credential}, nil)
}

// question is what the phone is asked, named as its owner got to it: by the code
// that was typed, or from the list of what waits. The zero question is the one that
// waits alone.
type question struct {
	UserCode string `json:"user_code"` // that a device shows
	Message  string `json:"message"`   // that a backend's request shows, and its owner compared
}

// reference is a question as the phone's calls name it.
type reference struct {
	Way    string `json:"way"`
	Secret string `json:"secret"`
}

// approve says yes with the passkey. It returns when nod has said that it is so.
func (h *handset) approve(ctx context.Context, q question) error {
	ref, err := h.find(ctx, q)
	if err != nil {
		return err
	}
	about := map[string]any{"ref": ref}
	if q.Message != "" {
		about["number"] = "seen"
	}
	if err := h.call(ctx, "/phone/requests/opened", map[string]any{"ref": ref}, nil); err != nil {
		return err
	}
	credential, err := h.signs(ctx, h.keys.GetJSON, "/phone/requests/approve/options", about)
	if err != nil {
		return err
	}
	return h.call(ctx, "/phone/requests/approve", map[string]any{"ref": ref, "credential": credential}, nil)
}

func (h *handset) decline(ctx context.Context, q question) error {
	ref, err := h.find(ctx, q)
	if err != nil {
		return err
	}
	return h.call(ctx, "/phone/requests/decline", map[string]any{"ref": ref}, nil)
}

// find is how the phone names a question. What is listed is told apart by what its
// card shows.
func (h *handset) find(ctx context.Context, q question) (reference, error) {
	if q.UserCode != "" {
		return reference{"typed", q.UserCode}, nil
	}
	var list struct {
		Requests []struct {
			ID string `json:"id"`
		} `json:"requests"`
	}
	if err := h.exchange(ctx, http.MethodGet, "/phone/requests", nil, &list); err != nil {
		return reference{}, err
	}
	for _, r := range list.Requests {
		var card struct {
			Message string `json:"binding_message"`
		}
		ref := reference{"listed", r.ID}
		if err := h.call(ctx, "/phone/requests/inspect", map[string]any{"ref": ref}, &card); err != nil {
			return reference{}, err
		}
		if card.Message == q.Message {
			return ref, nil
		}
	}
	return reference{}, fmt.Errorf("%d questions wait, none is %+v", len(list.Requests), q)
}

// signs fetches options and answers them with the authenticator.
func (h *handset) signs(
	ctx context.Context, answer func(origin string, options []byte) ([]byte, error), path string, in any,
) (json.RawMessage, error) { // to be sent as it is
	var options struct {
		PublicKey json.RawMessage `json:"publicKey"`
	}
	if err := h.call(ctx, path, in, &options); err != nil {
		return nil, err
	}
	h.signing.Lock()
	defer h.signing.Unlock()
	return answer(h.origin, options.PublicKey)
}

func (h *handset) call(ctx context.Context, path string, in, into any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return h.exchange(ctx, http.MethodPost, path, body, into)
}

func (h *handset) exchange(ctx context.Context, method, path string, body []byte, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, h.origin+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Origin", h.origin)
	}
	response, err := h.http.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if !slices.Contains([]int{http.StatusOK, http.StatusNoContent}, response.StatusCode) {
		return fmt.Errorf("%s: status %d: %s", path, response.StatusCode, text)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}

// controlHandset lets a script decide on the phone: POST /approve and POST /decline
// take a question, and are answered when nod has taken the answer.
func controlHandset(h *handset) *http.ServeMux {
	decide := func(act func(context.Context, question) error) http.HandlerFunc {
		return controlled(func(r *http.Request) error {
			var q question
			if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
				return err
			}
			return act(r.Context(), q)
		})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /approve", decide(h.approve))
	mux.HandleFunc("POST /decline", decide(h.decline))
	return mux
}
