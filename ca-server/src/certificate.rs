//! What a certificate will say: a [`Grant`], a proven key and a login come in, a
//! [`CertificateToSign`] goes out, whose bytes are made once and never again: the ledger records
//! exactly them, the signer signs exactly them (invariant 1). Pure: no I/O, clock and chance are
//! arguments.
//!
//! Invariant 2: one certificate, one role. Principals, lifetime, options and extensions come from
//! the grant and from nowhere else. The terms are kept beside the bytes, so that [`check`] can
//! compare both just before the signature. Format: PROTOCOL.certkeys; `docs/certificate.md` goes
//! through it field by field.

use std::collections::BTreeSet;

use ssh_key::PublicKey;

use crate::entropy::{self, Entropy};
use crate::policy::{Grant, NameError};
use crate::time::Timestamp;

pub mod check;
mod encode;
pub mod key;
mod key_id;
mod options;
mod serial;
mod validity;

pub(crate) use encode::string;

pub use key::{AcceptedKey, KeyError};
pub use key_id::MAX_KEY_ID;
pub use validity::{BACKDATED, MAX_VALIDITY};

/// The extension that carries the login's id.
pub const LOGIN_EXTENSION: &str = "login@jit-ssh.dev";
/// The extension that carries the policy's digest.
pub const POLICY_EXTENSION: &str = "policy@jit-ssh.dev";
/// The extension that carries the end of the access, in seconds since 1970-01-01 UTC.
pub const ACCESS_UNTIL_EXTENSION: &str = "access-until@jit-ssh.dev";

/// Everything that a user certificate is made of.
pub struct UserCertificate<'a> {
    /// What the policy granted.
    pub grant: &'a Grant,
    /// The key, proven and of a kind that we certify.
    pub key: &'a AcceptedKey,
    /// The login behind it.
    pub login: LoginFacts<'a>,
    /// The user CA that will sign.
    pub ca: &'a CaPublicKey,
    /// Now.
    pub now: Timestamp,
}

/// What a certificate says about its login.
#[derive(Clone, Copy, Debug)]
pub struct LoginFacts<'a> {
    /// Its id.
    pub id: &'a str,
    /// The person's name for people who read logs; any text, only its safe characters are used.
    pub name: &'a str,
    /// When it ends; no certificate outlives it.
    pub ends: Timestamp,
}

/// The public key of the *user* CA. The host CA's is another type, so that no user certificate is
/// ever made for it (A37).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaPublicKey {
    public: PublicKey,
    blob: Vec<u8>,
}

/// A certificate without its signature: the exact bytes, and the terms that they must keep.
///
/// Made only by [`CertificateToSign::user`]; cannot be changed or copied.
#[derive(Debug)]
pub struct CertificateToSign {
    bytes: Vec<u8>,
    serial: u64,
    key_id: String,
    valid_after: u64,
    valid_before: u64,
    certificate_type: &'static str,
    key_fingerprint: String,
    terms: Terms,
}

/// What was agreed: from the grant and the login, past the encoder. [`check`] holds the encoded
/// bytes against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The one role.
    pub role: String,
    /// Exactly these principals, in this order.
    pub principals: Vec<String>,
    /// Standard extensions, exactly these.
    pub permits: BTreeSet<&'static str>,
    /// Networks of `source-address`; empty: no such option.
    pub source: Vec<String>,
    /// The login's id.
    pub login: String,
    /// The policy's digest.
    pub policy: String,
    /// When the access ends, seconds since 1970-01-01 UTC.
    pub access_until: u64,
    /// Not valid before this second.
    pub not_before: u64,
    /// Not valid from this second on.
    pub not_after: u64,
    /// The key to certify, RFC 4253 §6.6.
    pub key: Vec<u8>,
    /// The user CA's key, RFC 4253 §6.6.
    pub ca: Vec<u8>,
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
    #[error("the login's id {0:?} is not 1 to {max} of [A-Za-z0-9_-]", max = key_id::MAX_LOGIN_ID)]
    LoginId(String),
    /// Us: a field that the format cannot hold.
    #[error("a field of {0} bytes does not fit the certificate format")]
    TooLong(usize),
    /// The operator: sshd reads only so many.
    #[error("the role has {0} principals, and sshd reads {max} at most", max = check::MAX_PRINCIPALS)]
    TooManyPrincipals(usize),
    /// The operator: a user CA of a kind that we do not sign with (A40).
    #[error("a user CA must be Ed25519 or ECDSA P-256, this one is {0}")]
    CaKind(String),
    /// Us: a name that the policy should not have let through.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl CertificateToSign {
    /// Makes the bytes of one user certificate: the only constructor.
    pub fn user(
        ask: &UserCertificate<'_>,
        rng: &mut impl Entropy,
    ) -> Result<Self, CertificateError> {
        let UserCertificate {
            grant,
            key,
            login,
            ca,
            now,
        } = ask;
        let principals: Vec<&str> = grant.principals().iter().map(AsRef::as_ref).collect();
        let role = grant.role().as_str();
        match principals.len() {
            0 => return Err(CertificateError::NoPrincipal { role: role.into() }),
            1..=check::MAX_PRINCIPALS => {}
            more => return Err(CertificateError::TooManyPrincipals(more)),
        }
        let window = validity::window(*now, grant.validity(), login.ends)?;
        let serial = serial::random(rng);
        let key_id = key_id::compose(login.name, login.id, role)?;
        let nonce: [u8; 32] = entropy::bytes(rng);
        let certificate_type = key.certificate_type();
        let bytes = encode::to_be_signed(&encode::Fields {
            certificate_type,
            nonce: &nonce,
            key: key.fields(),
            serial,
            key_id: &key_id,
            principals: &principals,
            valid_after: window.after,
            valid_before: window.before,
            critical: &options::critical(grant),
            extensions: &options::extensions(grant, login.id, login.ends.seconds()),
            ca: &ca.blob,
        })?;
        Ok(CertificateToSign {
            bytes,
            serial,
            key_id,
            valid_after: window.after,
            valid_before: window.before,
            certificate_type,
            key_fingerprint: key.fingerprint(),
            terms: Terms {
                role: role.into(),
                principals: principals.iter().map(|&name| name.into()).collect(),
                permits: grant.extensions().iter().map(|e| e.name()).collect(),
                source: grant.source().iter().map(ToString::to_string).collect(),
                login: login.id.into(),
                policy: grant.policy_digest().into(),
                access_until: login.ends.seconds(),
                not_before: now.minus(BACKDATED).seconds(),
                not_after: login
                    .ends
                    .min(now.plus(grant.validity().min(MAX_VALIDITY)))
                    .seconds(),
                key: key.blob().into(),
                ca: ca.blob.clone(),
            },
        })
    }

    /// The bytes that the signature will cover (PROTOCOL.certkeys: all fields before it).
    pub fn to_be_signed(&self) -> &[u8] {
        &self.bytes
    }

    /// What the bytes must keep.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Random, 63 bits, never 0.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// `NAME/login=ID/role=ROLE`, as sshd logs it.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The one role.
    pub fn role(&self) -> &str {
        &self.terms.role
    }

    /// The role's principals for this person; never empty.
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

    /// The certificate's type, `ssh-ed25519-cert-v01@openssh.com` and its like.
    pub fn certificate_type(&self) -> &'static str {
        self.certificate_type
    }
}

impl CaPublicKey {
    /// Takes the user CA's public key, Ed25519 or ECDSA P-256 (A40).
    pub fn new(public: &PublicKey) -> Result<Self, CertificateError> {
        let accepted = AcceptedKey::new(public)
            .map_err(|_| CertificateError::CaKind(public.algorithm().to_string()))?;
        match accepted.name() {
            "ssh-ed25519" | "ecdsa-sha2-nistp256" => Ok(CaPublicKey {
                public: PublicKey::from(public.key_data().clone()),
                blob: accepted.blob().into(),
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
