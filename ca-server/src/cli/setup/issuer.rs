//! Asks an identity provider for its discovery document, so that a wrong address or a document of
//! another issuer is told while it can still be mended in the same command.

use std::path::Path;

use jit_ssh_connect::{block_on, http_client};
use jit_ssh_terminal::{Exit, Failure};
use serde::Deserialize;
use url::Url;

use crate::cli::access::options;
use crate::identity::{FetchClient, FetchError};
use crate::time::Clock;

/// What is needed of it (OpenID Connect Discovery 1.0 §3).
#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    jwks_uri: Option<String>,
    #[serde(default)]
    id_token_signing_alg_values_supported: Vec<String>,
    #[serde(default)]
    scopes_supported: Vec<String>,
}

/// What the provider says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct Checked {
    /// Remarks that do not stand against it.
    pub(in crate::cli) remarks: Vec<String>,
    /// It offers the scope `groups`, without which some (Okta, Dex) leave the claim out.
    pub(in crate::cli) groups_scope: bool,
}

/// Asks it, and refuses what cannot be the issuer that was meant.
pub(in crate::cli) fn check(issuer: &str, ca_file: Option<&Path>) -> Result<Checked, Failure> {
    let address = format!(
        "{}/.well-known/openid-configuration",
        issuer.trim_end_matches('/')
    );
    let url = Url::parse(&address).map_err(|error| {
        Failure::usage(format_args!("`{issuer}` is not the address of an issuer."))
            .why(error)
            .next("Write it exactly as the provider's tokens do: https://acme.okta.com")
    })?;
    let mut options = options();
    options.ca_files.extend(ca_file.map(Path::to_owned));
    options.timeout = std::time::Duration::from_secs(15);
    let client = http_client(&url, &options)?;
    let body = block_on(async {
        let mut response = client
            .get(url.clone())
            .send()
            .await
            .map_err(|error| unreachable(issuer, &error))?;
        if !response.status().is_success() {
            return Err(not_an_issuer(
                issuer,
                format!("{url} answers with status {}", response.status().as_u16()),
            ));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| unreachable(issuer, &error))?
        {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_DOCUMENT {
                return Err(not_an_issuer(
                    issuer,
                    "its document is larger than 1 MiB".to_owned(),
                ));
            }
        }
        Ok(body)
    })??;
    let document: Document = serde_json::from_slice(&body).map_err(|error| {
        not_an_issuer(issuer, format!("{url} is no discovery document: {error}"))
    })?;
    let checked = judge(issuer, &document)?;
    // The same provider as the serving CA will see it: its own client, limits, and the keys.
    let not_taken = |error: FetchError| {
        not_an_issuer(
            issuer,
            format!("The CA would not take what it publishes: {error}"),
        )
    };
    let files: Vec<_> = options.ca_files.clone();
    let client = FetchClient::new(&files).map_err(not_taken)?;
    block_on(client.try_out(issuer, Clock::System.now()))?.map_err(not_taken)?;
    Ok(checked)
}

fn judge(issuer: &str, document: &Document) -> Result<Checked, Failure> {
    if document.issuer != issuer {
        return Err(
            Failure::usage("The issuer is written differently by the provider itself.")
                .why(format_args!(
                    "It says `{}`, and its tokens will; `{issuer}` was given.",
                    document.issuer
                ))
                .next(format_args!(
                    "Use its own words: `--issuer {}`",
                    document.issuer
                )),
        );
    }
    for (name, endpoint) in [
        ("authorization_endpoint", &document.authorization_endpoint),
        ("token_endpoint", &document.token_endpoint),
        ("jwks_uri", &document.jwks_uri),
    ] {
        if endpoint.is_none() {
            return Err(not_an_issuer(
                issuer,
                format!("its discovery document has no {name}"),
            ));
        }
    }
    let mut checked = Checked {
        remarks: Vec::new(),
        groups_scope: document
            .scopes_supported
            .iter()
            .any(|scope| scope == "groups"),
    };
    let algorithms = &document.id_token_signing_alg_values_supported;
    if !algorithms.is_empty()
        && algorithms
            .iter()
            .all(|name| name.starts_with("HS") || name == "none")
    {
        checked.remarks.push(format!(
            "{issuer} says that it signs ID tokens with {} only; choose a signing key there (RS256)",
            algorithms.join(", ")
        ));
    }
    Ok(checked)
}

fn unreachable(issuer: &str, error: &reqwest::Error) -> Failure {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    Failure::new(Exit::Unreachable, format_args!("The identity provider {issuer} cannot be reached."))
        .why(cause)
        .next("Check --issuer, and that this machine may go there (HTTPS_PROXY and NO_PROXY are honoured).")
        .next("If a CA of your own signs its TLS certificate: `--issuer-ca FILE`.")
        .next("To go on without asking it: `--skip-issuer-check`.")
}

fn not_an_issuer(issuer: &str, why: String) -> Failure {
    Failure::failed(format_args!("{issuer} is not an OpenID provider."))
        .why(why)
        .next(
            "Give the issuer exactly as its tokens name it: https://acme.okta.com, \
         https://login.microsoftonline.com/TENANT/v2.0, https://HOST/realms/REALM, \
         https://accounts.google.com",
        )
}

const MAX_DOCUMENT: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn document(json: &str) -> Document {
        serde_json::from_str(json).unwrap()
    }

    const GOOD: &str = r#"{"issuer":"https://idp.example.com","authorization_endpoint":"a",
        "token_endpoint":"t","jwks_uri":"j","id_token_signing_alg_values_supported":["RS256"]}"#;

    #[test]
    fn a_document_of_another_issuer_is_refused_with_the_right_one() {
        assert!(
            judge("https://idp.example.com", &document(GOOD))
                .unwrap()
                .remarks
                .is_empty()
        );
        let failure = judge("https://idp.example.com/", &document(GOOD)).unwrap_err();
        assert!(
            failure
                .to_string()
                .contains("--issuer https://idp.example.com")
        );
    }

    #[test]
    fn a_provider_that_signs_with_a_shared_secret_is_told_of() {
        let document = document(&GOOD.replace("RS256", "HS256"));
        assert_eq!(
            judge("https://idp.example.com", &document)
                .unwrap()
                .remarks
                .len(),
            1
        );
    }

    #[test]
    fn the_scope_for_groups_is_asked_for_only_where_it_exists() {
        let offered = GOOD.replace('}', r#","scopes_supported":["openid","groups"]}"#);
        let judged = |text: &str| judge("https://idp.example.com", &document(text)).unwrap();
        assert!(judged(&offered).groups_scope);
        assert!(!judged(GOOD).groups_scope);
    }

    #[test]
    fn a_provider_without_endpoints_is_refused() {
        let document = document(r#"{"issuer":"https://idp.example.com"}"#);
        assert!(judge("https://idp.example.com", &document).is_err());
    }

    #[test]
    fn a_provider_that_is_down_is_said_to_be() {
        let failure = check("http://127.0.0.1:1", None).unwrap_err();
        assert_eq!(failure.exit(), Exit::Unreachable);
        assert!(failure.to_string().contains("--skip-issuer-check"));
    }
}
