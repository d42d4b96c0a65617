//! Why a token is not accepted: one variant for each who must act, and what the person does next.

use super::Issuer;
use super::claims::ClaimError;
use super::fetch::FetchError;
use super::provider::ProviderError;
use super::token::{SignatureError, TokenError};

/// Why a token is not accepted. `Display` is for the person, and names no secret; [`Self::next`]
/// says what to do.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The caller: it is no token that we read.
    #[error("the ID token is not accepted: {0}")]
    Token(#[from] TokenError),
    /// The caller: it is from somebody that this CA does not believe.
    #[error("the ID token is not accepted: it is from an issuer that this CA does not know")]
    UnknownIssuer,
    /// The caller: nobody whom we believe signed it.
    #[error("the ID token is not accepted: {0}")]
    Signature(#[from] SignatureError),
    /// The caller: its claims are not right for this, now.
    #[error("the ID token is not accepted: {0}")]
    Claim(#[from] ClaimError),
    /// The caller: it does not go on with this login.
    #[error("the refreshed ID token is not accepted: {0}")]
    Refresh(#[from] RefreshError),
    /// The caller: the access token beside it is not right.
    #[error("the access token is not accepted: {0}")]
    AccessToken(#[from] AccessTokenError),
    /// The administrator of the identity provider: the token is genuine, but not enough.
    #[error("your identity is not accepted: {0}")]
    Provider(#[from] ProviderError),
    /// The IdP: it does not answer, and no keys of it are kept.
    #[error("{issuer} cannot be asked: {cause}")]
    Unavailable {
        /// Which.
        issuer: Issuer,
        /// What happened.
        #[source]
        cause: FetchError,
    },
}

/// Why a refreshed token does not go on with its login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefreshError {
    /// Another `iss`.
    #[error("it is from another issuer than the login")]
    OtherIssuer,
    /// Another audience.
    #[error("it is for another client than the login")]
    OtherClient,
    /// Another subject, or another person by the person's key.
    #[error("it is another person's than the login")]
    OtherPerson,
    /// As old as the last one, or the last one itself.
    #[error("it is not newer than the last one")]
    NotNewer,
}

/// What is wrong with the access token beside an ID token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessTokenError {
    /// The issuer's groups are at userinfo only.
    #[error("it is missing, and the groups of this issuer are only to be had with it")]
    Missing,
    /// No bearer token by RFC 6750 §2.1, or longer than any.
    #[error("it is none: a bearer token is letters, digits and -._~+/, at most 8 KiB")]
    Malformed,
    /// Not the one that came with the ID token (`at_hash`).
    #[error("it is not the one that came with the ID token")]
    OtherToken,
    /// The userinfo endpoint refuses it.
    #[error("the identity provider refuses it (status {0})")]
    Refused(u16),
    /// Userinfo is about somebody else.
    #[error("it is another person's than the ID token")]
    OtherPerson,
}

impl IdentityError {
    /// What to do next, for the person.
    pub fn next(&self) -> &'static str {
        match self {
            IdentityError::UnknownIssuer => {
                "Sign in again with `jit-ssh login`, at an issuer that this CA names."
            }
            IdentityError::Claim(ClaimError::NotYet | ClaimError::InTheFuture(_)) => {
                "Tell the CA's operator to compare its clock, and to look at `clock_offset`."
            }
            IdentityError::Token(_)
            | IdentityError::Signature(_)
            | IdentityError::Claim(_)
            | IdentityError::Refresh(_)
            | IdentityError::AccessToken(_) => "Sign in again with `jit-ssh login`.",
            IdentityError::Provider(ProviderError::GroupsOverage) => {
                "Ask the identity provider's administrator to assign app roles and to set \
                 `groups_claim = \"roles\"` at the CA, or to emit only the groups assigned to the \
                 application: docs/idp/entra.md says how."
            }
            IdentityError::Provider(_) => {
                "Ask the identity provider's administrator: docs/idp says what each one must send."
            }
            IdentityError::Unavailable { .. } => {
                "Wait a moment and try again; certificates that you have stay valid."
            }
        }
    }
}
