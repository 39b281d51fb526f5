-- The two logs, the blobs beside them, and the projections that are folds of them.
-- log: 0 recommendations, 1 authorizations. Times are milliseconds since the Unix epoch.

CREATE TABLE logs (
    log    INTEGER PRIMARY KEY CHECK (log IN (0, 1)),
    origin TEXT NOT NULL,
    vkey   TEXT NOT NULL,
    size   INTEGER NOT NULL CHECK (size >= 0),
    root   BLOB NOT NULL CHECK (length(root) = 32)
) STRICT;

-- One table a log, so that each append goes to the right edge of its own tree.
CREATE TABLE recommendations_entries (
    idx   INTEGER PRIMARY KEY CHECK (idx >= 0),
    leaf  BLOB NOT NULL CHECK (length(leaf) = 32),
    bytes BLOB NOT NULL CHECK (length(bytes) <= 65535)
) STRICT;
CREATE TABLE authorizations_entries (
    idx   INTEGER PRIMARY KEY CHECK (idx >= 0),
    leaf  BLOB NOT NULL CHECK (length(leaf) = 32),
    bytes BLOB NOT NULL CHECK (length(bytes) <= 65535)
) STRICT;

-- Append-only: a mistake in this code cannot change what was logged.
CREATE TRIGGER recommendations_are_never_changed BEFORE UPDATE ON recommendations_entries
BEGIN SELECT raise(ABORT, 'log entries are never changed'); END;
CREATE TRIGGER recommendations_are_never_removed BEFORE DELETE ON recommendations_entries
BEGIN SELECT raise(ABORT, 'log entries are never removed'); END;
CREATE TRIGGER authorizations_are_never_changed BEFORE UPDATE ON authorizations_entries
BEGIN SELECT raise(ABORT, 'log entries are never changed'); END;
CREATE TRIGGER authorizations_are_never_removed BEFORE DELETE ON authorizations_entries
BEGIN SELECT raise(ABORT, 'log entries are never removed'); END;

-- Complete nodes of the 256-ary tree, level 1 and above; level 0 is the leaves.
CREATE TABLE nodes (
    log   INTEGER NOT NULL,
    level INTEGER NOT NULL CHECK (level >= 1),
    idx   INTEGER NOT NULL CHECK (idx >= 0),
    hash  BLOB NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (log, level, idx)
) STRICT, WITHOUT ROWID;

CREATE TABLE checkpoints (
    log      INTEGER NOT NULL,
    size     INTEGER NOT NULL,
    note     TEXT NOT NULL,
    cosigned INTEGER NOT NULL CHECK (cosigned IN (0, 1)),
    PRIMARY KEY (log, size)
) STRICT, WITHOUT ROWID;

CREATE TABLE blobs (
    digest BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    salt   BLOB CHECK (length(salt) = 16),
    bytes  BLOB NOT NULL
) STRICT;

CREATE TABLE documents (
    kind   TEXT NOT NULL,
    key    TEXT NOT NULL,
    state  TEXT NOT NULL,
    due_at INTEGER,
    ord    INTEGER NOT NULL,
    listed INTEGER NOT NULL CHECK (listed IN (0, 1)),
    body   TEXT NOT NULL,
    PRIMARY KEY (kind, key)
) STRICT;
-- Most documents are only ever found by their key: they cost no other index.
CREATE INDEX documents_by_order ON documents (kind, ord) WHERE listed;
CREATE INDEX documents_by_state ON documents (kind, state, ord) WHERE listed;
CREATE INDEX documents_by_due ON documents (kind, due_at) WHERE due_at IS NOT NULL;

-- Which entries of the authorizations log concern a change.
CREATE TABLE trails (
    change TEXT NOT NULL,
    idx    INTEGER NOT NULL CHECK (idx >= 0),
    PRIMARY KEY (change, idx)
) STRICT, WITHOUT ROWID;

CREATE TABLE reservations (
    change      TEXT NOT NULL,
    host        TEXT NOT NULL,
    agent       TEXT NOT NULL,
    owner       TEXT NOT NULL,
    service     TEXT,
    environment TEXT NOT NULL,
    standing    INTEGER NOT NULL CHECK (standing IN (0, 1)),
    at          INTEGER NOT NULL,
    released_at INTEGER,
    PRIMARY KEY (change, host)
) STRICT, WITHOUT ROWID;
CREATE INDEX reservations_in_flight_by_host ON reservations (host) WHERE released_at IS NULL;

-- Sums over reservations, so that a decision does not count rows.
CREATE TABLE in_flight (
    scope TEXT NOT NULL CHECK (scope IN ('agent', 'owner', 'service', 'environment')),
    name  TEXT NOT NULL,
    hosts INTEGER NOT NULL,
    PRIMARY KEY (scope, name)
) STRICT, WITHOUT ROWID;
-- owner: empty for everybody. width: of the bucket, in milliseconds.
CREATE TABLE windows (
    owner TEXT NOT NULL,
    width INTEGER NOT NULL,
    start INTEGER NOT NULL,
    hosts INTEGER NOT NULL,
    PRIMARY KEY (owner, width, start)
) STRICT, WITHOUT ROWID;

CREATE TABLE outcomes (
    transition  TEXT NOT NULL,
    change      TEXT NOT NULL,
    host        TEXT NOT NULL,
    environment TEXT NOT NULL,
    tier        INTEGER NOT NULL CHECK (tier BETWEEN 0 AND 255),
    succeeded   INTEGER NOT NULL CHECK (succeeded IN (0, 1)),
    at          INTEGER NOT NULL,
    PRIMARY KEY (transition, change, host)
) STRICT, WITHOUT ROWID;
-- A change asks where the same went wrong, and where in lower environments it went well.
CREATE INDEX outcomes_failed ON outcomes (transition, at) WHERE NOT succeeded;
CREATE INDEX outcomes_by_environment ON outcomes (transition, environment, at, host, succeeded);

CREATE TABLE intel (
    cve  TEXT NOT NULL,
    feed TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (cve, feed)
) STRICT, WITHOUT ROWID;
