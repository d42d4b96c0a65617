//! Public keys that we certify: text, a blob or a parsed key comes in, an [`AcceptedKey`] goes out.
//! Ed25519, ECDSA P-256/384/521, RSA 3072 to 8192 bits with e = 65537, and the `sk-` kinds; no DSA,
//! and never a certificate in place of a key (A38, A40). Every number of a key is looked at, at a
//! cost that its size limit bounds: points on their curve and not of small order, moduli odd and
//! without small factors.
//!
//! Source: RFC 4253 §6.6, RFC 5656 §3.1, RFC 8709 §4, PROTOCOL.u2f; NIST SP 800-89 §5.3.3 for RSA.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED,
    EcdsaVerificationAlgorithm, ParsedPublicKey,
};
use jit_ssh_api::discovery::Profile;
use ssh_encoding::Encode as _;
use ssh_key::public::{EcdsaPublicKey, Ed25519PublicKey, KeyData, RsaPublicKey};
use ssh_key::{HashAlg, PublicKey};

/// Longest public key line that is looked at, in bytes (RSA-8192 is 1,430 without its comment).
pub const MAX_LINE: usize = 4096;

/// A public key that may be certified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedKey {
    public: PublicKey,
    blob: Vec<u8>,
    kind: &'static Kind,
}

/// Why a key is not certified. The caller's to mend, all of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not `TYPE BASE64 [COMMENT]`, or the two disagree, or something follows the key.
    #[error("this is not one OpenSSH public key (`ssh-ed25519 AAAA…`)")]
    Unreadable,
    /// More than any key that is accepted.
    #[error("a public key line of {0} bytes is longer than any key that is accepted")]
    TooLong(usize),
    /// A certificate where a key belongs.
    #[error("this is a certificate; send the public key that it was made for")]
    Certificate,
    /// DSA, or a kind that nobody knows.
    #[error("keys of type {0} are not accepted; use ssh-ed25519")]
    Kind(String),
    /// RSA too short or too long.
    #[error("an RSA key must have 3072 to 8192 bits, this one has {0}; use ssh-ed25519")]
    RsaBits(usize),
    /// RSA with another exponent than 65537.
    #[error("an RSA key must have the exponent 65537")]
    RsaExponent,
    /// RSA whose modulus anybody can factor.
    #[error("the modulus of this RSA key has the small factor {0}")]
    RsaFactor(u32),
    /// Not a point on the curve, or one for which anybody can sign.
    #[error("the public key is not a valid point of its curve")]
    Point,
    /// A FIDO credential of a web site.
    #[error("a security key must have been made for SSH (application `ssh:…`), not for {0:?}")]
    Application(String),
    /// Not of the profile `fips`.
    #[error("this CA works with NIST curves only, and {0} is none; use ecdsa-sha2-nistp256")]
    Profile(&'static str),
}

/// A kind of key that is accepted, and the kind of its certificates.
#[derive(Debug, PartialEq, Eq)]
struct Kind {
    name: &'static str,
    certificate: &'static str,
}

impl AcceptedKey {
    /// Reads and judges an OpenSSH public key line.
    pub fn parse(line: &str) -> Result<Self, KeyError> {
        if line.len() > MAX_LINE {
            return Err(KeyError::TooLong(line.len()));
        }
        let line = line.trim();
        if line.contains(['\n', '\r', '\0']) {
            return Err(KeyError::Unreadable);
        }
        let name = line.split(' ').next().unwrap_or_default();
        refuse_by_name(name)?;
        Self::new(&PublicKey::from_openssh(line).map_err(|_| KeyError::Unreadable)?)
    }

    /// Reads and judges a public key blob (RFC 4253 §6.6): the shortest way to a key that no line holds.
    #[cfg(test)]
    pub(crate) fn from_blob(blob: &[u8]) -> Result<Self, KeyError> {
        if blob.len() > MAX_LINE {
            return Err(KeyError::TooLong(blob.len()));
        }
        if let Some((name, _)) = split_name(blob) {
            refuse_by_name(std::str::from_utf8(name).map_err(|_| KeyError::Unreadable)?)?;
        }
        let accepted = Self::new(&PublicKey::from_bytes(blob).map_err(|_| KeyError::Unreadable)?)?;
        // One key, one encoding: what is signed is what was sent.
        if accepted.blob == blob {
            Ok(accepted)
        } else {
            Err(KeyError::Unreadable)
        }
    }

    /// Judges a parsed key.
    pub fn new(public: &PublicKey) -> Result<Self, KeyError> {
        let kind = match public.key_data() {
            KeyData::Ed25519(key) => edwards(key).map(|()| &ED25519),
            KeyData::Ecdsa(key) => ecdsa(key),
            KeyData::Rsa(key) => rsa(key).map(|()| &RSA),
            KeyData::SkEd25519(key) => edwards(key.public_key())
                .and_then(|()| application(key.application()))
                .map(|()| &SK_ED25519),
            KeyData::SkEcdsaSha2NistP256(key) => {
                on_curve(&ECDSA_P256_SHA256_FIXED, key.ec_point().as_bytes())
                    .and_then(|()| application(key.application()))
                    .map(|()| &SK_P256)
            }
            other => {
                let name = other.algorithm().to_string();
                refuse_by_name(&name)?;
                Err(KeyError::Kind(name))
            }
        }?;
        let mut blob = Vec::with_capacity(128);
        public
            .key_data()
            .encode(&mut blob)
            .map_err(|_| KeyError::Unreadable)?;
        let public = PublicKey::from(public.key_data().clone());
        Ok(AcceptedKey { public, blob, kind })
    }

    /// Whether the CA's profile takes keys of this kind: `fips` takes none of Edwards curves, on disk
    /// or in a security key.
    pub fn fits(&self, profile: Profile) -> Result<(), KeyError> {
        let edwards = matches!(
            self.public.key_data(),
            KeyData::Ed25519(_) | KeyData::SkEd25519(_)
        );
        match profile {
            Profile::Fips if edwards => Err(KeyError::Profile(self.name())),
            Profile::Fips | Profile::Standard => Ok(()),
        }
    }

    /// RFC 4253 §6.6.
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// The key, without a comment.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// `SHA256:…`, as `ssh-keygen -l` shows it.
    pub fn fingerprint(&self) -> String {
        self.public.fingerprint(HashAlg::Sha256).to_string()
    }

    /// Its kind, `ssh-ed25519` and its like.
    pub fn name(&self) -> &'static str {
        self.kind.name
    }

    /// The kind of its certificates.
    pub(super) fn certificate_type(&self) -> &'static str {
        self.kind.certificate
    }

    /// The blob without the name in front.
    pub(super) fn fields(&self) -> &[u8] {
        split_name(&self.blob).map_or(&[], |(_, fields)| fields)
    }
}

/// A sentence of its own for what people do send by mistake.
fn refuse_by_name(name: &str) -> Result<(), KeyError> {
    match name {
        _ if name.contains("-cert-v") => Err(KeyError::Certificate),
        "ssh-dss" => Err(KeyError::Kind(name.into())),
        _ => Ok(()),
    }
}

fn split_name(blob: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = blob.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

/// RFC 8032 §5.1.3: a canonical encoding of a point on the curve; and not one of small order, for
/// which a signature fits every message.
fn edwards(key: &Ed25519PublicKey) -> Result<(), KeyError> {
    let [low, middle @ .., high] = &key.0;
    let beyond_p = *low >= 0xed && middle.iter().all(|byte| *byte == 0xff) && high & 0x7f == 0x7f;
    let point = ed25519_dalek::VerifyingKey::from_bytes(&key.0).map_err(|_| KeyError::Point)?;
    if beyond_p || point.is_weak() {
        return Err(KeyError::Point);
    }
    Ok(())
}

fn ecdsa(key: &EcdsaPublicKey) -> Result<&'static Kind, KeyError> {
    let (algorithm, kind) = match key {
        EcdsaPublicKey::NistP256(_) => (&ECDSA_P256_SHA256_FIXED, &P256),
        EcdsaPublicKey::NistP384(_) => (&ECDSA_P384_SHA384_FIXED, &P384),
        EcdsaPublicKey::NistP521(_) => (&ECDSA_P521_SHA512_FIXED, &P521),
    };
    on_curve(algorithm, key.as_sec1_bytes()).map(|()| kind)
}

/// RFC 5656 §3.1: the point is sent uncompressed (OpenSSH reads no other), and lies on the curve.
fn on_curve(algorithm: &'static EcdsaVerificationAlgorithm, point: &[u8]) -> Result<(), KeyError> {
    if point.first() != Some(&0x04) {
        return Err(KeyError::Point);
    }
    ParsedPublicKey::new(algorithm, point)
        .map(|_| ())
        .map_err(|_| KeyError::Point)
}

fn rsa(key: &RsaPublicKey) -> Result<(), KeyError> {
    let modulus = key.n.as_positive_bytes().ok_or(KeyError::Unreadable)?;
    let leading = modulus.first().map_or(0, |byte| byte.leading_zeros());
    let bits = modulus
        .len()
        .saturating_mul(8)
        .saturating_sub(usize::try_from(leading).unwrap_or_default());
    if !(3072..=8192).contains(&bits) {
        return Err(KeyError::RsaBits(bits));
    }
    if key.e.as_positive_bytes() != Some(&[0x01, 0x00, 0x01]) {
        return Err(KeyError::RsaExponent);
    }
    small_factor(modulus).map_or(Ok(()), |factor| Err(KeyError::RsaFactor(factor)))
}

/// NIST SP 800-89 §5.3.3: no factor below 752. Honest keys have none below 2^1500.
fn small_factor(modulus: &[u8]) -> Option<u32> {
    let prime = |n: &u32| {
        (2..*n)
            .take_while(|d| d * d <= *n)
            .all(|d| !n.is_multiple_of(d))
    };
    (2..752u32).filter(prime).find(|&factor| {
        let remainder = modulus.chunks(4).fold(0u64, |rest, chunk| {
            let digits = chunk
                .iter()
                .fold(rest, |n, byte| (n << 8) | u64::from(*byte));
            digits % u64::from(factor)
        });
        remainder == 0
    })
}

fn application(application: &str) -> Result<(), KeyError> {
    if application.starts_with("ssh:") && application.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(())
    } else {
        Err(KeyError::Application(application.into()))
    }
}

macro_rules! kinds {
    ($($constant:ident = $name:literal / $certificate:literal),+ $(,)?) => {$(
        static $constant: Kind = Kind {
            name: $name,
            certificate: $certificate,
        };
    )+};
}

kinds! {
    ED25519 = "ssh-ed25519" / "ssh-ed25519-cert-v01@openssh.com",
    P256 = "ecdsa-sha2-nistp256" / "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    P384 = "ecdsa-sha2-nistp384" / "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    P521 = "ecdsa-sha2-nistp521" / "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    RSA = "ssh-rsa" / "ssh-rsa-cert-v01@openssh.com",
    SK_ED25519 = "sk-ssh-ed25519@openssh.com" / "sk-ssh-ed25519-cert-v01@openssh.com",
    SK_P256 = "sk-ecdsa-sha2-nistp256@openssh.com" / "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
}

#[cfg(test)]
pub(crate) mod tests;
