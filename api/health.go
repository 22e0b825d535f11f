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

// ready says whether requests can be served; ?verbose adds what was looked at. A
// part that requests can do without is named when it is hurt, and does not make
// the node unready. Why the store does not answer stands in the log alone.
func (s shared) ready(c *gin.Context) error {
	ctx, cancel := context.WithTimeout(c.Request.Context(), readyWithin)
	defer cancel()
	err := s.Ready(ctx)
	answer := gin.H{"status": "ok"}
	if _, verbose := c.GetQuery("verbose"); verbose {
		answer["checks"] = s.checks(err)
	}
	if err != nil {
		delete(answer, "status")
		return &wire.Error{
			Status: http.StatusServiceUnavailable, Code: "service_unavailable", Extra: answer,
			Message: "Not ready to serve.", RetryAfter: retryUnready, Cause: fmt.Errorf("not ready: %w", err),
		}
	}
	c.JSON(http.StatusOK, answer)
	return nil
}

// checks says of each part ok, failed or, in a sentence, what is hurt about it.
func (s shared) checks(store error) gin.H {
	out := gin.H{"store": "ok"}
	if store != nil {
		out["store"] = "failed"
	}
	for name, hurt := range s.Parts() {
		out[name] = "ok"
		if hurt != nil {
			out[name] = hurt.Error()
		}
	}
	return out
}
