//! `POST /v1/sign-ins`: a client announces a sign-in that the person will do on another machine.
//! The CA's page then shows who asks and prints what to paste; it hands nothing to whoever waits
//! (A15, A16): only the terminal that holds the PKCE verifier can use what is pasted.

use serde::{Deserialize, Serialize};

/// What the terminal announces, with a proof by the login key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignInRequest {
    /// OAuth `state` of the authorization request: 32 random bytes, base64url without padding.
    pub state: String,
    /// Issuer that the person will be sent to.
    pub issuer: String,
}

/// Where the issuer must send the browser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignInAnswer {
    /// `redirect_uri` of the authorization request: the CA's `/sign-in` page.
    pub redirect_uri: String,
    /// When the announcement ends, seconds since 1970-01-01 UTC.
    pub expires: u64,
}

/// What the page prints for the person to paste: base64url (no padding) of this as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pasted {
    /// Authorization code; useless without the PKCE verifier.
    pub code: String,
    /// The announced state.
    pub state: String,
    /// RFC 9207 `iss`, if the issuer sent one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
}
