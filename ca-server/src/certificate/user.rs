//! A person's certificate: everything in it comes from the grant and from the login (invariant 2).

use std::collections::BTreeSet;

use super::{
    AcceptedKey, BACKDATED, CaPublicKey, CertificateError, CertificateToSign, Draft, MAX_VALIDITY,
    Terms, User, key_id, options, validity,
};
use crate::entropy::Entropy;
use crate::policy::Grant;
use crate::time::Timestamp;

/// Everything that a user certificate is made of.
pub struct UserCertificate<'a> {
    /// What the policy granted.
    pub grant: &'a Grant,
    /// The key, proven and of a kind that we certify.
    pub key: &'a AcceptedKey,
    /// The login behind it.
    pub login: LoginFacts<'a>,
    /// The user CA that will sign.
    pub ca: &'a CaPublicKey<User>,
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

/// What only a person's certificate must keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserTerms {
    /// The one role.
    pub role: String,
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
}

impl CertificateToSign<User> {
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
        if principals.is_empty() {
            return Err(CertificateError::NoPrincipal { role: role.into() });
        }
        let window = validity::window::<User>(*now, grant.validity(), Some(login.ends)).ok_or(
            CertificateError::LoginOver {
                ends: login.ends.seconds(),
                now: now.seconds(),
            },
        )?;
        let draft = Draft {
            key,
            key_id: key_id::of_login(login.name, login.id, role)?,
            principals: &principals,
            window,
            critical: &options::critical(grant),
            extensions: &options::extensions(grant, login.id, login.ends.seconds()),
        };
        let terms = Terms {
            principals: principals.iter().map(|&name| name.into()).collect(),
            not_before: now.minus(BACKDATED).seconds(),
            not_after: login
                .ends
                .min(now.plus(grant.validity().min(MAX_VALIDITY)))
                .seconds(),
            key: key.blob().into(),
            ca: ca.blob().into(),
            own: UserTerms {
                role: role.into(),
                permits: grant.extensions().iter().map(|e| e.name()).collect(),
                source: grant.source().iter().map(ToString::to_string).collect(),
                login: login.id.into(),
                policy: grant.policy_digest().into(),
                access_until: login.ends.seconds(),
            },
        };
        CertificateToSign::new(draft, terms, rng)
    }

    /// The one role.
    pub fn role(&self) -> &str {
        &self.terms.own.role
    }
}
