-- The standard faces: what an OAuth client is registered with, what an approval
-- signed in, and the second code of a request. It runs unchanged on SQLite and
-- PostgreSQL; new columns of old tables have defaults, so that the version before,
-- which does not name them, goes on writing during a rolling deploy. That version
-- shows no scopes and asks for a number that CIBA clients do not have: register the
-- first client of type oauth when it is gone.

-- +goose Up
ALTER TABLE requests ADD COLUMN typed_hash BYTEA;
ALTER TABLE requests ADD COLUMN answer_to BYTEA;
ALTER TABLE requests ADD COLUMN jkt TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX requests_by_typed ON requests (typed_hash) WHERE typed_hash IS NOT NULL;

ALTER TABLE clients ADD COLUMN oauth TEXT NOT NULL DEFAULT ''; -- JSON, '' for none
ALTER TABLE users ADD COLUMN ciba_code BYTEA;

-- data is JSON: what is only ever read whole.
CREATE TABLE devices (
    id         TEXT   NOT NULL PRIMARY KEY,
    version    BIGINT NOT NULL,
    user_id    TEXT   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id  TEXT   NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    expires    BIGINT NOT NULL,
    data       TEXT   NOT NULL
);
CREATE INDEX devices_of_user ON devices (user_id, created_at);
CREATE INDEX devices_of_client ON devices (client_id);
CREATE INDEX devices_by_end ON devices (expires);
