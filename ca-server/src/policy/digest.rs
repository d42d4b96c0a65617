//! The policy's name in every record: SHA-256 of its text, byte for byte.

use jit_ssh_api::hex;
use sha2::{Digest, Sha256};

/// Hexadecimal SHA-256.
pub(super) fn of(text: &[u8]) -> String {
    hex(Sha256::digest(text))
}
