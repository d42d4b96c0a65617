//! SQL of logins, and of the people and names behind them.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{StoreError, from_sql, to_sql};
use crate::time::Timestamp;

/// A login's row. What it says counts only together with the records that it points at (A89).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoginRow {
    pub(crate) number: i64,
    pub(crate) id: [u8; 16],
    pub(crate) key: [u8; 32],
    pub(crate) person: i64,
    pub(crate) opened: u64,
    pub(crate) identity: u64,
    pub(crate) token_id: String,
    pub(crate) issued_at: Timestamp,
    pub(crate) ends: Timestamp,
    pub(crate) ended: Option<Timestamp>,
    pub(crate) username: Option<String>,
}

impl LoginRow {
    /// Neither ended nor over.
    pub(crate) fn is_live(&self, now: Timestamp) -> bool {
        self.ended.is_none() && now < self.ends
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT number, id, key, person, opened, identity, token_id, issued_at, ends, ended, \
             username FROM logins ",
            $rest
        )
    };
}

fn read(row: &Row<'_>) -> Result<LoginRow, StoreError> {
    let time = |millis| from_sql(millis).map(Timestamp::from_millis);
    Ok(LoginRow {
        number: row.get(0)?,
        id: row.get(1)?,
        key: row.get(2)?,
        person: row.get(3)?,
        opened: from_sql(row.get(4)?)?,
        identity: from_sql(row.get(5)?)?,
        token_id: row.get(6)?,
        issued_at: time(row.get(7)?)?,
        ends: time(row.get(8)?)?,
        ended: row.get::<_, Option<i64>>(9)?.map(time).transpose()?,
        username: row.get(10)?,
    })
}

/// By identifier, whether it lives or not.
pub(crate) fn by_id(
    connection: &Connection,
    id: &[u8; 16],
) -> Result<Option<LoginRow>, StoreError> {
    let mut statement = connection.prepare_cached(select!("WHERE id = ?1"))?;
    let mut rows = statement.query([id])?;
    rows.next()?.map(read).transpose()
}

/// The login of a key that was not ended; it may be over.
pub(crate) fn by_key(
    connection: &Connection,
    key: &[u8; 32],
) -> Result<Option<LoginRow>, StoreError> {
    let mut statement = connection.prepare_cached(select!("WHERE key = ?1 AND ended IS NULL"))?;
    let mut rows = statement.query([key])?;
    rows.next()?.map(read).transpose()
}

/// Newest first; `live_at` leaves out what is ended or over then, `people` everybody else.
pub(crate) fn list(
    connection: &Connection,
    live_at: Option<Timestamp>,
    people: Option<&[i64]>,
    limit: usize,
) -> Result<Vec<LoginRow>, StoreError> {
    let mut statement = connection.prepare_cached(select!(
        "WHERE (?1 IS NULL OR (ended IS NULL AND ends > ?1)) ORDER BY number DESC"
    ))?;
    let live_at = live_at.map(|now| to_sql(now.millis())).transpose()?;
    let mut rows = statement.query([live_at])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let login = read(row)?;
        if people.is_none_or(|people| people.contains(&login.person)) {
            found.push(login);
        }
        if found.len() >= limit {
            break;
        }
    }
    Ok(found)
}

/// The logins of a person that were not ended; some may be over.
pub(crate) fn not_ended(connection: &Connection, person: i64) -> Result<Vec<LoginRow>, StoreError> {
    let mut statement = connection.prepare_cached(select!(
        "WHERE person = ?1 AND ended IS NULL ORDER BY number"
    ))?;
    let mut rows = statement.query([person])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

/// Whether any login of a person lives.
pub(crate) fn is_signed_in(
    connection: &Connection,
    person: i64,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached(SIGNED_IN)?;
    Ok(statement.exists(params![person, to_sql(now.millis())?])?)
}

const SIGNED_IN: &str = "SELECT 1 FROM logins WHERE person = ?1 AND ended IS NULL AND ends > ?2";

/// Writes a new login; its `number` is ignored and given back.
pub(crate) fn insert(connection: &Connection, login: &LoginRow) -> Result<i64, StoreError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO logins (id, key, person, opened, identity, token_id, issued_at, ends, username)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    Ok(statement.insert(params![
        login.id,
        login.key,
        login.person,
        to_sql(login.opened)?,
        to_sql(login.identity)?,
        login.token_id,
        to_sql(login.issued_at.millis())?,
        to_sql(login.ends.millis())?,
        login.username,
    ])?)
}

/// The last token of a login, and the record with what it said.
pub(crate) fn set_token(
    connection: &Connection,
    number: i64,
    identity: u64,
    token_id: &str,
    issued_at: Timestamp,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "UPDATE logins SET identity = ?2, token_id = ?3, issued_at = ?4 WHERE number = ?1",
    )?;
    let issued_at = to_sql(issued_at.millis())?;
    statement.execute(params![number, to_sql(identity)?, token_id, issued_at])?;
    Ok(())
}

/// Ends a login for good.
pub(crate) fn end(connection: &Connection, number: i64, at: Timestamp) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE logins SET ended = ?2 WHERE number = ?1 AND ended IS NULL")?
        .execute([number, to_sql(at.millis())?])?;
    Ok(())
}

/// The user name that the login last used.
pub(crate) fn set_username(
    connection: &Connection,
    number: i64,
    username: &str,
) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE logins SET username = ?2 WHERE number = ?1")?
        .execute(params![number, username])?;
    Ok(())
}

/// The person of that key, if known.
pub(crate) fn person(connection: &Connection, person: &str) -> Result<Option<i64>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT number FROM people WHERE person = ?1")?
        .query_row([person], |row| row.get(0))
        .optional()?)
}

/// Writes a person down.
pub(crate) fn add_person(
    connection: &Connection,
    person: &str,
    issuer: &str,
    subject: &str,
) -> Result<i64, StoreError> {
    Ok(connection
        .prepare_cached("INSERT INTO people (person, issuer, subject) VALUES (?1, ?2, ?3)")?
        .insert([person, issuer, subject])?)
}

/// Among whom a name is one person's: an address is its issuer's, a user name is an account on the
/// servers, and those do not know issuers.
fn among<'a>(issuer: &'a str, kind: &str) -> &'a str {
    if kind == "username" { "" } else { issuer }
}

/// Whose a name is.
pub(crate) fn owner(
    connection: &Connection,
    issuer: &str,
    kind: &str,
    name: &str,
) -> Result<Option<i64>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT person FROM names WHERE issuer = ?1 AND kind = ?2 AND name = ?3")?
        .query_row([among(issuer, kind), kind, name], |row| row.get(0))
        .optional()?)
}

/// Gives a free name to a person.
pub(crate) fn give_name(
    connection: &Connection,
    issuer: &str,
    kind: &str,
    name: &str,
    person: i64,
) -> Result<(), StoreError> {
    connection
        .prepare_cached("INSERT INTO names (issuer, kind, name, person) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![among(issuer, kind), kind, name, person])?;
    Ok(())
}

/// Frees a name; false if nobody had it.
pub(crate) fn free_name(
    connection: &Connection,
    issuer: &str,
    kind: &str,
    name: &str,
) -> Result<bool, StoreError> {
    Ok(connection
        .prepare_cached("DELETE FROM names WHERE issuer = ?1 AND kind = ?2 AND name = ?3")?
        .execute([among(issuer, kind), kind, name])?
        > 0)
}

/// Everybody with that subject, e-mail address or user name, at any issuer.
pub(crate) fn people_named(connection: &Connection, name: &str) -> Result<Vec<i64>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT number FROM people WHERE subject = ?1
         UNION SELECT person FROM names WHERE name = ?1 OR name = lower(?1) ORDER BY 1",
    )?;
    let people = statement.query_map([name], |row| row.get(0))?;
    Ok(people.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::migrate;

    #[test]
    fn whether_somebody_is_signed_in_is_found_without_reading_all_logins() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let mut connection = Connection::open(&path).unwrap();
        migrate::migrate(&mut connection, &path, migrate::STEPS).unwrap();
        let plan: String = connection
            .query_row(&format!("EXPLAIN QUERY PLAN {SIGNED_IN}"), [1, 1], |row| {
                row.get(3)
            })
            .unwrap();
        assert!(
            plan.contains("INDEX logins_live (person=? AND ends>?)"),
            "{plan}"
        );
    }
}
