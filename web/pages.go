package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"path"
)

// ContentSecurityPolicy is the strictest policy under which every page of this
// package works; serve it with each of them.
const ContentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; manifest-src 'self'; worker-src 'self'"

//go:embed templates
var templateFiles embed.FS

// Pages holds the parsed templates. It is immutable and safe for concurrent use.
type Pages struct {
	byFile map[string]*template.Template
}

// New parses the templates. An error means that the program was built from
// broken files.
func New() (*Pages, error) {
	base, err := template.New("layout.html").Funcs(functions).
		ParseFS(templateFiles, "templates/layout.html", "templates/parts/*.html")
	if err != nil {
		return nil, fmt.Errorf("parse layout: %w", err)
	}
	files, err := fs.Glob(templateFiles, "templates/pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("list templates: %w", err)
	}
	pages := &Pages{byFile: make(map[string]*template.Template, len(files))}
	for _, file := range files {
		if pages.byFile[path.Base(file)], err = parsePage(base, file); err != nil {
			return nil, err
		}
	}
	return pages, nil
}

// parsePage gives a page its own copy of the layout, because every page
// defines the layout's blocks under the same names.
func parsePage(base *template.Template, file string) (*template.Template, error) {
	page, err := base.Clone()
	if err != nil {
		return nil, fmt.Errorf("copy layout for %s: %w", file, err)
	}
	if page, err = page.ParseFS(templateFiles, file); err != nil {
		return nil, fmt.Errorf("parse %s: %w", file, err)
	}
	return page, nil
}

// Render writes the page as HTML. The template runs before the first byte is
// written, so an error of the template leaves w untouched.
func (p *Pages) Render(w io.Writer, page Page) error {
	file := page.template()
	var body bytes.Buffer
	if err := p.byFile[file].Execute(&body, page); err != nil {
		return fmt.Errorf("render %s: %w", file, err)
	}
	if _, err := body.WriteTo(w); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}
