-- What a passkey was added by: so that whoever was talked into approving "Add a passkey"
-- can end it, and what came of it, by the request that they approved. It runs unchanged
-- on SQLite and PostgreSQL; the new columns have defaults, so that the version before
-- goes on adding passkeys during a rolling deploy. Nobody can be told what one of those
-- came from, so they are deleted by hand. Recovery codes remember the passkey that
-- vouched for them likewise.

-- +goose Up
ALTER TABLE passkeys ADD COLUMN request_id TEXT NOT NULL DEFAULT '';
ALTER TABLE passkeys ADD COLUMN vouched_by TEXT NOT NULL DEFAULT '';
ALTER TABLE recovery_codes ADD COLUMN passkey_id TEXT NOT NULL DEFAULT '';
