//! SQL of records, parts, serials, policies and the head row.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{BundleNumber, Head, StoreError, from_sql, to_sql};
use crate::ledger::record::{Entry, Hash, Kind, Part, PartName};
use crate::time::Timestamp;

/// The head row.
pub(crate) fn head(connection: &Connection) -> Result<Head, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT size, epoch, epoch_started, bundle, bundle_changed FROM head WHERE one = 1",
    )?;
    let (size, epoch, started, bundle, changed) = statement.query_row([], |row| {
        Ok((
            row.get(0)?,
            row.get(1)?,
            row.get(2)?,
            row.get(3)?,
            row.get(4)?,
        ))
    })?;
    Ok(Head {
        size: from_sql(size)?,
        epoch: from_sql(epoch)?,
        epoch_started: Timestamp::from_millis(from_sql(started)?),
        bundle: BundleNumber {
            number: from_sql(bundle)?,
            changed: Timestamp::from_millis(from_sql(changed)?),
        },
    })
}

/// Writes the head row.
pub(crate) fn set_head(connection: &Connection, head: Head) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "UPDATE head SET size = ?1, epoch = ?2, epoch_started = ?3, bundle = ?4,
         bundle_changed = ?5 WHERE one = 1",
    )?;
    let changed = statement.execute([
        to_sql(head.size)?,
        to_sql(head.epoch)?,
        to_sql(head.epoch_started.millis())?,
        to_sql(head.bundle.number)?,
        to_sql(head.bundle.changed.millis())?,
    ])?;
    if changed == 1 {
        Ok(())
    } else {
        Err(StoreError::Damaged("the head row is missing"))
    }
}

/// What a record is found by, beside its index.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Found {
    pub(crate) person: Option<i64>,
    pub(crate) login: Option<i64>,
    pub(crate) identity: Option<u64>,
}

/// Appends a record with its parts at `index`, which the head row gave.
pub(crate) fn append(
    connection: &Connection,
    index: u64,
    entry: &Entry,
    found: Found,
) -> Result<(), StoreError> {
    let mut record = connection.prepare_cached(
        "INSERT INTO records (idx, kind, time, person, login, identity, leaf, hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    record.execute(params![
        to_sql(index)?,
        entry.kind.name(),
        to_sql(entry.time.millis())?,
        found.person,
        found.login,
        found.identity.map(to_sql).transpose()?,
        entry.leaf,
        entry.hash.0,
    ])?;
    let mut part =
        connection.prepare_cached("INSERT INTO parts (number, salt, bytes) VALUES (?1, ?2, ?3)")?;
    for it in &entry.parts {
        part.execute(params![part_number(index, it.name)?, it.salt, it.bytes])?;
    }
    Ok(())
}

/// A stored record.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) index: u64,
    pub(crate) kind: String,
    pub(crate) time: Timestamp,
    pub(crate) identity: Option<u64>,
    pub(crate) leaf: Vec<u8>,
    pub(crate) hash: Hash,
}

/// The columns of [`row`], in its order.
pub(crate) const ROW: &str = "idx, kind, time, identity, leaf, hash";

/// Reads the columns of [`ROW`].
pub(crate) fn row(row: &rusqlite::Row<'_>) -> Result<Row, StoreError> {
    Ok(Row {
        index: from_sql(row.get(0)?)?,
        kind: row.get(1)?,
        time: Timestamp::from_millis(from_sql(row.get(2)?)?),
        identity: row.get::<_, Option<i64>>(3)?.map(from_sql).transpose()?,
        leaf: row.get(4)?,
        hash: Hash(row.get(5)?),
    })
}

/// One record.
pub(crate) fn record(connection: &Connection, index: u64) -> Result<Option<Row>, StoreError> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {ROW} FROM records WHERE idx = ?1"))?;
    let mut rows = statement.query([to_sql(index)?])?;
    rows.next()?.map(row).transpose()
}

/// What is in force until the next record of its kind. Only these can be asked for their last record:
/// each has an index of its own, and any other would have the whole ledger read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InForce {
    Policy,
    KeySet,
    Epoch,
}

impl InForce {
    /// The kind of its records.
    pub(crate) fn kind(self) -> Kind {
        match self {
            InForce::Policy => Kind::Policy,
            InForce::KeySet => Kind::KeySet,
            InForce::Epoch => Kind::Epoch,
        }
    }
}

/// The last record of what is in force.
pub(crate) fn last_of(connection: &Connection, kind: InForce) -> Result<Option<Row>, StoreError> {
    let mut statement = connection.prepare_cached(&last_of_sql(kind))?;
    let mut rows = statement.query([])?;
    rows.next()?.map(row).transpose()
}

/// The name stands in the text: a partial index is used only where SQLite sees that it fits.
fn last_of_sql(kind: InForce) -> String {
    let name = kind.kind().name();
    format!("SELECT {ROW} FROM records WHERE kind = '{name}' ORDER BY idx DESC LIMIT 1")
}

/// A part, unless it was erased.
pub(crate) fn part(
    connection: &Connection,
    index: u64,
    name: PartName,
) -> Result<Option<Part>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT salt, bytes FROM parts WHERE number = ?1")?;
    let number = part_number(index, name)?;
    Ok(statement
        .query_row([number], |row| {
            let (salt, bytes) = (row.get(0)?, row.get(1)?);
            Ok(Part { name, salt, bytes })
        })
        .optional()?)
}

fn part_number(index: u64, name: PartName) -> Result<i64, StoreError> {
    to_sql(index)?
        .checked_mul(8)
        .and_then(|first| first.checked_add(i64::from(name as u8)))
        .ok_or(StoreError::Damaged("a record's index is out of range"))
}

/// A serial that is taken, with what makes its certificate found while it is alive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Serial {
    pub(crate) serial: u64,
    /// When a person's is over; a host's are found by their host.
    pub(crate) ends: Option<Timestamp>,
}

/// Takes a serial; false if it was ever taken before (A35).
pub(crate) fn take_serial(
    connection: &Connection,
    taken: Serial,
    index: u64,
) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO certificates (serial, record, ends) VALUES (?1, ?2, ?3)
         ON CONFLICT DO NOTHING",
    )?;
    let ends = taken.ends.map(|ends| to_sql(ends.millis())).transpose()?;
    Ok(statement.execute(params![to_sql(taken.serial)?, to_sql(index)?, ends])? == 1)
}

/// The record of a serial.
pub(crate) fn record_of_serial(
    connection: &Connection,
    serial: u64,
) -> Result<Option<u64>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT record FROM certificates WHERE serial = ?1")?;
    let record = statement
        .query_row([to_sql(serial)?], |row| row.get(0))
        .optional()?;
    record.map(from_sql).transpose()
}

/// Keeps a policy's text under its digest.
pub(crate) fn keep_policy(
    connection: &Connection,
    digest: &str,
    text: &str,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO policies (digest, text) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        )?
        .execute([digest, text])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::migrate;

    #[test]
    fn what_is_in_force_is_found_without_reading_the_whole_ledger() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let mut connection = Connection::open(&path).unwrap();
        migrate::migrate(&mut connection, &path, migrate::STEPS).unwrap();
        for kind in [InForce::Policy, InForce::KeySet, InForce::Epoch] {
            let plan: String = connection
                .query_row(
                    &format!("EXPLAIN QUERY PLAN {}", last_of_sql(kind)),
                    [],
                    |row| row.get(3),
                )
                .unwrap();
            assert!(plan.starts_with("SEARCH records USING INDEX"), "{plan}");
        }
    }
}
