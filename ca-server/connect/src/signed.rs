//! Calls with a proof of possession (invariant 5): each request is signed by the login key. A clock
//! that is wrong is corrected once by the CA's time, and said; a new epoch is taken once, if the
//! pinned identity key vouches for it.

use std::time::Duration;

use jit_ssh_api::problem::{Kind, Problem};
use jit_ssh_api::proof::{self, ProofHeader, ProofId};
use rand::RngCore as _;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde::Serialize;
use serde::de::DeserializeOwned;
use ssh_key::SshSig;
use url::Url;

use crate::error::ConnectError;
use crate::http::{self, Options};
use crate::pin::{KnownCa, Pin, discover};
use crate::tls::Trust;

/// A key that signs proofs: in an agent, in a file, or under a finger.
pub trait SignProof {
    /// An OpenSSH signature over `message` in this namespace.
    fn sign(&mut self, namespace: &str, message: &[u8]) -> Result<SshSig, SignError>;
}

impl<F> SignProof for F
where
    F: FnMut(&str, &[u8]) -> Result<SshSig, SignError>,
{
    fn sign(&mut self, namespace: &str, message: &[u8]) -> Result<SshSig, SignError> {
        self(namespace, message)
    }
}

/// Why a key did not sign, for a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the login key does not sign: {0}")]
pub struct SignError(pub String);

/// One call, before it is signed.
#[derive(Clone, Debug)]
pub struct Request {
    method: Method,
    path_and_query: String,
    body: Option<Vec<u8>>,
    timeout: Option<Duration>,
}

impl Request {
    /// `GET path`.
    pub fn get(path: &str) -> Self {
        Request {
            method: Method::GET,
            path_and_query: path.to_owned(),
            body: None,
            timeout: None,
        }
    }

    /// `GET path?query`: the fields of `query` that are not null.
    pub fn get_with(path: &str, query: &impl Serialize) -> Self {
        Request::get(&with_query(path, query))
    }

    /// `POST path` with a JSON body.
    pub fn post(path: &str, body: &impl Serialize) -> Result<Self, ConnectError> {
        let body =
            serde_json::to_vec(body).map_err(|error| ConnectError::Client(error.to_string()))?;
        let path_and_query = path.to_owned();
        Ok(Request {
            method: Method::POST,
            path_and_query,
            body: Some(body),
            timeout: None,
        })
    }

    /// `DELETE path`.
    pub fn delete(path: &str) -> Self {
        Request {
            method: Method::DELETE,
            path_and_query: path.to_owned(),
            body: None,
            timeout: None,
        }
    }

    /// Its own longest time, from the connection to the end of the answer, in place of
    /// [`Options::timeout`]: for what takes long by its nature, or is held until there is news.
    #[must_use]
    pub fn within(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The same without one: for work whose length nobody knows, at a CA on this machine, and where
    /// the person can end it.
    #[must_use]
    pub fn without_time_limit(self) -> Self {
        self.within(Duration::MAX)
    }

    /// `DELETE path?query`: the fields of `query` that are not null.
    pub fn delete_with(path: &str, query: &impl Serialize) -> Self {
        Request::delete(&with_query(path, query))
    }
}

fn with_query(path: &str, query: &impl Serialize) -> String {
    let mut pairs = url::form_urlencoded::Serializer::new(String::new());
    if let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(query) {
        for (name, value) in fields {
            match value {
                serde_json::Value::Null => {}
                serde_json::Value::String(text) => drop(pairs.append_pair(&name, &text)),
                other => drop(pairs.append_pair(&name, &other.to_string())),
            }
        }
    }
    let query = pairs.finish();
    let separator = if query.is_empty() { "" } else { "?" };
    format!("{path}{separator}{query}")
}

/// A way to the CA: over HTTP as a person, or over its Unix socket as the owner of its data.
#[derive(Debug)]
pub struct Connection {
    client: reqwest::Client,
    base: Url,
    known: Option<KnownCa>,
    options: Options,
    clock_off_by: i64,
}

impl Connection {
    /// To a CA that is known; nothing is sent yet.
    pub fn new(known: KnownCa, options: Options) -> Result<Self, ConnectError> {
        let base = http::normalise_url(&known.url)?;
        let client = http::client(Some(&base), &options, Trust::Pins(known.tls_pins.clone()))?;
        Ok(Connection {
            client,
            base,
            known: Some(known),
            options,
            clock_off_by: 0,
        })
    }

    /// Over the socket in the data folder: no proof, the operating system says who asks.
    #[cfg(unix)]
    pub fn local(socket: &std::path::Path, options: Options) -> Result<Self, ConnectError> {
        let client = http::local_client(socket, &options)?;
        let base = Url::parse("http://localhost")
            .map_err(|error| ConnectError::Client(error.to_string()))?;
        Ok(Connection {
            client,
            base,
            known: None,
            options,
            clock_off_by: 0,
        })
    }

    /// What to keep of the CA: a call may have learnt a new epoch or new TLS pins.
    pub fn known(&self) -> Option<&KnownCa> {
        self.known.as_ref()
    }

    /// Seconds that this machine's clock is behind the CA's (negative: ahead), once that got a proof
    /// refused. The program must say so.
    pub fn clock_off_by(&self) -> Option<i64> {
        (self.clock_off_by != 0).then_some(self.clock_off_by)
    }

    /// The sentence for [`Connection::clock_off_by`].
    pub fn clock_warning(&self) -> Option<String> {
        let off = self.clock_off_by()?;
        let direction = if off > 0 { "behind" } else { "ahead of" };
        let off = jit_ssh_terminal::span(off.unsigned_abs());
        Some(format!(
            "the clock of this machine is {off} {direction} the CA's: set it right"
        ))
    }

    /// Sends a request without a proof (discovery, health, the Unix socket).
    pub async fn send<T: DeserializeOwned>(
        &mut self,
        request: &Request,
    ) -> Result<T, ConnectError> {
        self.attempt(request, None).await
    }

    /// Sends a request with a proof by the key.
    pub async fn send_signed<T: DeserializeOwned>(
        &mut self,
        request: &Request,
        key: &mut dyn SignProof,
    ) -> Result<T, ConnectError> {
        // Each of the three is mended once, in any order.
        let (mut time, mut context, mut tls) = (false, false, false);
        loop {
            let error = match self.attempt(request, Some(key)).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            match (&error, error.kind()) {
                (ConnectError::Problem(problem), Some(Kind::ProofTime)) if !time => {
                    let Some(theirs) = problem.time else {
                        return Err(error);
                    };
                    time = true;
                    self.clock_off_by = theirs.cast_signed() - crate::now().cast_signed();
                }
                (ConnectError::Problem(problem), _)
                    if !context && self.is_of_another_epoch(problem) =>
                {
                    context = true;
                    self.look_again().await?;
                }
                (ConnectError::Tls { .. }, _) if !tls => {
                    tls = true;
                    self.look_again().await?;
                }
                _ => return Err(error),
            }
        }
    }

    /// Whether the CA expects proofs for another epoch (or under another name) than ours. It says so
    /// itself where it knows the epoch that we signed for; after a restore of the same backup for a
    /// second time it does not.
    fn is_of_another_epoch(&self, problem: &Problem) -> bool {
        let expects_another = || match (&problem.expected, &self.known) {
            (Some(expected), Some(known)) => {
                (&expected.name, expected.epoch) != (&known.name, known.epoch)
            }
            _ => false,
        };
        problem.kind() == Some(Kind::ProofContext) || expects_another()
    }

    /// Discovery again, under the same pin: a new epoch, number or TLS key.
    async fn look_again(&mut self) -> Result<(), ConnectError> {
        if let Some(known) = &self.known {
            let contact = discover(&known.url, Pin::Known(known), &self.options).await?;
            let trust = Trust::Pins(contact.known.tls_pins.clone());
            self.client = http::client(Some(&self.base), &self.options, trust)?;
            self.known = Some(contact.known);
        }
        Ok(())
    }

    async fn attempt<T: DeserializeOwned>(
        &self,
        request: &Request,
        key: Option<&mut dyn SignProof>,
    ) -> Result<T, ConnectError> {
        let wrong = |why: &str| ConnectError::Client(why.to_owned());
        let url = self
            .base
            .join(&request.path_and_query)
            .map_err(|_| wrong("a wrong path"))?;
        let mut http = self.client.request(request.method.clone(), url.clone());
        if let Some(timeout) = request.timeout {
            http = http.timeout(timeout);
        }
        if let Some(body) = &request.body {
            http = http
                .header(CONTENT_TYPE, "application/json")
                .body(body.clone());
        }
        if let (Some(key), Some(known)) = (key, &self.known) {
            http = http.header(AUTHORIZATION, self.prove(request, &url, known, key)?);
        }
        let response = http
            .send()
            .await
            .map_err(|error| http::failed(&self.base, &error))?;
        let status = response.status();
        let body = http::body(response, self.options.max_answer).await?;
        if let Some(problem) = problem(&body, status) {
            return Err(ConnectError::Problem(Box::new(problem)));
        }
        let not_a_ca = |why: String| ConnectError::NotACa {
            url: http::shown(&self.base),
            why,
        };
        if !status.is_success() {
            return Err(not_a_ca(format!("HTTP status {}", status.as_u16())));
        }
        serde_json::from_slice(&body).map_err(|error| not_a_ca(error.to_string()))
    }

    fn prove(
        &self,
        request: &Request,
        url: &Url,
        known: &KnownCa,
        key: &mut dyn SignProof,
    ) -> Result<String, ConnectError> {
        // As the request line will have it.
        let path_and_query = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let about = proof::Request {
            method: request.method.as_str(),
            path_and_query: &path_and_query,
            ca_name: &known.name,
            epoch: known.epoch,
            body: request.body.as_deref().unwrap_or_default(),
        };
        let mut id = ProofId([0; 16]);
        rand::rngs::OsRng
            .try_fill_bytes(&mut id.0)
            .map_err(|error| ConnectError::Client(error.to_string()))?;
        let time = crate::now().saturating_add_signed(self.clock_off_by);
        let message = proof::message(&about, time, id);
        let signature = key.sign(proof::NAMESPACE, message.as_bytes())?;
        ProofHeader::encode(time, id, &signature)
            .map_err(|error| SignError(error.to_string()).into())
    }
}

/// A problem document of ours, if this is one.
pub(crate) fn problem(body: &[u8], status: reqwest::StatusCode) -> Option<Problem> {
    if status.is_success() {
        return None;
    }
    serde_json::from_slice(body).ok()
}
