//! Who gets no certificates until they are unlocked, in memory: what the one door asks before it
//! decides. The one writer writes it through after each commit; the truth stays in the store, which is
//! asked again in the transaction that records.

use std::collections::HashSet;
use std::sync::Mutex;

use rusqlite::Connection;

use crate::store::revocations::{self, LockRow};
use crate::store::{StoreError, guard};

/// Whom a lock holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LockKind {
    /// The canonical key of a person.
    User,
    /// A role.
    Role,
    /// `SHA256:…` of a key, to sign in with or to certify.
    Key,
}

impl LockKind {
    /// All of them.
    pub const ALL: [LockKind; 3] = [LockKind::User, LockKind::Role, LockKind::Key];

    /// As it stands in the table, in records and in problems.
    pub fn name(self) -> &'static str {
        match self {
            LockKind::User => "user",
            LockKind::Role => "role",
            LockKind::Key => "key",
        }
    }
}

/// All locks.
#[derive(Default)]
pub(crate) struct LockSet(Mutex<HashSet<(LockKind, String)>>);

impl LockSet {
    pub(crate) fn new(rows: Vec<LockRow>) -> Self {
        let rows = rows.into_iter().map(|row| (row.kind, row.value));
        LockSet(Mutex::new(rows.collect()))
    }

    /// Whether this is locked.
    pub(crate) fn holds(&self, kind: LockKind, value: &str) -> bool {
        let locks = guard(&self.0);
        !locks.is_empty() && locks.contains(&(kind, value.to_owned()))
    }

    pub(crate) fn add(&self, kind: LockKind, value: String) {
        guard(&self.0).insert((kind, value));
    }

    pub(crate) fn remove(&self, kind: LockKind, value: &str) {
        guard(&self.0).remove(&(kind, value.to_owned()));
    }
}

/// A lock, with the names of whom it holds.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) row: LockRow,
    /// Names that are this person's alone, and the subject.
    pub(crate) names: Vec<String>,
}

impl Known {
    /// Whether a person of that name is held. Only names that are theirs alone count: what somebody
    /// calls himself must not unlock him together with whoever has that name.
    pub(crate) fn is_of(&self, name: &str) -> bool {
        let of_domain = name.to_lowercase();
        self.row.kind == LockKind::User
            && (self.row.value == name
                || self.names.iter().any(|it| it == name || *it == of_domain))
    }
}

/// All locks, newest first.
pub(crate) fn known(connection: &Connection) -> Result<Vec<Known>, StoreError> {
    revocations::locks(connection)?
        .into_iter()
        .map(|row| {
            let names = match row.kind {
                LockKind::User => revocations::names_of(connection, &row.value)?,
                LockKind::Role | LockKind::Key => Vec::new(),
            };
            Ok(Known { row, names })
        })
        .collect()
}
