//! What a certificate will say: a [`Grant`](crate::policy::Grant), a proven key and a login come in (of a host: its names
//! and its key), a [`CertificateToSign`] goes out, whose bytes are made once and never again: the
//! ledger records exactly them, the signer signs exactly them (invariant 1). Pure: no I/O, clock and
//! chance are arguments.
//!
//! Invariant 2: one certificate, one role. Principals, lifetime, options and extensions come from
//! the grant and from nowhere else. The terms are kept beside the bytes, so that [`check`] can
//! compare both just before the signature. People's and hosts' certificates are two types, each with
//! a CA key of its own type (A37). Format: PROTOCOL.certkeys; `docs/certificate.md` goes through that
//! of a person field by field.

use std::marker::PhantomData;

use ssh_key::PublicKey;

use crate::entropy::{self, Entropy};
use crate::policy::NameError;

pub mod check;
mod encode;
mod host;
pub mod key;
mod key_id;
mod kind;
mod options;
mod serial;
mod user;
mod validity;

pub(crate) use encode::string;

pub use host::{HostCertificate, HostName, HostTerms};
pub use key::{AcceptedKey, KeyError};
pub use key_id::MAX_KEY_ID;
pub use kind::{Host, Kind, User};
pub use user::{LoginFacts, UserCertificate, UserTerms};
pub use validity::{BACKDATED, MAX_HOST_VALIDITY, MAX_VALIDITY};

/// The extension that carries the login's id.
pub const LOGIN_EXTENSION: &str = "login@jit-ssh.dev";
/// The extension that carries the policy's digest.
pub const POLICY_EXTENSION: &str = "policy@jit-ssh.dev";
/// The extension that carries the end of the access, in seconds since 1970-01-01 UTC.
pub const ACCESS_UNTIL_EXTENSION: &str = "access-until@jit-ssh.dev";

/// The public key of a CA for one kind of certificate: none of the other kind is ever made for it
/// (A37).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaPublicKey<K: Kind = User> {
    public: PublicKey,
    blob: Vec<u8>,
    kind: PhantomData<K>,
}

/// A certificate without its signature: the exact bytes, and the terms that they must keep.
///
/// Made only by `CertificateToSign::user` and `CertificateToSign::host`; cannot be changed or copied.
#[derive(Debug)]
pub struct CertificateToSign<K: Kind = User> {
    bytes: Vec<u8>,
    serial: u64,
    key_id: String,
    valid_after: u64,
    valid_before: u64,
    certificate_type: &'static str,
    key_fingerprint: String,
    terms: Terms<K>,
}

/// What was agreed: of a person's from the grant and the login, past the encoder. [`check`] holds the
/// encoded bytes against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms<K: Kind = User> {
    /// Exactly these principals, in this order.
    pub principals: Vec<String>,
    /// Not valid before this second.
    pub not_before: u64,
    /// Not valid from this second on.
    pub not_after: u64,
    /// The key to certify, RFC 4253 §6.6.
    pub key: Vec<u8>,
    /// The CA's key, RFC 4253 §6.6.
    pub ca: Vec<u8>,
    /// What only this kind of certificate has.
    pub own: K::Own,
}

/// Why there is no certificate to sign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The caller: the login is over, or ends within the second.
    #[error("the login ends at {ends}, and it is {now} (seconds since 1970)")]
    LoginOver {
        /// When the login ends.
        ends: u64,
        /// Now.
        now: u64,
    },
    /// Us: a grant without a principal would be a certificate for everybody (A33).
    #[error("the role {role} has no principal")]
    NoPrincipal {
        /// The role.
        role: String,
    },
    /// Us: a login's id that does not fit a key id.
    #[error("the login's id {0:?} is not 1 to {max} of [A-Za-z0-9_-]", max = key_id::MAX_ID)]
    LoginId(String),
    /// Us: a host's id that does not fit a key id.
    #[error("the host's id {0:?} is not 1 to {max} of [A-Za-z0-9_-]", max = key_id::MAX_ID)]
    HostId(String),
    /// The caller: a host without a name would be every host (A33).
    #[error("the host has no name")]
    NoHostName,
    /// The caller: not one exact name of a host.
    #[error("{0:?} is not the exact name of a host, in lower case and without wildcards")]
    HostName(String),
    /// Us: nothing of it would be valid.
    #[error("it would end before the next second")]
    NoTime,
    /// Us: a field that the format cannot hold.
    #[error("a field of {0} bytes does not fit the certificate format")]
    TooLong(usize),
    /// The operator: sshd reads only so many.
    #[error("it has {0} principals, and sshd reads {max} at most", max = check::MAX_PRINCIPALS)]
    TooManyPrincipals(usize),
    /// The operator: a CA key of a kind that we do not sign with (A40).
    #[error("a CA key must be Ed25519 or ECDSA P-256, this one is {0}")]
    CaKind(String),
    /// Us: a name that the policy should not have let through.
    #[error(transparent)]
    Name(#[from] NameError),
}

/// What the makers of both kinds hand to the encoder.
struct Draft<'a> {
    key: &'a AcceptedKey,
    key_id: String,
    principals: &'a [&'a str],
    window: validity::Window,
    critical: &'a [options::Entry],
    extensions: &'a [options::Entry],
}

impl<K: Kind> CertificateToSign<K> {
    /// Makes the bytes.
    fn new(
        draft: Draft<'_>,
        terms: Terms<K>,
        rng: &mut impl Entropy,
    ) -> Result<Self, CertificateError> {
        let Draft {
            key,
            key_id,
            principals,
            window,
            critical,
            extensions,
        } = draft;
        if principals.len() > check::MAX_PRINCIPALS {
            return Err(CertificateError::TooManyPrincipals(principals.len()));
        }
        let serial = serial::random(rng);
        let nonce: [u8; 32] = entropy::bytes(rng);
        let certificate_type = key.certificate_type();
        let bytes = encode::to_be_signed(&encode::Fields {
            certificate_type,
            nonce: &nonce,
            key: key.fields(),
            serial,
            kind: K::TYPE,
            key_id: &key_id,
            principals,
            valid_after: window.after,
            valid_before: window.before,
            critical,
            extensions,
            ca: &terms.ca,
        })?;
        Ok(CertificateToSign {
            bytes,
            serial,
            key_id,
            valid_after: window.after,
            valid_before: window.before,
            certificate_type,
            key_fingerprint: key.fingerprint(),
            terms,
        })
    }

    /// The bytes that the signature will cover (PROTOCOL.certkeys: all fields before it).
    pub fn to_be_signed(&self) -> &[u8] {
        &self.bytes
    }

    /// What the bytes must keep.
    pub fn terms(&self) -> &Terms<K> {
        &self.terms
    }

    /// Random, 63 bits, never 0.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// `NAME/login=ID/role=ROLE`, as sshd logs it; of a host `NAME/host=ID`.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The role's principals for this person, or the host's names; never empty.
    pub fn principals(&self) -> &[String] {
        &self.terms.principals
    }

    /// Start of validity, seconds since 1970-01-01 UTC.
    pub fn valid_after(&self) -> u64 {
        self.valid_after
    }

    /// End of validity, seconds since 1970-01-01 UTC.
    pub fn valid_before(&self) -> u64 {
        self.valid_before
    }

    /// `SHA256:…` of the key that is certified.
    pub fn key_fingerprint(&self) -> &str {
        &self.key_fingerprint
    }

    /// The CA key that is to sign it, RFC 4253 §6.6.
    pub fn ca(&self) -> &[u8] {
        &self.terms.ca
    }

    /// The certificate's type, `ssh-ed25519-cert-v01@openssh.com` and its like.
    pub fn certificate_type(&self) -> &'static str {
        self.certificate_type
    }
}

impl<K: Kind> CaPublicKey<K> {
    /// Takes a CA's public key, Ed25519 or ECDSA P-256 (A40).
    pub fn new(public: &PublicKey) -> Result<Self, CertificateError> {
        let accepted = AcceptedKey::new(public)
            .map_err(|_| CertificateError::CaKind(public.algorithm().to_string()))?;
        match accepted.name() {
            "ssh-ed25519" | "ecdsa-sha2-nistp256" => Ok(CaPublicKey {
                public: PublicKey::from(public.key_data().clone()),
                blob: accepted.blob().into(),
                kind: PhantomData,
            }),
            other => Err(CertificateError::CaKind(other.into())),
        }
    }

    /// The key, without a comment.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// RFC 4253 §6.6.
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }
}

#[cfg(test)]
pub(crate) mod tests;
