//! A login from its row and its records. A bare row is no login (A89): the records that it points at
//! must be there, say the same, and fit their private parts.

use std::net::IpAddr;
use std::sync::OnceLock;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use ssh_key::PublicKey;

use super::{KeyHash, LoginId, LoginState};
use crate::certificate::AcceptedKey;
use crate::identity::{IdentityFacts, VerifiedIdentity};
use crate::ledger::record::{Fact, Hash, Kind, Leaf, PartName};
use crate::store::logins::LoginRow;
use crate::store::{StoreError, ledger as records};
use crate::time::Timestamp;

/// The `details` part of a login-opened record.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Opened {
    pub(super) certified_key: String,
    pub(super) login_key: String,
    pub(super) nonce: Option<String>,
    pub(super) source: Option<IpAddr>,
}

/// A row together with its records; `None` if it is of another epoch or was erased.
pub(super) fn read_login(
    connection: &Connection,
    row: &LoginRow,
    epoch: u64,
) -> Result<Option<LoginState>, StoreError> {
    match leaf(connection, row.opened)? {
        Some(opened) if opened.epoch == epoch => read_any(connection, row),
        _ => Ok(None),
    }
}

/// The same for any epoch.
pub(super) fn read_any(
    connection: &Connection,
    row: &LoginRow,
) -> Result<Option<LoginState>, StoreError> {
    let id = LoginId(row.id);
    let about = |leaf: &Leaf| leaf.facts.get("login") == Some(&Fact::Text(id.to_string()));
    let (Some(opened), Some(last)) = (
        leaf(connection, row.opened)?,
        leaf(connection, row.identity)?,
    ) else {
        return Ok(None);
    };
    let kinds = opened.kind == Kind::LoginOpened.name()
        && (last.kind == Kind::LoginRefreshed.name() || row.identity == row.opened);
    if !kinds || !about(&opened) || !about(&last) {
        return Err(StoreError::Damaged("a login points at other records"));
    }
    let Some((details, _)) = part(connection, row.opened, &opened, PartName::Details)? else {
        return Ok(None);
    };
    let Some((snapshot, commitment)) = part(connection, row.identity, &last, PartName::Identity)?
    else {
        return Ok(None);
    };
    let damaged = |_| StoreError::Damaged("a part of a login is not readable");
    let details: Opened = serde_json::from_slice(&details).map_err(damaged)?;
    let snapshot: IdentityFacts = serde_json::from_slice(&snapshot).map_err(damaged)?;
    let read_key = |line: &str| {
        PublicKey::from_openssh(line)
            .map_err(|_| StoreError::Damaged("a key of a login is not readable"))
    };
    let login_key = read_key(&details.login_key)?;
    // A program that is stricter than the one that opened the login has no login for such a key.
    let Ok(certified_key) = AcceptedKey::new(&read_key(&details.certified_key)?) else {
        return Ok(None);
    };
    let time = |name: &str| match opened.facts.get(name) {
        Some(Fact::Number(millis)) => Ok(Timestamp::from_millis(*millis)),
        _ => Err(StoreError::Damaged("a login has no start or end")),
    };
    let (started, ends) = (time("started")?, time("ends")?);
    let key = KeyHash::of(&login_key);
    if key.0 != row.key || ends != row.ends || snapshot.issued_at != row.issued_at {
        return Err(StoreError::Damaged(
            "a login's row differs from its records",
        ));
    }
    Ok(Some(LoginState {
        id,
        identity: VerifiedIdentity::recalled(snapshot),
        certified_key,
        login_key,
        started,
        ends,
        nonce: details.nonce,
        last_token_id: row.token_id.clone(),
        key,
        commitment,
        identity_record: OnceLock::from(row.identity),
    }))
}

fn leaf(connection: &Connection, index: u64) -> Result<Option<Leaf>, StoreError> {
    let Some(row) = records::record(connection, index)? else {
        return Ok(None);
    };
    if Hash::of_leaf(&row.leaf) != row.hash {
        return Err(StoreError::Damaged("a leaf differs from its hash"));
    }
    let leaf =
        Leaf::decode(&row.leaf).map_err(|_| StoreError::Damaged("a leaf is not readable"))?;
    Ok(Some(leaf))
}

fn part(
    connection: &Connection,
    index: u64,
    leaf: &Leaf,
    name: PartName,
) -> Result<Option<(Vec<u8>, Hash)>, StoreError> {
    let Some(part) = records::part(connection, index, name)? else {
        return Ok(None);
    };
    let commitment = part.commitment();
    if leaf.parts.get(name.name()) != Some(&commitment) {
        return Err(StoreError::Damaged("a part differs from its record"));
    }
    Ok(Some((part.bytes, commitment)))
}
