// Package docs turns the OpenAPI document into one page to read, without a
// network, without scripts and under the strictest content security policy.
//
// It understands the part of OpenAPI that nod's own document uses, and reports
// what it does not understand as an error, so that a test finds it and not a
// reader. The page lists everything in the document's order.
package docs

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"strings"
)

// Style is the page's style sheet; its colours are those of web's tokens.css.
//
//go:embed docs.css
var Style []byte

//go:embed docs.html
var pageText string

// ContentSecurityPolicy is what the page works under.
const ContentSecurityPolicy = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Links are the addresses the page refers to.
type Links struct {
	Styles   []string // in order
	Icon     string
	Document string // the OpenAPI document itself
}

// Page renders the document.
func Page(openAPI []byte, links Links) ([]byte, error) {
	d, err := read(openAPI)
	if err != nil {
		return nil, fmt.Errorf("read document: %w", err)
	}
	t, err := template.New("docs").Funcs(template.FuncMap{"prose": prose, "line": line, "id": anchor}).Parse(pageText)
	if err != nil {
		return nil, fmt.Errorf("parse page: %w", err)
	}
	var out bytes.Buffer
	err = t.Execute(&out, struct {
		document
		Links Links
	}{d, links})
	if err != nil {
		return nil, fmt.Errorf("render page: %w", err)
	}
	return out.Bytes(), nil
}

// prose writes the document's descriptions: paragraphs, **bold** and `code`.
func prose(text string) template.HTML {
	var out strings.Builder
	for paragraph := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		if paragraph != "" {
			out.WriteString("<p>" + string(line(paragraph)) + "</p>\n")
		}
	}
	return template.HTML(out.String()) //nolint:gosec // line escapes everything
}

// line is prose within a paragraph.
func line(text string) template.HTML {
	text = template.HTMLEscapeString(strings.Join(strings.Fields(text), " "))
	text = pairs(text, "`", "<code>", "</code>")
	text = pairs(text, "**", "<strong>", "</strong>")
	return template.HTML(text) //nolint:gosec // escaped above
}

// pairs replaces a mark around a text by tags; an odd last one stays.
func pairs(text, mark, before, after string) string {
	parts := strings.Split(text, mark)
	var out strings.Builder
	out.WriteString(parts[0])
	for i := 1; i < len(parts); i += 2 {
		if i+1 == len(parts) {
			out.WriteString(mark + parts[i])
			break
		}
		out.WriteString(before + parts[i] + after + parts[i+1])
	}
	return out.String()
}

// anchor makes a fragment identifier of a name.
func anchor(name string) string {
	return strings.ToLower(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, name))
}
