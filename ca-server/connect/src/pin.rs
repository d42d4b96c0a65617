//! First contact and every later look at a CA's discovery document: the identity key is pinned, the
//! key set signed by it, no older than one seen before, and TLS is that of the key set (A50).

use std::sync::Arc;

use jit_ssh_api::API_VERSION;
use jit_ssh_api::discovery::Discovery;
use jit_ssh_api::key_set::{KeySet, KeySetError};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::error::ConnectError;
use crate::http::{self, Options};
use crate::tls::{Seen, Trust};

/// What vouches for the CA.
#[derive(Clone, Copy, Debug)]
pub enum Pin<'a> {
    /// The fingerprint of its identity key, `SHA256:…`, from a person.
    Fingerprint(&'a str),
    /// TLS that the system's trust store (or an extra CA file) verifies; the program must say that
    /// it pinned what that showed.
    Tls,
    /// What was kept of an earlier contact.
    Known(&'a KnownCa),
}

/// What a program keeps of a CA.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownCa {
    /// Where it is, without a slash at the end.
    pub url: String,
    /// Its name; part of every proof.
    pub name: String,
    /// `SHA256:…` of its identity key: the pin.
    pub fingerprint: String,
    /// Epoch of its data; part of every proof.
    pub epoch: u64,
    /// Number of the key set within the epoch.
    pub number: u64,
    /// TLS keys that the key set pins.
    #[serde(default)]
    pub tls_pins: Vec<String>,
}

/// What the CA said, all checked.
#[derive(Clone, Debug)]
pub struct Contact {
    /// The document; issuers and profile are the CA's word over a verified connection.
    pub discovery: Discovery,
    /// Signed by the pinned identity key.
    pub key_set: KeySet,
    /// To be kept.
    pub known: KnownCa,
}

impl KnownCa {
    /// Whether what is seen now is the same CA, and no older than it was. Files are kept and proofs
    /// are made by its name, so that another CA must never get into the place of this one.
    pub fn goes_on_as(&self, now: &KnownCa) -> Result<(), ConnectError> {
        if now.fingerprint != self.fingerprint {
            return Err(ConnectError::KeySet(KeySetError::OtherIdentity {
                shown: now.fingerprint.clone(),
                pinned: self.fingerprint.clone(),
            }));
        }
        if now.name != self.name {
            return Err(ConnectError::OtherName {
                shown: now.name.clone(),
                pinned: self.name.clone(),
            });
        }
        let (shown, seen) = ((now.epoch, now.number), (self.epoch, self.number));
        if shown < seen {
            return Err(ConnectError::Rollback { shown, seen });
        }
        Ok(())
    }
}

/// Gets and checks `/.well-known/jit-ssh`.
pub async fn discover(url: &str, pin: Pin<'_>, options: &Options) -> Result<Contact, ConnectError> {
    let base = http::normalise_url(url)?;
    let pinned = match pin {
        Pin::Fingerprint(text) => {
            let fingerprint: ssh_key::Fingerprint = text
                .trim()
                .parse()
                .map_err(|_| ConnectError::Fingerprint(text.to_owned()))?;
            Some(fingerprint.to_string())
        }
        Pin::Known(known) => Some(known.fingerprint.clone()),
        Pin::Tls if base.scheme() != "https" => {
            return Err(ConnectError::NothingVouches {
                url: http::shown(&base),
            });
        }
        Pin::Tls => None,
    };
    let seen = Arc::new(Seen::default());
    let trust = match pinned {
        Some(_) => Trust::FirstContact(seen.clone()),
        None => Trust::System,
    };
    let discovery = fetch(&base, options, trust).await?;
    let pinned = match pinned {
        Some(pinned) => pinned,
        None => discovery.key_set.fingerprint()?,
    };
    let key_set = discovery.key_set.verify(&pinned)?;
    let not_a_ca = |why: &str| ConnectError::NotACa {
        url: http::shown(&base),
        why: why.to_owned(),
    };
    if key_set.name != discovery.name || key_set.epoch != discovery.epoch {
        return Err(not_a_ca(
            "its name or epoch is not that of its signed key set",
        ));
    }
    // The connection was let through unseen: now its key must be one that the CA names.
    if let Some((pin, by_system)) = seen.get()
        && !by_system
        && !key_set.tls_pins.contains(&pin)
    {
        let cause = "neither the trust store nor the CA's signed key set knows it".to_owned();
        return Err(ConnectError::Tls {
            url: http::shown(&base),
            cause,
        });
    }
    let known = KnownCa {
        url: http::shown(&base),
        name: discovery.name.clone(),
        fingerprint: pinned,
        epoch: key_set.epoch,
        number: key_set.number,
        tls_pins: key_set.tls_pins.clone(),
    };
    if let Pin::Known(before) = pin {
        before.goes_on_as(&known)?;
    }
    Ok(Contact {
        discovery,
        key_set,
        known,
    })
}

async fn fetch(base: &Url, options: &Options, trust: Trust) -> Result<Discovery, ConnectError> {
    let not_a_ca = |why: String| ConnectError::NotACa {
        url: http::shown(base),
        why,
    };
    let mut url = base.clone();
    url.set_path("/.well-known/jit-ssh");
    let client = http::client(Some(base), options, trust)?;
    let response = client
        .get(url)
        .send()
        .await
        .map_err(|error| http::failed(base, &error))?;
    let status = response.status();
    let body = http::body(response, MAX_DISCOVERY_BYTES).await?;
    if let Some(problem) = crate::signed::problem(&body, status) {
        return Err(ConnectError::Problem(Box::new(problem)));
    }
    if !status.is_success() {
        return Err(not_a_ca(format!("HTTP status {}", status.as_u16())));
    }
    // The version first: a later document may not be readable at all.
    let version: Version =
        serde_json::from_slice(&body).map_err(|_| not_a_ca("no discovery document".to_owned()))?;
    if version.api_version != API_VERSION {
        let why = format!(
            "it speaks version {} of the API, this program version {API_VERSION}",
            version.api_version
        );
        return Err(not_a_ca(why));
    }
    serde_json::from_slice(&body).map_err(|error| not_a_ca(error.to_string()))
}

#[derive(Deserialize)]
struct Version {
    api_version: u32,
}

const MAX_DISCOVERY_BYTES: usize = 1024 * 1024;
