//! The nonce that a token must have to open a login: it commits to the key that asks (invariant 4).
//!
//! In: the salt and the public key blobs of the request. Out: the nonce that the client must have
//! sent to the identity provider. The formula itself is [`jit_ssh_api::binding`]'s.

use jit_ssh_api::binding::{nonce, nonce_with_named_key};

use crate::identity::Opening;

/// Recomputed from what the caller sent and proved, never taken from it.
pub(super) fn expected(opening: &Opening<'_>) -> String {
    match opening.named_key {
        None => nonce(opening.login_key, &opening.salt),
        Some(named_key) => nonce_with_named_key(opening.login_key, named_key, &opening.salt),
    }
}
