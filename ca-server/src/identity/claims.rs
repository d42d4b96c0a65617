//! The standard claims: parsed into their right types, and judged.
//!
//! In: the claims of a token whose signature holds, the issuer's configuration, `now`. Out:
//! [`Standard`], or the first rule that refuses. A claim of the wrong JSON type is a refusal, never
//! an absence (A4). Keeps the second half of invariant 3: audience, `azp`, times, ages, kind; what
//! openidconnect leaves open (A6, A7) above all. Sources: OpenID Connect Core 1.0 §2, §3.1.3.7,
//! RFC 7519 §4.1, RFC 8725 §3.

use std::time::Duration;

use serde_json::{Map, Value};

use super::issuer::IssuerConfig;
use crate::time::Timestamp;

/// How far clocks may be apart.
pub const LEEWAY: Duration = Duration::from_secs(60);

/// The standard claims of one token, judged.
#[derive(Debug)]
pub(super) struct Standard<'a> {
    pub(super) subject: &'a str,
    pub(super) nonce: Option<&'a str>,
    /// `iat` and the issuer's clock offset.
    pub(super) issued_at: Timestamp,
    pub(super) expires: Timestamp,
    pub(super) auth_time: Option<Timestamp>,
    pub(super) acr: Option<&'a str>,
    pub(super) amr: Vec<String>,
    pub(super) acrs: Vec<String>,
    /// `jti`, Entra: `uti`.
    pub(super) id: Option<&'a str>,
}

impl<'a> Standard<'a> {
    /// Judges what every token must be, whatever it is for.
    pub(super) fn judge(
        claims: &'a Map<String, Value>,
        config: &IssuerConfig,
        client_id: &str,
        now: Timestamp,
    ) -> Result<Self, ClaimError> {
        kind(claims)?;
        authorized_party(claims, client_id)?;
        let expires = time(claims, "exp")?.ok_or(ClaimError::Missing("exp"))?;
        not_before(time(claims, "nbf")?, now)?;
        let iat = time(claims, "iat")?.ok_or(ClaimError::Missing("iat"))?;
        let issued_at = iat.plus(config.clock_offset);
        age(issued_at, config.max_token_age, now)?;
        let auth_time = time(claims, "auth_time")?;
        if auth_time.is_some_and(|auth_time| auth_time > now.plus(LEEWAY)) {
            return Err(ClaimError::InTheFuture("auth_time"));
        }
        Ok(Standard {
            subject: subject(claims)?,
            nonce: text(claims, "nonce")?,
            issued_at,
            expires,
            auth_time,
            acr: text(claims, "acr")?,
            amr: texts(claims, "amr")?,
            acrs: texts(claims, "acrs")?,
            id: match text(claims, "jti")? {
                Some(id) => Some(id),
                None => text(claims, "uti")?,
            },
        })
    }

    /// The nonce of a token that opens a login: there, and exactly the one that commits to the key
    /// (invariant 4, A12).
    pub(super) fn bound_to(&self, nonce: &str) -> Result<(), ClaimError> {
        match self.nonce {
            Some(found) if found == nonce => Ok(()),
            Some(_) => Err(ClaimError::OtherNonce),
            None => Err(ClaimError::Missing("nonce")),
        }
    }

    /// The nonce of a refreshed token: the login's own, or none (Core 1.0 §12.2).
    pub(super) fn bound_to_login(&self, nonce: &str) -> Result<(), ClaimError> {
        match self.nonce {
            None => Ok(()),
            Some(found) if found == nonce => Ok(()),
            Some(_) => Err(ClaimError::OtherNonce),
        }
    }
}

/// Why the claims are not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// It must be there.
    #[error("it has no `{0}`")]
    Missing(&'static str),
    /// There, but of a type or size that it must not have.
    #[error("its `{0}` is not what it must be")]
    Malformed(&'static str),
    /// For another application, or for several (A5).
    #[error("it is for another application than one of this CA's at the issuer")]
    Audience,
    /// Given to another client than the one that it is for (A6).
    #[error("it was given to another application (`azp`)")]
    AuthorizedParty,
    /// An access, refresh, logout or offline token (A8).
    #[error("it is a `{0}` token, not an ID token")]
    Kind(String),
    /// Before its `nbf`.
    #[error("it is not valid yet: the clocks of the CA and the identity provider are apart")]
    NotYet,
    /// Dated later than now.
    #[error("its `{0}` is in the future: the clocks of the CA and the identity provider are apart")]
    InTheFuture(&'static str),
    /// Older than the issuer's tokens may be here (A7).
    #[error("it is {} s old; at most {} s are accepted", .age.as_secs(), .max.as_secs())]
    TooOld {
        /// How old.
        age: Duration,
        /// How old it may be.
        max: Duration,
    },
    /// Bound to another key, or to another login (A12).
    #[error("it is bound to another key")]
    OtherNonce,
}

/// The `iss` that a token says it has; nothing is believed yet.
pub(super) fn issuer(claims: &Map<String, Value>) -> Result<&str, ClaimError> {
    text(claims, "iss")?.ok_or(ClaimError::Missing("iss"))
}

/// The one audience: a string, or an array of one string (A5).
pub(super) fn audience(claims: &Map<String, Value>) -> Result<&str, ClaimError> {
    match claims.get("aud") {
        None => Err(ClaimError::Missing("aud")),
        Some(Value::String(audience)) => Ok(audience),
        Some(Value::Array(audiences)) => match audiences.as_slice() {
            [Value::String(audience)] => Ok(audience),
            [] => Err(ClaimError::Malformed("aud")),
            _ if audiences.iter().all(Value::is_string) => Err(ClaimError::Audience),
            _ => Err(ClaimError::Malformed("aud")),
        },
        Some(_) => Err(ClaimError::Malformed("aud")),
    }
}

/// Keycloak writes the kind into the payload (Bearer, Refresh, Offline, Logout); logout tokens and
/// security events have `events` (A8).
fn kind(claims: &Map<String, Value>) -> Result<(), ClaimError> {
    if claims.contains_key("events") {
        return Err(ClaimError::Kind("event".to_owned()));
    }
    match text(claims, "typ")? {
        None | Some("ID") => Ok(()),
        Some(other) => Err(ClaimError::Kind(super::token::short(other))),
    }
}

fn authorized_party(claims: &Map<String, Value>, client_id: &str) -> Result<(), ClaimError> {
    match text(claims, "azp")? {
        None => Ok(()),
        Some(party) if party == client_id => Ok(()),
        Some(_) => Err(ClaimError::AuthorizedParty),
    }
}

fn not_before(nbf: Option<Timestamp>, now: Timestamp) -> Result<(), ClaimError> {
    match nbf {
        Some(nbf) if nbf > now.plus(LEEWAY) => Err(ClaimError::NotYet),
        _ => Ok(()),
    }
}

fn age(issued_at: Timestamp, max: Duration, now: Timestamp) -> Result<(), ClaimError> {
    if issued_at > now.plus(LEEWAY) {
        return Err(ClaimError::InTheFuture("iat"));
    }
    let age = now.since(issued_at);
    if age >= max {
        return Err(ClaimError::TooOld { age, max });
    }
    Ok(())
}

/// `sub`: ASCII, at most 255 characters (OpenID Connect Core 1.0 §2), none of them a control.
fn subject(claims: &Map<String, Value>) -> Result<&str, ClaimError> {
    let subject = text(claims, "sub")?.ok_or(ClaimError::Missing("sub"))?;
    let is_good = subject.len() <= 255 && subject.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if is_good {
        Ok(subject)
    } else {
        Err(ClaimError::Malformed("sub"))
    }
}

/// A string that says something; absent is fine, `null` is not.
fn text<'a>(
    claims: &'a Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'a str>, ClaimError> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
        Some(_) => Err(ClaimError::Malformed(name)),
    }
}

/// An array of strings; one string counts as one.
fn texts(claims: &Map<String, Value>, name: &'static str) -> Result<Vec<String>, ClaimError> {
    match claims.get(name) {
        None => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![text.clone()]),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| {
                item.as_str()
                    .map(str::to_owned)
                    .ok_or(ClaimError::Malformed(name))
            })
            .collect(),
        Some(_) => Err(ClaimError::Malformed(name)),
    }
}

/// Whole seconds since 1970, before the year 10000: no negative, no float, no text.
fn time(claims: &Map<String, Value>, name: &'static str) -> Result<Option<Timestamp>, ClaimError> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => match value.as_u64() {
            Some(seconds) if seconds < 253_402_300_800 => {
                Ok(Some(Timestamp::from_seconds(seconds)))
            }
            _ => Err(ClaimError::Malformed(name)),
        },
    }
}
