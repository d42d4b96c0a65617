//! Taking access away, and the receipts of the hosts that heard of it.

use serde::{Deserialize, Serialize};

/// `POST /v1/admin/revocations`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevocationRequest {
    /// What is taken away.
    pub target: Target,
    /// Why, for the record.
    pub reason: String,
}

/// What is taken away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// Everything of a person (e-mail address, subject or user name): certificates, logins, and new
    /// ones until `unlock`.
    User(String),
    /// A login, for good, and its certificates.
    Login(String),
    /// One certificate, by its decimal serial.
    Serial(String),
    /// All certificates of a role, and new ones until `unlock`.
    Role(String),
    /// A host, by identifier or name: its certificates, and what it may ask for.
    Host(String),
    /// A public key (`SHA256:…`), whoever shows it.
    Key(String),
}

/// Answer: what was done. Hosts hear of it with the bundle of this number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Index of its record in the ledger.
    pub record: u64,
    /// Number of the bundle that carries it.
    pub bundle: u64,
    /// Since when that is the newest, milliseconds since 1970-01-01 UTC.
    #[serde(default)]
    pub changed_ms: u64,
    /// Serials of the certificates that were alive, decimal.
    pub certificates: Vec<String>,
    /// Identifiers of the logins that were ended.
    pub logins: Vec<String>,
    /// New certificates are refused until `unlock`.
    pub locked: bool,
}

/// `POST /v1/admin/unlock`: a person or role may be given certificates again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnlockRequest {
    /// [`Target::User`] or [`Target::Role`].
    pub target: Target,
    /// Why, for the record.
    pub reason: String,
}

/// Query of `GET /v1/admin/receipts`: answers at once; who waits asks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptsQuery {
    /// Number of the bundle.
    pub bundle: u64,
    /// Since when it is the newest, as the answer to the change has it: receipts are timed from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_ms: Option<u64>,
}

/// Who has it in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipts {
    /// Number of the bundle.
    pub bundle: u64,
    /// Hosts that are enrolled.
    pub hosts: u64,
    /// Hosts that said to have it in force.
    pub confirmed: u64,
    /// From the change to the last of these receipts, milliseconds.
    pub milliseconds: u64,
    /// Names of the others.
    pub silent: Vec<String>,
    /// How many of the others were heard of within a day: it is worth while to wait for them.
    #[serde(default)]
    pub awaited: u64,
}

/// `GET /v1/admin/locks`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locks {
    /// Newest first.
    pub locks: Vec<Lock>,
}

/// A person, role or key that gets no certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Whom it holds: a person by their canonical key, which `unlock` takes as well.
    pub target: Target,
    /// What that person is known by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Since when, seconds since 1970-01-01 UTC.
    pub since: u64,
    /// Why.
    pub reason: String,
}
