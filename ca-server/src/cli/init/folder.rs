//! Files that are made whole or not at all, and never over one that is there; a data folder that
//! appears complete under its name, or not (it is made beside it and renamed).

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use jit_ssh_terminal::Failure;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};

/// Makes a file that must not exist.
pub(in crate::cli) fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
}

/// Makes a file that must not exist, whole and durable, or leaves none.
pub(in crate::cli) fn new_file(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut file = create_new(path, mode)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    if written.is_err() {
        // It is ours: we made it a moment ago.
        let _ = std::fs::remove_file(path);
    }
    written
}

/// Replaces a file as a whole: snapshots of tests.
#[cfg(test)]
pub(in crate::cli) fn replace_file(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", random_suffix()));
    let temporary = path.with_file_name(name);
    new_file(&temporary, content, mode)?;
    let renamed = std::fs::rename(&temporary, path);
    if renamed.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    renamed
}

/// For names beside others.
pub(in crate::cli) fn random_suffix() -> String {
    let random: [u8; 8] = crate::entropy::bytes(&mut crate::entropy::from_system());
    format!("{:016x}", u64::from_be_bytes(random))
}

/// A data folder that is being made.
pub(in crate::cli) struct Staging {
    path: PathBuf,
    target: PathBuf,
    /// Owner and group of an empty folder that stands there already (made by a package).
    owner: Option<(u32, u32)>,
}

impl Staging {
    /// Begins beside the target, which must be absent or an empty folder.
    pub(in crate::cli) fn begin(target: &Path) -> Result<Self, Failure> {
        let owner = match std::fs::read_dir(target) {
            Ok(mut entries) => {
                if entries.next().is_some() {
                    return Err(not_empty(target));
                }
                let metadata = target
                    .metadata()
                    .map_err(|error| unusable(target, &error))?;
                Some((metadata.uid(), metadata.gid()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(unusable(target, &error)),
        };
        let parent = target.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(parent).map_err(|error| unusable(parent, &error))?;
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let path = parent.join(format!(".{name}.new-{}", random_suffix()));
        new_folder(&path).map_err(|error| unusable(parent, &error))?;
        Ok(Staging {
            path,
            target: target.to_owned(),
            owner,
        })
    }

    /// Where to put files until [`Staging::commit`].
    pub(in crate::cli) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the folder its name. If we die before the rename, nothing has the name, and what lies
    /// beside it (`.NAME.new-…`) can be removed; after it, all is there.
    pub(in crate::cli) fn commit(self) -> Result<(), Failure> {
        self.commit_folder(&self.path)
    }

    /// The same for a folder within, which something else made.
    pub(in crate::cli) fn commit_folder(&self, made: &Path) -> Result<(), Failure> {
        let done = || -> io::Result<()> {
            if let Some((uid, gid)) = self.owner {
                give_to(made, uid, gid)?;
            }
            for folder in folders(made)? {
                File::open(folder)?.sync_all()?;
            }
            // Fails where files have come into the target meanwhile: rename(2), ENOTEMPTY.
            std::fs::rename(made, &self.target)?;
            File::open(self.target.parent().unwrap_or(Path::new("/")))?.sync_all()
        };
        done().map_err(|error| match error.kind() {
            io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => {
                not_empty(&self.target)
            }
            _ => unusable(&self.target, &error),
        })
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Gone already where it was renamed.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// A folder that only its owner enters.
pub(in crate::cli) fn new_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// Gives a folder and all in it to another user, if it is not theirs already. That user may be at
/// work in it: each entry is opened once, below the folder that is open already, and what is given is
/// what was opened. Links are not followed, and a file with a second name is not given.
pub(in crate::cli) fn give_to(path: &Path, uid: u32, gid: u32) -> io::Result<()> {
    let folder = rustix::fs::open(path, OPEN, Mode::empty())?;
    give_opened(&folder, uid, gid)
}

fn give_opened(opened: &OwnedFd, uid: u32, gid: u32) -> io::Result<()> {
    let stat = rustix::fs::fstat(opened)?;
    let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    if is_folder {
        // The same folder again: what was opened is only a place.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(opened, ".", flags, Mode::empty())?;
        for entry in rustix::fs::Dir::read_from(&folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if name != c"." && name != c".." {
                let within = rustix::fs::openat(&folder, name, OPEN, Mode::empty())?;
                give_opened(&within, uid, gid)?;
            }
        }
    }
    if (stat.st_uid, stat.st_gid) == (uid, gid) {
        return Ok(());
    }
    if !is_folder && stat.st_nlink > 1 {
        return Err(io::Error::other("a file in it has another name elsewhere"));
    }
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    rustix::fs::chownat(opened, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH)?;
    Ok(())
}

/// A place, not what is there: links and pipes are opened as themselves.
const OPEN: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

fn folders(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = vec![path.to_owned()];
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(folders(&entry.path())?);
        }
    }
    Ok(found)
}

fn not_empty(target: &Path) -> Failure {
    Failure::failed(format_args!(
        "{} is not empty; nothing was changed.",
        target.display()
    ))
    .why("A CA may be there already, and nothing is ever overwritten.")
    .next(
        "Serve it (`jit-ssh-ca serve`), look at it (`jit-ssh-ca doctor`), or choose another \
             folder with `--data`.",
    )
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    let failure = Failure::failed(format_args!("{} cannot be used.", path.display())).why(error);
    if error.kind() == io::ErrorKind::PermissionDenied {
        return failure.next("Use sudo, or a folder of your own: `--data DIR`.");
    }
    failure.next("Choose another folder with `--data`.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_folder_that_is_not_finished_leaves_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let target = parent.path().join("data");
        let staging = Staging::begin(&target).unwrap();
        new_file(&staging.path().join("key"), b"secret", 0o600).unwrap();
        drop(staging);
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_finished_folder_is_private_and_takes_the_place_of_an_empty_one() {
        let parent = tempfile::tempdir().unwrap();
        let target = parent.path().join("data");
        std::fs::create_dir(&target).unwrap();
        let staging = Staging::begin(&target).unwrap();
        new_file(&staging.path().join("key"), b"secret", 0o600).unwrap();
        staging.commit().unwrap();
        assert_eq!(std::fs::read(target.join("key")).unwrap(), b"secret");
        assert_eq!(
            target.metadata().unwrap().permissions().mode() & 0o777,
            0o700
        );
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_with_anything_in_it_is_never_touched() {
        let parent = tempfile::tempdir().unwrap();
        let target = parent.path().join("data");
        std::fs::create_dir(&target).unwrap();
        let staging = Staging::begin(&target).unwrap();
        new_file(&target.join("theirs"), b"x", 0o600).unwrap();
        assert!(Staging::begin(&target).is_err());
        assert!(staging.commit().is_err(), "it filled up while we worked");
        assert_eq!(std::fs::read(target.join("theirs")).unwrap(), b"x");
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 1);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test's own files")]
    fn a_link_in_a_folder_that_is_given_away_gives_nothing_else() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let secret = other.path().join("secret");
        std::fs::write(&secret, "root's").unwrap();
        std::fs::create_dir(folder.path().join("keys")).unwrap();
        let own = folder.path().join("keys/own");
        std::fs::write(&own, "the CA's").unwrap();
        std::os::unix::fs::symlink(&secret, folder.path().join("file")).unwrap();
        std::os::unix::fs::symlink(other.path(), folder.path().join("folder")).unwrap();
        let (uid, gid) = (12345, 12346);
        if !rustix::process::geteuid().is_root() {
            // Only root gives anything away.
            give_to(folder.path(), uid, gid).unwrap_err();
            return;
        }
        let owner = |path: &Path| {
            let metadata = path.symlink_metadata().unwrap();
            (metadata.uid(), metadata.gid())
        };
        let before = owner(&secret);
        give_to(folder.path(), uid, gid).unwrap();
        for given in [folder.path(), &own, &folder.path().join("file")] {
            assert_eq!(owner(given), (uid, gid), "{given:?}");
        }
        assert_eq!((owner(&secret), owner(other.path())), (before, before));
        // Nor does a second name of somebody else's file.
        std::fs::hard_link(&secret, folder.path().join("name")).unwrap();
        give_to(folder.path(), uid, gid).unwrap_err();
        assert_eq!(owner(&secret), before);
        // A folder that is a link is none.
        let link = other.path().join("link");
        std::os::unix::fs::symlink(folder.path(), &link).unwrap();
        give_to(&link, 1, 1).unwrap();
        assert_eq!(owner(folder.path()), (uid, gid));
    }

    #[test]
    fn a_file_that_is_there_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passphrase");
        new_file(&path, b"first", 0o600).unwrap();
        assert!(new_file(&path, b"second", 0o600).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"first");
        replace_file(&path, b"third", 0o644).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"third");
    }
}
