//! The folder `keys`. A key set comes in, of each purpose the active key's file goes out. Files are found
//! by what their `.pub` says, so that a purpose can have several; what no key set names is not touched.

use std::path::{Path, PathBuf};

use jit_ssh_api::key_set::{KeySet, Purpose, State};
use ssh_key::{PrivateKey, PublicKey};

use super::file::{self, FileError};
use super::{IDENTITY, SignerError, file_name, key_set};

/// The public halves in a folder that nobody else can write to.
#[derive(Debug)]
pub struct KeyFolder {
    path: PathBuf,
    identity: PublicKey,
    /// By the name of the private half.
    found: Vec<(String, PublicKey)>,
}

impl KeyFolder {
    /// Reads every `NAME.pub`. One that cannot be read is not found: whether that matters, the key set
    /// decides.
    pub fn read(path: &Path) -> Result<Self, SignerError> {
        file::check_folder(path)?;
        let identity = file::read_public(path, IDENTITY)?;
        let listed = std::fs::read_dir(path).map_err(|cause| FileError::Io {
            path: path.into(),
            cause,
        })?;
        let names = listed.flatten().filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Some(name.strip_suffix(".pub")?.to_owned())
        });
        let found = names.filter_map(|name| {
            let key = file::read_public(path, &name).ok()?;
            Some((name, key))
        });
        Ok(KeyFolder {
            found: found.collect(),
            path: path.into(),
            identity,
        })
    }

    /// The identity key.
    pub fn identity(&self) -> &PublicKey {
        &self.identity
    }

    /// The file of the one key that a set calls active for this, and the key, locked.
    pub(super) fn active(
        &self,
        set: &KeySet,
        purpose: Purpose,
    ) -> Result<(PathBuf, PrivateKey), SignerError> {
        let (wanted, usual) = (active(set, purpose)?, file_name(purpose));
        let fit = self
            .found
            .iter()
            .filter(|(_, key)| key.key_data() == wanted.key_data());
        let Some((name, _)) = fit.max_by_key(|(name, _)| name == usual) else {
            // What is wrong with the one that `init` made says more than that there is none.
            file::read(&self.path, usual)?;
            let (path, line) = (self.path.display(), key_set::line(&wanted));
            return Err(SignerError::KeySet(format!(
                "no file in {path} is its active key for `{usual}`: {line}"
            )));
        };
        Ok((self.path.join(name), file::read(&self.path, name)?))
    }
}

fn active(set: &KeySet, purpose: Purpose) -> Result<PublicKey, SignerError> {
    let mut active = set
        .keys
        .iter()
        .filter(|key| key.purpose == purpose && key.state == State::Active);
    if let (Some(key), None) = (active.next(), active.next())
        && let Ok(key) = key.public_key.parse()
    {
        return Ok(key);
    }
    Err(SignerError::KeySet(format!(
        "it has not one active key for `{}`",
        file_name(purpose)
    )))
}
