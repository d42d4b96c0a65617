//! Hosts that enrol themselves: an invitation and a proof by each of a host's keys come in, host
//! certificates and a trust bundle go out. Which hosts live, and what each holds, is in `watch.rs`.
//!
//! A host is who its first key is. It can ask for what is its own, and for nothing else (A56): no
//! route of a host takes the name or the identifier of one. Certificates of hosts go the way of
//! people's: made, recorded, looked at again, signed (invariant 1); exact names only (A33), that the
//! invitation allows and no other living host has (A60).

use crate::certificate::{CertificateError, KeyError};
use crate::entropy::{self, Entropy};
use crate::ledger::LedgerError;
use crate::login::LoginId;
use crate::signer::{PairError, SignerError};
use crate::store::StoreError;

pub(crate) mod bundle;
pub(crate) mod enrolment;
pub(crate) mod invitation;
pub(crate) mod watch;

/// A new identifier of a host or an invitation: 26 letters and digits of base32.
pub(crate) fn new_id(rng: &mut impl Entropy) -> LoginId {
    LoginId(entropy::bytes(rng))
}

/// What the ledger says no to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostRefusal {
    /// The caller: no such token, or one that was never given out.
    #[error("there is no such invitation")]
    NoInvitation,
    /// The caller: too late.
    #[error("the invitation has expired")]
    Expired,
    /// The caller: an operator took it back.
    #[error("the invitation was withdrawn")]
    Withdrawn,
    /// The caller: others came first.
    #[error("the invitation was used as often as it counts")]
    UsedUp,
    /// The caller: from somewhere else.
    #[error("the invitation does not count from this address")]
    Network,
    /// The caller: not one of its names.
    #[error("the invitation does not allow the name {0}")]
    Name(String),
    /// The operator: another living host has the name (A60).
    #[error("the name {name} belongs to the host {host}")]
    NameTaken {
        /// Which.
        name: String,
        /// Whose.
        host: String,
    },
    /// The operator: a key of another living host; this one, or that one, is a copy.
    #[error("the host {host} has one of these keys already")]
    KeyTaken {
        /// Whose.
        host: String,
    },
    /// The caller: a key that somebody signs in with (A37).
    #[error("somebody is signed in with one of these keys")]
    LoginKey,
    /// The caller: it was revoked meanwhile, or never was.
    #[error("there is no living host {0}")]
    Unknown(String),
    /// The caller: another request was first.
    #[error("another request of this host was first")]
    Changed,
}

impl HostRefusal {
    /// The living host that somebody else seems to be.
    pub(crate) fn cloned(&self) -> Option<&str> {
        match self {
            HostRefusal::NameTaken { host, .. } | HostRefusal::KeyTaken { host } => Some(host),
            _ => None,
        }
    }
}

/// Why a host does not get what it asks for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HostError {
    /// The caller: the request contradicts itself.
    #[error("{0}")]
    Request(String),
    /// The caller: one of the keys.
    #[error("the key {key} is not accepted: {cause}")]
    Key {
        /// Which, as `SHA256:…` or by its place.
        key: String,
        /// Why.
        cause: KeyError,
    },
    /// The caller: a key of the CA itself (A37), or one that cannot be a host's.
    #[error("the key {0} cannot be a host's")]
    NoHostKey(String),
    /// The caller: a key did not sign.
    #[error("the key {0} did not sign the enrolment")]
    KeyProof(String),
    /// The caller: later.
    #[error("too many requests of one host")]
    TooMany {
        /// Seconds.
        wait: u64,
    },
    /// The caller, the operator or us.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Us, mostly.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Us or the operator.
    #[error("signer: {0}")]
    Signer(String),
}

impl From<HostRefusal> for HostError {
    fn from(refusal: HostRefusal) -> Self {
        HostError::Ledger(refusal.into())
    }
}

impl From<StoreError> for HostError {
    fn from(error: StoreError) -> Self {
        HostError::Ledger(error.into())
    }
}

impl From<&SignerError> for HostError {
    fn from(error: &SignerError) -> Self {
        HostError::Signer(error.to_string())
    }
}

impl From<SignerError> for HostError {
    fn from(error: SignerError) -> Self {
        HostError::Signer(error.to_string())
    }
}

impl From<PairError> for HostError {
    fn from(error: PairError) -> Self {
        HostError::Signer(error.to_string())
    }
}
