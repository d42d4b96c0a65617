//! The CA's keys and their states, signed by the identity key: what clients and hosts pin.
//!
//! The signature (SSHSIG, namespace [`NAMESPACE`]) covers the exact bytes of the JSON document, so
//! `ssh-keygen -Y sign -n jit-ssh-key-set@v1` on an offline machine makes one. Nothing of the
//! document is read before the signature was checked against the pinned key.

use serde::{Deserialize, Serialize};
use ssh_key::public::PublicKey;
use ssh_key::{Fingerprint, HashAlg, SshSig};

/// SSHSIG namespace of key sets.
pub const NAMESPACE: &str = "jit-ssh-key-set@v1";

/// A key set as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedKeySet {
    /// The exact text that was signed: JSON of [`KeySet`].
    pub document: String,
    /// Armoured SSHSIG by the identity key.
    pub signature: String,
    /// The identity key, OpenSSH format. Believed only when it is the pinned one.
    pub identity_key: String,
}

/// What the identity key vouches for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySet {
    /// The CA's name.
    pub name: String,
    /// Epoch of the CA's data.
    pub epoch: u64,
    /// Counts up within an epoch, from 1.
    pub number: u64,
    /// When it was made, seconds since 1970-01-01 UTC.
    pub created: u64,
    /// The other keys of the CA.
    pub keys: Vec<Key>,
    /// SHA-256 of the SubjectPublicKeyInfo of TLS certificates to accept without a public CA,
    /// base64; empty: TLS is verified by the system's trust store.
    #[serde(default)]
    pub tls_pins: Vec<String>,
    /// Emergency CA keys (break glass), OpenSSH format.
    #[serde(default)]
    pub emergency: Vec<String>,
}

/// One key of the CA.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Its one job.
    pub purpose: Purpose,
    /// Where it is in its life.
    pub state: State,
    /// OpenSSH public key without a comment.
    pub public_key: String,
}

/// What a key of the CA is for; each has one job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Signs user certificates.
    UserCa,
    /// Signs host certificates.
    HostCa,
    /// Signs trust bundles for hosts.
    Bundle,
    /// Signs checkpoints of the ledger.
    Ledger,
}

/// Where a key is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Distributed, not yet signing.
    Next,
    /// Signing.
    Active,
    /// No longer signing, still trusted.
    Retiring,
    /// Not trusted any more, whoever shows it.
    Compromised,
}

/// Why a key set is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// The identity key is not the pinned one.
    #[error("the CA shows the identity key {shown}, but {pinned} is pinned")]
    OtherIdentity {
        /// Fingerprint that was shown.
        shown: String,
        /// Fingerprint that is pinned.
        pinned: String,
    },
    /// The signature does not verify.
    #[error("the key set is not signed by its identity key")]
    Signature,
    /// Not a readable key set.
    #[error("the key set cannot be read: {0}")]
    Malformed(String),
}

impl SignedKeySet {
    /// `SHA256:…` of the identity key that is shown; not yet believed.
    pub fn fingerprint(&self) -> Result<String, KeySetError> {
        Ok(self.identity()?.fingerprint(HashAlg::Sha256).to_string())
    }

    /// Checks identity key and signature, and only then reads the document.
    pub fn verify(&self, pinned: &str) -> Result<KeySet, KeySetError> {
        let identity = self.identity()?;
        let shown = identity.fingerprint(HashAlg::Sha256);
        let same = pinned
            .parse::<Fingerprint>()
            .is_ok_and(|pinned| pinned == shown);
        if !same {
            let (shown, pinned) = (shown.to_string(), pinned.to_owned());
            return Err(KeySetError::OtherIdentity { shown, pinned });
        }
        let signature: SshSig = self.signature.parse().map_err(|_| KeySetError::Signature)?;
        crate::proof::verify_sshsig(&identity, NAMESPACE, self.document.as_bytes(), &signature)
            .map_err(|_| KeySetError::Signature)?;
        serde_json::from_str(&self.document)
            .map_err(|error| KeySetError::Malformed(error.to_string()))
    }

    fn identity(&self) -> Result<PublicKey, KeySetError> {
        self.identity_key
            .parse()
            .map_err(|_| KeySetError::Malformed("the identity key is not a public key".into()))
    }
}

impl KeySet {
    /// Keys of one purpose that are to be trusted: `next`, `active` and `retiring`.
    pub fn trusted(&self, purpose: Purpose) -> impl Iterator<Item = &Key> {
        self.keys
            .iter()
            .filter(move |key| key.purpose == purpose && key.state != State::Compromised)
    }
}

#[cfg(test)]
mod tests;
