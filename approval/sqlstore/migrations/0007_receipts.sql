-- What nod adds to a receipt by its own word, so that it can be read when the request,
-- the passkey, the user and the client are gone. It runs unchanged on SQLite and
-- PostgreSQL; the columns have defaults, so that the version before, which does not
-- name them, goes on writing during a rolling deploy.

-- +goose Up
ALTER TABLE receipts ADD COLUMN username TEXT NOT NULL DEFAULT '';
ALTER TABLE receipts ADD COLUMN passkey_name TEXT NOT NULL DEFAULT '';
ALTER TABLE receipts ADD COLUMN credential_id BYTEA;
ALTER TABLE receipts ADD COLUMN at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE receipts ADD COLUMN collected_by TEXT NOT NULL DEFAULT '';
