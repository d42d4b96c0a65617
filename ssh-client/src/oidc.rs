//! OpenID Connect from the client's side (RFC 6749, 7636, 8252, 9207): the issuer's metadata, the
//! authorization request with PKCE S256 and the bound nonce, the code turned into tokens.
//!
//! What comes in is an issuer and client that the CA named; what goes out is an ID token that the
//! CA will judge (invariant 3), bound to the login key by its nonce (invariant 4). Here only what
//! the CA cannot see is checked: that code, state and issuer belong to this transaction (A17).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jit_ssh_api::discovery::{Client, Issuer};
use jit_ssh_terminal::{Exit, Failure};
use rand::{CryptoRng, RngCore};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use url::Url;
use zeroize::Zeroizing;

pub(crate) mod browser;
pub(crate) mod loopback;
pub(crate) mod paste;
pub(crate) mod refresh;

/// Why a sign-in at the issuer did not work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OidcError {
    /// The network, or a provider that is down.
    #[error("{issuer} cannot be reached: {cause}")]
    Unreachable {
        /// Issuer.
        issuer: String,
        /// What stood in the way.
        cause: String,
    },
    /// The provider's own answer makes no sense.
    #[error("{issuer} answers wrongly: {what}")]
    Answer {
        /// Issuer.
        issuer: String,
        /// What is wrong with it.
        what: String,
    },
    /// The provider said no.
    #[error("the identity provider refuses: {error}{}", description.as_ref().map(|d| format!(" ({d})")).unwrap_or_default())]
    Refused {
        /// OAuth error code.
        error: String,
        /// Its words.
        description: Option<String>,
    },
    /// An address that must not be opened or asked.
    #[error("{0:?} is neither an https address nor one of this machine")]
    Address(String),
    /// No port of the list is free.
    #[error("none of the ports {0:?} that are registered for the sign-in is free")]
    Ports(Vec<u16>),
    /// The loopback listener failed.
    #[error("the browser's answer cannot be received: {0}")]
    Listen(std::io::Error),
    /// The browser's answer is for another transaction.
    #[error("this is the answer to another sign-in")]
    OtherTransaction,
    /// The answer names another issuer, or none where one was promised (RFC 9207).
    #[error("the answer comes from another issuer than the one that was asked")]
    OtherIssuer,
    /// What was pasted is nothing of the kind.
    #[error("this is neither what the CA's page shows nor the address of the failed page")]
    Paste,
    /// Nobody finished the sign-in.
    #[error("nobody finished the sign-in within {0} minutes")]
    Timeout(u64),
    /// Ctrl-C.
    #[error("the sign-in was given up")]
    Cancelled,
    /// No terminal to paste into.
    #[error("there is no terminal to paste into: {0}")]
    NoTerminal(std::io::Error),
}

impl From<OidcError> for Failure {
    fn from(error: OidcError) -> Self {
        let text = sentence(&error.to_string());
        let what = "The sign-in did not work.";
        match error {
            OidcError::Unreachable { issuer, cause } => Failure::new(
                Exit::Unreachable,
                format_args!("{issuer} cannot be reached."),
            )
            .why(cause)
            .next("Look at the network and HTTPS_PROXY: `jit-ssh doctor`."),
            OidcError::Answer { .. } | OidcError::Address(_) => Failure::failed(what)
                .why(text)
                .next("Tell whoever runs the CA: `jit-ssh-ca doctor` there looks at the issuer."),
            OidcError::Refused { .. } => Failure::new(Exit::Refused, what)
                .why(text)
                .next("Ask whoever runs the identity provider whether you may use jit-ssh."),
            OidcError::Ports(_) => Failure::failed(what)
                .why(text)
                .next("End what uses one of them, or: `jit-ssh login --no-browser`."),
            OidcError::Listen(_) | OidcError::NoTerminal(_) => Failure::failed(what)
                .why(text)
                .next("Run `jit-ssh login` in a terminal; without a browser: `--no-browser`."),
            OidcError::OtherTransaction | OidcError::OtherIssuer | OidcError::Paste => {
                Failure::failed(what)
                    .why(text)
                    .next("Try again: `jit-ssh login`.")
            }
            OidcError::Timeout(_) | OidcError::Cancelled => {
                Failure::new(Exit::NotSignedIn, text).next("Try again: `jit-ssh login`.")
            }
        }
    }
}

fn sentence(text: &str) -> String {
    if text.starts_with("http") {
        // An address stays as it is: it may be copied.
        return format!("{text}.");
    }
    let mut rest = text.chars();
    let first = rest.next().into_iter().flat_map(char::to_uppercase);
    first.chain(rest).chain(['.']).collect()
}

/// What we need of `/.well-known/openid-configuration`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Metadata {
    issuer: String,
    pub(crate) authorization_endpoint: String,
    pub(crate) token_endpoint: String,
    #[serde(default)]
    pub(crate) revocation_endpoint: Option<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl Metadata {
    /// Fetches and checks: the issuer must be the one that was asked, byte for byte.
    pub(crate) async fn fetch(http: &reqwest::Client, issuer: &str) -> Result<Self, OidcError> {
        let address = format!(
            "{}/.well-known/openid-configuration",
            issuer.strip_suffix('/').unwrap_or(issuer)
        );
        let address = safe_url(&address)?;
        let unreachable = |cause: reqwest::Error| unreachable(issuer, &cause);
        let response = http.get(address).send().await.map_err(unreachable)?;
        let status = response.status();
        let body = limited_body(response, issuer).await?;
        if status.is_server_error() {
            let (issuer, cause) = (issuer.to_owned(), format!("it answers {status}"));
            return Err(OidcError::Unreachable { issuer, cause });
        }
        let wrong = |what: String| OidcError::Answer {
            issuer: issuer.to_owned(),
            what,
        };
        if !status.is_success() {
            return Err(wrong(format!("{status} for its configuration")));
        }
        let metadata: Metadata = serde_json::from_slice(&body)
            .map_err(|error| wrong(format!("its configuration is unreadable: {error}")))?;
        if metadata.issuer != issuer {
            return Err(wrong(format!("it calls itself {:?}", metadata.issuer)));
        }
        safe_url(&metadata.authorization_endpoint)?;
        safe_url(&metadata.token_endpoint)?;
        if let Some(revocation) = &metadata.revocation_endpoint {
            safe_url(revocation)?;
        }
        Ok(metadata)
    }
}

/// One authorization request: what is sent, and what its answer must fit.
pub(crate) struct Transaction {
    issuer: String,
    metadata: Metadata,
    client: Client,
    nonce: String,
    state: String,
    verifier: Zeroizing<String>,
}

/// What the browser brought back.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Callback {
    /// Authorization code.
    pub(crate) code: String,
    /// RFC 9207.
    pub(crate) iss: Option<String>,
}

/// Tokens of the issuer.
pub(crate) struct Tokens {
    /// For the CA.
    pub(crate) id_token: Zeroizing<String>,
    /// For the CA where it asks userinfo, else dropped.
    pub(crate) access_token: Option<Zeroizing<String>>,
    /// For silent renewal.
    pub(crate) refresh_token: Option<Zeroizing<String>>,
}

impl Transaction {
    /// A new one, with state and verifier of its own.
    pub(crate) fn new(
        issuer: &Issuer,
        client: &Client,
        metadata: Metadata,
        nonce: String,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Self {
        Transaction {
            issuer: issuer.issuer.clone(),
            metadata,
            client: client.clone(),
            nonce,
            state: random_text(rng),
            verifier: Zeroizing::new(random_text(rng)),
        }
    }

    /// OAuth `state`, 43 characters.
    pub(crate) fn state(&self) -> &str {
        &self.state
    }

    /// The issuer's metadata.
    pub(crate) fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Where the browser has to go. Parameters of the configuration never replace ours.
    pub(crate) fn address(&self, redirect: &str, hint: Option<&str>) -> Result<Url, OidcError> {
        let mut address = safe_url(&self.metadata.authorization_endpoint)?;
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier.as_bytes()));
        let scopes = self.client.scopes.join(" ");
        let mut parameters: BTreeMap<&str, &str> = self
            .client
            .extra
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        if let Some(hint) = hint {
            parameters.entry("login_hint").or_insert(hint);
        }
        parameters.extend([
            ("response_type", "code"),
            ("client_id", self.client.client_id.as_str()),
            ("redirect_uri", redirect),
            ("scope", scopes.as_str()),
            ("state", self.state.as_str()),
            ("nonce", self.nonce.as_str()),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ]);
        address.query_pairs_mut().extend_pairs(parameters);
        Ok(address)
    }

    /// Whether a state is ours, without telling by time how much of it fits (A45).
    fn is_ours(&self, state: &str) -> bool {
        self.state.as_bytes().ct_eq(state.as_bytes()).into()
    }

    /// Checks the issuer of an answer (RFC 9207 §2.4).
    fn check_issuer(&self, iss: Option<&str>) -> Result<(), OidcError> {
        match iss {
            Some(iss) if iss == self.issuer => Ok(()),
            None if !self.metadata.authorization_response_iss_parameter_supported => Ok(()),
            _ => Err(OidcError::OtherIssuer),
        }
    }

    /// Turns the code into tokens. The code goes to the token endpoint of the issuer that was
    /// asked, and nowhere else (A17).
    pub(crate) async fn redeem(
        &self,
        http: &reqwest::Client,
        callback: &Callback,
        redirect: &str,
    ) -> Result<Tokens, OidcError> {
        self.check_issuer(callback.iss.as_deref())?;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", &callback.code),
            ("redirect_uri", redirect),
            ("client_id", &self.client.client_id),
            ("code_verifier", &self.verifier),
        ];
        if let Some(secret) = &self.client.client_secret {
            form.push(("client_secret", secret));
        }
        let answer = post_form(http, &self.issuer, &self.metadata.token_endpoint, &form).await?;
        let Some(id_token) = answer.id_token else {
            return Err(OidcError::Answer {
                issuer: self.issuer.clone(),
                what: "no ID token: the scope `openid` is missing in the CA's configuration".into(),
            });
        };
        Ok(Tokens {
            id_token,
            access_token: answer.access_token,
            refresh_token: answer.refresh_token,
        })
    }
}

/// A token endpoint's answer.
#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default, deserialize_with = "wiped")]
    id_token: Option<Zeroizing<String>>,
    #[serde(default, deserialize_with = "wiped")]
    access_token: Option<Zeroizing<String>>,
    #[serde(default, deserialize_with = "wiped")]
    refresh_token: Option<Zeroizing<String>>,
}

fn wiped<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Zeroizing<String>>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(Zeroizing::new))
}

/// An OAuth error document (RFC 6749 §5.2).
#[derive(Deserialize)]
struct ErrorAnswer {
    error: String,
    #[serde(default)]
    error_description: Option<String>,
}

async fn post_form(
    http: &reqwest::Client,
    issuer: &str,
    endpoint: &str,
    form: &[(&str, &str)],
) -> Result<TokenAnswer, OidcError> {
    let body = Zeroizing::new(
        url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish(),
    );
    let response = http
        .post(safe_url(endpoint)?)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "application/json")
        .body(body.to_string())
        .send()
        .await
        .map_err(|error| unreachable(issuer, &error))?;
    let status = response.status();
    let body = Zeroizing::new(limited_body(response, issuer).await?);
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|_| OidcError::Answer {
            issuer: issuer.to_owned(),
            what: "its token answer is not what RFC 6749 says".into(),
        });
    }
    if let Ok(answer) = serde_json::from_slice::<ErrorAnswer>(&body) {
        return Err(OidcError::Refused {
            error: answer.error,
            description: answer.error_description,
        });
    }
    let (issuer, cause) = (issuer.to_owned(), format!("it answers {status}"));
    Err(OidcError::Unreachable { issuer, cause })
}

async fn limited_body(mut response: reqwest::Response, issuer: &str) -> Result<Vec<u8>, OidcError> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| unreachable(issuer, &error))?
    {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(OidcError::Answer {
                issuer: issuer.to_owned(),
                what: "its answer is far too large".into(),
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn unreachable(issuer: &str, error: &reqwest::Error) -> OidcError {
    OidcError::Unreachable {
        issuer: issuer.to_owned(),
        cause: jit_ssh_connect::root_cause(error).to_string(),
    }
}

/// An address that may be asked or opened: https, or http on this machine; no user, no fragment
/// (A46).
pub(crate) fn safe_url(text: &str) -> Result<Url, OidcError> {
    let refuse = || OidcError::Address(text.to_owned());
    let url = Url::parse(text).map_err(|_| refuse())?;
    let safe = match url.scheme() {
        "https" => url.has_host(),
        "http" => jit_ssh_connect::is_loopback(&url),
        _ => false,
    };
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if safe && plain {
        Ok(url)
    } else {
        Err(refuse())
    }
}

fn random_text(rng: &mut (impl RngCore + CryptoRng)) -> String {
    let mut bytes = Zeroizing::new([0u8; 32]);
    rng.fill_bytes(&mut *bytes);
    URL_SAFE_NO_PAD.encode(*bytes)
}

/// Largest answer of an identity provider that we read.
const MAX_ANSWER: usize = 256 * 1024;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use jit_ssh_api::discovery::Flow;
    use rand::rngs::OsRng;

    pub(crate) fn transaction(promises_iss: bool) -> Transaction {
        let client = Client {
            client_id: "client".into(),
            client_secret: None,
            flows: vec![Flow::Loopback],
            redirect: "http://127.0.0.1/callback".into(),
            redirect_ports: Vec::new(),
            scopes: vec!["openid".into(), "groups".into()],
            extra: [
                ("access_type".to_owned(), "offline".to_owned()),
                ("code_challenge_method".to_owned(), "plain".to_owned()),
            ]
            .into(),
        };
        let issuer = Issuer {
            issuer: "https://idp.example.com".into(),
            label: "IdP".into(),
            clients: vec![client.clone()],
            userinfo: false,
            identity_max_age: 300,
        };
        let metadata = Metadata {
            issuer: issuer.issuer.clone(),
            authorization_endpoint: "https://idp.example.com/auth?tenant=1".into(),
            token_endpoint: "https://idp.example.com/token".into(),
            revocation_endpoint: None,
            authorization_response_iss_parameter_supported: promises_iss,
        };
        Transaction::new(&issuer, &client, metadata, "NONCE".into(), &mut OsRng)
    }

    #[test]
    fn the_request_is_always_bound_and_never_plain() {
        let transaction = transaction(true);
        let address = transaction
            .address("http://127.0.0.1:5/callback", Some("a@b"))
            .unwrap();
        let query: BTreeMap<String, String> = address.query_pairs().into_owned().collect();
        assert_eq!(query["code_challenge_method"], "S256");
        assert_eq!(query["code_challenge"].len(), 43);
        assert_eq!(query["nonce"], "NONCE");
        assert_eq!(query["scope"], "openid groups");
        assert_eq!(query["tenant"], "1");
        assert_eq!(query["access_type"], "offline");
        assert_eq!(query["login_hint"], "a@b");
        assert!(!query.contains_key("prompt"));
        assert!(transaction.is_ours(&query["state"]));
        assert!(!transaction.is_ours("") && !transaction.is_ours("x"));
    }

    #[test]
    fn an_answer_of_another_issuer_is_refused() {
        let silent = transaction(false);
        assert!(silent.check_issuer(None).is_ok());
        assert!(silent.check_issuer(Some("https://idp.example.com")).is_ok());
        assert!(
            silent
                .check_issuer(Some("https://idp.example.com/"))
                .is_err()
        );
        assert!(
            silent
                .check_issuer(Some("https://evil.example.com"))
                .is_err()
        );
        let promising = transaction(true);
        assert!(promising.check_issuer(None).is_err());
    }

    #[test]
    fn addresses_that_a_server_chose_are_not_opened_unless_harmless() {
        for good in [
            "https://idp.example.com/a?b=c",
            "http://127.0.0.1:8080/x",
            "http://localhost/x",
            "http://[::1]:9/x",
        ] {
            assert!(safe_url(good).is_ok(), "{good}");
        }
        for bad in [
            "http://idp.example.com/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "-arg",
            "--help",
            "",
            "https://",
            "https://user@idp.example.com/",
            "https://idp.example.com/#x",
            "http://localhost.evil.example/",
            "http://127.0.0.1.evil.example/",
            "ssh://x",
            "data:text/html,x",
        ] {
            assert!(safe_url(bad).is_err(), "{bad}");
        }
        // What a shell would read is percent-encoded or plain text of one argument.
        let url = safe_url("https://idp.example.com/$(id)`x`;y").unwrap();
        assert!(url.as_str().starts_with("https://"));
    }
}
