-- Trails, reservations and outcomes name a change by the entry that opened it, not by its id, which is
-- a digest: rows of changes that live at the same time then lie side by side, however many others
-- there are. Rows of what is no change go: nothing could ask for them.

-- Which entries of the authorizations log concern a change.
CREATE TABLE new_trails (
    opened INTEGER NOT NULL CHECK (opened >= 0),
    idx    INTEGER NOT NULL CHECK (idx >= 0),
    PRIMARY KEY (opened, idx)
) STRICT, WITHOUT ROWID;
INSERT INTO new_trails
    SELECT json_extract(documents.body, '$.opened'), trails.idx
    FROM trails JOIN documents ON documents.kind = 'change' AND documents.key = trails.change;
DROP TABLE trails;
ALTER TABLE new_trails RENAME TO trails;

CREATE TABLE new_reservations (
    opened      INTEGER NOT NULL CHECK (opened >= 0),
    host        TEXT NOT NULL,
    agent       TEXT NOT NULL,
    owner       TEXT NOT NULL,
    service     TEXT,
    environment TEXT NOT NULL,
    standing    INTEGER NOT NULL CHECK (standing IN (0, 1)),
    at          INTEGER NOT NULL,
    released_at INTEGER,
    PRIMARY KEY (opened, host)
) STRICT, WITHOUT ROWID;
INSERT INTO new_reservations
    SELECT json_extract(documents.body, '$.opened'), host, agent, owner, service, environment,
           standing, at, released_at
    FROM reservations JOIN documents ON kind = 'change' AND key = change;
DROP TABLE reservations;
ALTER TABLE new_reservations RENAME TO reservations;
CREATE INDEX reservations_in_flight_by_host ON reservations (host) WHERE released_at IS NULL;

CREATE TABLE new_outcomes (
    transition  TEXT NOT NULL,
    opened      INTEGER NOT NULL CHECK (opened >= 0),
    host        TEXT NOT NULL,
    environment TEXT NOT NULL,
    tier        INTEGER NOT NULL CHECK (tier BETWEEN 0 AND 255),
    succeeded   INTEGER NOT NULL CHECK (succeeded IN (0, 1)),
    at          INTEGER NOT NULL,
    PRIMARY KEY (transition, opened, host)
) STRICT, WITHOUT ROWID;
INSERT INTO new_outcomes
    SELECT transition, json_extract(documents.body, '$.opened'), host, environment, tier, succeeded, at
    FROM outcomes JOIN documents ON kind = 'change' AND key = change;
DROP TABLE outcomes;
ALTER TABLE new_outcomes RENAME TO outcomes;
-- A change asks where the same went wrong, and where in lower environments it went well.
CREATE INDEX outcomes_failed ON outcomes (transition, at) WHERE NOT succeeded;
CREATE INDEX outcomes_by_environment ON outcomes (transition, environment, at, host, succeeded);
