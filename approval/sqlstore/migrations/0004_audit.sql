-- The chain over the audit rows (package audit): which place each row was given and
-- the hash up to it, and the head that says where the chain ends. Audit rows are
-- written as before and never touched; the version before goes on writing them. It
-- runs unchanged on SQLite and PostgreSQL.

-- +goose Up
-- The order in which rows are looked at to be sealed, and exported.
CREATE INDEX events_by_seq ON events (seq, op);

-- Without a foreign key: that a row has gone must show, and no decision waits for
-- the sealing of another.
CREATE TABLE audit_chain (
    n    BIGINT NOT NULL PRIMARY KEY,
    op   TEXT   NOT NULL UNIQUE,
    hash BYTEA  NOT NULL
);

-- One row, with id 1, once something is sealed. mark_seq and mark_op are how far the
-- rows were taken in order; mac is over what stands before it.
CREATE TABLE audit_head (
    id          BIGINT NOT NULL PRIMARY KEY,
    n           BIGINT NOT NULL,
    hash        BYTEA  NOT NULL,
    mark_seq    BIGINT NOT NULL,
    mark_op     TEXT   NOT NULL,
    mac         BYTEA  NOT NULL,
    holder      TEXT   NOT NULL,
    lease_until BIGINT NOT NULL
);
