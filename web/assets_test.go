package web

import (
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"
)

func requestAsset(method, target string, header http.Header) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, target, nil)
	if header != nil {
		request.Header = header
	}
	answer := httptest.NewRecorder()
	Assets().ServeHTTP(answer, request)
	return answer
}

func TestAssets_everyFileHasATypeAndACacheLife(t *testing.T) {
	for name := range assets().files {
		target, err := AssetPath(name)
		if err != nil {
			t.Fatalf("AssetPath(%q): %v", name, err)
		}
		answer := requestAsset(http.MethodGet, target, nil)
		if answer.Code != http.StatusOK || answer.Body.Len() == 0 {
			t.Errorf("GET %s = %d with %d bytes", target, answer.Code, answer.Body.Len())
		}
		for header, want := range map[string]string{
			"Content-Type":           mediaTypes[path.Ext(name)],
			"Cache-Control":          "public, max-age=31536000, immutable",
			"X-Content-Type-Options": "nosniff",
		} {
			if got := answer.Header().Get(header); got == "" || got != want {
				t.Errorf("GET %s: %s is %q, want %q", target, header, got, want)
			}
		}
	}
}

func TestAssets_anotherVersionIsServedButRevalidated(t *testing.T) {
	answer := requestAsset(http.MethodGet, "/assets/0123456789abcdef/styles/base.css", nil)
	if got, want := answer.Header().Get("Cache-Control"), "no-cache"; answer.Code != http.StatusOK || got != want {
		t.Errorf("other version: %d, Cache-Control %q, want 200 and %q", answer.Code, got, want)
	}
	known := http.Header{"If-None-Match": {answer.Header().Get("ETag")}}
	if again := requestAsset(http.MethodGet, "/assets/0123456789abcdef/styles/base.css", known); again.Code != http.StatusNotModified {
		t.Errorf("same ETag again: %d, want 304", again.Code)
	}
}

func TestAssets_whatIsNoFileIsRefused(t *testing.T) {
	for _, target := range []string{"/assets/", "/assets/x", "/assets/x/", "/assets/x/styles", "/assets/x/styles/", "/assets/x/../pages.go", "/assets/x/none.css"} {
		if answer := requestAsset(http.MethodGet, target, nil); answer.Code != http.StatusNotFound {
			t.Errorf("GET %s = %d, want 404", target, answer.Code)
		}
	}
	answer := requestAsset(http.MethodPost, "/assets/x/icon.svg", nil)
	if got := answer.Header().Get("Allow"); answer.Code != http.StatusMethodNotAllowed || got != "GET, HEAD" {
		t.Errorf("POST = %d, Allow %q, want 405 and \"GET, HEAD\"", answer.Code, got)
	}
}

func TestAssetPath_unknownNameIsAnError(t *testing.T) {
	if _, err := AssetPath("styles/none.css"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("AssetPath of nothing: %v, want %v", err, fs.ErrNotExist)
	}
}

var imports = regexp.MustCompile(`(?m)^import (?:[^'"]* from )?'([^']+)';$`)

func TestScripts_importOnlyWhatIsServed(t *testing.T) {
	for name, file := range assets().files {
		if !strings.HasPrefix(name, "scripts/") {
			continue
		}
		for _, found := range imports.FindAllStringSubmatch(string(file.body), -1) {
			if target := path.Join(path.Dir(name), found[1]); assets().files[target].body == nil {
				t.Errorf("%s imports %s, which is not there", name, target)
			}
		}
	}
}

var fetched = regexp.MustCompile(`url\(|@import|https?://`)

func TestStyles_fetchNothingAndKeepColoursInOnePlace(t *testing.T) {
	colour := regexp.MustCompile(`#[0-9a-f]{3,8}\b|oklch\(|rgba?\(`)
	for name, file := range assets().files {
		if path.Ext(name) != ".css" {
			continue
		}
		if found := fetched.FindString(string(file.body)); found != "" {
			t.Errorf("%s contains %q", name, found)
		}
		if found := colour.FindString(strings.ReplaceAll(string(file.body), "#left", "")); found != "" && name != "styles/tokens.css" {
			t.Errorf("%s holds the colour %q, which belongs in tokens.css", name, found)
		}
	}
}
