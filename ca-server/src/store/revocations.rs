//! SQL of what is revoked, and of who gets no certificates until they are unlocked.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{StoreError, from_sql, to_sql};
use crate::revocation::lock::LockKind;
use crate::time::Timestamp;

/// What opens nothing any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Revoked {
    /// One certificate.
    Serial {
        /// SHA-256 of the CA key that signed it, if that is known.
        ca: Option<[u8; 32]>,
        /// Its serial.
        serial: u64,
    },
    /// SHA-256 of a public key's blob.
    Key([u8; 32]),
}

/// A revocation that still matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Revocation {
    pub(crate) what: Revoked,
    /// When what it holds is over by itself.
    pub(crate) until: Option<Timestamp>,
}

/// Writes a revocation; false if it stands there already.
pub(crate) fn add(
    connection: &Connection,
    revocation: &Revocation,
    record: u64,
) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO revocations (kind, ca, serial, key, until, record)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
    )?;
    let until = millis(revocation.until)?;
    let record = to_sql(record)?;
    let added = match &revocation.what {
        Revoked::Serial { ca, serial } => {
            let (serial, key) = (to_sql(*serial)?, None::<&[u8]>);
            statement.execute(params![SERIAL, ca, serial, key, until, record])?
        }
        Revoked::Key(key) => {
            let (ca, serial) = (None::<&[u8]>, None::<i64>);
            statement.execute(params![KEY, ca, serial, key, until, record])?
        }
    };
    Ok(added == 1)
}

/// What is not over at `since`.
pub(crate) fn in_force(
    connection: &Connection,
    since: Timestamp,
) -> Result<Vec<Revocation>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT kind, ca, serial, key, until FROM revocations
         WHERE until IS NULL OR until > ?1 ORDER BY number",
    )?;
    let mut rows = statement.query([to_sql(since.millis())?])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let kind: String = row.get(0)?;
        let what = match kind.as_str() {
            SERIAL => Revoked::Serial {
                ca: row.get(1)?,
                serial: from_sql(row.get(2)?)?,
            },
            KEY => Revoked::Key(row.get(3)?),
            _ => return Err(StoreError::Damaged("a revocation of an unknown kind")),
        };
        let until = row.get::<_, Option<i64>>(4)?.map(from_sql).transpose()?;
        found.push(Revocation {
            what,
            until: until.map(Timestamp::from_millis),
        });
    }
    Ok(found)
}

/// A lock's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LockRow {
    pub(crate) kind: LockKind,
    pub(crate) value: String,
    pub(crate) since: Timestamp,
    pub(crate) reason: String,
}

/// Locks; false if it was locked already, which then stays as it was.
pub(crate) fn lock(
    connection: &Connection,
    row: &LockRow,
    record: u64,
) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO locks (kind, value, since, reason, record) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO NOTHING",
    )?;
    let since = to_sql(row.since.millis())?;
    let record = to_sql(record)?;
    let kind = row.kind.name();
    Ok(statement.execute(params![kind, row.value, since, row.reason, record])? == 1)
}

/// Unlocks; false if it was not locked.
pub(crate) fn unlock(
    connection: &Connection,
    kind: LockKind,
    value: &str,
) -> Result<bool, StoreError> {
    Ok(connection
        .prepare_cached("DELETE FROM locks WHERE kind = ?1 AND value = ?2")?
        .execute([kind.name(), value])?
        > 0)
}

/// Whether it is locked.
pub(crate) fn is_locked(
    connection: &Connection,
    kind: LockKind,
    value: &str,
) -> Result<bool, StoreError> {
    Ok(connection
        .prepare_cached("SELECT 1 FROM locks WHERE kind = ?1 AND value = ?2")?
        .exists([kind.name(), value])?)
}

/// All locks, newest first.
pub(crate) fn locks(connection: &Connection) -> Result<Vec<LockRow>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT kind, value, since, reason FROM locks ORDER BY record DESC, value",
    )?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let kind: String = row.get(0)?;
        let kind = LockKind::ALL.into_iter().find(|it| it.name() == kind);
        found.push(LockRow {
            kind: kind.ok_or(StoreError::Damaged("a lock of an unknown kind"))?,
            value: row.get(1)?,
            since: Timestamp::from_millis(from_sql(row.get(2)?)?),
            reason: row.get(3)?,
        });
    }
    Ok(found)
}

/// A certificate of a person that is not over, with its record.
#[derive(Clone, Debug)]
pub(crate) struct Alive {
    pub(crate) serial: u64,
    pub(crate) ends: Timestamp,
    pub(crate) record: u64,
    pub(crate) person: Option<i64>,
    pub(crate) leaf: Vec<u8>,
}

/// Whose certificates.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Of {
    Anybody,
    Person(i64),
    Login(i64),
}

/// Certificates of people that are not over at `since`.
pub(crate) fn alive(
    connection: &Connection,
    of: Of,
    since: Timestamp,
) -> Result<Vec<Alive>, StoreError> {
    let (person, login) = match of {
        Of::Anybody => (None, None),
        Of::Person(person) => (Some(person), None),
        Of::Login(login) => (None, Some(login)),
    };
    let mut statement = connection.prepare_cached(ALIVE)?;
    let mut rows = statement.query(params![to_sql(since.millis())?, person, login])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

/// The certificate of that serial, a person's or a host's, alive or not.
pub(crate) fn of_serial(connection: &Connection, serial: u64) -> Result<Option<Alive>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT c.serial, coalesce(c.ends, h.ends, 0), r.idx, r.person, r.leaf FROM certificates c
         JOIN records r ON r.idx = c.record LEFT JOIN host_certificates h ON h.serial = c.serial
         WHERE c.serial = ?1",
    )?;
    let mut rows = statement.query([to_sql(serial)?])?;
    rows.next()?.map(read).transpose()
}

fn read(row: &rusqlite::Row<'_>) -> Result<Alive, StoreError> {
    Ok(Alive {
        serial: from_sql(row.get(0)?)?,
        ends: Timestamp::from_millis(from_sql(row.get(1)?)?),
        record: from_sql(row.get(2)?)?,
        person: row.get(3)?,
        leaf: row.get(4)?,
    })
}

fn millis(time: Option<Timestamp>) -> Result<Option<i64>, StoreError> {
    time.map(|time| to_sql(time.millis())).transpose()
}

/// The canonical key of a person.
pub(crate) fn person_key(
    connection: &Connection,
    number: i64,
) -> Result<Option<String>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT person FROM people WHERE number = ?1")?
        .query_row([number], |row| row.get(0))
        .optional()?)
}

/// What a person is known by: names that are theirs alone, then the subject.
pub(crate) fn names_of(connection: &Connection, person: &str) -> Result<Vec<String>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT name FROM names WHERE person = (SELECT number FROM people WHERE person = ?1)
         UNION ALL SELECT subject FROM people WHERE person = ?1",
    )?;
    let names = statement.query_map([person], |row| row.get(0))?;
    Ok(names.collect::<Result<_, _>>()?)
}

/// The conditions are those of the partial index.
const ALIVE: &str = "SELECT c.serial, c.ends, r.idx, r.person, r.leaf FROM certificates c
     JOIN records r ON r.idx = c.record
     WHERE c.ends IS NOT NULL AND c.ends > ?1
     AND (?2 IS NULL OR r.person = ?2) AND (?3 IS NULL OR r.login = ?3)";
const SERIAL: &str = "serial";
const KEY: &str = "key";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::migrate;

    #[test]
    fn what_is_alive_is_found_without_reading_the_ledger() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let mut connection = Connection::open(&path).unwrap();
        migrate::migrate(&mut connection, &path, migrate::STEPS).unwrap();
        let mut statement = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {ALIVE}"))
            .unwrap();
        let plan: Vec<String> = statement
            .query_map(params![1, 1, 1], |row| row.get(3))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(plan.len(), 2, "{plan:?}");
        assert!(plan[0].contains("certificates_ends (ends>?)"), "{plan:?}");
        assert!(plan[1].contains("PRIMARY KEY (rowid=?)"), "{plan:?}");
    }
}
