//! Who may do what at the CA itself: `[[rights]]`. Rights open routes of the admin API and no
//! server; roles open servers and no route.

use std::collections::BTreeSet;
use std::fmt;

/// What a person may do at the CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// Read the ledger.
    Audit,
    /// See and end logins.
    Logins,
    /// Read the policy, explain it.
    Policy,
    /// See the keys and their states.
    Keys,
    /// Invite, list, label and revoke hosts.
    Hosts,
    /// Take away certificates, lock people and roles, see who heard of it.
    Revoke,
}

/// The rights of one person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights(pub(super) BTreeSet<Right>);

impl Right {
    /// All that there are.
    pub const ALL: &'static [Right] = &[
        Right::Audit,
        Right::Logins,
        Right::Policy,
        Right::Keys,
        Right::Hosts,
        Right::Revoke,
    ];

    /// As it stands in the policy.
    pub fn name(self) -> &'static str {
        match self {
            Right::Audit => "audit",
            Right::Logins => "logins",
            Right::Policy => "policy",
            Right::Keys => "keys",
            Right::Hosts => "hosts",
            Right::Revoke => "revoke",
        }
    }

    /// Its place in [`Right::ALL`].
    pub(super) fn place(self) -> usize {
        Self::ALL
            .iter()
            .position(|right| *right == self)
            .unwrap_or(usize::MAX)
    }

    /// The right of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|right| right.name() == name)
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Rights {
    /// Whether this one is among them.
    pub fn contains(&self, right: Right) -> bool {
        self.0.contains(&right)
    }

    /// None at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in the order of [`Right::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = Right> + '_ {
        self.0.iter().copied()
    }
}
