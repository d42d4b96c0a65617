//! Attempts on the policy: to get what it does not give, and to have it load what it cannot keep.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::identity::{Email, Group, Issuer, Subject};

mod decide;
mod docs;
mod laws;
mod load;
mod names;
mod speed;

const IDP: &str = "https://idp.example.com";
const OTHER: &str = "https://other.example.com";
const NOW: Timestamp = Timestamp::from_seconds(1_795_000_000);

const ROLES: &str = r#"
order = ["production-observer", "production-admin"]

[roles.production-observer]
accounts = ["observer"]
max_validity = "15m"
extensions = ["permit-pty"]

[roles.production-admin]
accounts = ["admin", "root"]
max_validity = "5m"
"#;

fn facts(issuers: &[&str]) -> IssuerFacts {
    let fact = |issuer: &&str| IssuerFact {
        issuer: (*issuer).to_owned(),
        ..IssuerFact::default()
    };
    IssuerFacts {
        issuers: issuers.iter().map(fact).collect(),
    }
}

fn load(text: &str) -> Policy {
    match Policy::parse(text, &facts(&[IDP])) {
        Ok(policy) => policy,
        Err(errors) => panic!("{text}\ndoes not load:\n{errors}"),
    }
}

/// ROLES and what is added to it.
fn with(text: &str) -> Policy {
    load(&format!("{ROLES}\n{text}"))
}

fn ops() -> Policy {
    with("[[grants]]\ngroups = [\"Ops\"]\nroles = [\"production-observer\"]")
}

fn person(groups: &[&str]) -> IdentityFacts {
    IdentityFacts {
        issuer: Issuer::new(IDP),
        client_id: "client".into(),
        subject: Subject::new("00u1"),
        person: String::new(),
        email: None,
        said_email: None,
        groups: groups.iter().map(|group| Group::new(group)).collect(),
        acr: None,
        amr: Vec::new(),
        acrs: Vec::new(),
        auth_time: None,
        claims: BTreeMap::new(),
        issued_at: NOW,
        expires: NOW.plus(Duration::from_secs(3600)),
    }
}

fn says(claim: &str, value: Value) -> IdentityFacts {
    let mut who = person(&["Staff"]);
    who.claims.insert(claim.into(), value);
    who
}

fn ask(role: &str) -> Ask {
    Ask {
        role: Some(role.into()),
        ..Ask::default()
    }
}

fn gets(policy: &Policy, who: &IdentityFacts, role: &str) -> bool {
    policy.decide(who, &ask(role), NOW).is_ok()
}

/// Why the person does not get the role.
fn refused(policy: &Policy, who: &IdentityFacts, ask: &Ask) -> Refusal {
    match policy.decide(who, ask, NOW) {
        Err(refusal) => refusal,
        Ok(grant) => panic!("{who:?} got {grant:?}"),
    }
}

fn granted(policy: &Policy, who: &IdentityFacts, ask: &Ask) -> Grant {
    match policy.decide(who, ask, NOW) {
        Ok(grant) => grant,
        Err(refusal) => panic!("{who:?} was refused: {refusal:?}"),
    }
}

fn texts<T: AsRef<str>>(names: &[T]) -> Vec<&str> {
    names.iter().map(AsRef::as_ref).collect()
}

fn email(text: &str) -> Option<Email> {
    Some(Email::parse(text).unwrap())
}
