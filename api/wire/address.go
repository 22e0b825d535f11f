package wire

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
)

// Address is where the request came from, as an IP address without zone or port,
// "" when there is none. Trust decides what it is; it must be in the chain.
func Address(c *gin.Context) string { return c.GetString(keyAddress) }

// Trust finds the caller's address. X-Forwarded-For counts only as far as the
// proxies named here vouch for it: read from its end, over all its lines, the
// first address that is not a trusted proxy is the caller's. With no proxies the
// header means nothing.
//
// gin's own reading looks at the first line of the header alone, so behind a
// proxy that adds a line of its own a caller could choose its address.
func Trust(proxies []netip.Prefix) gin.HandlerFunc {
	return func(c *gin.Context) {
		if a := caller(c.Request, proxies); a.IsValid() {
			c.Set(keyAddress, a.String())
		}
	}
}

func caller(r *http.Request, proxies []netip.Prefix) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	at := plain(peer.Addr())
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !trusted(at, proxies) {
			return at
		}
		next, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			return at // nobody vouches for what stands before a broken entry
		}
		at = plain(next)
	}
	return at
}

func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

func trusted(a netip.Addr, proxies []netip.Prefix) bool {
	return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(a) })
}
