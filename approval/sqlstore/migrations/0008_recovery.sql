-- Recovery codes, and who vouched for an invitation. It runs unchanged on SQLite and
-- PostgreSQL; the new columns have defaults, so that the version before goes on
-- making invitations during a rolling deploy.

-- +goose Up
CREATE TABLE recovery_codes (
    hash    BYTEA  NOT NULL PRIMARY KEY, -- keyed
    user_id TEXT   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    made_at BIGINT NOT NULL,
    used_at BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX recovery_codes_of_user ON recovery_codes (user_id);

ALTER TABLE invitations ADD COLUMN passkey_id TEXT NOT NULL DEFAULT '';
ALTER TABLE invitations ADD COLUMN recovers BOOLEAN NOT NULL DEFAULT FALSE;
