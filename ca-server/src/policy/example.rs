//! The policy that `jit-ssh-ca init` writes: commented, and with tests of its own that hold.

use std::fmt::Write as _;

use super::role::{Account, OWN};
use super::{AccountName, NameError, RoleName};

/// `Ops=production-observer:observer`: one group, one role, its accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExampleGrant {
    /// The group, exactly as the issuer writes it; for [`example_for_people`] an e-mail address.
    pub group: String,
    /// The role that its members get.
    pub role: RoleName,
    /// The accounts that the role opens; not empty.
    pub accounts: Vec<Account>,
}

/// Why a text is not `GROUP=ROLE:ACCOUNT[,ACCOUNT…]`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExampleGrantError {
    /// A sign is missing.
    #[error("a grant is written GROUP=ROLE:ACCOUNT, as in Ops=production-observer:observer")]
    Shape,
    /// The group is empty, or looks like a pattern.
    #[error("{0:?} cannot be a group here: write its exact name, without `*`")]
    Group(String),
    /// The role.
    #[error("{0:?} is no name of a role: {1}")]
    Role(String, NameError),
    /// An account.
    #[error("{0:?} is no account: {1}")]
    Account(String, NameError),
}

impl std::str::FromStr for ExampleGrant {
    type Err = ExampleGrantError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Neither a role nor an account can contain `=`; a group can.
        let (group, rest) = text.rsplit_once('=').ok_or(ExampleGrantError::Shape)?;
        let (role, accounts) = rest.split_once(':').ok_or(ExampleGrantError::Shape)?;
        let unusable = group.trim().is_empty()
            || group.trim() != group
            || group.contains('*')
            || group.chars().any(char::is_control)
            || group.chars().count() > 256;
        if unusable {
            return Err(ExampleGrantError::Group(group.to_owned()));
        }
        let role_name =
            RoleName::new(role).map_err(|error| ExampleGrantError::Role(role.to_owned(), error))?;
        let mut named = Vec::new();
        for account in accounts.split(',') {
            let account = match account {
                OWN => Account::Own,
                fixed => Account::Fixed(
                    AccountName::new(fixed)
                        .map_err(|error| ExampleGrantError::Account(fixed.to_owned(), error))?,
                ),
            };
            if !named.contains(&account) {
                named.push(account);
            }
        }
        Ok(ExampleGrant {
            group: group.to_owned(),
            role: role_name,
            accounts: named,
        })
    }
}

/// A commented policy that gives each group its roles. Without any, the usual two: "Ops" observes
/// production, "SRE" administers it. It loads wherever the issuer can say groups.
pub fn example(issuer: &str, grants: &[ExampleGrant]) -> String {
    let usual = [
        "Ops=production-observer:observer",
        "SRE=production-admin:admin",
    ];
    Sample {
        issuer,
        grants: &or(grants, &usual),
        people: People::Groups,
    }
    .text()
}

/// The same for an issuer that never says groups (Google): the "groups" are people's verified
/// e-mail addresses. It loads where the issuer is trusted with them.
pub fn example_for_people(issuer: &str, grants: &[ExampleGrant]) -> String {
    let usual = ["alice@example.com=production-observer:observer"];
    Sample {
        issuer,
        grants: &or(grants, &usual),
        people: People::Addresses,
    }
    .text()
}

fn or(grants: &[ExampleGrant], usual: &[&str]) -> Vec<ExampleGrant> {
    if grants.is_empty() {
        usual.iter().filter_map(|text| text.parse().ok()).collect()
    } else {
        grants.to_vec()
    }
}

/// What [`ExampleGrant::group`] is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum People {
    Groups,
    Addresses,
}

struct Sample<'a> {
    issuer: &'a str,
    grants: &'a [ExampleGrant],
    people: People,
}

impl Sample<'_> {
    fn text(&self) -> String {
        let roles = distinct(self.grants.iter().map(|grant| &grant.role));
        let who = distinct(self.grants.iter().map(|grant| grant.group.as_str()));
        let mut text = String::from(HEAD);
        line(&mut text, &format!("order = [{}]", list(&roles)));
        text.push_str(AFTER_ORDER);
        text.push_str(&self.username(&who));
        for name in &roles {
            text.push_str(&role(name, &self.accounts(name)));
        }
        text.push_str(GRANTS_HEAD);
        for one in &who {
            self.grant(&mut text, one);
        }
        text.push_str(&RIGHTS.replace("ISSUER", &quoted(self.issuer)));
        text.push_str(TESTS_HEAD);
        for one in &who {
            let may = self.roles(one);
            let may_not: Vec<&RoleName> = roles
                .iter()
                .copied()
                .filter(|name| !may.contains(name))
                .collect();
            self.test(&mut text, &self.person(one), &may, &may_not);
        }
        let nobody = match self.people {
            People::Groups => "groups = []",
            People::Addresses => "subject = \"somebody-else\"",
        };
        self.test(&mut text, nobody, &[], &roles);
        text
    }

    fn roles(&self, group: &str) -> Vec<&RoleName> {
        let grants = self.grants.iter().filter(|grant| grant.group == group);
        distinct(grants.map(|grant| &grant.role))
    }

    fn accounts(&self, role: &RoleName) -> Vec<&Account> {
        let grants = self.grants.iter().filter(|grant| grant.role == *role);
        distinct(grants.flat_map(|grant| &grant.accounts))
    }

    fn has(&self, account: &Account) -> bool {
        self.grants
            .iter()
            .any(|grant| grant.accounts.contains(account))
    }

    /// `[username]`, where some role opens people's own accounts; else how it would be.
    fn username(&self, who: &[&str]) -> String {
        match (self.has(&Account::Own), self.people) {
            (false, _) => USERNAME_COMMENTED.to_owned(),
            (true, People::Groups) => USERNAME.to_owned(),
            (true, People::Addresses) => {
                let entry = |address: &&str| {
                    let account = quoted(&account_of(address));
                    format!(
                        "    {{ email = {}, username = {account} }},\n",
                        quoted(address)
                    )
                };
                let entries: String = who.iter().map(entry).collect();
                format!("{USERNAME_TABLE}[username]\ntable = [\n{entries}]\n\n")
            }
        }
    }

    fn grant(&self, text: &mut String, who: &str) {
        line(text, "[[grants]]");
        line(text, &format!("issuer = {}", quoted(self.issuer)));
        match self.people {
            People::Groups => line(text, &format!("groups = [{}]", quoted(who))),
            People::Addresses => line(text, &format!("users  = [{{ email = {} }}]", quoted(who))),
        }
        line(text, &format!("roles  = [{}]\n", list(&self.roles(who))));
    }

    /// The keys of a test's `who`; a role with `{username}` needs somebody who has one.
    fn person(&self, who: &str) -> String {
        match (self.people, self.has(&Account::Own)) {
            (People::Addresses, _) => format!("email = {}", quoted(who)),
            (People::Groups, false) => format!("groups = [{}]", quoted(who)),
            (People::Groups, true) => format!(
                "groups = [{}], claims = {{ preferred_username = {} }}",
                quoted(who),
                quoted(self.somebody())
            ),
        }
    }

    /// An account name that no role opens to several.
    fn somebody(&self) -> &'static str {
        let free = |name: &&&str| {
            AccountName::new(name).is_ok_and(|name| !self.has(&Account::Fixed(name)))
        };
        ["alice", "bob", "carol", "dave"]
            .iter()
            .find(free)
            .copied()
            .unwrap_or("erin")
    }

    fn test(&self, text: &mut String, who: &str, may: &[&RoleName], may_not: &[&RoleName]) {
        line(text, "[[tests]]");
        line(
            text,
            &format!("who     = {{ issuer = {}, {who} }}", quoted(self.issuer)),
        );
        if !may.is_empty() {
            line(text, &format!("may     = [{}]", list(may)));
        }
        if !may_not.is_empty() {
            line(text, &format!("may_not = [{}]", list(may_not)));
        }
        text.push('\n');
    }
}

/// What could be the account of that address: a proposal for whoever reads the file.
fn account_of(address: &str) -> String {
    let local = address
        .split('@')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let good = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-' || *c == '_';
    let local: String = local.chars().filter(good).take(32).collect();
    let local = local
        .trim_start_matches(|c: char| !c.is_ascii_lowercase())
        .to_owned();
    if local.is_empty() {
        "user".to_owned()
    } else {
        local
    }
}

fn role(name: &RoleName, accounts: &[&Account]) -> String {
    let written: Vec<String> = accounts.iter().map(|it| quoted(&it.to_string())).collect();
    let powerful = is_powerful(name, accounts);
    let mut text = String::new();
    line(&mut text, &format!("[roles.{name}]"));
    line(
        &mut text,
        &format!("description  = {}", quoted(&description(name))),
    );
    line(
        &mut text,
        &format!("accounts     = [{}]", written.join(", ")),
    );
    if powerful {
        line(
            &mut text,
            "max_validity = \"5m\"           # short: whoever has it can change things",
        );
    } else {
        line(&mut text, "max_validity = \"15m\"");
    }
    line(&mut text, "extensions   = [\"permit-pty\"]\n");
    text
}

fn description(name: &RoleName) -> String {
    match name.as_str() {
        "production-observer" => "Look at production".to_owned(),
        "production-admin" => "Administer production".to_owned(),
        other => {
            let words = other.replace('-', " ");
            let mut letters = words.chars();
            let first = letters.next().map(|first| first.to_ascii_uppercase());
            first.into_iter().chain(letters).collect()
        }
    }
}

/// Gets five minutes instead of fifteen: the role or an account says "admin" or "root".
fn is_powerful(name: &RoleName, accounts: &[&Account]) -> bool {
    let strong = |text: &str| text.contains("admin") || text.contains("root");
    strong(name.as_str()) || accounts.iter().any(|account| strong(&account.to_string()))
}

/// Each once, in the order of their first appearance.
fn distinct<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut distinct = Vec::new();
    for one in all {
        if !distinct.contains(&one) {
            distinct.push(one);
        }
    }
    distinct
}

fn list(names: &[&RoleName]) -> String {
    names
        .iter()
        .map(|name| quoted(name.as_str()))
        .collect::<Vec<_>>()
        .join(", ")
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

const HEAD: &str = r#"# Who may have which certificate. docs/policy.md has every key with an example.
#
# Names are exact and nothing is implied: an unknown key, an empty list or a test that fails keeps
# the whole file from loading, and the policy before it stays in force.
#
#   jit-ssh-ca policy check        what is wrong with this file, with line and column
#   jit-ssh-ca policy explain …    what somebody would get, and what stands against the rest

# Which role a plain `ssh` takes first, of those that somebody may have.
"#;

const AFTER_ORDER: &str = r#"
# What stands in the certificates: "roles" (role:NAME; each host knows which accounts a role opens)
# or "accounts" (account names, for hosts that only set TrustedUserCAKeys).
principals = "roles"

"#;

const USERNAME: &str = r#"# The account that "{username}" stands for: this claim, if it is a plain Unix account name. Take one
# that people cannot change themselves. strip_domain = "example.com" cuts "@example.com" off.
[username]
claim = "preferred_username"

"#;

const USERNAME_TABLE: &str = r#"# The account that "{username}" stands for, person by person. Check each.
"#;

const USERNAME_COMMENTED: &str = r#"# For roles on people's own accounts, accounts = ["{username}"]: which account that is.
# [username]
# claim = "preferred_username"

"#;

const GRANTS_HEAD: &str = r"# Who gets which role: members of any of the groups, exactly as the identity provider writes them.
# Also users = [{ email = … }] and claims = { … }; what stands in one grant must all hold.

";

const RIGHTS: &str = r#"# Who may do what at the CA itself: audit, logins, policy, keys, hosts, revoke.
# [[rights]]
# issuer = ISSUER
# groups = ["Security"]
# may    = ["audit", "logins", "policy", "keys", "hosts", "revoke"]

"#;

const TESTS_HEAD: &str = r"# The policy's own tests: it does not load when one fails.

";
