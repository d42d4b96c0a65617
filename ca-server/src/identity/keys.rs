//! An issuer's public keys: parsed once, chosen by name, type and use.
//!
//! In: a JWK set as fetched. Out: keys on aws-lc behind openidconnect's `JsonWebKey`, so that its
//! verifier runs on them. A key verifies only what its own type, curve and `alg` admit (A1); keys
//! for encryption, symmetric ones and whatever we cannot read are left out; two keys that fit the
//! same token refuse it (A3). Sources: RFC 7517, RFC 7518 §6, RFC 8037.

use std::sync::{Arc, OnceLock};

use aws_lc_rs::digest;
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{self, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::{
    JsonWebKey, JsonWebKeyAlgorithm, JsonWebKeyId, JsonWebKeyType, JsonWebKeyUse,
    JweContentEncryptionAlgorithm, JwsSigningAlgorithm, SignatureVerificationError,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::issuer::Algorithm;
use super::json::{self, JsonError};

/// The signing keys of one issuer.
#[derive(Clone, Debug, Default)]
pub(super) struct Jwks(Vec<Key>);

impl Jwks {
    /// Reads a JWK set for `issuer`; keys that we cannot use are left out, not an error.
    pub(super) fn parse(bytes: &[u8], issuer: &str) -> Result<Self, JwksError> {
        let set = json::object(bytes)?;
        let keys = set
            .get("keys")
            .and_then(Value::as_array)
            .ok_or(JwksError::NoKeys)?;
        if keys.len() > MAX_KEYS {
            return Err(JwksError::TooMany(keys.len()));
        }
        let keys: Vec<Key> = keys
            .iter()
            .filter_map(Value::as_object)
            .filter_map(|jwk| Key::parse(jwk, issuer))
            .collect();
        if keys.is_empty() {
            Err(JwksError::NoKeys)
        } else {
            Ok(Jwks(keys))
        }
    }

    /// The keys that a token may mean: those with its `kid`, or all when it names none; of a type
    /// that fits its algorithm.
    pub(super) fn candidates(&self, key_id: Option<&str>, algorithm: Algorithm) -> Vec<Key> {
        let named = |key: &&Key| key_id.is_none_or(|id| key.id() == Some(id));
        self.0
            .iter()
            .filter(named)
            .filter(|key| key.admits(algorithm))
            .cloned()
            .collect()
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Why a JWK set is not taken; the issuer's to mend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// Not readable in one way.
    #[error("the key set cannot be read: {0}")]
    Json(#[from] JsonError),
    /// None that verifies signatures.
    #[error("the key set has no public signing key that we can use")]
    NoKeys,
    /// More keys than any issuer has.
    #[error("the key set has {0} keys")]
    TooMany(usize),
}

/// One public signing key; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Key(Arc<Parsed>);

#[derive(Debug)]
struct Parsed {
    id: Option<JsonWebKeyId>,
    kind: JwkKind,
    /// The one algorithm that it is for, where the set says so.
    algorithm: Option<Algorithm>,
    material: Material,
}

#[derive(Debug)]
enum Material {
    /// One parsed key for each algorithm of the family, made when first needed.
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
        parsed: Box<[OnceLock<Option<ParsedPublicKey>>; 6]>,
    },
    /// The curve decides the algorithm.
    Curve(ParsedPublicKey),
}

impl Key {
    /// Reads one JWK; `None` for what is no signing key of this issuer.
    fn parse(jwk: &Map<String, Value>, issuer: &str) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        // A member that is there but no text is a key that we do not understand.
        let optional = |name: &str| match jwk.get(name) {
            None => Some(None),
            Some(value) => value.as_str().map(Some),
        };
        if optional("use")?.is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        if let Some(operations) = jwk.get("key_ops")
            && !operations
                .as_array()?
                .iter()
                .any(|operation| operation == "verify")
        {
            return None;
        }
        // Entra puts keys of other clouds into the same set, and says whose they are.
        if let Some(whose) = optional("issuer")?
            && !same_issuer(whose, issuer)
        {
            return None;
        }
        let algorithm = match optional("alg")? {
            None => None,
            Some(name) => Some(Algorithm::parse(name)?),
        };
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
        let (kind, material) = match (text("kty")?, text("crv")) {
            ("RSA", _) => (JwkKind::Rsa, rsa(bytes("n")?, bytes("e")?)?),
            ("EC", Some("P-256")) => (
                JwkKind::P256,
                curve(
                    &signature::ECDSA_P256_SHA256_FIXED,
                    &point(32, &bytes("x")?, &bytes("y")?)?,
                )?,
            ),
            ("EC", Some("P-384")) => (
                JwkKind::P384,
                curve(
                    &signature::ECDSA_P384_SHA384_FIXED,
                    &point(48, &bytes("x")?, &bytes("y")?)?,
                )?,
            ),
            ("EC", Some("P-521")) => (
                JwkKind::P521,
                curve(
                    &signature::ECDSA_P521_SHA512_FIXED,
                    &point(66, &bytes("x")?, &bytes("y")?)?,
                )?,
            ),
            ("OKP", Some("Ed25519")) => {
                (JwkKind::Ed25519, curve(&signature::ED25519, &bytes("x")?)?)
            }
            _ => return None,
        };
        if algorithm.is_some_and(|algorithm| JwkKind::of(algorithm) != kind) {
            return None;
        }
        let id = optional("kid")?.map(|id| JsonWebKeyId::new(id.to_owned()));
        Some(Key(Arc::new(Parsed {
            id,
            kind,
            algorithm,
            material,
        })))
    }

    fn id(&self) -> Option<&str> {
        self.0.id.as_ref().map(|id| id.as_str())
    }

    fn admits(&self, algorithm: Algorithm) -> bool {
        self.0.kind == JwkKind::of(algorithm)
            && self.0.algorithm.is_none_or(|only| only == algorithm)
    }

    /// Whether `signature` over `message` is this key's.
    fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        if !self.admits(algorithm) {
            return false;
        }
        let key = match &self.0.material {
            Material::Curve(key) => Some(key),
            Material::Rsa { n, e, parsed } => rsa_parameters(algorithm)
                .and_then(|(slot, parameters)| parsed.get(slot).map(|slot| (slot, parameters)))
                .and_then(|(slot, parameters)| {
                    slot.get_or_init(|| {
                        PublicKeyComponents { n, e }
                            .to_parsed_public_key(parameters)
                            .ok()
                    })
                    .as_ref()
                }),
        };
        key.is_some_and(|key| key.verify_sig(message, signature).is_ok())
    }
}

/// Numbers as aws-lc wants them; 2048 to 8192 bits, as its algorithms check again at each use.
fn rsa(n: Vec<u8>, e: Vec<u8>) -> Option<Material> {
    let plain = |number: &[u8]| number.first().is_some_and(|first| *first != 0);
    let is_good = plain(&n)
        && plain(&e)
        && (256..=1024).contains(&n.len())
        && e.len() <= 4
        && e.last().is_some_and(|last| last % 2 == 1)
        && e != [1];
    if !is_good {
        return None;
    }
    let components = PublicKeyComponents { n: &n, e: &e };
    components
        .to_parsed_public_key(&signature::RSA_PKCS1_2048_8192_SHA256)
        .ok()?;
    Some(Material::Rsa {
        n,
        e,
        parsed: Default::default(),
    })
}

fn rsa_parameters(algorithm: Algorithm) -> Option<(usize, &'static signature::RsaParameters)> {
    match algorithm {
        Algorithm::RS256 => Some((0, &signature::RSA_PKCS1_2048_8192_SHA256)),
        Algorithm::RS384 => Some((1, &signature::RSA_PKCS1_2048_8192_SHA384)),
        Algorithm::RS512 => Some((2, &signature::RSA_PKCS1_2048_8192_SHA512)),
        Algorithm::PS256 => Some((3, &signature::RSA_PSS_2048_8192_SHA256)),
        Algorithm::PS384 => Some((4, &signature::RSA_PSS_2048_8192_SHA384)),
        Algorithm::PS512 => Some((5, &signature::RSA_PSS_2048_8192_SHA512)),
        Algorithm::ES256 | Algorithm::ES384 | Algorithm::ES512 | Algorithm::EdDSA => None,
    }
}

/// An uncompressed point (SEC 1 §2.3.3); RFC 7518 §6.2.1.2 wants both coordinates in full length.
fn point(length: usize, x: &[u8], y: &[u8]) -> Option<Vec<u8>> {
    (x.len() == length && y.len() == length).then(|| [&[4], x, y].concat())
}

fn curve(
    algorithm: &'static dyn signature::VerificationAlgorithm,
    bytes: &[u8],
) -> Option<Material> {
    ParsedPublicKey::new(algorithm, bytes)
        .ok()
        .map(Material::Curve)
}

/// Byte-equal, once Entra's `{tenantid}` is filled in from the issuer.
fn same_issuer(whose: &str, issuer: &str) -> bool {
    match whose.split_once("{tenantid}") {
        None => whose == issuer,
        Some((before, after)) => issuer
            .strip_prefix(before)
            .and_then(|rest| rest.strip_suffix(after))
            .is_some_and(|tenant| !tenant.is_empty() && !tenant.contains('/')),
    }
}

/// No issuer was seen with more than some thirty.
const MAX_KEYS: usize = 100;

/// Types of keys, apart by curve: ES256 is P-256 and nothing else (RFC 7518 §3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JwkKind {
    /// RSA, for RS and PS.
    Rsa,
    /// ES256.
    P256,
    /// ES384.
    P384,
    /// ES512.
    P521,
    /// EdDSA.
    Ed25519,
}

impl JwkKind {
    fn of(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512 => JwkKind::Rsa,
            Algorithm::ES256 => JwkKind::P256,
            Algorithm::ES384 => JwkKind::P384,
            Algorithm::ES512 => JwkKind::P521,
            Algorithm::EdDSA => JwkKind::Ed25519,
        }
    }
}

impl JsonWebKeyType for JwkKind {}

/// Keys for anything else are not in a [`Jwks`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Signing {
    /// `use: sig`.
    #[serde(rename = "sig")]
    Sig,
}

impl JsonWebKeyUse for Signing {
    fn allows_signature(&self) -> bool {
        true
    }

    fn allows_encryption(&self) -> bool {
        false
    }
}

/// Content encryption, of which we have none: no header can name one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum NoEncryption {}

impl JweContentEncryptionAlgorithm for NoEncryption {
    type KeyType = JwkKind;

    fn key_type(&self) -> Result<JwkKind, String> {
        match *self {}
    }
}

impl JwsSigningAlgorithm for Algorithm {
    type KeyType = JwkKind;

    fn key_type(&self) -> Option<JwkKind> {
        Some(JwkKind::of(*self))
    }

    fn uses_shared_secret(&self) -> bool {
        false
    }

    fn rsa_sha_256() -> Self {
        Algorithm::RS256
    }
}

impl JsonWebKey for Key {
    type KeyUse = Signing;
    type SigningAlgorithm = Algorithm;

    fn key_id(&self) -> Option<&JsonWebKeyId> {
        self.0.id.as_ref()
    }

    fn key_type(&self) -> &JwkKind {
        &self.0.kind
    }

    fn key_use(&self) -> Option<&Signing> {
        Some(&Signing::Sig)
    }

    fn signing_alg(&self) -> JsonWebKeyAlgorithm<&Algorithm> {
        match &self.0.algorithm {
            Some(algorithm) => JsonWebKeyAlgorithm::Algorithm(algorithm),
            None => JsonWebKeyAlgorithm::Unspecified,
        }
    }

    /// A key that verifies nothing: the library asks for one only where a verifier was given a
    /// client's secret, and ours never is.
    fn new_symmetric(_: Vec<u8>) -> Self {
        Key(Arc::new(Parsed {
            id: None,
            kind: JwkKind::Rsa,
            algorithm: None,
            material: Material::Rsa {
                n: Vec::new(),
                e: Vec::new(),
                parsed: Default::default(),
            },
        }))
    }

    fn verify_signature(
        &self,
        algorithm: &Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureVerificationError> {
        if self.verifies(*algorithm, message, signature) {
            Ok(())
        } else {
            Err(SignatureVerificationError::CryptoError(
                "the signature does not verify".to_owned(),
            ))
        }
    }

    /// For `at_hash` (OpenID Connect Core 1.0 §3.1.3.6); SHA-512 for Ed25519.
    fn hash_bytes(&self, bytes: &[u8], algorithm: &Algorithm) -> Result<Vec<u8>, String> {
        let hash = match algorithm {
            Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256 => &digest::SHA256,
            Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => &digest::SHA384,
            Algorithm::RS512 | Algorithm::PS512 | Algorithm::ES512 | Algorithm::EdDSA => {
                &digest::SHA512
            }
        };
        Ok(digest::digest(hash, bytes).as_ref().to_vec())
    }
}

/// The library's trait wants it; key sets are read by [`Jwks::parse`], which knows the issuer.
impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let jwk = Map::deserialize(deserializer)?;
        Key::parse(&jwk, "").ok_or_else(|| serde::de::Error::custom("not a signing key"))
    }
}

/// The library's trait wants it; nothing writes keys.
impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}
