package doctor

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/cmd/nod/app"
	"github.com/nod-auth/nod/push"
)

// Names of what is looked at, as they are printed.
const (
	aboutDatabase = "database"
	aboutKey      = "master key"
	aboutURL      = "public URL"
	aboutPasskeys = "passkeys"
	aboutProxy    = "proxy"
	aboutPlaces   = "places"
	aboutClock    = "clock"
	aboutHTTPS    = "reached"
	aboutFiles    = "open files"
	aboutPush     = "push"
)

// database opens the database with the master key, and writes to it.
func (x *exam) database(ctx context.Context) {
	data := x.Config.DatabaseName()
	if !app.Exists(x.Config) {
		x.find(Look, aboutDatabase, "there is none in "+data+" yet.",
			"Start the server, which makes it, or name the server's folder with --data or NOD_DATA.")
		return
	}
	core, err := app.Open(ctx, x.Config)
	switch {
	case err != nil && strings.HasPrefix(err.Error(), aboutKey):
		x.find(Wrong, aboutKey, sentence(err), "")
		return
	case err != nil:
		x.find(Wrong, aboutDatabase, sentence(err), "Check that "+data+" is there and that this user may read and write in it.")
		return
	}
	x.core = core
	if err := core.Store.TryWriting(ctx); err != nil {
		x.find(Wrong, aboutDatabase, "it opens, but cannot be written: "+sentence(err),
			"Check that its disk is not full, and that a file belongs to this user.")
	} else {
		x.find(OK, aboutDatabase, data+" opens and can be written.", "")
	}
	x.find(OK, aboutKey, "it opens what the database holds.", "")
}

// address judges the public URL, and whether the passkeys that there are can be
// used under it.
func (x *exam) address(ctx context.Context) {
	x.public = x.Config.At(x.Config.Listen).PublicURL
	kept := ""
	if x.core != nil {
		var errs [2]error
		x.public, errs[0] = x.core.PublicURL(ctx)
		kept, errs[1] = x.core.RPID(ctx)
		for _, err := range errs {
			if err != nil {
				x.find(Wrong, aboutDatabase, sentence(err), "Check the disk, and restore a backup if it is damaged.")
				return
			}
		}
	}
	if x.local() {
		x.find(Look, aboutURL, x.public+" is for trying out on this machine; phones cannot open it.",
			"Put a proxy with a certificate in front, and start nod with --public-url https://….")
	} else {
		x.find(OK, aboutURL, x.public+" is what phones and programs use.", "")
	}
	host := hostOf(x.public)
	switch {
	case kept == "":
		x.find(OK, aboutPasskeys, "they will belong to "+x.Config.At(x.Config.Listen).RPID+" from the first start on.", "")
	case x.Config.RPID != "" && x.Config.RPID != kept:
		x.find(Wrong, aboutPasskeys, "those in the database belong to "+kept+", and --rp-id says "+x.Config.RPID+".",
			"Start with --rp-id "+kept+", or with another --data folder.")
	case host != kept && !strings.HasSuffix(host, "."+kept):
		x.find(Wrong, aboutPasskeys, "those in the database belong to "+kept+", and browsers do not offer them at "+x.public+".",
			"Use a --public-url at "+kept+" or below it, or start with another --data folder.")
	default:
		x.find(OK, aboutPasskeys, "they belong to "+kept+" and can be used at "+x.public+".", "")
	}
	x.proxy()
}

// proxy asks for the one setting that is easily forgotten behind a proxy.
func (x *exam) proxy() {
	host, _, _ := net.SplitHostPort(x.Config.Listen)
	a, err := netip.ParseAddr(host)
	inside := err == nil && (a.IsLoopback() || a.IsPrivate())
	if !x.local() && inside && len(x.Config.TrustedProxies) == 0 {
		x.find(Look, aboutProxy, "nod listens on "+x.Config.Listen+", behind a proxy it seems, and trusts none: "+
			"it takes every device to be the proxy, shows that address on phones and limits all of them together.",
			"Name the proxy's address with --trusted-proxies.")
	}
}

// place looks whether the database of places is there to be read.
func (x *exam) place() {
	path := x.Config.GeoIP
	if path == "" {
		return
	}
	if err := app.CheckPlaces(path); err != nil {
		x.find(Wrong, aboutPlaces, sentence(err), "")
		return
	}
	x.find(OK, aboutPlaces, path+" says where addresses are.", "")
}

// clock judges the machine's time by what must be in the past.
func (x *exam) clock(now time.Time) {
	if now.Before(x.Built) {
		x.find(Wrong, aboutClock, fmt.Sprintf("this machine says it is %s, before this program was written.", now.UTC().Format(time.DateTime)),
			"Set the time and keep it with NTP; tokens, codes and certificates depend on it.")
	}
}

// files judges how many waits the open-file limit has room for.
func (x *exam) files() {
	limit, warning := app.WaitLimit(x.Config)
	if warning != "" {
		x.find(Look, aboutFiles, sentence(fmt.Errorf("%s", warning)), "")
		return
	}
	x.find(OK, aboutFiles, fmt.Sprintf("there is room for %d waits at a time.", limit), "")
}

// push asks every configured channel.
func (x *exam) push(ctx context.Context) {
	if x.core == nil {
		x.find(Look, aboutPush, "without a database there are no keys to try.", "Start the server once.")
		return
	}
	if err := x.core.OpenPush(ctx, quiet, nil); err != nil {
		x.find(Wrong, aboutPush, sentence(err), "")
		return
	}
	for _, f := range x.core.Push.Report(ctx) {
		x.channel(f)
	}
}

// channel tells of one push channel. Who tries nod out on one machine needs no
// contact yet.
func (x *exam) channel(f push.Finding) {
	level := Wrong
	switch {
	case f.OK:
		level = OK
	case x.local() && f.Name == string(account.PhoneWebPush):
		level = Look
	}
	do := f.Do
	if do != "" {
		do = strings.ToUpper(do[:1]) + do[1:] + "."
	}
	x.find(level, aboutPush+" "+f.Name, strings.TrimSuffix(f.Says, ".")+".", do)
}

func (x *exam) local() bool { return hostOf(x.public) == "localhost" }

func hostOf(origin string) string {
	u, err := url.Parse(origin)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// sentence ends an error's text as a sentence ends.
func sentence(err error) string { return strings.TrimSuffix(err.Error(), ".") + "." }
