//! The key set: what the identity key vouches for. The keys' public halves come in, a
//! [`SignedKeySet`] goes out, in `DATA/key-set.json`.
//!
//! Where the identity key is somewhere else (offline, FIDO), the document waits in
//! `DATA/key-set.json.tosign` for `ssh-keygen -Y sign`, which leaves `….tosign.sig` beside it;
//! [`load`] takes it from there. Nothing of a set is believed before its signature was checked
//! against `keys/identity.pub`.

use std::path::{Path, PathBuf};

use jit_ssh_api::key_set::{self, Key, KeySet, NAMESPACE, Purpose, SignedKeySet, State};
use ssh_key::{HashAlg, LineEnding, PublicKey};

use super::file::{self, FileError};
use super::key_pair::{KeyPair, PairError};
use crate::time::Timestamp;

/// What a first key set is made of.
#[derive(Clone, Debug)]
pub struct FirstKeySet<'a> {
    /// The CA's name.
    pub name: &'a str,
    /// The epoch of its data.
    pub epoch: u64,
    /// Now.
    pub created: Timestamp,
    /// A key for each purpose.
    pub keys: &'a [(Purpose, PublicKey)],
    /// TLS pins; empty where TLS verifies publicly.
    pub tls_pins: Vec<String>,
}

/// A verified key set, with the signed text that others verify again.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// As it travels.
    pub signed: SignedKeySet,
    /// What it says.
    pub set: KeySet,
}

/// Why there is no key set. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum KeySetError {
    /// The identity key is elsewhere and has not signed yet.
    #[error("the key set waits for the identity key's signature: {command}")]
    Unsigned {
        /// What to type, where that key is.
        command: String,
    },
    /// There is none at all.
    #[error("{} is missing", .0.display())]
    Missing(PathBuf),
    /// Not believed.
    #[error("{}: {cause}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: key_set::KeySetError,
    },
    /// It contradicts itself.
    #[error("{}: {fault}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: String,
    },
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The identity key did not sign.
    #[error("identity: {0}")]
    Signing(#[from] PairError),
}

/// The first set of a CA: every key active.
pub fn first(parts: FirstKeySet<'_>) -> KeySet {
    let keys = parts.keys.iter().map(|(purpose, public)| Key {
        purpose: *purpose,
        state: State::Active,
        public_key: line(public),
    });
    KeySet {
        name: parts.name.to_owned(),
        epoch: parts.epoch,
        number: 1,
        created: parts.created.seconds(),
        keys: keys.collect(),
        tls_pins: parts.tls_pins,
        emergency: Vec::new(),
    }
}

/// The set that follows: the next number, or number 1 of a later epoch (after a restore).
pub fn next(previous: &KeySet, epoch: u64, created: Timestamp) -> KeySet {
    let number = if epoch > previous.epoch {
        1
    } else {
        previous.number.saturating_add(1)
    };
    KeySet {
        epoch: epoch.max(previous.epoch),
        number,
        created: created.seconds(),
        ..previous.clone()
    }
}

/// The exact text that is signed: indented, so that who signs it offline can read it.
pub fn document(set: &KeySet) -> String {
    // Strings and numbers only: nothing that JSON could not hold.
    let text = serde_json::to_string_pretty(set).unwrap_or_default();
    format!("{text}\n")
}

/// Signs a set.
pub fn sign(identity: &KeyPair, set: &KeySet) -> Result<SignedKeySet, PairError> {
    let document = document(set);
    let signature = identity
        .sign_sshsig(NAMESPACE, document.as_bytes())?
        .to_pem(LineEnding::LF)
        .map_err(|_| PairError::Failed)?;
    Ok(SignedKeySet {
        document,
        signature,
        identity_key: line(identity.public_key()),
    })
}

/// Writes a signed set in place of the one before.
pub fn write(data: &Path, signed: &SignedKeySet) -> Result<(), KeySetError> {
    let text = serde_json::to_string_pretty(signed).unwrap_or_default();
    Ok(file::replace(
        &data.join(FILE),
        format!("{text}\n").as_bytes(),
        0o644,
    )?)
}

/// Puts a set where the identity key will sign it; returns what to type there.
pub fn write_to_sign(data: &Path, set: &KeySet) -> Result<String, KeySetError> {
    remove(&data.join(SIGNATURE))?;
    file::replace(&data.join(TO_SIGN), document(set).as_bytes(), 0o644)?;
    Ok(command(data))
}

/// The set that waits for a signature: to try out what the CA would do with it, never to be served.
pub fn to_sign(data: &Path) -> Result<KeySet, KeySetError> {
    let path = data.join(TO_SIGN);
    let Some(text) = read(&path)? else {
        return Err(KeySetError::Missing(path));
    };
    serde_json::from_str(&text).map_err(|error| KeySetError::Content {
        path,
        fault: format!("it cannot be read: {error}"),
    })
}

/// Reads and verifies the key set; takes over one that was signed elsewhere meanwhile.
pub fn load(data: &Path, identity: &PublicKey) -> Result<Loaded, KeySetError> {
    take_over(data, look(data, identity)?)
}

/// As [`load`], for a ledger in that epoch. After a restore the set of the epoch before still lies
/// there, which clients would refuse: the one beside it is [`KeySetError::Unsigned`].
pub fn load_in(
    data: &Path,
    identity: &PublicKey,
    epoch: Option<u64>,
) -> Result<Loaded, KeySetError> {
    take_over(data, in_epoch(data, look(data, identity)?, epoch)?)
}

/// What [`load_in`] would give, for who only looks: changes nothing.
pub fn look_in(
    data: &Path,
    identity: &PublicKey,
    epoch: Option<u64>,
) -> Result<Loaded, KeySetError> {
    Ok(in_epoch(data, look(data, identity)?, epoch)?.loaded)
}

/// A set and how it lies there.
struct Found {
    loaded: Loaded,
    lies: Lies,
}

enum Lies {
    /// In `key-set.json`.
    InPlace,
    /// Signed elsewhere: not in `key-set.json` yet.
    BesideItsDocument,
    /// In `key-set.json`; we died between [`write()`] and [`remove`], so the rest is still there.
    TakenOver,
}

fn look(data: &Path, identity: &PublicKey) -> Result<Found, KeySetError> {
    let current = match read(&data.join(FILE))? {
        Some(text) => Some(current(&data.join(FILE), &text, identity)?),
        None => None,
    };
    let waiting = read(&data.join(TO_SIGN))?;
    let signature = read(&data.join(SIGNATURE))?;
    let (loaded, lies) = match (current, waiting, signature) {
        (current, Some(document), Some(signature)) => {
            let signed = SignedKeySet {
                document,
                signature,
                identity_key: line(identity),
            };
            let waited = believe(&data.join(SIGNATURE), signed, identity)?;
            let age = |set: &KeySet| (set.epoch, set.number);
            match current {
                Some(current) if age(&current.set) >= age(&waited.set) => {
                    (current, Lies::TakenOver)
                }
                _ => (waited, Lies::BesideItsDocument),
            }
        }
        (Some(current), _, _) => (current, Lies::InPlace),
        (None, Some(_), None) => {
            return Err(KeySetError::Unsigned {
                command: command(data),
            });
        }
        (None, None, _) => return Err(KeySetError::Missing(data.join(FILE))),
    };
    Ok(Found { loaded, lies })
}

fn in_epoch(data: &Path, found: Found, epoch: Option<u64>) -> Result<Found, KeySetError> {
    let before = epoch.is_some_and(|epoch| found.loaded.set.epoch < epoch);
    if before && matches!(found.lies, Lies::InPlace) && data.join(TO_SIGN).exists() {
        return Err(KeySetError::Unsigned {
            command: command(data),
        });
    }
    Ok(found)
}

fn take_over(data: &Path, found: Found) -> Result<Loaded, KeySetError> {
    match found.lies {
        Lies::InPlace => {}
        Lies::BesideItsDocument => {
            write(data, &found.loaded.signed)?;
            clear_waiting(data)?;
        }
        Lies::TakenOver => clear_waiting(data)?,
    }
    Ok(found.loaded)
}

/// OpenSSH public key without a comment.
pub fn line(key: &PublicKey) -> String {
    PublicKey::from(key.key_data().clone())
        .to_openssh()
        .unwrap_or_default()
}

fn current(path: &Path, text: &str, identity: &PublicKey) -> Result<Loaded, KeySetError> {
    let signed = serde_json::from_str(text).map_err(|error| KeySetError::Content {
        path: path.into(),
        fault: format!("it cannot be read: {error}"),
    })?;
    believe(path, signed, identity)
}

fn believe(path: &Path, signed: SignedKeySet, identity: &PublicKey) -> Result<Loaded, KeySetError> {
    let pinned = identity.fingerprint(HashAlg::Sha256).to_string();
    let set = signed
        .verify(&pinned)
        .map_err(|cause| KeySetError::Refused {
            path: path.into(),
            cause,
        })?;
    consistent(&set, identity).map_err(|fault| KeySetError::Content {
        path: path.into(),
        fault,
    })?;
    Ok(Loaded { signed, set })
}

/// One job for each key (A37), and one active key for each job.
fn consistent(set: &KeySet, identity: &PublicKey) -> Result<(), String> {
    for purpose in super::PURPOSES {
        let active = |key: &&Key| key.purpose == purpose && key.state == State::Active;
        let count = set.keys.iter().filter(active).count();
        if count != 1 {
            let name = super::file_name(purpose);
            return Err(format!("it has {count} active keys for `{name}`, not one"));
        }
    }
    let mut seen = vec![identity.key_data().clone()];
    for key in &set.keys {
        let Ok(public) = key.public_key.parse::<PublicKey>() else {
            return Err(format!("{:?} is not a public key", key.public_key));
        };
        if seen.contains(public.key_data()) {
            return Err(format!("{} has more than one job", key.public_key));
        }
        seen.push(public.key_data().clone());
    }
    Ok(())
}

fn read(path: &Path) -> Result<Option<String>, FileError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(FileError::Io {
            path: path.into(),
            cause,
        }),
    }
}

fn clear_waiting(data: &Path) -> Result<(), FileError> {
    remove(&data.join(TO_SIGN))?;
    remove(&data.join(SIGNATURE))
}

fn remove(path: &Path) -> Result<(), FileError> {
    match std::fs::remove_file(path) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => Err(FileError::Io {
            path: path.into(),
            cause,
        }),
        _ => Ok(()),
    }
}

fn command(data: &Path) -> String {
    format!(
        "ssh-keygen -Y sign -n {NAMESPACE} -f IDENTITY_KEY {}",
        data.join(TO_SIGN).display()
    )
}

/// In the data folder.
pub const FILE: &str = "key-set.json";
const TO_SIGN: &str = "key-set.json.tosign";
const SIGNATURE: &str = "key-set.json.tosign.sig";

#[cfg(test)]
mod tests;
