package config

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"

	"github.com/nod-auth/nod/approval/sqlstore"
)

// Faults is everything that is wrong with a configuration, each in one sentence
// with what to do about it.
type Faults []string

func (f Faults) Error() string {
	if len(f) == 1 {
		return f[0]
	}
	return fmt.Sprintf("%d things are wrong:\n  - %s", len(f), strings.Join(f, "\n  - "))
}

// Load fills a configuration from defaults, the file that --config or
// NOD_CONFIG names, the environment (as os.Environ gives it) and flags, which
// were added by Flags and parsed. A setting that is set to nothing counts as not
// set. The error is of type Faults; warnings are sentences for the log.
func Load(flags *pflag.FlagSet, environ []string) (c Config, warnings []string, err error) {
	l := loader{flags: flags, merged: koanf.New("."), environment: koanf.New(""), file: koanf.New(".")}
	l.readEnvironment(environ)
	l.readFile()
	l.merge()
	c = l.decode()
	l.compare(c)
	if len(l.faults) > 0 {
		return Config{}, l.warnings, l.faults
	}
	return c, l.warnings, nil
}

// loader gathers what it finds wrong while it goes on.
type loader struct {
	flags                     *pflag.FlagSet
	path                      string // of the file, "" for none
	environment, file, merged *koanf.Koanf

	faults   Faults
	warnings []string
}

func (l *loader) fault(format string, args ...any) {
	l.faults = append(l.faults, fmt.Sprintf(format, args...))
}

func (l *loader) readEnvironment(environ []string) {
	known := map[string]string{variable(configFlag): configFlag}
	for _, key := range Keys() {
		known[variable(key)] = key
	}
	take := func(name, value string) (string, any) {
		key, ok := known[name]
		if !ok {
			l.warnings = append(l.warnings, "the variable "+name+" is not one of nod's and is ignored"+
				meant(strings.TrimPrefix(name, prefix), Keys(), variable))
		}
		if value == "" {
			return "", nil
		}
		return key, value
	}
	// Reading a slice cannot fail, and the empty delimiter keeps names whole.
	_ = l.environment.Load(env.Provider("", env.Opt{
		Prefix: prefix, TransformFunc: take, EnvironFunc: func() []string { return environ },
	}), nil)
	slices.Sort(l.warnings)
}

func (l *loader) readFile() {
	l.path = l.environment.String(configFlag)
	l.environment.Delete(configFlag)
	if f := l.flags.Lookup(configFlag); f != nil && f.Changed {
		l.path = f.Value.String()
	}
	if l.path == "" {
		return
	}
	err := l.file.Load(file.Provider(l.path), yaml.Parser())
	var unreadable *fs.PathError
	switch {
	case errors.As(err, &unreadable):
		l.fault("the configuration file %s cannot be read (%v); check the path given by --config or %s",
			l.path, unreadable.Err, variable(configFlag))
	case err != nil:
		l.fault("%s is not YAML that nod can read (%v); write one \"setting: value\" a line",
			l.path, strings.ReplaceAll(err.Error(), "\n", " "))
	}
	for _, key := range l.file.Keys() {
		switch {
		case l.file.Get(key) == nil:
			l.file.Delete(key)
		case !slices.Contains(Keys(), key):
			l.fault("%s: the setting %q is not one of nod's%s", l.path, key,
				meant(key, Keys(), func(k string) string { return `"` + k + `"` }))
		}
	}
}

// meant ends a sentence about an unknown name.
func meant(name string, known []string, write func(string) string) string {
	if near := Nearest(name, known); near != "" {
		return "; did you mean " + write(near) + "?"
	}
	return `; "nod serve --help" lists them`
}

// merge lays the layers over each other. None of these reads can fail. Flags are
// taken as texts: koanf's own reading makes 0 of a duration it cannot parse.
func (l *loader) merge() {
	text := func(f *pflag.Flag) (string, any) { return f.Name, f.Value.String() }
	_ = l.merged.Merge(l.file)
	_ = l.merged.Merge(l.environment)
	_ = l.merged.Load(posflag.ProviderWithFlag(l.flags, ".", l.merged, text), nil)
}

// decode turns texts into values, starting from the defaults.
func (l *loader) decode() Config {
	c := Default()
	for _, s := range settings {
		key, text := s.key, plain(l.merged.Get(s.key))
		if s.secret() {
			key, text = l.secret(s.key)
		}
		if text == "" {
			continue
		}
		if err := s.set(&c, text); err != nil {
			l.fault("%s: %v", l.source(key), err)
		}
	}
	return c
}

// plain writes a YAML scalar or list as a flag would have it.
func plain(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case []any:
		parts := make([]string, len(v))
		for i, part := range v {
			parts[i] = plain(part)
		}
		return strings.Join(parts, ",")
	default:
		return strings.TrimSpace(fmt.Sprint(v))
	}
}

// layer is where a setting's value comes from; a later one overrides.
type layer int

const (
	nowhere layer = iota
	inFile
	inEnvironment
	inFlags
)

func (l *loader) layer(key string) layer {
	switch f := l.flags.Lookup(key); {
	case f != nil && f.Changed:
		return inFlags
	case l.environment.Exists(key):
		return inEnvironment
	case l.file.Exists(key):
		return inFile
	default:
		return nowhere
	}
}

// source names the place that a setting's value comes from.
func (l *loader) source(key string) string {
	switch l.layer(key) {
	case inFlags:
		return "--" + key
	case inEnvironment:
		return variable(key)
	case inFile:
		return l.path + ": " + key
	default:
		return key
	}
}

// compare checks what concerns two settings.
func (l *loader) compare(c Config) {
	if c.RPID != "" && (c.PublicURL != "" || plain(l.merged.Get("public-url")) == "") {
		if err := checkRPID(c.RPID, c.publicHost()); err != nil {
			l.fault("%s: %v", l.source("rp-id"), err)
		}
	}
	if c.MetricsListen == c.Listen && !strings.HasSuffix(c.Listen, ":0") { // 0 is another port each time
		l.fault("%s: it must not be the address of --listen, because metrics are not for everybody; use another port",
			l.source("metrics-listen"))
	}
	if c.RedisURL != "" && !sqlstore.IsServer(c.Database()) {
		l.fault("%s: it is of no use with a database that is a file, which one node alone can use; name a server with --database-url",
			l.given("redis-url"))
	}
	if sqlstore.IsServer(c.Database()) && c.MasterKeyFile == "" {
		l.fault("%s: nodes that share a database share the master key, too; make it once with "+
			"(umask 077; openssl rand -base64 32 > master.key) and name it with --master-key-file on each", l.given("database-url"))
	}
	l.needs("smtp-url", "smtp-from", "say whom mail is from, like nod <nod@example.com>")
	l.needs("smtp-from", "smtp-url", "say which server takes mail, like smtp://user:password@mail.example.com:587")
	l.needs("push-webhook-url", "push-webhook-secret", "make one with: echo "+secretPrefix+"$(openssl rand -base64 32)")
	l.needs("push-webhook-secret", "push-webhook-url", "say where the signed messages go")
	l.needs("fcm-endpoint", "fcm-credentials-file", "name the service account to use there")
}

// needs is a fault when a setting is given without another.
func (l *loader) needs(key, other, remedy string) {
	if from := l.given(key); from != "" && l.given(other) == "" {
		l.fault("%s: it is of no use without %s; %s", from, other, remedy)
	}
}

// given is where a setting has a value, "" when nowhere. Of a secret it is
// enough that a file is named: whether it can be read is another fault.
func (l *loader) given(key string) string {
	for _, key := range []string{key, key + fileSuffix} {
		if plain(l.merged.Get(key)) != "" {
			return l.source(key)
		}
	}
	return ""
}
