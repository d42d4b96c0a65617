//! What a write takes away: certificates that are alive, logins, and the right to get new ones.
//!
//! In: a [`Revoke`]. Out: what was touched. All of it is found and written in this one transaction, and
//! certificates are recorded by the same writer: one that came before is found here, one that comes
//! after meets the ended login or the lock. So none slips between (A55).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::step::{Failure, Step};
use super::{News, Outcome};
use crate::ledger::LedgerError;
use crate::ledger::record::{Draft, Entry, Fact, Hash, Kind, Leaf, Part, PartName};
use crate::login::{KeyHash, LiveLogin, LoginId};
use crate::revocation::list::GRACE;
use crate::revocation::lock::LockKind;
use crate::store::ledger::{self as records, Found};
use crate::store::logins::{self, LoginRow};
use crate::store::revocations::{self, Alive, LockRow, Of, Revocation, Revoked};
use crate::store::{BundleNumber, StoreError};
use crate::time::Timestamp;

/// What is taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Everything of these people, who get nothing more until they are unlocked.
    People(Vec<i64>),
    /// Everything of the person of this login, who may sign in again.
    Own(LoginId),
    /// A login, for good, and its certificates.
    Login(LoginId),
    /// One certificate.
    Serial(u64),
    /// The certificates of a role, which is given to nobody until it is unlocked.
    Role {
        /// Which.
        name: String,
        /// Whether the policy has it: of another only what is alive can be meant.
        known: bool,
    },
    /// A public key, whoever shows it, for ever.
    Key(KeyHash),
}

/// A revocation that is to be written.
pub(crate) struct Revoke {
    pub(crate) taken: Taken,
    pub(crate) reason: String,
    /// Its record, but for what is found in the transaction.
    pub(crate) draft: Draft,
    /// What the record's private part says beside that.
    pub(crate) details: serde_json::Map<String, Value>,
    /// Random: the salts of that part come from it.
    pub(crate) seed: [u8; 32],
}

/// What was taken away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Touched {
    /// The bundle that carries it.
    pub(crate) bundle: BundleNumber,
    /// Serials of certificates that were alive.
    pub(crate) certificates: BTreeSet<u64>,
    /// Logins that were ended.
    pub(crate) logins: Vec<LoginId>,
    /// Something is locked.
    pub(crate) locked: bool,
}

/// A lock that is to go.
pub(crate) struct Unlock {
    pub(crate) kind: LockKind,
    pub(crate) value: String,
    pub(crate) entry: Entry,
}

/// What one record is about.
#[derive(Default)]
pub(super) struct Piece {
    found: Found,
    certificates: Vec<Alive>,
    logins: Vec<LoginRow>,
    lock: Option<(LockKind, String)>,
    key: Option<KeyHash>,
}

impl Step<'_> {
    /// Nobody locked this login's person or keys: asked with every write of a login.
    pub(super) fn is_not_locked(&self, login: &LiveLogin) -> Result<(), Failure> {
        let person = (LockKind::User, login.identity.person.clone());
        let certified = login.certified_key.fingerprint();
        let keys = [login.key.to_string(), certified].map(|key| (LockKind::Key, key));
        for (kind, value) in [person].into_iter().chain(keys) {
            self.not_locked(kind, &value)?;
        }
        Ok(())
    }

    /// Nor this. Only reads.
    pub(super) fn not_locked(&self, kind: LockKind, value: &str) -> Result<(), Failure> {
        if revocations::is_locked(self.connection, kind, value)? {
            return Err(Failure::Refused(LedgerError::Locked { kind }));
        }
        Ok(())
    }

    /// Finds all that is to be taken away, each with its record. Only reads.
    pub(super) fn find(
        &self,
        revoke: &Revoke,
        now: Timestamp,
    ) -> Result<Vec<(Piece, Entry)>, Failure> {
        let pieces = self.touched(&revoke.taken, now)?;
        let mut found = Vec::with_capacity(pieces.len());
        for part in pieces {
            let mut details = revoke.details.clone();
            let serials = part.certificates.iter().take(LISTED);
            let serials: Vec<String> = serials.map(|it| it.serial.to_string()).collect();
            let ended: Vec<String> = part.logins.iter().map(|it| id(it).to_string()).collect();
            details.insert("certificates".to_owned(), json!(serials));
            details.insert("logins".to_owned(), json!(ended));
            // Each has a salt of its own: one that is shown with its part says nothing of the others.
            let seed = [revoke.seed.as_slice(), &found.len().to_be_bytes()].concat();
            let entry = revoke
                .draft
                .clone()
                .fact("certificates", part.certificates.len() as u64)
                .fact("locked", part.lock.is_some())
                .fact("logins", part.logins.len() as u64)
                .part(Part {
                    name: PartName::Details,
                    salt: Hash::of(&seed).0,
                    bytes: Value::Object(details).to_string().into_bytes(),
                })
                .finish()
                .map_err(|error| Failure::Refused(error.into()))?;
            found.push((part, entry));
        }
        Ok(found)
    }

    /// Whether there is such a lock. Only reads.
    pub(super) fn is_there(&self, unlock: &Unlock) -> Result<(), Failure> {
        let Unlock { kind, value, .. } = unlock;
        if revocations::is_locked(self.connection, *kind, value)? {
            return Ok(());
        }
        Err(Failure::Refused(LedgerError::NotThere {
            what: "lock of",
            which: value.clone(),
        }))
    }

    /// Takes away what was found.
    pub(super) fn revoke(
        &mut self,
        found: Vec<(Piece, Entry)>,
        reason: &str,
        now: Timestamp,
    ) -> Result<Outcome, Failure> {
        let mut touched = Touched::default();
        let mut first = None;
        for (part, entry) in found {
            let record = self.append(&entry, part.found)?;
            first.get_or_insert(record);
            touched.locked |= part.lock.is_some();
            if let Some((kind, value)) = part.lock {
                let row = LockRow {
                    kind,
                    value,
                    since: now,
                    reason: reason.to_owned(),
                };
                if revocations::lock(self.connection, &row, record)? {
                    self.committed.push(News::Locked(kind, row.value));
                }
            }
            let mut newly = self.revoke_all(&part.certificates, record)?;
            if let Some(key) = part.key {
                let key = Revocation {
                    what: Revoked::Key(key.0),
                    until: None,
                };
                newly |= revocations::add(self.connection, &key, record)?;
            }
            if newly {
                self.news_for_hosts(now);
            }
            let serials = part.certificates.iter().map(|it| it.serial);
            touched.certificates.extend(serials);
            for login in part.logins {
                touched.logins.push(id(&login));
                self.end_revoked(login, record, now)?;
            }
        }
        touched.bundle = self.head.bundle;
        Ok(Outcome {
            index: first,
            touched: Some(Box::new(touched)),
            ..Outcome::default()
        })
    }

    /// The certificates of a login that ended: they go with it.
    pub(super) fn revoke_of_login(
        &mut self,
        login: i64,
        record: u64,
        now: Timestamp,
    ) -> Result<Touched, Failure> {
        let alive = revocations::alive(self.connection, Of::Login(login), now.minus(GRACE))?;
        if self.revoke_all(&alive, record)? {
            self.news_for_hosts(now);
        }
        Ok(Touched {
            bundle: self.head.bundle,
            certificates: alive.iter().map(|it| it.serial).collect(),
            ..Touched::default()
        })
    }

    /// Lets a person or a role have certificates again.
    pub(super) fn unlock(&mut self, unlock: Unlock) -> Result<Outcome, Failure> {
        let Unlock { kind, value, entry } = unlock;
        let person = match kind {
            LockKind::User => logins::person(self.connection, &value)?,
            LockKind::Role | LockKind::Key => None,
        };
        let found = Found {
            person,
            ..Found::default()
        };
        let index = self.append(&entry, found)?;
        revocations::unlock(self.connection, kind, &value)?;
        self.committed.push(News::Unlocked(kind, value));
        Ok(Outcome {
            index: Some(index),
            ..Outcome::default()
        })
    }

    /// What is alive of it; one for each record. Only reads.
    fn touched(&self, taken: &Taken, now: Timestamp) -> Result<Vec<Piece>, Failure> {
        let since = now.minus(GRACE);
        let alive = |of| revocations::alive(self.connection, of, since);
        let one = |part| Ok(vec![part]);
        match taken {
            Taken::People(people) => people
                .iter()
                .map(|person| {
                    let key = revocations::person_key(self.connection, *person)?
                        .ok_or(StoreError::Damaged("a person who is not there"))?;
                    Ok(Piece {
                        lock: Some((LockKind::User, key)),
                        ..self.of_person(*person, since)?
                    })
                })
                .collect(),
            Taken::Own(id) => one(self.of_person(self.login_row(*id)?.person, since)?),
            Taken::Login(id) => {
                let row = self.login_row(*id)?;
                one(Piece {
                    found: Found {
                        person: Some(row.person),
                        login: Some(row.number),
                        identity: None,
                    },
                    certificates: alive(Of::Login(row.number))?,
                    logins: row.ended.is_none().then_some(row).into_iter().collect(),
                    ..Piece::default()
                })
            }
            Taken::Serial(serial) => {
                let found = revocations::of_serial(self.connection, *serial)?;
                let Some(certificate) = found else {
                    return Err(Failure::Refused(LedgerError::NotThere {
                        what: "certificate of this CA with the serial",
                        which: serial.to_string(),
                    }));
                };
                let person = certificate.person;
                one(Piece {
                    found: Found {
                        person,
                        ..Found::default()
                    },
                    certificates: Some(certificate)
                        .filter(|it| it.ends > since)
                        .into_iter()
                        .collect(),
                    ..Piece::default()
                })
            }
            Taken::Role { name, known } => {
                let mut certificates = alive(Of::Anybody)?;
                let mut unreadable = false;
                certificates.retain(|it| match Leaf::decode(&it.leaf) {
                    Ok(leaf) => leaf.facts.get("role") == Some(&Fact::Text(name.clone())),
                    Err(_) => {
                        unreadable = true;
                        false
                    }
                });
                if unreadable {
                    return Err(StoreError::Damaged("a leaf is not readable").into());
                }
                if !known && certificates.is_empty() {
                    return Err(Failure::Refused(LedgerError::NotThere {
                        what: "role",
                        which: name.clone(),
                    }));
                }
                one(Piece {
                    certificates,
                    lock: Some((LockKind::Role, name.clone())),
                    ..Piece::default()
                })
            }
            Taken::Key(key) => {
                let mut certificates = Vec::new();
                for it in alive(Of::Anybody)? {
                    if self.certified(&it)?.as_deref() == Some(&key.to_string()) {
                        certificates.push(it);
                    }
                }
                one(Piece {
                    certificates,
                    logins: logins::by_key(self.connection, &key.0)?
                        .into_iter()
                        .collect(),
                    lock: Some((LockKind::Key, key.to_string())),
                    key: Some(*key),
                    ..Piece::default()
                })
            }
        }
    }

    fn of_person(&self, person: i64, since: Timestamp) -> Result<Piece, Failure> {
        Ok(Piece {
            found: Found {
                person: Some(person),
                ..Found::default()
            },
            certificates: revocations::alive(self.connection, Of::Person(person), since)?,
            logins: logins::not_ended(self.connection, person)?,
            ..Piece::default()
        })
    }

    fn login_row(&self, id: LoginId) -> Result<LoginRow, Failure> {
        logins::by_id(self.connection, &id.0)?.ok_or_else(|| {
            Failure::Refused(LedgerError::NotThere {
                what: "login",
                which: id.to_string(),
            })
        })
    }

    /// Fingerprint of the key in a certificate; none where that was erased.
    fn certified(&self, certificate: &Alive) -> Result<Option<String>, StoreError> {
        let Some(part) = records::part(self.connection, certificate.record, PartName::Details)?
        else {
            return Ok(None);
        };
        let details: Value = serde_json::from_slice(&part.bytes)
            .map_err(|_| StoreError::Damaged("a part is not readable"))?;
        Ok(details
            .get("key")
            .and_then(Value::as_str)
            .map(str::to_owned))
    }

    /// Whether any of them was not revoked yet.
    fn revoke_all(&self, certificates: &[Alive], record: u64) -> Result<bool, Failure> {
        let mut newly = false;
        for certificate in certificates {
            let revocation = Revocation {
                what: Revoked::Serial {
                    ca: signed_by(&certificate.leaf)?,
                    serial: certificate.serial,
                },
                until: Some(certificate.ends),
            };
            newly |= revocations::add(self.connection, &revocation, record)?;
        }
        Ok(newly)
    }

    fn news_for_hosts(&mut self, now: Timestamp) {
        self.head.bundle.next(now);
    }

    fn end_revoked(&mut self, row: LoginRow, record: u64, now: Timestamp) -> Result<(), Failure> {
        if !row.is_live(now) {
            // Over is not ended, as in `end_login`.
            logins::end(self.connection, row.number, row.ends)?;
            self.committed.push(News::Ended(row));
            return Ok(());
        }
        let entry = Draft::new(Kind::LoginEnded, self.head.epoch, now)
            .fact("login", id(&row).to_string())
            .fact("reason", "revoked")
            .fact("record", record)
            .finish()
            .map_err(|error| Failure::Refused(error.into()))?;
        self.end(row, &entry)?;
        Ok(())
    }
}

/// SHA-256 of the CA key that signed a certificate, as its record has it; an older record does not.
fn signed_by(leaf: &[u8]) -> Result<Option<[u8; 32]>, StoreError> {
    let leaf = Leaf::decode(leaf).map_err(|_| StoreError::Damaged("a leaf is not readable"))?;
    match leaf.facts.get("ca_sha256") {
        Some(Fact::Text(hash)) => Ok(Hash::parse(hash).map(|hash| hash.0)),
        _ => Ok(None),
    }
}

fn id(row: &LoginRow) -> LoginId {
    LoginId(row.id)
}

impl std::fmt::Debug for Revoke {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Revoke({:?})", self.taken)
    }
}

impl std::fmt::Debug for Unlock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Unlock({})", self.kind.name())
    }
}

/// Serials that a record lists; `revocations` has them all.
const LISTED: usize = 5000;
