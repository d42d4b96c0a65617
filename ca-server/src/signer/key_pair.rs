//! A key of the CA that can sign: Ed25519 or ECDSA P-256, by aws-lc; never RSA (A40). An unlocked
//! OpenSSH private key comes in; its public half is computed from the private number and must be
//! the one that the file shows (A41, RUSTSEC-2022-0093).

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey as Scalar};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use ssh_encoding::Encode as _;
use ssh_key::private::{EcdsaKeypair, KeypairData};
use ssh_key::{Algorithm, EcdsaCurve, HashAlg, Mpint, PrivateKey, PublicKey, Signature, SshSig};

use crate::entropy::Entropy;

/// The kinds of keys that the CA has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// The default.
    Ed25519,
    /// For a FIPS profile.
    P256,
}

/// A key that signs.
pub struct KeyPair {
    public: PublicKey,
    private: Private,
}

enum Private {
    Ed25519(Ed25519KeyPair),
    P256(Box<EcdsaKeyPair>),
}

/// Why a key does not sign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// RSA, or a curve that we do not sign with.
    #[error("a key of the CA must be Ed25519 or ECDSA P-256, this one is {0}")]
    Kind(String),
    /// The public half is not that of the private one.
    #[error("the public key in the file does not belong to the private key")]
    Mismatch,
    /// Numbers that are no key.
    #[error("the private key is not valid")]
    Invalid,
    /// aws-lc said no.
    #[error("the signature could not be made")]
    Failed,
}

/// A fresh private key.
pub fn generate(kind: KeyKind, rng: &mut impl Entropy) -> Result<PrivateKey, PairError> {
    let algorithm = match kind {
        KeyKind::Ed25519 => Algorithm::Ed25519,
        KeyKind::P256 => Algorithm::Ecdsa {
            curve: EcdsaCurve::NistP256,
        },
    };
    PrivateKey::random(rng, algorithm).map_err(|_| PairError::Invalid)
}

/// aws-lc seeds its generator at its first use, which takes 41 ms: for a thread of its own while the
/// rest of a CA starts, so that no request waits for it.
pub fn warm() {
    let mut byte = [0u8; 1];
    // A generator that cannot be seeded shows at the first signature, as an error.
    let _ = SystemRandom::new().fill(&mut byte);
}

impl KeyPair {
    /// Takes an unlocked private key; computes its public half and compares.
    pub fn from_private(key: &PrivateKey) -> Result<Self, PairError> {
        let private = match key.key_data() {
            KeypairData::Ed25519(pair) => {
                let secret = zeroize::Zeroizing::new(pair.private.to_bytes());
                let computed = Ed25519KeyPair::from_seed_unchecked(secret.as_slice())
                    .map_err(|_| PairError::Invalid)?;
                if computed.public_key().as_ref() != pair.public.0 {
                    return Err(PairError::Mismatch);
                }
                Private::Ed25519(computed)
            }
            KeypairData::Ecdsa(pair @ EcdsaKeypair::NistP256 { .. }) => {
                let computed = Scalar::from_private_key(&ECDH_P256, pair.private_key_bytes())
                    .and_then(|scalar| Ok(scalar.compute_public_key()?))
                    .map_err(|_| PairError::Invalid)?;
                if computed.as_ref() != pair.public_key_bytes() {
                    return Err(PairError::Mismatch);
                }
                let pair = EcdsaKeyPair::from_private_key_and_public_key(
                    &ECDSA_P256_SHA256_FIXED_SIGNING,
                    pair.private_key_bytes(),
                    computed.as_ref(),
                )
                .map_err(|_| PairError::Mismatch)?;
                Private::P256(Box::new(pair))
            }
            _ => return Err(PairError::Kind(key.algorithm().to_string())),
        };
        let public = PublicKey::from(key.public_key().key_data().clone());
        Ok(KeyPair { public, private })
    }

    /// The public half, without a comment.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Signs; the signature's fields as in RFC 8709 §6 or RFC 5656 §3.1.2, with their name in front.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, PairError> {
        let mut out = Vec::with_capacity(128);
        self.signature(message)?
            .encode(&mut out)
            .map_err(|_| PairError::Failed)?;
        Ok(out)
    }

    /// An OpenSSH signature (PROTOCOL.sshsig), as `ssh-keygen -Y sign` makes it.
    pub fn sign_sshsig(&self, namespace: &str, message: &[u8]) -> Result<SshSig, PairError> {
        let data = SshSig::signed_data(namespace, HashAlg::Sha512, message)
            .map_err(|_| PairError::Failed)?;
        let signature = self.signature(&data)?;
        SshSig::new(
            self.public.key_data().clone(),
            namespace,
            HashAlg::Sha512,
            signature,
        )
        .map_err(|_| PairError::Failed)
    }

    fn signature(&self, message: &[u8]) -> Result<Signature, PairError> {
        let (algorithm, bytes) = match &self.private {
            Private::Ed25519(pair) => {
                let signature = pair.try_sign(message).map_err(|_| PairError::Failed)?;
                (Algorithm::Ed25519, signature.as_ref().to_vec())
            }
            Private::P256(pair) => {
                let signature = pair
                    .sign(&SystemRandom::new(), message)
                    .map_err(|_| PairError::Failed)?;
                let (r, s) = signature
                    .as_ref()
                    .split_at_checked(32)
                    .ok_or(PairError::Failed)?;
                let mut bytes = Vec::with_capacity(74);
                for number in [r, s] {
                    Mpint::from_positive_bytes(number)
                        .map_err(|_| PairError::Failed)?
                        .encode(&mut bytes)
                        .map_err(|_| PairError::Failed)?;
                }
                let curve = EcdsaCurve::NistP256;
                (Algorithm::Ecdsa { curve }, bytes)
            }
        };
        Signature::new(algorithm, bytes).map_err(|_| PairError::Failed)
    }
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fingerprint = self.public.fingerprint(HashAlg::Sha256);
        write!(f, "KeyPair({fingerprint})")
    }
}
