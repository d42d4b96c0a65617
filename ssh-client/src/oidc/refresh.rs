//! Renewing the identity without a browser, and giving the grant back. Refresh tokens rotate and
//! two uses at once kill the grant: the caller holds the CA's lock, and writes the new
//! refresh token before it uses the answer.

use zeroize::Zeroizing;

use super::{OidcError, Tokens, post_form, safe_url};
use crate::state::Renewal;

/// Asks for a fresh ID token, with the scopes of the first time (Okta, Entra).
pub(crate) async fn refresh(
    http: &reqwest::Client,
    issuer: &str,
    renewal: &Renewal,
    token: &Zeroizing<String>,
) -> Result<Refreshed, OidcError> {
    let scopes = renewal.scopes.join(" ");
    let mut form = vec![
        ("grant_type", "refresh_token"),
        ("refresh_token", token.as_str()),
        ("client_id", &renewal.client_id),
        ("scope", &scopes),
    ];
    if let Some(secret) = &renewal.client_secret {
        form.push(("client_secret", secret));
    }
    let answer = post_form(http, issuer, &renewal.token_endpoint, &form).await?;
    Ok(Refreshed {
        new_token: answer.refresh_token,
        id_token: answer.id_token,
        access_token: answer.access_token,
        issuer: issuer.to_owned(),
    })
}

/// What a refresh brought. The new refresh token comes out first, so that it is kept before
/// anything else can fail.
pub(crate) struct Refreshed {
    new_token: Option<Zeroizing<String>>,
    id_token: Option<Zeroizing<String>>,
    access_token: Option<Zeroizing<String>>,
    issuer: String,
}

impl Refreshed {
    /// The token that replaces the old one, if the issuer rotates.
    pub(crate) fn new_token(&self) -> Option<&Zeroizing<String>> {
        self.new_token.as_ref()
    }

    /// The tokens for the CA.
    pub(crate) fn into_tokens(self) -> Result<Tokens, OidcError> {
        let Some(id_token) = self.id_token else {
            return Err(OidcError::Answer {
                issuer: self.issuer,
                what: "no ID token at a refresh: let the provider return one, or raise \
                       `identity_max_age` in the CA's configuration"
                    .into(),
            });
        };
        Ok(Tokens {
            id_token,
            access_token: self.access_token,
            refresh_token: None,
        })
    }
}

/// Gives the grant back (RFC 7009).
pub(crate) async fn revoke(
    http: &reqwest::Client,
    renewal: &Renewal,
    token: &Zeroizing<String>,
) -> Result<(), OidcError> {
    let Some(endpoint) = &renewal.revocation_endpoint else {
        return Ok(());
    };
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("token", token)
        .append_pair("token_type_hint", "refresh_token")
        .append_pair("client_id", &renewal.client_id);
    if let Some(secret) = &renewal.client_secret {
        form.append_pair("client_secret", secret);
    }
    let response = http
        .post(safe_url(endpoint)?)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form.finish())
        .send()
        .await
        .map_err(|error| super::unreachable(endpoint, &error))?;
    if response.status().is_success() {
        return Ok(());
    }
    Err(OidcError::Refused {
        error: response.status().to_string(),
        description: None,
    })
}
