//! The keys, what the identity key says of them, and what servers are to trust. Valid together, so a
//! change of keys swaps all of it at once: who took it signs with the key that it names.

use jit_ssh_api::discovery::Profile;
use jit_ssh_api::hex;
use jit_ssh_api::key_set::{KeySet, Purpose};
use sha2::{Digest as _, Sha256};

use crate::secret::Secret;
use crate::signer::key_set::Loaded;
use crate::signer::{KeyFolder, Keyring, LockedKeyring, SignerError};

/// One key set and the keys that it calls active.
#[derive(Debug)]
pub(crate) struct Trusted {
    pub(crate) keyring: Keyring,
    pub(crate) key_set: Loaded,
    pub(crate) trust: Trust,
}

/// `GET /v1/trust/user-ca`, made once.
#[derive(Debug)]
pub(crate) struct Trust {
    pub(crate) text: String,
    pub(crate) etag: String,
}

impl Trusted {
    /// The keys of a verified set.
    pub(crate) fn open(
        folder: &KeyFolder,
        key_set: Loaded,
        profile: Profile,
        passphrase: Option<&Secret<String>>,
    ) -> Result<Self, SignerError> {
        Ok(Trusted {
            keyring: unlock(folder, &key_set.set, profile, passphrase)?,
            trust: trust(&key_set.set),
            key_set,
        })
    }
}

/// The active keys of a set, if they are of the profile.
pub(super) fn unlock(
    folder: &KeyFolder,
    set: &KeySet,
    profile: Profile,
    passphrase: Option<&Secret<String>>,
) -> Result<Keyring, SignerError> {
    let locked = LockedKeyring::read(folder, set)?;
    locked.fits(profile)?;
    locked.unlock(passphrase)
}

/// The user CA keys that servers are to trust, and the text's own name.
fn trust(set: &KeySet) -> Trust {
    let mut text = String::new();
    for key in set.trusted(Purpose::UserCa) {
        text.push_str(&key.public_key);
        text.push('\n');
    }
    let etag = format!("\"{}\"", hex(Sha256::digest(&text)));
    Trust { text, etag }
}
