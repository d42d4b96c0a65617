//! The HTTP client of all programs: no redirects (A10), HTTPS except on loopback, the system's trust
//! store and extra CA files, `HTTPS_PROXY` and `NO_PROXY`, limits on time and size.

use std::path::PathBuf;
use std::time::Duration;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::redirect;
use url::{Host, Url};

use crate::error::ConnectError;
use crate::tls::{self, Trust};

/// What the person may change about calls.
#[derive(Clone, Debug)]
pub struct Options {
    /// PEM files of CAs to trust beside the system's.
    pub ca_files: Vec<PathBuf>,
    /// Name of the program, for the CA's log: `jit-ssh/0.1.0`.
    pub user_agent: String,
    /// Longest time for one call that does not say otherwise ([`Request::within`](crate::Request)).
    pub timeout: Duration,
    /// Largest answer that is read, in bytes.
    pub max_answer: usize,
}

impl Options {
    /// Defaults, with the file of `JIT_SSH_CA_FILE`, if that is set.
    pub fn from_env(user_agent: &str) -> Self {
        Options {
            ca_files: std::env::var_os("JIT_SSH_CA_FILE")
                .map(PathBuf::from)
                .into_iter()
                .collect(),
            user_agent: user_agent.to_owned(),
            timeout: Duration::from_secs(30),
            max_answer: 16 * 1024 * 1024,
        }
    }
}

/// A client for others than the CA (an identity provider at `url`), under the same rules.
pub fn http_client(url: &Url, options: &Options) -> Result<reqwest::Client, ConnectError> {
    client(Some(url), options, Trust::System)
}

pub(crate) fn client(
    url: Option<&Url>,
    options: &Options,
    trust: Trust,
) -> Result<reqwest::Client, ConnectError> {
    let loopback = url.is_some_and(is_loopback);
    let mut builder = reqwest::Client::builder()
        .use_preconfigured_tls(tls::config(&options.ca_files, trust)?)
        .redirect(redirect::Policy::none())
        .https_only(!loopback)
        .user_agent(&options.user_agent)
        .connect_timeout(Duration::from_secs(10).min(options.timeout))
        .timeout(options.timeout);
    if loopback {
        builder = builder.no_proxy();
    }
    builder
        .build()
        .map_err(|error| ConnectError::Client(in_words(&error)))
}

#[cfg(unix)]
pub(crate) fn local_client(
    socket: &std::path::Path,
    options: &Options,
) -> Result<reqwest::Client, ConnectError> {
    reqwest::Client::builder()
        .use_preconfigured_tls(tls::config(&[], Trust::Nobody)?)
        .unix_socket(socket)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .user_agent(&options.user_agent)
        .timeout(options.timeout)
        .build()
        .map_err(|error| ConnectError::Client(in_words(&error)))
}

/// The proxy through which calls to `url` go, as the environment says, without its password.
pub fn proxy_for(url: &Url) -> Option<String> {
    if is_loopback(url) {
        return None;
    }
    let proxy = Matcher::from_system().intercept(&url.as_str().parse().ok()?)?;
    let address = proxy.uri();
    let host = address.authority()?.as_str().rsplit('@').next()?;
    Some(format!(
        "{}://{host}",
        address.scheme_str().unwrap_or("http")
    ))
}

/// `ca.example.com`, `https://ca.example.com/` -> `https://ca.example.com`. HTTP on loopback only.
pub fn normalise_url(text: &str) -> Result<Url, ConnectError> {
    let wrong = |why| ConnectError::Url {
        url: text.to_owned(),
        why,
    };
    let full = if text.contains("://") {
        text.to_owned()
    } else {
        format!("https://{text}")
    };
    let url = Url::parse(&full).map_err(|_| wrong("it is no URL"))?;
    if url.host().is_none() || !matches!(url.scheme(), "https" | "http") {
        return Err(wrong("only `https://HOST` is"));
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        return Err(wrong("without TLS only on loopback"));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it has a path"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it has a user name"));
    }
    Ok(url)
}

/// Whether an address is on this very machine: 127.0.0.0/8, `::1`, `localhost`. No `*.localhost`:
/// those names a resolver may send elsewhere.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// The address as it is shown and kept: without the slash at the end.
pub(crate) fn shown(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

/// Turns what reqwest says into who must act.
pub(crate) fn failed(url: &Url, error: &reqwest::Error) -> ConnectError {
    let (url, cause) = (shown(url), in_words(error));
    if tls::is_certificate_error(error) {
        return ConnectError::Tls { url, cause };
    }
    ConnectError::Unreachable { url, cause }
}

/// What stands behind an error in the end: that a person can do something about, while the outer
/// ones repeat the address.
pub fn root_cause<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> &'a (dyn std::error::Error + 'static) {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause
}

fn in_words(error: &(dyn std::error::Error + 'static)) -> String {
    let cause = root_cause(error).to_string();
    if cause.contains("timed out") || cause.contains("deadline") {
        "it took too long to answer".to_owned()
    } else {
        cause
    }
}

/// Reads a body of at most `limit` bytes.
pub(crate) async fn body(
    mut response: reqwest::Response,
    limit: usize,
) -> Result<Vec<u8>, ConnectError> {
    let url = response.url().clone();
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| failed(&url, &error))?
    {
        if body.len() + chunk.len() > limit {
            let why = format!("its answer is larger than {limit} bytes");
            return Err(ConnectError::NotACa {
                url: shown(&url),
                why,
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_a_ca_are_taken_and_others_refused() {
        for (given, taken) in [
            ("ca.example.com", "https://ca.example.com"),
            ("https://CA.example.com/", "https://ca.example.com"),
            ("https://ca.example.com:8443", "https://ca.example.com:8443"),
            ("http://127.0.0.1:8443", "http://127.0.0.1:8443"),
            ("http://[::1]:1", "http://[::1]:1"),
        ] {
            assert_eq!(shown(&normalise_url(given).unwrap()), taken);
        }
        for wrong in [
            "http://ca.example.com",
            "http://127.0.0.1.example.com",
            "http://ca.localhost",
            "http://localhost.",
            "http://[::ffff:127.0.0.1]",
            "https://ca.example.com/path",
            "https://ca.example.com?x",
            "https://me@ca.example.com",
            "ftp://ca.example.com",
            "https://",
            "",
        ] {
            assert!(normalise_url(wrong).is_err(), "{wrong}");
        }
    }
}
