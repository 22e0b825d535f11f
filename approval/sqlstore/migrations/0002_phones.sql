-- Phones and how they are told. Like the first schema, it runs unchanged on SQLite
-- and PostgreSQL. New columns of old tables have defaults, so that the version
-- before, which does not name them, goes on writing during a rolling deploy.

-- +goose Up
CREATE TABLE phones (
    id         TEXT   NOT NULL PRIMARY KEY,
    user_id    TEXT   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind       TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    hash       BYTEA  NOT NULL UNIQUE,
    sealed     BYTEA  NOT NULL,
    created_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL,
    reached_at BIGINT NOT NULL,
    fault      TEXT   NOT NULL
);
CREATE INDEX phones_of_user ON phones (user_id, created_at);

-- What one person has been prompted with; data is JSON, ends_at is when nothing
-- of it counts any more.
CREATE TABLE promptings (
    key     TEXT   NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    data    TEXT   NOT NULL,
    ends_at BIGINT NOT NULL
);
CREATE INDEX promptings_by_end ON promptings (ends_at);

ALTER TABLE requests ADD COLUMN rotates BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE requests ADD COLUMN opened_by TEXT NOT NULL DEFAULT '';
ALTER TABLE requests ADD COLUMN again_at BIGINT NOT NULL DEFAULT 0;

ALTER TABLE clients ADD COLUMN notify BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE clients ADD COLUMN rotate_qr BOOLEAN NOT NULL DEFAULT FALSE;

-- next_at is when a message may be claimed: 0 when it is done, the end of the
-- lease while somebody has it.
ALTER TABLE outbox ADD COLUMN state TEXT NOT NULL DEFAULT 'queued';
ALTER TABLE outbox ADD COLUMN next_at BIGINT NOT NULL DEFAULT 1;
ALTER TABLE outbox ADD COLUMN attempt BIGINT NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN note TEXT NOT NULL DEFAULT '';
DROP INDEX outbox_by_topic;
CREATE INDEX outbox_due ON outbox (topic, next_at) WHERE next_at > 0;
CREATE INDEX outbox_about ON outbox (topic, key, seq);
