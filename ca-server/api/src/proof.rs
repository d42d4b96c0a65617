//! Proof of possession (invariant 5): an OpenSSH signature (PROTOCOL.sshsig) by the login key over
//! the whole request, so that `curl` and `ssh-keygen -Y sign -n jit-ssh@v1` are a full client.
//!
//! The signed text, each line ended by a line feed:
//!
//! ```text
//! jit-ssh proof v1
//! POST
//! /v1/certificates
//! ca.example.com
//! 1
//! <SHA-256 of the body, hexadecimal>
//! <seconds since 1970-01-01 UTC>
//! <16 random bytes, hexadecimal>
//! ```
//!
//! (method, path with query as sent, the CA's name, its epoch, body, time, id), and the header
//! `Authorization: JIT-SSH-Proof time=…,id=…,signature=…`, the signature in base64 on one line:
//! the armoured file of `ssh-keygen` without its first and last line.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use ssh_encoding::{Decode as _, Encode as _};
use ssh_key::SshSig;
use ssh_key::public::PublicKey;

use crate::hex;

/// SSHSIG namespace of proofs.
pub const NAMESPACE: &str = "jit-ssh@v1";

/// Scheme of the `Authorization` header.
pub const SCHEME: &str = "JIT-SSH-Proof";

/// How far a proof's time may be from the CA's, in seconds.
pub const MAX_SKEW_SECONDS: u64 = 60;

/// How long the CA remembers the ids of requests that change state, in seconds.
pub const ID_WINDOW_SECONDS: u64 = 120;

/// Largest header value that is looked at, in bytes (an RSA-8192 signature is some 3 KiB).
pub const MAX_HEADER_BYTES: usize = 8 * 1024;

/// What a proof is about.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Upper-case method.
    pub method: &'a str,
    /// Path and query, exactly as in the request line.
    pub path_and_query: &'a str,
    /// The CA's name, from discovery.
    pub ca_name: &'a str,
    /// The CA's epoch, from discovery.
    pub epoch: u64,
    /// The body; empty where there is none.
    pub body: &'a [u8],
}

/// 16 random bytes that make a request unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProofId(pub [u8; 16]);

impl std::fmt::Display for ProofId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex(self.0))
    }
}

/// The text that the login key signs.
pub fn message(request: &Request<'_>, time: u64, id: ProofId) -> String {
    let body = hex(Sha256::digest(request.body));
    format!(
        "jit-ssh proof v1\n{}\n{}\n{}\n{}\n{body}\n{time}\n{id}\n",
        request.method, request.path_and_query, request.ca_name, request.epoch
    )
}

/// A parsed, not yet verified header.
#[derive(Clone, Debug)]
pub struct ProofHeader {
    /// Time that it claims, seconds since 1970-01-01 UTC.
    pub time: u64,
    /// Its id.
    pub id: ProofId,
    /// The signature, with the key that it claims.
    pub signature: SshSig,
}

/// Why a header is not a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Not `JIT-SSH-Proof time=…,id=…,signature=…`.
    #[error("the Authorization header is not of the form `JIT-SSH-Proof time=…,id=…,signature=…`")]
    Form,
    /// The signature is not a readable SSHSIG.
    #[error("the signature is not an OpenSSH signature (PROTOCOL.sshsig)")]
    Signature,
    /// The signature does not fit the request.
    #[error("the signature does not fit this request")]
    Mismatch,
    /// A FIDO key signed without a touch.
    #[error("the security key signed without a touch")]
    NoTouch,
}

impl ProofHeader {
    /// The header value for a signature.
    pub fn encode(time: u64, id: ProofId, signature: &SshSig) -> Result<String, ProofError> {
        let mut blob = Vec::new();
        signature
            .encode(&mut blob)
            .map_err(|_| ProofError::Signature)?;
        Ok(format!(
            "{SCHEME} time={time},id={id},signature={}",
            STANDARD.encode(blob)
        ))
    }

    /// Reads a header value; nothing is verified yet.
    pub fn parse(value: &str) -> Result<Self, ProofError> {
        if value.len() > MAX_HEADER_BYTES {
            return Err(ProofError::Form);
        }
        let (scheme, fields) = value.split_once(' ').ok_or(ProofError::Form)?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(ProofError::Form);
        }
        let mut fields = fields.split(',').map(str::trim);
        let mut field = |name: &str| -> Result<&str, ProofError> {
            let field = fields.next().ok_or(ProofError::Form)?;
            let (key, value) = field.split_once('=').ok_or(ProofError::Form)?;
            if key == name {
                Ok(value)
            } else {
                Err(ProofError::Form)
            }
        };
        let time = field("time")?;
        let id = field("id")?;
        let signature = field("signature")?;
        if fields.next().is_some() || time.starts_with('+') {
            return Err(ProofError::Form);
        }
        let time = time.parse().map_err(|_| ProofError::Form)?;
        let id = parse_id(id).ok_or(ProofError::Form)?;
        let blob = STANDARD
            .decode(signature)
            .map_err(|_| ProofError::Signature)?;
        let mut reader = blob.as_slice();
        let signature = SshSig::decode(&mut reader).map_err(|_| ProofError::Signature)?;
        if !reader.is_empty() {
            return Err(ProofError::Signature);
        }
        Ok(ProofHeader {
            time,
            id,
            signature,
        })
    }

    /// The key that the signature claims.
    pub fn public_key(&self) -> PublicKey {
        PublicKey::from(self.signature.public_key().clone())
    }

    /// Checks the signature against the request: the reference that every faster verifier must
    /// agree with. Time and id are the caller's to judge.
    pub fn verify(&self, request: &Request<'_>) -> Result<(), ProofError> {
        let message = message(request, self.time, self.id);
        verify_sshsig(
            &self.public_key(),
            NAMESPACE,
            message.as_bytes(),
            &self.signature,
        )
    }
}

/// Verifies an SSHSIG, and that a security key was touched: `ssh-key` (and `ssh-keygen -Y verify`)
/// accept a signature whose user-presence flag is not set.
pub fn verify_sshsig(
    key: &PublicKey,
    namespace: &str,
    message: &[u8],
    signature: &SshSig,
) -> Result<(), ProofError> {
    use ssh_key::Algorithm;
    key.verify(namespace, message, signature)
        .map_err(|_| ProofError::Mismatch)?;
    if matches!(
        key.algorithm(),
        Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256
    ) {
        // PROTOCOL.u2f: the signature ends with one flags byte and a 32-bit counter.
        let bytes = signature.signature().as_bytes();
        let flags = bytes
            .len()
            .checked_sub(5)
            .and_then(|at| bytes.get(at))
            .copied();
        if flags.is_none_or(|flags| flags & 0x01 == 0) {
            return Err(ProofError::NoTouch);
        }
    }
    Ok(())
}

fn parse_id(text: &str) -> Option<ProofId> {
    let mut id = [0u8; 16];
    let text = text.as_bytes();
    if text.len() != 32 {
        return None;
    }
    for (byte, pair) in id.iter_mut().zip(text.chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        if !pair.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(ProofId(id))
}

#[cfg(test)]
mod tests;
