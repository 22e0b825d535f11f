package web

import (
	"crypto/sha256"
	_ "embed" // for the service worker
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"sync"
)

// OfflinePath is where [OfflinePage] has to be served, to anybody: the service
// worker keeps a copy of it.
const OfflinePath = "/offline"

// WorkerPath is where [ServiceWorker] has to be served: a worker sees to what is
// below its own path, and this one to every page.
const WorkerPath = "/sw.js"

// workerPolicy lets the worker fetch from nod, icons of notifications included,
// and run nothing but itself.
const workerPolicy = "default-src 'none'; connect-src 'self'; img-src 'self'"

// offlineAssets are the files that the offline page consists of.
var offlineAssets = []string{
	"icon.svg", "scripts/clock.js", "scripts/offline.js", "scripts/page.js", "scripts/status.js", "styles/base.css", "styles/tokens.css",
}

//go:embed worker/sw.js
var workerScript string

// shell is what the worker's script has to know of this build. A worker is
// another one, and installed anew, when a byte of its script differs.
type shell struct {
	Version string   `json:"version"`
	Offline string   `json:"offline"`
	Files   []string `json:"files"`
	Icon    string   `json:"icon"`
	Badge   string   `json:"badge"`
}

// ServiceWorker serves the script that shows notifications and the offline page.
// Browsers look for a new one at every visit, so it is not to be cached without
// asking.
func ServiceWorker() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", workerPolicy)
		worker().serve(w, r, cacheControl(false))
	})
}

// worker is the script with its shell, made once.
var worker = sync.OnceValue(func() asset {
	known, err := newShell()
	if err != nil {
		panic("web: service worker: " + err.Error()) // its files are embedded, and its tests run this
	}
	body := slices.Concat([]byte("const shell = "), known, []byte(";\n"), []byte(workerScript))
	sum := sha256.Sum256(body)
	return asset{body, mediaTypes[".js"], `"` + shortHash(sum[:]) + `"`}
})

func newShell() ([]byte, error) {
	version, err := offlineVersion()
	if err != nil {
		return nil, err
	}
	files, err := assetPaths(offlineAssets...)
	if err != nil {
		return nil, err
	}
	icons, err := assetPaths("icon-192.png", "badge-96.png")
	if err != nil {
		return nil, err
	}
	return json.Marshal(shell{version, OfflinePath, files, icons[0], icons[1]})
}

func assetPaths(names ...string) ([]string, error) {
	paths := make([]string, len(names))
	for i, name := range names {
		var err error
		if paths[i], err = AssetPath(name); err != nil {
			return nil, err
		}
	}
	return paths, nil
}

// offlineVersion changes with the assets and with the templates, because the
// page that is kept is made of both.
func offlineVersion() (string, error) {
	sum := sha256.New()
	fmt.Fprintln(sum, assets().version)
	err := fs.WalkDir(templateFiles, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := templateFiles.ReadFile(name)
		fmt.Fprintf(sum, "%s %x\n", name, sha256.Sum256(text))
		return err
	})
	return shortHash(sum.Sum(nil)), err
}
