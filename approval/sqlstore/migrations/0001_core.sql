-- The first schema. It runs unchanged on SQLite and PostgreSQL:
--   times are BIGINT microseconds since 1970, 0 for "never";
--   an absent text is '', an absent byte string is NULL;
--   BYTEA is PostgreSQL's name: SQLite keeps a blob a blob under any type name;
--   lists and what is only ever read whole are JSON in TEXT.

-- +goose Up
CREATE TABLE namespaces (
    id         TEXT   NOT NULL PRIMARY KEY,
    name       TEXT   NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

CREATE TABLE users (
    id           TEXT   NOT NULL PRIMARY KEY,
    namespace_id TEXT   NOT NULL REFERENCES namespaces (id),
    client_id    TEXT   NOT NULL,
    username     TEXT   NOT NULL,
    status       TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    UNIQUE (namespace_id, username)
);

CREATE TABLE passkeys (
    id              TEXT    NOT NULL PRIMARY KEY,
    user_id         TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    credential_id   BYTEA   NOT NULL UNIQUE,
    public_key      BYTEA   NOT NULL,
    sign_count      BIGINT  NOT NULL,
    aaguid          BYTEA,
    transports      TEXT    NOT NULL,
    backup_eligible BOOLEAN NOT NULL,
    backup_state    BOOLEAN NOT NULL,
    attestation     TEXT    NOT NULL,
    status          TEXT    NOT NULL,
    name            TEXT    NOT NULL,
    created_at      BIGINT  NOT NULL,
    updated_at      BIGINT  NOT NULL,
    used_at         BIGINT  NOT NULL
);
CREATE INDEX passkeys_of_user ON passkeys (user_id, created_at);

CREATE TABLE clients (
    id                 TEXT    NOT NULL PRIMARY KEY,
    namespace_id       TEXT    NOT NULL REFERENCES namespaces (id),
    name               TEXT    NOT NULL,
    type               TEXT    NOT NULL,
    scopes             TEXT    NOT NULL,
    origins            TEXT    NOT NULL,
    open_registration  BOOLEAN NOT NULL,
    require_wait_token BOOLEAN NOT NULL,
    match_mode         TEXT    NOT NULL,
    issuer             TEXT    NOT NULL,
    created_at         BIGINT  NOT NULL
);

CREATE TABLE client_keys (
    id         TEXT   NOT NULL PRIMARY KEY,
    client_id  TEXT   NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    public     BYTEA  NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX client_keys_of_client ON client_keys (client_id);

CREATE TABLE sessions (
    hash       BYTEA  NOT NULL PRIMARY KEY,
    user_id    TEXT   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    passkey_id TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL
);
CREATE INDEX sessions_of_user ON sessions (user_id);
CREATE INDEX sessions_by_seen ON sessions (seen_at);

CREATE TABLE invitations (
    hash       BYTEA  NOT NULL PRIMARY KEY,
    user_id    TEXT   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    expires    BIGINT NOT NULL
);
CREATE INDEX invitations_of_user ON invitations (user_id);
CREATE INDEX invitations_by_end ON invitations (expires);

-- A request names its user and clients without a foreign key: it outlives them
-- until it is purged, and Apply checks them when it matters.
CREATE TABLE requests (
    id           TEXT    NOT NULL PRIMARY KEY,
    face         TEXT    NOT NULL,
    namespace_id TEXT    NOT NULL,
    client_id    TEXT    NOT NULL,
    purpose      TEXT    NOT NULL,
    context      TEXT    NOT NULL,
    audience     TEXT    NOT NULL,
    token_needed BOOLEAN NOT NULL,
    user_id      TEXT    NOT NULL,
    match_mode   TEXT    NOT NULL,
    code_kind    TEXT    NOT NULL,
    code_hash    BYTEA   UNIQUE,
    handle_hash  BYTEA   UNIQUE,
    created_at   BIGINT  NOT NULL,
    expires      BIGINT  NOT NULL,
    state        TEXT    NOT NULL,
    version      BIGINT  NOT NULL,
    tries        BIGINT  NOT NULL,
    opened_at    BIGINT  NOT NULL,
    opened_via   TEXT    NOT NULL,
    decision     TEXT    NOT NULL, -- JSON, '' before the verdict
    grant_data   TEXT    NOT NULL, -- JSON, '' before the redemption
    ended_by     TEXT    NOT NULL, -- '' unless canceled
    -- What filters and the purge ask of the JSON:
    decided_passkey  TEXT   NOT NULL,
    grant_expires    BIGINT NOT NULL,
    grant_revoked_at BIGINT NOT NULL
);
CREATE INDEX requests_by_state ON requests (state, expires);
CREATE INDEX requests_of_user ON requests (user_id, created_at);
CREATE INDEX requests_of_passkey ON requests (decided_passkey) WHERE decided_passkey <> '';

-- The audit rows. seq orders them: the store's time, moved on where it ties.
CREATE TABLE events (
    op           TEXT   NOT NULL PRIMARY KEY,
    seq          BIGINT NOT NULL,
    at           BIGINT NOT NULL,
    name         TEXT   NOT NULL,
    namespace_id TEXT   NOT NULL,
    request_id   TEXT   NOT NULL,
    version      BIGINT NOT NULL,
    user_id      TEXT   NOT NULL,
    client_id    TEXT   NOT NULL,
    passkey_id   TEXT   NOT NULL,
    address      TEXT   NOT NULL,
    detail       TEXT   NOT NULL
);
CREATE INDEX events_of_user ON events (user_id, seq);

-- The operation ids of changes that have no audit row.
CREATE TABLE ops (
    op       TEXT   NOT NULL PRIMARY KEY,
    ends_at  BIGINT NOT NULL
);
CREATE INDEX ops_by_end ON ops (ends_at);

CREATE TABLE spent (
    box     TEXT   NOT NULL,
    key     TEXT   NOT NULL,
    ends_at BIGINT NOT NULL,
    PRIMARY KEY (box, key)
);
CREATE INDEX spent_by_end ON spent (ends_at);

CREATE TABLE budgets (
    key     TEXT   NOT NULL PRIMARY KEY,
    taken   BIGINT NOT NULL,
    ends_at BIGINT NOT NULL
);
CREATE INDEX budgets_by_end ON budgets (ends_at);

CREATE TABLE ceremonies (
    id           TEXT    NOT NULL PRIMARY KEY,
    purpose      TEXT    NOT NULL,
    namespace_id TEXT    NOT NULL,
    user_id      TEXT    NOT NULL,
    client_id    TEXT    NOT NULL,
    request_id   TEXT    NOT NULL,
    way          TEXT    NOT NULL,
    matched      BOOLEAN NOT NULL,
    subject      BYTEA,
    record       BYTEA,
    random       BYTEA,
    session      BYTEA,
    origins      TEXT    NOT NULL,
    expires      BIGINT  NOT NULL
);
CREATE INDEX ceremonies_by_end ON ceremonies (expires);

-- Receipts outlive their request: they are evidence.
CREATE TABLE receipts (
    request_id         TEXT  NOT NULL PRIMARY KEY,
    user_id            TEXT  NOT NULL,
    passkey_id         TEXT  NOT NULL,
    public_key         BYTEA,
    random             BYTEA,
    record             BYTEA,
    authenticator_data BYTEA,
    client_data        BYTEA,
    signature          BYTEA
);

CREATE TABLE outbox (
    id         TEXT   NOT NULL PRIMARY KEY,
    seq        BIGINT NOT NULL,
    topic      TEXT   NOT NULL,
    key        TEXT   NOT NULL,
    body       BYTEA,
    created_at BIGINT NOT NULL,
    ends_at    BIGINT NOT NULL
);
CREATE INDEX outbox_by_topic ON outbox (topic, seq);
CREATE INDEX outbox_by_end ON outbox (ends_at);

CREATE TABLE signing_keys (
    kid        TEXT   NOT NULL PRIMARY KEY,
    alg        TEXT   NOT NULL,
    public     BYTEA  NOT NULL,
    sealed     BYTEA,
    use_from   BIGINT NOT NULL,
    use_until  BIGINT NOT NULL,
    keep_until BIGINT NOT NULL
);

CREATE TABLE settings (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);
