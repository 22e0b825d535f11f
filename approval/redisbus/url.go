package redisbus

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	// dialWithin and commandWithin bound one attempt. Recovery is promised within
	// 2 s of Redis's return, so an attempt that hangs must end before that.
	dialWithin    = time.Second
	commandWithin = time.Second
)

// target is a parsed URL: a client, and whether it is a Cluster's.
type target struct {
	options redis.UniversalOptions
	cluster bool
}

// Schemes of the URL: one server, one server with TLS, a primary that Sentinels
// name, a Cluster; an s after redis is TLS.
const forms = "redis://[user:password@]host:port[/db], rediss:// for TLS, " +
	"redis-sentinel://[user:password@]host:port,host:port/primary-name[?db=0], redis-cluster://[user:password@]host:port,host:port"

// Check says what is wrong with a URL, nil when New would take it. It does not
// touch the network.
func Check(url string) error {
	_, err := parse(url)
	return err
}

// parse reads the URL without touching the network. Errors say what to write and
// never repeat the URL, which may hold a password.
func parse(text string) (target, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return target{}, errors.New("write " + forms)
	}
	secure := strings.HasPrefix(scheme, "rediss")
	// net/url takes one host; ours are a list.
	hosts, rest := cutHosts(rest)
	u, err := url.Parse("redis://" + rest)
	if err != nil {
		return target{}, errors.New("the part before or after the hosts cannot be read; write " + forms)
	}
	password, _ := u.User.Password()
	t := target{options: redis.UniversalOptions{
		Addrs: hosts, Username: u.User.Username(), Password: password,
		DialTimeout: dialWithin, ReadTimeout: commandWithin, WriteTimeout: commandWithin,
		// A command that failed is not repeated behind our back.
		MaxRetries: -1, ContextTimeoutEnabled: true,
		// Debian's Redis 7.0 knows neither; asking costs a refused command a connection.
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}}
	if secure {
		t.options.TLSConfig = tlsFor(hosts[0])
	}
	path, query := strings.Trim(u.Path, "/"), u.Query()
	switch strings.Replace(scheme, "rediss", "redis", 1) {
	case "redis":
		if len(hosts) != 1 {
			return target{}, errors.New("one server has one host; for several write redis-sentinel:// or redis-cluster://")
		}
		if path == "" {
			path = query.Get("db")
		}
		t.options.DB, err = database(path)
	case "redis-sentinel":
		if path == "" {
			return target{}, errors.New("redis-sentinel:// needs the primary's name as its path: redis-sentinel://host:26379/primary-name")
		}
		t.options.MasterName = path
		t.options.SentinelUsername, t.options.SentinelPassword = query.Get("sentinel_username"), query.Get("sentinel_password")
		t.options.DB, err = database(query.Get("db"))
	case "redis-cluster":
		if path != "" && path != "0" {
			return target{}, errors.New("a Cluster has one database, so redis-cluster:// takes no path")
		}
		t.cluster, t.options.IsClusterMode = true, true
	default:
		return target{}, fmt.Errorf("the scheme is not known; write %s", forms)
	}
	return t, err
}

// cutHosts takes the list of hosts out of what follows the scheme, and leaves a
// text that has one in its place.
func cutHosts(rest string) (hosts []string, one string) {
	authority, tail := rest, ""
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority, tail = rest[:i], rest[i:]
	}
	user := ""
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, authority = authority[:i+1], authority[i+1:]
	}
	for h := range strings.SplitSeq(authority, ",") {
		if h = strings.TrimSpace(h); h == "" {
			h = "localhost"
		}
		hosts = append(hosts, withPort(h))
	}
	return hosts, user + "host" + tail
}

func withPort(host string) string {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		return host
	}
	return host + ":6379"
}

func database(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, errors.New("the database must be a number, as in redis://host:6379/0")
	}
	return n, nil
}
