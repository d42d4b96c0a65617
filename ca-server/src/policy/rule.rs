//! The rules, in order. All must hold; the first that does not is the one that is told. A rule is
//! one function in one file: it looks at the [`Case`] and objects or not.

use super::Policy;
use super::decision::{Ask, Grant, Refusal};
use super::grant::Who;
use super::role::{Account, Role};
use super::username::NoUsername;
use super::{AccountName, Principal};

pub(super) mod account;
pub(super) mod groups;
pub mod source;
pub(super) mod validity;

/// One person, one ask, one role.
pub(super) struct Case<'a> {
    pub(super) policy: &'a Policy,
    pub(super) role: &'a Role,
    /// Some grant gives the role to the person.
    pub(super) granted: bool,
    pub(super) who: &'a Who<'a>,
    pub(super) ask: &'a Ask,
    /// The person's own account, where the role has `{username}`.
    pub(super) username: Option<&'a Result<AccountName, NoUsername>>,
}

/// What a rule has against it.
#[derive(Debug)]
pub(super) struct Objection {
    pub(super) rule: &'static str,
    pub(super) reason: String,
    pub(super) help: String,
}

type Rule = fn(&Case<'_>) -> Result<(), Objection>;

/// In this order: until somebody is known to have the role, they read nothing about it but how to
/// get it; then what they asked for; then from where and for how long.
const RULES: [Rule; 5] = [
    groups::rule,
    account::username,
    account::rule,
    source::rule,
    validity::rule,
];

impl Case<'_> {
    /// The decision on this one role.
    pub(super) fn decide(&self) -> Result<Grant, Refusal> {
        for rule in RULES {
            rule(self).map_err(|objection| self.refusal(objection))?;
        }
        Ok(self.grant())
    }

    fn refusal(&self, objection: Objection) -> Refusal {
        Refusal {
            rule: objection.rule,
            role: Some(self.role.name.clone()),
            reason: objection.reason,
            help: objection.help,
        }
    }

    /// Nothing of the ask but what the rules have admitted.
    fn grant(&self) -> Grant {
        let fixed = self.opens_fixed();
        let own = self.own().cloned();
        let mut accounts = Vec::new();
        let mut principals = Vec::new();
        match self.policy.mode {
            Mode::Roles => {
                if fixed {
                    accounts.extend(self.role.fixed_accounts().cloned());
                    principals.push(Principal::role(&self.role.name));
                }
                if let Some(own) = &own {
                    accounts.push(own.clone());
                    principals.push(Principal::role_of(&self.role.name, own));
                }
            }
            Mode::Accounts => {
                let fixed = self
                    .role
                    .fixed_accounts()
                    .filter(|account| self.asks_for(account));
                accounts.extend(fixed.chain(&own).cloned());
                accounts.dedup();
                principals.extend(accounts.iter().map(Principal::account));
            }
        }
        Grant {
            role: self.role.name.clone(),
            principals,
            accounts,
            username: own,
            validity: validity::of(self),
            extensions: self.role.extensions.clone(),
            source: self.role.source.clone(),
            policy_digest: self.policy.digest.clone(),
            outage_grace: self.role.outage_grace,
        }
    }

    /// Whether the ask leaves a fixed account of the role.
    fn opens_fixed(&self) -> bool {
        self.role
            .fixed_accounts()
            .any(|account| self.asks_for(account))
    }

    /// The person's own account, where the role has it and the ask leaves it. One that is also a
    /// fixed account of the role counts as that.
    fn own(&self) -> Option<&AccountName> {
        let own = self.username?.as_ref().ok()?;
        let shared = self.role.accounts.contains(&Account::Fixed(own.clone()));
        (self.asks_for(own) && !shared).then_some(own)
    }

    fn asks_for(&self, account: &AccountName) -> bool {
        self.ask
            .account
            .as_deref()
            .is_none_or(|asked| asked == account.as_str())
    }
}

/// What the principals of certificates are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    /// `role:NAME`: hosts know which accounts a role opens.
    #[default]
    Roles,
    /// Account names: simple mode, for hosts that only know `TrustedUserCAKeys`.
    Accounts,
}
