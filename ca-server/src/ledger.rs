//! The ledger: what is about to be signed, and everything else that an auditor must find, recorded
//! and durable before anybody acts on it.
//!
//! In: a [`CertificateToSign`] with its [`Context`]. Out: [`Recorded`], once the exact bytes are on
//! the disk; the signer takes nothing else (invariant 1, A82). In the same transaction the login is
//! opened, refreshed, or asked again whether it lives (invariant 4, A19), and its names are compared
//! with those of other people (A22). No secret is ever handed to this module (invariant 9).
//!
//! Leaves and parts: `ledger/record.rs`; group commit: `ledger/writer.rs`; what auditors read:
//! `ledger/list.rs`.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use jit_ssh_api::admin::Name;
use rand::rngs::StdRng;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use crate::certificate::{CertificateToSign, Kind as CertificateKind, User};
use crate::host::HostRefusal;
use crate::host::watch::Watch;
use crate::login::cache::LoginCache;
use crate::login::{Change, EndedBy, LiveLogin, LoginId};
use crate::revocation::lock::LockKind;
use crate::store::ledger::{self as records, InForce, Serial};
use crate::store::{BundleNumber, DiskState, Store, StoreError, StoreOptions, guard};
use crate::time::Timestamp;

mod hosts;
pub mod list;
pub mod record;
pub mod refusals;
mod revocations;
mod writer;

pub(crate) use hosts::{Enrols, HostContext, HostRecord, HostRevoked};
use record::{Draft, Fact, Hash, Kind, LeafError, MAX_LEAF, Part, PartName};
pub use refusals::{Refused, RefusedTo};

use refusals::Refusals;
pub(crate) use writer::{Class, Taken, Touched};
use writer::{Outcome, Who, Work, Write, Writer};

/// Why something is not recorded, and so must not happen.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// The caller: the login ended, or was never there.
    #[error("the login has ended")]
    LoginEnded,
    /// The caller: the login moved on meanwhile; ask again without the token.
    #[error("the login has a newer token than this")]
    LoginChanged,
    /// The caller: the token opened a login for another key.
    #[error("the token was used with another key")]
    TokenUsed,
    /// The caller: another person has a live login with this key.
    #[error("another person is signed in with this key")]
    KeyInUse,
    /// The operator: somebody else of that issuer came with this name before (A22).
    #[error("the {kind} {name:?} belongs to another person of this issuer")]
    NameTaken {
        /// `email` or `username`.
        kind: &'static str,
        /// Which.
        name: String,
    },
    /// The operator: whoever has the name would take it back with their next certificate.
    #[error("whoever has the {kind} {name:?} is signed in")]
    OwnerSignedIn {
        /// `email` or `username`.
        kind: &'static str,
        /// Which.
        name: String,
    },
    /// The caller: they, their key or the role get no certificates until somebody unlocks them.
    #[error("the {} is locked", kind.name())]
    Locked {
        /// What holds it.
        kind: LockKind,
    },
    /// The caller: what is to be taken away or unlocked was never there.
    #[error("there is no {what} {which}")]
    NotThere {
        /// What.
        what: &'static str,
        /// As they told it.
        which: String,
    },
    /// The caller: the key is a host's (A37).
    #[error("a host has this key")]
    HostKey,
    /// The caller or the operator: a host or an invitation.
    #[error(transparent)]
    Host(#[from] HostRefusal),
    /// Us: chance gave a serial twice (A35).
    #[error("the serial was used before")]
    SerialTaken,
    /// Us: a leaf that cannot be written.
    #[error(transparent)]
    Leaf(#[from] LeafError),
    /// The caller: later.
    #[error("too many records are waiting for the disk")]
    Overloaded,
    /// The operator: no room for this.
    #[error("the disk of the ledger is full")]
    DiskFull,
    /// The operator: a write failed so that nobody knows what is on the disk; start again.
    #[error("the ledger has stopped after a fault")]
    Stopped,
    /// The operator: the store failed.
    #[error(transparent)]
    Store(Arc<StoreError>),
}

impl From<StoreError> for LedgerError {
    fn from(error: StoreError) -> Self {
        if error.is_full() {
            LedgerError::DiskFull
        } else {
            LedgerError::Store(Arc::new(error))
        }
    }
}

/// What a certificate's record says beside the certificate.
#[derive(Debug)]
pub struct Context {
    /// The login behind it.
    pub login: LiveLogin,
    /// The person's own account, where the role is on it.
    pub username: Option<String>,
    /// Request id.
    pub request: String,
    /// Where the request came from.
    pub source: Option<IpAddr>,
    /// Digest of the policy that decided.
    pub policy: String,
    /// The issuer could not be reached, and the role's `issuer_outage_grace` was used.
    pub outage: bool,
    /// Now.
    pub now: Timestamp,
}

/// A certificate whose bytes are durable in the ledger. Only [`Ledger::record`] makes one.
#[derive(Debug)]
pub struct Recorded<K: CertificateKind = User> {
    certificate: CertificateToSign<K>,
    index: u64,
}

impl<K: CertificateKind> Recorded<K> {
    /// What was recorded.
    pub fn certificate(&self) -> &CertificateToSign<K> {
        &self.certificate
    }

    /// Gives it to the signer.
    pub fn into_certificate(self) -> CertificateToSign<K> {
        self.certificate
    }

    /// Place in the ledger.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// For tests of the signer: not in any ledger.
    #[cfg(test)]
    pub(crate) fn for_test(certificate: CertificateToSign<K>) -> Self {
        Recorded {
            certificate,
            index: 0,
        }
    }
}

/// Who used a right at the CA.
#[derive(Clone, Debug)]
pub enum Actor {
    /// The data folder's owner, over the socket.
    Local {
        /// User id.
        uid: u32,
    },
    /// A person.
    Login(LiveLogin),
}

/// A right at the CA that somebody uses.
#[derive(Clone, Debug)]
pub(crate) struct RightUsed<'a> {
    /// Who.
    pub(crate) actor: &'a Actor,
    /// For what.
    pub(crate) action: &'static str,
    /// With what, as they wrote it.
    pub(crate) with: Value,
    /// Request id.
    pub(crate) request: &'a str,
    /// Where the request came from.
    pub(crate) source: Option<IpAddr>,
    /// Now.
    pub(crate) now: Timestamp,
}

/// The ledger of one CA.
pub struct Ledger {
    store: Arc<Store>,
    writer: Writer,
    cache: Arc<LoginCache>,
    hosts: Arc<Watch>,
    refusals: Mutex<Refusals>,
    rng: Mutex<StdRng>,
}

impl Ledger {
    /// Opens the store and starts its writer. Salts come from `rng`.
    pub fn open(options: StoreOptions, rng: StdRng) -> Result<Arc<Ledger>, StoreError> {
        let store = Arc::new(Store::open(options)?);
        let cache = Arc::new(LoginCache::default());
        let writer = Writer::start(&store, &cache)?;
        Ok(Arc::new(Ledger {
            store,
            hosts: Arc::clone(writer.hosts()),
            writer,
            cache,
            refusals: Mutex::default(),
            rng: Mutex::new(rng),
        }))
    }

    /// Records the exact bytes that are to be signed; durable on return. If the caller goes away
    /// before that, the record may be there, and nothing is signed.
    pub async fn record(
        &self,
        certificate: CertificateToSign,
        context: Context,
    ) -> Result<Recorded, LedgerError> {
        let Context {
            login,
            username,
            request,
            source,
            policy,
            outage,
            now,
        } = context;
        let details = json!({
            "key": certificate.key_fingerprint(),
            "key_id": certificate.key_id(),
            "principals": certificate.principals(),
            "source": source,
            "username": username,
        });
        let serial = certificate.serial();
        let said = request.clone();
        let entry = self
            .draft(Kind::Certificate, now)
            .fact("ca_sha256", Hash::of(certificate.ca()).to_string())
            .fact("login", login.id.to_string())
            .fact("outage", outage)
            .fact("policy", policy)
            .fact("request", request)
            .fact("role", certificate.role())
            .fact("serial", serial.to_string())
            .fact(
                "tbs_sha256",
                Hash::of(certificate.to_be_signed()).to_string(),
            )
            .fact("valid_after", certificate.valid_after())
            .fact("valid_before", certificate.valid_before())
            .identity(login.commitment)
            .part(self.raw(PartName::ToBeSigned, certificate.to_be_signed().to_vec()))
            .part(self.part(PartName::Details, &details)?)
            .finish()?;
        let state = Arc::clone(&login.state);
        let who = Who::Login { login, username };
        let serial = Serial {
            serial,
            ends: Some(Timestamp::from_seconds(certificate.valid_before())),
        };
        let work = Work::Certificate {
            entry,
            serial,
            role: certificate.role().to_owned(),
        };
        let outcome = match self.write(now, Class::Issuing, who, work).await {
            Ok(outcome) => outcome,
            Err(error) => {
                self.denied(&state.identity, &error, &said, source, now)
                    .await;
                return Err(error);
            }
        };
        match outcome.index {
            Some(index) => Ok(Recorded { certificate, index }),
            None => Err(LedgerError::Stopped),
        }
    }

    /// The newest trust bundle, and whoever comes after it. What is seen here is durable.
    pub fn bundles(&self) -> watch::Receiver<BundleNumber> {
        self.writer.bundles()
    }

    /// Writes what is pending of a login, where no certificate does.
    pub async fn record_login(&self, login: &LiveLogin, now: Timestamp) -> Result<(), LedgerError> {
        let who = Who::Login {
            login: login.clone(),
            username: None,
        };
        let class = match login.change {
            // Only asks whether it lives: that needs no room.
            Change::None => Class::Ending,
            Change::Opens(_) | Change::Refreshes(_) => Class::Issuing,
        };
        self.write(now, class, who, Work::LoginOnly).await.map(drop)
    }

    /// A certificate was recorded and then not signed.
    pub async fn record_signing_failed(
        &self,
        index: u64,
        serial: u64,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let entry = self
            .draft(Kind::SigningFailed, now)
            .fact("reason", clip(reason))
            .fact("record", index)
            .fact("serial", serial.to_string())
            .finish()?;
        self.write(now, Class::Issuing, Who::Nobody, Work::Record(entry))
            .await
            .map(drop)
    }

    /// Somebody used a right: what they did (`audit`, `policy-explain` …), with what. A read is
    /// counted where there is no room for its record: an auditor must be able to look on the worst
    /// day.
    pub(crate) async fn record_admin(
        &self,
        class: Class,
        used: RightUsed<'_>,
    ) -> Result<(), LedgerError> {
        let now = used.now;
        let (who, draft) = self.admin(&used)?;
        let work = Work::Record(draft.finish()?);
        match self.write(now, class, who, work).await {
            Err(LedgerError::DiskFull) if class == Class::Ordinary => {
                guard(&self.refusals).count_read(used.action, now);
                match used.actor {
                    Actor::Local { .. } => Ok(()),
                    // Its login must live all the same.
                    Actor::Login(login) => self.record_login(login, now).await,
                }
            }
            written => written.map(drop),
        }
    }

    /// The record of a right that was used, and whose it is.
    fn admin(&self, used: &RightUsed<'_>) -> Result<(Who, Draft), LedgerError> {
        self.admin_as(Kind::Admin, used)
    }

    /// The same as a record of that kind.
    fn admin_as(&self, kind: Kind, used: &RightUsed<'_>) -> Result<(Who, Draft), LedgerError> {
        let details = json!({ "source": used.source, "with": bounded(used.with.clone()) });
        let draft = self
            .draft(kind, used.now)
            .fact("action", used.action)
            .fact("request", used.request)
            .part(self.part(PartName::Details, &details)?);
        Ok(match used.actor {
            Actor::Local { uid } => (Who::Nobody, draft.fact("by", format!("local:{uid}"))),
            Actor::Login(login) => (
                Who::Login {
                    login: login.clone(),
                    username: None,
                },
                draft
                    .fact("login", login.id.to_string())
                    .identity(login.commitment),
            ),
        })
    }

    /// The policy that is in force now; recorded only where it differs from the last.
    pub async fn record_policy(
        &self,
        digest: &str,
        text: &str,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let kind = InForce::Policy;
        let entry = self
            .draft(kind.kind(), now)
            .fact("policy", digest)
            .finish()?;
        let work = Work::InForce {
            kind,
            entry,
            says: ("policy", digest.to_owned()),
            text: Some(text.to_owned()),
        };
        self.write(now, Class::Issuing, Who::Nobody, work)
            .await
            .map(drop)
    }

    /// Digest of the last recorded policy, and since when it is in force.
    pub async fn policy_in_force(&self) -> Result<Option<(String, Timestamp)>, LedgerError> {
        let last = self
            .store
            .read(|connection| records::last_of(connection, InForce::Policy))
            .await?;
        let Some(row) = last else { return Ok(None) };
        match record::Leaf::decode(&row.leaf)?.facts.get("policy") {
            Some(Fact::Text(digest)) => Ok(Some((digest.clone(), row.time))),
            _ => Err(StoreError::Damaged("a policy's record has no digest").into()),
        }
    }

    /// The signed key set that is in force now; recorded only where it differs from the last.
    pub async fn record_key_set(
        &self,
        epoch: u64,
        number: u64,
        signed: &str,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let sha256 = Hash::of(signed.as_bytes()).to_string();
        let kind = InForce::KeySet;
        let entry = self
            .draft(kind.kind(), now)
            .fact("key_set_epoch", epoch)
            .fact("number", number)
            .fact("sha256", sha256.clone())
            .part(self.raw(PartName::Details, signed.as_bytes().to_vec()))
            .finish()?;
        let work = Work::InForce {
            kind,
            entry,
            says: ("sha256", sha256),
            text: None,
        };
        self.write(now, Class::Issuing, Who::Nobody, work)
            .await
            .map(drop)
    }

    /// Lets somebody else of that issuer have an e-mail address or user name from now on: how an
    /// operator enrols a person anew whose old account at the issuer is gone (A22). Refused while a
    /// login of the old account lives: its next certificate would take the name back. False if nobody
    /// had it: then there is no record either.
    pub(crate) async fn free_name(
        &self,
        used: RightUsed<'_>,
        name: &Name,
    ) -> Result<bool, LedgerError> {
        let (who, draft) = self.admin(&used)?;
        let work = Work::FreeName {
            name: name.clone(),
            entry: draft.finish()?,
        };
        let outcome = self.write(used.now, Class::Issuing, who, work).await?;
        Ok(outcome.index.is_some())
    }

    /// How full the disk is, for `/readyz`.
    pub fn disk(&self) -> DiskState {
        self.store.disk()
    }

    /// Whether it still writes, for `/readyz`.
    pub fn is_writing(&self) -> bool {
        self.writer.is_writing()
    }

    /// The epoch of all records until the next restore.
    pub fn epoch(&self) -> u64 {
        self.store.epoch()
    }

    /// The store beneath, for listing and backup.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    pub(crate) fn cache(&self) -> &LoginCache {
        &self.cache
    }

    /// `None` if there is no such login; else when it ended, now or before.
    pub(crate) async fn end_login(
        &self,
        id: LoginId,
        by: &EndedBy,
        request: &str,
        now: Timestamp,
    ) -> Result<Option<(Timestamp, Touched)>, LedgerError> {
        let draft = self
            .draft(Kind::LoginEnded, now)
            .fact("login", id.to_string())
            .fact("request", request);
        let draft = match by {
            EndedBy::Owner => draft.fact("reason", "logout"),
            EndedBy::Admin(who) => draft
                .fact("reason", "admin")
                .part(self.part(PartName::Details, &json!({ "by": clip(who) }))?),
        };
        let work = Work::End {
            id,
            entry: draft.finish()?,
        };
        let outcome = self.write(now, Class::Ending, Who::Nobody, work).await?;
        let touched = outcome.touched.map(|touched| *touched).unwrap_or_default();
        Ok(outcome.ended.map(|ended| (ended, touched)))
    }

    /// A part of JSON, with a fresh salt.
    pub(crate) fn part(&self, name: PartName, value: &impl Serialize) -> Result<Part, LedgerError> {
        let bytes = serde_json::to_vec(value).map_err(|_| LeafError::Malformed)?;
        Ok(self.raw(name, bytes))
    }

    fn raw(&self, name: PartName, bytes: Vec<u8>) -> Part {
        Part::new(name, bytes, &mut *guard(&self.rng))
    }

    fn draft(&self, kind: Kind, now: Timestamp) -> Draft {
        Draft::new(kind, self.store.epoch(), now)
    }

    async fn write(
        &self,
        now: Timestamp,
        class: Class,
        who: Who,
        work: Work,
    ) -> Result<Outcome, LedgerError> {
        self.writer
            .write(Write {
                now,
                class,
                who,
                work,
            })
            .await
    }
}

/// Text of a stranger, short enough for a record.
fn clip(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).collect()
}

/// A value of a stranger, small enough for a record; else only its size.
fn bounded(value: Value) -> Value {
    let size = value.to_string().len();
    if size <= MAX_LEAF {
        return value;
    }
    Value::Object(Map::from_iter([("too_long".to_owned(), json!(size))]))
}

const LONGEST_TEXT: usize = 500;

#[cfg(test)]
mod tests;
