package oauth_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

const offline = "openid profile offline_access"

// standing is why the device of an access token is good no more, nil while it is.
func standing(h *house, r *apitest.Relying, reply apitest.Reply) error {
	h.Helper()
	_, _, err := h.Directory.Standing(h.Context(), claimsOf(h.House, reply.S("access_token"), "at+jwt", r.Client.ID)["sid"].(string))
	return err
}

func TestRefresh_rotates(t *testing.T) {
	h := open(t)
	p := h.NewPerson("ada")
	for _, method := range account.AuthMethods {
		r := h.NewRelying(account.OAuth{Auth: method})
		first := signIn(r, p, F{"scope": offline})
		was := claimsOf(h.House, first.S("access_token"), "at+jwt", r.Client.ID)
		h.advance(time.Minute)
		second := r.Refresh(first.S("refresh_token")).Want(ok)
		is := claimsOf(h.House, second.S("access_token"), "at+jwt", r.Client.ID)
		if first.S("refresh_token") == second.S("refresh_token") || was["jti"] == is["jti"] {
			t.Errorf("%s: got the same tokens again", method)
		}
		for _, name := range []string{"sub", "sid", "auth_time", "acr", "scope", "client_id"} {
			if was[name] != is[name] {
				t.Errorf("%s: claim %s: got %v after %v, want the same", method, name, is[name], was[name])
			}
		}
		if is["iat"].(float64) < was["iat"].(float64)+60 || second.JSON["expires_in"] != 600.0 {
			t.Errorf("%s: got iat %v after %v and %s", method, is["iat"], was["iat"], second.Text)
		}
		r.Refresh(second.S("refresh_token")).Want(ok)
	}
}

// TestRefresh_ofAnOldTokenEndsTheDevice: somebody has a copy, and nobody knows who
// (RFC 9700 section 4.14.2).
func TestRefresh_ofAnOldTokenEndsTheDevice(t *testing.T) {
	h := open(t)
	p, r := h.NewPerson("ada"), h.NewRelying(account.OAuth{})
	first := signIn(r, p, F{"scope": offline})
	second := r.Refresh(first.S("refresh_token")).Want(ok)
	r.Refresh(first.S("refresh_token")).WantError(badRequest, "invalid_grant")
	r.Refresh(second.S("refresh_token")).WantError(badRequest, "invalid_grant")
	if err := standing(h, r, second); !errors.Is(err, approval.ErrRevoked) {
		t.Errorf("got %v, want the device revoked", err)
	}
}

func TestRefresh_isRefusedWhenWhatItRestsOnIsGone(t *testing.T) {
	h := open(t)
	for name, spoil := range map[string]func(*apitest.Person, *apitest.Relying, apitest.Reply){
		"user locked": func(p *apitest.Person, _ *apitest.Relying, _ apitest.Reply) {
			if _, err := h.Directory.Deactivate(t.Context(), p.User); err != nil {
				t.Fatal(err)
			}
		},
		"user deleted": func(p *apitest.Person, _ *apitest.Relying, _ apitest.Reply) {
			if err := h.Directory.DeleteUser(t.Context(), p.User); err != nil {
				t.Fatal(err)
			}
		},
		"device revoked": func(_ *apitest.Person, r *apitest.Relying, reply apitest.Reply) {
			sid := claimsOf(h.House, reply.S("access_token"), "at+jwt", r.Client.ID)["sid"].(string)
			if err := h.Service.RevokeDevice(t.Context(), sid, approval.ByOwner); err != nil {
				t.Fatal(err)
			}
		},
		"idle for too long": func(*apitest.Person, *apitest.Relying, apitest.Reply) { h.advance(31 * 24 * time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			p, r := h.NewPerson("ada "+name), h.NewRelying(account.OAuth{})
			reply := signIn(r, p, F{"scope": offline})
			spoil(p, r, reply)
			r.Refresh(reply.S("refresh_token")).WantError(badRequest, "invalid_grant")
		})
	}
}

func TestRefresh_isForTheClientThatWasGivenTheToken(t *testing.T) {
	h := open(t)
	p, r, other := h.NewPerson("ada"), h.NewRelying(account.OAuth{}), h.NewRelying(account.OAuth{})
	reply := signIn(r, p, F{"scope": offline})
	token := reply.S("refresh_token")
	other.Refresh(token).WantError(badRequest, "invalid_grant")
	for _, wrong := range []string{"x", token + "A", token[:len(token)-1], reply.S("access_token")} {
		r.Refresh(wrong).WantError(badRequest, "invalid_grant")
	}
	r.Refresh(token).Want(ok) // and nothing happened to it
}

func TestRefresh_mayAskForLessAndNeverForMore(t *testing.T) {
	h := open(t)
	p, r := h.NewPerson("ada"), h.NewRelying(account.OAuth{})
	token := signIn(r, p, F{"scope": "openid offline_access"}).S("refresh_token")
	with := func(scope string) apitest.Reply {
		return r.Post(apitest.TokenPath, F{"grant_type": string(account.GrantRefresh), "refresh_token": token, "scope": scope})
	}
	with("openid profile").WantError(badRequest, "invalid_scope")
	less := with("offline_access").Want(ok)
	if _, there := less.JSON["id_token"]; there || less.S("scope") != "offline_access" {
		t.Errorf("got %s, want offline_access alone", less.Text)
	}
	token = less.S("refresh_token")
	if all := with("").Want(ok); all.S("scope") != "openid offline_access" {
		t.Errorf("got scope %s, want all that was granted", all.S("scope"))
	}
}

func TestRefresh_inAnOutageKeepsTheToken(t *testing.T) {
	h := open(t)
	p, r := h.NewPerson("ada"), h.NewRelying(account.OAuth{})
	token := signIn(r, p, F{"scope": offline}).S("refresh_token")
	h.store.down.Store(true)
	reply := r.Refresh(token).WantError(503, "temporarily_unavailable")
	if reply.Header.Get("Retry-After") == "" {
		t.Error("got no Retry-After")
	}
	h.store.down.Store(false)
	r.Refresh(token).Want(ok)
}
