package api

import "github.com/gin-gonic/gin"

// Routes is the table of all routes.
func Routes(c Config) (gin.RoutesInfo, error) {
	e, err := c.engine()
	if err != nil {
		return nil, err
	}
	return e.Routes(), nil
}
