//! One write within a batch: first everything that can refuse it, then its rows.
//!
//! In: a [`Write`] and the transaction of its batch. Out: its [`Outcome`], or the refusal, with nothing
//! changed. What all writes share is here: room, serials (A35), places, records; whom a write is about
//! has a file of its own, `login.rs`.

use rusqlite::Connection;

use super::{Class, News, Outcome, Who, Work, Write};
use crate::ledger::LedgerError;
use crate::ledger::record::{Entry, Fact, Leaf};
use crate::revocation::lock::LockKind;
use crate::store::ledger::{self as records, Found, InForce};
use crate::store::logins;
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
        if let Work::Certificate { serial, .. } = &work
            && records::record_of_serial(self.connection, serial.serial)?.is_some()
        {
            return Err(Failure::Refused(LedgerError::SerialTaken));
        }
        if let Work::Certificate { role, .. } = &work {
            self.not_locked(LockKind::Role, role)?;
        }
        if let Work::FreeName { name, .. } = &work {
            self.owner_is_away(name, now)?;
        }
        let taken = match &work {
            Work::Revoke(revoke) => self.find(revoke, now)?,
            _ => Vec::new(),
        };
        if let Work::Unlock(unlock) = &work {
            self.is_there(unlock)?;
        }
        if let Work::Host(work) = &work {
            self.judge_host(work, now)?;
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
                self.is_not_locked(login)?;
                let (found, again) = self.login(login, username.as_deref(), now)?;
                if again {
                    work = self.with_stored_identity(work, found)?;
                }
                found
            }
        };
        if let Work::Revoke(revoke) = work {
            return self.revoke(taken, &revoke.reason, now);
        }
        self.work(work, found, now)
    }

    fn work(&mut self, work: Work, found: Found, now: Timestamp) -> Result<Outcome, Failure> {
        let index = match work {
            // What is taken away was found before, and is not here any more.
            Work::LoginOnly | Work::Revoke(_) => None,
            Work::Probe => {
                records::set_head(self.connection, *self.head)?;
                None
            }
            Work::Certificate { entry, serial, .. } => {
                let index = self.append(&entry, found)?;
                if !records::take_serial(self.connection, serial, index)? {
                    return Err(StoreError::Damaged("a serial came between").into());
                }
                Some(index)
            }
            Work::Record(entry) => Some(self.append(&entry, found)?),
            Work::Host(work) => return self.host(*work, found, now),
            Work::End { id, entry } => return self.end_login(id, &entry, now),
            Work::Unlock(unlock) => return self.unlock(*unlock),
            Work::InForce {
                entry, says, text, ..
            } => {
                if let Some(text) = text {
                    records::keep_policy(self.connection, &says.1, &text)?;
                }
                self.head.bundle.next(now);
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
        Ok(Outcome {
            index,
            ..Outcome::default()
        })
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

    pub(super) fn append(&mut self, entry: &Entry, found: Found) -> Result<u64, Failure> {
        let index = self.head.size;
        records::append(self.connection, index, entry, found)?;
        self.head.size = index.saturating_add(1);
        Ok(index)
    }
}
