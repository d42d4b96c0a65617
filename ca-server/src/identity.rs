//! Raw token ──► [`VerifiedIdentity`]. Knows nothing of policy, certificates or SQL.
//!
//! In: an ID token, what it must be bound to, and `now`. Out: who it is, once, as a [`IdentityFacts`];
//! after that the raw token no longer exists. Keeps invariant 3 (what a token must be) and
//! the first half of 4 (bound to a key by its nonce); the second half, one login for each nonce, is
//! `login.rs`'s. Sources: OpenID Connect Core 1.0 §3.1.3.7, RFC 7515, RFC 7519, RFC 8725.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::Arc;

use jit_ssh_api::binding::Salt;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::time::Timestamp;

mod binding;
pub mod claims;
mod error;
pub mod fetch;
pub mod issuer;
pub mod json;
pub mod keys;
mod name;
pub mod provider;
pub mod token;

pub use claims::ClaimError;
pub use error::{AccessTokenError, IdentityError, RefreshError};
pub use fetch::{FetchClient, FetchError};
pub use issuer::{Algorithm, CanSay, ClientConfig, GroupsSource, IssuerConfig, IssuerConfigError};
pub use keys::JwksError;
pub use name::{Email, Group, Issuer, Subject};
pub use provider::{Preset, ProviderError};
pub use token::{SignatureError, TokenError};

use claims::Standard;
use fetch::source::{Published, Source};
use keys::Key;
use provider::Profile;
use token::Token;

/// What one token said, as the ledger keeps it. Never the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityFacts {
    /// Who says so.
    pub issuer: Issuer,
    /// The client that the token was for.
    pub client_id: String,
    /// The issuer's `sub`.
    pub subject: Subject,
    /// The person, for ever: JSON array text of the issuer and the claims of
    /// [`IssuerConfig::person_key`].
    pub person: String,
    /// Only from an issuer that is trusted with it, and verified (A20).
    pub email: Option<Email>,
    /// The address as the issuer says it, where that is not to be trusted: to find people by, and for
    /// nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said_email: Option<String>,
    /// Groups, exactly as the issuer writes them.
    pub groups: BTreeSet<Group>,
    /// Authentication context class.
    pub acr: Option<String>,
    /// How the person signed in.
    pub amr: Vec<String>,
    /// Entra's authentication contexts.
    pub acrs: Vec<String>,
    /// When the person signed in.
    pub auth_time: Option<Timestamp>,
    /// All other top-level claims of bounded size, for policy to ask.
    pub claims: BTreeMap<String, Value>,
    /// `iat` with the issuer's clock offset: the age of all this counts from here.
    pub issued_at: Timestamp,
    /// When the token expires.
    pub expires: Timestamp,
}

/// An identity that went through every check of this module; nothing else makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedIdentity(IdentityFacts);

impl VerifiedIdentity {
    /// The identity of a live login, as the ledger kept it. For `login.rs` alone.
    pub(crate) fn recalled(snapshot: IdentityFacts) -> Self {
        VerifiedIdentity(snapshot)
    }

    /// The plain values.
    pub fn snapshot(&self) -> &IdentityFacts {
        &self.0
    }
}

impl Deref for VerifiedIdentity {
    type Target = IdentityFacts;

    fn deref(&self) -> &IdentityFacts {
        &self.0
    }
}

/// What is left of a token once it is verified.
#[derive(Clone, Debug)]
pub struct VerifiedToken {
    /// Who.
    pub identity: VerifiedIdentity,
    /// Its nonce: the login's own, which opens one login for ever.
    pub nonce: Option<String>,
    /// `jti` (Entra: `uti`), else SHA-256 of the signing input in hex.
    pub token_id: String,
    /// The configuration that it was judged by.
    pub issuer: Arc<IssuerConfig>,
}

/// A token that is to open a login, and what its nonce must commit to (invariant 4).
pub struct Opening<'a> {
    /// Compact JWS.
    pub id_token: &'a str,
    /// Only where the issuer's groups come from userinfo.
    pub access_token: Option<&'a str>,
    /// Of the binding.
    pub salt: Salt,
    /// Public key blob (RFC 4253 §6.6) of the login key.
    pub login_key: &'a [u8],
    /// Public key blob of the key to certify, where it is another one.
    pub named_key: Option<&'a [u8]>,
}

/// A refreshed token of a live login, and what it must agree with.
pub struct Refresh<'a> {
    /// Compact JWS.
    pub id_token: &'a str,
    /// Only where the issuer's groups come from userinfo.
    pub access_token: Option<&'a str>,
    /// The login's.
    pub issuer: &'a str,
    /// The login's.
    pub client_id: &'a str,
    /// The login's.
    pub subject: &'a str,
    /// The login's [`IdentityFacts::person`].
    pub person: &'a str,
    /// The login's own nonce; a refreshed token has it or none.
    pub nonce: &'a str,
    /// [`IdentityFacts::issued_at`] of the last token that was accepted.
    pub last_issued_at: Timestamp,
    /// [`VerifiedToken::token_id`] of the last token that was accepted.
    pub last_token_id: &'a str,
}

impl Refresh<'_> {
    /// The same person, client and key, and newer.
    fn goes_on_with(&self, judged: &Judged<'_>, known: &Known) -> Result<(), IdentityError> {
        judged.standard.bound_to_login(self.nonce)?;
        if known.config.issuer.as_ref() != self.issuer {
            return Err(RefreshError::OtherIssuer.into());
        }
        if judged.client_id != self.client_id {
            return Err(RefreshError::OtherClient.into());
        }
        if judged.standard.subject != self.subject || judged.person != self.person {
            return Err(RefreshError::OtherPerson.into());
        }
        // Some providers hand out the first token again: that is no fresh word.
        if judged.standard.issued_at <= self.last_issued_at || judged.token_id == self.last_token_id
        {
            return Err(RefreshError::NotNewer.into());
        }
        Ok(())
    }
}

/// What a genuine token says by itself: all that is known before its issuer is asked about the person.
struct Judged<'a> {
    client_id: &'a str,
    standard: Standard<'a>,
    person: String,
    token_id: String,
}

/// Whether an issuer answers at all, for `issuer_outage_grace`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reachability {
    /// It answers, or has not been asked.
    Reachable,
    /// No connection, no answer in time, or a failure of its own (5xx); never a refusal, nor that it
    /// is asked too often (429).
    Unreachable {
        /// The first failure of the outage.
        since: Timestamp,
    },
}

/// All issuers with their keys; shared, built at load, keeps the keys of unchanged issuers.
#[derive(Debug)]
pub struct Identities {
    issuers: BTreeMap<Issuer, Known>,
}

#[derive(Debug)]
struct Known {
    config: Arc<IssuerConfig>,
    source: Arc<Source>,
}

impl Identities {
    /// Takes checked configurations; keys of issuers that `previous` had are kept.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the client is shared out to every issuer"
    )]
    pub fn new(
        configs: Vec<IssuerConfig>,
        http: FetchClient,
        previous: Option<&Identities>,
    ) -> Self {
        let known = |config: IssuerConfig| {
            let issuer = config.issuer.clone();
            let source = Source::new(issuer.clone(), http.clone());
            if let Some(before) = previous.and_then(|previous| previous.issuers.get(&issuer)) {
                source.inherit(&before.source);
            }
            (
                issuer,
                Known {
                    config: Arc::new(config),
                    source: Arc::new(source),
                },
            )
        };
        Identities {
            issuers: configs.into_iter().map(known).collect(),
        }
    }

    /// With key sets given by hand; nothing is ever fetched.
    #[cfg(test)]
    pub(crate) fn with_keys(configs: Vec<(IssuerConfig, &str)>) -> Result<Self, JwksError> {
        let known = |(config, jwks): (IssuerConfig, &str)| -> Result<_, JwksError> {
            let issuer = config.issuer.clone();
            let keys = keys::Jwks::parse(jwks.as_bytes(), issuer.as_ref())?;
            let source = Arc::new(Source::by_hand(issuer.clone(), keys));
            Ok((
                issuer,
                Known {
                    config: Arc::new(config),
                    source,
                },
            ))
        };
        Ok(Identities {
            issuers: configs.into_iter().map(known).collect::<Result<_, _>>()?,
        })
    }

    /// [`Identities::verify_opening_of`] anybody.
    #[cfg(test)]
    pub(crate) async fn verify_opening(
        &self,
        opening: Opening<'_>,
        now: Timestamp,
    ) -> Result<VerifiedToken, IdentityError> {
        self.verify_opening_of(opening, |_| Ok(()), now).await
    }

    /// Judges a token that is to open a login; the issuer is the one that `iss` names exactly. `admit` is
    /// asked once whether it takes the person of the token ([`IdentityFacts::person`]), and before the
    /// issuer is asked anything about that person.
    pub async fn verify_opening_of<E: From<IdentityError>>(
        &self,
        opening: Opening<'_>,
        admit: impl FnOnce(&str) -> Result<(), E>,
        now: Timestamp,
    ) -> Result<VerifiedToken, E> {
        let token = Token::parse(opening.id_token).map_err(IdentityError::from)?;
        let known = self.known(&token)?;
        let nonce = binding::expected(&opening);
        let meant = |judged: &Judged<'_>| {
            judged
                .standard
                .bound_to(&nonce)
                .map_err(IdentityError::from)?;
            admit(&judged.person)
        };
        known.verify(&token, opening.access_token, meant, now).await
    }

    /// Judges a refreshed token of a live login: the same person, client and key, and newer.
    pub async fn verify_refresh(
        &self,
        refresh: Refresh<'_>,
        now: Timestamp,
    ) -> Result<VerifiedToken, IdentityError> {
        let token = Token::parse(refresh.id_token)?;
        let known = self.known(&token)?;
        let meant = |judged: &Judged<'_>| refresh.goes_on_with(judged, known);
        known.verify(&token, refresh.access_token, meant, now).await
    }

    /// Whether an issuer answers; asks it, at most every few seconds.
    pub async fn reachable(&self, issuer: &str, now: Timestamp) -> Reachability {
        match self.issuers.get(issuer) {
            Some(known) => known.source.reachable(now).await,
            None => Reachability::Reachable,
        }
    }

    /// Fetches discovery and keys of every issuer, so that the first sign-in need not wait. A
    /// failure is no error here: it is logged, and met again at the first sign-in.
    pub async fn warm(&self, now: Timestamp) {
        for known in self.issuers.values() {
            if let Err(error) = known.source.keys(now).await {
                tracing::warn!(issuer = %known.config.issuer, %error, "cannot reach the issuer yet");
            }
        }
    }

    /// The issuer that a token says it is from, if it is one of ours, byte for byte (A9).
    fn known(&self, token: &Token<'_>) -> Result<&Known, IdentityError> {
        let issuer = claims::issuer(&token.claims)?;
        self.issuers.get(issuer).ok_or(IdentityError::UnknownIssuer)
    }
}

impl Known {
    /// Everything that holds for every token, in the order in which it is believed. `meant` says
    /// what it must be for this use; it comes before userinfo, so that a token which is of no use
    /// asks the issuer nothing.
    async fn verify<E: From<IdentityError>>(
        &self,
        token: &Token<'_>,
        access_token: Option<&str>,
        meant: impl FnOnce(&Judged<'_>) -> Result<(), E>,
        now: Timestamp,
    ) -> Result<VerifiedToken, E> {
        let (judged, published) = self.judge(token, now).await?;
        meant(&judged)?;
        Ok(self
            .identity(token, access_token, judged, &published)
            .await?)
    }

    /// Signature and standard claims.
    async fn judge<'a>(
        &'a self,
        token: &'a Token<'_>,
        now: Timestamp,
    ) -> Result<(Judged<'a>, Arc<Published>), IdentityError> {
        let config = &self.config;
        let audience = claims::audience(&token.claims)?;
        let client = config.client(audience).ok_or(ClaimError::Audience)?;
        let published = self.signed(token, &client.id, now).await?;
        let standard = Standard::judge(&token.claims, config, &client.id, now)?;
        let token_id = match standard.id {
            Some(id) if id.len() <= MAX_TOKEN_ID => id.to_owned(),
            _ => token.digest(),
        };
        let judged = Judged {
            client_id: &client.id,
            person: Profile::person_of(&token.claims, config)?,
            standard,
            token_id,
        };
        Ok((judged, published))
    }

    /// The person, with what userinfo adds where groups are only there.
    async fn identity(
        &self,
        token: &Token<'_>,
        access_token: Option<&str>,
        judged: Judged<'_>,
        published: &Published,
    ) -> Result<VerifiedToken, IdentityError> {
        let config = &self.config;
        let Judged {
            client_id,
            standard,
            token_id,
            ..
        } = judged;
        let userinfo = match (config.groups.is_userinfo(), access_token) {
            (false, _) => None,
            (true, None) => return Err(AccessTokenError::Missing.into()),
            (true, Some(access_token)) => {
                bearer(access_token)?;
                let key = published
                    .keys
                    .candidates(token.key_id.as_deref(), token.algorithm);
                same_access_token(&token.claims, access_token, token.algorithm, key.first())?;
                Some(
                    self.userinfo(published, access_token, standard.subject)
                        .await?,
                )
            }
        };
        let profile = Profile::read(&token.claims, userinfo.as_ref(), config)?;
        let snapshot = IdentityFacts {
            issuer: config.issuer.clone(),
            client_id: client_id.to_owned(),
            subject: Subject::new(standard.subject),
            person: profile.person,
            email: profile.email,
            said_email: profile.said_email,
            groups: profile.groups,
            acr: standard.acr.map(str::to_owned),
            auth_time: standard.auth_time,
            issued_at: standard.issued_at,
            expires: standard.expires,
            amr: standard.amr,
            acrs: standard.acrs,
            claims: profile.claims,
        };
        Ok(VerifiedToken {
            identity: VerifiedIdentity(snapshot),
            nonce: standard.nonce.map(str::to_owned),
            token_id,
            issuer: Arc::clone(config),
        })
    }

    /// The signature holds under a key that the issuer publishes now; a key that we do not know yet
    /// is looked for once (A11).
    async fn signed(
        &self,
        token: &Token<'_>,
        client_id: &str,
        now: Timestamp,
    ) -> Result<Arc<Published>, IdentityError> {
        let unavailable = |cause| IdentityError::Unavailable {
            issuer: self.config.issuer.clone(),
            cause,
        };
        let published = self.source.keys(now).await.map_err(unavailable)?;
        let check = |published: &Published| {
            let keys = published
                .keys
                .candidates(token.key_id.as_deref(), token.algorithm);
            token.verify(&self.config, client_id, keys, now)
        };
        let first = match check(&published) {
            Ok(()) => return Ok(published),
            Err(error) => error,
        };
        // Without a name, another key than the ones we know shows only by a signature that fails.
        let may_be_newer = match first {
            SignatureError::UnknownKey => true,
            SignatureError::Signature => token.key_id.is_none(),
            _ => false,
        };
        if may_be_newer && let Some(newer) = self.source.keys_beyond(&published, now).await {
            check(&newer)?;
            return Ok(newer);
        }
        Err(first.into())
    }

    /// Asked once, and about the same person (OpenID Connect Core 1.0 §5.3.2).
    async fn userinfo(
        &self,
        published: &Published,
        access_token: &str,
        subject: &str,
    ) -> Result<Map<String, Value>, IdentityError> {
        let userinfo = match self.source.userinfo(published, access_token).await {
            Ok(userinfo) => userinfo,
            Err(FetchError::Refused(status)) => {
                return Err(AccessTokenError::Refused(status).into());
            }
            Err(cause) => {
                return Err(IdentityError::Unavailable {
                    issuer: self.config.issuer.clone(),
                    cause,
                });
            }
        };
        match userinfo.get("sub").and_then(Value::as_str) {
            Some(found) if found == subject => Ok(userinfo),
            _ => Err(AccessTokenError::OtherPerson.into()),
        }
    }
}

/// `b64token` of RFC 6750 §2.1: anything else is no header, and would look as if the issuer did not
/// answer.
fn bearer(access_token: &str) -> Result<(), AccessTokenError> {
    let body = access_token.trim_end_matches('=');
    let is_right = |it: u8| it.is_ascii_alphanumeric() || b"-._~+/".contains(&it);
    if body.is_empty() || access_token.len() > MAX_ACCESS_TOKEN || !body.bytes().all(is_right) {
        return Err(AccessTokenError::Malformed);
    }
    Ok(())
}

/// `at_hash`, where the token has one: the access token came with it (Core 1.0 §3.1.3.8).
fn same_access_token(
    claims: &Map<String, Value>,
    access_token: &str,
    algorithm: Algorithm,
    key: Option<&Key>,
) -> Result<(), AccessTokenError> {
    let Some(at_hash) = claims.get("at_hash") else {
        return Ok(());
    };
    let access_token = openidconnect::AccessToken::new(access_token.to_owned());
    let expected = key
        .and_then(|key| {
            openidconnect::AccessTokenHash::from_token(&access_token, &algorithm, key).ok()
        })
        .ok_or(AccessTokenError::OtherToken)?;
    if at_hash.as_str() == Some(expected.as_str()) {
        Ok(())
    } else {
        Err(AccessTokenError::OtherToken)
    }
}

/// Longest `jti` that is kept as it is.
const MAX_TOKEN_ID: usize = 128;

/// Longest access token that is passed on.
const MAX_ACCESS_TOKEN: usize = 8 * 1024;

#[cfg(test)]
mod tests;
