//! The nonce that binds an ID token to a key: the one place with the formula (invariant 4).
//!
//! `nonce = base64url(SHA-256("jit-ssh key binding v1" ‖ 0x00 ‖ public key blob ‖ salt))`, the blob
//! as in RFC 4253 §6.6. Where the person names another key to certify, the nonce covers both, each
//! behind its length (four bytes, big endian), under a label of its own, so that no pair of keys
//! can be read as one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// SSHSIG namespace in which a named key signs the nonce, once, when a login is opened.
pub const NAMED_KEY_NAMESPACE: &str = "jit-ssh-named-key@v1";

/// Random bytes that keep an identity provider from linking a nonce to a known key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt([u8; 32]);

impl Salt {
    /// Takes 32 random bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Salt(bytes)
    }

    /// Reads base64url without padding; `None` unless it is exactly 32 bytes.
    pub fn decode(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(Salt(bytes.try_into().ok()?))
    }

    /// Base64url without padding, 43 characters.
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

/// The nonce for a login key that is itself certified; 43 characters.
pub fn nonce(login_key: &[u8], salt: &Salt) -> String {
    let digest = Sha256::new()
        .chain_update(b"jit-ssh key binding v1\0")
        .chain_update(login_key)
        .chain_update(salt.0)
        .finalize();
    URL_SAFE_NO_PAD.encode(digest)
}

/// The nonce for a login key and another key that is certified in its place; 43 characters.
pub fn nonce_with_named_key(login_key: &[u8], named_key: &[u8], salt: &Salt) -> String {
    let length = |blob: &[u8]| u32::try_from(blob.len()).unwrap_or(u32::MAX).to_be_bytes();
    let digest = Sha256::new()
        .chain_update(b"jit-ssh key binding v1, named key\0")
        .chain_update(length(login_key))
        .chain_update(login_key)
        .chain_update(length(named_key))
        .chain_update(named_key)
        .chain_update(salt.0)
        .finalize();
    URL_SAFE_NO_PAD.encode(digest)
}

#[cfg(test)]
mod tests;
