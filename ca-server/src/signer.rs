//! The keys of the CA, one job each: a [`Recorded`] comes in, an
//! [`Issued`] goes out, and only this one can be sent to anybody (invariant 1). Signatures are
//! made by aws-lc. The user CA is unlocked when the server starts, any other key only when it has
//! something to sign; of all of them the public halves are compared at the start, so that what we
//! publish is what we sign with (A41).

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jit_ssh_api::discovery::Profile;
use jit_ssh_api::key_set::{KeySet, Purpose, State};
use ssh_key::{Algorithm, EcdsaCurve, HashAlg, PublicKey};

use crate::certificate::check::{self, CheckError};
use crate::certificate::{
    AcceptedKey, CaPublicKey, CertificateError, CertificateToSign, Kind, User,
};
use crate::ledger::Recorded;
use crate::secret::Secret;

pub mod file;
pub mod key_pair;
pub mod key_set;
pub mod verify;

pub use file::FileError;
pub use key_pair::{KeyKind, KeyPair, PairError};

/// The CA's keys as the serving process holds them.
#[derive(Debug)]
pub struct Keyring {
    identity: PublicKey,
    user_ca: CaKey<User>,
    host_ca: PublicKey,
    bundle: PublicKey,
    ledger: PublicKey,
}

/// The unlocked key of a CA, for one kind of certificate: what was recorded for the other kind does not
/// come to it (A37).
#[derive(Debug)]
pub struct CaKey<K: Kind> {
    pair: KeyPair,
    public: CaPublicKey<K>,
}

/// A signed certificate. Only [`CaKey::sign`] makes one, only of what is recorded; there is no
/// other way to a line that a client could use.
#[derive(Debug)]
pub struct Issued<K: Kind = User> {
    line: String,
    certificate: CertificateToSign<K>,
}

/// Why nothing is signed.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// The operator: a key's file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The operator: a key that cannot sign.
    #[error("{name}: {cause}")]
    Pair {
        /// Which key.
        name: &'static str,
        /// Why.
        cause: PairError,
    },
    /// The operator: a user CA of a kind that we do not sign with.
    #[error(transparent)]
    Ca(#[from] CertificateError),
    /// The operator: one key with two jobs (A37).
    #[error("the keys {one} and {other} are the same key; each must have one job")]
    Twice {
        /// A key.
        one: &'static str,
        /// The same key.
        other: &'static str,
    },
    /// The operator: a key of a kind that the CA's profile does not have.
    #[error("the key {name} is {kind}; with profile = \"{profile}\" it must be {fit}")]
    Profile {
        /// Which key.
        name: &'static str,
        /// What it is.
        kind: String,
        /// The profile, as the configuration writes it.
        profile: &'static str,
        /// What it must be.
        fit: &'static str,
    },
    /// The operator: the key set says something else than the key files.
    #[error("the key set does not fit the folder of keys: {0}")]
    KeySet(String),
    /// Us: the bytes break a rule; nothing was signed.
    #[error("the last look before signing refused the certificate: {0}")]
    LastLook(#[from] CheckError),
    /// Us: the key does not sign.
    #[error("the CA's key did not sign: {0}")]
    Signing(PairError),
}

impl Keyring {
    /// Reads the folder `keys`, unlocks the user CA, and compares every private file with its
    /// `.pub` (A41).
    pub fn open(folder: &Path, passphrase: Option<&Secret<String>>) -> Result<Self, SignerError> {
        file::check_folder(folder)?;
        let identity = file::read_public(folder, IDENTITY)?;
        let user_ca = CaKey::unlock(folder, passphrase)?;
        let public = |purpose| -> Result<PublicKey, FileError> {
            Ok(file::read(folder, file_name(purpose))?.public_key().clone())
        };
        let keyring = Keyring {
            identity,
            user_ca,
            host_ca: public(Purpose::HostCa)?,
            bundle: public(Purpose::Bundle)?,
            ledger: public(Purpose::Ledger)?,
        };
        keyring.one_job_each()?;
        Ok(keyring)
    }

    /// Unlocks one key of the folder, for the one thing that it signs.
    pub fn unlock(
        folder: &Path,
        purpose: Purpose,
        passphrase: Option<&Secret<String>>,
    ) -> Result<KeyPair, SignerError> {
        unlock(folder, file_name(purpose), passphrase)
    }

    /// The user CA's public key, which goes into certificates.
    pub fn user_ca(&self) -> &CaPublicKey {
        &self.user_ca.public
    }

    /// The identity key: what clients and hosts pin.
    pub fn identity(&self) -> &PublicKey {
        &self.identity
    }

    /// `SHA256:…` of the identity key.
    pub fn fingerprint(&self) -> String {
        self.identity.fingerprint(HashAlg::Sha256).to_string()
    }

    /// The public key of one purpose.
    pub fn public_key(&self, purpose: Purpose) -> &PublicKey {
        match purpose {
            Purpose::UserCa => self.user_ca.public.public_key(),
            Purpose::HostCa => &self.host_ca,
            Purpose::Bundle => &self.bundle,
            Purpose::Ledger => &self.ledger,
        }
    }

    /// Whether all keys are of kinds that the profile has: what discovery says of this CA is true.
    pub fn fits(&self, profile: Profile) -> Result<(), SignerError> {
        self.all()
            .into_iter()
            .try_for_each(|(name, key)| fits(name, key, profile))
    }

    /// Whether the verified key set names exactly these keys as active (A41).
    pub fn agrees_with(&self, set: &KeySet) -> Result<(), SignerError> {
        for purpose in PURPOSES {
            let ours = key_set::line(self.public_key(purpose));
            let mut active = set
                .keys
                .iter()
                .filter(|key| key.purpose == purpose && key.state == State::Active);
            let (one, other) = (active.next(), active.next());
            if other.is_some() || one.is_none_or(|key| key.public_key != ours) {
                return Err(SignerError::KeySet(format!(
                    "its active key for `{}` is not the one of keys/{}.pub",
                    file_name(purpose),
                    file_name(purpose)
                )));
            }
        }
        Ok(())
    }

    /// Signs a person's certificate with the user CA.
    pub fn sign(&self, recorded: Recorded) -> Result<Issued, SignerError> {
        self.user_ca.sign(recorded)
    }

    /// Every key with the name of its file.
    fn all(&self) -> Vec<(&'static str, &PublicKey)> {
        let mut all = vec![(IDENTITY, &self.identity)];
        all.extend(PURPOSES.map(|purpose| (file_name(purpose), self.public_key(purpose))));
        all
    }

    fn one_job_each(&self) -> Result<(), SignerError> {
        let all = self.all();
        for (index, (one, key)) in all.iter().enumerate() {
            let later = all.iter().skip(index.saturating_add(1));
            if let Some((other, _)) = later
                .into_iter()
                .find(|(_, other)| other.key_data() == key.key_data())
            {
                return Err(SignerError::Twice { one, other });
            }
        }
        Ok(())
    }
}

impl<K: Kind> CaKey<K> {
    /// Unlocks the key of that kind's CA in the folder `keys`.
    pub fn unlock(folder: &Path, passphrase: Option<&Secret<String>>) -> Result<Self, SignerError> {
        let pair = Keyring::unlock(folder, K::CA, passphrase)?;
        let public = CaPublicKey::new(pair.public_key())?;
        Ok(CaKey { pair, public })
    }

    /// Its public key, which goes into certificates.
    pub fn public_key(&self) -> &CaPublicKey<K> {
        &self.public
    }

    /// Looks at the recorded bytes once more, signs exactly them, and puts the line together.
    pub fn sign(&self, recorded: Recorded<K>) -> Result<Issued<K>, SignerError> {
        let certificate = recorded.into_certificate();
        let bytes = certificate.to_be_signed();
        check::last_look(bytes, certificate.terms(), self.public.blob())?;
        let signature = self.pair.sign(bytes).map_err(SignerError::Signing)?;
        let mut whole = Vec::with_capacity(
            bytes
                .len()
                .saturating_add(signature.len())
                .saturating_add(4),
        );
        whole.extend_from_slice(bytes);
        crate::certificate::string(&mut whole, &signature)?;
        let kind = certificate.certificate_type();
        let mut line = String::with_capacity(whole.len().saturating_mul(2));
        line.push_str(kind);
        line.push(' ');
        STANDARD.encode_string(&whole, &mut line);
        line.push(' ');
        line.push_str(certificate.key_id());
        Ok(Issued { line, certificate })
    }
}

impl<K: Kind> Issued<K> {
    /// `TYPE BASE64 KEYID`: one line, as `ssh` reads it.
    pub fn line(&self) -> &str {
        &self.line
    }

    /// What was signed.
    pub fn certificate(&self) -> &CertificateToSign<K> {
        &self.certificate
    }
}

fn unlock(
    folder: &Path,
    name: &'static str,
    passphrase: Option<&Secret<String>>,
) -> Result<KeyPair, SignerError> {
    let private = file::unlock(folder, name, passphrase)?;
    KeyPair::from_private(&private).map_err(|cause| SignerError::Pair { name, cause })
}

/// Whether the key of that file is of a kind that the profile has. The identity key signs rarely and
/// elsewhere, so it may be any that every client verifies alike, RSA excepted; the others sign here.
pub fn fits(name: &'static str, key: &PublicKey, profile: Profile) -> Result<(), SignerError> {
    use Algorithm::{Ecdsa, Ed25519, SkEcdsaSha2NistP256, SkEd25519};
    let identity = name == IDENTITY;
    let p256 = Ecdsa {
        curve: EcdsaCurve::NistP256,
    };
    let kind = key.algorithm();
    let known = match &kind {
        Ed25519 => profile == Profile::Standard,
        SkEd25519 => identity && profile == Profile::Standard,
        Ecdsa { .. } => identity || kind == p256,
        SkEcdsaSha2NistP256 => identity,
        _ => false,
    };
    // The point and its like are looked at as in every other key.
    if known && AcceptedKey::new(key).is_ok() {
        return Ok(());
    }
    Err(SignerError::Profile {
        name,
        kind: kind.to_string(),
        profile: match profile {
            Profile::Standard => "standard",
            Profile::Fips => "fips",
        },
        fit: match (profile, identity) {
            (Profile::Standard, true) => "Ed25519 or ECDSA, in a file or in a security key for SSH",
            (Profile::Standard, false) => "Ed25519 or ECDSA P-256",
            (Profile::Fips, true) => "ECDSA, in a file or in a security key for SSH",
            (Profile::Fips, false) => "ECDSA P-256",
        },
    })
}

/// The file of a key in the folder `keys`; its public half is beside it as `.pub`.
pub fn file_name(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::UserCa => "user-ca",
        Purpose::HostCa => "host-ca",
        Purpose::Bundle => "bundle",
        Purpose::Ledger => "ledger",
    }
}

/// The identity key's file.
pub const IDENTITY: &str = "identity";

/// All purposes, in the order of the key set.
pub const PURPOSES: [Purpose; 4] = [
    Purpose::UserCa,
    Purpose::HostCa,
    Purpose::Bundle,
    Purpose::Ledger,
];

#[cfg(test)]
mod tests;
