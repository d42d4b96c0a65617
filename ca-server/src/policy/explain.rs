//! What the policy says of a person, in words: for `GET /v1/roles`, for `policy explain` of
//! somebody hypothetical, and for the person of a policy's own test.

use std::collections::BTreeMap;

use jit_ssh_api::admin::{ExplainRequest, Explanation};
use jit_ssh_api::role::{Refused, Role as Told, RolesAnswer};
use serde_json::Value;

use super::decision::Ask;
use super::grant::Who;
use super::role::{Account, OWN};
use super::{Policy, digest};
use crate::identity::{Email, IdentityFacts};
use crate::time::Timestamp;

/// Somebody who need not exist.
#[derive(Clone, Debug, Default)]
pub(super) struct Person {
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) email: Option<Email>,
    pub(super) groups: Vec<String>,
    acr: Option<String>,
    amr: Vec<String>,
    acrs: Vec<String>,
    claims: BTreeMap<String, Value>,
}

/// Why nothing can be said of that person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// The caller left the issuer out.
    #[error("say which issuer the person is of: {}", .0.join(", "))]
    WhichIssuer(Vec<String>),
    /// The caller named another one.
    #[error("there is no issuer {0:?} here")]
    UnknownIssuer(String),
    /// The caller wrote something else.
    #[error("{0:?} is no plain e-mail address")]
    Email(String),
}

impl Person {
    /// Somebody of whom nothing is said yet.
    pub(super) fn of(issuer: &str) -> Self {
        Person {
            issuer: issuer.to_owned(),
            ..Person::default()
        }
    }

    /// Adds a claim; those that the CA reads itself go to their place, in their usual type.
    pub(super) fn say(&mut self, claim: &str, value: Value) {
        let texts = |value: Value| match value {
            Value::Array(list) => list
                .iter()
                .filter_map(|it| it.as_str().map(str::to_owned))
                .collect(),
            Value::String(text) => vec![text],
            _ => Vec::new(),
        };
        match claim {
            "acr" => self.acr = value.as_str().map(str::to_owned),
            "amr" => self.amr = texts(value),
            "acrs" => self.acrs = texts(value),
            _ => {
                self.claims.insert(claim.to_owned(), value);
            }
        }
    }

    pub(super) fn who(&self) -> Who<'_> {
        let mut groups: Vec<&str> = self.groups.iter().map(String::as_str).collect();
        groups.sort_unstable();
        Who {
            issuer: &self.issuer,
            subject: &self.subject,
            email: self.email.as_ref(),
            groups,
            acr: self.acr.as_deref(),
            amr: &self.amr,
            acrs: &self.acrs,
            claims: &self.claims,
        }
    }
}

impl Policy {
    /// All roles from one person's side, in the policy's order. Host patterns, and the version that
    /// depends on them, are the caller's to add: the policy knows none.
    pub fn roles_answer(&self, who: &IdentityFacts, ask: &Ask, _now: Timestamp) -> RolesAnswer {
        self.told(&Who::from(who), ask)
    }

    /// Names the answer of [`Policy::roles_answer`] without making it: SHA-256 of all that it depends
    /// on. Costs what the person brings, not what the policy has; a rule about the time has to bring
    /// the time in here.
    pub fn roles_version(&self, who: &IdentityFacts, ask: &Ask, hosts: &[String]) -> String {
        let Ask {
            role,
            account,
            validity,
            source,
        } = ask;
        let who = Who::from(who);
        // JSON, so that no value can be read as two.
        let all = (
            (&self.digest, hosts),
            (role, account, validity.map(|it| it.as_millis()), source),
            (who.issuer, who.subject, who.email, &who.groups),
            (who.acr, who.amr, who.acrs, who.claims),
        );
        digest::of(&serde_json::to_vec(&all).unwrap_or_default())
    }

    /// What the policy says of somebody hypothetical, at an address that the roles are given to.
    pub fn explain(
        &self,
        request: &ExplainRequest,
        _now: Timestamp,
    ) -> Result<Explanation, ExplainError> {
        let person = self.person(request)?;
        let who = person.who();
        Ok(Explanation {
            policy: self.digest.clone(),
            roles: self.told(&who, &Ask::default()),
            rights: self
                .rights_of(&who)
                .iter()
                .map(|right| right.name().to_owned())
                .collect(),
        })
    }

    fn person(&self, request: &ExplainRequest) -> Result<Person, ExplainError> {
        let issuer = match (&request.issuer, self.issuers.as_slice()) {
            (Some(issuer), all) if all.contains(issuer) => issuer.clone(),
            (Some(issuer), _) => return Err(ExplainError::UnknownIssuer(issuer.clone())),
            (None, [only]) => only.clone(),
            (None, all) => return Err(ExplainError::WhichIssuer(all.to_vec())),
        };
        let mut person = Person::of(&issuer);
        person.subject = request.subject.clone().unwrap_or_default();
        if let Some(text) = &request.email {
            let email = Email::parse(text).ok_or_else(|| ExplainError::Email(text.clone()))?;
            person.email = Some(email);
        }
        person.groups.clone_from(&request.groups);
        for (claim, value) in &request.claims {
            person.say(claim, value.clone());
        }
        Ok(person)
    }

    fn told(&self, who: &Who<'_>, ask: &Ask) -> RolesAnswer {
        let username = self.usernames.of(who).ok();
        let account = |account: &Account| match account {
            Account::Fixed(name) => name.to_string(),
            Account::Own => username
                .as_ref()
                .map_or(OWN.to_owned(), ToString::to_string),
        };
        let roles = self
            .roles_for(who, ask)
            .into_iter()
            .map(|(role, decision)| Told {
                name: role.name.to_string(),
                description: role.description.clone(),
                accounts: role.accounts.iter().map(account).collect(),
                max_validity: role.max_validity.as_secs(),
                refused: decision.err().map(|refusal| Refused {
                    rule: refusal.rule.to_owned(),
                    reason: refusal.reason,
                    help: refusal.help,
                }),
            });
        RolesAnswer {
            roles: roles.collect(),
            ..RolesAnswer::default()
        }
    }
}
