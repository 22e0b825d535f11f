package app

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"sync"

	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/nod-auth/nod/approval"
)

// places looks addresses up in a database of the operator's, in MaxMind's format
// with cities or countries. The zero value knows no place. Safe for concurrent
// use.
type places struct {
	mu sync.RWMutex // the file is mapped into memory: nobody may read it after close
	db *maxminddb.Reader
}

// place is what nod reads of a record; City and Country databases of MaxMind's
// and of those who follow them have it in common.
type place struct {
	City struct {
		Names names `maxminddb:"names"`
	} `maxminddb:"city"`
	Country struct {
		Code  string `maxminddb:"iso_code"`
		Names names  `maxminddb:"names"`
	} `maxminddb:"country"`
}

type names struct {
	English string `maxminddb:"en"`
}

// open maps the database. It is read as long as the server runs: a newer one
// must take its name (as geoipupdate does) and not be written into it.
func (p *places) open(path string) error {
	db, err := maxminddb.Open(path)
	unreadable := (*fs.PathError)(nil)
	switch {
	case errors.As(err, &unreadable):
		return fmt.Errorf("geoip %s: %w; check the path, and that this user may read it", path, unreadable.Err)
	case err != nil:
		return fmt.Errorf("geoip %s: it is no MaxMind database (%w); download an .mmdb file of cities or countries "+
			"again, or leave the setting out", path, err)
	}
	kind := db.Metadata.DatabaseType
	if !strings.Contains(kind, "City") && !strings.Contains(kind, "Country") && !strings.Contains(kind, "Enterprise") {
		return errors.Join(db.Close(), fmt.Errorf("geoip %s: it is a %s database, which does not say where addresses are; "+
			"use one of cities or countries", path, kind))
	}
	p.db = db
	return nil
}

// locate is where an address is, as far as the database knows. What cannot be
// read or shown is not known: nobody waits in vain for want of a place.
func (p *places) locate(address string) approval.Place {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return approval.Place{}
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.db == nil {
		return approval.Place{}
	}
	var found place
	if err := p.db.Lookup(a.Unmap().WithZone("")).Decode(&found); err != nil {
		return approval.Place{}
	}
	name := found.Country.Names.English
	if city := found.City.Names.English; city != "" && name != "" {
		name = city + ", " + name
	}
	if name, err = approval.CleanText("place", name, approval.MaxName); err != nil {
		name = ""
	}
	return approval.Place{Name: name, Country: found.Country.Code}
}

func (p *places) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.db == nil {
		return nil
	}
	defer func() { p.db = nil }()
	return p.db.Close()
}
