//! Some grant must give the role to the person.
//!
//! The help names the groups that would do, of the person's own issuer alone. It never names
//! people, values of claims, or anything of another issuer (docs/policy.md, "What a refusal says").

use std::collections::BTreeSet;

use super::{Case, Objection};
use crate::policy::grant::{Matcher, Who};
use crate::policy::username::OPERATOR;

pub(in crate::policy) fn rule(case: &Case<'_>) -> Result<(), Objection> {
    if case.granted {
        return Ok(());
    }
    let role = &case.role.name;
    Err(Objection {
        rule: RULE,
        reason: reason(case.who, &format!("the role {role}")),
        help: case.policy.who_gets(case.role, case.who.issuer),
    })
}

/// Whether there are groups at all is what goes wrong most often in a new set-up.
pub(in crate::policy) fn reason(who: &Who<'_>, what: &str) -> String {
    if who.groups.is_empty() {
        format!("Your sign-in came with no groups, and nothing else in it gives you {what}.")
    } else {
        format!("Nothing that your sign-in says gives you {what}.")
    }
}

/// What would help a person of that issuer, by the grants there that give the role.
pub(in crate::policy) fn help(grants: &[&Matcher], issuer: &str) -> String {
    let groups = |only: bool| {
        let grants = grants.iter().filter(|grant| grant.is_groups_only() == only);
        grants
            .flat_map(|grant| &grant.groups)
            .map(String::as_str)
            .collect::<BTreeSet<&str>>()
    };
    let (members, some_members) = (groups(true), groups(false));
    let ask = format!("ask whoever manages groups at {issuer}.");
    if !members.is_empty() {
        format!("Members of {} get it: {ask}", list(&members))
    } else if !some_members.is_empty() {
        let members = list(&some_members);
        format!("Members of {members} get it, if the policy's further conditions hold: {ask}")
    } else if !grants.is_empty() {
        format!(
            "It is given by name or by claim, not by group: {}.",
            lower(OPERATOR)
        )
    } else {
        format!("It is given to nobody of {issuer}: {}.", lower(OPERATOR))
    }
}

/// At most three groups by name.
fn list(groups: &BTreeSet<&str>) -> String {
    let shown: Vec<String> = groups
        .iter()
        .take(3)
        .map(|group| format!("{group:?}"))
        .collect();
    let shown = shown.join(", ");
    match groups.len() {
        1 => format!("the group {shown}"),
        2 | 3 => format!("one of the groups {shown}"),
        all => format!(
            "one of the groups {shown} or {} more",
            all.saturating_sub(3)
        ),
    }
}

fn lower(sentence: &str) -> String {
    let mut characters = sentence.chars();
    let first = characters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(characters).collect()
}

/// The name of this rule in refusals.
pub(in crate::policy) const RULE: &str = "groups";
