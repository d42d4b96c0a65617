//! A role: what a certificate is for. Its accounts, its limits, and nothing else: everything that
//! a certificate contains comes from here or is left out (invariant 2, A28).

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use jit_ssh_api::host::Labels;

use super::rule::source::Cidr;
use super::{AccountName, RoleName};

/// One role of the policy.
#[derive(Clone, Debug)]
pub struct Role {
    pub(super) name: RoleName,
    pub(super) description: String,
    pub(super) accounts: Vec<Account>,
    pub(super) max_validity: Duration,
    pub(super) extensions: BTreeSet<Extension>,
    pub(super) source: Vec<Cidr>,
    pub(super) outage_grace: Option<Duration>,
    pub(super) hosts: Labels,
}

/// An account that a role opens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// The same for everybody.
    Fixed(AccountName),
    /// `{username}`: the person's own.
    Own,
}

/// A certificate extension that a role may have. `permit-user-rc` is not one of them: it would run
/// `~/.ssh/rc`, a file of the person's own, before everything else (invariant 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Extension {
    /// `permit-X11-forwarding`
    X11Forwarding,
    /// `permit-agent-forwarding`
    AgentForwarding,
    /// `permit-port-forwarding`
    PortForwarding,
    /// `permit-pty`
    Pty,
}

impl Role {
    /// Its name.
    pub fn name(&self) -> &RoleName {
        &self.name
    }

    /// What it is for; may be empty.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The accounts that it opens; never empty.
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// Longest validity of its certificates.
    pub fn max_validity(&self) -> Duration {
        self.max_validity
    }

    /// Extensions of its certificates.
    pub fn extensions(&self) -> &BTreeSet<Extension> {
        &self.extensions
    }

    /// Networks that it may be asked for and used from; empty: from everywhere.
    pub fn source(&self) -> &[Cidr] {
        &self.source
    }

    /// How long logins go on while the issuer cannot be reached; none: not at all.
    pub fn outage_grace(&self) -> Option<Duration> {
        self.outage_grace
    }

    /// Labels that a host must have for the role to open something there; none: every host.
    pub fn hosts(&self) -> &Labels {
        &self.hosts
    }

    /// Whether it opens something on a host with these labels: each one that it asks for must be
    /// there, with that value.
    pub fn is_for_host(&self, labels: &Labels) -> bool {
        self.hosts
            .iter()
            .all(|(name, value)| labels.get(name) == Some(value))
    }

    pub(super) fn has_own_account(&self) -> bool {
        self.accounts.contains(&Account::Own)
    }

    pub(super) fn fixed_accounts(&self) -> impl Iterator<Item = &AccountName> {
        self.accounts.iter().filter_map(|account| match account {
            Account::Fixed(name) => Some(name),
            Account::Own => None,
        })
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Account::Fixed(name) => name.fmt(f),
            Account::Own => f.write_str(OWN),
        }
    }
}

impl Extension {
    /// All that there are, in the order of their names, which is the order in a certificate.
    pub const ALL: &'static [Extension] = &[
        Extension::X11Forwarding,
        Extension::AgentForwarding,
        Extension::PortForwarding,
        Extension::Pty,
    ];

    /// As it stands in the policy and in the certificate (PROTOCOL.certkeys).
    pub fn name(self) -> &'static str {
        match self {
            Extension::X11Forwarding => "permit-X11-forwarding",
            Extension::AgentForwarding => "permit-agent-forwarding",
            Extension::PortForwarding => "permit-port-forwarding",
            Extension::Pty => "permit-pty",
        }
    }

    /// The extension of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|extension| extension.name() == name)
    }
}

impl fmt::Display for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a policy writes [`Account::Own`].
pub(super) const OWN: &str = "{username}";
