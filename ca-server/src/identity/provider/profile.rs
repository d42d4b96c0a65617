//! What a genuine token says about the person: who, which address, which groups, what else.
//!
//! In: claims of a token whose signature holds, and the userinfo answer where groups are only there.
//! Out: a [`Profile`], or what the identity provider's administrator must mend. Keeps the first half
//! of invariant 6: nothing counts that the configuration does not name (A20, A22, A25).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::identity::issuer::{GroupsSource, IssuerConfig};
use crate::identity::{Email, Group};

/// What a token says about the person, beside the standard claims.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::identity) struct Profile {
    /// See [`crate::identity::IdentityFacts::person`].
    pub(in crate::identity) person: String,
    /// See [`crate::identity::IdentityFacts::email`].
    pub(in crate::identity) email: Option<Email>,
    /// See [`crate::identity::IdentityFacts::said_email`].
    pub(in crate::identity) said_email: Option<String>,
    /// See [`crate::identity::IdentityFacts::groups`].
    pub(in crate::identity) groups: BTreeSet<Group>,
    /// See [`crate::identity::IdentityFacts::claims`].
    pub(in crate::identity) claims: BTreeMap<String, Value>,
}

impl Profile {
    /// Reads a token's claims, and the userinfo answer's where groups are only there. Userinfo adds
    /// what the token does not say; it never says otherwise.
    pub(in crate::identity) fn read(
        token: &Map<String, Value>,
        userinfo: Option<&Map<String, Value>>,
        config: &IssuerConfig,
    ) -> Result<Self, ProviderError> {
        let email = email(token, userinfo, config)?;
        Ok(Profile {
            person: Profile::person_of(token, config)?,
            said_email: said_email(token, userinfo).filter(|_| email.is_none()),
            email,
            groups: groups(token, userinfo, config)?,
            claims: other_claims(token, userinfo, config),
        })
    }

    /// Who a token is about, before anything else is asked about them; see
    /// [`crate::identity::IdentityFacts::person`].
    pub(in crate::identity) fn person_of(
        token: &Map<String, Value>,
        config: &IssuerConfig,
    ) -> Result<String, ProviderError> {
        required(token, config)?;
        person(token, config)
    }
}

/// What is wrong with a token that is genuine; the identity provider's administrator must act.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// A claim that the configuration requires is missing or has another value (A9, A22).
    #[error("the identity provider does not say `{claim}` = `{expected}` about you")]
    Required {
        /// Which.
        claim: String,
        /// What it must be.
        expected: String,
    },
    /// A claim that names the person is missing.
    #[error("the identity provider says no `{0}`, which is needed to know who you are")]
    PersonKey(String),
    /// The e-mail address is no string, or its verification no boolean.
    #[error("the identity provider's `{0}` is not what it must be")]
    Malformed(&'static str),
    /// More groups than the token can hold: it has a pointer in their place (A25).
    #[error(
        "you are in more groups than the identity provider puts into a token, so it names none"
    )]
    GroupsOverage,
    /// Groups that are neither an array of strings nor one string.
    #[error("the claim `{0}` is not a list of group names")]
    GroupsShape(String),
    /// More than anybody is in.
    #[error("the claim `{claim}` lists {count} groups; at most {MAX_GROUPS} are read")]
    TooManyGroups {
        /// Where.
        claim: String,
        /// How many.
        count: usize,
    },
}

/// Members that have a meaning of their own in a token and are not for policy; `acr`, `amr` and
/// `acrs` reach it as they were checked.
pub(crate) const PROTOCOL: [&str; 26] = [
    "iss",
    "sub",
    "aud",
    "azp",
    "exp",
    "iat",
    "nbf",
    "nonce",
    "jti",
    "uti",
    "typ",
    "at_hash",
    "c_hash",
    "s_hash",
    "auth_time",
    "acr",
    "amr",
    "acrs",
    "sid",
    "session_state",
    "aio",
    "rh",
    "email",
    "email_verified",
    "_claim_names",
    "_claim_sources",
];

/// Most groups that are read of one person.
const MAX_GROUPS: usize = 1000;

/// Longest value of a claim, and most claims, that a snapshot keeps for policy.
const MAX_CLAIM_BYTES: usize = 1024;
const MAX_CLAIMS: usize = 64;

fn required(token: &Map<String, Value>, config: &IssuerConfig) -> Result<(), ProviderError> {
    for (claim, expected) in &config.require {
        if token.get(claim).and_then(Value::as_str) != Some(expected) {
            return Err(ProviderError::Required {
                claim: claim.clone(),
                expected: expected.clone(),
            });
        }
    }
    Ok(())
}

/// JSON array text: no value can be read as two, or as another issuer's.
fn person(token: &Map<String, Value>, config: &IssuerConfig) -> Result<String, ProviderError> {
    let mut key = vec![Value::from(config.issuer.as_ref())];
    for claim in &config.person_key {
        match token.get(claim) {
            Some(Value::String(value)) if !value.is_empty() => {
                key.push(Value::from(value.as_str()));
            }
            _ => return Err(ProviderError::PersonKey(claim.clone())),
        }
    }
    Ok(Value::Array(key).to_string())
}

/// Address and verification from one place: the token if it names an address, else userinfo (A20).
fn email(
    token: &Map<String, Value>,
    userinfo: Option<&Map<String, Value>>,
    config: &IssuerConfig,
) -> Result<Option<Email>, ProviderError> {
    if !config.trust_email {
        return Ok(None);
    }
    let source = match userinfo {
        Some(userinfo) if !token.contains_key("email") => userinfo,
        _ => token,
    };
    let verified = match source.get("email_verified") {
        None => false,
        Some(Value::Bool(verified)) => *verified,
        Some(_) => return Err(ProviderError::Malformed("email_verified")),
    };
    match source.get("email") {
        None => Ok(None),
        Some(Value::String(email)) => Ok(Email::parse(email).filter(|_| verified)),
        Some(_) => Err(ProviderError::Malformed("email")),
    }
}

/// Whatever stands there as an address, of a length that one may have (RFC 5321 §4.5.3.1.3).
fn said_email(token: &Map<String, Value>, userinfo: Option<&Map<String, Value>>) -> Option<String> {
    let email = token
        .get("email")
        .or_else(|| userinfo?.get("email"))?
        .as_str()?;
    (email.len() <= 254).then(|| email.to_owned())
}

fn groups(
    token: &Map<String, Value>,
    userinfo: Option<&Map<String, Value>>,
    config: &IssuerConfig,
) -> Result<BTreeSet<Group>, ProviderError> {
    let (path, source) = match (&config.groups, userinfo) {
        (GroupsSource::Nowhere, _) => return Ok(BTreeSet::new()),
        (GroupsSource::Claim(path), _) => (path, token),
        (GroupsSource::Userinfo(path), Some(userinfo)) => (path, userinfo),
        (GroupsSource::Userinfo(path), None) => {
            return Err(ProviderError::GroupsShape(path.clone()));
        }
    };
    not_elsewhere(path, source)?;
    let shape = || ProviderError::GroupsShape(path.clone());
    let found = match find(source, path) {
        None => return Ok(BTreeSet::new()),
        Some(Value::String(group)) => vec![group.as_str()],
        Some(Value::Array(items)) => items
            .iter()
            .map(Value::as_str)
            .collect::<Option<Vec<_>>>()
            .ok_or_else(shape)?,
        Some(_) => return Err(shape()),
    };
    if found.len() > MAX_GROUPS {
        return Err(ProviderError::TooManyGroups {
            claim: path.clone(),
            count: found.len(),
        });
    }
    // A group without a name is nobody's: no rule may match it (A24).
    Ok(found
        .into_iter()
        .filter(|group| !group.is_empty())
        .map(Group::new)
        .collect())
}

/// Distributed claims (OpenID Connect Core 1.0 §5.6.2, Entra's overage) are refused, and the place
/// that they name is never asked (A25).
fn not_elsewhere(path: &str, source: &Map<String, Value>) -> Result<(), ProviderError> {
    let first = path.split('.').next().unwrap_or(path);
    let pointer = match source.get("_claim_names") {
        None => false,
        Some(Value::Object(names)) => names.contains_key(path) || names.contains_key(first),
        Some(_) => true,
    };
    let has_groups = first == "groups" && source.get("hasgroups").is_some_and(|it| it != false);
    if pointer || has_groups {
        Err(ProviderError::GroupsOverage)
    } else {
        Ok(())
    }
}

/// A claim by its literal name, dots and all (`https://acme.com/groups`), else by its path.
fn find<'a>(source: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = source.get(path) {
        return Some(value);
    }
    let (first, rest) = path.split_once('.')?;
    find(source.get(first)?.as_object()?, rest)
}

fn other_claims(
    token: &Map<String, Value>,
    userinfo: Option<&Map<String, Value>>,
    config: &IssuerConfig,
) -> BTreeMap<String, Value> {
    let is_groups = |name: &str| match &config.groups {
        GroupsSource::Claim(path) | GroupsSource::Userinfo(path) => {
            name == path || path.split('.').next() == Some(name)
        }
        GroupsSource::Nowhere => false,
    };
    let more = userinfo
        .into_iter()
        .flatten()
        .filter(|(name, _)| !token.contains_key(*name));
    token
        .iter()
        .chain(more)
        .filter(|(name, _)| !PROTOCOL.contains(&name.as_str()))
        .filter(|(name, _)| !is_groups(name))
        .filter(|(name, value)| name.len() + weight(value) <= MAX_CLAIM_BYTES)
        .take(MAX_CLAIMS)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Roughly the bytes that a value has as text.
fn weight(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 5,
        Value::Number(_) => 20,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(|item| weight(item) + 1).sum::<usize>() + 2,
        Value::Object(members) => {
            members
                .iter()
                .map(|(name, item)| name.len() + weight(item) + 4)
                .sum::<usize>()
                + 2
        }
    }
}
