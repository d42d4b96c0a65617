//! The keys of the CA, one job each: a [`Recorded`] comes in, an
//! [`Issued`] goes out, and only this one can be sent to anybody (invariant 1). Signatures are
//! made by aws-lc.
//!
//! Which keys are active, the key set says; where they lie in the folder, their public halves. So a
//! purpose can have several keys in it: one that signs, the next one, retired ones. The active user CA
//! is unlocked at the start, host CA and bundle right behind it; of every active key the public half is
//! compared at the start, so that what we publish is what we sign with (A41).

use std::path::PathBuf;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jit_ssh_api::discovery::Profile;
use jit_ssh_api::key_set::{KeySet, Purpose};
use ssh_key::{Algorithm, EcdsaCurve, HashAlg, PrivateKey, PublicKey};

use crate::certificate::check::{self, CheckError};
use crate::certificate::{
    AcceptedKey, CaPublicKey, CertificateError, CertificateToSign, Host, Kind, User,
};
use crate::ledger::Recorded;
use crate::secret::Secret;

pub mod file;
pub mod folder;
pub mod key_pair;
pub mod key_set;
pub mod verify;

pub use file::FileError;
pub use folder::KeyFolder;
pub use key_pair::{KeyKind, KeyPair, PairError};

/// The keys that a key set calls active, as they lie in the folder: still locked.
#[derive(Debug)]
pub struct LockedKeyring {
    identity: PublicKey,
    user_ca: LockedKey,
    host_ca: LockedKey,
    bundle: LockedKey,
    ledger: LockedKey,
}

#[derive(Debug)]
struct LockedKey {
    file: PathBuf,
    private: PrivateKey,
}

/// The CA's keys as the serving process holds them.
#[derive(Debug)]
pub struct Keyring {
    identity: PublicKey,
    user_ca: CaKey<User>,
    host_ca: Held<CaKey<Host>>,
    bundle: Held<KeyPair>,
}

/// A key that signs no user certificates: unlocked by who comes first.
type Held<T> = LazyLock<Result<T, SignerError>, Box<dyn FnOnce() -> Result<T, SignerError> + Send>>;

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
    #[error("{}: {cause}", file.display())]
    Pair {
        /// Which key.
        file: PathBuf,
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
        one: String,
        /// The same key.
        other: String,
    },
    /// The operator: a key of a kind that the CA's profile does not have.
    #[error("the key {name} is {kind}; with profile = \"{profile}\" it must be {fit}")]
    Profile {
        /// Which key.
        name: String,
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
    #[error("the user CA did not sign: {0}")]
    Signing(PairError),
}

impl LockedKeyring {
    /// Finds the active keys of a set and compares every private file with its `.pub` (A41).
    pub fn read(folder: &KeyFolder, set: &KeySet) -> Result<Self, SignerError> {
        let key = |purpose| {
            let (file, private) = folder.active(set, purpose)?;
            Ok::<_, SignerError>(LockedKey { file, private })
        };
        let locked = LockedKeyring {
            identity: folder.identity().clone(),
            user_ca: key(Purpose::UserCa)?,
            host_ca: key(Purpose::HostCa)?,
            bundle: key(Purpose::Bundle)?,
            ledger: key(Purpose::Ledger)?,
        };
        locked.one_job_each()?;
        Ok(locked)
    }

    /// Whether all keys are of kinds that the profile has: what discovery says of this CA is true.
    pub fn fits(&self, profile: Profile) -> Result<(), SignerError> {
        self.unfit(profile).into_iter().next().map_or(Ok(()), Err)
    }

    /// Of every key that is not, what it is.
    pub fn unfit(&self, profile: Profile) -> Vec<SignerError> {
        let judged = self.all().into_iter();
        judged
            .filter_map(|(name, key)| fits(&name, key, profile).err())
            .collect()
    }

    /// Unlocks the user CA; the others behind the start ([`Keyring::complete`]), since each takes 9 ms, and
    /// a quarter of a second where somebody chose the passphrase.
    pub fn unlock(self, passphrase: Option<&Secret<String>>) -> Result<Keyring, SignerError> {
        let user_ca = CaKey::new(self.user_ca.unlock(passphrase)?)?;
        let (host_ca, bundle) = (self.host_ca, self.bundle);
        Ok(Keyring {
            identity: self.identity,
            user_ca,
            host_ca: held(passphrase, |passphrase| {
                CaKey::new(host_ca.unlock(passphrase)?)
            }),
            bundle: held(passphrase, |passphrase| bundle.unlock(passphrase)),
        })
    }

    /// Every key with the name of its file.
    fn all(&self) -> Vec<(String, &PublicKey)> {
        let mut all = vec![(IDENTITY.to_owned(), &self.identity)];
        all.extend(
            [&self.user_ca, &self.host_ca, &self.bundle, &self.ledger].map(|key| {
                let name = key.file.file_name().unwrap_or_default();
                (
                    name.to_string_lossy().into_owned(),
                    key.private.public_key(),
                )
            }),
        );
        all
    }

    fn one_job_each(&self) -> Result<(), SignerError> {
        let all = self.all();
        for (index, (one, key)) in all.iter().enumerate() {
            let mut later = all.iter().skip(index.saturating_add(1));
            if let Some((other, _)) = later.find(|(_, other)| other.key_data() == key.key_data()) {
                return Err(SignerError::Twice {
                    one: one.clone(),
                    other: other.clone(),
                });
            }
        }
        Ok(())
    }
}

impl LockedKey {
    fn unlock(self, passphrase: Option<&Secret<String>>) -> Result<KeyPair, SignerError> {
        let private = file::unlocked(self.private, &self.file, passphrase)?;
        KeyPair::from_private(&private).map_err(|cause| SignerError::Pair {
            file: self.file,
            cause,
        })
    }
}

/// What is unlocked when somebody needs it, or by [`Keyring::complete`].
fn held<T>(
    passphrase: Option<&Secret<String>>,
    unlock: impl FnOnce(Option<&Secret<String>>) -> Result<T, SignerError> + Send + 'static,
) -> Held<T> {
    let passphrase = passphrase.cloned();
    LazyLock::new(Box::new(move || unlock(passphrase.as_ref())))
}

impl Keyring {
    /// The user CA's public key, which goes into certificates.
    pub fn user_ca(&self) -> &CaPublicKey {
        &self.user_ca.public
    }

    /// Signs host certificates.
    pub fn host_ca(&self) -> Result<&CaKey<Host>, &SignerError> {
        self.host_ca.as_ref()
    }

    /// Signs what hosts are to trust.
    pub fn bundle(&self) -> Result<&KeyPair, &SignerError> {
        self.bundle.as_ref()
    }

    /// Unlocks what is not yet, before anybody needs it; says why a key is not.
    pub fn complete(&self) -> Result<(), &SignerError> {
        self.host_ca()?;
        self.bundle()?;
        Ok(())
    }

    /// The identity key: what clients and hosts pin.
    pub fn identity(&self) -> &PublicKey {
        &self.identity
    }

    /// `SHA256:…` of the identity key.
    pub fn fingerprint(&self) -> String {
        self.identity.fingerprint(HashAlg::Sha256).to_string()
    }

    /// Signs a person's certificate with the user CA.
    pub fn sign(&self, recorded: Recorded) -> Result<Issued, SignerError> {
        self.user_ca.sign(recorded)
    }
}

impl<K: Kind> CaKey<K> {
    /// The key as that of this kind's CA.
    pub fn new(pair: KeyPair) -> Result<Self, SignerError> {
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

/// Whether the key of that file is of a kind that the profile has. The identity key signs rarely and
/// elsewhere, so it may be any that every client verifies alike, RSA excepted; the others sign here.
pub fn fits(name: &str, key: &PublicKey, profile: Profile) -> Result<(), SignerError> {
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
        name: name.to_owned(),
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

/// What `init` calls the file of a key in the folder `keys`; its public half is beside it as `.pub`.
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
