package sqlstore

import "context"

const settingByName = `SELECT value FROM settings WHERE name = $1`

// Setting reads a value that KeepSetting stored; approval.ErrNotFound when none
// was.
func (s *Store) Setting(ctx context.Context, name string) (string, error) {
	v, err := one(ctx, s.reads, scanText, settingByName, name)
	return v, fault("read setting", err)
}

// KeepSetting stores a value unless there is one, and returns what stands: of
// several processes that start together all go on with the same.
func (s *Store) KeepSetting(ctx context.Context, name, value string) (stored string, err error) {
	const query = `INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`
	var stands string
	err = s.write(ctx, "keep setting", func(ctx context.Context, t *tx) (err error) {
		if _, err = t.exec(ctx, query, name, value); err == nil {
			stands, err = one(ctx, t.statements, scanText, settingByName, name)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	return stands, nil
}

// PutSetting stores a value in place of what was there.
func (s *Store) PutSetting(ctx context.Context, name, value string) error {
	const query = `INSERT INTO settings (name, value) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value`
	return s.write(ctx, "put setting", func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, query, name, value)
		return err
	})
}
