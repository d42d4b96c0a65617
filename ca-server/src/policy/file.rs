//! The policy's TOML as it is written: every value with its place, every key known, every type
//! right. What the values mean is [`super::parse`]'s business; nothing else sees these types.
//!
//! Written by hand over toml's spanned tree rather than with serde, which stops at its first error.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Fault, Faults};

mod section;

use section::{Section, kind};

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
    pub(super) hosts: Option<At<Vec<(Text, Text)>>>,
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
    // The parser says some of them again where it goes on.
    let mut said = std::collections::BTreeSet::new();
    for error in &errors {
        let at = error.span().map_or(0, |span| span.start);
        if !said.insert((at, error.message())) {
            continue;
        }
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
    top.keys(&TOP, faults);
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
    section.keys(&USERNAME, faults);
    UsernameFile {
        at: section.at,
        issuer: section.text("issuer", faults),
        claim: section.text("claim", faults),
        strip_domain: section.text("strip_domain", faults),
        table: users(section, "table", &NAMED_USER, faults),
    }
}

fn role((name, section): &(Text, Section<'_>), faults: &mut Faults<'_>) -> RoleFile {
    section.keys(&ROLE, faults);
    RoleFile {
        name: name.clone(),
        description: section.text("description", faults),
        accounts: section.texts("accounts", faults),
        max_validity: section.text("max_validity", faults),
        extensions: section.texts("extensions", faults),
        source: section.texts("source", faults),
        issuer_outage_grace: section.text("issuer_outage_grace", faults),
        hosts: labels(section, faults),
    }
}

/// `hosts = { NAME = "VALUE" }`
fn labels(section: &Section<'_>, faults: &mut Faults<'_>) -> Option<At<Vec<(Text, Text)>>> {
    let (at, _) = section.get("hosts")?;
    let mut labels = Vec::new();
    if let Some(table) = section.table("hosts", faults) {
        for key in table.table.keys() {
            let name = At {
                value: key.get_ref().to_string(),
                at: key.span().start,
            };
            if let Some(value) = table.text(&name.value, faults) {
                labels.push((name, value));
            }
        }
    }
    Some(At { value: labels, at })
}

fn grant(section: &Section<'_>, faults: &mut Faults<'_>) -> GrantFile {
    section.keys(&GRANT, faults);
    GrantFile {
        who: matcher(section, faults),
        roles: section.texts("roles", faults),
    }
}

fn rights(section: &Section<'_>, faults: &mut Faults<'_>) -> RightsFile {
    section.keys(&RIGHTS, faults);
    RightsFile {
        who: matcher(section, faults),
        may: section.texts("may", faults),
    }
}

fn test(section: &Section<'_>, faults: &mut Faults<'_>) -> TestFile {
    section.keys(&TEST, faults);
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
    section.keys(&WHO, faults);
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
        users: users(section, "users", &USER, faults),
        claims: claims(section, faults),
    }
}

fn users(
    section: &Section<'_>,
    key: &str,
    keys: &Keys,
    faults: &mut Faults<'_>,
) -> Option<At<Vec<UserFile>>> {
    let (at, value) = section.get(key)?;
    let DeValue::Array(array) = value else {
        let kind = kind(value);
        let what = format!("`{key}` of {section} must be a list of tables, not {kind}.");
        faults.add(at, Fault::WrongType, what, Some(user_example(key)));
        return Some(At {
            value: Vec::new(),
            at,
        });
    };
    let mut users = Vec::new();
    for entry in array {
        let at = entry.span().start;
        let DeValue::Table(table) = entry.get_ref() else {
            let kind = kind(entry.get_ref());
            let what = format!("An entry of `{key}` of {section} must be a table, not {kind}.");
            faults.add(at, Fault::WrongType, what, Some(user_example(key)));
            users.push(UserFile {
                at,
                subject: None,
                email: None,
                username: None,
            });
            continue;
        };
        let entry = Section {
            name: section.below(key),
            at,
            table,
        };
        entry.keys(keys, faults);
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
    let (at, _) = section.get("claims")?;
    let Some(table) = section.table("claims", faults) else {
        return Some(At {
            value: Vec::new(),
            at,
        });
    };
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
                claims.push(ClaimFile {
                    name,
                    value: serde_json::Value::Null,
                });
            }
        }
    }
    Some(At { value: claims, at })
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

/// Largest policy that is read.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// The keys of one kind of table.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) known: &'static [&'static str],
    /// Of versions to come: refused with a word of their own, never ignored.
    pub(super) later: &'static [&'static str],
}

pub(super) const TOP: Keys = Keys {
    known: &[
        "order",
        "principals",
        "username",
        "roles",
        "grants",
        "rights",
        "tests",
    ],
    later: &[
        "hosts",
        "sessions",
        "requests",
        "recording",
        "notify",
        "tasks",
    ],
};

pub(super) const USERNAME: Keys = Keys {
    known: &["issuer", "claim", "strip_domain", "table"],
    later: &[],
};

pub(super) const ROLE: Keys = Keys {
    known: &[
        "description",
        "accounts",
        "max_validity",
        "extensions",
        "source",
        "issuer_outage_grace",
        "hosts",
    ],
    later: &[
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
    ],
};

pub(super) const GRANT: Keys = Keys {
    known: &["issuer", "groups", "users", "claims", "roles"],
    later: &[
        "hosts",
        "until",
        "hours",
        "reason",
        "approval",
        "authentication",
    ],
};

pub(super) const RIGHTS: Keys = Keys {
    known: &["issuer", "groups", "users", "claims", "may"],
    later: &["hosts", "until", "hours", "authentication"],
};

pub(super) const TEST: Keys = Keys {
    known: &["who", "source", "may", "may_not", "accounts", "rights"],
    later: &["hosts", "at", "reason", "approval", "authentication"],
};

pub(super) const WHO: Keys = Keys {
    known: &["issuer", "subject", "email", "groups", "claims"],
    later: &["authentication", "auth_time"],
};

pub(super) const USER: Keys = Keys {
    known: &["subject", "email"],
    later: &[],
};

pub(super) const NAMED_USER: Keys = Keys {
    known: &["subject", "email", "username"],
    later: &[],
};
