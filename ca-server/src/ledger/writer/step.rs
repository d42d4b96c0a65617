//! One write within a batch: first everything that can refuse it, then its rows.
//!
//! In: a [`Write`] and the transaction of its batch. Out: its [`Outcome`], or the refusal, with nothing
//! changed. Here the rules of invariant 4, A14, A19, A22 and A35 are asked for the last time, against
//! what is stored.

use jit_ssh_api::admin;
use rusqlite::Connection;

use super::{Class, News, Outcome, Who, Work, Write};
use crate::ledger::LedgerError;
use crate::ledger::record::{Draft, Entry, Fact, Kind, Leaf, PartName};
use crate::login::{Change, LiveLogin, LoginId};
use crate::store::ledger::{self as records, Found, InForce};
use crate::store::logins::{self, LoginRow};
use crate::store::{DiskState, Head, StoreError};
use crate::time::Timestamp;

/// Why a write was not made: refused, with nothing changed; or a fault, which undoes the batch.
pub(super) enum Failure {
    Refused(LedgerError),
    Fault(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Failure::Fault(error)
    }
}

/// One write within a batch.
pub(super) struct Step<'a> {
    pub(super) connection: &'a Connection,
    pub(super) head: &'a mut Head,
    pub(super) committed: &'a mut Vec<News>,
}

/// A login as the store has it, and what is to change.
enum Plan {
    Known(LoginRow),
    Refresh(LoginRow),
    Open {
        replaces: Option<LoginRow>,
        person: Option<i64>,
    },
}

impl Step<'_> {
    pub(super) fn apply(&mut self, write: Write, disk: DiskState) -> Result<Outcome, Failure> {
        let Write {
            now,
            class,
            who,
            mut work,
        } = write;
        // What is in force already needs no record, and so no room: a CA starts on a full disk.
        if let Work::InForce { kind, says, .. } = &work
            && self.is_in_force(*kind, says)?
        {
            return Ok(Outcome::default());
        }
        let room = match class {
            Class::Ending => true,
            Class::Issuing => disk != DiskState::Full,
            Class::Ordinary => disk == DiskState::Ample,
        };
        if !room {
            return Err(Failure::Refused(LedgerError::DiskFull));
        }
        // Everything that can refuse stands before everything that writes.
        if let Work::Certificate { serial, .. } = work
            && records::record_of_serial(self.connection, serial)?.is_some()
        {
            return Err(Failure::Refused(LedgerError::SerialTaken));
        }
        if let Work::FreeName { name, .. } = &work {
            self.owner_is_away(name, now)?;
        }
        let found = match &who {
            Who::Nobody => Found::default(),
            Who::Person {
                issuer,
                subject,
                person,
            } => {
                let known = logins::person(self.connection, person)?;
                let person = match known {
                    Some(number) => number,
                    None => logins::add_person(self.connection, person, issuer, subject)?,
                };
                Found {
                    person: Some(person),
                    ..Found::default()
                }
            }
            Who::Login { login, username } => {
                let (plan, free) = self.judge(login, username.as_deref(), now)?;
                let again = login.is_new() && matches!(plan, Plan::Known(_));
                let found = self.change(plan, login, username.as_deref(), now)?;
                for (kind, name) in free {
                    let issuer = login.identity.issuer.as_ref();
                    logins::give_name(self.connection, issuer, kind, name, found.1)?;
                }
                if again {
                    work = self.with_stored_identity(work, found.0)?;
                }
                found.0
            }
        };
        self.work(work, found, now)
    }

    fn work(&mut self, work: Work, found: Found, now: Timestamp) -> Result<Outcome, Failure> {
        let index = match work {
            Work::LoginOnly => None,
            Work::Probe => {
                records::set_head(self.connection, *self.head)?;
                None
            }
            Work::Certificate { entry, serial } => {
                let index = self.append(&entry, found)?;
                if !records::take_serial(self.connection, serial, index)? {
                    return Err(StoreError::Damaged("a serial came between").into());
                }
                Some(index)
            }
            Work::Record(entry) => Some(self.append(&entry, found)?),
            Work::End { id, entry } => {
                let Some(row) = logins::by_id(self.connection, &id.0)? else {
                    return Ok(Outcome::default());
                };
                if !row.is_live(now) {
                    let ended = row.ended.unwrap_or(row.ends);
                    // Over is not ended: without this it would live again once a clock that is
                    // ahead is put right.
                    if row.ended.is_none() {
                        logins::end(self.connection, row.number, ended)?;
                        self.committed.push(News::Ended(row));
                    }
                    return Ok(Outcome {
                        index: None,
                        ended: Some(ended),
                    });
                }
                let index = self.end(row, &entry)?;
                return Ok(Outcome {
                    index: Some(index),
                    ended: Some(entry.time),
                });
            }
            Work::InForce {
                entry, says, text, ..
            } => {
                if let Some(text) = text {
                    records::keep_policy(self.connection, &says.1, &text)?;
                }
                Some(self.append(&entry, found)?)
            }
            Work::FreeName { name, entry } => {
                let kind = name.kind.name();
                if !logins::free_name(self.connection, &name.issuer, kind, &name.name)? {
                    return Ok(Outcome::default());
                }
                Some(self.append(&entry, found)?)
            }
        };
        Ok(Outcome { index, ended: None })
    }

    /// Whoever has a name has no login that lives. Only reads.
    fn owner_is_away(&self, name: &admin::Name, now: Timestamp) -> Result<(), Failure> {
        let kind = name.kind.name();
        match logins::owner(self.connection, &name.issuer, kind, &name.name)? {
            Some(owner) if logins::is_signed_in(self.connection, owner, now)? => {
                Err(Failure::Refused(LedgerError::OwnerSignedIn {
                    kind,
                    name: name.name.clone(),
                }))
            }
            _ => Ok(()),
        }
    }

    /// Whether what is in force has that fact.
    fn is_in_force(&self, kind: InForce, says: &(&str, String)) -> Result<bool, StoreError> {
        let Some(row) = records::last_of(self.connection, kind)? else {
            return Ok(false);
        };
        let leaf =
            Leaf::decode(&row.leaf).map_err(|_| StoreError::Damaged("a leaf is not readable"))?;
        let (fact, value) = says;
        Ok(leaf.facts.get(*fact) == Some(&Fact::Text(value.clone())))
    }

    /// What the store says of a login, and its names that nobody has yet: invariant 4, A19, A22. Only
    /// reads.
    fn judge<'a>(
        &self,
        login: &'a LiveLogin,
        username: Option<&'a str>,
        now: Timestamp,
    ) -> Result<(Plan, Vec<Name<'a>>), Failure> {
        let refused = |error| Err(Failure::Refused(error));
        let known = logins::by_id(self.connection, &login.id.0)?;
        let plan = match (known, &login.change) {
            (None, Change::None | Change::Refreshes(_)) => return refused(LedgerError::LoginEnded),
            (Some(row), _) if row.key != login.key.0 => return refused(LedgerError::TokenUsed),
            (Some(row), _) if !row.is_live(now) => return refused(LedgerError::LoginEnded),
            (Some(row), Change::None) => Plan::Known(row),
            (Some(row), Change::Opens(_)) => {
                // The same token again, before anything else happened to the login.
                if row.token_id != login.last_token_id || row.ends != login.ends {
                    return refused(LedgerError::LoginChanged);
                }
                Plan::Known(row)
            }
            (Some(row), Change::Refreshes(_)) => {
                let newer = login.last_issued_at() > row.issued_at;
                if !newer || row.token_id == login.last_token_id {
                    return refused(LedgerError::LoginChanged);
                }
                Plan::Refresh(row)
            }
            (None, Change::Opens(_)) if now >= login.ends => {
                return refused(LedgerError::LoginEnded);
            }
            (None, Change::Opens(_)) => {
                let person = logins::person(self.connection, &login.identity.person)?;
                let replaces = logins::by_key(self.connection, &login.key.0)?;
                if let Some(other) = &replaces
                    && other.is_live(now)
                    && Some(other.person) != person
                {
                    return refused(LedgerError::KeyInUse);
                }
                Plan::Open { replaces, person }
            }
        };
        let person = match &plan {
            Plan::Known(row) | Plan::Refresh(row) => Some(row.person),
            Plan::Open { person, .. } => *person,
        };
        let mut free = Vec::new();
        for (kind, name) in names(login, username) {
            let issuer = login.identity.issuer.as_ref();
            let owner = logins::owner(self.connection, issuer, kind, name)?;
            if owner.is_none() {
                free.push((kind, name));
            } else if owner != person {
                return refused(LedgerError::NameTaken {
                    kind,
                    name: name.to_owned(),
                });
            }
        }
        Ok((plan, free))
    }

    /// Writes what a login changes, and says where it is and whose.
    fn change(
        &mut self,
        plan: Plan,
        login: &LiveLogin,
        username: Option<&str>,
        now: Timestamp,
    ) -> Result<(Found, i64), Failure> {
        let (number, person, identity) = match (plan, &login.change) {
            (Plan::Open { replaces, person }, Change::Opens(entry)) => {
                if let Some(row) = replaces {
                    self.replace(row, now)?;
                }
                let who = &login.identity;
                let person = match person {
                    Some(number) => number,
                    None => logins::add_person(
                        self.connection,
                        &who.person,
                        who.issuer.as_ref(),
                        who.subject.as_ref(),
                    )?,
                };
                let index = self.head.size;
                let row = LoginRow {
                    number: 0,
                    id: login.id.0,
                    key: login.key.0,
                    person,
                    opened: index,
                    identity: index,
                    token_id: login.last_token_id.clone(),
                    issued_at: login.last_issued_at(),
                    ends: login.ends,
                    ended: None,
                    username: username.map(str::to_owned),
                };
                let number = logins::insert(self.connection, &row)?;
                let place = Found {
                    person: Some(person),
                    login: Some(number),
                    identity: None,
                };
                self.append(entry, place)?;
                self.committed.push(News::Opened(login.clone(), index));
                (number, person, index)
            }
            (Plan::Refresh(row), Change::Refreshes(entry)) => {
                let place = Found {
                    person: Some(row.person),
                    login: Some(row.number),
                    identity: None,
                };
                let index = self.append(entry, place)?;
                logins::set_token(
                    self.connection,
                    row.number,
                    index,
                    &login.last_token_id,
                    login.last_issued_at(),
                )?;
                self.committed.push(News::Refreshed(login.clone(), index));
                (row.number, row.person, index)
            }
            (Plan::Known(row), _) => {
                let identity = login.identity_record.get().copied().unwrap_or(row.identity);
                if username.is_some() && row.username.as_deref() != username {
                    logins::set_username(
                        self.connection,
                        row.number,
                        username.unwrap_or_default(),
                    )?;
                }
                (row.number, row.person, identity)
            }
            (Plan::Open { .. } | Plan::Refresh(_), _) => {
                return Err(StoreError::Damaged("a plan without its change").into());
            }
        };
        let found = Found {
            person: Some(person),
            login: Some(number),
            identity: Some(identity),
        };
        Ok((found, person))
    }

    /// The same token came before, and its identity is stored under another salt.
    fn with_stored_identity(&self, work: Work, found: Found) -> Result<Work, Failure> {
        let damaged = || StoreError::Damaged("a login without its identity");
        let index = found.identity.ok_or_else(damaged)?;
        let row = records::record(self.connection, index)?.ok_or_else(damaged)?;
        let leaf = Leaf::decode(&row.leaf).map_err(|_| damaged())?;
        let stored = *leaf
            .parts
            .get(PartName::Identity.name())
            .ok_or_else(damaged)?;
        let same = |entry: Entry| entry.with_identity(stored).map_err(|_| damaged());
        Ok(match work {
            Work::Certificate { entry, serial } => Work::Certificate {
                entry: same(entry)?,
                serial,
            },
            Work::Record(entry) => Work::Record(same(entry)?),
            other => other,
        })
    }

    /// The key's older login makes room: ended now, or when it was over.
    fn replace(&mut self, row: LoginRow, now: Timestamp) -> Result<(), Failure> {
        if row.is_live(now) {
            let entry = Draft::new(Kind::LoginEnded, self.head.epoch, now)
                .fact("login", LoginId(row.id).to_string())
                .fact("reason", "replaced")
                .finish()
                .map_err(|error| Failure::Refused(error.into()))?;
            self.end(row, &entry)?;
        } else {
            logins::end(self.connection, row.number, row.ends)?;
            self.committed.push(News::Ended(row));
        }
        Ok(())
    }

    fn end(&mut self, row: LoginRow, entry: &Entry) -> Result<u64, Failure> {
        let place = Found {
            person: Some(row.person),
            login: Some(row.number),
            identity: None,
        };
        logins::end(self.connection, row.number, entry.time)?;
        let index = self.append(entry, place)?;
        self.committed.push(News::Ended(row));
        Ok(index)
    }

    fn append(&mut self, entry: &Entry, found: Found) -> Result<u64, Failure> {
        let index = self.head.size;
        records::append(self.connection, index, entry, found)?;
        self.head.size = index.saturating_add(1);
        Ok(index)
    }
}

/// Kind and name.
type Name<'a> = (&'static str, &'a str);

/// The names that one person alone may come with (A22).
fn names<'a>(login: &'a LiveLogin, username: Option<&'a str>) -> impl Iterator<Item = Name<'a>> {
    let email = login
        .identity
        .email
        .as_ref()
        .map(|email| ("email", email.as_ref()));
    email
        .into_iter()
        .chain(username.map(|name| ("username", name)))
}
