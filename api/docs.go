package api

import (
	_ "embed"
	"net/http"

	"github.com/gin-gonic/gin"
)

// openAPI is the HTTP contract as text.
//
//go:embed openapi.yaml
var openAPI []byte

// OpenAPI returns the document that describes every route, as YAML.
func OpenAPI() []byte { return openAPI }

func (s shared) document(c *gin.Context) error {
	c.Data(http.StatusOK, "application/yaml; charset=utf-8", openAPI)
	return nil
}

func (s shared) docs(c *gin.Context) error {
	c.Data(http.StatusOK, "text/html; charset=utf-8", nil)
	return nil
}
