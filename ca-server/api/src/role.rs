//! `GET /v1/roles`: what I may have, and for the rest what stands against it and what would help.

use serde::{Deserialize, Serialize};

/// All roles of the policy from one person's side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolesAnswer {
    /// In the policy's order: the first allowed one is what a plain `ssh` takes.
    pub roles: Vec<Role>,
    /// Host patterns of this CA, as `ssh_config` writes them (`*.prod.example.com`).
    pub hosts: Vec<String>,
    /// Names this answer: as long as nothing changed that it depends on, it is the same.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
}

/// One role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Name, as in the policy.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Accounts that it opens, the person's own filled in.
    pub accounts: Vec<String>,
    /// Longest validity of its certificates, in seconds.
    pub max_validity: u64,
    /// Absent: the person may have it now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
}

/// Why a role is not to be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The first rule that stands against it: `groups`, `source`, `validity` …
    pub rule: String,
    /// One sentence: what the rule saw.
    pub reason: String,
    /// One sentence: what would help.
    pub help: String,
}
