//! Revocations ──► the bytes that sshd reads as `RevokedKeys` (PROTOCOL.krl). Pure.
//!
//! In: what is revoked and not yet over. Out: the same bytes for the same list, whoever makes them.
//! sshd reads the file whole at every attempt of a login, so that it holds only what still matters.
//!
//! - Serials stand in one list for each CA key: of one key the same serial says nothing about another's
//!   (A57). No bitmaps: OpenSSH writes some that it refuses to read, and then refuses everybody.
//! - Keys stand by their SHA-256, in order, as sshd wants them; CA keys that are lost stand whole.
//! - A list with nothing in it is its header, never an empty file, which sshd takes for a list of no
//!   keys in another format (A53).

use std::collections::{BTreeMap, BTreeSet};

use crate::certificate::{CertificateError, string};

/// What is revoked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevocationList {
    /// Counts up with every change.
    pub version: u64,
    /// When it changed last, seconds since 1970-01-01 UTC.
    pub generated: u64,
    /// Serials for each CA key (its public key blob).
    pub serials: BTreeMap<Vec<u8>, BTreeSet<u64>>,
    /// SHA-256 of the blobs of keys that open nothing any more, whoever certified them.
    pub keys: BTreeSet<[u8; 32]>,
    /// Blobs of CA keys that open nothing any more.
    pub ca_keys: BTreeSet<Vec<u8>>,
}

impl RevocationList {
    /// Its bytes; an error only where something is longer than the format can say (4 GiB).
    pub fn encode(&self) -> Result<Vec<u8>, CertificateError> {
        let mut out = Vec::with_capacity(64);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&FORMAT.to_be_bytes());
        out.extend_from_slice(&self.version.to_be_bytes());
        out.extend_from_slice(&self.generated.to_be_bytes());
        out.extend_from_slice(&0u64.to_be_bytes());
        string(&mut out, b"")?;
        string(&mut out, b"")?;
        for (ca, serials) in &self.serials {
            // sshd takes 0 for "no serial" and a section without one for damage.
            let listed: Vec<u8> = serials
                .iter()
                .filter(|serial| **serial != 0)
                .flat_map(|serial| serial.to_be_bytes())
                .collect();
            if listed.is_empty() {
                continue;
            }
            let mut of_ca = Vec::new();
            string(&mut of_ca, ca)?;
            string(&mut of_ca, b"")?;
            section(&mut of_ca, SERIAL_LIST, &listed)?;
            section(&mut out, CERTIFICATES, &of_ca)?;
        }
        if !self.ca_keys.is_empty() {
            let mut blobs = Vec::new();
            for key in &self.ca_keys {
                string(&mut blobs, key)?;
            }
            section(&mut out, EXPLICIT_KEY, &blobs)?;
        }
        if !self.keys.is_empty() {
            let mut hashes = Vec::new();
            for key in &self.keys {
                string(&mut hashes, key)?;
            }
            section(&mut out, FINGERPRINT_SHA256, &hashes)?;
        }
        Ok(out)
    }
}

fn section(out: &mut Vec<u8>, kind: u8, data: &[u8]) -> Result<(), CertificateError> {
    out.push(kind);
    string(out, data)
}

const MAGIC: &[u8; 8] = b"SSHKRL\n\0";
const FORMAT: u32 = 1;
const CERTIFICATES: u8 = 1;
const EXPLICIT_KEY: u8 = 2;
const FINGERPRINT_SHA256: u8 = 5;
const SERIAL_LIST: u8 = 0x20;

#[cfg(test)]
mod tests;
