//! A host's certificate: exact names and nothing else. A client that trusts the host CA for `*` believes
//! it for each of them, so that a wildcard, or no name at all, would make one host all hosts (A33).

use std::time::Duration;

use super::{
    AcceptedKey, BACKDATED, CaPublicKey, CertificateError, CertificateToSign, Draft, Host,
    MAX_HOST_VALIDITY, Terms, key_id, validity,
};
use crate::entropy::Entropy;
use crate::time::Timestamp;

/// Everything that a host's certificate is made of.
pub struct HostCertificate<'a> {
    /// The host's id: random, and never used again.
    pub id: &'a str,
    /// Its names, all of them exact.
    pub names: &'a [HostName],
    /// Its key, proven and of a kind that we certify.
    pub key: &'a AcceptedKey,
    /// How long it is valid from now on.
    pub validity: Duration,
    /// The host CA that will sign.
    pub ca: &'a CaPublicKey<Host>,
    /// Now.
    pub now: Timestamp,
}

/// What only a host's certificate must keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostTerms {
    /// The host's id.
    pub id: String,
}

/// The exact name of a host or its IPv4 address: RFC 1123 §2.1, in lower case, as `ssh` asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(String);

impl HostName {
    /// Takes a name as it is; nothing is made lower-case or cut.
    pub fn parse(text: &str) -> Result<Self, CertificateError> {
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        };
        if text.len() <= 253 && text.split('.').all(label) {
            Ok(HostName(text.to_owned()))
        } else {
            Err(CertificateError::HostName(text.to_owned()))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl CertificateToSign<Host> {
    /// Makes the bytes of one host certificate: the only constructor.
    pub fn host(
        ask: &HostCertificate<'_>,
        rng: &mut impl Entropy,
    ) -> Result<Self, CertificateError> {
        let HostCertificate {
            id,
            names,
            key,
            validity,
            ca,
            now,
        } = *ask;
        let first = names.first().ok_or(CertificateError::NoHostName)?;
        let names: Vec<&str> = names.iter().map(HostName::as_str).collect();
        let window =
            validity::window::<Host>(now, validity, None).ok_or(CertificateError::NoTime)?;
        let draft = Draft {
            key,
            key_id: key_id::of_host(first.as_str(), id)?,
            principals: &names,
            window,
            critical: &[],
            extensions: &[],
        };
        let terms = Terms {
            principals: names.iter().map(|&name| name.into()).collect(),
            not_before: now.minus(BACKDATED).seconds(),
            not_after: now.plus(validity.min(MAX_HOST_VALIDITY)).seconds(),
            key: key.blob().into(),
            ca: ca.blob().into(),
            own: HostTerms { id: id.into() },
        };
        CertificateToSign::new(draft, terms, rng)
    }
}

#[cfg(test)]
mod tests;
