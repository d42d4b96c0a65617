//! A login: a sign-in at the CA, opened by a verified token, which ends for good.
//!
//! In: a [`VerifiedToken`] and the keys that it is bound to. Out: a [`LiveLogin`], which the ledger
//! takes with every record, and which carries the opening or the refresh that is still to be written:
//! so that it commits in one transaction with the first certificate. Keeps the second half of
//! invariant 4 and A19: what a `LiveLogin` says is only a proposal; the writer asks the store again,
//! in the transaction that records.
//!
//! The identifier comes from (issuer, nonce), or from (issuer, token id) of a token that cannot be
//! bound, and start and end from the token's own time. So the same token, posted a hundred times at
//! once, makes the same login a hundred times, and the store keeps one (A14).

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jit_ssh_api::admin::{LoginList, LoginQuery};
use jit_ssh_api::login::{Ended, Login};
use sha2::{Digest as _, Sha256};
use ssh_key::PublicKey;

use crate::certificate::AcceptedKey;
use crate::identity::{IdentityFacts, VerifiedIdentity, VerifiedToken};
use crate::ledger::record::{Draft, Entry, Hash, Kind, PartName};
use crate::ledger::{Ledger, LedgerError};
use crate::store::{StoreError, logins};
use crate::time::Timestamp;

pub(crate) mod cache;
mod recall;
pub(crate) mod search;

use recall::{Opened, read_any, read_login};

/// Identifier of a login: 26 letters and digits of base32, lower-case.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LoginId(pub(crate) [u8; 16]);

impl LoginId {
    fn of_token(token: &VerifiedToken) -> Self {
        let (label, unique) = match &token.nonce {
            Some(nonce) => ("jit-ssh login by nonce v1", nonce),
            None => ("jit-ssh login by token v1", &token.token_id),
        };
        let mut hash = Sha256::new();
        for field in [label, token.identity.issuer.as_ref(), unique] {
            hash.update(u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(field);
        }
        let digest: [u8; 32] = hash.finalize().into();
        let mut id = [0; 16];
        for (to, from) in id.iter_mut().zip(digest) {
            *to = from;
        }
        LoginId(id)
    }

    /// Reads an identifier; only the one way of writing it is taken.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 26 {
            return None;
        }
        let mut number: u128 = 0;
        for (at, letter) in text.bytes().enumerate() {
            let digit = BASE32.iter().position(|&it| it == letter)?;
            if at == 0 && digit > 7 {
                return None;
            }
            number = (number << 5) | u128::try_from(digit).ok()?;
        }
        Some(LoginId(number.to_be_bytes()))
    }
}

impl std::fmt::Display for LoginId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let number = u128::from_be_bytes(self.0);
        for at in (0..26).rev() {
            let digit = usize::try_from((number >> (at * 5)) & 31).unwrap_or_default();
            std::fmt::Write::write_char(
                f,
                char::from(BASE32.get(digit).copied().unwrap_or_default()),
            )?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for LoginId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// SHA-256 of a public key's blob.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyHash(pub(crate) [u8; 32]);

impl KeyHash {
    /// Of that key.
    pub fn of(key: &PublicKey) -> Self {
        KeyHash(
            key.fingerprint(ssh_key::HashAlg::Sha256)
                .sha256()
                .unwrap_or_default(),
        )
    }
}

impl std::fmt::Display for KeyHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", ssh_key::Fingerprint::Sha256(self.0))
    }
}

impl std::fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// What is known of a login. Reached through a [`LiveLogin`] only.
#[derive(Debug)]
pub struct LoginState {
    /// Identifier.
    pub id: LoginId,
    /// Who, as of the last token.
    pub identity: VerifiedIdentity,
    /// The key that signs proofs.
    pub login_key: PublicKey,
    /// The key that is certified; the login key, or one that the person named. Judged once, when
    /// the login was opened or read back.
    pub certified_key: AcceptedKey,
    /// When the person signed in, by the token.
    pub started: Timestamp,
    /// When it is over at the latest.
    pub ends: Timestamp,
    /// Nonce of the opening token, if it was bound.
    pub nonce: Option<String>,
    /// Identifier of the last token.
    pub last_token_id: String,
    /// SHA-256 of the login key's blob.
    pub key: KeyHash,
    /// Commitment of the identity part that the last token made.
    pub(crate) commitment: Hash,
    /// The record that holds that part, once it is durable.
    pub(crate) identity_record: OnceLock<u64>,
}

impl LoginState {
    /// When the last token says that it was issued: ages count from here.
    pub fn last_issued_at(&self) -> Timestamp {
        self.identity.issued_at
    }

    /// Until when a proof alone is enough.
    pub fn identity_fresh_until(&self, identity_max_age: Duration) -> Timestamp {
        self.last_issued_at().plus(identity_max_age).min(self.ends)
    }

    /// As its owner sees it.
    pub fn to_api(&self, username: Option<String>, identity_max_age: Duration) -> Login {
        let who: &IdentityFacts = &self.identity;
        Login {
            id: self.id.to_string(),
            issuer: who.issuer.to_string(),
            client_id: who.client_id.clone(),
            subject: who.subject.to_string(),
            email: who.email.as_ref().map(ToString::to_string),
            username,
            groups: who.groups.iter().map(ToString::to_string).collect(),
            key: self.key.to_string(),
            started: self.started.seconds(),
            ends: self.ends.seconds(),
            ended: None,
            identity_fresh_until: self.identity_fresh_until(identity_max_age).seconds(),
        }
    }
}

/// A login that was live a moment ago, with what is still to be written of it.
#[derive(Clone, Debug)]
pub struct LiveLogin {
    pub(crate) state: Arc<LoginState>,
    pub(crate) change: Change,
}

impl Deref for LiveLogin {
    type Target = LoginState;

    fn deref(&self) -> &LoginState {
        &self.state
    }
}

impl LiveLogin {
    /// This call opens it.
    pub fn is_new(&self) -> bool {
        matches!(self.change, Change::Opens(_))
    }

    /// Something of it is still to be written.
    pub(crate) fn changes(&self) -> bool {
        !matches!(self.change, Change::None)
    }
}

/// What the next record writes of a login, in its own transaction.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// Nothing: it is in the store already.
    None,
    /// The login itself.
    Opens(Arc<Entry>),
    /// A newer identity.
    Refreshes(Arc<Entry>),
}

/// A token that opens a login.
#[derive(Debug)]
pub struct OpenLogin<'a> {
    /// Verified, and bound to the keys where it can be.
    pub token: VerifiedToken,
    /// Signs the proofs; has proved itself.
    pub login_key: PublicKey,
    /// The key to certify, which has proved itself.
    pub certified_key: AcceptedKey,
    /// Longest life of a login, from the issuer's or the CA's configuration.
    pub longest: Duration,
    /// Where it came from.
    pub source: Option<IpAddr>,
    /// Request id.
    pub request: &'a str,
}

/// Who ends a login.
#[derive(Clone, Debug)]
pub enum EndedBy {
    /// Its own key.
    Owner,
    /// Somebody with the right to; how the audit names them.
    Admin(String),
}

/// Why there is no login.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The caller: none, or it ended.
    #[error("there is no live login for this key")]
    Ended,
    /// The caller: the token is older than the CA's last restore.
    #[error("the token is from before this CA was restored")]
    EarlierEpoch,
    /// The caller: the refreshed token is not for this login, or not newer than the last.
    #[error("the refreshed token does not go with this login")]
    NotNewer,
    /// The caller: no such login.
    #[error("there is no login {0}")]
    Unknown(String),
    /// The operator or us.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl From<StoreError> for LoginError {
    fn from(error: StoreError) -> Self {
        LoginError::Ledger(error.into())
    }
}

/// All logins of the CA.
#[derive(Clone)]
pub struct Logins {
    ledger: Arc<Ledger>,
}

impl Logins {
    /// Over that ledger.
    pub fn new(ledger: Arc<Ledger>) -> Self {
        Logins { ledger }
    }

    /// The login that a token opens, or the live one that it opened before. Nothing is written yet:
    /// the next record with this login does that, and says no if the token was used up.
    pub fn open(&self, open: OpenLogin<'_>, now: Timestamp) -> Result<LiveLogin, LoginError> {
        let OpenLogin {
            token,
            login_key,
            certified_key,
            longest,
            source,
            request,
        } = open;
        let store = self.ledger.store();
        let started = token.identity.issued_at;
        // After a restore the store does not know which of the older tokens were used up.
        if started < store.epoch_started() {
            return Err(LoginError::EarlierEpoch);
        }
        let id = LoginId::of_token(&token);
        let key = KeyHash::of(&login_key);
        let ends = started.plus(longest);
        if now >= ends {
            return Err(LoginError::Ended);
        }
        if let Some(known) = self.ledger.cache().get(&key)
            && known.id == id
            && now < known.ends
        {
            return Ok(LiveLogin {
                state: known,
                change: Change::None,
            });
        }
        let details = Opened {
            certified_key: certified_key
                .public_key()
                .to_openssh()
                .map_err(unwritable)?,
            login_key: login_key.to_openssh().map_err(unwritable)?,
            nonce: token.nonce.clone(),
            source,
        };
        let identity = self
            .ledger
            .part(PartName::Identity, token.identity.snapshot())?;
        let commitment = identity.commitment();
        let entry = Draft::new(Kind::LoginOpened, store.epoch(), now)
            .fact("ends", ends.millis())
            .fact("login", id.to_string())
            .fact("request", request)
            .fact("started", started.millis())
            .part(identity)
            .part(self.ledger.part(PartName::Details, &details)?)
            .finish()
            .map_err(LedgerError::from)?;
        let state = LoginState {
            id,
            login_key,
            certified_key,
            started,
            ends,
            nonce: token.nonce,
            last_token_id: token.token_id,
            key,
            commitment,
            identity_record: OnceLock::new(),
            identity: token.identity,
        };
        Ok(LiveLogin {
            state: Arc::new(state),
            change: Change::Opens(Arc::new(entry)),
        })
    }

    /// The live login of a key.
    pub async fn recall(&self, key: KeyHash, now: Timestamp) -> Result<LiveLogin, LoginError> {
        let cache = self.ledger.cache();
        if let Some(state) = cache.get(&key) {
            return if now < state.ends {
                Ok(LiveLogin {
                    state,
                    change: Change::None,
                })
            } else {
                Err(LoginError::Ended)
            };
        }
        let seen = cache.generation();
        let epoch = self.ledger.store().epoch();
        let found = self
            .ledger
            .store()
            .read(
                move |connection| match logins::by_key(connection, &key.0)? {
                    Some(row) if row.is_live(now) => read_login(connection, &row, epoch),
                    _ => Ok(None),
                },
            )
            .await?;
        let state = Arc::new(found.ok_or(LoginError::Ended)?);
        // Not if anything changed since: what was read may be older than what is there now.
        cache.insert_if(seen, Arc::clone(&state));
        Ok(LiveLogin {
            state,
            change: Change::None,
        })
    }

    /// The same login with what a refreshed token says. Like [`Logins::open`], the next record writes
    /// it, and the writer compares again.
    pub fn refresh(
        &self,
        login: &LiveLogin,
        token: VerifiedToken,
        request: &str,
        now: Timestamp,
    ) -> Result<LiveLogin, LoginError> {
        let old: &IdentityFacts = &login.identity;
        let new: &IdentityFacts = &token.identity;
        let same = old.issuer == new.issuer
            && old.subject == new.subject
            && old.person == new.person
            && old.client_id == new.client_id
            && (token.nonce.is_none() || token.nonce == login.nonce);
        if !same || new.issued_at <= old.issued_at || token.token_id == login.last_token_id {
            return Err(LoginError::NotNewer);
        }
        if now >= login.ends {
            return Err(LoginError::Ended);
        }
        let identity = self.ledger.part(PartName::Identity, new)?;
        let commitment = identity.commitment();
        let entry = Draft::new(Kind::LoginRefreshed, self.ledger.store().epoch(), now)
            .fact("login", login.id.to_string())
            .fact("request", request)
            .part(identity)
            .finish()
            .map_err(LedgerError::from)?;
        let state = LoginState {
            id: login.id,
            identity: token.identity,
            login_key: login.login_key.clone(),
            certified_key: login.certified_key.clone(),
            started: login.started,
            ends: login.ends,
            nonce: login.nonce.clone(),
            last_token_id: token.token_id,
            key: login.key,
            commitment,
            identity_record: OnceLock::new(),
        };
        Ok(LiveLogin {
            state: Arc::new(state),
            change: Change::Refreshes(Arc::new(entry)),
        })
    }

    /// Ends a login for good; one that is over or ended already stays as it was.
    pub async fn end(
        &self,
        id: LoginId,
        by: &EndedBy,
        request: &str,
        now: Timestamp,
    ) -> Result<Ended, LoginError> {
        match self.ledger.end_login(id, by, request, now).await? {
            Some((ended, touched)) => Ok(Ended {
                id: id.to_string(),
                ended: ended.seconds(),
                certificates: touched.certificates.iter().map(u64::to_string).collect(),
                bundle: (!touched.certificates.is_empty()).then_some(touched.bundle.number),
            }),
            None => Err(LoginError::Unknown(id.to_string())),
        }
    }

    /// For those with the right to see them, newest first. `fresh` is each issuer's
    /// `identity_max_age`.
    pub async fn list(
        &self,
        query: LoginQuery,
        now: Timestamp,
        fresh: impl Fn(&str) -> Duration + Send + 'static,
    ) -> Result<LoginList, LoginError> {
        let list = self
            .ledger
            .store()
            .read(move |connection| {
                let live_at = (!query.all).then_some(now);
                let people = query
                    .user
                    .as_deref()
                    .map(|user| search::people(connection, user, live_at))
                    .transpose()?;
                let unknown_user = people.as_ref().is_some_and(Vec::is_empty);
                let rows = logins::list(connection, live_at, people.as_deref(), LISTED + 1)?;
                // One more than is shown tells whether there are more.
                let more = rows.len() > LISTED;
                let mut found = Vec::with_capacity(rows.len());
                for row in rows.into_iter().take(LISTED) {
                    // Of an earlier epoch, or erased: nothing to show.
                    let Some(state) = read_any(connection, &row)? else {
                        continue;
                    };
                    let max_age = fresh(state.identity.issuer.as_ref());
                    let mut login = state.to_api(row.username, max_age);
                    login.ended = row.ended.map(Timestamp::seconds);
                    found.push(login);
                }
                Ok(LoginList {
                    logins: found,
                    more,
                    unknown_user,
                })
            })
            .await?;
        Ok(list)
    }
}

fn unwritable(_: ssh_key::Error) -> StoreError {
    StoreError::Damaged("a public key cannot be written")
}

const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const LISTED: usize = 1000;
