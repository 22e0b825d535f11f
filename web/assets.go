package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

// assetRoot is the folder of the files here and the path they are served under.
const assetRoot = "assets"

// mediaTypes names the type of every file here. Go's own table is not used
// because it also reads the machine's, and a style sheet of another type is
// refused under nosniff.
var mediaTypes = map[string]string{
	".css":         "text/css; charset=utf-8",
	".js":          "text/javascript; charset=utf-8",
	".md":          "text/plain; charset=utf-8",
	".png":         "image/png",
	".svg":         "image/svg+xml",
	".webmanifest": "application/manifest+json",
}

//go:embed assets
var assetFiles embed.FS

type asset struct {
	body      []byte
	mediaType string
	etag      string
}

type assetSet struct {
	// version hashes names and contents of all files. One version stands for
	// all of them, because a script names the scripts it imports by relative
	// path and cannot know their hashes.
	version string
	files   map[string]asset
}

// assets reads the embedded files once.
var assets = sync.OnceValue(func() assetSet {
	set := assetSet{files: map[string]asset{}}
	all := sha256.New()
	err := fs.WalkDir(assetFiles, assetRoot, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := assetFiles.ReadFile(file)
		if err != nil {
			return err
		}
		name, sum := strings.TrimPrefix(file, assetRoot+"/"), sha256.Sum256(body)
		fmt.Fprintf(all, "%s %x\n", name, sum)
		set.files[name] = asset{body, mediaTypes[path.Ext(name)], `"` + shortHash(sum[:]) + `"`}
		return nil
	})
	if err != nil {
		panic("web: embedded assets: " + err.Error()) // embed cannot fail to read what it embedded
	}
	set.version = shortHash(all.Sum(nil))
	return set
})

// shortHash keeps 64 bits of a hash: names of our own files need no protection
// against collisions, only against staleness.
func shortHash(sum []byte) string { return hex.EncodeToString(sum[:8]) }

// AssetPath returns the path under which [Assets] serves the named file, for
// example AssetPath("styles/base.css"). An unknown name is an error.
func AssetPath(name string) (string, error) {
	set := assets()
	if _, ok := set.files[name]; !ok {
		return "", fmt.Errorf("find asset %q: %w", name, fs.ErrNotExist)
	}
	return path.Join("/", assetRoot, set.version, name), nil
}

// Assets serves the static files under /assets/. A path that carries the
// current version may be cached for ever. Another version gets the current
// file, to be revalidated by its strong ETag: while nodes are replaced one by
// one, a page of one node asks another for its styles.
func Assets() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		set := assets()
		version, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"+assetRoot+"/"), "/")
		file, ok := set.files[name]
		if !ok {
			http.Error(w, "There is no such file.", http.StatusNotFound)
			return
		}
		file.serve(w, r, cacheControl(version == set.version))
	})
}

// serve answers with the file, to whoever only reads.
func (a asset) serve(w http.ResponseWriter, r *http.Request, caching string) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "This file can only be read.", http.StatusMethodNotAllowed)
		return
	}
	header := w.Header()
	header.Set("Content-Type", a.mediaType)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("ETag", a.etag)
	header.Set("Cache-Control", caching)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.body))
}

// cacheControl allows a year (the longest that caches are asked to keep
// anything, RFC 2616 section 14.21) for what never changes.
func cacheControl(immutable bool) string {
	if immutable {
		return "public, max-age=31536000, immutable"
	}
	return "no-cache"
}
