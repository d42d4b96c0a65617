-- The head row gives each batch its place (PostgreSQL, later: SELECT … FOR UPDATE).
CREATE TABLE head (
    one           INTEGER PRIMARY KEY CHECK (one = 1),
    size          INTEGER NOT NULL,            -- number of records = index of the next one
    epoch         INTEGER NOT NULL,            -- later after each restore
    epoch_started INTEGER NOT NULL             -- ms; tokens from before it open nothing after a restore
) STRICT;

-- Append-only. `leaf` is final; `hash` = SHA-256(0x00 || leaf). The other columns only find it.
CREATE TABLE records (
    idx      INTEGER PRIMARY KEY,
    kind     TEXT    NOT NULL,
    time     INTEGER NOT NULL,                 -- ms
    person   INTEGER,                          -- people.number
    login    INTEGER,                          -- logins.number
    identity INTEGER,                          -- the record whose `identity` part is meant
    leaf     BLOB    NOT NULL,
    hash     BLOB    NOT NULL
) STRICT;

-- Private parts, erasable one by one; number = idx * 8 + slot.
CREATE TABLE parts (
    number INTEGER PRIMARY KEY,
    salt   BLOB NOT NULL,
    bytes  BLOB NOT NULL
) STRICT;

-- A serial is used once, whatever the CA key (A35).
CREATE TABLE certificates (
    serial INTEGER PRIMARY KEY CHECK (serial > 0),
    record INTEGER NOT NULL
) STRICT;

-- `person` is the issuer's canonical key of a person.
CREATE TABLE people (
    number  INTEGER PRIMARY KEY,
    person  TEXT NOT NULL UNIQUE,
    issuer  TEXT NOT NULL,
    subject TEXT NOT NULL
) STRICT;

-- Who first came with an e-mail address or user name keeps it (A22).
CREATE TABLE names (
    issuer TEXT    NOT NULL,
    kind   TEXT    NOT NULL,                   -- email | username
    name   TEXT    NOT NULL,
    person INTEGER NOT NULL,
    PRIMARY KEY (issuer, kind, name)
) STRICT, WITHOUT ROWID;

-- `id` comes from (issuer, nonce), or from (issuer, token id) of a token that cannot be bound: that
-- it is unique makes each token open one login, ever (A14). Rows are never deleted.
CREATE TABLE logins (
    number    INTEGER PRIMARY KEY,
    id        BLOB    NOT NULL UNIQUE,
    key       BLOB    NOT NULL,                -- SHA-256 of the login key's blob
    person    INTEGER NOT NULL,
    opened    INTEGER NOT NULL,                -- its login-opened record
    identity  INTEGER NOT NULL,                -- the record with its last identity
    token_id  TEXT    NOT NULL,                -- of the last token
    issued_at INTEGER NOT NULL,                -- of the last token, ms
    ends      INTEGER NOT NULL,                -- ms
    ended     INTEGER,                         -- ms; never cleared
    username  TEXT
) STRICT;

-- One live login a key.
CREATE UNIQUE INDEX logins_key ON logins (key) WHERE ended IS NULL;

-- Every policy that was ever in force.
CREATE TABLE policies (
    digest TEXT PRIMARY KEY,
    text   TEXT NOT NULL
) STRICT, WITHOUT ROWID;
