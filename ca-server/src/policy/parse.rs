//! What is written ──► what is checked. Every name is looked up, every limit is bounded, and every
//! matcher has something in it, or the policy does not load (A24). Faults do not stop the reading:
//! all of them are told at once.

use std::collections::{BTreeSet, HashMap};

use super::error::{Fault, Faults, PolicyErrors};
use super::file::{self, File, Text};
use super::grant::{Granting, Index, Matcher};
use super::role::Role;
use super::rule::{Mode, groups};
use super::{IssuerFact, IssuerFacts, Policy, digest};

mod grants;
mod names;
mod roles;
mod tests;
mod usernames;

/// Text ──► policy, its own tests passed.
pub(super) fn parse(text: &str, facts: &IssuerFacts) -> Result<Policy, PolicyErrors> {
    let mut faults = Faults::new(text);
    let file = file::read(text, &mut faults);
    if faults.has(Fault::Syntax) {
        return Err(faults.into_errors());
    }
    let issuers = issuers(&file, facts);
    let mut parser = Parser {
        text,
        faults,
        issuers,
        places: HashMap::new(),
        roles: Vec::new(),
    };
    let policy = parser.policy(&file);
    if !parser.faults.is_empty() {
        return Err(parser.faults.into_errors());
    }
    for failure in policy.failing_tests() {
        parser
            .faults
            .add(failure.at, Fault::TestFails, failure.message, None);
    }
    if parser.faults.is_empty() {
        Ok(policy)
    } else {
        Err(parser.faults.into_errors())
    }
}

/// Without a configuration (`policy check` on a bare file), the issuers are those that the file
/// names; one that names none gets one that no token can come from.
fn issuers(file: &File, facts: &IssuerFacts) -> Vec<IssuerFact> {
    if !facts.issuers.is_empty() {
        return facts.issuers.clone();
    }
    let grants = file.grants.iter().map(|grant| &grant.who.issuer);
    let rights = file.rights.iter().map(|rights| &rights.who.issuer);
    let tests = file
        .tests
        .iter()
        .filter_map(|test| test.who.as_ref())
        .map(|who| &who.issuer);
    let usernames = file.username.iter().map(|username| &username.issuer);
    let named = grants.chain(rights).chain(tests).chain(usernames).flatten();
    let mut names: BTreeSet<&str> = named.map(|issuer| issuer.value.as_str()).collect();
    if names.is_empty() {
        names.insert("https://issuer.invalid");
    }
    let fact = |name: &str| IssuerFact {
        issuer: name.to_owned(),
        ..IssuerFact::default()
    };
    names.into_iter().map(fact).collect()
}

struct Parser<'t> {
    text: &'t str,
    faults: Faults<'t>,
    issuers: Vec<IssuerFact>,
    /// The place of each role in `roles`.
    places: HashMap<String, usize>,
    roles: Vec<Role>,
}

impl Parser<'_> {
    fn policy(&mut self, file: &File) -> Policy {
        self.read_roles(file);
        let mode = self.mode(file.principals.as_ref());
        if mode == Mode::Accounts {
            self.no_hosts(file);
        }
        let usernames = self.usernames(file);
        let grants = self.grants(file, &usernames);
        let rights = self.rights(file);
        let tests = file
            .tests
            .iter()
            .filter_map(|test| self.test(test))
            .collect();
        let roles = std::mem::take(&mut self.roles);
        let issuers: Vec<String> = self.issuers.iter().map(|it| it.issuer.clone()).collect();
        let help = who_gets(&roles, &grants, &issuers);
        Policy {
            text: self.text.to_owned(),
            digest: digest::of(self.text.as_bytes()),
            places: std::mem::take(&mut self.places),
            grants: Index::new(grants),
            rights: Index::new(rights),
            mode,
            roles,
            usernames,
            issuers,
            help,
            tests,
        }
    }

    /// A certificate with account names opens these accounts wherever the CA is trusted.
    fn no_hosts(&mut self, file: &File) {
        for role in &file.roles {
            if let Some(hosts) = &role.hosts {
                let what = format!(
                    "`hosts` of `roles.{}` confines nothing while `principals` is \"accounts\".",
                    role.name.value
                );
                let suggestion = "Remove it, or write principals = \"roles\".".to_owned();
                self.faults.add(hosts.at, Fault::BadValue, what, suggestion);
            }
        }
    }

    fn mode(&mut self, written: Option<&Text>) -> Mode {
        match written.map(|text| (text, text.value.as_str())) {
            None | Some((_, "roles")) => Mode::Roles,
            Some((_, "accounts")) => Mode::Accounts,
            Some((text, other)) => {
                let what = format!("`principals` cannot be {other:?}.");
                let suggestion = "Write \"roles\" (the default) or \"accounts\".".to_owned();
                self.faults.add(text.at, Fault::BadValue, what, suggestion);
                Mode::Roles
            }
        }
    }
}

/// For each role and issuer, what would help somebody who does not have it.
fn who_gets(
    roles: &[Role],
    grants: &[Granting],
    issuers: &[String],
) -> Vec<HashMap<String, String>> {
    let mut by_role: Vec<Vec<&Matcher>> = roles.iter().map(|_| Vec::new()).collect();
    for grant in grants {
        for place in &grant.what {
            if let Some(matchers) = by_role.get_mut(*place) {
                matchers.push(&grant.who);
            }
        }
    }
    let for_issuer = |matchers: &[&Matcher], issuer: &String| {
        let there = matchers.iter().copied().filter(|it| it.issuer == *issuer);
        (
            issuer.clone(),
            groups::help(&there.collect::<Vec<_>>(), issuer),
        )
    };
    by_role
        .iter()
        .map(|matchers| {
            issuers
                .iter()
                .map(|issuer| for_issuer(matchers, issuer))
                .collect()
        })
        .collect()
}
