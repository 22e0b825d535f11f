package doctor

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// fetchWithin is for one answer of what should be a healthy server.
	fetchWithin = 5 * time.Second
	// clockLook and clockWrong are how far this clock may be from the public
	// server's. The Date header has whole seconds and travels; the iat of service
	// tokens may be off by five minutes, and passkey ceremonies and codes by none.
	clockLook  = 3 * time.Second
	clockWrong = 30 * time.Second
	// maxReply is far more than what is asked for has.
	maxReply = 64 << 10
)

// reply is what the public URL answered.
type reply struct {
	err    error
	status int
	nod    bool // it has the form of nod's own answer
	keys   string
	behind time.Duration // how far this machine's clock is behind the other's
	dated  bool
}

// fetch asks the public URL whether nod lives there, and for its keys.
func (x *exam) fetch(ctx context.Context) reply {
	client := &http.Client{
		Timeout:       fetchWithin,
		Transport:     &http.Transport{DisableKeepAlives: true}, // no proxy of the environment: phones do not have it
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	var r reply
	asked := time.Now()
	answer, body, err := get(ctx, client, x.public+"/livez") //nolint:bodyclose // get did
	if err != nil {
		return reply{err: err}
	}
	if date, err := http.ParseTime(answer.Header.Get("Date")); err == nil {
		// The header was cut to whole seconds, on average by half of one.
		r.behind, r.dated = date.Add(time.Second/2).Sub(asked.Add(time.Since(asked)/2)), true
	}
	r.status = answer.StatusCode
	var live struct{ Status string }
	r.nod = r.status == http.StatusOK && json.Unmarshal(body, &live) == nil && live.Status == "ok"
	if r.nod {
		if _, body, err = get(ctx, client, x.public+"/.well-known/jwks.json"); err == nil { //nolint:bodyclose // get did
			r.keys = string(body)
		}
	}
	return r
}

func get(ctx context.Context, client *http.Client, url string) (*http.Response, []byte, error) {
	ask, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, nil, err
	}
	answer, err := client.Do(ask)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxReply))
	return answer, body, err
}

// reached says what the public URL's answer means.
func (x *exam) reached(ctx context.Context, r reply) {
	if r.err != nil {
		x.unreached(r.err)
		return
	}
	switch {
	case r.status >= 300 && r.status < 400:
		x.find(Wrong, aboutHTTPS, fmt.Sprintf("%s redirects (status %d), and programs do not follow.", x.public, r.status),
			"Give nod a host of its own that answers by itself, and start with that as --public-url.")
	case r.status >= 502 && r.status <= 504:
		x.find(Wrong, aboutHTTPS, fmt.Sprintf("the proxy at %s answers %d: it does not reach nod.", x.public, r.status),
			"Start nod serve if it does not run, and let the proxy pass everything to http://"+x.Config.Listen+".")
	case !r.nod:
		x.find(Wrong, aboutHTTPS, fmt.Sprintf("%s answers /livez with status %d, and not as nod does: something else is there.", x.public, r.status),
			"Let the proxy pass every path of that host to http://"+x.Config.Listen+" unchanged.")
	case !x.sameKeys(ctx, r.keys):
		x.find(Wrong, aboutHTTPS, "the nod at "+x.public+" signs with other keys than those of "+x.Config.DatabaseName()+".",
			"Name the folder of that server with --data, or let the proxy pass to the server of this one.")
	default:
		x.find(OK, aboutHTTPS, x.public+" leads to the server of this database.", "")
	}
	x.compareClocks(r)
}

// unreached says why there was no answer. That nobody answers may just mean that
// the server has not been started.
func (x *exam) unreached(err error) {
	certificate, plain, name := (*tls.CertificateVerificationError)(nil), tls.RecordHeaderError{}, (*net.DNSError)(nil)
	wrapped := (*url.Error)(nil)
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	switch {
	case errors.As(err, &certificate):
		x.find(Wrong, aboutHTTPS, x.public+" has a certificate that is not accepted: "+sentence(certificate.Err),
			"Give the proxy a certificate for "+hostOf(x.public)+" with its whole chain, from an authority that phones know.")
	case errors.As(err, &plain) || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		x.find(Wrong, aboutHTTPS, "what answers at "+x.public+" speaks no TLS.",
			"nod speaks plain HTTP: put a proxy with a certificate in front of it.")
	case errors.As(err, &name) && name.IsNotFound:
		x.find(Wrong, aboutHTTPS, "the name "+hostOf(x.public)+" does not exist.",
			"Add it to the DNS with the proxy's address, or correct --public-url.")
	default:
		x.find(Look, aboutHTTPS, "nobody answers at "+x.public+" ("+err.Error()+").",
			"Start nod serve if it does not run; if it does, check the proxy and the firewall.")
	}
}

// sameKeys says whether the key that signs now is among those published there.
// Without a database nothing can be compared.
func (x *exam) sameKeys(ctx context.Context, published string) bool {
	if x.core == nil {
		return true
	}
	now, err := x.core.Store.Now(ctx)
	if err != nil {
		return false
	}
	current, err := x.core.Ring.Current(ctx, now)
	return err == nil && strings.Contains(published, current)
}

func (x *exam) compareClocks(r reply) {
	off := r.behind.Abs().Round(time.Second)
	const remedy = "Keep the time of both machines with NTP."
	switch {
	case !r.dated:
	case off >= clockWrong:
		x.find(Wrong, aboutClock, fmt.Sprintf("this machine's is %s off from that of %s; codes and tokens would be refused.", off, x.public), remedy)
	case off >= clockLook:
		x.find(Look, aboutClock, fmt.Sprintf("this machine's is %s off from that of %s.", off, x.public), remedy)
	default:
		x.find(OK, aboutClock, "it agrees with that of "+x.public+".", "")
	}
}
