//! Who gets which role, and who has which right: by exact match of groups, users and claims of one
//! issuer (A20, A23, A24). No prefix, no pattern, no case folding, no absence of a group.
//!
//! A [`Matcher`] is what one `[[grants]]` or `[[rights]]` says of people; the [`Index`] finds those
//! that match a person without asking them all: each is filed under its groups, else its users,
//! else one of its claims, so that a decision costs what the person brings, not what the policy has.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use crate::identity::{Email, IdentityFacts};

/// A person, as the matchers see them.
#[derive(Clone, Debug)]
pub(super) struct Who<'a> {
    pub(super) issuer: &'a str,
    pub(super) subject: &'a str,
    pub(super) email: Option<&'a Email>,
    /// Sorted.
    pub(super) groups: Vec<&'a str>,
    pub(super) acr: Option<&'a str>,
    pub(super) amr: &'a [String],
    pub(super) acrs: &'a [String],
    pub(super) claims: &'a BTreeMap<String, Value>,
}

impl<'a> From<&'a IdentityFacts> for Who<'a> {
    fn from(snapshot: &'a IdentityFacts) -> Self {
        Who {
            issuer: snapshot.issuer.as_ref(),
            subject: snapshot.subject.as_ref(),
            email: snapshot.email.as_ref(),
            groups: snapshot.groups.iter().map(AsRef::as_ref).collect(),
            acr: snapshot.acr.as_deref(),
            amr: &snapshot.amr,
            acrs: &snapshot.acrs,
            claims: &snapshot.claims,
        }
    }
}

impl Who<'_> {
    fn in_group(&self, group: &str) -> bool {
        self.groups.binary_search(&group).is_ok()
    }

    /// Every value that the claim has: one, or those of a list.
    fn said(&self, claim: &str) -> Vec<ClaimValue<'_>> {
        let text = |text| ClaimValue::Text(Cow::Borrowed(text));
        match claim {
            "acr" => self.acr.map(text).into_iter().collect(),
            "amr" => self.amr.iter().map(|it| text(it.as_str())).collect(),
            "acrs" => self.acrs.iter().map(|it| text(it.as_str())).collect(),
            _ => match self.claims.get(claim) {
                Some(Value::Array(list)) => list.iter().filter_map(ClaimValue::of).collect(),
                Some(value) => ClaimValue::of(value).into_iter().collect(),
                None => Vec::new(),
            },
        }
    }
}

/// What a claim can be compared with; types never mix (`"true"` is not `true`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum ClaimValue<'a> {
    Text(Cow<'a, str>),
    Flag(bool),
    Number(i64),
}

impl<'a> ClaimValue<'a> {
    /// None for what no policy can ask: `null`, fractions, tables.
    pub(super) fn of(value: &'a Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(ClaimValue::Text(Cow::Borrowed(text))),
            Value::Bool(flag) => Some(ClaimValue::Flag(*flag)),
            Value::Number(number) => number.as_i64().map(ClaimValue::Number),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    pub(super) fn into_owned(self) -> ClaimValue<'static> {
        match self {
            ClaimValue::Text(text) => ClaimValue::Text(Cow::Owned(text.into_owned())),
            ClaimValue::Flag(flag) => ClaimValue::Flag(flag),
            ClaimValue::Number(number) => ClaimValue::Number(number),
        }
    }
}

/// People of one issuer: in any of the groups, and any of the users, and with all of the claims;
/// a part that is not there asks nothing. At least one is there.
#[derive(Clone, Debug)]
pub(super) struct Matcher {
    pub(super) issuer: String,
    pub(super) groups: BTreeSet<String>,
    pub(super) users: BTreeSet<User>,
    pub(super) claims: BTreeMap<String, ClaimValue<'static>>,
}

/// One person by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum User {
    Subject(String),
    Email(String),
}

impl Matcher {
    /// Whether this is about that person. A matcher with no part at all matches nobody.
    pub(super) fn matches(&self, who: &Who<'_>) -> bool {
        let nothing = self.groups.is_empty() && self.users.is_empty() && self.claims.is_empty();
        !nothing
            && self.issuer == who.issuer
            && (self.groups.is_empty() || self.groups.iter().any(|group| who.in_group(group)))
            && (self.users.is_empty() || self.users.iter().any(|user| user.is(who)))
            && self
                .claims
                .iter()
                .all(|(name, value)| who.said(name).contains(value))
    }

    /// Groups alone decide.
    pub(super) fn is_groups_only(&self) -> bool {
        self.users.is_empty() && self.claims.is_empty()
    }
}

impl User {
    fn is(&self, who: &Who<'_>) -> bool {
        match self {
            User::Subject(subject) => subject == who.subject,
            User::Email(email) => who.email.is_some_and(|it| it.as_ref() == email),
        }
    }
}

/// One `[[grants]]`: people, and the places of what they get in a list of the policy's.
#[derive(Clone, Debug)]
pub(super) struct Granting {
    pub(super) who: Matcher,
    /// Sorted, no two alike.
    pub(super) what: Vec<usize>,
}

/// Finds what a person gets.
#[derive(Debug, Default)]
pub(super) struct Index {
    grantings: Vec<Granting>,
    issuers: HashMap<String, Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    groups: HashMap<String, Entry>,
    subjects: HashMap<String, Entry>,
    emails: HashMap<String, Entry>,
    claims: BTreeMap<String, HashMap<ClaimValue<'static>, Entry>>,
}

#[derive(Debug, Default)]
struct Entry {
    /// What whoever is found here gets; sorted.
    what: Vec<usize>,
    /// Grantings that ask for more than what led here.
    more: Vec<usize>,
}

impl Index {
    pub(super) fn new(grantings: Vec<Granting>) -> Self {
        let mut issuers: HashMap<String, Shelf> = HashMap::new();
        for (place, granting) in grantings.iter().enumerate() {
            let who = &granting.who;
            let shelf = issuers.entry(who.issuer.clone()).or_default();
            let parts = [
                !who.groups.is_empty(),
                !who.users.is_empty(),
                !who.claims.is_empty(),
            ];
            let alone = parts.iter().filter(|there| **there).count() == 1 && who.claims.len() <= 1;
            let file = |entry: &mut Entry| {
                if alone {
                    entry.what.extend(&granting.what);
                } else {
                    entry.more.push(place);
                }
            };
            if !who.groups.is_empty() {
                for group in &who.groups {
                    file(shelf.groups.entry(group.clone()).or_default());
                }
            } else if !who.users.is_empty() {
                for user in &who.users {
                    file(match user {
                        User::Subject(it) => shelf.subjects.entry(it.clone()).or_default(),
                        User::Email(it) => shelf.emails.entry(it.clone()).or_default(),
                    });
                }
            } else if let Some((name, value)) = who.claims.first_key_value() {
                let values = shelf.claims.entry(name.clone()).or_default();
                file(values.entry(value.clone()).or_default());
            }
        }
        for shelf in issuers.values_mut() {
            let claims = shelf.claims.values_mut().flat_map(HashMap::values_mut);
            let users = shelf.subjects.values_mut().chain(shelf.emails.values_mut());
            for entry in shelf.groups.values_mut().chain(users).chain(claims) {
                entry.what.sort_unstable();
                entry.what.dedup();
            }
        }
        Index { grantings, issuers }
    }

    /// Whether the person gets this one thing.
    pub(super) fn gives(&self, who: &Who<'_>, what: usize) -> bool {
        self.entries(who).any(|entry| {
            entry.what.binary_search(&what).is_ok()
                || self
                    .more(entry)
                    .any(|it| it.what.contains(&what) && it.who.matches(who))
        })
    }

    /// Everything that the person gets.
    pub(super) fn all(&self, who: &Who<'_>) -> BTreeSet<usize> {
        let mut all = BTreeSet::new();
        for entry in self.entries(who) {
            all.extend(&entry.what);
            for granting in self.more(entry) {
                if !granting.what.iter().all(|it| all.contains(it)) && granting.who.matches(who) {
                    all.extend(&granting.what);
                }
            }
        }
        all
    }

    /// How much is looked at for that person: entries, and what stands in them.
    #[cfg(test)]
    pub(super) fn cost(&self, who: &Who<'_>) -> usize {
        self.entries(who)
            .map(|entry| 1 + entry.what.len() + entry.more.len())
            .sum()
    }

    fn more<'s>(&'s self, entry: &'s Entry) -> impl Iterator<Item = &'s Granting> {
        entry
            .more
            .iter()
            .filter_map(|place| self.grantings.get(*place))
    }

    fn entries<'s>(&'s self, who: &'s Who<'_>) -> impl Iterator<Item = &'s Entry> {
        self.issuers
            .get(who.issuer)
            .into_iter()
            .flat_map(move |shelf| {
                let groups = who
                    .groups
                    .iter()
                    .filter_map(|group| shelf.groups.get(*group));
                let subject = shelf.subjects.get(who.subject);
                let email = who.email.and_then(|email| shelf.emails.get(email.as_ref()));
                let claims = shelf.claims.iter().flat_map(|(name, values)| {
                    who.said(name)
                        .into_iter()
                        .filter_map(|said| values.get(&said.into_owned()))
                });
                groups.chain(subject).chain(email).chain(claims)
            })
    }
}
