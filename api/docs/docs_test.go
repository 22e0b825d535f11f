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

func TestPage_showsExamplesAsTheyAreSent(t *testing.T) {
	page, err := Page([]byte(`
tags: [{ name: T }]
paths:
  /x:
    get: &shared
      operationId: get
      tags: [T]
      summary: First
      requestBody: { content: { application/x-www-form-urlencoded: { schema: {}, example: { scope: "openid <b>", id: 3qY= } } } }
      responses: { "200": { description: d, content: { application/json: { schema: {}, example: { user: ada, n: [1, true], in: { e: 5 } } } } } }
    post: { <<: *shared, operationId: post, summary: Second }
`), Links{})
	if err != nil {
		t.Fatal(err)
	}
	got := string(page)
	for _, want := range []string{
		"<code>scope=openid&#43;%3Cb%3E\n&amp;id=3qY%3D</code>",
		"<code>{\n  &#34;user&#34;: &#34;ada&#34;,\n  &#34;n&#34;: [1, true],\n  &#34;in&#34;: {\n    &#34;e&#34;: 5\n  }\n}</code>",
	} {
		if n := strings.Count(got, want); n != 2 { // the second operation takes them over
			t.Errorf("the page has %d times %s, want 2\n%s", n, want, got)
		}
	}
	if strings.Count(got, "<h3>First</h3>") != 1 || strings.Count(got, "<h3>Second</h3>") != 1 {
		t.Error("an operation that takes over another lost its own summary")
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
