//! A person's own account: from one claim, or from a table in the policy. One source for each
//! issuer, named in the policy; where it says nothing, or nothing usable, there is no account and
//! no other source is tried (A27).

use std::collections::{BTreeSet, HashMap};

use jit_ssh_api::reserved::is_reserved;
use serde_json::Value;

use super::AccountName;
use super::grant::{User, Who};

/// Where own accounts come from, for each issuer.
#[derive(Debug, Default)]
pub(super) struct Usernames {
    pub(super) sources: HashMap<String, Source>,
    /// Fixed accounts of all roles: shared by many, so nobody's own.
    pub(super) shared: BTreeSet<AccountName>,
}

#[derive(Debug)]
pub(super) enum Source {
    /// The value of a claim, from which `@DOMAIN` must be cut off where one is given.
    Claim {
        name: String,
        strip_domain: Option<String>,
    },
    /// By name. These stand in the policy literally, so that any account can be meant.
    Table(HashMap<User, AccountName>),
}

/// Why somebody has no account of their own: a sentence, and what would help.
#[derive(Clone, Debug)]
pub(super) struct NoUsername {
    pub(super) reason: String,
    pub(super) help: String,
}

impl Usernames {
    pub(super) fn of(&self, who: &Who<'_>) -> Result<AccountName, NoUsername> {
        match self.sources.get(who.issuer) {
            Some(Source::Claim { name, strip_domain }) => {
                self.by_claim(who, name, strip_domain.as_deref())
            }
            Some(Source::Table(table)) => by_table(who, table),
            None => Err(NoUsername {
                reason: "The policy has no accounts of their own for people of this issuer.".into(),
                help: format!("{OPERATOR} to add [[username]] for it."),
            }),
        }
    }

    fn by_claim(
        &self,
        who: &Who<'_>,
        claim: &str,
        strip_domain: Option<&str>,
    ) -> Result<AccountName, NoUsername> {
        let value = match claim {
            "email" => who.email.map(AsRef::as_ref),
            "sub" => Some(who.subject),
            _ => who.claims.get(claim).and_then(Value::as_str),
        };
        let value = value.ok_or_else(|| NoUsername {
            reason: format!("Your sign-in says no `{claim}`, which would be your account."),
            help: format!("Ask whoever manages {} to send that claim.", who.issuer),
        })?;
        let unusable = |why: &str| NoUsername {
            reason: format!("Your `{claim}` is {}, which {why}.", shown(value)),
            help: format!("{OPERATOR} to name your account in a [username] table."),
        };
        let local = match strip_domain {
            None => value,
            Some(domain) => match value.split_once('@') {
                Some((local, rest)) if rest == domain => local,
                _ => return Err(unusable(&format!("is not in @{domain}"))),
            },
        };
        let account = AccountName::new(local)
            .map_err(|error| unusable(&format!("is no account name: {error}")))?;
        if is_reserved(&account) {
            return Err(unusable("is an account of the system, not of a person"));
        }
        if self.shared.contains(&account) {
            return Err(unusable(
                "is an account that people share here, not one of their own",
            ));
        }
        Ok(account)
    }
}

fn by_table(who: &Who<'_>, table: &HashMap<User, AccountName>) -> Result<AccountName, NoUsername> {
    table
        .get(&User::Subject(who.subject.to_owned()))
        .or_else(|| table.get(&User::Email(who.email?.as_ref().to_owned())))
        .cloned()
        .ok_or_else(|| NoUsername {
            reason: "The policy does not say which account is yours.".into(),
            help: format!("{OPERATOR} to add you to the [username] table."),
        })
}

/// Text from a claim as it may stand in a sentence.
pub(super) fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(64).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}

/// How a help sentence names the one who can change the policy.
pub(super) const OPERATOR: &str = "Ask whoever looks after the policy";
