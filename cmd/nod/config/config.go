// Package config is nod's configuration: one struct, filled from defaults, a
// YAML file, the environment and flags, each overriding the one before.
//
// A setting has one name everywhere: public-url in the file, NOD_PUBLIC_URL in
// the environment, --public-url on the command line. What cannot be understood
// stops the start, and everything that is wrong is reported at once, each thing
// in one sentence that says what to do. A setting of the file that nod does not
// know is such a fault, because it is a typing error; an unknown NOD_ variable
// is only a warning, because platforms set variables of their own (Kubernetes
// does, for a service that is called nod).
//
// A secret can also be given as the path of a file that holds it, which is how
// container platforms hand secrets out: smtp-url-file stands for smtp-url. Where
// the same place names both, that is a fault; otherwise the later place wins.
//
// The package reads the file and the variables it is given, and the files of
// secrets, and touches nothing else: no folder is made, no address is looked up.
package config

import (
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/sqlstore"
)

// Config is everything that can be set. Load and Default return it checked.
type Config struct {
	// Listen is the host:port that nod answers on, plain HTTP. TLS is the
	// business of a proxy in front of it.
	Listen string
	// PublicURL is the origin people and programs use, scheme://host[:port]:
	// it is in every link and QR code, is the tokens' issuer and the one origin
	// that may approve. "" until At fills it in from the port listened on.
	PublicURL string
	// Data is the folder of the database and the master key.
	Data string
	// DatabaseURL is where the truth is: postgres://… on a server that several nodes
	// share, sqlite:path for a file. "": the file nod.db in Data.
	DatabaseURL account.Secret
	// RedisURL is what carries wakes between nodes. "": this node is alone.
	RedisURL account.Secret
	// RPID is the domain that passkeys belong to (WebAuthn L3, "relying party
	// identifier"): the public URL's host or a registrable parent of it. It can
	// never change once passkeys exist. "" until At fills in the host.
	RPID string
	// MasterKeyFile holds the key that everything secret in the database hangs
	// on. "": master.key in Data, made on the first start.
	MasterKeyFile string

	// TrustedProxies are those whose X-Forwarded-For is believed. None by default.
	TrustedProxies []netip.Prefix
	// WaitHold is how long a wait is held open, at most 120 s: the vendor's
	// clients expect an answer within two minutes (native contract, "Wait").
	WaitHold time.Duration
	// MaxWaitsPerAddress bounds the waits one address may hold open.
	MaxWaitsPerAddress int
	// MaxWaitsPerClient bounds the waits that bring a service token: they count
	// for their client and not for their address. 0: MaxWaits.
	MaxWaitsPerClient int
	// MaxWaits bounds the waits of this node. 0: from the open-file limit.
	MaxWaits int

	// GuessesPerUser, PerAddress and PerClient bound wrong codes in two minutes,
	// GuessesPerUserHourly those of a user in an hour (threats B1).
	GuessesPerUser       int
	GuessesPerUserHourly int
	GuessesPerAddress    int
	GuessesPerClient     int

	// ShortLife, LongLife and PhraseLife are how long codes of each type live.
	ShortLife  time.Duration
	LongLife   time.Duration
	PhraseLife time.Duration
	// TokenLife is how long the token of a new device is valid.
	TokenLife time.Duration
	// TokenWindow is how far the iat of a backend's service token may be from
	// nod's clock, in either direction.
	TokenWindow time.Duration

	// PushContact is whom a push service asks when our messages trouble it: the
	// VAPID claim "sub" (RFC 8292 section 2.1), mailto: or https:. "": the public
	// URL, where that is https.
	PushContact string
	// PushServices are the push services that phones may name, as
	// push.ParseServices reads them. Nil: those of the common browsers.
	PushServices []string
	// PushAllowNetworks are ranges of private addresses that what nod sends may
	// reach all the same: an ntfy on the LAN, say.
	PushAllowNetworks []netip.Prefix
	// FCMCredentialsFile is the service account with which nod reaches
	// applications through Firebase. "": it does not.
	FCMCredentialsFile string
	// FCMEndpoint is used in place of Google's. "": Google's.
	FCMEndpoint string
	// SMTPURL and SMTPFrom are how mail leaves and whom it is from. "": no mail.
	SMTPURL  account.Secret
	SMTPFrom string
	// PushWebhookURL and PushWebhookSecret are where every message is also posted,
	// signed (Standard Webhooks). "": nowhere.
	PushWebhookURL    string
	PushWebhookSecret account.Secret
	// PushLog writes every message to the log, for development.
	PushLog bool
	// GeoIP is a MaxMind database of cities or countries. "": nod knows no places.
	GeoIP string

	// MetricsListen is the host:port of a second listener for /metrics. "": none.
	MetricsListen string
	// LogJSON chooses JSON lines over readable text.
	LogJSON bool
	// LogLevel is the least important level that is logged.
	LogLevel slog.Level
}

// Default is what applies when nothing is set.
func Default() Config {
	var c Config
	for _, s := range settings {
		if err := s.set(&c, s.otherwise); err != nil {
			panic("default of " + s.key + ": " + err.Error()) // a test covers every one
		}
	}
	return c
}

// At fills in what follows from the address that is really listened on: with no
// public URL set it is http://localhost with that port, and with no RP ID it is
// the public URL's host.
func (c Config) At(listening string) Config {
	if c.PublicURL == "" {
		_, port, _ := net.SplitHostPort(listening)
		c.PublicURL = "http://localhost:" + port
	}
	if c.RPID == "" {
		c.RPID = c.publicHost()
	}
	return c
}

// Database is where the truth is, as sqlstore.Open takes it.
func (c Config) Database() string {
	if c.DatabaseURL == "" {
		return filepath.Join(c.Data, databaseName)
	}
	return c.DatabaseURL.Reveal()
}

const databaseName = "nod.db"

// DatabaseName says where the truth is without giving a password away.
func (c Config) DatabaseName() string {
	if u, err := url.Parse(c.Database()); err == nil && sqlstore.IsServer(c.Database()) {
		return "the database " + strings.Trim(u.Path, "/") + " on " + u.Host
	}
	return strings.TrimPrefix(c.Database(), "sqlite:")
}

// publicHost is the host of the public URL, which was checked before.
func (c Config) publicHost() string {
	if c.PublicURL == "" {
		return localhost
	}
	u, err := url.Parse(c.PublicURL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
