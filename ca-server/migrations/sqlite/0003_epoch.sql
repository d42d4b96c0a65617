-- The last epoch, which every start asks for and few ledgers have: without this, it reads them whole.
CREATE INDEX records_epoch ON records (kind) WHERE kind = 'epoch';
