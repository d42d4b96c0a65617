//! One serving process for one data folder, and the admin socket in it.
//!
//! The lock is the kernel's (`flock` on `DATA/lock`): it ends with the process, however that ends,
//! so there is nothing to clean up after a crash. `init`, `setup` and `restore` need none: they make a
//! folder that nobody knows yet, and give it its name last, where nothing is.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use tokio::net::UnixListener;

use crate::data::{LOCK, SOCKET};

/// The data folder is ours for as long as this lives.
#[derive(Debug)]
pub struct DataLock {
    _file: File,
}

/// Why the folder cannot be served; the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else has it.
    #[error("{} is in use by another jit-ssh-ca; stop that one first", .0.display())]
    InUse(PathBuf),
    /// It cannot be opened.
    #[error("{} cannot be used: {cause}", path.display())]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
}

impl DataLock {
    /// Takes the lock, or says who has it; never waits.
    pub fn acquire(data: &Path) -> Result<DataLock, LockError> {
        let path = data.join(LOCK);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|cause| LockError::Unusable {
                path: path.clone(),
                cause,
            })?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(DataLock { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(LockError::InUse(data.to_owned())),
            Err(cause) => Err(LockError::Unusable {
                path,
                cause: cause.into(),
            }),
        }
    }
}

/// The admin socket, and who may use it.
#[derive(Debug)]
pub(crate) struct AdminSocket {
    pub(crate) listener: UnixListener,
    pub(crate) path: PathBuf,
    owner: u32,
}

impl AdminSocket {
    /// Listens in the data folder. The lock must be held: a socket that is there is a dead one's.
    pub(crate) fn bind(data: &Path, _held: &DataLock) -> Result<AdminSocket, LockError> {
        let path = data.join(SOCKET);
        let unusable = |cause| LockError::Unusable {
            path: path.clone(),
            cause,
        };
        let owner = std::fs::metadata(data).map_err(unusable)?.uid();
        match std::fs::remove_file(&path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(unusable(cause)),
            _ => {}
        }
        let listener = UnixListener::bind(&path).map_err(unusable)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))
            .map_err(unusable)?;
        Ok(AdminSocket {
            listener,
            path,
            owner,
        })
    }

    /// Whether this user may speak here: the folder's owner, and root, who could become the owner.
    /// The file's mode says the same; this does not depend on it.
    pub(crate) fn admits(&self, uid: u32) -> bool {
        uid == self.owner || uid == 0
    }
}

#[cfg(test)]
mod tests {
    use super::{DataLock, LockError};

    #[test]
    fn a_second_process_cannot_serve_the_same_data() {
        let data = tempfile::tempdir().unwrap();
        let held = DataLock::acquire(data.path()).unwrap();
        assert!(matches!(
            DataLock::acquire(data.path()),
            Err(LockError::InUse(_))
        ));
        drop(held);
        DataLock::acquire(data.path()).unwrap();
    }
}
