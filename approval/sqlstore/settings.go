package sqlstore

import (
	"context"

	"github.com/nod-auth/nod/approval"
)

const settingByName = `SELECT value FROM settings WHERE name = $1`

// Setting reads a value that was stored; approval.ErrNotFound when none was.
func (s *Store) Setting(ctx context.Context, name string) (string, error) {
	v, err := one(ctx, s.reads, scanText, settingByName, name)
	return v, fault("read setting", err)
}

// KeepSetting stores a value unless there is one, and returns what stands: of
// several processes that start together all go on with the same. The audit row of
// what is stored repeats the value.
func (s *Store) KeepSetting(ctx context.Context, name, value string) (stored string, err error) {
	return s.keepSetting(ctx, name, value, name+" "+value)
}

// KeepSealed is KeepSetting for a value that is encrypted: the audit row names the
// setting alone.
func (s *Store) KeepSealed(ctx context.Context, name, sealed string) (stored string, err error) {
	return s.keepSetting(ctx, name, sealed, name)
}

func (s *Store) keepSetting(ctx context.Context, name, value, detail string) (stored string, err error) {
	const query = `INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`
	op, stands := approval.NewOp(), ""
	err = s.write(ctx, "keep setting", func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, query, name, value)
		if err == nil && n == 1 {
			err = t.noteSetting(ctx, op, detail)
		}
		if err == nil {
			stands, err = one(ctx, t.statements, scanText, settingByName, name)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	return stands, nil
}

// PutSetting stores a value in place of what was there. The audit row repeats it;
// there is none when it was there already.
func (s *Store) PutSetting(ctx context.Context, name, value string) error {
	const query = `INSERT INTO settings (name, value) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE settings.value <> excluded.value`
	op := approval.NewOp()
	return s.write(ctx, "put setting", func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, query, name, value)
		if err == nil && n == 1 {
			err = t.noteSetting(ctx, op, name+" "+value)
		}
		return err
	})
}

func (t *tx) noteSetting(ctx context.Context, op, detail string) error {
	_, err := t.claim(ctx, approval.Change{Op: op, Event: approval.Event{Name: approval.EventSettingChanged, Detail: detail}})
	return err
}

// TryWriting writes the time into a setting of its own, to learn that the database
// can be written. It tells of nothing and has no audit row.
func (s *Store) TryWriting(ctx context.Context) error {
	const query = `INSERT INTO settings (name, value) VALUES ('probe', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value`
	return s.write(ctx, "try writing", func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, query, document(t.now))
		return err
	})
}
