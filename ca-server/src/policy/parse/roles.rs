//! `order` and `[roles.NAME]`: every limit is bounded, every account and network is one.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use jit_ssh_api::host::{Labels, is_label};

use super::Parser;
use crate::policy::RoleName;
use crate::policy::error::Fault;
use crate::policy::file::{File, RoleFile, Text, Texts};
use crate::policy::role::{Account, Extension, OWN, Role};
use crate::policy::rule::source::{Cidr, CidrError};

impl Parser<'_> {
    /// The roles by `order`, then by name.
    pub(super) fn read_roles(&mut self, file: &File) {
        if file.roles.is_empty() {
            let what = "The policy has no roles: nobody could ever have a certificate.";
            let suggestion = "Write [roles.NAME] with accounts and max_validity.".to_owned();
            self.faults.add(0, Fault::Missing, what, suggestion);
        }
        let written: HashSet<&str> = file
            .roles
            .iter()
            .map(|role| role.name.value.as_str())
            .collect();
        let mut ranks: HashMap<&str, usize> = HashMap::new();
        for name in file.order.iter().flat_map(|order| &order.value) {
            let rank = ranks.len();
            if !written.contains(name.value.as_str()) {
                let names: Vec<&str> = written.iter().copied().collect();
                self.unknown_role("`order`", name, &names);
            } else if ranks.insert(&name.value, rank).is_some() {
                let what = format!("`order` names {:?} twice.", name.value);
                self.faults.add(name.at, Fault::Twice, what, None);
            }
        }
        let mut roles: Vec<&RoleFile> = file.roles.iter().collect();
        roles.sort_by_key(|role| {
            let name = role.name.value.as_str();
            (ranks.get(name).copied().unwrap_or(usize::MAX), name)
        });
        for role in roles {
            self.places
                .insert(role.name.value.clone(), self.roles.len());
            let has_username = !file.username.is_empty();
            let role = self.role(role, has_username);
            self.roles.push(role);
        }
    }

    /// A role with faults is read as far as it goes, so that what names it finds it: the policy
    /// does not load anyway.
    pub(super) fn role(&mut self, file: &RoleFile, has_username: bool) -> Role {
        let section = format!("`roles.{}`", file.name.value);
        let name = RoleName::new(&file.name.value).unwrap_or_else(|error| {
            let what = format!("{:?} is no name of a role: {error}.", file.name.value);
            let suggestion = "Use lower-case letters, digits and hyphens.".to_owned();
            self.faults
                .add(file.name.at, Fault::BadValue, what, suggestion);
            RoleName::unnamed()
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
            hosts: self.hosts(file, &section),
        }
    }

    pub(super) fn hosts(&mut self, file: &RoleFile, section: &str) -> Labels {
        let mut labels = Labels::new();
        let Some(written) = &file.hosts else {
            return labels;
        };
        let example = "Leave it out where the role is for every host, or write \
                       hosts = { env = \"production\" }.";
        if written.value.is_empty() {
            let what = format!("`hosts` of {section} asks for no label.");
            self.faults
                .add(written.at, Fault::Empty, what, example.to_owned());
        }
        for (name, value) in &written.value {
            for text in [name, value] {
                if !is_label(&text.value) {
                    let what = format!("{:?} cannot stand in a label of a host.", text.value);
                    let suggestion = "Use lower-case letters, digits, dots, hyphens and underscores; at most 63.";
                    self.faults
                        .add(text.at, Fault::BadValue, what, suggestion.to_owned());
                }
            }
            labels.insert(name.value.clone(), value.value.clone());
        }
        labels
    }

    pub(super) fn accounts(
        &mut self,
        file: &RoleFile,
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

    pub(super) fn extensions(&mut self, written: Option<&Texts>) -> BTreeSet<Extension> {
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

    pub(super) fn networks(&mut self, written: Option<&Texts>, section: &str) -> Vec<Cidr> {
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

    pub(super) fn duration(&mut self, key: &str, written: &Text) -> Duration {
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
