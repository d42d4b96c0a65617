//! The policy: who may have which role. A verified person, what they ask, and the time come in; a
//! [`Grant`] or a [`Refusal`] with what would help goes out. Pure: no I/O, no clock, nothing kept
//! from one decision to the next (A26).
//!
//! Invariant 6: nothing that an identity provider says is a principal unless the policy says so,
//! by exact match. An empty matcher, an unknown key or a key of a later version is an error at
//! load, never a rule that matches everybody (A24).
//!
//! `docs/policy.md` is the reference, with an example for every key.

use std::collections::BTreeSet;

pub mod decision;
pub mod principal;
pub mod right;
pub mod role;
pub mod rule;

pub use decision::{Ask, Grant, Refusal};
pub use principal::{AccountName, NameError, Principal, RoleName};
pub use right::{Right, Rights};
pub use role::{Account, Extension, Role};
pub use rule::source::{Cidr, CidrError};

/// What the policy must know of the configured issuers: which there are, and what each can never
/// say, so that a policy that waits for it does not load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IssuerFacts {
    /// All issuers; a policy that names another one does not load.
    pub issuers: Vec<IssuerFact>,
}

/// One issuer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IssuerFact {
    /// Exactly as `iss` has it.
    pub issuer: String,
    /// Names of claims that it can never say. `email` stands for an address that is verified and
    /// that the configuration trusts, `groups` for groups from wherever they are configured.
    pub never_says: BTreeSet<String>,
}
