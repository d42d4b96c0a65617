//! What is written ──► what is checked. Every name is looked up, every limit is bounded, and every
//! matcher has something in it, or the policy does not load (A24). Faults do not stop the reading:
//! all of them are told at once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use serde_json::Value;

use super::error::{Fault, Faults, PolicyErrors, did_you_mean, position};
use super::explain::Person;
use super::file::{self, At, ClaimFile, File, Text, Texts, UserFile};
use super::grant::{ClaimValue, Granting, Index, Matcher, User};
use super::principal::{AccountName, NameError, RoleName};
use super::right::Right;
use super::role::{Account, Extension, OWN, Role};
use super::rule::source::{Cidr, CidrError};
use super::rule::{Mode, groups};
use super::tests::Test;
use super::username::{Source, Usernames};
use super::{IssuerFact, IssuerFacts, Policy, digest};
use crate::identity::Email;

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
/// names; one that names none gets a placeholder, which no token can come from.
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

    /// The roles by `order`, then by name.
    fn read_roles(&mut self, file: &File) {
        if file.roles.is_empty() {
            let what = "The policy has no roles: nobody could ever have a certificate.";
            let suggestion = "Write [roles.NAME] with accounts and max_validity.".to_owned();
            self.faults.add(0, Fault::Missing, what, suggestion);
        }
        let mut names = Vec::new();
        let written: Vec<&str> = file
            .roles
            .iter()
            .map(|role| role.name.value.as_str())
            .collect();
        for name in file.order.iter().flat_map(|order| &order.value) {
            if !written.contains(&name.value.as_str()) {
                self.unknown_role("order", name, &written);
            } else if names.contains(&name.value.as_str()) {
                let what = format!("`order` names {:?} twice.", name.value);
                self.faults.add(name.at, Fault::Twice, what, None);
            } else {
                names.push(&name.value);
            }
        }
        let (mut first, mut rest): (Vec<_>, Vec<_>) = file
            .roles
            .iter()
            .partition(|role| names.contains(&role.name.value.as_str()));
        first.sort_by_key(|role| names.iter().position(|name| *name == role.name.value));
        rest.sort_by_key(|role| &role.name.value);
        for role in first.into_iter().chain(rest) {
            self.places
                .insert(role.name.value.clone(), self.roles.len());
            let has_username = !file.username.is_empty();
            let role = self.role(role, has_username);
            self.roles.push(role);
        }
    }

    /// A role with faults is read as far as it goes, so that what names it finds it: the policy
    /// does not load anyway.
    fn role(&mut self, file: &file::RoleFile, has_username: bool) -> Role {
        let section = format!("`roles.{}`", file.name.value);
        let name = RoleName::new(&file.name.value).unwrap_or_else(|error| {
            let what = format!("{:?} is no name of a role: {error}.", file.name.value);
            let suggestion = "Use lower-case letters, digits and hyphens.".to_owned();
            self.faults
                .add(file.name.at, Fault::BadValue, what, suggestion);
            RoleName::placeholder()
        });
        let description = file.description.as_ref().map_or("", |it| it.value.as_str());
        if let Some(written) = &file.description
            && (description.chars().any(char::is_control) || description.chars().count() > 300)
        {
            let what = format!("The description of {section} is more than one short line.");
            self.faults.add(written.at, Fault::BadValue, what, None);
        }
        let accounts = self.accounts(file, &section, has_username);
        let max_validity = match &file.max_validity {
            Some(written) => self.duration("max_validity", written),
            None => {
                let what = format!("{section} has no `max_validity`.");
                let suggestion = "Write how long its certificates may live: \"15m\".".to_owned();
                self.faults
                    .add(file.name.at, Fault::Missing, what, suggestion);
                Duration::ZERO
            }
        };
        Role {
            name,
            description: description.to_owned(),
            accounts,
            max_validity,
            extensions: self.extensions(file.extensions.as_ref()),
            source: self.networks(file.source.as_ref(), &section),
            outage_grace: file
                .issuer_outage_grace
                .as_ref()
                .map(|written| self.duration("issuer_outage_grace", written)),
        }
    }

    fn accounts(
        &mut self,
        file: &file::RoleFile,
        section: &str,
        has_username: bool,
    ) -> Vec<Account> {
        let example = "Write the Unix accounts that it opens: accounts = [\"observer\"].";
        let Some(written) = &file.accounts else {
            let what = format!("{section} has no `accounts`.");
            self.faults
                .add(file.name.at, Fault::Missing, what, Some(example.to_owned()));
            return Vec::new();
        };
        self.not_empty(written, &format!("`accounts` of {section}"), example);
        if written.value.len() > MOST_ACCOUNTS {
            let what = format!("{section} has more than {MOST_ACCOUNTS} accounts.");
            self.faults.add(written.at, Fault::BadValue, what, None);
        }
        let mut accounts = Vec::new();
        for text in &written.value {
            let account = if text.value == OWN {
                if !has_username {
                    let what = format!("{section} opens {OWN}, and no [username] says which.");
                    let suggestion = "Write [username] with a claim or a table.".to_owned();
                    self.faults.add(text.at, Fault::Missing, what, suggestion);
                }
                Account::Own
            } else {
                match self.account(text) {
                    Some(name) => Account::Fixed(name),
                    None => continue,
                }
            };
            if accounts.contains(&account) {
                let what = format!("{section} names the account {account} twice.");
                self.faults.add(text.at, Fault::Twice, what, None);
            } else {
                accounts.push(account);
            }
        }
        accounts
    }

    fn account(&mut self, text: &Text) -> Option<AccountName> {
        let error = match AccountName::new(&text.value) {
            Ok(name) => return Some(name),
            Err(error) => error,
        };
        let lower = text.value.to_ascii_lowercase();
        let suggestion = match &error {
            NameError::Character('{' | '}') | NameError::Start('{') => Some(format!(
                "The person's own account is written \"{OWN}\", alone."
            )),
            _ if AccountName::new(&lower).is_ok() => Some(format!("Did you mean `{lower}`?")),
            _ => Some("Account names are [a-z_][a-z0-9_-]*, at most 32 characters.".to_owned()),
        };
        let what = format!("{:?} is no account: {error}.", text.value);
        self.faults.add(text.at, Fault::BadValue, what, suggestion);
        None
    }

    fn extensions(&mut self, written: Option<&Texts>) -> BTreeSet<Extension> {
        let mut extensions = BTreeSet::new();
        for text in written.iter().flat_map(|written| &written.value) {
            match Extension::from_name(&text.value) {
                Some(extension) if extensions.insert(extension) => {}
                Some(extension) => {
                    let what = format!("{extension} stands here twice.");
                    self.faults.add(text.at, Fault::Twice, what, None);
                }
                None if text.value == "permit-user-rc" => {
                    let what = "permit-user-rc is never given: sshd would run the person's \
                                ~/.ssh/rc before everything else.";
                    self.faults
                        .add(text.at, Fault::BadValue, what, "Remove it.".to_owned());
                }
                None => {
                    let names: Vec<&str> = Extension::ALL.iter().map(|it| it.name()).collect();
                    let suggestion = self
                        .similar(&text.value, names.iter().copied())
                        .unwrap_or_else(|| format!("There are {}.", names.join(", ")));
                    let what = format!("{:?} is no extension of a certificate.", text.value);
                    self.faults.add(text.at, Fault::BadValue, what, suggestion);
                }
            }
        }
        extensions
    }

    fn networks(&mut self, written: Option<&Texts>, section: &str) -> Vec<Cidr> {
        let Some(written) = written else {
            return Vec::new();
        };
        let example = "Leave it out where the role may be used from everywhere.";
        self.not_empty(written, &format!("`source` of {section}"), example);
        if written.value.len() > MOST_NETWORKS {
            let what = format!("`source` of {section} has more than {MOST_NETWORKS} networks.");
            self.faults.add(written.at, Fault::BadValue, what, None);
        }
        let mut networks = Vec::new();
        for text in &written.value {
            let what = match Cidr::new(&text.value) {
                Ok(network) if networks.contains(&network) => {
                    let what = format!("{network} stands here twice.");
                    self.faults.add(text.at, Fault::Twice, what, None);
                    continue;
                }
                Ok(network) => {
                    networks.push(network);
                    continue;
                }
                Err(error) => {
                    let what = format!("{:?} is no network: {error}.", text.value);
                    let suggestion = match error {
                        CidrError::HostBits { network } => format!("Did you mean {network}?"),
                        CidrError::Shape => match text.value.parse::<IpAddr>() {
                            Ok(IpAddr::V4(one)) => format!("Did you mean {one}/32?"),
                            Ok(IpAddr::V6(one)) => format!("Did you mean {one}/128?"),
                            Err(_) => "Write it like 10.0.0.0/8 or 2001:db8::/32.".to_owned(),
                        },
                        CidrError::Prefix { .. } if text.value.ends_with("/0") => {
                            example.to_owned()
                        }
                        _ => "Write it like 10.0.0.0/8 or 2001:db8::/32.".to_owned(),
                    };
                    (what, suggestion)
                }
            };
            self.faults.add(text.at, Fault::BadValue, what.0, what.1);
        }
        networks
    }

    fn duration(&mut self, key: &str, written: &Text) -> Duration {
        let fault = match duration(&written.value) {
            Some(duration) if (SHORTEST..=LONGEST).contains(&duration) => return duration,
            Some(_) => format!("`{key}` must be from 1s to 24h, not {:?}.", written.value),
            None => format!("`{key}` cannot be {:?}.", written.value),
        };
        let suggestion = "Write a whole number with s, m or h: \"15m\".".to_owned();
        self.faults
            .add(written.at, Fault::BadValue, fault, suggestion);
        SHORTEST
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

    fn usernames(&mut self, file: &File) -> Usernames {
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

    fn username_source(
        &mut self,
        written: &file::UsernameFile,
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

    fn username_table(&mut self, table: &At<Vec<UserFile>>, issuer: &IssuerFact) -> Option<Source> {
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

    fn grants(&mut self, file: &File, usernames: &Usernames) -> Vec<Granting> {
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
    fn roles_of(
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

    fn place(&mut self, section: &str, name: &Text) -> Option<usize> {
        let place = self.places.get(&name.value).copied();
        if place.is_none() {
            let places = std::mem::take(&mut self.places);
            let names: Vec<&str> = places.keys().map(String::as_str).collect();
            self.unknown_role(section, name, &names);
            self.places = places;
        }
        place
    }

    fn unknown_role(&mut self, section: &str, name: &Text, names: &[&str]) {
        let suggestion = self.similar(&name.value, names.iter().copied());
        let what = format!(
            "{section} names {:?}, which is no role of this policy.",
            name.value
        );
        self.faults
            .add(name.at, Fault::UnknownRole, what, suggestion);
    }

    fn rights(&mut self, file: &File) -> Vec<Granting> {
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

    fn some_rights(&mut self, written: &Texts) -> BTreeSet<Right> {
        let mut rights = BTreeSet::new();
        for text in &written.value {
            if let Some(right) = Right::from_name(&text.value) {
                rights.insert(right);
            } else if LATER_RIGHTS.contains(&text.value.as_str()) {
                let what = format!("The right {:?} is not supported yet.", text.value);
                let suggestion = "Remove it, or wait for the version that has it.".to_owned();
                self.faults
                    .add(text.at, Fault::NotSupportedYet, what, suggestion);
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

    fn matcher(&mut self, written: &file::MatcherFile, section: &str) -> Option<Matcher> {
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

    fn groups(
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

    fn user(&mut self, entry: &UserFile, issuer: &IssuerFact) -> Option<User> {
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

    fn email(&mut self, written: &Text) -> Option<Email> {
        let email = Email::parse(&written.value);
        if email.is_none() {
            let what = format!("{:?} is no plain e-mail address.", written.value);
            self.faults.add(written.at, Fault::BadValue, what, None);
        }
        email
    }

    fn claims(
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

    fn claim_name(&mut self, name: &Text) -> Option<()> {
        let Some((_, instead)) = RESERVED_CLAIMS
            .iter()
            .find(|(claim, _)| *claim == name.value)
        else {
            return self.plain(name, "A claim");
        };
        let what = format!("The claim `{}` cannot be asked for here.", name.value);
        self.faults
            .add(name.at, Fault::BadValue, what, Some((*instead).to_owned()));
        None
    }

    /// The issuer can say this claim at all.
    fn said(&mut self, claim: &str, at: usize, issuer: &IssuerFact) -> Option<()> {
        if !issuer.never_says.contains(claim) {
            return Some(());
        }
        let what = format!("{} never says `{claim}`.", issuer.issuer);
        let suggestion = match claim {
            "groups" => "Grant to users, or configure where its groups come from.",
            "email" => "Grant by subject, or set trust_email where the issuer owns the domain.",
            _ => "Ask for something that it says (docs/idp has a page for each provider).",
        };
        self.faults
            .add(at, Fault::NeverSaid, what, Some(suggestion.to_owned()));
        None
    }

    fn issuer(&mut self, section: &str, written: Option<&Text>, at: usize) -> Option<IssuerFact> {
        let issuers = std::mem::take(&mut self.issuers);
        let found = match (written, issuers.as_slice()) {
            (Some(text), all) => {
                let found = all.iter().find(|it| it.issuer == text.value).cloned();
                if found.is_none() {
                    let names = || all.iter().map(|it| it.issuer.as_str());
                    let configured = names().collect::<Vec<_>>().join(", ");
                    let suggestion = self
                        .similar(&text.value, names())
                        .unwrap_or_else(|| format!("There is {configured}."));
                    let what = format!("{section} names {:?}, no issuer here.", text.value);
                    self.faults.add(text.at, Fault::Issuer, what, suggestion);
                }
                found
            }
            (None, [only]) => Some(only.clone()),
            (None, all) => {
                let names: Vec<&str> = all.iter().map(|it| it.issuer.as_str()).collect();
                let what = format!("{section} names no issuer, and there are several.");
                let suggestion = format!("Add issuer = \"…\", one of {}.", names.join(", "));
                self.faults.add(at, Fault::Issuer, what, suggestion);
                None
            }
        };
        self.issuers = issuers;
        found
    }

    fn test(&mut self, written: &file::TestFile) -> Option<Test> {
        let Some(who) = &written.who else {
            let what = "A test says of nobody whom it is about.";
            let suggestion = "Add who = { groups = [\"…\"] }.".to_owned();
            self.faults
                .add(written.at, Fault::Missing, what, suggestion);
            return None;
        };
        let before = self.faults.count();
        let expects = [
            &written.may,
            &written.may_not,
            &written.accounts,
            &written.rights,
        ];
        if expects.iter().all(|list| list.is_none()) {
            let what = "A test expects nothing.";
            let suggestion = "Add may, may_not, accounts or rights.".to_owned();
            self.faults
                .add(written.at, Fault::Missing, what, suggestion);
        }
        for (list, name) in [(&written.may, "may"), (&written.may_not, "may_not")] {
            if let Some(list) = list {
                self.not_empty(
                    list,
                    &format!("`{name}` of a test"),
                    "Name at least one role.",
                );
            }
        }
        let person = self.person(who)?;
        let source = match &written.source {
            Some(text) => {
                let address = text.value.parse().ok();
                if address.is_none() {
                    let what = format!("{:?} is no address.", text.value);
                    self.faults.add(text.at, Fault::BadValue, what, None);
                }
                address
            }
            None => None,
        };
        let places = |parser: &mut Self, list: &Option<Texts>| -> Vec<usize> {
            let names = list.iter().flat_map(|list| &list.value);
            names
                .filter_map(|name| parser.place("A test", name))
                .collect()
        };
        let (may, may_not) = (places(self, &written.may), places(self, &written.may_not));
        let accounts = written.accounts.as_ref().map(|list| {
            list.value
                .iter()
                .filter_map(|text| self.account(text))
                .collect()
        });
        let rights = written.rights.as_ref().map(|list| self.some_rights(list));
        let (line, column) = position(self.text, written.at);
        let at = written.at;
        let test = Test {
            at,
            line,
            column,
            person,
            source,
            may,
            may_not,
            accounts,
            rights,
        };
        (self.faults.count() == before).then_some(test)
    }

    fn person(&mut self, who: &file::WhoFile) -> Option<Person> {
        let issuer = self.issuer("`who` of a test", who.issuer.as_ref(), who.at)?;
        let mut person = Person::of(&issuer.issuer);
        if let Some(subject) = &who.subject {
            self.plain(subject, "A subject")?;
            person.subject.clone_from(&subject.value);
        }
        if let Some(written) = &who.email {
            self.said("email", written.at, &issuer)?;
            person.email = Some(self.email(written)?);
        }
        if let Some(groups) = &who.groups {
            if !groups.value.is_empty() {
                self.said("groups", groups.at, &issuer)?;
            }
            person.groups = groups
                .value
                .iter()
                .map(|group| group.value.clone())
                .collect();
        }
        for ClaimFile { name, value } in who.claims.iter().flat_map(|claims| &claims.value) {
            self.claim_name(name)?;
            self.said(&name.value, name.at, &issuer)?;
            person.say(&name.value, value.clone());
        }
        Some(person)
    }

    fn not_empty<T>(&mut self, list: &At<Vec<T>>, name: &str, suggestion: &str) {
        if list.value.is_empty() {
            let what = format!("{name} has nothing in it.");
            self.faults
                .add(list.at, Fault::Empty, what, Some(suggestion.to_owned()));
        }
    }

    /// Something that can be read in one way only: not empty, no blanks around it, nothing unseen.
    fn plain(&mut self, text: &Text, name: &str) -> Option<()> {
        let value = &text.value;
        if value.trim().is_empty() {
            let what = format!("{name} cannot be {value:?}.");
            self.faults.add(text.at, Fault::Empty, what, None);
            return None;
        }
        let long = value.chars().count() > MOST_CHARACTERS;
        if value.trim() != value || value.chars().any(char::is_control) || long {
            let what = format!("{name} cannot be {}.", super::username::shown(value));
            let suggestion = "No blanks around it, no control characters, at most 256.".to_owned();
            self.faults.add(text.at, Fault::BadValue, what, suggestion);
            return None;
        }
        Some(())
    }

    fn similar<'n>(
        &self,
        written: &str,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Option<String> {
        if self.faults.is_full() {
            None
        } else {
            did_you_mean(written, names)
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

/// `15m`, `8h`, `90s`
fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    number
        .parse::<u64>()
        .ok()?
        .checked_mul(seconds)
        .map(Duration::from_secs)
}

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// sshd takes 256 principals of a certificate; nobody needs a quarter of that.
const MOST_ACCOUNTS: usize = 64;
const MOST_NETWORKS: usize = 64;
const MOST_CHARACTERS: usize = 256;

const LATER_RIGHTS: &[&str] = &[
    "revoke", "hosts", "sessions", "requests", "approve", "lock", "erase", "export",
];

/// Claims that mean something to the CA itself, and what to use instead.
const RESERVED_CLAIMS: &[(&str, &str)] = &[
    ("groups", "Use groups = [\"…\"]."),
    ("email", "Use users = [{ email = \"…\" }]."),
    (
        "email_verified",
        "An address that is not verified never counts.",
    ),
    ("sub", "Use users = [{ subject = \"…\" }]."),
    ("iss", "Use issuer = \"…\"."),
    ("aud", "The audience is the configuration's business."),
    ("azp", "The audience is the configuration's business."),
    ("exp", "Times are judged before the policy is asked."),
    ("iat", "Times are judged before the policy is asked."),
    ("nbf", "Times are judged before the policy is asked."),
    ("auth_time", "Times are judged before the policy is asked."),
    ("nonce", "It is another one at every sign-in."),
    ("jti", "It is another one at every sign-in."),
    ("at_hash", "It is another one at every sign-in."),
];
