package api_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/sqlstore"
)

// Whoever reads the database's files or the log finds nothing there that collects,
// approves, signs in or refreshes anything (threats B2): no code, handle or token, nor
// the bytes that one is written of.
func TestSecrets_areNeitherInTheFilesNorInTheLog(t *testing.T) {
	dir := t.TempDir()
	s, err := sqlstore.Open(t.Context(), filepath.Join(dir, "nod.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	h := apitest.Open(t, s)
	secrets := everySecret(h)
	if len(secrets) < 16 {
		t.Fatalf("secrets: got %d, want one of each kind", len(secrets))
	}

	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	kept := map[string][]byte{"the log": []byte(h.Log.String())}
	var all []byte
	for _, name := range files {
		if kept[filepath.Base(name)], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
		all = append(all, kept[filepath.Base(name)]...)
	}
	if !bytes.Contains(all, []byte("Living-room TV")) || !bytes.Contains(kept["the log"], []byte("/codes/:type/generate")) {
		t.Fatal("what no secret is was not found either: these are not the files, or not the log")
	}
	for about, secret := range secrets {
		forms := [][]byte{[]byte(secret)}
		if raw, err := base64.RawURLEncoding.DecodeString(secret); err == nil && len(raw) >= 16 {
			forms = append(forms, raw)
		}
		if plain := strings.NewReplacer(" ", "", "-", "").Replace(secret); plain != secret {
			forms = append(forms, []byte(plain))
		}
		for where, content := range kept {
			for _, form := range forms {
				if bytes.Contains(content, form) {
					t.Errorf("%s holds the %s", where, about)
				}
			}
		}
	}
}

// everySecret lets two devices in and leaves two waiting, and returns what was handed
// out for it, by name.
func everySecret(h *apitest.House) map[string]string {
	h.Helper()
	ctx := context.Background()
	app, turning := h.NewApp(account.Client{}), h.NewApp(account.Client{RotateQR: true})
	ada, tv := h.NewPerson("ada"), h.NewRelying(account.OAuth{})
	handleOf := func(c apitest.Code) string { return c.ApprovalURL[strings.LastIndex(c.ApprovalURL, "/")+1:] }
	out := map[string]string{"client secret": tv.Secret.Reveal()}
	shown := apitest.M{"device_name": "Living-room TV"}

	for _, kind := range []string{"long", "phrase"} {
		code := app.Generate("ada", kind, shown)
		out[kind+" code"], out["handle of the "+kind+" code"] = code.Code, handleOf(code)
		out["prompt's handle of the "+kind+" code"] = h.Service.Codes.Prompt(code.RequestID).Reveal()
	}
	code := app.Generate("ada", "long", shown)
	ada.Approve(approval.Ref{Way: approval.Scanned, Secret: account.Secret(handleOf(code))}, "")
	out["collected code"], out["result token"] = code.Code, app.Wait(code, nil).Want(http.StatusOK).S("jwt")
	out["rotating handle"] = handleOf(turning.Generate("ada", "long", shown))
	out["service token"] = app.Token(account.UsersRetrieve)
	h.Do(apitest.Call{Path: "/manage/users/retrieve", Token: out["service token"], Body: apitest.M{"username": "ada"}}).Want(http.StatusOK)

	begun := tv.Begin(apitest.F{"scope": "openid offline_access"})
	out["device code"], out["user code"] = begun.S("device_code"), begun.S("user_code")
	ada.Approve(apitest.Typed(begun.S("user_code")), "")
	first := tv.Poll(begun.S("device_code")).Want(http.StatusOK)
	second := tv.Refresh(first.S("refresh_token")).Want(http.StatusOK)
	out["access token"], out["ID token"] = first.S("access_token"), first.S("id_token")
	out["first refresh token"], out["newest refresh token"] = first.S("refresh_token"), second.S("refresh_token")

	out["invitation"] = opened(h, app.Post("/manage/users/invite", account.CredentialsForceAdd, apitest.M{"username": "ada"}).S("url"))
	codes, err := h.Directory.NewRecovery(ctx, ada.User, 1, approval.Asker{})
	if err != nil {
		h.Fatal(err)
	}
	out["recovery code"] = codes.Codes[0].Reveal()
	typed := url.Values{"username": {"ada"}, "code": {out["recovery code"]}}
	out["invitation that recovers"] = opened(h, h.Do(apitest.Call{Path: "/recover", Body: typed}).Header.Get("Location"))
	return out
}

// opened opens an invitation's link as a browser does, which keeps what is behind the
// #, and then as the page's script does. It returns the secret.
func opened(h *apitest.House, link string) string {
	h.Helper()
	u, err := url.Parse(link)
	if err != nil || u.Fragment == "" {
		h.Fatalf("link: got %q, want one with the secret as its fragment", link)
	}
	h.Do(apitest.Call{Path: u.RequestURI()}).Want(http.StatusOK)
	h.Do(apitest.Call{Path: "/phone/enrol/look", Body: apitest.M{"invitation": u.Fragment}}).Want(http.StatusOK)
	return u.Fragment
}
