package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/api/wire"
)

const (
	readyWithin  = 2 * time.Second // orchestrators give up after one or a few
	retryUnready = 2 * time.Second
)

// live answers as long as the process can.
func (s shared) live(c *gin.Context) error {
	c.JSON(http.StatusOK, gin.H{"status": "ok"})
	return nil
}

// ready says whether requests can be served; ?verbose adds what was looked at.
// Why it is not ready stands in the log, not in the answer.
func (s shared) ready(c *gin.Context) error {
	ctx, cancel := context.WithTimeout(c.Request.Context(), readyWithin)
	defer cancel()
	err := s.Ready(ctx)
	_, verbose := c.GetQuery("verbose")
	if err != nil {
		e := &wire.Error{
			Status: http.StatusServiceUnavailable, Code: "service_unavailable",
			Message: "Not ready to serve.", RetryAfter: retryUnready, Cause: fmt.Errorf("not ready: %w", err),
		}
		if verbose {
			e.Extra = gin.H{"checks": gin.H{"store": "failed"}}
		}
		return e
	}
	answer := gin.H{"status": "ok"}
	if verbose {
		answer["checks"] = gin.H{"store": "ok"}
	}
	c.JSON(http.StatusOK, answer)
	return nil
}
