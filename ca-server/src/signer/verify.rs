//! Verifies OpenSSH signatures with aws-lc where it is faster than the reference
//! ([`jit_ssh_api::proof::verify_sshsig`]): Ed25519 (43 µs instead of 64), ECDSA P-256, and RSA,
//! which the reference cannot do at all beyond 4096 bits. Everything else goes to the reference.
//!
//! What this accepts, the reference accepts (up to that size). The other way round there is one
//! difference, on the strict side: aws-lc refuses Ed25519 public keys that are not encoded
//! canonically, and no such key is certified anyway ([`crate::certificate::AcceptedKey`]).

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA512,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use jit_ssh_api::proof::{self, ProofError, ProofHeader, Request};
use ssh_encoding::Decode as _;
use ssh_key::public::{EcdsaPublicKey, KeyData};
use ssh_key::{Algorithm, EcdsaCurve, HashAlg, Mpint, PublicKey, SshSig};

/// Checks a proof's signature against the request. Time and id are the caller's to judge.
pub fn verify_proof(header: &ProofHeader, request: &Request<'_>) -> Result<(), ProofError> {
    let message = proof::message(request, header.time, header.id);
    let key = header.public_key();
    verify_sshsig(
        &key,
        proof::NAMESPACE,
        message.as_bytes(),
        &header.signature,
    )
}

/// Checks an SSHSIG by `key`; a security key must have been touched.
pub fn verify_sshsig(
    key: &PublicKey,
    namespace: &str,
    message: &[u8],
    signature: &SshSig,
) -> Result<(), ProofError> {
    // Forms that nobody makes are not worth being fast about.
    if signature.version() != SshSig::VERSION || !signature.reserved().is_empty() {
        return proof::verify_sshsig(key, namespace, message, signature);
    }
    if signature.public_key() != key.key_data() || signature.namespace() != namespace {
        return Err(ProofError::Mismatch);
    }
    let bytes = signature.signature_bytes();
    let signed = |data: &KeyData| -> Option<bool> {
        let covered = SshSig::signed_data(namespace, signature.hash_alg(), message).ok()?;
        match (data, signature.algorithm()) {
            (KeyData::Ed25519(key), Algorithm::Ed25519) => {
                let key = UnparsedPublicKey::new(&ED25519, &key.0);
                Some(key.verify(&covered, bytes).is_ok())
            }
            (
                KeyData::Ecdsa(key @ EcdsaPublicKey::NistP256(_)),
                Algorithm::Ecdsa {
                    curve: EcdsaCurve::NistP256,
                },
            ) => {
                let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.as_sec1_bytes());
                Some(fixed_p256(bytes).is_some_and(|fixed| key.verify(&covered, &fixed).is_ok()))
            }
            (KeyData::Rsa(key), Algorithm::Rsa { hash: Some(hash) }) => {
                let parameters = match hash {
                    HashAlg::Sha256 => &RSA_PKCS1_2048_8192_SHA256,
                    HashAlg::Sha512 => &RSA_PKCS1_2048_8192_SHA512,
                    _ => return None,
                };
                let (n, e) = (key.n.as_positive_bytes()?, key.e.as_positive_bytes()?);
                let key = RsaPublicKeyComponents { n, e };
                Some(key.verify(parameters, &covered, bytes).is_ok())
            }
            _ => None,
        }
    };
    match signed(key.key_data()) {
        Some(true) => Ok(()),
        Some(false) => Err(ProofError::Mismatch),
        None => proof::verify_sshsig(key, namespace, message, signature),
    }
}

/// RFC 5656 §3.1.2: two numbers as `mpint`; aws-lc takes them as 32 bytes each.
fn fixed_p256(mut bytes: &[u8]) -> Option<[u8; 64]> {
    let mut fixed = [0u8; 64];
    for half in fixed.chunks_exact_mut(32) {
        let number = Mpint::decode(&mut bytes).ok()?;
        let number = number.as_positive_bytes()?;
        let start = half.len().checked_sub(number.len())?;
        half.get_mut(start..)?.copy_from_slice(number);
    }
    bytes.is_empty().then_some(fixed)
}

#[cfg(test)]
pub(crate) mod tests;
