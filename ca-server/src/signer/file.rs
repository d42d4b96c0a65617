//! Keys of the CA as files: `NAME` in OpenSSH format, locked with a passphrase, 0600, and `NAME.pub`
//! beside it. `ssh-keygen` reads and makes them as well.
//!
//! Files appear whole or not at all, are durable before anybody goes on, and are never overwritten.
//! A key that others can read, or could have replaced, is refused. The passphrase is stretched
//! (bcrypt) as far as it needs it: one that we made at random, not at all, so that the CA starts
//! fast (decision 0031).

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustix::fs::OFlags;
use ssh_key::{Cipher, Kdf, LineEnding, PrivateKey, PublicKey};

use super::key_pair::{self, KeyKind, PairError};
use crate::entropy::{self, Entropy};
use crate::secret::Secret;

/// What locks a private key.
#[derive(Clone, Copy, Debug)]
pub enum Lock<'a> {
    /// 32 random bytes, made by [`random_passphrase`]: no stretching helps or is needed.
    Random(&'a Secret<String>),
    /// Anything that a person may have chosen: stretched as `ssh-keygen` does.
    Chosen(&'a Secret<String>),
    /// Nothing: for tests, and for folders on a disk that something else locks.
    Open,
}

/// Why a key's file is not used. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Nothing is ever overwritten.
    #[error("{} exists already, and a key is never overwritten", .0.display())]
    Exists(PathBuf),
    /// It is not there.
    #[error("{} is missing", .0.display())]
    Missing(PathBuf),
    /// The system said no.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// Others can read or replace it.
    #[error(
        "{} has mode {mode:04o}, so that others can get at the key; `chmod {fit:04o} {}` if nobody did", path.display(), path.display()
    )]
    Mode {
        /// The file or folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// What it may be.
        fit: u32,
    },
    /// Somebody else owns it.
    #[error("{} belongs to user {owner}; it must belong to who runs this", path.display())]
    Owner {
        /// The file or folder.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// A link, a folder, a device.
    #[error("{} is not a plain file", .0.display())]
    NotPlain(PathBuf),
    /// Not OpenSSH's format.
    #[error("{} is not a key in OpenSSH format", .0.display())]
    Unreadable(PathBuf),
    /// Locked, and there is no passphrase.
    #[error("{} is locked with a passphrase, and none was given", .0.display())]
    NoPassphrase(PathBuf),
    /// Another passphrase.
    #[error("the passphrase does not unlock {}", .0.display())]
    WrongPassphrase(PathBuf),
    /// `NAME.pub` is another key's (A41).
    #[error("{} does not belong to the private key beside it", .0.display())]
    OtherPublic(PathBuf),
    /// RSA and its like.
    #[error("{}: {cause}", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: PairError,
    },
}

/// A passphrase for a machine to keep: 32 random bytes in base64url.
pub fn random_passphrase(rng: &mut impl Entropy) -> Secret<String> {
    let bytes = Secret::new(entropy::bytes::<32>(rng));
    Secret::new(URL_SAFE_NO_PAD.encode(bytes.expose()))
}

/// Makes a key and writes `NAME` and `NAME.pub`.
pub fn generate(
    folder: &Path,
    name: &str,
    kind: KeyKind,
    lock: Lock<'_>,
    rng: &mut impl Entropy,
) -> Result<PublicKey, FileError> {
    let mut key = key_pair::generate(kind, rng).map_err(|cause| FileError::Kind {
        path: folder.join(name),
        cause,
    })?;
    key.set_comment(format!("jit-ssh {name}"));
    write(folder, name, &key, lock, rng)?;
    Ok(key.public_key().clone())
}

/// Writes `NAME.pub`, then `NAME`. If we die between the two, a public key without its private half
/// lies there, which is refused at every start; `init` begins again in an empty folder.
pub fn write(
    folder: &Path,
    name: &str,
    key: &PrivateKey,
    lock: Lock<'_>,
    rng: &mut impl Entropy,
) -> Result<(), FileError> {
    let path = folder.join(name);
    let unreadable = |_| FileError::Unreadable(path.clone());
    let locked = match lock {
        Lock::Open => key.clone(),
        Lock::Random(passphrase) | Lock::Chosen(passphrase) => {
            let rounds = if matches!(lock, Lock::Random(_)) {
                1
            } else {
                CHOSEN_ROUNDS
            };
            let salt = entropy::bytes::<16>(rng).to_vec();
            let kdf = Kdf::Bcrypt { salt, rounds };
            key.encrypt_with(Cipher::Aes256Ctr, kdf, rng.next_u32(), passphrase.expose())
                .map_err(unreadable)?
        }
    };
    let text = locked.to_openssh(LineEnding::LF).map_err(unreadable)?;
    write_public(folder, name, key.public_key())?;
    create(&path, text.as_bytes(), 0o600)
}

/// Writes `NAME.pub` alone: for a key whose private half is somewhere else.
pub fn write_public(folder: &Path, name: &str, key: &PublicKey) -> Result<(), FileError> {
    let path = public_path(folder, name);
    let line = key
        .to_openssh()
        .map_err(|_| FileError::Unreadable(path.clone()))?;
    create(&path, format!("{line}\n").as_bytes(), 0o644)
}

/// Refuses a folder that others could put keys into.
pub fn check_folder(folder: &Path) -> Result<(), FileError> {
    let meta = fs::metadata(folder).map_err(|cause| io(folder, cause))?;
    judge(folder, &meta, 0o022, 0o700)
}

/// Reads a private key, still locked if it is, and compares it with its `NAME.pub` (A41).
pub fn read(folder: &Path, name: &str) -> Result<PrivateKey, FileError> {
    let path = folder.join(name);
    let text = read_text(&path, 0o077, 0o600)?;
    let key = PrivateKey::from_openssh(text.expose().as_bytes())
        .map_err(|_| FileError::Unreadable(path))?;
    if read_public(folder, name)?.key_data() != key.public_key().key_data() {
        return Err(FileError::OtherPublic(public_path(folder, name)));
    }
    Ok(key)
}

/// Reads and unlocks a private key.
pub fn unlock(
    folder: &Path,
    name: &str,
    passphrase: Option<&Secret<String>>,
) -> Result<PrivateKey, FileError> {
    unlocked(read(folder, name)?, &folder.join(name), passphrase)
}

/// Unlocks a private key that was read from `path`.
pub fn unlocked(
    key: PrivateKey,
    path: &Path,
    passphrase: Option<&Secret<String>>,
) -> Result<PrivateKey, FileError> {
    if !key.is_encrypted() {
        return Ok(key);
    }
    let passphrase = passphrase.ok_or_else(|| FileError::NoPassphrase(path.into()))?;
    let unlocked = key
        .decrypt(passphrase.expose())
        .map_err(|_| FileError::WrongPassphrase(path.into()))?;
    // The locked part has a public key of its own; the one outside is not protected.
    if unlocked.public_key().key_data() != key.public_key().key_data() {
        let mut public = path.as_os_str().to_owned();
        public.push(".pub");
        return Err(FileError::OtherPublic(public.into()));
    }
    Ok(unlocked)
}

/// Reads `NAME.pub`: one line.
pub fn read_public(folder: &Path, name: &str) -> Result<PublicKey, FileError> {
    let path = public_path(folder, name);
    let text = read_text(&path, 0o022, 0o644)?;
    PublicKey::from_openssh(text.expose().trim()).map_err(|_| FileError::Unreadable(path))
}

/// Writes a new file, whole and durable, or nothing.
///
/// Under a name of its own first; then a hard link gives it its name, which fails where the name is
/// taken. If we die before the link, a file `.NAME.new` is left that nobody reads.
pub fn create(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let draft = draft(path, bytes, mode)?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft).map_err(|cause| io(&draft, cause))?;
    linked.map_err(|cause| match cause.kind() {
        std::io::ErrorKind::AlreadyExists => FileError::Exists(path.into()),
        _ => io(path, cause),
    })?;
    sync_folder(path)
}

/// Writes a file anew, whole and durable; readers see the old one or the new one.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let draft = draft(path, bytes, mode)?;
    fs::rename(&draft, path).map_err(|cause| io(path, cause))?;
    sync_folder(path)
}

fn draft(path: &Path, bytes: &[u8], mode: u32) -> Result<PathBuf, FileError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = path.with_file_name(format!(".{name}.new"));
    match fs::remove_file(&draft) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
            return Err(io(&draft, cause));
        }
        _ => {}
    }
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|cause| io(&draft, cause))?;
    Ok(draft)
}

fn sync_folder(path: &Path) -> Result<(), FileError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|cause| io(folder, cause))
}

fn read_text(path: &Path, forbidden: u32, fit: u32) -> Result<Secret<String>, FileError> {
    let open = OpenOptions::new()
        .read(true)
        .custom_flags(OPEN_PLAIN)
        .open(path);
    let file = open.map_err(|cause| match rustix::io::Errno::from_io_error(&cause) {
        Some(rustix::io::Errno::NOENT) => FileError::Missing(path.into()),
        Some(rustix::io::Errno::LOOP) => FileError::NotPlain(path.into()),
        _ => io(path, cause),
    })?;
    // Of the open file, so that what is judged is what is read.
    let meta = file.metadata().map_err(|cause| io(path, cause))?;
    if !meta.is_file() {
        return Err(FileError::NotPlain(path.into()));
    }
    judge(path, &meta, forbidden, fit)?;
    let mut text = String::with_capacity(MAX_FILE);
    let length = file
        .take(MAX_FILE as u64)
        .read_to_string(&mut text)
        .map_err(|_| FileError::Unreadable(path.into()));
    let text = Secret::new(text);
    if length? >= MAX_FILE {
        return Err(FileError::Unreadable(path.into()));
    }
    Ok(text)
}

fn judge(path: &Path, meta: &fs::Metadata, forbidden: u32, fit: u32) -> Result<(), FileError> {
    let (owner, mode) = (meta.uid(), meta.mode() & 0o7777);
    let path = path.to_path_buf();
    if !may_own(owner, rustix::process::geteuid().as_raw()) {
        return Err(FileError::Owner { path, owner });
    }
    if mode & forbidden != 0 {
        return Err(FileError::Mode { path, mode, fit });
    }
    Ok(())
}

/// Ourselves, or root. Root may look at the keys of whom the CA runs as (`doctor`, `restore`); it
/// serves as that user.
fn may_own(owner: u32, ours: u32) -> bool {
    owner == ours || owner == 0 || ours == 0
}

fn public_path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.pub"))
}

fn io(path: &Path, cause: std::io::Error) -> FileError {
    FileError::Io {
        path: path.into(),
        cause,
    }
}

/// Rounds of bcrypt for a passphrase that somebody chose: what OpenSSH 9.4 and newer use.
const CHOSEN_ROUNDS: u32 = 24;

/// Larger than any key file.
const MAX_FILE: usize = 16 * 1024;

/// Neither follow a link nor wait for a pipe.
#[expect(
    clippy::cast_possible_wrap,
    reason = "flags of open(2) are bits of a C int"
)]
const OPEN_PLAIN: i32 = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).bits() as i32;

#[cfg(test)]
mod tests;
