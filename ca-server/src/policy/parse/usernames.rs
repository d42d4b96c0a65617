//! `[username]`: one source of people's own accounts for each issuer.

use std::collections::HashMap;

use super::Parser;
use crate::identity::Email;
use crate::policy::IssuerFact;
use crate::policy::error::Fault;
use crate::policy::file::{At, File, UserFile, UsernameFile};
use crate::policy::role::Role;
use crate::policy::username::{Source, Usernames};

impl Parser<'_> {
    pub(super) fn usernames(&mut self, file: &File) -> Usernames {
        let shared = self
            .roles
            .iter()
            .flat_map(Role::fixed_accounts)
            .cloned()
            .collect();
        let mut sources = HashMap::new();
        for written in &file.username {
            let Some(issuer) = self.issuer("`username`", written.issuer.as_ref(), written.at)
            else {
                continue;
            };
            let Some(source) = self.username_source(written, &issuer) else {
                continue;
            };
            if sources.insert(issuer.issuer.clone(), source).is_some() {
                let what = format!("There are two [username] for {}.", issuer.issuer);
                self.faults.add(written.at, Fault::Twice, what, None);
            }
        }
        Usernames { sources, shared }
    }

    pub(super) fn username_source(
        &mut self,
        written: &UsernameFile,
        issuer: &IssuerFact,
    ) -> Option<Source> {
        match (&written.claim, &written.table) {
            (Some(claim), None) => {
                self.plain(claim, "`claim` of `username`")?;
                self.said(&claim.value, claim.at, issuer)?;
                if !["email", "sub"].contains(&claim.value.as_str()) {
                    self.claim_name(claim)?;
                }
                if claim.value == "email" && written.strip_domain.is_none() {
                    let what = "An e-mail address is no account.";
                    let suggestion = "Add strip_domain = \"example.com\".".to_owned();
                    self.faults.add(claim.at, Fault::Missing, what, suggestion);
                    return None;
                }
                if let Some(domain) = &written.strip_domain
                    && Email::parse(&format!("a@{}", domain.value))
                        .is_none_or(|it| it.as_ref() != format!("a@{}", domain.value))
                {
                    let what = format!("{:?} is no domain in lower case.", domain.value);
                    let suggestion = "Write it without the @: \"example.com\".".to_owned();
                    self.faults
                        .add(domain.at, Fault::BadValue, what, suggestion);
                    return None;
                }
                let strip_domain = written.strip_domain.as_ref().map(|it| it.value.clone());
                Some(Source::Claim {
                    name: claim.value.clone(),
                    strip_domain,
                })
            }
            (None, Some(table)) => {
                if let Some(domain) = &written.strip_domain {
                    let what = "`strip_domain` goes with `claim`, not with `table`.";
                    self.faults
                        .add(domain.at, Fault::BadValue, what, "Remove it.".to_owned());
                }
                self.username_table(table, issuer)
            }
            (Some(_), Some(table)) => {
                let what = "`username` has both a `claim` and a `table`.";
                let suggestion = "Choose one for each issuer.".to_owned();
                self.faults.add(table.at, Fault::Twice, what, suggestion);
                None
            }
            (None, None) => {
                let what = "`username` has neither `claim` nor `table`.";
                let suggestion = "Write claim = \"preferred_username\".".to_owned();
                self.faults
                    .add(written.at, Fault::Missing, what, suggestion);
                None
            }
        }
    }

    pub(super) fn username_table(
        &mut self,
        table: &At<Vec<UserFile>>,
        issuer: &IssuerFact,
    ) -> Option<Source> {
        self.not_empty(table, "`table` of `username`", "Name at least one person.");
        let mut names = HashMap::new();
        for entry in &table.value {
            let user = self.user(entry, issuer);
            let Some(username) = &entry.username else {
                let what = "An entry of `username.table` has no `username`.";
                let suggestion = "Add username = \"alice\".".to_owned();
                self.faults.add(entry.at, Fault::Missing, what, suggestion);
                continue;
            };
            let account = self.account(username);
            if let (Some(user), Some(account)) = (user, account)
                && names.insert(user, account).is_some()
            {
                let what = "`username.table` has two entries for one person.";
                self.faults.add(entry.at, Fault::Twice, what, None);
            }
        }
        Some(Source::Table(names))
    }
}
