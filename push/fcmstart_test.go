package push

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nod-auth/nod/push/virtual"
)

func TestNewFCM_wrongCredentialsStopTheStart(t *testing.T) {
	f, origin := newVirtualFCM(t)
	good := f.ServiceAccountJSON(origin)
	if err := f.RotateKey(); err != nil {
		t.Fatal(err)
	}
	edit := func(member string, value any) []byte {
		file := map[string]any{}
		if err := json.Unmarshal(f.ServiceAccountJSON(origin), &file); err != nil {
			t.Fatal(err)
		}
		file[member] = value
		text, err := json.Marshal(file)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"a key that was deleted":   {good, "invalid_grant"},
		"somebody else's address":  {edit("client_email", "other@example.org"), "invalid_grant"},
		"nothing":                  {nil, "not JSON"},
		"a PEM file":               {[]byte("-----BEGIN PRIVATE KEY-----"), "not JSON"},
		"a number for a member":    {edit("private_key", 1), "not JSON"},
		"the application's half":   {[]byte(`{"project_info":{"project_id":"x"},"client":[]}`), "google-services.json"},
		"a user's login":           {[]byte(`{"type":"authorized_user","refresh_token":"r"}`), "not a service account's"},
		"an external account":      {[]byte(`{"type":"external_account","token_url":"https://evil.example"}`), "not a service account's"},
		"no project":               {edit("project_id", ""), "lack"},
		"a project with a path":    {edit("project_id", "../x"), "project_id"},
		"no key":                   {edit("private_key", ""), "lack"},
		"half a key":               {edit("private_key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), "cut"},
		"a key that is no PEM":     {edit("private_key", "AAAA"), "cut"},
		"an open token service":    {edit("token_uri", "http://token.example/token"), "https"},
		"no token service at all":  {edit("token_uri", origin+"/nothing-here"), "404"},
		"a token service's secret": {edit("token_uri", "https://user:word@token.example"), "https"},
	} {
		_, err := newFCM(t.Context(), c.file, f.Endpoint(origin))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "set up FCM: ") {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
			continue
		}
		if !strings.Contains(err.Error(), "Firebase console") && !strings.Contains(err.Error(), "token_uri") {
			t.Errorf("%s: got %v, want what to do", name, err)
		}
		if strings.Contains(err.Error(), "PRIVATE KEY") || strings.Contains(err.Error(), "user:word") {
			t.Errorf("%s: the error repeats the file: %v", name, err)
		}
	}
}

func TestNewFCM_wantsASafeEndpoint(t *testing.T) {
	f, origin := newVirtualFCM(t)
	for _, endpoint := range []string{"fcm.example", "http://fcm.example/v1", "ftp://fcm.example", "https://", "https://u@fcm.example", "https://fcm.example/v1?a"} {
		if _, err := newFCM(t.Context(), f.ServiceAccountJSON(origin), endpoint); err == nil || !strings.Contains(err.Error(), "the endpoint must") {
			t.Errorf("%q: got %v", endpoint, err)
		}
	}
}

func TestNewFCM_troubleOnTheWayIsAWarning(t *testing.T) {
	f, origin := newVirtualFCM(t)
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	file := f.ServiceAccountJSON(origin)
	for name, c := range map[string]struct {
		fault virtual.Fault
		file  []byte
	}{
		"nobody listens": {file: bytes.ReplaceAll(file, []byte(origin), []byte(closed.URL))},
		"503":            {fault: virtual.Fault{Status: 503}, file: file},
		"429":            {fault: virtual.Fault{Status: 429}, file: file},
		"nonsense":       {fault: virtual.Fault{Status: 200, Body: "<html>"}, file: file},
		"no token":       {fault: virtual.Fault{Status: 200, Body: "{}"}, file: file},
		"a hang":         {fault: virtual.Fault{Hang: true}, file: file},
	} {
		f.FailTokens(-1, c.fault)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		channel, err := newFCM(ctx, c.file, f.Endpoint(origin))
		cancel()
		if err != nil || !strings.Contains(channel.warning, "could not be proven") {
			t.Errorf("%s: got %v, want a warning", name, err)
			continue
		}
		t.Cleanup(channel.close)
	}
}

func TestNewFCM_recoversFromTroubleOnTheWay(t *testing.T) {
	f, origin := newVirtualFCM(t)
	f.FailTokens(1, virtual.Fault{Status: 503})
	channel, err := newFCM(t.Context(), f.ServiceAccountJSON(origin), f.Endpoint(origin))
	if err != nil || channel.warning == "" {
		t.Fatalf("got %v, want a warning", err)
	}
	t.Cleanup(channel.close)
	p := firebaseProject{fcm: f, app: f.Install(), channel: channel, origin: origin}
	if err := channel.Send(t.Context(), p.message(Prompt)); err != nil {
		t.Errorf("got %v, want nil", err)
	}
}
