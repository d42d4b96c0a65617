//! The account asked for must be one that the role opens; where that is the person's own, the
//! policy must know which it is.

use super::{Case, Objection};
use crate::policy::role::OWN;
use crate::policy::username::shown;

/// The person's own account is known, unless a fixed one was asked for.
pub(in crate::policy) fn username(case: &Case<'_>) -> Result<(), Objection> {
    let Some(Err(missing)) = case.username else {
        return Ok(());
    };
    let asked = case.ask.account.as_deref();
    let mut fixed = case.role.fixed_accounts();
    if fixed.any(|account| asked == Some(account.as_str())) {
        return Ok(());
    }
    let mut help = missing.help.clone();
    if let Some(other) = case.role.fixed_accounts().next() {
        help = format!("{help} Or ask for the account {other}.");
    }
    Err(Objection {
        rule: "username",
        reason: missing.reason.clone(),
        help,
    })
}

/// The account asked for is one of the role's.
pub(in crate::policy) fn rule(case: &Case<'_>) -> Result<(), Objection> {
    if case.opens_fixed() || case.own().is_some() {
        return Ok(());
    }
    let role = &case.role.name;
    let asked = shown(case.ask.account.as_deref().unwrap_or_default());
    Err(Objection {
        rule: RULE,
        reason: format!("The role {role} does not open the account {asked}."),
        help: format!("It opens {}.", opened(case)),
    })
}

/// The role's accounts in words.
fn opened(case: &Case<'_>) -> String {
    let username = case.username.and_then(|username| username.as_ref().ok());
    let own = case
        .role
        .has_own_account()
        .then(|| username.map_or(OWN, AsRef::as_ref));
    let accounts: Vec<&str> = case
        .role
        .fixed_accounts()
        .map(AsRef::as_ref)
        .chain(own)
        .collect();
    accounts.join(", ")
}

/// The name of this rule in refusals.
pub(in crate::policy) const RULE: &str = "account";
