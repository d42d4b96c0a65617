//! What a write does to a login: it must live, its pending change is written, its names are its person's.
//!
//! In: a [`LiveLogin`], which is only a proposal. Out: where its records are found, or the refusal. The
//! rules of invariant 4, A14, A19 and A22 are asked here for the last time, against what is stored:
//! first what only reads (`judge`), then the rows (`change`).

use jit_ssh_api::admin;

use super::step::{Failure, Step};
use super::{News, Outcome, Work};
use crate::ledger::LedgerError;
use crate::ledger::record::{Draft, Entry, Kind, Leaf, PartName};
use crate::login::{Change, LiveLogin, LoginId};
use crate::store::StoreError;
use crate::store::hosts;
use crate::store::ledger::{self as records, Found};
use crate::store::logins::{self, LoginRow};
use crate::time::Timestamp;

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
    /// Asks whether the login lives and may have its names, and writes what is pending of it. Whether
    /// the same token came before is said as well: its identity is stored already.
    pub(super) fn login(
        &mut self,
        login: &LiveLogin,
        username: Option<&str>,
        now: Timestamp,
    ) -> Result<(Found, bool), Failure> {
        let (plan, free) = self.judge(login, username, now)?;
        let again = login.is_new() && matches!(plan, Plan::Known(_));
        let (found, person) = self.change(plan, login, username, now)?;
        for (kind, name) in free {
            let issuer = login.identity.issuer.as_ref();
            logins::give_name(self.connection, issuer, kind, name, person)?;
        }
        Ok((found, again))
    }

    /// The end of a login, for good, and of its certificates.
    pub(super) fn end_login(
        &mut self,
        id: LoginId,
        entry: &Entry,
        now: Timestamp,
    ) -> Result<Outcome, Failure> {
        let Some(row) = logins::by_id(self.connection, &id.0)? else {
            return Ok(Outcome::default());
        };
        if !row.is_live(now) {
            let ended = row.ended.unwrap_or(row.ends);
            // Over is not ended: without this it would live again once a clock that is ahead is put
            // right.
            if row.ended.is_none() {
                logins::end(self.connection, row.number, ended)?;
                self.committed.push(News::Ended(row));
            }
            return Ok(Outcome {
                ended: Some(ended),
                ..Outcome::default()
            });
        }
        let number = row.number;
        let index = self.end(row, entry)?;
        let touched = self.revoke_of_login(number, index, now)?;
        Ok(Outcome {
            index: Some(index),
            ended: Some(entry.time),
            touched: Some(Box::new(touched)),
            ..Outcome::default()
        })
    }

    /// Whoever has a name has no login that lives. Only reads.
    pub(super) fn owner_is_away(&self, name: &admin::Name, now: Timestamp) -> Result<(), Failure> {
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
                // One key, one job (A37).
                if hosts::owner_of_key(self.connection, &login.key.0)?.is_some() {
                    return refused(LedgerError::HostKey);
                }
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
    pub(super) fn with_stored_identity(&self, work: Work, found: Found) -> Result<Work, Failure> {
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
            Work::Certificate {
                entry,
                serial,
                role,
            } => Work::Certificate {
                entry: same(entry)?,
                serial,
                role,
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

    pub(super) fn end(&mut self, row: LoginRow, entry: &Entry) -> Result<u64, Failure> {
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
