//! What was installed, kept beside it: for `uninstall`, `doctor` and the next `install`. The pin in it
//! holds until the host is uninstalled (A50).

use std::collections::BTreeMap;
use std::path::PathBuf;

use jit_ssh_connect::KnownCa;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use ssh_key::Fingerprint;

use crate::files::File;
use crate::install::InstallError;

/// What was installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// The CA: its pin, and the newest key set that this host has seen.
    pub(crate) ca: KnownCa,
    /// The host's identifier, if it is enrolled: then what opens which account comes from the CA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<String>,
    /// Each account with what opens it.
    pub(crate) accounts: BTreeMap<String, Vec<String>>,
    /// Another CA was trusted before and goes on.
    pub(crate) merged: bool,
    /// Its keys that these accounts go on trusting: recorded, for once our own file is in force,
    /// nothing else says any more which of the keys in it were there before us.
    pub(crate) kept: Vec<String>,
    /// Every file that was put down.
    pub(crate) files: Vec<Installed>,
}

/// A file that was put down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Installed {
    /// Where.
    pub(crate) path: PathBuf,
    /// SHA-256 of what was written, hexadecimal.
    pub(crate) sha256: String,
    /// What was there before jit-ssh.
    pub(crate) before: Option<File>,
}

impl Manifest {
    /// The pin holds until the host is uninstalled: another identity key is another CA, and whoever
    /// can make an operator paste a fingerprint must not replace this one by the way.
    pub(crate) fn same_ca(&self, fingerprint: &str) -> Result<(), InstallError> {
        let asked = fingerprint.trim();
        let asked = asked.parse().map_or_else(
            |_| asked.to_owned(),
            |parsed: Fingerprint| parsed.to_string(),
        );
        if asked == self.ca.fingerprint {
            return Ok(());
        }
        Err(InstallError::OtherCa {
            url: self.ca.url.clone(),
            pinned: self.ca.fingerprint.clone(),
            asked,
        })
    }
}

/// SHA-256 of a file's content, hexadecimal.
pub(crate) fn digest(bytes: &[u8]) -> String {
    jit_ssh_api::hex(Sha256::digest(bytes))
}
