-- The last policy and the last key set, found without reading the whole ledger. Partial: no other
-- record pays for them.
CREATE INDEX records_policy ON records (kind) WHERE kind = 'policy';
CREATE INDEX records_key_set ON records (kind) WHERE kind = 'key-set';
