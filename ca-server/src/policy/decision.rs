//! What is asked and what is decided. A [`Grant`] is made by [`super::Policy::decide`] alone and
//! holds everything that the certificate will contain on the policy's account; nothing that was
//! asked for goes into it except as the smaller of two (A28).

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use super::role::Extension;
use super::rule::source::Cidr;
use super::{AccountName, Principal, RoleName};

/// What a person asks for. Everything narrows; nothing widens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// The role; none: the first by the policy's order that the person may have.
    pub role: Option<String>,
    /// The account that it is wanted for; none: all that the role opens.
    pub account: Option<String>,
    /// Validity; none, or more than the role allows: what the role allows.
    pub validity: Option<Duration>,
    /// Where the ask comes from; none where that is not known.
    pub source: Option<IpAddr>,
}

/// A yes: what the certificate contains on the policy's account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub(super) role: RoleName,
    pub(super) principals: Vec<Principal>,
    pub(super) accounts: Vec<AccountName>,
    pub(super) username: Option<AccountName>,
    pub(super) validity: Duration,
    pub(super) extensions: BTreeSet<Extension>,
    pub(super) source: Vec<Cidr>,
    pub(super) policy_digest: String,
    pub(super) outage_grace: Option<Duration>,
}

/// A no: the first rule that stands against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which rule: `role`, `groups`, `username`, `account`, `source`, `validity`.
    pub rule: &'static str,
    /// The role that it was about, if any.
    pub role: Option<RoleName>,
    /// One sentence: what the rule saw.
    pub reason: String,
    /// One sentence: what would help.
    pub help: String,
}

impl Grant {
    /// The one role of the certificate.
    pub fn role(&self) -> &RoleName {
        &self.role
    }

    /// The certificate's principals: never empty, no two alike.
    pub fn principals(&self) -> &[Principal] {
        &self.principals
    }

    /// The accounts that these principals open; never empty.
    pub fn accounts(&self) -> &[AccountName] {
        &self.accounts
    }

    /// The person's own account, where the role has `{username}`.
    pub fn username(&self) -> Option<&AccountName> {
        self.username.as_ref()
    }

    /// Longest validity: the least of what was asked and what the role allows; never zero.
    pub fn validity(&self) -> Duration {
        self.validity
    }

    /// Extensions, exactly these.
    pub fn extensions(&self) -> &BTreeSet<Extension> {
        &self.extensions
    }

    /// The critical option `source-address`; empty: the certificate has none.
    pub fn source(&self) -> &[Cidr] {
        &self.source
    }

    /// SHA-256 of the policy's text, hexadecimal.
    pub fn policy_digest(&self) -> &str {
        &self.policy_digest
    }

    /// How long the login may go on while its issuer cannot be reached.
    pub fn outage_grace(&self) -> Option<Duration> {
        self.outage_grace
    }
}

#[cfg(test)]
impl Grant {
    /// A grant as a test wants it: `role:ROLE`, or one principal for each account in simple mode.
    pub(crate) fn for_test(role: &str, validity: Duration) -> Self {
        let role = RoleName::new(role).unwrap();
        Grant {
            principals: vec![Principal::role(&role)],
            role,
            accounts: vec![AccountName::new("observer").unwrap()],
            username: None,
            validity,
            extensions: BTreeSet::from([Extension::Pty]),
            source: Vec::new(),
            policy_digest: "ab".repeat(32),
            outage_grace: None,
        }
    }

    /// The same with other contents.
    pub(crate) fn with(
        mut self,
        principals: Vec<Principal>,
        extensions: &[Extension],
        source: &[&str],
    ) -> Self {
        self.principals = principals;
        self.extensions = extensions.iter().copied().collect();
        self.source = source.iter().map(|n| Cidr::new(n).unwrap()).collect();
        self
    }
}
