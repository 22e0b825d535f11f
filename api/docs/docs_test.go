package docs

import (
	"strings"
	"testing"
)

func TestPage_escapesWhatTheDocumentSays(t *testing.T) {
	page, err := Page([]byte(`
info: { title: "<b>x", description: "a **b** <i> `+"`c<d`"+`" }
tags: [{ name: T }]
paths:
  /x:
    get: { operationId: x, tags: [T], summary: "<s>", responses: { "200": { description: "<r>" } } }
`), Links{})
	if err != nil {
		t.Fatal(err)
	}
	got := string(page)
	for _, want := range []string{"&lt;b&gt;x", "a <strong>b</strong> &lt;i&gt; <code>c&lt;d</code>", "&lt;s&gt;", "&lt;r&gt;"} {
		if !strings.Contains(got, want) {
			t.Errorf("the page has no %s", want)
		}
	}
}

func TestPage_refusesWhatItDoesNotUnderstand(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":           "",
		"not YAML":          "{",
		"an unknown tag":    `paths: { /x: { get: { tags: [T] } } }`,
		"no tag":            `paths: { /x: { get: {} } }`,
		"a dead reference":  `{ tags: [{ name: T }], paths: { /x: { get: { tags: [T], responses: { "200": { $ref: "#/x" } } } } } }`,
		"another reference": `{ tags: [{ name: T }], paths: { /x: { get: { tags: [T], responses: { "200": { $ref: "y.yaml" } } } } } }`,
	} {
		if _, err := Page([]byte(text), Links{}); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}
