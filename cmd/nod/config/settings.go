package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/nod-auth/nod/approval/account"
)

// setting is one row of the table below. set stores a value in text form; its
// error is the second half of a sentence that begins with the setting's name.
type setting struct {
	key       string
	kind      string // what help texts show in place of a value
	otherwise string // the default
	usage     string
	set       func(c *Config, text string) error
}

// settings is every setting, in the order of help texts.
var settings = []setting{
	{"listen", "host:port", "127.0.0.1:8080", "address to answer on; plain HTTP, TLS is for a proxy in front",
		into(address, func(c *Config) *string { return &c.Listen })},
	{"public-url", "url", "", "address that people and programs use (default: http://localhost with the port of --listen)",
		into(optional(publicURL), func(c *Config) *string { return &c.PublicURL })},
	{"data", "dir", "nod-data", "folder of the database and the master key",
		into(required, func(c *Config) *string { return &c.Data })},
	{"database-url", secretKind, "", "postgres://user:password@host:5432/database, which several nodes can share, or sqlite:path (default: nod.db in --data)",
		into(databaseURL, func(c *Config) *account.Secret { return &c.DatabaseURL })},
	{"redis-url", secretKind, "", "what carries wakes between nodes: redis://, rediss://, redis-sentinel:// or redis-cluster:// (default: this node is alone)",
		into(redisURL, func(c *Config) *account.Secret { return &c.RedisURL })},
	{"rp-id", "domain", "", "domain that passkeys belong to, for good (default: the host of --public-url)",
		into(optional(domain), func(c *Config) *string { return &c.RPID })},
	{"master-key-file", "file", "", "file of the master key (default: master.key in --data, made on the first start)",
		into(anything, func(c *Config) *string { return &c.MasterKeyFile })},
	{"trusted-proxies", "list", "", "addresses or networks whose X-Forwarded-For is believed, separated by commas (default: none)",
		into(networks("would believe anybody; name the networks of your own proxies"), trustedProxies)},

	{"wait-hold", "duration", "120s", "how long a wait is held open, at most 120s",
		into(span(1*second, 120*second), func(c *Config) *duration { return &c.WaitHold })},
	{"max-waits-per-address", "number", "50", "waits that one address may hold open",
		into(number(1), func(c *Config) *int { return &c.MaxWaitsPerAddress })},
	{"max-waits-per-client", "number", "0", "waits with a token that one client may hold open (default: as --max-waits)",
		into(number(0), func(c *Config) *int { return &c.MaxWaitsPerClient })},
	{"max-waits", "number", "0", "waits that this node holds open (default: what the open-file limit allows)",
		into(number(0), func(c *Config) *int { return &c.MaxWaits })},

	{"guesses-per-user", "number", "5", "wrong codes of one user in 2 minutes",
		into(number(1), func(c *Config) *int { return &c.GuessesPerUser })},
	{"guesses-per-user-hourly", "number", "10", "wrong codes of one user in an hour",
		into(number(1), func(c *Config) *int { return &c.GuessesPerUserHourly })},
	{"guesses-per-address", "number", "20", "wrong codes from one address (IPv6: one /64) in 2 minutes",
		into(number(1), func(c *Config) *int { return &c.GuessesPerAddress })},
	{"guesses-per-client", "number", "200", "wrong codes through one client in 2 minutes",
		into(number(1), func(c *Config) *int { return &c.GuessesPerClient })},

	{"code-life-short", "duration", "3m", "how long a six-digit code lives",
		into(span(1*second, hour), func(c *Config) *duration { return &c.ShortLife })},
	{"code-life-long", "duration", "10m", "how long a 32-character code lives",
		into(span(1*second, hour), func(c *Config) *duration { return &c.LongLife })},
	{"code-life-phrase", "duration", "10m", "how long a four-word code lives",
		into(span(1*second, hour), func(c *Config) *duration { return &c.PhraseLife })},
	{"token-life", "duration", "10m", "how long the token of a new device is valid",
		into(span(10*second, 24*hour), func(c *Config) *duration { return &c.TokenLife })},
	{"service-token-window", "duration", "300s", "how far the time in a backend's service token may be off",
		into(span(10*second, hour), func(c *Config) *duration { return &c.TokenWindow })},

	{"push-contact", "url", "", "whom push services ask about nod's messages, mailto:… or https://… (default: --public-url if it is https)",
		into(optional(contact), func(c *Config) *string { return &c.PushContact })},
	{"push-services", "list", "", "push services that phones may use: host, *.host, an origin, or default for those of the common browsers (default: these)",
		into(services, func(c *Config) *[]string { return &c.PushServices })},
	{"push-allow-networks", "list", "", "private networks that push and webhooks may reach all the same (default: none)",
		into(networks("would let phones make nod call anything inside; name the network of the one service"), func(c *Config) *[]netip.Prefix { return &c.PushAllowNetworks })},
	{"fcm-credentials-file", "file", "", "service account (JSON) of the Firebase project of your own app (default: no Firebase)",
		into(anything, func(c *Config) *string { return &c.FCMCredentialsFile })},
	{"fcm-endpoint", "url", "", "where Firebase's messages go instead of Google, for tests",
		into(optional(webAddress), func(c *Config) *string { return &c.FCMEndpoint })},
	{"smtp-url", secretKind, "", "mail server, smtp://user:password@host:587 or smtps://…:465 (default: no mail)",
		into(smtpURL, func(c *Config) *account.Secret { return &c.SMTPURL })},
	{"smtp-from", "address", "", "whom mail is from, like nod <nod@example.com>",
		into(optional(mailbox), func(c *Config) *string { return &c.SMTPFrom })},
	{"push-webhook-url", "url", "", "where prompts are also posted, signed as in Standard Webhooks: for SMS, ntfy and others (default: none)",
		into(optional(webAddress), func(c *Config) *string { return &c.PushWebhookURL })},
	{"push-webhook-secret", secretKind, "", "what signs them, whsec_ and 24 to 64 random bytes in base64",
		into(webhookSecret, func(c *Config) *account.Secret { return &c.PushWebhookSecret })},
	{"push-log", boolKind, "false", "write every prompt to the log with its link, for development",
		into(oneOf(truths), func(c *Config) *bool { return &c.PushLog })},
	{"geoip", "file", "", "MaxMind database (.mmdb, City or Country) to show roughly where a request comes from (default: none)",
		into(anything, func(c *Config) *string { return &c.GeoIP })},

	{"metrics-listen", "host:port", "", "address for Prometheus to read /metrics from (default: none)",
		into(optional(address), func(c *Config) *string { return &c.MetricsListen })},
	{"log-format", "text|json", "text", "form of the log on standard error",
		into(oneOf(map[string]bool{"text": false, "json": true}), func(c *Config) *bool { return &c.LogJSON })},
	{"log-level", "level", "info", "debug, info, warn or error",
		into(oneOf(levels), level)},
}

// into combines how a text is read with where the value goes.
func into[T any](read func(string) (T, error), field func(*Config) *T) func(*Config, string) error {
	return func(c *Config, text string) error {
		v, err := read(text)
		if err == nil {
			*field(c) = v
		}
		return err
	}
}

// A setting of this kind has a twin with fileSuffix, which names a file that
// holds the value.
const (
	secretKind = "secret"
	fileSuffix = "-file"
)

// boolKind is the one kind of flag that needs no value.
const boolKind = "bool"

func (s setting) secret() bool { return s.kind == secretKind }

// Keys lists the names of all settings.
func Keys() []string {
	keys := make([]string, 0, len(settings))
	for _, s := range settings {
		keys = append(keys, s.key)
		if s.secret() {
			keys = append(keys, s.key+fileSuffix)
		}
	}
	return keys
}

// configFlag names the one thing that is not a setting: where the file is.
const configFlag = "config"

// Flags adds --config and the flags of the settings named to fs; of all
// settings when none is named.
func Flags(fs *pflag.FlagSet, keys ...string) {
	fs.SortFlags = false // the table's order is the order in which they matter
	add := func(key, kind, text, usage string) {
		f := fs.VarPF(&flagText{kind: kind, text: text}, key, "", usage+" ["+variable(key)+"]")
		if kind == boolKind {
			f.NoOptDefVal = "true" // --push-log alone
		}
	}
	for _, s := range settings {
		if len(keys) > 0 && !slices.Contains(keys, s.key) {
			continue
		}
		add(s.key, s.kind, s.otherwise, s.usage)
		if s.secret() {
			add(s.key+fileSuffix, "file", "", "file that holds --"+s.key+", which the command line would show to others")
		}
	}
	fs.Var(&flagText{kind: "file"}, configFlag, "YAML file of settings, named like these flags ["+variable(configFlag)+"]")
}

// variable is the setting's name in the environment.
func variable(key string) string {
	return prefix + strings.ToUpper(strings.ReplaceAll(key, "-", "_"))
}

const prefix = "NOD_"

// flagText is a flag's text, whatever it is: it is understood together with the
// file's and the environment's, so that everything wrong is reported at once.
type flagText struct {
	kind, text string
	given      bool
}

// Set takes the flag's text; given again, a list grows and all else is replaced.
func (f *flagText) Set(text string) error {
	if f.kind == "list" && f.given {
		text = fmt.Sprintf("%s,%s", f.text, text)
	}
	f.text, f.given = text, true
	return nil
}

func (f *flagText) String() string { return f.text }

// Type is what help texts show in place of the value.
func (f *flagText) Type() string { return f.kind }
