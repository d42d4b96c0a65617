//! SQL of invitations, hosts, their names, keys and certificates.
//!
//! A name and a key belong to one living host (A60): their rows are there as long as it lives.

use jit_ssh_api::host::{HostReport, Labels};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{StoreError, from_sql, to_sql};
use crate::time::Timestamp;

/// An invitation's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InvitationRow {
    pub(crate) number: i64,
    pub(crate) id: [u8; 16],
    /// SHA-256 of the secret.
    pub(crate) token: [u8; 32],
    pub(crate) names: Vec<String>,
    pub(crate) labels: Labels,
    pub(crate) networks: Vec<String>,
    /// Left; none: any number.
    pub(crate) uses: Option<u32>,
    /// Its record.
    pub(crate) made: u64,
    pub(crate) expires: Timestamp,
    pub(crate) withdrawn: Option<Timestamp>,
}

/// A host's row, with the names and keys that it has while it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostRow {
    pub(crate) number: i64,
    pub(crate) id: String,
    pub(crate) names: Vec<String>,
    pub(crate) labels: Labels,
    pub(crate) invitation: i64,
    pub(crate) enrolled: Timestamp,
    /// Its host-enrolled record.
    pub(crate) record: u64,
    pub(crate) certificate_ends: Timestamp,
    pub(crate) report: HostReport,
    pub(crate) seen: Timestamp,
    pub(crate) bundle: Option<u64>,
    pub(crate) revoked: Option<Timestamp>,
    /// The first one is who the host is.
    pub(crate) keys: Vec<HostKeyRow>,
}

/// A key of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostKeyRow {
    /// SHA-256 of the blob.
    pub(crate) hash: [u8; 32],
    /// RFC 4253 §6.6.
    pub(crate) blob: Vec<u8>,
}

/// A certificate of a host that is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostCertificateRow {
    pub(crate) serial: u64,
    /// Blob of the host CA key.
    pub(crate) ca: Vec<u8>,
    pub(crate) ends: Timestamp,
}

macro_rules! select_invitation {
    ($rest:literal) => {
        concat!(
            "SELECT number, id, token, names, labels, networks, uses, made, expires, withdrawn \
             FROM invitations ",
            $rest
        )
    };
}

macro_rules! select_host {
    ($rest:literal) => {
        concat!(
            "SELECT number, id, names, labels, invitation, enrolled, record, certificate_ends, \
             report, seen, bundle, revoked FROM hosts ",
            $rest
        )
    };
}

fn time(millis: i64) -> Result<Timestamp, StoreError> {
    from_sql(millis).map(Timestamp::from_millis)
}

fn json<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::Damaged("a host's row is not readable"))
}

fn text(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| StoreError::Damaged("a host's row is not writable"))
}

fn read_invitation(row: &Row<'_>) -> Result<InvitationRow, StoreError> {
    let uses = row.get::<_, Option<i64>>(6)?.map(from_sql).transpose()?;
    Ok(InvitationRow {
        number: row.get(0)?,
        id: row.get(1)?,
        token: row.get(2)?,
        names: json(&row.get::<_, String>(3)?)?,
        labels: json(&row.get::<_, String>(4)?)?,
        networks: json(&row.get::<_, String>(5)?)?,
        uses: uses.map(|uses| u32::try_from(uses).unwrap_or(u32::MAX)),
        made: from_sql(row.get(7)?)?,
        expires: time(row.get(8)?)?,
        withdrawn: row.get::<_, Option<i64>>(9)?.map(time).transpose()?,
    })
}

/// Without its keys.
fn read_host(row: &Row<'_>) -> Result<HostRow, StoreError> {
    Ok(HostRow {
        number: row.get(0)?,
        id: row.get(1)?,
        names: json(&row.get::<_, String>(2)?)?,
        labels: json(&row.get::<_, String>(3)?)?,
        invitation: row.get(4)?,
        enrolled: time(row.get(5)?)?,
        record: from_sql(row.get(6)?)?,
        certificate_ends: time(row.get(7)?)?,
        report: json(&row.get::<_, String>(8)?)?,
        seen: time(row.get(9)?)?,
        bundle: row.get::<_, Option<i64>>(10)?.map(from_sql).transpose()?,
        revoked: row.get::<_, Option<i64>>(11)?.map(time).transpose()?,
        keys: Vec::new(),
    })
}

fn with_keys(connection: &Connection, mut host: HostRow) -> Result<HostRow, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT key, blob FROM host_keys WHERE host = ?1 ORDER BY position")?;
    let mut rows = statement.query([host.number])?;
    while let Some(row) = rows.next()? {
        host.keys.push(HostKeyRow {
            hash: row.get(0)?,
            blob: row.get(1)?,
        });
    }
    Ok(host)
}

/// Writes an invitation; its `number` is ignored.
pub(crate) fn invite(connection: &Connection, row: &InvitationRow) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO invitations (id, token, names, labels, networks, uses, made, expires)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            row.id,
            row.token,
            text(&row.names)?,
            text(&row.labels)?,
            text(&row.networks)?,
            row.uses,
            to_sql(row.made)?,
            to_sql(row.expires.millis())?,
        ])?;
    Ok(())
}

/// By the SHA-256 of its secret, whether it still counts or not.
pub(crate) fn invitation(
    connection: &Connection,
    token: &[u8; 32],
) -> Result<Option<InvitationRow>, StoreError> {
    let mut statement = connection.prepare_cached(select_invitation!("WHERE token = ?1"))?;
    let mut rows = statement.query([token])?;
    rows.next()?.map(read_invitation).transpose()
}

/// By identifier.
pub(crate) fn invitation_by_id(
    connection: &Connection,
    id: &[u8; 16],
) -> Result<Option<InvitationRow>, StoreError> {
    let mut statement = connection.prepare_cached(select_invitation!("WHERE id = ?1"))?;
    let mut rows = statement.query([id])?;
    rows.next()?.map(read_invitation).transpose()
}

/// Those that still count then, the newest first.
pub(crate) fn invitations(
    connection: &Connection,
    now: Timestamp,
) -> Result<Vec<InvitationRow>, StoreError> {
    let mut statement = connection.prepare_cached(select_invitation!(
        "WHERE withdrawn IS NULL AND expires > ?1 AND (uses IS NULL OR uses > 0)
         ORDER BY number DESC"
    ))?;
    let mut rows = statement.query([to_sql(now.millis())?])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read_invitation(row)?);
    }
    Ok(found)
}

/// It counts once less.
pub(crate) fn use_invitation(connection: &Connection, number: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE invitations SET uses = uses - 1 WHERE number = ?1 AND uses > 0")?
        .execute([number])?;
    Ok(())
}

/// It counts no more.
pub(crate) fn withdraw(
    connection: &Connection,
    number: i64,
    now: Timestamp,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE invitations SET withdrawn = ?2 WHERE number = ?1 AND withdrawn IS NULL",
        )?
        .execute([number, to_sql(now.millis())?])?;
    Ok(())
}

/// Every living host.
pub(crate) fn living(connection: &Connection) -> Result<Vec<HostRow>, StoreError> {
    all(connection, true)
}

/// Every host, revoked ones too unless only living ones are wanted.
pub(crate) fn all(connection: &Connection, living: bool) -> Result<Vec<HostRow>, StoreError> {
    let mut statement =
        connection.prepare_cached(select_host!("WHERE NOT ?1 OR revoked IS NULL"))?;
    let mut rows = statement.query([living])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(with_keys(connection, read_host(row)?)?);
    }
    Ok(found)
}

/// By identifier, whether it lives or not.
pub(crate) fn by_id(connection: &Connection, id: &str) -> Result<Option<HostRow>, StoreError> {
    let mut statement = connection.prepare_cached(select_host!("WHERE id = ?1"))?;
    let mut rows = statement.query([id])?;
    let found = rows.next()?.map(read_host).transpose()?;
    found.map(|host| with_keys(connection, host)).transpose()
}

/// The living host that a key is of, and its place among the host's keys.
pub(crate) fn owner_of_key(
    connection: &Connection,
    key: &[u8; 32],
) -> Result<Option<(i64, i64)>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT host, position FROM host_keys WHERE key = ?1")?
        .query_row([key], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}

/// The living host that a name is of.
pub(crate) fn owner_of_name(
    connection: &Connection,
    name: &str,
) -> Result<Option<i64>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT host FROM host_names WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?)
}

/// The identifier of a host.
pub(crate) fn id_of(connection: &Connection, number: i64) -> Result<String, StoreError> {
    Ok(connection
        .prepare_cached("SELECT id FROM hosts WHERE number = ?1")?
        .query_row([number], |row| row.get(0))?)
}

/// Writes a new host with its names and keys; its `number` is ignored and given back.
pub(crate) fn insert(connection: &Connection, host: &HostRow) -> Result<i64, StoreError> {
    let number = connection
        .prepare_cached(
            "INSERT INTO hosts (id, names, labels, invitation, enrolled, record,
             certificate_ends, report, seen) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .insert(params![
            host.id,
            text(&host.names)?,
            text(&host.labels)?,
            host.invitation,
            to_sql(host.enrolled.millis())?,
            to_sql(host.record)?,
            to_sql(host.certificate_ends.millis())?,
            text(&host.report)?,
            to_sql(host.seen.millis())?,
        ])?;
    put_names_and_keys(connection, number, host)?;
    Ok(number)
}

/// A host that enrols again: its names, labels, keys and report from now on.
pub(crate) fn enrol_again(connection: &Connection, host: &HostRow) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE hosts SET names = ?2, labels = ?3, invitation = ?4, certificate_ends = ?5,
             report = ?6, seen = ?7 WHERE number = ?1",
        )?
        .execute(params![
            host.number,
            text(&host.names)?,
            text(&host.labels)?,
            host.invitation,
            to_sql(host.certificate_ends.millis())?,
            text(&host.report)?,
            to_sql(host.seen.millis())?,
        ])?;
    free(connection, host.number)?;
    put_names_and_keys(connection, host.number, host)
}

fn put_names_and_keys(
    connection: &Connection,
    number: i64,
    host: &HostRow,
) -> Result<(), StoreError> {
    let mut name =
        connection.prepare_cached("INSERT INTO host_names (name, host) VALUES (?1, ?2)")?;
    for it in &host.names {
        name.execute(params![it, number])?;
    }
    let mut key = connection.prepare_cached(
        "INSERT INTO host_keys (key, host, position, blob) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for (position, it) in (0_i64..).zip(&host.keys) {
        key.execute(params![it.hash, number, position, it.blob])?;
    }
    Ok(())
}

/// Its names and keys are nobody's.
fn free(connection: &Connection, number: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM host_names WHERE host = ?1")?
        .execute([number])?;
    connection
        .prepare_cached("DELETE FROM host_keys WHERE host = ?1")?
        .execute([number])?;
    Ok(())
}

/// Revokes a host: its names and keys are free.
pub(crate) fn revoke(
    connection: &Connection,
    number: i64,
    now: Timestamp,
) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE hosts SET revoked = ?2 WHERE number = ?1 AND revoked IS NULL")?
        .execute([number, to_sql(now.millis())?])?;
    free(connection, number)
}

/// The labels from now on.
pub(crate) fn set_labels(
    connection: &Connection,
    number: i64,
    labels: &Labels,
) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE hosts SET labels = ?2 WHERE number = ?1")?
        .execute(params![number, text(labels)?])?;
    Ok(())
}

/// What was heard of a host.
pub(crate) fn set_seen(
    connection: &Connection,
    number: i64,
    seen: Timestamp,
    bundle: Option<u64>,
    report: &HostReport,
) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE hosts SET seen = ?2, bundle = ?3, report = ?4 WHERE number = ?1")?
        .execute(params![
            number,
            to_sql(seen.millis())?,
            bundle.map(to_sql).transpose()?,
            text(report)?,
        ])?;
    Ok(())
}

/// A certificate of a host; those that are over then go.
pub(crate) fn add_certificate(
    connection: &Connection,
    host: i64,
    certificate: &HostCertificateRow,
    now: Timestamp,
) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM host_certificates WHERE host = ?1 AND ends <= ?2")?
        .execute([host, to_sql(now.millis())?])?;
    connection
        .prepare_cached(
            "INSERT INTO host_certificates (serial, host, ca, ends) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![
            to_sql(certificate.serial)?,
            host,
            certificate.ca,
            to_sql(certificate.ends.millis())?,
        ])?;
    Ok(())
}

/// When the first of a host's last certificates ends.
pub(crate) fn set_certificate_ends(
    connection: &Connection,
    host: i64,
    ends: Timestamp,
) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE hosts SET certificate_ends = ?2 WHERE number = ?1")?
        .execute([host, to_sql(ends.millis())?])?;
    Ok(())
}

/// A host's certificates that are not over then.
pub(crate) fn certificates(
    connection: &Connection,
    host: i64,
    now: Timestamp,
) -> Result<Vec<HostCertificateRow>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT serial, ca, ends FROM host_certificates WHERE host = ?1 AND ends > ?2",
    )?;
    let mut rows = statement.query([host, to_sql(now.millis())?])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(HostCertificateRow {
            serial: from_sql(row.get(0)?)?,
            ca: row.get(1)?,
            ends: time(row.get(2)?)?,
        });
    }
    Ok(found)
}

/// Whether somebody has a live login with this key.
pub(crate) fn is_login_key(
    connection: &Connection,
    key: &[u8; 32],
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT 1 FROM logins WHERE key = ?1 AND ended IS NULL AND ends > ?2")?;
    Ok(statement.exists(params![key, to_sql(now.millis())?])?)
}
