//! The policy: who may have which role. A verified person, what they ask, and the time come in; a
//! [`Grant`] or a [`Refusal`] with what would help goes out. Pure: no I/O, no clock, nothing kept
//! from one decision to the next (A26).
//!
//! Invariant 6: nothing that an identity provider says is a principal unless the policy says so,
//! by exact match. An empty matcher, an unknown key or a key of a later version is an error at
//! load, never a rule that matches everybody (A24).
//!
//! `docs/policy.md` is the reference, with an example for every key.

use std::collections::{BTreeSet, HashMap};

use crate::identity::{GroupsSource, IdentityFacts, IssuerConfig, Preset};
use crate::time::Timestamp;

pub mod admission;
pub mod decision;
mod digest;
pub mod error;
pub mod example;
pub mod explain;
mod file;
mod grant;
mod parse;
pub mod right;
pub mod role;
pub mod rule;
pub mod tests;
mod username;

#[cfg(test)]
mod attempts;

pub use admission::Admission;
pub use jit_ssh_api::principal::{AccountName, NameError, Principal, RoleName};

pub use decision::{Ask, Grant, Refusal};
pub use error::{Fault, PolicyError, PolicyErrors};
pub use example::{ExampleGrant, example, example_for_people};
pub use explain::ExplainError;
pub use right::{Right, Rights};
pub use role::{Account, Extension, Role};
pub use rule::source::{Cidr, CidrError};
pub use tests::TestFailure;

use grant::Who;
use rule::Case;
use username::NoUsername;

/// A policy that was read without a fault and passed its own tests.
#[derive(Debug)]
pub struct Policy {
    text: String,
    digest: String,
    mode: rule::Mode,
    /// By `order`, then by name.
    roles: Vec<Role>,
    /// The place of each in `roles`.
    places: HashMap<String, usize>,
    usernames: username::Usernames,
    /// Gives places in `roles`.
    grants: grant::Index,
    /// Gives places in [`Right::ALL`].
    rights: grant::Index,
    issuers: Vec<String>,
    /// For each role: what would help people of an issuer who do not have it.
    help: Vec<HashMap<String, String>>,
    tests: Vec<tests::Test>,
}

impl Policy {
    /// Reads a policy. All of its faults are told at once, each with its line and column.
    pub fn parse(text: &str, facts: &IssuerFacts) -> Result<Policy, PolicyErrors> {
        parse::parse(text, facts)
    }

    /// The same for bytes from a file, which may be anything.
    pub fn parse_bytes(bytes: &[u8], facts: &IssuerFacts) -> Result<Policy, PolicyErrors> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Policy::parse(text, facts),
            Err(error) => {
                let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
                let good = String::from_utf8_lossy(good);
                let mut faults = error::Faults::new(&good);
                faults.add(good.len(), Fault::Syntax, "This is not UTF-8.", None);
                Err(faults.into_errors())
            }
        }
    }

    /// SHA-256 of the text, hexadecimal: the policy's name in every record.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// As it was read, byte for byte.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Every role, by `order`, then by name.
    pub fn all_roles(&self) -> &[Role] {
        &self.roles
    }

    /// The role of that name.
    pub fn role(&self, name: &str) -> Option<&Role> {
        self.roles.get(*self.places.get(name)?)
    }

    /// May this person have what they ask for? Rules about the time will ask `_now`.
    pub fn decide(
        &self,
        who: &IdentityFacts,
        ask: &Ask,
        _now: Timestamp,
    ) -> Result<Grant, Refusal> {
        self.decide_for(&Who::from(who), ask)
    }

    /// The decision on every role, whatever role is asked for; by `order`, then by name.
    pub fn roles(
        &self,
        who: &IdentityFacts,
        ask: &Ask,
        _now: Timestamp,
    ) -> Vec<(&Role, Result<Grant, Refusal>)> {
        self.roles_for(&Who::from(who), ask)
    }

    /// What this person may do at the CA.
    pub fn rights(&self, who: &IdentityFacts) -> Rights {
        self.rights_of(&Who::from(who))
    }

    fn decide_for(&self, who: &Who<'_>, ask: &Ask) -> Result<Grant, Refusal> {
        let Some(name) = &ask.role else {
            return self.decide_first(who, ask);
        };
        let (Some(role), Some(place)) = (self.role(name), self.places.get(name.as_str())) else {
            return Err(self.no_such_role(name));
        };
        let granted = self.grants.gives(who, *place);
        self.case(role, granted, who, ask, &self.usernames.of(who))
            .decide()
    }

    /// The first role that the person may have, of those that open the account asked for.
    fn decide_first(&self, who: &Who<'_>, ask: &Ask) -> Result<Grant, Refusal> {
        let username = self.usernames.of(who);
        let granted = self.grants.all(who);
        let own = username.as_ref().ok();
        let opens = |role: &Role, asked: &str| {
            role.fixed_accounts()
                .any(|account| account.as_str() == asked)
                || role.has_own_account() && own.is_some_and(|own| own.as_str() == asked)
        };
        let asked = ask.account.as_deref();
        let mut refused = None;
        let mut open = Vec::new();
        for (place, role) in self.roles.iter().enumerate() {
            if asked.is_some_and(|asked| !opens(role, asked)) {
                continue;
            }
            open.push(place);
            if granted.contains(&place) {
                match self.case(role, true, who, ask, &username).decide() {
                    Ok(grant) => return Ok(grant),
                    Err(refusal) => refused = refused.or(Some(refusal)),
                }
            }
        }
        Err(refused.unwrap_or_else(|| self.no_role(who, asked, &open)))
    }

    fn roles_for(&self, who: &Who<'_>, ask: &Ask) -> Vec<(&Role, Result<Grant, Refusal>)> {
        let username = self.usernames.of(who);
        let granted = self.grants.all(who);
        let decide = |(place, role)| {
            let granted = granted.contains(&place);
            (role, self.case(role, granted, who, ask, &username).decide())
        };
        self.roles.iter().enumerate().map(decide).collect()
    }

    fn rights_of(&self, who: &Who<'_>) -> Rights {
        let places = self.rights.all(who);
        Rights(
            places
                .iter()
                .filter_map(|place| Right::ALL.get(*place))
                .copied()
                .collect(),
        )
    }

    fn case<'a>(
        &'a self,
        role: &'a Role,
        granted: bool,
        who: &'a Who<'a>,
        ask: &'a Ask,
        username: &'a Result<AccountName, NoUsername>,
    ) -> Case<'a> {
        let username = role.has_own_account().then_some(username);
        Case {
            policy: self,
            role,
            granted,
            who,
            ask,
            username,
        }
    }

    /// What would help a person of that issuer who does not have the role.
    fn who_gets(&self, role: &Role, issuer: &str) -> String {
        let place = self.places.get(role.name.as_str());
        let help = place.and_then(|place| self.help.get(*place)?.get(issuer));
        help.cloned()
            .unwrap_or_else(|| rule::groups::help(&[], issuer))
    }

    /// No role was asked for, and none is given.
    fn no_role(&self, who: &Who<'_>, asked: Option<&str>, open: &[usize]) -> Refusal {
        let roles: Vec<&Role> = open
            .iter()
            .filter_map(|place| self.roles.get(*place))
            .collect();
        let asked = asked.map(username::shown);
        let Some(first) = roles.first() else {
            return Refusal {
                rule: rule::account::RULE,
                role: None,
                reason: format!(
                    "No role opens the account {} to you.",
                    asked.unwrap_or_default()
                ),
                help: "`jit-ssh roles` lists the accounts that there are.".to_owned(),
            };
        };
        let such = asked.map_or(String::new(), |asked| {
            format!(" that opens the account {asked}")
        });
        Refusal {
            rule: rule::groups::RULE,
            role: (roles.len() == 1).then(|| first.name.clone()),
            reason: rule::groups::reason(who, &format!("a role{such}")),
            help: format!(
                "There is {}. {}",
                first.name,
                self.who_gets(first, who.issuer)
            ),
        }
    }

    fn no_such_role(&self, name: &str) -> Refusal {
        let names = self.roles.iter().map(|role| role.name.as_str());
        let similar = error::did_you_mean(name, names).map_or(String::new(), |it| format!("{it} "));
        Refusal {
            rule: "role",
            role: None,
            reason: format!("There is no role {}.", username::shown(name)),
            help: format!("{similar}`jit-ssh roles` lists those that there are."),
        }
    }
}

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
    /// The claim that its groups come from, by name or path: they are asked for as `groups`, and as
    /// a claim never.
    pub groups_claim: Option<String>,
}

impl IssuerFact {
    /// Whether the groups are read from this top-level claim, which is then theirs alone.
    fn is_groups_claim(&self, claim: &str) -> bool {
        let of = |path: &String| path == claim || path.split('.').next() == Some(claim);
        // `groups` itself stands for groups from wherever they are configured.
        claim != "groups" && self.groups_claim.as_ref().is_some_and(of)
    }
}

impl<'a> FromIterator<&'a IssuerConfig> for IssuerFacts {
    fn from_iter<I: IntoIterator<Item = &'a IssuerConfig>>(configs: I) -> Self {
        IssuerFacts {
            issuers: configs.into_iter().map(IssuerFact::from).collect(),
        }
    }
}

impl From<&[IssuerConfig]> for IssuerFacts {
    fn from(configs: &[IssuerConfig]) -> Self {
        configs.iter().collect()
    }
}

impl From<&IssuerConfig> for IssuerFact {
    fn from(config: &IssuerConfig) -> Self {
        let can = config.can_say;
        let says = [
            ("groups", can.groups),
            ("email", can.email),
            ("acr", can.acr),
            ("amr", can.amr),
            ("acrs", can.acrs),
            ("preferred_username", config.preset != Preset::Google),
        ];
        let never = says
            .into_iter()
            .filter(|(_, says)| !says)
            .map(|(claim, _)| claim.to_owned());
        IssuerFact {
            issuer: config.issuer.to_string(),
            never_says: never.collect(),
            groups_claim: match &config.groups {
                GroupsSource::Claim(path) | GroupsSource::Userinfo(path) => Some(path.clone()),
                GroupsSource::Nowhere => None,
            },
        }
    }
}
