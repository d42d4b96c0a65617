//! The policy's TOML as it is written: every value with its place, every key known, every type
//! right. What the values mean is [`super::parse`]'s business; nothing else sees these types.
//!
//! Written by hand over toml's spanned tree rather than with serde, which stops at its first error.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Fault, Faults, did_you_mean};

/// A value and where it stands (byte offset).
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) at: usize,
}

pub(super) type Text = At<String>;
pub(super) type Texts = At<Vec<Text>>;

/// The whole file.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) order: Option<Texts>,
    pub(super) principals: Option<Text>,
    pub(super) username: Vec<UsernameFile>,
    pub(super) roles: Vec<RoleFile>,
    pub(super) grants: Vec<GrantFile>,
    pub(super) rights: Vec<RightsFile>,
    pub(super) tests: Vec<TestFile>,
}

/// `[username]` or `[[username]]`
#[derive(Debug)]
pub(super) struct UsernameFile {
    pub(super) at: usize,
    pub(super) issuer: Option<Text>,
    pub(super) claim: Option<Text>,
    pub(super) strip_domain: Option<Text>,
    pub(super) table: Option<At<Vec<UserFile>>>,
}

/// `[roles.NAME]`
#[derive(Debug)]
pub(super) struct RoleFile {
    pub(super) name: Text,
    pub(super) description: Option<Text>,
    pub(super) accounts: Option<Texts>,
    pub(super) max_validity: Option<Text>,
    pub(super) extensions: Option<Texts>,
    pub(super) source: Option<Texts>,
    pub(super) issuer_outage_grace: Option<Text>,
}

/// Who: the part that `[[grants]]` and `[[rights]]` share.
#[derive(Debug)]
pub(super) struct MatcherFile {
    pub(super) at: usize,
    pub(super) issuer: Option<Text>,
    pub(super) groups: Option<Texts>,
    pub(super) users: Option<At<Vec<UserFile>>>,
    pub(super) claims: Option<At<Vec<ClaimFile>>>,
}

/// `{ subject = "…" }` or `{ email = "…" }`, in a username table with `username = "…"`.
#[derive(Debug)]
pub(super) struct UserFile {
    pub(super) at: usize,
    pub(super) subject: Option<Text>,
    pub(super) email: Option<Text>,
    pub(super) username: Option<Text>,
}

/// `NAME = VALUE` of `claims`
#[derive(Debug)]
pub(super) struct ClaimFile {
    pub(super) name: Text,
    pub(super) value: serde_json::Value,
}

/// `[[grants]]`
#[derive(Debug)]
pub(super) struct GrantFile {
    pub(super) who: MatcherFile,
    pub(super) roles: Option<Texts>,
}

/// `[[rights]]`
#[derive(Debug)]
pub(super) struct RightsFile {
    pub(super) who: MatcherFile,
    pub(super) may: Option<Texts>,
}

/// `[[tests]]`
#[derive(Debug)]
pub(super) struct TestFile {
    pub(super) at: usize,
    pub(super) who: Option<WhoFile>,
    pub(super) source: Option<Text>,
    pub(super) may: Option<Texts>,
    pub(super) may_not: Option<Texts>,
    pub(super) accounts: Option<Texts>,
    pub(super) rights: Option<Texts>,
}

/// `who` of a test: one person.
#[derive(Debug)]
pub(super) struct WhoFile {
    pub(super) at: usize,
    pub(super) issuer: Option<Text>,
    pub(super) subject: Option<Text>,
    pub(super) email: Option<Text>,
    pub(super) groups: Option<Texts>,
    pub(super) claims: Option<At<Vec<ClaimFile>>>,
}

/// Reads a file as far as it can be read; faults are noted.
pub(super) fn read(text: &str, faults: &mut Faults<'_>) -> File {
    if text.len() > MOST_BYTES {
        let what = format!(
            "The policy has {} bytes; at most {MOST_BYTES} are read.",
            text.len()
        );
        faults.add(0, Fault::Syntax, what, None);
        return File::default();
    }
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let at = error.span().map_or(0, |span| span.start);
        faults.add(
            at,
            Fault::Syntax,
            format!("This is not TOML: {}.", error.message()),
            None,
        );
    }
    if !errors.is_empty() {
        return File::default();
    }
    file(
        &Section {
            name: String::new(),
            at: 0,
            table: document.get_ref(),
        },
        faults,
    )
}

fn file(top: &Section<'_>, faults: &mut Faults<'_>) -> File {
    let keys = [
        "order",
        "principals",
        "username",
        "roles",
        "grants",
        "rights",
        "tests",
    ];
    top.keys(
        &keys,
        &[
            "hosts",
            "sessions",
            "requests",
            "recording",
            "notify",
            "tasks",
        ],
        faults,
    );
    File {
        order: top.texts("order", faults),
        principals: top.text("principals", faults),
        username: top
            .one_or_more("username", faults)
            .iter()
            .map(|it| username(it, faults))
            .collect(),
        roles: top
            .children("roles", faults)
            .iter()
            .map(|it| role(it, faults))
            .collect(),
        grants: top
            .many("grants", faults)
            .iter()
            .map(|it| grant(it, faults))
            .collect(),
        rights: top
            .many("rights", faults)
            .iter()
            .map(|it| rights(it, faults))
            .collect(),
        tests: top
            .many("tests", faults)
            .iter()
            .map(|it| test(it, faults))
            .collect(),
    }
}

fn username(section: &Section<'_>, faults: &mut Faults<'_>) -> UsernameFile {
    section.keys(&["issuer", "claim", "strip_domain", "table"], &[], faults);
    UsernameFile {
        at: section.at,
        issuer: section.text("issuer", faults),
        claim: section.text("claim", faults),
        strip_domain: section.text("strip_domain", faults),
        table: users(section, "table", &["subject", "email", "username"], faults),
    }
}

fn role((name, section): &(Text, Section<'_>), faults: &mut Faults<'_>) -> RoleFile {
    let keys = [
        "description",
        "accounts",
        "max_validity",
        "extensions",
        "source",
        "issuer_outage_grace",
    ];
    let later = [
        "hosts",
        "record",
        "read_only",
        "at_end",
        "approval",
        "reason",
        "authentication",
        "hours",
        "command",
        "commands",
        "extend",
        "idle",
        "max_sessions",
        "tasks",
    ];
    section.keys(&keys, &later, faults);
    RoleFile {
        name: name.clone(),
        description: section.text("description", faults),
        accounts: section.texts("accounts", faults),
        max_validity: section.text("max_validity", faults),
        extensions: section.texts("extensions", faults),
        source: section.texts("source", faults),
        issuer_outage_grace: section.text("issuer_outage_grace", faults),
    }
}

fn grant(section: &Section<'_>, faults: &mut Faults<'_>) -> GrantFile {
    let keys = ["issuer", "groups", "users", "claims", "roles"];
    let later = [
        "hosts",
        "until",
        "hours",
        "reason",
        "approval",
        "authentication",
    ];
    section.keys(&keys, &later, faults);
    GrantFile {
        who: matcher(section, faults),
        roles: section.texts("roles", faults),
    }
}

fn rights(section: &Section<'_>, faults: &mut Faults<'_>) -> RightsFile {
    let keys = ["issuer", "groups", "users", "claims", "may"];
    section.keys(
        &keys,
        &["hosts", "until", "hours", "authentication"],
        faults,
    );
    RightsFile {
        who: matcher(section, faults),
        may: section.texts("may", faults),
    }
}

fn test(section: &Section<'_>, faults: &mut Faults<'_>) -> TestFile {
    let keys = ["who", "source", "may", "may_not", "accounts", "rights"];
    section.keys(
        &keys,
        &["hosts", "at", "reason", "approval", "authentication"],
        faults,
    );
    TestFile {
        at: section.at,
        who: section.table("who", faults).map(|it| who(&it, faults)),
        source: section.text("source", faults),
        may: section.texts("may", faults),
        may_not: section.texts("may_not", faults),
        accounts: section.texts("accounts", faults),
        rights: section.texts("rights", faults),
    }
}

fn who(section: &Section<'_>, faults: &mut Faults<'_>) -> WhoFile {
    let keys = ["issuer", "subject", "email", "groups", "claims"];
    section.keys(&keys, &["authentication", "auth_time"], faults);
    WhoFile {
        at: section.at,
        issuer: section.text("issuer", faults),
        subject: section.text("subject", faults),
        email: section.text("email", faults),
        groups: section.texts("groups", faults),
        claims: claims(section, faults),
    }
}

fn matcher(section: &Section<'_>, faults: &mut Faults<'_>) -> MatcherFile {
    MatcherFile {
        at: section.at,
        issuer: section.text("issuer", faults),
        groups: section.texts("groups", faults),
        users: users(section, "users", &["subject", "email"], faults),
        claims: claims(section, faults),
    }
}

fn users(
    section: &Section<'_>,
    key: &str,
    keys: &[&str],
    faults: &mut Faults<'_>,
) -> Option<At<Vec<UserFile>>> {
    let (at, value) = section.get(key)?;
    let DeValue::Array(array) = value else {
        let kind = kind(value);
        let what = format!("`{key}` of {section} must be a list of tables, not {kind}.");
        faults.add(at, Fault::WrongType, what, Some(user_example(key)));
        return None;
    };
    let mut users = Vec::new();
    for entry in array {
        let at = entry.span().start;
        let DeValue::Table(table) = entry.get_ref() else {
            let kind = kind(entry.get_ref());
            let what = format!("An entry of `{key}` of {section} must be a table, not {kind}.");
            faults.add(at, Fault::WrongType, what, Some(user_example(key)));
            continue;
        };
        let entry = Section {
            name: section.below(key),
            at,
            table,
        };
        entry.keys(keys, &[], faults);
        users.push(UserFile {
            at,
            subject: entry.text("subject", faults),
            email: entry.text("email", faults),
            username: entry.text("username", faults),
        });
    }
    Some(At { value: users, at })
}

fn user_example(key: &str) -> String {
    let username = if key == "table" {
        r#", username = "alice""#
    } else {
        ""
    };
    format!(
        r#"Write {{ subject = "00u1a2b3c"{username} }} or {{ email = "alice@example.com"{username} }}."#
    )
}

fn claims(section: &Section<'_>, faults: &mut Faults<'_>) -> Option<At<Vec<ClaimFile>>> {
    let table = section.table("claims", faults)?;
    let mut claims = Vec::new();
    for (key, value) in table.table {
        let name = At {
            value: key.get_ref().to_string(),
            at: key.span().start,
        };
        match json(value) {
            Some(value) => claims.push(ClaimFile { name, value }),
            None => {
                let what = format!(
                    "The claim `{}` of {section} has a value that is {}.",
                    name.value,
                    kind(value.get_ref())
                );
                let suggestion = "Write a string, a whole number, true or false.".to_owned();
                faults.add(value.span().start, Fault::WrongType, what, suggestion);
            }
        }
    }
    Some(At {
        value: claims,
        at: table.at,
    })
}

/// What JSON says the same: strings, integers, booleans, lists of them.
fn json(value: &Spanned<DeValue<'_>>) -> Option<serde_json::Value> {
    match value.get_ref() {
        DeValue::String(text) => Some(serde_json::Value::String(text.to_string())),
        DeValue::Boolean(flag) => Some(serde_json::Value::Bool(*flag)),
        DeValue::Integer(digits) => {
            let number = i64::from_str_radix(digits.as_str(), digits.radix()).ok()?;
            Some(serde_json::Value::from(number))
        }
        DeValue::Array(array) => array
            .iter()
            .map(json)
            .collect::<Option<_>>()
            .map(serde_json::Value::Array),
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}

/// A table of the file.
struct Section<'a> {
    name: String,
    at: usize,
    table: &'a DeTable<'a>,
}

impl std::fmt::Display for Section<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name.as_str() {
            "" => f.write_str("the policy"),
            name => write!(f, "`{name}`"),
        }
    }
}

impl<'a> Section<'a> {
    fn below(&self, key: &str) -> String {
        match self.name.as_str() {
            "" => key.to_owned(),
            name => format!("{name}.{key}"),
        }
    }

    fn get(&self, key: &str) -> Option<(usize, &'a DeValue<'a>)> {
        let value = self.table.get(key)?;
        Some((value.span().start, value.get_ref()))
    }

    /// Every key must be one of these; those of later versions get a word of their own.
    fn keys(&self, known: &[&str], later: &[&str], faults: &mut Faults<'_>) {
        for key in self.table.keys() {
            let (name, at) = (key.get_ref().as_ref(), key.span().start);
            if known.contains(&name) {
                continue;
            }
            if later.contains(&name) {
                let what = format!("`{name}` of {self} is not supported yet.");
                let suggestion = "Remove it, or wait for the version that has it.".to_owned();
                faults.add(at, Fault::NotSupportedYet, what, suggestion);
                continue;
            }
            let suggestion = if faults.is_full() {
                None
            } else {
                did_you_mean(name, known.iter().chain(later).copied())
                    .or_else(|| Some(format!("The keys here are `{}`.", known.join("`, `"))))
            };
            faults.add(
                at,
                Fault::UnknownKey,
                format!("{self} has no key {name:?}."),
                suggestion,
            );
        }
    }

    fn text(&self, key: &str, faults: &mut Faults<'_>) -> Option<Text> {
        let (at, value) = self.get(key)?;
        match value {
            DeValue::String(text) => Some(At {
                value: text.to_string(),
                at,
            }),
            other => {
                let kind = kind(other);
                let what = format!("`{key}` of {self} must be a string, not {kind}.");
                faults.add(
                    at,
                    Fault::WrongType,
                    what,
                    Some(format!("Write {key} = \"…\".")),
                );
                None
            }
        }
    }

    fn texts(&self, key: &str, faults: &mut Faults<'_>) -> Option<Texts> {
        let (at, value) = self.get(key)?;
        let DeValue::Array(array) = value else {
            let kind = kind(value);
            let what = format!("`{key}` of {self} must be a list of strings, not {kind}.");
            let suggestion = match value {
                DeValue::String(text) => format!("Write {key} = [{text:?}]."),
                _ => format!("Write {key} = [\"…\"]."),
            };
            faults.add(at, Fault::WrongType, what, suggestion);
            return None;
        };
        let mut texts = Vec::new();
        for entry in array {
            let at = entry.span().start;
            match entry.get_ref() {
                DeValue::String(text) => texts.push(At {
                    value: text.to_string(),
                    at,
                }),
                other => {
                    let kind = kind(other);
                    let what = format!("`{key}` of {self} must hold strings only, not {kind}.");
                    faults.add(at, Fault::WrongType, what, None);
                }
            }
        }
        Some(At { value: texts, at })
    }

    fn table(&self, key: &str, faults: &mut Faults<'_>) -> Option<Section<'a>> {
        let (at, value) = self.get(key)?;
        match value {
            DeValue::Table(table) => Some(Section {
                name: self.below(key),
                at,
                table,
            }),
            other => {
                let what = format!("`{key}` of {self} must be a table, not {}.", kind(other));
                faults.add(
                    at,
                    Fault::WrongType,
                    what,
                    Some(format!("Write {key} = {{ … }}.")),
                );
                None
            }
        }
    }

    /// `[[key]]`
    fn many(&self, key: &str, faults: &mut Faults<'_>) -> Vec<Section<'a>> {
        let Some((at, value)) = self.get(key) else {
            return Vec::new();
        };
        let DeValue::Array(array) = value else {
            let what = format!("`{key}` must be a list of tables, not {}.", kind(value));
            faults.add(
                at,
                Fault::WrongType,
                what,
                Some(format!("Write [[{key}]], twice bracketed.")),
            );
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (index, entry) in array.iter().enumerate() {
            let at = entry.span().start;
            match entry.get_ref() {
                DeValue::Table(table) => {
                    let name = format!("{key}[{}]", index.saturating_add(1));
                    sections.push(Section { name, at, table });
                }
                other => {
                    let what = format!("`{key}` must hold tables only, not {}.", kind(other));
                    faults.add(at, Fault::WrongType, what, None);
                }
            }
        }
        sections
    }

    /// `[key]` or `[[key]]`
    fn one_or_more(&self, key: &str, faults: &mut Faults<'_>) -> Vec<Section<'a>> {
        match self.get(key) {
            Some((at, DeValue::Table(table))) => vec![Section {
                name: key.to_owned(),
                at,
                table,
            }],
            _ => self.many(key, faults),
        }
    }

    /// `[key.NAME]` for every NAME
    fn children(&self, key: &str, faults: &mut Faults<'_>) -> Vec<(Text, Section<'a>)> {
        let Some(parent) = self.table(key, faults) else {
            return Vec::new();
        };
        let mut children = Vec::new();
        for (name, value) in parent.table {
            let name = At {
                value: name.get_ref().to_string(),
                at: name.span().start,
            };
            match value.get_ref() {
                DeValue::Table(table) => {
                    let section = Section {
                        name: parent.below(&name.value),
                        at: name.at,
                        table,
                    };
                    children.push((name, section));
                }
                other => {
                    let (written, kind) = (&name.value, kind(other));
                    let what = format!("`{key}.{written}` must be a table, not {kind}.");
                    let suggestion = format!("Write [{key}.NAME] above the keys of each.");
                    faults.add(name.at, Fault::WrongType, what, suggestion);
                }
            }
        }
        children
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Largest policy that is read.
const MOST_BYTES: usize = 4 * 1024 * 1024;
