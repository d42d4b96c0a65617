//! What an enrolled host remembers, in a folder for root alone:
//!
//! ```text
//! host.json    who the host is, the pin of its CA, its certificates, the newest bundle that it has seen
//! bundle.json  the last bundle that was believed, as it came: from it everything is put back
//! sync.json    how it went lately, for `status`
//! reload       is there while sshd has not yet read what was written
//! lock         is held by whoever changes something
//! ```
//!
//! The newest position is written before anything of that bundle takes effect: dying in between, the
//! host refuses what is older all the same (A54).

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use jit_ssh_api::bundle::{Position, SignedBundle};
use jit_ssh_connect::KnownCa;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::files::{self, File, FilesError};
use crate::host::Place;

/// Who the host is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// Its identifier at the CA.
    pub(crate) host: String,
    /// The CA, with the pin.
    pub(crate) ca: KnownCa,
    /// Its names.
    pub(crate) names: Vec<String>,
    /// Its certificates; the key of the first one signs every request.
    pub(crate) certificates: Vec<Certificate>,
    /// When these were made, seconds since 1970-01-01 UTC.
    pub(crate) renewed: u64,
    /// The newest bundle that it has seen; no older one is taken.
    pub(crate) seen: Position,
    /// The unit file that `enroll` wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unit: Option<PathBuf>,
}

/// A certificate of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Certificate {
    /// The private key's file.
    pub(crate) key: PathBuf,
    /// OpenSSH format, one line.
    pub(crate) line: String,
}

/// How it went lately.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Heard {
    /// When the CA answered last, seconds since 1970-01-01 UTC.
    pub(crate) contact: Option<u64>,
    /// The bundle that is in force.
    pub(crate) in_force: Option<Position>,
    /// What does not work, and since when.
    pub(crate) problem: Option<Problem>,
    /// Accounts that the CA opens and this host does not, with the reason.
    pub(crate) left_out: Vec<(String, String)>,
    /// How the host's clock differs from the CA's, in words.
    pub(crate) clock: Option<String>,
    /// How many files were put back.
    pub(crate) mended: u64,
    /// The last of them.
    pub(crate) last_mended: Option<Mended>,
}

/// What does not work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Problem {
    /// Since when, seconds since 1970-01-01 UTC.
    pub(crate) since: u64,
    /// What.
    pub(crate) what: String,
}

/// A file that was put back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mended {
    /// Which.
    pub(crate) path: PathBuf,
    /// When, seconds since 1970-01-01 UTC.
    pub(crate) at: u64,
}

/// Why something cannot be remembered, or be read again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    /// The file system.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// What is there is not what was written.
    #[error("{} cannot be read: {cause}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
}

/// Nobody else changes anything while this is there.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: fs::File,
}

/// Who the host is; `None` where it is not enrolled.
pub(crate) fn read(place: &Place) -> Result<Option<State>, StateError> {
    read_json(&path(place, HOST))
}

/// Remembers who the host is.
pub(crate) fn write(place: &Place, state: &State) -> Result<(), StateError> {
    write_json(place, HOST, state)
}

/// The last bundle that was believed. What is damaged is as good as gone: the CA has another.
pub(crate) fn bundle(place: &Place) -> Option<SignedBundle> {
    read_json(&path(place, BUNDLE)).ok().flatten()
}

/// Keeps a bundle that was believed.
pub(crate) fn keep_bundle(place: &Place, bundle: &SignedBundle) -> Result<(), StateError> {
    write_json(place, BUNDLE, bundle)
}

/// How it went lately.
pub(crate) fn heard(place: &Place) -> Heard {
    read_json(&path(place, SYNC))
        .ok()
        .flatten()
        .unwrap_or_default()
}

/// Says how it goes.
pub(crate) fn hear(place: &Place, heard: &Heard) -> Result<(), StateError> {
    write_json(place, SYNC, heard)
}

/// Whether sshd has to be told to read what was written.
pub(crate) fn reload_is_due(place: &Place) -> bool {
    path(place, RELOAD).exists()
}

/// Remembers whether sshd has to be told: before the write, so that whoever dies after it is followed by
/// one who does tell.
pub(crate) fn reload_due(place: &Place, due: bool) -> Result<(), StateError> {
    if due {
        make_folder(place)?;
    }
    let file = due.then(|| File::private(""));
    Ok(files::put_down_one(path(place, RELOAD), file)?)
}

/// Forgets who the host is. The rest goes with [`forget_the_rest`].
pub(crate) fn forget(place: &Place) -> Result<(), StateError> {
    Ok(files::put_down_one(path(place, HOST), None)?)
}

/// Removes what is left in the folder, and the folder.
pub(crate) fn forget_the_rest(place: &Place) -> Result<(), StateError> {
    for name in [BUNDLE, SYNC, RELOAD, LOCK] {
        files::put_down_one(path(place, name), None)?;
    }
    // Only where nothing else lies in it.
    let _ = fs::remove_dir(&place.state);
    Ok(())
}

impl Lock {
    /// Waits until nobody else changes anything.
    pub(crate) fn take(place: &Place) -> Result<Self, StateError> {
        make_folder(place)?;
        let path = path(place, LOCK);
        let error = |source: io::Error| FilesError::Io {
            action: "lock",
            path: path.clone(),
            source,
        };
        let file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path)
            .map_err(error)?;
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)
            .map_err(|source| error(source.into()))?;
        Ok(Lock { _file: file })
    }
}

fn path(place: &Place, name: &str) -> PathBuf {
    place.state.join(name)
}

fn make_folder(place: &Place) -> Result<(), StateError> {
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&place.state);
    made.map_err(|source| {
        FilesError::Io {
            action: "make",
            path: place.state.clone(),
            source,
        }
        .into()
    })
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StateError> {
    let Some(file) = files::read(path)? else {
        return Ok(None);
    };
    serde_json::from_slice(&file.bytes)
        .map(Some)
        .map_err(|error| StateError::Damaged {
            path: path.to_owned(),
            cause: error.to_string(),
        })
}

fn write_json<T: Serialize>(place: &Place, name: &str, value: &T) -> Result<(), StateError> {
    make_folder(place)?;
    let path = path(place, name);
    let mut text = serde_json::to_vec_pretty(value).map_err(|error| StateError::Damaged {
        path: path.clone(),
        cause: error.to_string(),
    })?;
    text.push(b'\n');
    Ok(files::put_down_one(path, Some(File::private(text)))?)
}

const HOST: &str = "host.json";
const BUNDLE: &str = "bundle.json";
const SYNC: &str = "sync.json";
const RELOAD: &str = "reload";
const LOCK: &str = "lock";
