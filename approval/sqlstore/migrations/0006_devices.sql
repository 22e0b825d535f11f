-- Revoking is a column of its own: one statement ends a device whatever else is
-- written to its row at the same time, and version, which it moves on, makes that
-- lose. What is in data counts where the columns say nothing: the version before
-- writes no others. It does not read them either, so until its last node is gone a
-- device that was revoked here can only not be refreshed there.
--
-- From here on expires is when the row goes: never before its tokens are worthless.
--
-- A browser session gets the name of its browser and where it was last used, for the
-- page on which its owner looks for strangers.

-- +goose Up
ALTER TABLE devices ADD COLUMN revoked_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE devices ADD COLUMN revoked_by TEXT NOT NULL DEFAULT '';

ALTER TABLE sessions ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN address TEXT NOT NULL DEFAULT '';
