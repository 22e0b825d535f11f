package soak

import (
	"context"
	"fmt"
	"strings"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// lines are the connections that can be made bad: toxiproxy, in this process.
type lines struct {
	t      *testing.T
	server *toxiproxy.ApiServer
}

func newLines(t *testing.T) *lines {
	return &lines{t, toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())}
}

// between opens a port that leads upstream until the test ends.
func (l *lines) between(name, upstream string) *toxiproxy.Proxy {
	l.t.Helper()
	p := toxiproxy.NewProxy(l.server, name, freeAddress(l.t), upstream)
	if err := p.Start(); err != nil {
		l.t.Fatalf("line %s: %v", name, err)
	}
	l.t.Cleanup(p.Stop)
	return p
}

// spoil makes the replies on a line bad, as toxiproxy calls it, until heal.
func spoil(p *toxiproxy.Proxy, kind, attributes string) error {
	toxic := fmt.Sprintf(`{"name": "bad", "type": %q, "stream": "downstream", "toxicity": 1, "attributes": {%s}}`, kind, attributes)
	if _, err := p.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
		return fmt.Errorf("spoil %s: %w", p.Name, err)
	}
	return nil
}

func heal(p *toxiproxy.Proxy) { p.Toxics.ResetToxics(context.Background()) }
