//! The trust bundle of one host: which principals open which account there, what is revoked, and the
//! CA's keys, signed by the bundle key, numbered and dated.
//!
//! The signature (SSHSIG, namespace [`NAMESPACE`]) covers the exact bytes of the JSON document. The
//! bundle key is believed only because the key set names it, and the key set only because the pinned
//! identity key signed it. So a relay, a mirror or a thief of the other keys can make none.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use ssh_key::{PublicKey, SshSig};

use crate::host::Labels;
use crate::key_set::{KeySet, KeySetError, Purpose, SignedKeySet, State};

/// SSHSIG namespace of bundles.
pub const NAMESPACE: &str = "jit-ssh-bundle@v1";

/// A bundle as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedBundle {
    /// The exact text that was signed: JSON of [`Bundle`].
    pub document: String,
    /// Armoured SSHSIG by a bundle key of the key set.
    pub signature: String,
    /// The key set that names the bundle key, and the CA keys to trust.
    pub key_set: SignedKeySet,
}

/// What one host is to trust.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// The host that it is for: no other takes it.
    pub host: String,
    /// The CA's name.
    pub name: String,
    /// Its epoch.
    pub epoch: u64,
    /// Number of the key set that it comes with.
    pub key_set: u64,
    /// Counts up within an epoch, with every change that hosts must hear of.
    pub number: u64,
    /// When it was signed, seconds since 1970-01-01 UTC.
    pub issued: u64,
    /// The host's labels, for its operator to read.
    #[serde(default)]
    pub labels: Labels,
    /// The principals that open each account.
    pub principals: BTreeMap<String, Vec<String>>,
    /// Roles that are for everybody's own account: `ROLE+ACCOUNT` opens ACCOUNT.
    #[serde(default)]
    pub own_account_roles: Vec<String>,
    /// The key revocation list (PROTOCOL.krl), base64. Never empty.
    pub krl: String,
}

/// A bundle's place in time: no host goes back. The key set counts before the number: a thief of the
/// bundle key who signs a huge number is overtaken by the key set that no longer names that key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// Epoch of the CA.
    pub epoch: u64,
    /// Number of the key set.
    pub key_set: u64,
    /// Number of the bundle.
    pub number: u64,
    /// Seconds since 1970-01-01 UTC.
    pub issued: u64,
}

/// Why a bundle is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// The key set in it is not believed.
    #[error(transparent)]
    KeySet(#[from] KeySetError),
    /// Not signed by a bundle key that the key set says is in use.
    #[error("the bundle is not signed by a bundle key of the CA")]
    Signature,
    /// Not a readable bundle.
    #[error("the bundle cannot be read: {0}")]
    Malformed(String),
    /// Another host's.
    #[error("the bundle is for the host {0}")]
    OtherHost(String),
    /// It was not made with the key set that it comes with.
    #[error("the bundle was made for another key set than the one that it comes with")]
    OtherKeySet,
    /// From before what the host has.
    #[error("the bundle is older than the one in force: {} before {}", .shown.number, .held.number)]
    Older {
        /// What was shown.
        shown: Position,
        /// What the host has.
        held: Position,
    },
}

/// A bundle whose signatures were checked, with its key set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedBundle {
    bundle: Bundle,
    key_set: KeySet,
}

impl SignedBundle {
    /// Checks the key set against the pinned identity key, then the bundle's signature, and only then
    /// reads it; it must be for `host`, and not from before `held`.
    pub fn verify(
        &self,
        pinned: &str,
        host: &str,
        held: Option<Position>,
    ) -> Result<VerifiedBundle, BundleError> {
        let key_set = self.key_set.verify(pinned)?;
        let signature: SshSig = self.signature.parse().map_err(|_| BundleError::Signature)?;
        let signed = key_set
            .keys
            .iter()
            .filter(|key| {
                key.purpose == Purpose::Bundle
                    && matches!(key.state, State::Active | State::Retiring)
            })
            .filter_map(|key| key.public_key.parse::<PublicKey>().ok())
            .any(|key| {
                let document = self.document.as_bytes();
                crate::proof::verify_sshsig(&key, NAMESPACE, document, &signature).is_ok()
            });
        if !signed {
            return Err(BundleError::Signature);
        }
        let bundle: Bundle = serde_json::from_str(&self.document)
            .map_err(|error| BundleError::Malformed(error.to_string()))?;
        if bundle.host != host {
            return Err(BundleError::OtherHost(bundle.host));
        }
        let (of_bundle, of_set) = (
            (&bundle.name, bundle.epoch, bundle.key_set),
            (&key_set.name, key_set.epoch, key_set.number),
        );
        if of_bundle != of_set {
            return Err(BundleError::OtherKeySet);
        }
        let shown = bundle.position();
        if let Some(held) = held
            && shown.cmp(&held) == Ordering::Less
        {
            return Err(BundleError::Older { shown, held });
        }
        Ok(VerifiedBundle { bundle, key_set })
    }
}

impl Bundle {
    /// Its place in time.
    pub fn position(&self) -> Position {
        Position {
            epoch: self.epoch,
            key_set: self.key_set,
            number: self.number,
            issued: self.issued,
        }
    }
}

impl VerifiedBundle {
    /// What the host is to trust.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// The CA's keys.
    pub fn key_set(&self) -> &KeySet {
        &self.key_set
    }
}

#[cfg(test)]
mod tests;
