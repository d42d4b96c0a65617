//! Raw token ──► [`VerifiedIdentity`]. Knows nothing of policy, certificates or SQL.
//!
//! In: an ID token, what it must be bound to, and `now`. Out: who it is, once, as a [`Snapshot`];
//! after that the raw token no longer exists. Keeps invariant 3 (what a token must be: DESIGN 2) and
//! the first half of 4 (bound to a key by its nonce); the second half, one login for each nonce, is
//! `login.rs`'s. Sources: OpenID Connect Core 1.0 §3.1.3.7, RFC 7515, RFC 7519, RFC 8725.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::Arc;

use jit_ssh_api::binding::Salt;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::time::Timestamp;

pub mod fetch;
pub mod issuer;
pub mod provider;

pub use fetch::{FetchClient, FetchError};
pub use issuer::{Algorithm, CanSay, ClientConfig, GroupsSource, IssuerConfig, IssuerConfigError};
pub use provider::Preset;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the text as it is.
            pub fn new(text: &str) -> Self {
                $name(text.to_owned())
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// Issuer identifier, compared byte for byte.
    Issuer
}
name! {
    /// What an issuer calls a person (`sub`); means nothing without the issuer.
    Subject
}
name! {
    /// One group, exactly as the issuer writes it.
    Group
}

/// An e-mail address that can be compared: ASCII, exactly one `@`, the domain in lower case (A21).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Email(String);

impl Email {
    /// `None` for whatever could be read in two ways: quotes, spaces, a second `@`, other scripts.
    pub fn parse(text: &str) -> Option<Self> {
        let (local, domain) = text.split_once('@')?;
        let plain =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte);
        let label = |label: &str| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        let good = text.len() <= 254
            && !local.is_empty()
            && local.bytes().all(plain)
            && domain.split('.').all(label);
        good.then(|| Email(format!("{local}@{}", domain.to_ascii_lowercase())))
    }
}

impl AsRef<str> for Email {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Email {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Email {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Email::parse(&text).ok_or_else(|| serde::de::Error::custom("not a plain e-mail address"))
    }
}

/// What one token said, as the ledger keeps it. Never the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Who says so.
    pub issuer: Issuer,
    /// The client that the token was for.
    pub client_id: String,
    /// The issuer's `sub`.
    pub subject: Subject,
    /// The person, for ever: JSON array text of the issuer and the claims of
    /// [`IssuerConfig::person_key`].
    pub person: String,
    /// Only from an issuer that is trusted with it, and verified (A20).
    pub email: Option<Email>,
    /// Groups, exactly as the issuer writes them.
    pub groups: BTreeSet<Group>,
    /// Authentication context class.
    pub acr: Option<String>,
    /// How the person signed in.
    pub amr: Vec<String>,
    /// Entra's authentication contexts.
    pub acrs: Vec<String>,
    /// When the person signed in.
    pub auth_time: Option<Timestamp>,
    /// All other top-level claims of bounded size, for policy to ask.
    pub claims: BTreeMap<String, Value>,
    /// `iat` with the issuer's clock offset: the age of all this counts from here.
    pub issued_at: Timestamp,
    /// When the token expires.
    pub expires: Timestamp,
}

/// An identity that went through every check of this module; nothing else makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedIdentity(Snapshot);

impl VerifiedIdentity {
    /// The identity of a live login, as the ledger kept it. For `login.rs` alone.
    pub(crate) fn recalled(snapshot: Snapshot) -> Self {
        VerifiedIdentity(snapshot)
    }

    /// The plain values.
    pub fn snapshot(&self) -> &Snapshot {
        &self.0
    }
}

impl Deref for VerifiedIdentity {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.0
    }
}

/// What is left of a token once it is verified.
#[derive(Clone, Debug)]
pub struct VerifiedToken {
    /// Who.
    pub identity: VerifiedIdentity,
    /// Its nonce: the login's own, which opens one login for ever.
    pub nonce: Option<String>,
    /// `jti` (Entra: `uti`), else SHA-256 of the signing input in hex.
    pub token_id: String,
    /// The configuration that it was judged by.
    pub issuer: Arc<IssuerConfig>,
}

/// A token that is to open a login, and what its nonce must commit to (invariant 4).
pub struct Opening<'a> {
    /// Compact JWS.
    pub id_token: &'a str,
    /// Only where the issuer's groups come from userinfo.
    pub access_token: Option<&'a str>,
    /// Of the binding.
    pub salt: Salt,
    /// Public key blob (RFC 4253 §6.6) of the login key.
    pub login_key: &'a [u8],
    /// Public key blob of the key to certify, where it is another one.
    pub named_key: Option<&'a [u8]>,
}

/// A refreshed token of a live login, and what it must agree with.
pub struct Refresh<'a> {
    /// Compact JWS.
    pub id_token: &'a str,
    /// Only where the issuer's groups come from userinfo.
    pub access_token: Option<&'a str>,
    /// The login's.
    pub issuer: &'a str,
    /// The login's.
    pub client_id: &'a str,
    /// The login's.
    pub subject: &'a str,
    /// The login's [`Snapshot::person`].
    pub person: &'a str,
    /// The login's own nonce; a refreshed token has it or none.
    pub nonce: &'a str,
    /// [`Snapshot::issued_at`] of the last token that was accepted.
    pub last_issued_at: Timestamp,
    /// [`VerifiedToken::token_id`] of the last token that was accepted.
    pub last_token_id: &'a str,
}

/// Whether an issuer answers at all, for `issuer_outage_grace`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reachability {
    /// It answers, or has not been asked.
    Reachable,
    /// No connection, no answer in time, or a failure of its own (5xx); never a refusal.
    Unreachable {
        /// The first failure of the outage.
        since: Timestamp,
    },
}

/// All issuers with their keys; shared, built at load, keeps the keys of unchanged issuers.
pub struct Identities {
    issuers: BTreeMap<Issuer, Arc<IssuerConfig>>,
}

impl Identities {
    /// Takes checked configurations; keys of issuers that `previous` had are kept.
    pub fn new(
        configs: Vec<IssuerConfig>,
        _http: FetchClient,
        _previous: Option<&Identities>,
    ) -> Self {
        let issuers = configs
            .into_iter()
            .map(|config| (config.issuer.clone(), Arc::new(config)))
            .collect();
        Identities { issuers }
    }

    /// Judges a token that is to open a login; the issuer is the one that `iss` names exactly.
    pub async fn verify_opening(
        &self,
        _open: Opening<'_>,
        _now: Timestamp,
    ) -> Result<VerifiedToken, IdentityError> {
        Err(IdentityError::UnknownIssuer)
    }

    /// Judges a refreshed token of a live login.
    pub async fn verify_refresh(
        &self,
        _refresh: Refresh<'_>,
        _now: Timestamp,
    ) -> Result<VerifiedToken, IdentityError> {
        Err(IdentityError::UnknownIssuer)
    }

    /// All issuers, in the order of their names.
    pub fn issuers(&self) -> impl Iterator<Item = &Arc<IssuerConfig>> {
        self.issuers.values()
    }

    /// Whether an issuer answers; asks it, at most every few seconds.
    pub async fn reachable(&self, _issuer: &str, _now: Timestamp) -> Reachability {
        Reachability::Reachable
    }

    /// Fetches discovery and keys of every issuer, so that the first sign-in need not wait.
    pub async fn warm(&self, _now: Timestamp) {}
}

/// Why a token is not accepted. What a person may read is the `Display`; it names no secret.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The caller: it is from somebody that this CA does not believe.
    #[error("the token is from an issuer that this CA does not know")]
    UnknownIssuer,
    /// The IdP: it does not answer, and no keys of it are kept.
    #[error("{issuer} cannot be reached")]
    Unavailable {
        /// Which.
        issuer: Issuer,
        /// What happened.
        #[source]
        cause: FetchError,
    },
}
