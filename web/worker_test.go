package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestServiceWorker_isServedToBeAskedForAgain(t *testing.T) {
	answer := httptest.NewRecorder()
	ServiceWorker().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, WorkerPath, nil))
	for header, want := range map[string]string{
		"Content-Type": "text/javascript; charset=utf-8", "Cache-Control": "no-cache",
		"X-Content-Type-Options": "nosniff", "Content-Security-Policy": workerPolicy,
	} {
		if got := answer.Header().Get(header); answer.Code != http.StatusOK || got != want {
			t.Errorf("GET %s: %d, %s is %q, want %q", WorkerPath, answer.Code, header, got, want)
		}
	}
	again := httptest.NewRequest(http.MethodGet, WorkerPath, nil)
	again.Header.Set("If-None-Match", answer.Header().Get("ETag"))
	second := httptest.NewRecorder()
	ServiceWorker().ServeHTTP(second, again)
	if second.Code != http.StatusNotModified {
		t.Errorf("same ETag again: %d, want 304", second.Code)
	}
}

// servedShell reads the line that stands in front of the script.
func servedShell(t *testing.T) shell {
	t.Helper()
	line, _, _ := bytes.Cut(worker().body, []byte(";\n"))
	var known shell
	if err := json.Unmarshal(bytes.TrimPrefix(line, []byte("const shell = ")), &known); err != nil {
		t.Fatalf("first line of the worker: %v", err)
	}
	return known
}

func TestServiceWorker_keepsAllThatTheOfflinePageNeeds(t *testing.T) {
	known := servedShell(t)
	for _, tag := range tags(t, render(t, OfflinePage{})) {
		file := tag.attributes["src"]
		if rel := tag.attributes["rel"]; rel == "stylesheet" || rel == "icon" {
			file = tag.attributes["href"]
		}
		if file != "" && !slices.Contains(known.Files, file) {
			t.Errorf("the page needs %s, which is not kept", file)
		}
	}
	for _, file := range known.Files {
		answer := requestAsset(http.MethodGet, file, nil)
		if answer.Code != http.StatusOK {
			t.Errorf("GET %s = %d: without it no worker is installed", file, answer.Code)
		}
		for _, found := range imports.FindAllStringSubmatch(answer.Body.String(), -1) {
			if needed := path.Join(path.Dir(file), found[1]); !slices.Contains(known.Files, needed) {
				t.Errorf("%s imports %s, which is not kept", file, needed)
			}
		}
	}
	for _, icon := range []string{known.Icon, known.Badge} {
		if answer := requestAsset(http.MethodGet, icon, nil); answer.Code != http.StatusOK {
			t.Errorf("GET %s = %d", icon, answer.Code)
		}
	}
}

// notification is what the worker shows.
type notification struct {
	Title, Body, Tag                     string
	RequireInteraction, Silent, Renotify bool
	Actions                              []any
	Data                                 struct{ Path string }
}

// runWorker hands the worker messages, and after one without data the taps on
// notifications that lead to paths.
func runWorker(t *testing.T, messages, paths []string) (shown []notification, opened []string) {
	t.Helper()
	in, err := json.Marshal(map[string]any{"script": string(worker().body), "messages": messages, "paths": paths})
	if err != nil {
		t.Fatal(err)
	}
	run := exec.CommandContext(t.Context(), node(t), "testdata/worker.mjs")
	run.Stdin = bytes.NewReader(in)
	var faults strings.Builder
	run.Stderr = &faults
	out, err := run.Output()
	if err != nil {
		t.Fatalf("run worker: %v\n%s", err, faults.String())
	}
	var did struct {
		Shown  []notification
		Opened []string
	}
	if err := json.Unmarshal(out, &did); err != nil {
		t.Fatalf("worker's report: %v\n%s", err, out)
	}
	return did.Shown, did.Opened
}

// node finds Node.js, or skips the test; where nothing may be skipped it fails.
func node(t *testing.T) string {
	t.Helper()
	found, err := exec.LookPath("node")
	switch {
	case err == nil:
	case os.Getenv("TEST_REQUIRE_ALL") == "1":
		t.Fatal("TEST_REQUIRE_ALL is set, and there is no node: install Debian's package nodejs")
	default:
		t.Skip("there is no node, so scripts are not run: install Debian's package nodejs, or run make test")
	}
	return found
}

func TestServiceWorker_saysFixedWordsAndLeadsToFixedPaths(t *testing.T) {
	handle := strings.Repeat("A-_9", 11)
	soon, past := time.Now().Add(time.Hour).Format(time.RFC3339), time.Now().Add(-time.Hour).Format(time.RFC3339)
	tests := []struct{ message, body, path string }{
		{fmt.Sprintf(`{"type":"prompt","id":%q,"expires_at":%q}`, handle, soon), "A request waits for your answer. Open to see it.", "/a/" + handle},
		{fmt.Sprintf(`{"type":"prompt","id":%q,"expires_at":%q}`, handle, past), "This request has run out.", "/a/" + handle},
		{fmt.Sprintf(`{"type":"prompt","id":%q}`, handle), "A request waits for your answer. Open to see it.", "/a/" + handle},
		{`{"type":"notice","notice":"code_authorized"}`, "A device may be let in with a code made for you. Open to see.", "/activity"},
		{`{"type":"notice","notice":"passkey_suspended"}`, "A passkey of yours was stopped. Open to see why.", "/activity"},
		{`{"type":"notice","notice":"passkey_added"}`, "A passkey was added to your account. Open to see.", "/activity"},
		{`{"type":"notice","notice":"recovery_codes_made"}`, "New recovery codes were made for you. Open to see.", "/activity"},
		{`{"type":"notice","notice":"recovery_code_used"}`, "A recovery code was used and you were signed out everywhere. Open to see.", "/activity"},
		{`{"type":"test"}`, "This is a test. This phone can be reached.", "/notifications"},
		{`{"type":"prompt","id":"../../evil/AAAAAAAAAAAAAAAAAAAA"}`, "Something happened. Open to see what.", "/"},
		{`{"type":"prompt","id":["AAAAAAAAAAAAAAAAAAAAAAAA"]}`, "Something happened. Open to see what.", "/"},
		{`{"type":"prompt","id":"short"}`, "Something happened. Open to see what.", "/"},
		{`{"type":"notice","notice":"__proto__","title":"Pay now","body":"482913"}`, "Something happened. Open to see what.", "/activity"},
		{`{"type":"approve","actions":[{"action":"approve"}]}`, "Something happened. Open to see what.", "/activity"},
		{`null`, "Something happened. Open to see what.", "/activity"},
		{`not JSON`, "Something happened. Open to see what.", "/activity"},
	}
	messages := make([]string, len(tests))
	for i, test := range tests {
		messages[i] = test.message
	}
	shown, _ := runWorker(t, messages, []string{})
	if got, want := len(shown), len(tests)+1; got != want {
		t.Fatalf("%d notifications, want one for each of %d messages", got, want)
	}
	for i, test := range tests {
		got := shown[i]
		if got.Title != "nod" || got.Body != test.body || got.Data.Path != test.path || got.Tag == "" || len(got.Actions) != 0 {
			t.Errorf("message %s: shows %+v, want %q leading to %s, tagged, without actions", test.message, got, test.body, test.path)
		}
	}
	live, over := shown[0], shown[1]
	if !live.RequireInteraction || !live.Renotify || live.Silent {
		t.Errorf("a prompt is %+v, want one that stays and is heard", live)
	}
	if over.RequireInteraction || over.Renotify || !over.Silent || over.Tag != live.Tag {
		t.Errorf("a prompt that has run out is %+v, want a quiet one in the place of the first", over)
	}
}

func TestServiceWorker_tapLeadsNowhereElse(t *testing.T) {
	handle := "/a/" + strings.Repeat("x", 43)
	paths := []string{handle, "/activity", "/notifications", "/", "//evil.example", "https://evil.example/", "/a/../r/1", "/a/" + strings.Repeat("x", 81), "/phone/signout", ""}
	want := []string{handle, "/activity", "/notifications", "/", "/", "/", "/", "/", "/", "/"}
	if _, got := runWorker(t, []string{}, paths); !slices.Equal(got, want) {
		t.Errorf("taps open %q, want %q", got, want)
	}
}

func TestScripts_parse(t *testing.T) {
	node := node(t)
	check := func(name, kind string, body []byte) {
		run := exec.CommandContext(t.Context(), node, "--check", "--input-type="+kind)
		run.Stdin = bytes.NewReader(body)
		if out, err := run.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	check(WorkerPath, "commonjs", worker().body)
	for name, file := range assets().files {
		if strings.HasPrefix(name, "scripts/") {
			check(name, "module", file.body)
		}
	}
}
