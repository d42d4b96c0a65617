//! `POST /v1/certificates`: the exchange. One call from token and key to certificate, which also
//! opens the login; later calls with a proof alone, or with a refreshed token.

use serde::{Deserialize, Serialize};

use crate::login::Login;

/// Asks for one user certificate for one role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateRequest {
    /// Opens a login with a bound ID token. Absent: the login of the proof's key is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<OpenLogin>,
    /// A refreshed ID token for the login of the proof's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<RefreshedToken>,
    /// The role; absent: the first by the policy's `order` that the person may have and that
    /// serves `account`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Unix account that the certificate is wanted for; only narrows the choice of a role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Shorter validity than the role's, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validity: Option<u64>,
    /// [`crate::role::RolesAnswer::version`] of the roles that the client has: while that holds, the
    /// answer has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles_seen: Option<String>,
}

/// A fresh ID token whose nonce commits to the key (see [`crate::binding`]).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenLogin {
    /// Compact JWS, at most [`crate::MAX_TOKEN_BYTES`].
    pub id_token: String,
    /// The 32-byte salt of the binding, base64url without padding.
    pub salt: String,
    /// Sent only where the issuer's `userinfo` is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_token: Option<String>,
    /// Another key to certify than the login key (FIDO, an existing RSA key …).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certified_key: Option<NamedKey>,
}

impl std::fmt::Debug for OpenLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenLogin").finish_non_exhaustive()
    }
}

/// A key that the person names, which proves itself once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedKey {
    /// OpenSSH public key line.
    pub public_key: String,
    /// Armoured SSHSIG by that key, namespace [`crate::binding::NAMED_KEY_NAMESPACE`], over the
    /// nonce of the binding.
    pub signature: String,
}

/// An ID token from a refresh, same `iss`, `sub` and `aud` as the login's.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefreshedToken {
    /// Compact JWS.
    pub id_token: String,
    /// Sent only where the issuer's `userinfo` is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_token: Option<String>,
}

impl std::fmt::Debug for RefreshedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RefreshedToken").finish_non_exhaustive()
    }
}

/// A signed certificate, and the login that it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateAnswer {
    /// `ssh-ed25519-cert-v01@openssh.com AAAA… KEYID`: one line, as `ssh` reads it.
    pub certificate: String,
    /// Serial, decimal (63 bits do not fit a JSON number everywhere).
    pub serial: String,
    /// Key ID, as sshd logs it.
    pub key_id: String,
    /// The one role of the certificate.
    pub role: String,
    /// Principals, `role:NAME` or account names in simple mode.
    pub principals: Vec<String>,
    /// Accounts that the role opens for this person.
    pub accounts: Vec<String>,
    /// Start of validity, seconds since 1970-01-01 UTC.
    pub valid_after: u64,
    /// End of validity, seconds since 1970-01-01 UTC.
    pub valid_before: u64,
    /// The login behind it.
    pub login: Login,
    /// Roles as of this decision, so that a client needs no second call. Absent: they are those of
    /// [`CertificateRequest::roles_seen`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<crate::role::RolesAnswer>,
}
