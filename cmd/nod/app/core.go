package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/sqlstore"
	"github.com/nod-auth/nod/cmd/nod/config"
	"github.com/nod-auth/nod/push"
)

const masterKeyName = "master.key"

// Core is the truth and the rules, without a network: enough for the command
// line, which works on the same file while a server runs.
type Core struct {
	Config    config.Config
	Store     *sqlstore.Store
	Ring      *token.Ring
	Service   *approval.Service
	Directory *approval.Directory
	Push      *push.Push // nil until OpenPush: this process reaches no phone

	master masterKey
	places places
}

// Exists says whether there is a database; of a server it is taken for granted.
// Commands that could only find it empty ask, so that a mistyped folder is an error
// and not a new one.
func Exists(c config.Config) bool {
	if sqlstore.IsServer(c.Database()) {
		return true
	}
	_, err := os.Stat(strings.TrimPrefix(c.Database(), "sqlite:"))
	return !errors.Is(err, fs.ErrNotExist) // what cannot be seen is for Open to report
}

// Open opens the database. Where it is a file, what does not exist yet is made: its
// folder 0700, everything in it 0600. The caller closes the Core.
func Open(ctx context.Context, c config.Config) (*Core, error) {
	store, err := sqlstore.Open(ctx, c.Database())
	if err != nil {
		return nil, err
	}
	core := &Core{Config: c, Store: store}
	if err := core.fill(ctx); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return core, nil
}

// Close closes the databases.
func (c *Core) Close() error { return errors.Join(c.Store.Close(), c.places.close()) }

func (c *Core) fill(ctx context.Context) (err error) {
	if c.master, err = c.masterKey(ctx); err != nil {
		return err
	}
	c.Ring, err = token.Open(ctx, signingKeys{c.Store}, c.master.derive(forSigningKeys), time.Now)
	if err != nil {
		return err
	}
	codes, err := approval.NewCodes(c.master.derive(forCodes))
	if err != nil {
		return err
	}
	c.Service, err = approval.New(approval.Config{
		Store: c.Store, Upkeep: c.Store, Codes: codes, KeyID: c.Ring.Current, Hooks: c.Store,
		Lives: map[approval.CodeKind]time.Duration{
			approval.Short: c.Config.ShortLife, approval.Long: c.Config.LongLife, approval.Phrase: c.Config.PhraseLife,
		},
		TokenLife: c.Config.TokenLife,
		Guesses: approval.Guesses{
			PerUser: c.Config.GuessesPerUser, PerUserHourly: c.Config.GuessesPerUserHourly,
			PerAddress: c.Config.GuessesPerAddress, PerClient: c.Config.GuessesPerClient,
		},
		Locate: c.places.locate,
	})
	if err != nil {
		return err
	}
	c.Directory = approval.NewDirectory(c.Service, c.Store)
	return nil
}

// masterKey reads the master key. It makes one only where nothing hangs on
// another yet: in our own data folder, while the database holds no signing key.
func (c *Core) masterKey(ctx context.Context) (masterKey, error) {
	path := c.Config.MasterKeyFile
	own := path == ""
	if own {
		path = filepath.Join(c.Config.Data, masterKeyName)
	}
	key, err := readMasterKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if !own {
		return key, fmt.Errorf("master key %s: there is no such file; make it with: "+
			"(umask 077; openssl rand -base64 32 > %s)", path, path)
	}
	sealed, err := c.Store.SigningKeys(ctx)
	if err != nil {
		return key, err
	}
	if len(sealed) > 0 {
		return key, fmt.Errorf("master key %s: the file is gone, and the database beside it cannot be read without it; "+
			"restore it from your backup, or name where it is with --master-key-file", path)
	}
	if err := makeMasterKey(path); err != nil {
		return key, err
	}
	return readMasterKey(path)
}

// Names of settings in the database.
const (
	settingRPID      = "rp_id"
	settingPublicURL = "public_url"
)

// keepRPID stores the RP ID of the first start, and refuses any other: a passkey
// answers only for the domain it was made for.
func (c *Core) keepRPID(ctx context.Context) error {
	kept, err := c.Store.KeepSetting(ctx, settingRPID, c.Config.RPID)
	if err != nil {
		return err
	}
	if kept != c.Config.RPID {
		return fmt.Errorf("rp-id %s: the passkeys in %s belong to %s and would be lost; "+
			"start with --rp-id %s, or with another --data folder", c.Config.RPID, c.Config.DatabaseName(), kept, kept)
	}
	return nil
}

// RPID is the domain that passkeys belong to: the stored one once a server has
// run, else the configured one, "" when nobody has said yet.
func (c *Core) RPID(ctx context.Context) (string, error) {
	kept, err := c.Store.Setting(ctx, settingRPID)
	if !errors.Is(err, approval.ErrNotFound) {
		return kept, err
	}
	if c.Config.RPID == "" && c.Config.PublicURL == "" {
		return "", nil
	}
	return c.Config.At(c.Config.Listen).RPID, nil
}

// PublicURL is the configured one, else that of the server that ran last on this
// data, else the default.
func (c *Core) PublicURL(ctx context.Context) (string, error) {
	if c.Config.PublicURL != "" {
		return c.Config.PublicURL, nil
	}
	last, err := c.Store.Setting(ctx, settingPublicURL)
	if errors.Is(err, approval.ErrNotFound) {
		return c.Config.At(c.Config.Listen).PublicURL, nil
	}
	return last, err
}
