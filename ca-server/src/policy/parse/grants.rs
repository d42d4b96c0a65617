//! `[[grants]]` and `[[rights]]`: no matcher without anything in it, none that could never hold.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Parser;
use crate::policy::IssuerFact;
use crate::policy::error::Fault;
use crate::policy::file::{At, ClaimFile, File, MatcherFile, Texts, UserFile};
use crate::policy::grant::{ClaimValue, Granting, Matcher, User};
use crate::policy::right::Right;
use crate::policy::role::OWN;
use crate::policy::username::Usernames;

impl Parser<'_> {
    pub(super) fn grants(&mut self, file: &File, usernames: &Usernames) -> Vec<Granting> {
        let mut grants = Vec::new();
        for (number, written) in (1..).zip(&file.grants) {
            let section = format!("`grants[{number}]`");
            let who = self.matcher(&written.who, &section);
            let Some(roles) = self.roles_of(written.roles.as_ref(), written.who.at, &section)
            else {
                continue;
            };
            let Some(who) = who else {
                continue;
            };
            if !usernames.sources.contains_key(&who.issuer) {
                let own = |place: &usize| {
                    self.roles.get(*place).is_some_and(|role| {
                        role.has_own_account() && role.fixed_accounts().next().is_none()
                    })
                };
                if let Some(role) = roles
                    .iter()
                    .find(|it| own(it))
                    .and_then(|it| self.roles.get(*it))
                {
                    let (name, issuer) = (&role.name, &who.issuer);
                    let what = format!(
                        "{section} grants {name}, which opens {OWN}, and no [username] says which \
                         that is for {issuer}."
                    );
                    let suggestion = format!("Add [[username]] with issuer = {issuer:?}.");
                    self.faults
                        .add(written.who.at, Fault::Missing, what, suggestion);
                }
            }
            grants.push(Granting { who, what: roles });
        }
        grants
    }

    /// The places of the roles that a list names; sorted.
    pub(super) fn roles_of(
        &mut self,
        written: Option<&Texts>,
        at: usize,
        section: &str,
    ) -> Option<Vec<usize>> {
        let example = "Write roles = [\"…\"].";
        let Some(written) = written else {
            let what = format!("{section} has no `roles`.");
            self.faults
                .add(at, Fault::Missing, what, Some(example.to_owned()));
            return None;
        };
        self.not_empty(written, &format!("`roles` of {section}"), example);
        let places: BTreeSet<usize> = written
            .value
            .iter()
            .filter_map(|name| self.place(section, name))
            .collect();
        Some(places.into_iter().collect())
    }

    pub(super) fn rights(&mut self, file: &File) -> Vec<Granting> {
        let mut all = Vec::new();
        for (number, written) in (1..).zip(&file.rights) {
            let section = format!("`rights[{number}]`");
            let who = self.matcher(&written.who, &section);
            let example = "Write may = [\"audit\"].";
            let Some(may) = &written.may else {
                let what = format!("{section} has no `may`.");
                self.faults.add(
                    written.who.at,
                    Fault::Missing,
                    what,
                    Some(example.to_owned()),
                );
                continue;
            };
            self.not_empty(may, &format!("`may` of {section}"), example);
            let what = self
                .some_rights(may)
                .into_iter()
                .map(Right::place)
                .collect();
            all.extend(who.map(|who| Granting { who, what }));
        }
        all
    }

    pub(super) fn some_rights(&mut self, written: &Texts) -> BTreeSet<Right> {
        let mut rights = BTreeSet::new();
        for text in &written.value {
            if let Some(right) = Right::from_name(&text.value) {
                rights.insert(right);
            } else if LATER_RIGHTS.contains(&text.value.as_str()) {
                let what = format!("The right {:?} is not supported yet.", text.value);
                let suggestion = "Remove it, or wait for the version that has it.".to_owned();
                self.faults
                    .add(text.at, Fault::NotSupportedYet, what, suggestion);
            } else if text.value == "backup" {
                // A backup holds the keys: no right that travels opens it.
                let what = "\"backup\" is no right: backups are made on the CA's machine.";
                let suggestion = "Remove it; there, `jit-ssh-ca backup FILE` makes one.".to_owned();
                self.faults.add(text.at, Fault::BadValue, what, suggestion);
            } else {
                let names: Vec<&str> = Right::ALL.iter().map(|it| it.name()).collect();
                let suggestion = self
                    .similar(&text.value, names.iter().copied())
                    .unwrap_or_else(|| format!("There are {}.", names.join(", ")));
                let what = format!("{:?} is no right.", text.value);
                self.faults.add(text.at, Fault::BadValue, what, suggestion);
            }
        }
        rights
    }

    pub(super) fn matcher(&mut self, written: &MatcherFile, section: &str) -> Option<Matcher> {
        let issuer = self.issuer(section, written.issuer.as_ref(), written.at)?;
        let before = self.faults.count();
        if written.groups.is_none() && written.users.is_none() && written.claims.is_none() {
            let what = format!("{section} says of nobody whom it is for.");
            let suggestion = "Add groups = [\"…\"], users or claims.".to_owned();
            self.faults
                .add(written.at, Fault::Missing, what, suggestion);
        }
        let groups = self.groups(written.groups.as_ref(), &issuer, section);
        let mut users = BTreeSet::new();
        if let Some(list) = &written.users {
            let example = "Write { subject = \"…\" } or { email = \"…\" }.";
            self.not_empty(list, &format!("`users` of {section}"), example);
            users.extend(
                list.value
                    .iter()
                    .filter_map(|entry| self.user(entry, &issuer)),
            );
        }
        let claims = self.claims(written.claims.as_ref(), &issuer, section);
        let matcher = Matcher {
            issuer: issuer.issuer,
            groups,
            users,
            claims,
        };
        (self.faults.count() == before).then_some(matcher)
    }

    pub(super) fn groups(
        &mut self,
        written: Option<&Texts>,
        issuer: &IssuerFact,
        section: &str,
    ) -> BTreeSet<String> {
        let Some(written) = written else {
            return BTreeSet::new();
        };
        self.not_empty(
            written,
            &format!("`groups` of {section}"),
            "Name at least one group.",
        );
        self.said("groups", written.at, issuer);
        let mut groups = BTreeSet::new();
        for text in &written.value {
            if text.value.contains('*') {
                let what = format!("{:?} looks like a pattern.", text.value);
                let suggestion = "Groups are matched exactly: name each.".to_owned();
                self.faults.add(text.at, Fault::BadValue, what, suggestion);
            } else if self.plain(text, "A group").is_some() {
                groups.insert(text.value.clone());
            }
        }
        groups
    }

    pub(super) fn user(&mut self, entry: &UserFile, issuer: &IssuerFact) -> Option<User> {
        match (&entry.subject, &entry.email) {
            (Some(subject), None) => {
                self.plain(subject, "A subject")?;
                Some(User::Subject(subject.value.clone()))
            }
            (None, Some(written)) => {
                self.said("email", written.at, issuer)?;
                let email = self.email(written)?;
                Some(User::Email(email.as_ref().to_owned()))
            }
            _ => {
                let what = "A user is named by one of `subject` and `email`.";
                let suggestion = "Write { subject = \"…\" } or { email = \"…\" }.".to_owned();
                self.faults.add(entry.at, Fault::BadValue, what, suggestion);
                None
            }
        }
    }

    pub(super) fn claims(
        &mut self,
        written: Option<&At<Vec<ClaimFile>>>,
        issuer: &IssuerFact,
        section: &str,
    ) -> BTreeMap<String, ClaimValue<'static>> {
        let mut claims = BTreeMap::new();
        let Some(written) = written else {
            return claims;
        };
        self.not_empty(
            written,
            &format!("`claims` of {section}"),
            "Name at least one claim.",
        );
        for ClaimFile { name, value } in &written.value {
            if self.claim_name(name).is_none() || self.said(&name.value, name.at, issuer).is_none()
            {
                continue;
            }
            let compared = match value {
                Value::String(text) if text.trim().is_empty() => {
                    let what = format!("The claim `{}` is compared with nothing.", name.value);
                    self.faults.add(name.at, Fault::Empty, what, None);
                    continue;
                }
                Value::Array(_) => {
                    let what = format!("The claim `{}` is compared with a list.", name.value);
                    let suggestion = "Write one grant for each value; a claim that is itself a \
                                      list matches when it contains the value."
                        .to_owned();
                    self.faults.add(name.at, Fault::WrongType, what, suggestion);
                    continue;
                }
                other => ClaimValue::of(other),
            };
            claims.extend(compared.map(|value| (name.value.clone(), value.into_owned())));
        }
        claims
    }
}

const LATER_RIGHTS: &[&str] = &["sessions", "requests", "approve", "erase", "export"];
