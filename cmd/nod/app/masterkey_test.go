package app

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func writeKey(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "master.key")
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
	return path
}

func encoded(n int) string {
	key := make([]byte, n)
	rand.Read(key)
	return base64.StdEncoding.EncodeToString(key)
}

func TestMasterKey_refuses_what_is_no_key(t *testing.T) {
	for about, c := range map[string]struct {
		text string
		mode os.FileMode
		want string
	}{
		"readable by the group": {encoded(32), 0o640, "run: chmod 600"},
		"readable by the world": {encoded(32), 0o604, "run: chmod 600"},
		"writable by the group": {encoded(32), 0o620, "run: chmod 600"},
		"empty":                 {"", 0o600, "the file is empty"},
		"blank":                 {" \n", 0o600, "the file is empty"},
		"a passphrase":          {"correct horse battery staple", 0o600, "it is not base64"},
		"too short":             {encoded(31), 0o600, "it has 31 bytes, not 32"},
		"too long":              {encoded(33), 0o600, "it has 33 bytes, not 32"},
		"all zero":              {base64.StdEncoding.EncodeToString(make([]byte, 32)), 0o600, "it is not random"},
		"a default": {base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("changeme"), 4)), 0o600,
			"it is not random"},
	} {
		_, err := readMasterKey(writeKey(t, c.text, c.mode))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q in it", about, err, c.want)
		}
		if text := strings.TrimSpace(c.text); err != nil && text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%s: the error shows the file's contents: %v", about, err)
		}
	}
}

func TestMasterKey_reads_what_openssl_writes(t *testing.T) {
	for _, mode := range []os.FileMode{0o600, 0o400} {
		if _, err := readMasterKey(writeKey(t, encoded(32)+"\n", mode)); err != nil {
			t.Errorf("mode %04o: %v", mode, err)
		}
	}
}

func TestMasterKey_is_made_once_by_many(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "master.key")
	keys := make([][]byte, 16)
	var all sync.WaitGroup
	for i := range keys {
		all.Go(func() {
			if err := makeMasterKey(path); err != nil {
				t.Error(err)
			}
			k, err := readMasterKey(path)
			if err != nil {
				t.Error(err)
			}
			keys[i] = k.bytes
		})
	}
	all.Wait()
	for i, k := range keys {
		if !bytes.Equal(k, keys[0]) {
			t.Errorf("process %d reads another key than the first", i)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, mode %v; want mode 0600", err, info.Mode())
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("%d files in the folder, want the key alone", len(left))
	}
}

func TestMasterKey_derives_by_rfc_5869(t *testing.T) {
	// Computed with another implementation (Python's hmac): they must never
	// change, or databases out there can no longer be read.
	k := masterKey{bytes.Repeat([]byte{7}, keySize)}
	for p, want := range map[purpose]string{
		forCodes:       "27241d55983ba778694c4ace122b5654924a2c30aabc93d0f1fec9e6ad837182",
		forSigningKeys: "093d5e9a5eb67d22df80244a2e04739dbf3965612ab884a1bbc4659a47badac9",
		forInvented:    "ddf4d8cc9abe422bebc9bbb2550841d1b9618e3a3e4630bbae1a837a5451ca3a",
		forVAPID:       "a4b637b228335241cab1b552d87e3981f8f1148648a499ca7c5e900ce7c64e3e",
		forPush:        "bc1d42fdb09d68db124e8a9f38e9281b4788c065e34b506590d08e097ce831d2",
		forDPoPNonces:  "675165a5d2817e278f217f730c5b54bcdc84c3c77773a8a33ec01810cfea491f",
	} {
		if got := hex.EncodeToString(k.derive(p)); got != want {
			t.Errorf("%s: got %s, want %s", p, got, want)
		}
	}
}

func TestMasterKey_prints_nothing_of_itself(t *testing.T) {
	k := masterKey{[]byte("0123456789abcdef0123456789abcdef")}
	for _, verb := range []string{"%v", "%s", "%+v", "%#v", "%x"} {
		if got := fmt.Sprintf(verb, k); got != "[secret]" {
			t.Errorf("%s prints %s, want [secret]", verb, got)
		}
	}
}

func TestRandom_takes_every_drawn_key(t *testing.T) {
	// The chance that n random bytes hold exactly d different values, d by d.
	chance := []float64{1}
	for range keySize {
		next := make([]float64, len(chance)+1)
		for d, p := range chance {
			next[d] += p * float64(d) / 256
			next[d+1] += p * float64(256-d) / 256
		}
		chance = next
	}
	refused, mean := 0.0, 0.0
	for d, p := range chance {
		mean += float64(d) * p
		if d < fewestValues {
			refused += p
		}
	}
	if refused > 1e-16 || math.Abs(mean-30) > 0.5 {
		t.Errorf("a drawn key is refused with chance %g and has %.1f values on average; the comment says less than 1e-16 and 30", refused, mean)
	}
}

func TestOpen_makes_everything_for_the_owner_alone(t *testing.T) {
	c := testConfig(t)
	openCore(t, c)
	err := filepath.WalkDir(c.Data, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s: mode %04o, want %04o", path, got, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestOpen_again_has_the_same_keys(t *testing.T) {
	c := testConfig(t)
	first, second := openCore(t, c), openCore(t, c)
	if !bytes.Equal(first.master.bytes, second.master.bytes) {
		t.Error("a second process works with another master key")
	}
	a, err := first.Ring.JWKS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, err := second.Ring.JWKS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Errorf("key sets differ:\n%s\n%s", a, b)
	}
}

func TestOpen_refuses_a_wrong_or_lost_master_key(t *testing.T) {
	c := testConfig(t)
	if err := openAndClose(t, c); err != nil {
		t.Fatal(err)
	}
	other := c
	other.MasterKeyFile = writeKey(t, encoded(32), 0o600)
	wantError(t, "another key", openAndClose(t, other), "the master key is not the one this database was made with")
	other.MasterKeyFile = filepath.Join(t.TempDir(), "none")
	wantError(t, "a named file that is not there", openAndClose(t, other), "openssl rand -base64 32")
	if err := os.Remove(filepath.Join(c.Data, masterKeyName)); err != nil {
		t.Fatal(err)
	}
	wantError(t, "a lost file", openAndClose(t, c), "restore it from your backup")
	if _, err := os.Stat(filepath.Join(c.Data, masterKeyName)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a new key was made in place of the lost one: %v", err)
	}
}
