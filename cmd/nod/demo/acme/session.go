package acme

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/nod-auth/nod/api/token"
)

// askEvery bounds how often nod is asked about one session, however often its page
// asks: somebody who was signed out on the phone is out here that much later.
const askEvery = time.Second

// session is a television that is signed in, by the backend's own cookie. nod's token
// was good for ten minutes; the session goes on until somebody ends it, here or at nod.
type session struct {
	user   string
	device string // nod's id of what the approval signed in: the claim sid

	mu    sync.Mutex // held while nod is asked, so that one question serves all
	asked time.Time
	ended bool
}

// signIn takes the token the page waited for and believes nothing of it before
// it is verified.
func (a *App) signIn(w http.ResponseWriter, r *http.Request) {
	var in struct {
		JWT string `json:"jwt"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 16<<10)).Decode(&in); err != nil {
		http.Error(w, "That is not a token.", http.StatusBadRequest)
		return
	}
	claims, err := a.Verify(r.Context(), in.JWT)
	if err != nil {
		http.Error(w, "That token is not valid here.", http.StatusUnauthorized)
		return
	}
	s := &session{}
	s.user, _ = claims["udata"].(string)
	s.device, _ = claims["sid"].(string)
	secret := rand.Text()
	a.mu.Lock()
	a.sessions[secret] = s
	a.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: "acme", Value: secret, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
	if a.SignedIn != nil {
		a.SignedIn(claims)
	}
	answer(w, map[string]any{"username": s.user})
}

func (a *App) signOut(w http.ResponseWriter, r *http.Request) {
	a.forget(w, r)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// forget ends the session of a browser, if it has one.
func (a *App) forget(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie("acme"); err == nil {
		a.mu.Lock()
		delete(a.sessions, c.Value)
		a.mu.Unlock()
		http.SetCookie(w, &http.Cookie{Name: "acme", Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	}
}

// signedIn tells the page whether it still is.
func (a *App) signedIn(w http.ResponseWriter, r *http.Request) {
	name, _ := a.user(r)
	if name == "" {
		http.Error(w, "Nobody is signed in.", http.StatusUnauthorized)
		return
	}
	answer(w, map[string]any{"username": name})
}

// user is who is signed in; ended says that somebody was, until they ended it at nod.
func (a *App) user(r *http.Request) (name string, ended bool) {
	c, err := r.Cookie("acme")
	if err != nil {
		return "", false
	}
	a.mu.Lock()
	s := a.sessions[c.Value]
	a.mu.Unlock()
	if s == nil {
		return "", false
	}
	if a.over(r.Context(), s) {
		return "", true
	}
	return s.user, false
}

// over asks nod whether the session has ended there. While nod cannot be asked, it has
// not.
func (a *App) over(ctx context.Context, s *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || time.Since(s.asked) < askEvery {
		return s.ended
	}
	s.asked = time.Now()
	if active, err := a.active(ctx, s); err == nil {
		s.ended = !active
	}
	return s.ended
}

// active asks nod about one device. What nod does not know any more is not active.
func (a *App) active(ctx context.Context, s *session) (bool, error) {
	bearer, err := token.SignService(a.Key, token.Service{ClientID: a.Management, Type: "devices.list", Username: s.user})
	if err != nil {
		return false, fmt.Errorf("list devices: %w", err)
	}
	var got struct {
		Devices []struct {
			Active bool `json:"active"`
		} `json:"devices"`
	}
	body := map[string]any{"client_id": a.WebClient, "username": s.user, "device": map[string]string{"id": s.device}}
	if err := a.call(ctx, "/devices/list", bearer, body, &got); err != nil {
		return false, fmt.Errorf("list devices: %w", err)
	}
	return len(got.Devices) > 0 && got.Devices[0].Active, nil
}
