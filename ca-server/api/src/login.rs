//! A login: a sign-in at the CA, opened by a bound token, which ends for good.

use serde::{Deserialize, Serialize};

/// A login as its owner and as an auditor see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// Identifier, 26 letters and digits of lower-case base32; derived from the token that opened
    /// the login.
    pub id: String,
    /// Issuer identifier.
    pub issuer: String,
    /// OAuth client that the token was for.
    pub client_id: String,
    /// Subject at the issuer.
    pub subject: String,
    /// Verified e-mail address, from an issuer that is trusted with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The person's own Unix account name, where policy derives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Groups as of the last token.
    pub groups: Vec<String>,
    /// `SHA256:…` of the login key.
    pub key: String,
    /// Start, seconds since 1970-01-01 UTC.
    pub started: u64,
    /// End at the latest.
    pub ends: u64,
    /// When it was ended before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<u64>,
    /// Until then a proof alone is enough; after that a refreshed token is due.
    pub identity_fresh_until: u64,
}

/// Answer to ending a login.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The login's identifier.
    pub id: String,
    /// When it ended.
    pub ended: u64,
    /// Serials of its certificates that were alive, decimal: they are revoked.
    #[serde(default)]
    pub certificates: Vec<String>,
    /// Number of the bundle that tells hosts of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<u64>,
}

/// Answer to ending all logins of one's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedAll {
    /// The logins' identifiers.
    pub logins: Vec<String>,
    /// Serials of all certificates that were alive, decimal: they are revoked.
    pub certificates: Vec<String>,
    /// Number of the bundle that tells hosts of it.
    pub bundle: u64,
}
