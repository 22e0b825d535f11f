-- Webhooks, and what the outbox must know to be the log of what they were told. It
-- runs unchanged on SQLite and PostgreSQL; new columns of old tables have defaults, so
-- that the version before, which does not name them, goes on writing during a rolling
-- deploy. That version announces nothing: add the first webhook when it is gone.

-- +goose Up
CREATE TABLE webhooks (
    id            TEXT   NOT NULL PRIMARY KEY,
    namespace_id  TEXT   NOT NULL REFERENCES namespaces (id),
    version       BIGINT NOT NULL,
    url           TEXT   NOT NULL,
    events        TEXT   NOT NULL, -- JSON
    sealed        BYTEA  NOT NULL,
    sealed_before BYTEA,
    before_ends   BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    disabled_at   BIGINT NOT NULL,
    disabled      TEXT   NOT NULL
);
CREATE INDEX webhooks_of_namespace ON webhooks (namespace_id, created_at);

-- tries counts the attempts since a webhook's message was queued or replayed;
-- settled_at is when the last of them was answered.
ALTER TABLE outbox ADD COLUMN tries BIGINT NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN settled_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX outbox_due_of_webhook ON outbox (topic, key, next_at) WHERE topic = 'webhook' AND next_at > 0;

-- The rows of webhooks stay for days after their end, and the purge of the others must
-- not pass over them every minute.
DROP INDEX outbox_by_end;
CREATE INDEX outbox_by_end ON outbox (ends_at) WHERE topic <> 'webhook';
CREATE INDEX outbox_by_end_of_webhook ON outbox (topic, ends_at) WHERE topic = 'webhook';
