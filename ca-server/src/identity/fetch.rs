//! Documents of identity providers over HTTPS: how they are asked for, and what is refused.
//!
//! In: an address that a configured issuer, or its own discovery document, names. Out: a body of
//! bounded size and how long it may be believed. No redirects, https except on loopback, capped in
//! size and time, the system's trust store and extra CA files, `HTTPS_PROXY` and `NO_PROXY` (A10).
//! What is kept of it, and for how long, is [`source`]'s. Source: RFC 9111 §5.2.

use std::path::PathBuf;
use std::time::Duration;

use jit_ssh_connect::{Options, http_client, is_loopback};
use url::Url;

use super::Issuer;
use super::json::JsonError;
use super::keys::JwksError;
use crate::time::Timestamp;

pub(super) mod source;

/// The HTTP client of all our programs (no redirects, trust store, proxy: `jit-ssh-connect`), with
/// this module's limits; cheap to clone.
#[derive(Clone, Debug)]
pub struct FetchClient {
    /// Through a proxy where the environment names one.
    outside: reqwest::Client,
    /// Loopback is never behind a proxy, and may do without TLS.
    loopback: reqwest::Client,
}

impl FetchClient {
    /// With the system's trust store and the CAs of these PEM files beside.
    pub fn new(ca_files: &[PathBuf]) -> Result<Self, FetchError> {
        let options = Options {
            ca_files: ca_files.to_vec(),
            user_agent: concat!("jit-ssh-ca/", env!("CARGO_PKG_VERSION")).to_owned(),
            timeout: TIMEOUT,
            max_answer: MAX_BYTES,
        };
        let client = |like: &str| {
            let like = Url::parse(like).map_err(|error| FetchError::Client(error.to_string()))?;
            http_client(&like, &options).map_err(|error| FetchError::Client(chain(&error)))
        };
        Ok(FetchClient {
            outside: client("https://idp.example.com")?,
            loopback: client("http://127.0.0.1")?,
        })
    }

    /// Fetches what this issuer publishes as the CA will, and says why the CA would not take it.
    pub async fn try_out(self, issuer: &str, now: Timestamp) -> Result<(), FetchError> {
        source::Source::try_out(Issuer::new(issuer), self, now).await
    }

    /// One GET: 200 and a body of bounded size, or why not; with the life its headers give it.
    async fn get(
        &self,
        url: &Url,
        bearer: Option<&str>,
    ) -> Result<(Vec<u8>, Duration), FetchError> {
        if !is_allowed(url) {
            return Err(FetchError::NotAllowed(url.to_string()));
        }
        let client = if is_loopback(url) {
            &self.loopback
        } else {
            &self.outside
        };
        let mut request = client.get(url.clone()).header("accept", "application/json");
        if let Some(token) = bearer {
            request = request.bearer_auth(token);
        }
        let no_answer = |error: reqwest::Error| FetchError::NoAnswer(chain(&error.without_url()));
        let mut answer = request.send().await.map_err(no_answer)?;
        match answer.status().as_u16() {
            200 => {}
            status @ 300..400 => return Err(FetchError::Redirect(status)),
            429 => return Err(FetchError::RateLimited),
            status @ 500.. => return Err(FetchError::Failed(status)),
            status => return Err(FetchError::Refused(status)),
        }
        let life = life(answer.headers());
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(no_answer)? {
            if body.len() + chunk.len() > MAX_BYTES {
                return Err(FetchError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok((body, life))
    }
}

/// Why something could not be fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// No connection, no TLS, or no answer in time.
    #[error("no answer: {0}")]
    NoAnswer(String),
    /// A failure of its own.
    #[error("it answers with status {0}")]
    Failed(u16),
    /// It is well, and wants to be asked less often.
    #[error("it answers with status 429: too many requests")]
    RateLimited,
    /// An answer, but not the document.
    #[error("it refuses with status {0}")]
    Refused(u16),
    /// Redirects are never followed.
    #[error("it redirects (status {0}), which is never followed")]
    Redirect(u16),
    /// Larger than any such document.
    #[error("the answer has more than {MAX_BYTES} bytes")]
    TooLarge,
    /// A document names an address that we do not ask.
    #[error("`{0}` is not https")]
    NotAllowed(String),
    /// A document of an issuer elsewhere names an address on this machine.
    #[error("`{0}` is on the CA's own machine, and the issuer is not")]
    Loopback(String),
    /// The document cannot be read in one way.
    #[error("the answer cannot be read: {0}")]
    Json(#[from] JsonError),
    /// The discovery document lacks something, or has it in another form.
    #[error("the discovery document has no usable `{0}`")]
    Discovery(&'static str),
    /// The discovery document is another issuer's.
    #[error("the discovery document is for `{0}`; write the issuer exactly so, byte for byte")]
    OtherIssuer(String),
    /// The keys are of no use.
    #[error(transparent)]
    Keys(#[from] JwksError),
    /// Asked a moment ago without success; asked again soon.
    #[error("waiting before it is asked again, after: {0}")]
    BackingOff(Box<FetchError>),
    /// The HTTP client cannot be made (trust store, extra CA file).
    #[error("HTTP client: {0}")]
    Client(String),
    /// This issuer's keys were given by hand.
    #[error("it is not asked: its keys were given by hand")]
    ByHand,
}

impl FetchError {
    /// The issuer does not answer or fails: an outage, unlike a refusal.
    pub fn is_outage(&self) -> bool {
        match self {
            FetchError::NoAnswer(_) | FetchError::Failed(_) => true,
            FetchError::BackingOff(cause) => cause.is_outage(),
            FetchError::RateLimited
            | FetchError::Refused(_)
            | FetchError::Redirect(_)
            | FetchError::TooLarge
            | FetchError::NotAllowed(_)
            | FetchError::Loopback(_)
            | FetchError::Json(_)
            | FetchError::Discovery(_)
            | FetchError::OtherIssuer(_)
            | FetchError::Keys(_)
            | FetchError::Client(_)
            | FetchError::ByHand => false,
        }
    }

    /// What was fetched before goes on serving: the answer says nothing against it.
    fn leaves_the_last_answer(&self) -> bool {
        match self {
            FetchError::RateLimited => true,
            FetchError::BackingOff(cause) => cause.leaves_the_last_answer(),
            other => other.is_outage(),
        }
    }
}

/// `max-age` of the answer within bounds; five minutes where it says nothing or forbids storing,
/// whatever it says beside.
fn life(headers: &http::HeaderMap) -> Duration {
    let directives = || {
        headers
            .get_all("cache-control")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|directive| {
                let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
                (name.trim(), value.trim().trim_matches('"'))
            })
    };
    let forbids = |(name, _): (&str, &str)| {
        name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache")
    };
    if directives().any(forbids) {
        return MIN_LIFE;
    }
    let seconds = directives()
        .find(|(name, _)| name.eq_ignore_ascii_case("max-age"))
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0);
    Duration::from_secs(seconds).clamp(MIN_LIFE, MAX_LIFE)
}

/// https, or http to a loopback address.
pub(crate) fn is_allowed(url: &Url) -> bool {
    match url.scheme() {
        "https" => url.host().is_some(),
        "http" => is_loopback(url),
        _ => false,
    }
}

/// An error with its causes; reqwest's own text leaves them out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Entra's set with its certificates is some 40 KiB.
const MAX_BYTES: usize = 64 * 1024;
const TIMEOUT: Duration = Duration::from_secs(5);
const MIN_LIFE: Duration = Duration::from_secs(5 * 60);
const MAX_LIFE: Duration = Duration::from_secs(60 * 60);
