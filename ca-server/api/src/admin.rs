//! The admin routes: for a person with `[[rights]]` of the policy, or for the data folder's owner
//! over the Unix socket.

use serde::{Deserialize, Serialize};

use crate::login::Login;
use crate::role::RolesAnswer;

/// Filters of `GET /v1/admin/audit`; all that are given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    /// Only records after this index (for paging upwards).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Only records before this index (for paging downwards, newest first).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// Most records of an answer; at most 1000, 100 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Record type (`certificate`, `refused`, `login-opened` …).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// E-mail address, subject or username.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Login identifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// Certificate serial, decimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Not before, seconds since 1970-01-01 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// Before, seconds since 1970-01-01 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

/// Records, newest first unless `after` was given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AuditPage {
    /// The records.
    pub records: Vec<AuditRecord>,
    /// There are more in the direction that was asked.
    pub more: bool,
    /// The query names somebody whom the CA does not know by that name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unknown_user: bool,
}

/// One record: the leaf's facts, and its private parts where they are not erased.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Place in the ledger, from 0.
    pub index: u64,
    /// Record type.
    pub kind: String,
    /// Milliseconds since 1970-01-01 UTC.
    pub time_ms: u64,
    /// Epoch.
    pub epoch: u64,
    /// SHA-256 of the leaf, hexadecimal.
    pub leaf_sha256: String,
    /// Public fields of the leaf.
    pub fields: serde_json::Map<String, serde_json::Value>,
    /// Private parts (names, addresses, groups); `null` for an erased one.
    pub parts: serde_json::Map<String, serde_json::Value>,
}

/// Filters of `GET /v1/admin/logins`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginQuery {
    /// Ended ones too.
    #[serde(default)]
    pub all: bool,
    /// E-mail address, subject or username.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// Logins, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginList {
    /// At most 1000.
    pub logins: Vec<Login>,
    /// There are older ones.
    #[serde(default)]
    pub more: bool,
    /// The query names somebody whom the CA does not know by that name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unknown_user: bool,
}

/// Query and answer of `DELETE /v1/admin/names`: a name that another person of that issuer may come
/// with from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Name {
    /// Issuer identifier, byte for byte.
    pub issuer: String,
    /// What kind of name.
    pub kind: NameKind,
    /// The name.
    pub name: String,
}

/// The names that one person of an issuer alone may come with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NameKind {
    /// A verified e-mail address.
    Email,
    /// A Unix account name that the policy derives.
    Username,
}

impl NameKind {
    /// As it stands in queries.
    pub fn name(self) -> &'static str {
        match self {
            NameKind::Email => "email",
            NameKind::Username => "username",
        }
    }
}

/// The policy that is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyText {
    /// SHA-256 of the text, hexadecimal.
    pub digest: String,
    /// The TOML as it was loaded.
    pub text: String,
    /// Since when, seconds since 1970-01-01 UTC.
    pub since: u64,
}

/// Whose access to explain: a hypothetical person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainRequest {
    /// Issuer; may be left out where there is one only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Verified e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Further claims.
    #[serde(default)]
    pub claims: serde_json::Map<String, serde_json::Value>,
}

/// What the policy says of that person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Digest of the policy that was asked.
    pub policy: String,
    /// Every role, allowed or with the first rule against it.
    pub roles: RolesAnswer,
    /// Rights at the CA.
    pub rights: Vec<String>,
}

/// `POST /v1/admin/backup`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupRequest {
    /// Absolute path of a file that does not exist yet.
    pub path: String,
}

/// What the backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupAnswer {
    /// The file.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
    /// Number of ledger records in it.
    pub records: u64,
}
