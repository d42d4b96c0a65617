//! What a name in the policy may be, and whether it names something that there is.

use super::Parser;
use crate::identity::Email;
use crate::identity::provider::PROTOCOL;
use crate::policy::IssuerFact;
use crate::policy::error::{Fault, did_you_mean};
use crate::policy::file::{At, Text};
use crate::policy::role::OWN;
use crate::policy::username::shown;
use crate::policy::{AccountName, NameError};

impl Parser<'_> {
    pub(super) fn place(&mut self, section: &str, name: &Text) -> Option<usize> {
        let place = self.places.get(&name.value).copied();
        if place.is_none() {
            let places = std::mem::take(&mut self.places);
            let names: Vec<&str> = places.keys().map(String::as_str).collect();
            self.unknown_role(section, name, &names);
            self.places = places;
        }
        place
    }

    pub(super) fn unknown_role(&mut self, section: &str, name: &Text, names: &[&str]) {
        let suggestion = self.similar(&name.value, names.iter().copied());
        let what = format!(
            "{section} names {:?}, which is no role of this policy.",
            name.value
        );
        self.faults
            .add(name.at, Fault::UnknownRole, what, suggestion);
    }

    pub(super) fn account(&mut self, text: &Text) -> Option<AccountName> {
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

    pub(super) fn email(&mut self, written: &Text) -> Option<Email> {
        let email = Email::parse(&written.value);
        if email.is_none() {
            let what = format!("{:?} is no plain e-mail address.", written.value);
            self.faults.add(written.at, Fault::BadValue, what, None);
        }
        email
    }

    pub(super) fn claim_name(&mut self, name: &Text) -> Option<()> {
        let claim = name.value.as_str();
        let known = RESERVED_CLAIMS.iter().find(|(known, _)| *known == claim);
        let instead = match known {
            Some((_, instead)) => *instead,
            None if PROTOCOL.contains(&claim) && !CHECKED_CLAIMS.contains(&claim) => {
                "It is between the issuer and the CA, and says nothing of a person."
            }
            None => return self.plain(name, "A claim"),
        };
        let what = format!("The claim `{}` cannot be asked for here.", name.value);
        self.faults
            .add(name.at, Fault::BadValue, what, Some(instead.to_owned()));
        None
    }

    /// The issuer can say this claim at all.
    pub(super) fn said(&mut self, claim: &str, at: usize, issuer: &IssuerFact) -> Option<()> {
        if issuer.is_groups_claim(claim) {
            let what = format!("The groups of {} come from `{claim}`.", issuer.issuer);
            let suggestion = "Use groups = [\"…\"].".to_owned();
            self.faults.add(at, Fault::NeverSaid, what, suggestion);
            return None;
        }
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

    pub(super) fn issuer(
        &mut self,
        section: &str,
        written: Option<&Text>,
        at: usize,
    ) -> Option<IssuerFact> {
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

    pub(super) fn not_empty<T>(&mut self, list: &At<Vec<T>>, name: &str, suggestion: &str) {
        if list.value.is_empty() {
            let what = format!("{name} has nothing in it.");
            self.faults
                .add(list.at, Fault::Empty, what, Some(suggestion.to_owned()));
        }
    }

    /// Something that can be read in one way only: not empty, no blanks around it, nothing unseen.
    pub(super) fn plain(&mut self, text: &Text, name: &str) -> Option<()> {
        let value = &text.value;
        if value.trim().is_empty() {
            let what = format!("{name} cannot be {value:?}.");
            self.faults.add(text.at, Fault::Empty, what, None);
            return None;
        }
        let long = value.chars().count() > MOST_CHARACTERS;
        if value.trim() != value || value.chars().any(char::is_control) || long {
            let what = format!("{name} cannot be {}.", shown(value));
            let suggestion = "No blanks around it, no control characters, at most 256.".to_owned();
            self.faults.add(text.at, Fault::BadValue, what, suggestion);
            return None;
        }
        Some(())
    }

    pub(super) fn similar<'n>(
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

const MOST_CHARACTERS: usize = 256;

/// What a policy may ask for although it is the protocol's: its shape was checked.
const CHECKED_CLAIMS: [&str; 3] = ["acr", "amr", "acrs"];

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
