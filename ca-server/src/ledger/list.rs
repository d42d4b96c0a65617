//! What auditors read: records with their facts and, unless erased, their private parts. Each is
//! compared with its hash and its commitments on the way out; one that does not fit is an error, not
//! a row (A89).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jit_ssh_api::admin::{AuditPage, AuditQuery, AuditRecord};
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, params_from_iter};
use serde_json::Value;

use super::record::{Fact, Hash, Leaf, PartName};
use super::{Ledger, LedgerError};
use crate::login::{LoginId, search};
use crate::store::ledger::{self as records, Row};
use crate::store::{StoreError, logins, to_sql};

/// Records of an answer if the query does not say.
pub const DEFAULT_LIMIT: u32 = 100;
/// Most records of an answer.
pub const MAX_LIMIT: u32 = 1000;

/// One page of what the query asks for.
pub async fn page(ledger: &Ledger, mut query: AuditQuery) -> Result<AuditPage, LedgerError> {
    Ok(ledger
        .store()
        .read(move |connection| {
            let user = query.user.take();
            let people = user
                .map(|user| search::people(connection, &user, None))
                .transpose()?;
            if people.as_ref().is_some_and(Vec::is_empty) {
                return Ok(AuditPage {
                    unknown_user: true,
                    ..AuditPage::default()
                });
            }
            read_page(connection, &query, people.as_deref())
        })
        .await?)
}

fn read_page(
    connection: &Connection,
    query: &AuditQuery,
    people: Option<&[i64]>,
) -> Result<AuditPage, StoreError> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let Some(filter) = Filter::of(connection, query, people)? else {
        return Ok(AuditPage::default());
    };
    // One more than asked tells whether there are more.
    let sql = format!(
        "SELECT {} FROM records WHERE {} ORDER BY idx {} LIMIT {}",
        records::ROW,
        filter.conditions.join(" AND "),
        if query.after.is_some() { "ASC" } else { "DESC" },
        limit.saturating_add(1),
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(filter.values))?;
    let mut page = AuditPage::default();
    while let Some(row) = rows.next()? {
        if page.records.len() >= usize::try_from(limit).unwrap_or(usize::MAX) {
            page.more = true;
            break;
        }
        page.records.push(show(connection, &records::row(row)?)?);
    }
    Ok(page)
}

/// Conditions of fixed text with their values: nothing of the query becomes SQL.
struct Filter {
    conditions: Vec<&'static str>,
    values: Vec<Sql>,
}

impl Filter {
    /// `None` where nothing can match.
    fn of(
        connection: &Connection,
        query: &AuditQuery,
        people: Option<&[i64]>,
    ) -> Result<Option<Self>, StoreError> {
        let mut filter = Filter {
            conditions: vec!["TRUE"],
            values: Vec::new(),
        };
        if let Some(after) = query.after {
            filter.add("idx > ?", clamp(after));
        }
        if let Some(before) = query.before {
            filter.add("idx < ?", clamp(before));
        }
        if let Some(since) = query.since {
            filter.add("time >= ?", clamp(since.saturating_mul(1000)));
        }
        if let Some(until) = query.until {
            filter.add("time < ?", clamp(until.saturating_mul(1000)));
        }
        if let Some(kind) = &query.kind {
            filter.add("kind = ?", Sql::Text(kind.clone()));
        }
        if let Some(role) = &query.role {
            filter.add(
                "json_extract(CAST(leaf AS TEXT), '$.facts.role') = ?",
                Sql::Text(role.clone()),
            );
        }
        if let Some(login) = &query.login {
            let row = match LoginId::parse(login) {
                Some(id) => logins::by_id(connection, &id.0)?,
                None => None,
            };
            let Some(row) = row else { return Ok(None) };
            filter.add("login = ?", Sql::Integer(row.number));
        }
        if let Some(serial) = &query.serial {
            let record = match serial.parse::<u64>().map(to_sql) {
                Ok(Ok(serial)) => records::record_of_serial(connection, serial.unsigned_abs())?,
                _ => None,
            };
            let Some(record) = record else {
                return Ok(None);
            };
            filter.add("idx = ?", Sql::Integer(to_sql(record)?));
        }
        if let Some(people) = people {
            let list = serde_json::to_string(people).unwrap_or_default();
            filter.add(
                "person IN (SELECT value FROM json_each(?))",
                Sql::Text(list),
            );
        }
        Ok(Some(filter))
    }

    fn add(&mut self, condition: &'static str, value: Sql) {
        self.conditions.push(condition);
        self.values.push(value);
    }
}

fn clamp(number: u64) -> Sql {
    Sql::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

fn show(connection: &Connection, row: &Row) -> Result<AuditRecord, StoreError> {
    if Hash::of_leaf(&row.leaf) != row.hash {
        return Err(StoreError::Damaged("a leaf differs from its hash"));
    }
    let leaf =
        Leaf::decode(&row.leaf).map_err(|_| StoreError::Damaged("a leaf is not readable"))?;
    if leaf.kind != row.kind || leaf.time != row.time {
        return Err(StoreError::Damaged("a record's row differs from its leaf"));
    }
    let mut parts = serde_json::Map::new();
    for (name, commitment) in &leaf.parts {
        parts.insert(name.clone(), part(connection, row, name, commitment)?);
    }
    Ok(AuditRecord {
        index: row.index,
        kind: leaf.kind,
        time_ms: row.time.millis(),
        epoch: leaf.epoch,
        leaf_sha256: row.hash.to_string(),
        fields: facts(leaf.facts),
        parts,
    })
}

fn facts(facts: BTreeMap<String, Fact>) -> serde_json::Map<String, Value> {
    let value = |fact| match fact {
        Fact::Flag(flag) => Value::from(flag),
        Fact::Number(number) => Value::from(number),
        Fact::Text(text) => Value::from(text),
    };
    facts
        .into_iter()
        .map(|(name, fact)| (name, value(fact)))
        .collect()
}

/// JSON as it is, other bytes in base64, `null` for what was erased.
fn part(
    connection: &Connection,
    row: &Row,
    name: &str,
    commitment: &Hash,
) -> Result<Value, StoreError> {
    let Some(name) = PartName::ALL.iter().copied().find(|it| it.name() == name) else {
        return Ok(Value::Null);
    };
    let holder = match name {
        PartName::Identity => row.identity.unwrap_or(row.index),
        PartName::ToBeSigned | PartName::Details => row.index,
    };
    let Some(part) = records::part(connection, holder, name)? else {
        return Ok(Value::Null);
    };
    if part.commitment() != *commitment {
        return Err(StoreError::Damaged("a part differs from its record"));
    }
    Ok(match name {
        PartName::ToBeSigned => Value::String(STANDARD.encode(&part.bytes)),
        PartName::Identity | PartName::Details => serde_json::from_slice(&part.bytes)
            .map_err(|_| StoreError::Damaged("a part is not readable"))?,
    })
}
