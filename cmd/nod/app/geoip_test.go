package app

import (
	"encoding/binary"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nod-auth/nod/approval"
)

// mmdb writes a database in MaxMind's format, version 2.0, with 32-bit records
// and the IPv4 addresses under ::/96: just what these tests read.
func mmdb(kind string, records map[string]any) []byte {
	var data []byte
	type node [2]uint32
	const none = 0 // of what is not there yet: the root is nobody's child
	tree := []node{{}}
	leaves := map[[2]int]int{} // node and side to an offset in data
	for _, network := range slices.Sorted(maps.Keys(records)) {
		p := netip.MustParsePrefix(network)
		address, bits := p.Addr().As16(), p.Bits()
		if p.Addr().Is4() {
			address, bits = [16]byte{}, bits+96
			four := p.Addr().As4()
			copy(address[12:], four[:])
		}
		at := 0
		for i := range bits {
			side := int(address[i/8]>>(7-i%8)) & 1
			if i == bits-1 {
				leaves[[2]int{at, side}] = len(data)
				break
			}
			if tree[at][side] == none {
				tree = append(tree, node{})
				tree[at][side] = uint32(len(tree) - 1)
			}
			at = int(tree[at][side])
		}
		data = field(data, records[network])
	}
	var out []byte
	for at, n := range tree {
		for side, child := range n {
			if offset, leaf := leaves[[2]int{at, side}]; leaf {
				child = uint32(len(tree) + 16 + offset)
			} else if child == none {
				child = uint32(len(tree))
			}
			out = binary.BigEndian.AppendUint32(out, child)
		}
	}
	out = append(out, make([]byte, 16)...)
	out = append(append(out, data...), "\xab\xcd\xefMaxMind.com"...)
	return field(out, map[string]any{
		"binary_format_major_version": uint32(2), "binary_format_minor_version": uint32(0),
		"database_type": kind, "ip_version": uint32(6), "record_size": uint32(32), "node_count": uint32(len(tree)),
		"build_epoch": uint32(1), "languages": []any{"en"}, "description": map[string]any{"en": "test"},
	})
}

// field appends a value of the data section: the type and the size in the first
// byte, or the type in a second one where it is above 7.
func field(to []byte, v any) []byte {
	switch v := v.(type) {
	case string: // type 2; sizes from 29 have a second byte
		if n := len(v); n < 29 {
			to = append(to, byte(2<<5|n))
		} else {
			to = append(to, 2<<5|29, byte(n-29))
		}
		return append(to, v...)
	case uint32: // type 6
		return binary.BigEndian.AppendUint32(append(to, 6<<5|4), v)
	case map[string]any: // type 7
		to = append(to, byte(7<<5|len(v)))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			to = field(field(to, k), v[k])
		}
		return to
	case []any: // type 11
		to = append(to, byte(len(v)), 11-7)
		for _, e := range v {
			to = field(to, e)
		}
		return to
	default:
		panic("no such type")
	}
}

type object = map[string]any

func named(name string) object {
	return object{"names": object{"en": name, "de": name + " auf Deutsch"}}
}

func writeDatabase(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "places.mmdb")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// somewhere is a database of two cities, a country, and what no card can show.
func somewhere(t *testing.T) string {
	country := func(code, name string) object {
		c := named(name)
		c["iso_code"] = code
		return c
	}
	return writeDatabase(t, mmdb("Test-City", object{
		"192.0.2.0/24":    object{"city": named("Berlin"), "country": country("DE", "Germany")},
		"2001:db8::/32":   object{"city": named("Utrecht"), "country": country("NL", "Netherlands")},
		"198.51.100.0/25": object{"country": country("FR", "France")},
		"203.0.113.7/32":  object{"city": named("Nowhere"), "country": country("XX", "\u202edesrever")},
		"203.0.113.8/32":  object{"country": "flat"},
	}))
}

func TestPlaces_are_cities_and_countries(t *testing.T) {
	var p places
	if err := p.open(somewhere(t)); err != nil {
		t.Fatal(err)
	}
	if err := p.db.Verify(); err != nil {
		t.Fatalf("the test's own database: %v", err)
	}
	for address, want := range map[string]approval.Place{
		"192.0.2.77":        {Name: "Berlin, Germany", Country: "DE"},
		"::ffff:192.0.2.77": {Name: "Berlin, Germany", Country: "DE"},
		"2001:db8::1%eth0":  {Name: "Utrecht, Netherlands", Country: "NL"},
		"198.51.100.1":      {Name: "France", Country: "FR"},
		"198.51.100.129":    {},
		"203.0.113.7":       {Country: "XX"},
		"203.0.113.8":       {},
		"127.0.0.1":         {},
		"living room":       {},
		"":                  {},
	} {
		if got := p.locate(address); got != want {
			t.Errorf("%s: got %+v, want %+v", address, got, want)
		}
	}
	if err := p.close(); err != nil {
		t.Error(err)
	}
	if got := p.locate("192.0.2.77"); got != (approval.Place{}) {
		t.Errorf("after it was closed: got %+v, want nothing", got)
	}
	if err := p.close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}

func TestPlaces_stop_the_start_when_they_cannot_be_read(t *testing.T) {
	whole := mmdb("Test-City", object{"192.0.2.0/24": object{"country": named("Germany")}})
	for about, c := range map[string]struct{ path, want string }{
		"no file":     {filepath.Join(t.TempDir(), "none.mmdb"), "no such file or directory; check the path"},
		"a folder":    {t.TempDir(), "geoip"},
		"empty":       {writeDatabase(t, nil), "no MaxMind database"},
		"an archive":  {writeDatabase(t, []byte(strings.Repeat("\x1f\x8b not yet unpacked", 100))), "it is no MaxMind database"},
		"cut off":     {writeDatabase(t, whole[:len(whole)-40]), "it is no MaxMind database"},
		"other facts": {writeDatabase(t, mmdb("Test-ASN", object{"192.0.2.0/24": object{}})), "it is a Test-ASN database"},
	} {
		var p places
		wantError(t, about, p.open(c.path), c.want)
	}
}
