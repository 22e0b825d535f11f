package api

import (
	_ "embed"
	"net/http"
	"sync"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/api/docs"
	"github.com/nod-auth/nod/web"
)

const (
	documentPath = "/docs/openapi.yaml"
	stylePath    = "/docs/docs.css"
)

// openAPI is the HTTP contract as text.
//
//go:embed openapi.yaml
var openAPI []byte

// OpenAPI returns the document that describes every route, as YAML.
func OpenAPI() []byte { return openAPI }

// docsPage renders the document to read, once and not before somebody asks: it is 20 ms
// of work that no start should wait for. A test asks.
var docsPage = sync.OnceValues(func() ([]byte, error) {
	tokens, err := web.AssetPath("styles/tokens.css")
	if err != nil {
		return nil, err
	}
	icon, err := web.AssetPath("icon.svg")
	if err != nil {
		return nil, err
	}
	return docs.Page(openAPI, docs.Links{Styles: []string{tokens, stylePath}, Icon: icon, Document: documentPath})
})

func (s shared) docs(c *gin.Context) error {
	page, err := docsPage()
	if err != nil {
		return err
	}
	c.Header("Content-Security-Policy", docs.ContentSecurityPolicy)
	c.Data(http.StatusOK, "text/html; charset=utf-8", page)
	return nil
}

func (s shared) docsStyle(c *gin.Context) error {
	c.Data(http.StatusOK, "text/css; charset=utf-8", docs.Style)
	return nil
}

func (s shared) document(c *gin.Context) error {
	c.Data(http.StatusOK, "application/yaml; charset=utf-8", openAPI)
	return nil
}
