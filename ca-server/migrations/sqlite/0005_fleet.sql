-- Number of the newest trust bundle: counts up with everything that hosts must hear of.
ALTER TABLE head ADD COLUMN bundle INTEGER NOT NULL DEFAULT 1;
-- ms; when that was.
ALTER TABLE head ADD COLUMN bundle_changed INTEGER NOT NULL DEFAULT 0;

-- What a host that comes with the token may become. Rows are never deleted: a token is told apart
-- from one that never was.
CREATE TABLE invitations (
    number    INTEGER PRIMARY KEY,
    id        BLOB    NOT NULL UNIQUE,
    token     BLOB    NOT NULL UNIQUE,         -- SHA-256 of the secret
    names     TEXT    NOT NULL,                -- JSON list of patterns
    labels    TEXT    NOT NULL,                -- JSON object
    networks  TEXT    NOT NULL,                -- JSON list of CIDRs; empty: anywhere
    uses      INTEGER,                         -- left; NULL: any number
    made      INTEGER NOT NULL,                -- its record
    expires   INTEGER NOT NULL,                -- ms
    withdrawn INTEGER                          -- ms
) STRICT;

-- A host. `id` is random and never used again; rows are never deleted.
CREATE TABLE hosts (
    number           INTEGER PRIMARY KEY,
    id               TEXT    NOT NULL UNIQUE,
    names            TEXT    NOT NULL,         -- JSON list; what it is or was called
    labels           TEXT    NOT NULL,         -- JSON object
    invitation       INTEGER NOT NULL,         -- invitations.number
    enrolled         INTEGER NOT NULL,         -- ms
    record           INTEGER NOT NULL,         -- its host-enrolled record
    certificate_ends INTEGER NOT NULL,         -- ms; of the last certificates
    report           TEXT    NOT NULL,         -- JSON; what it last said of itself
    seen             INTEGER NOT NULL,         -- ms; written once a minute at most
    bundle           INTEGER,                  -- the number it last said to hold
    revoked          INTEGER                   -- ms; never cleared
) STRICT;

-- A name belongs to one living host (A60). Rows go when the host is revoked.
CREATE TABLE host_names (
    name TEXT PRIMARY KEY,
    host INTEGER NOT NULL                      -- hosts.number
) STRICT, WITHOUT ROWID;
CREATE INDEX host_names_host ON host_names (host);

-- A key belongs to one living host: the same key elsewhere is a copy of that host. Rows go when it
-- is revoked.
CREATE TABLE host_keys (
    key      BLOB PRIMARY KEY,                 -- SHA-256 of the public key blob
    host     INTEGER NOT NULL,                 -- hosts.number
    position INTEGER NOT NULL,                 -- 0: who the host is
    blob     BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX host_keys_host ON host_keys (host, position);

-- Certificates of hosts, to be revoked with the host. Rows go when they are over.
CREATE TABLE host_certificates (
    serial INTEGER PRIMARY KEY,
    host   INTEGER NOT NULL,                   -- hosts.number
    ca     BLOB    NOT NULL,                   -- blob of the host CA key that signed it
    ends   INTEGER NOT NULL                    -- ms
) STRICT;
CREATE INDEX host_certificates_host ON host_certificates (host, ends);

-- What is revoked, for the lists that sshd reads. What is over (`until`) is no longer listed.
CREATE TABLE revocations (
    number INTEGER PRIMARY KEY,
    kind   TEXT    NOT NULL,                   -- serial | key | ca-key
    ca     BLOB,                               -- serial: SHA-256 of the CA key that signed it; NULL: any
    serial INTEGER,                            -- serial
    key    BLOB,                               -- key: SHA-256 of the blob; ca-key: the blob
    until  INTEGER,                            -- ms; NULL: for ever
    record INTEGER NOT NULL                    -- its record
) STRICT;
CREATE INDEX revocations_until ON revocations (until);
CREATE UNIQUE INDEX revocations_serial ON revocations (serial) WHERE kind = 'serial';
CREATE UNIQUE INDEX revocations_key ON revocations (kind, key) WHERE key IS NOT NULL;

-- Which certificates of people are alive, found without reading the ledger. ms; NULL: a host's, or
-- over when this was added.
ALTER TABLE certificates ADD COLUMN ends INTEGER;
UPDATE certificates SET ends = alive.ends FROM (
    SELECT idx, json_extract(CAST(leaf AS TEXT), '$.facts.valid_before') * 1000 AS ends
    FROM records WHERE kind = 'certificate'
) AS alive WHERE record = alive.idx AND alive.ends > unixepoch() * 1000;
CREATE INDEX certificates_ends ON certificates (ends) WHERE ends IS NOT NULL;

-- People and roles that get no certificates until they are unlocked.
CREATE TABLE locks (
    kind   TEXT    NOT NULL,                   -- user | role | key
    value  TEXT    NOT NULL,                   -- the canonical key of a person; a role; SHA256:…
    since  INTEGER NOT NULL,                   -- ms
    reason TEXT    NOT NULL,
    record INTEGER NOT NULL,
    PRIMARY KEY (kind, value)
) STRICT, WITHOUT ROWID;
