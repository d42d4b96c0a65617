-- Whether a person has a login that lives, found by the one writer without reading all logins.
CREATE INDEX logins_live ON logins (person, ends) WHERE ended IS NULL;
