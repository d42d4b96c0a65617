//! Signing keys of the provider for tests, with their JWKs.

use std::sync::OnceLock;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// A key with its id.
#[derive(Clone)]
pub struct SigningKey {
    /// `kid` in the JWKS and in headers.
    pub kid: String,
    pair: std::sync::Arc<Pair>,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .finish()
    }
}

enum Pair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair, Curve),
    Ed(Ed25519KeyPair),
}

/// Curves of ECDSA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// ES256.
    P256,
    /// ES384.
    P384,
    /// ES512.
    P521,
}

impl SigningKey {
    /// RSA 2048; making one takes a while, so each process makes the first only once.
    pub fn rsa(kid: &str) -> Self {
        static FIRST: OnceLock<SigningKey> = OnceLock::new();
        let first = FIRST.get_or_init(|| SigningKey::another_rsa(""));
        SigningKey {
            kid: kid.to_owned(),
            pair: first.pair.clone(),
        }
    }

    /// RSA 2048, another pair at each call.
    pub fn another_rsa(kid: &str) -> Self {
        let pair = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
        SigningKey::new(kid, Pair::Rsa(pair))
    }

    /// ECDSA.
    pub fn ec(kid: &str, curve: Curve) -> Self {
        let algorithm = match curve {
            Curve::P256 => &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
            Curve::P384 => &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
            Curve::P521 => &signature::ECDSA_P521_SHA512_FIXED_SIGNING,
        };
        SigningKey::new(
            kid,
            Pair::Ec(EcdsaKeyPair::generate(algorithm).unwrap(), curve),
        )
    }

    /// Ed25519.
    pub fn ed(kid: &str) -> Self {
        SigningKey::new(kid, Pair::Ed(Ed25519KeyPair::generate().unwrap()))
    }

    fn new(kid: &str, pair: Pair) -> Self {
        SigningKey {
            kid: kid.to_owned(),
            pair: std::sync::Arc::new(pair),
        }
    }

    /// The algorithm that it is usually used with.
    pub fn algorithm(&self) -> &'static str {
        match &*self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::Ec(_, Curve::P256) => "ES256",
            Pair::Ec(_, Curve::P384) => "ES384",
            Pair::Ec(_, Curve::P521) => "ES512",
            Pair::Ed(_) => "EdDSA",
        }
    }

    /// Public half as JWK, with `use`, `alg` and `kid`.
    pub fn jwk(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &*self.pair {
            Pair::Rsa(pair) => {
                let (modulus, exponent) = rsa_numbers(pair.public_key().as_ref());
                json!({ "kty": "RSA", "n": encode(modulus), "e": encode(exponent) })
            }
            Pair::Ec(pair, curve) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let name = match curve {
                    Curve::P256 => "P-256",
                    Curve::P384 => "P-384",
                    Curve::P521 => "P-521",
                };
                json!({ "kty": "EC", "crv": name, "x": encode(x), "y": encode(y) })
            }
            Pair::Ed(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref()) })
            }
        };
        jwk["kid"] = json!(self.kid);
        jwk["use"] = json!("sig");
        jwk["alg"] = json!(self.algorithm());
        jwk
    }

    /// Public half as DER SubjectPublicKeyInfo: what a confused verifier would take for an HMAC key.
    pub fn spki(&self) -> Vec<u8> {
        match &*self.pair {
            Pair::Rsa(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Pair::Ec(pair, _) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
        }
    }

    /// Signs as `algorithm` says; as the key likes where that does not fit it.
    pub fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &*self.pair {
            Pair::Rsa(pair) => {
                let encoding: &'static dyn signature::RsaEncoding = match algorithm {
                    "RS384" => &signature::RSA_PKCS1_SHA384,
                    "RS512" => &signature::RSA_PKCS1_SHA512,
                    "PS256" => &signature::RSA_PSS_SHA256,
                    "PS384" => &signature::RSA_PSS_SHA384,
                    "PS512" => &signature::RSA_PSS_SHA512,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, message, &mut signature)
                    .unwrap();
                signature
            }
            Pair::Ec(pair, _) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}

/// Modulus and exponent of an RFC 8017 `RSAPublicKey`: `30 len (02 len n) (02 len e)`.
fn rsa_numbers(der: &[u8]) -> (&[u8], &[u8]) {
    let (whole, _) = element(der);
    let (modulus, rest) = element(whole);
    let (exponent, _) = element(rest);
    (without_sign(modulus), without_sign(exponent))
}

/// Content of the first DER element, and what follows it.
fn element(der: &[u8]) -> (&[u8], &[u8]) {
    let first = usize::from(der[1]);
    let (length, head) = if first < 0x80 {
        (first, 2)
    } else {
        let bytes = first - 0x80;
        let length = der[2..2 + bytes]
            .iter()
            .fold(0, |sum, &byte| sum << 8 | usize::from(byte));
        (length, 2 + bytes)
    };
    (&der[head..head + length], &der[head + length..])
}

fn without_sign(number: &[u8]) -> &[u8] {
    number.strip_prefix(&[0]).unwrap_or(number)
}
