// Package contract holds HTTP replies to the OpenAPI document. Only tests import
// it: whatever exchange a test makes through its Transport, the reply must be one
// that the document describes, whether the test looks at it or not.
package contract

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// Document is a loaded OpenAPI document.
type Document struct {
	Spec   *openapi3.T
	routes []route
}

type route struct {
	path    string
	pattern *regexp.Regexp
	item    *openapi3.PathItem
}

// Load reads and validates the document.
func Load(text []byte) (*Document, error) {
	spec, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, fmt.Errorf("load document: %w", err)
	}
	if err := spec.Validate(context.Background()); err != nil {
		return nil, fmt.Errorf("validate document: %w", err)
	}
	d := &Document{Spec: spec}
	for path, item := range spec.Paths.Map() {
		for _, prefix := range Prefixes(item) {
			d.routes = append(d.routes, route{path, pattern(prefix + path), item})
		}
	}
	return d, nil
}

// Prefixes are the base paths under which a path answers.
func Prefixes(item *openapi3.PathItem) []string {
	if len(item.Servers) == 0 {
		return []string{""}
	}
	out := make([]string, len(item.Servers))
	for i, s := range item.Servers {
		out[i] = strings.TrimSuffix(s.URL, "/")
	}
	return out
}

var placeholder = regexp.MustCompile(`\\\{[a-z_]+\\\}`)

// pattern matches the paths of a template. Only the placeholders of files and
// next paths reach over slashes; they stand at the end.
func pattern(template string) *regexp.Regexp {
	quoted := regexp.QuoteMeta(template)
	quoted = strings.NewReplacer(`\{file\}`, `.+`, `\{next\}`, `.*`).Replace(quoted)
	return regexp.MustCompile("^" + placeholder.ReplaceAllString(quoted, `[^/]+`) + "$")
}

// find returns the operation of an exchange; a literal path wins over a template.
func (d *Document) find(method, path string) (found route, op *openapi3.Operation) {
	for _, r := range d.routes {
		if !r.pattern.MatchString(path) || (op != nil && strings.Contains(r.path, "{")) {
			continue
		}
		if o := r.item.GetOperation(method); o != nil {
			found, op = r, o
		}
	}
	return found, op
}

// Check reports how a reply differs from what the document says. A path or method
// that it does not have must be answered by an error.
func (d *Document) Check(req *http.Request, res *http.Response, body []byte) error {
	r, op := d.find(req.Method, req.URL.Path)
	if op == nil {
		if req.Method == http.MethodOptions || req.Method == http.MethodHead || res.StatusCode >= http.StatusBadRequest {
			return nil
		}
		return fmt.Errorf("no such operation, and yet %d", res.StatusCode)
	}
	options := &openapi3filter.Options{IncludeResponseStatus: true}
	return openapi3filter.ValidateResponse(req.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: req, Options: options,
			Route: &routers.Route{Spec: d.Spec, Path: r.path, PathItem: r.item, Method: req.Method, Operation: op},
		},
		Status: res.StatusCode, Header: res.Header, Body: io.NopCloser(bytes.NewReader(body)), Options: options,
	})
}

// Transport is next, with every reply read to its end and checked.
func (d *Document) Transport(t testing.TB, next http.RoundTripper) http.RoundTripper {
	return checked{t, d, next}
}

type checked struct {
	t        testing.TB
	document *Document
	next     http.RoundTripper
}

func (c checked) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := c.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	if err := c.document.Check(req, res, body); err != nil {
		c.t.Errorf("%s %s: the reply %d %s is not in the document: %v", req.Method, req.URL.Path, res.StatusCode, body, err)
	}
	return res, nil
}
