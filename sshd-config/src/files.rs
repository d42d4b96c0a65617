//! A set of files that is put down whole, or taken back.
//!
//! Each file is written beside its place, given its owner and mode, synced, and renamed, so that
//! nobody ever sees one that is half written or that others may write; the old file is kept first.
//! sshd reads its configuration when it starts or is told to, and the others at each connection, so
//! the order matters: what others refer to comes first, the line that refers to them last.
//! Privileged writes never follow a link out of their folder (A61): the folders are root's own, and a
//! target that is a symbolic link is refused.

use std::fmt;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown,
};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A file: what is in it, whose it is, and who may do what with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct File {
    /// Any bytes: a revocation list is no text.
    #[serde(with = "base64_bytes")]
    pub(crate) bytes: Vec<u8>,
    /// The permissions, `0o644`.
    pub(crate) mode: u32,
    /// Whose it is.
    pub(crate) owner: Owner,
}

/// What says without reading it that a file may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

/// User and group of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    uid: u32,
    gid: u32,
}

/// One file as it shall be; `None` removes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Absolute path.
    pub(crate) path: PathBuf,
    /// The file as it is now.
    pub(crate) before: Option<File>,
    /// The file as it shall be.
    pub(crate) after: Option<File>,
}

/// Why a set of files could not be put down. The old state stands again, but for `NotRestored`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilesError {
    /// An operation of the file system.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A symbolic link or folder where a file belongs.
    #[error("{0} is not a regular file")]
    NotAFile(PathBuf),
    /// Bytes that a text cannot hold.
    #[error("{0} is not UTF-8 text, and would not survive being written again")]
    NotText(PathBuf),
    /// A symbolic link that somebody else can point elsewhere.
    #[error("{0} is a symbolic link that does not belong to root")]
    StrangersLink(PathBuf),
    /// A set failed half way, and what was done of it could not be taken back.
    #[error("{error}; and then, putting back the old files: {restore}")]
    NotRestored {
        /// What failed first.
        error: Box<FilesError>,
        /// What failed then.
        restore: Box<FilesError>,
    },
}

impl File {
    /// A file of ours: sshd reads them as root or as the person, and none holds a secret.
    pub(crate) fn for_all_to_read(bytes: impl Into<Vec<u8>>) -> Self {
        File {
            bytes: bytes.into(),
            mode: 0o644,
            owner: Owner::ours(),
        }
    }

    /// A file for root alone.
    pub(crate) fn private(bytes: impl Into<Vec<u8>>) -> Self {
        File {
            mode: 0o600,
            ..File::for_all_to_read(bytes)
        }
    }

    /// The same file with other content: one that is somebody else's keeps its owner and mode (the
    /// RHEL family's `sshd_config` is 0600).
    pub(crate) fn with(&self, bytes: impl Into<Vec<u8>>) -> Self {
        File {
            bytes: bytes.into(),
            ..*self
        }
    }

    /// Its text: only of a file that is edited, and would not survive being written again otherwise.
    pub(crate) fn text(&self, path: &Path) -> Result<&str, FilesError> {
        std::str::from_utf8(&self.bytes).map_err(|_| FilesError::NotText(path.to_owned()))
    }
}

impl Owner {
    /// Whoever runs this program: root, but for tests.
    fn ours() -> Self {
        Owner {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        }
    }

    fn of(facts: &fs::Metadata) -> Self {
        Owner {
            uid: facts.uid(),
            gid: facts.gid(),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.uid, self.gid)
    }
}

impl Change {
    /// What has to happen for `path` to be `after`, given what is there now.
    #[cfg(test)]
    pub(crate) fn plan(path: PathBuf, after: Option<File>) -> Result<Self, FilesError> {
        let before = read(&path)?;
        Ok(Change {
            path,
            before,
            after,
        })
    }

    /// Nothing to do.
    pub(crate) fn is_noop(&self) -> bool {
        self.before == self.after
    }
}

/// The stamp of what is at `path`: whoever writes to it, gives it away or changes its mode changes that
/// as well. `None` where nothing is.
pub(crate) fn stamp(path: &Path) -> Option<Stamp> {
    let facts = fs::symlink_metadata(path).ok()?;
    Some(Stamp {
        inode: facts.ino(),
        size: facts.size(),
        changed: (facts.ctime(), facts.ctime_nsec()),
    })
}

/// Reads a regular file; `None` where there is none.
pub(crate) fn read(path: &Path) -> Result<Option<File>, FilesError> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_file() => {}
        Ok(_) => return Err(FilesError::NotAFile(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io_error("read", path, source)),
    }
    let read = (|| {
        let mut file = fs::File::open(path)?;
        let facts = file.metadata()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(File {
            bytes,
            mode: facts.mode() & 0o7777,
            owner: Owner::of(&facts),
        })
    })();
    read.map(Some)
        .map_err(|source| io_error("read", path, source))
}

/// Reads a file of somebody else as sshd does, through a link too: only for reading, and only where
/// the link is root's (or our own, without root). `None` where there is none.
pub(crate) fn read_through_link(path: &Path) -> Result<Option<String>, FilesError> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_symlink() => {
            let owner = meta.uid();
            if owner != 0 && owner != rustix::process::geteuid().as_raw() {
                return Err(FilesError::StrangersLink(path.to_owned()));
            }
        }
        _ => {}
    }
    match fs::metadata(path) {
        Ok(meta) if meta.is_file() => {}
        Ok(_) => return Err(FilesError::NotAFile(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io_error("read", path, source)),
    }
    let bytes = fs::read(path).map_err(|source| io_error("read", path, source))?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Puts the changes down in their order; when one fails, those before it are taken back.
pub(crate) fn apply(changes: &[Change]) -> Result<(), FilesError> {
    for (done, change) in changes.iter().enumerate() {
        // Dying between two changes leaves files that each are whole; sshd's line comes last, so
        // it never names a file that is not there yet. The next install puts down the rest.
        if let Err(error) = put(change) {
            return Err(match take_back(changes.get(..done).unwrap_or_default()) {
                Ok(()) => error,
                Err(restore) => FilesError::NotRestored {
                    error: Box::new(error),
                    restore: Box::new(restore),
                },
            });
        }
    }
    Ok(())
}

/// Puts one file down, whatever is there.
pub(crate) fn put_down_one(path: PathBuf, after: Option<File>) -> Result<(), FilesError> {
    let before = read(&path)?;
    put(&Change {
        path,
        before,
        after,
    })
}

/// Puts one file down in place of whatever is there, a link too: the rename replaces it and follows
/// nothing.
pub(crate) fn replace(path: &Path, file: &File) -> Result<(), FilesError> {
    put(&Change {
        path: path.to_owned(),
        before: None,
        after: Some(file.clone()),
    })
}

/// Restores what was there before, in the opposite order, and all that can be: the first failure is
/// told at the end.
pub(crate) fn take_back(changes: &[Change]) -> Result<(), FilesError> {
    let mut result = Ok(());
    for change in changes.iter().rev() {
        let back = Change {
            path: change.path.clone(),
            before: change.after.clone(),
            after: change.before.clone(),
        };
        result = result.and(put(&back));
    }
    result
}

fn put(change: &Change) -> Result<(), FilesError> {
    if change.is_noop() {
        return Ok(());
    }
    #[cfg(test)]
    power_cut::before_a_write();
    let path = &change.path;
    let folder = path.parent().unwrap_or(Path::new("/"));
    match &change.after {
        Some(file) => {
            make_folder(folder)?;
            write_whole(path, file)
        }
        None => match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io_error("remove", path, error))
            }
            _ => sync_folder(folder),
        },
    }
}

/// Makes a folder that anyone may read and root alone may write, whatever the umask.
pub(crate) fn make_folder(folder: &Path) -> Result<(), FilesError> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        make_folder(parent)?;
    }
    fs::DirBuilder::new()
        .mode(0o755)
        .create(folder)
        .and_then(|()| fs::set_permissions(folder, fs::Permissions::from_mode(0o755)))
        .map_err(|source| io_error("make", folder, source))
}

fn write_whole(path: &Path, wanted: &File) -> Result<(), FilesError> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".jit-ssh-new");
    let new = path.with_file_name(name);
    // What an interrupted write left behind is nobody's any more.
    let _ = fs::remove_file(&new);
    let written = (|| {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(&wanted.bytes)?;
        if Owner::of(&file.metadata()?) != wanted.owner {
            fchown(&file, Some(wanted.owner.uid), Some(wanted.owner.gid))?;
        }
        // After the owner, since a change of that takes bits away.
        file.set_permissions(fs::Permissions::from_mode(wanted.mode))?;
        file.sync_all()?;
        // Dying before the rename leaves the old file; after it, the new one.
        fs::rename(&new, path)
    })();
    if let Err(source) = written {
        let _ = fs::remove_file(&new);
        return Err(io_error("write", path, source));
    }
    sync_folder(path.parent().unwrap_or(Path::new("/")))
}

fn sync_folder(folder: &Path) -> Result<(), FilesError> {
    fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| io_error("sync", folder, source))
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> FilesError {
    FilesError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

/// Ends the program before a write that a test chose, as a power cut would: nothing is taken back.
#[cfg(test)]
pub(crate) mod power_cut {
    use std::cell::Cell;

    thread_local! {
        static WRITES_LEFT: Cell<Option<usize>> = const { Cell::new(None) };
    }

    /// What a power cut is for the code: it unwinds, and nothing catches it on the way.
    #[derive(Debug)]
    struct PowerCut;

    pub(super) fn before_a_write() {
        WRITES_LEFT.with(|left| match left.get() {
            Some(0) => std::panic::resume_unwind(Box::new(PowerCut)),
            Some(writes) => left.set(Some(writes - 1)),
            None => {}
        });
    }

    /// Runs with power for this many writes; `None` if that was not enough.
    pub(crate) fn after<T>(writes: usize, run: impl FnOnce() -> T) -> Option<T> {
        WRITES_LEFT.with(|left| left.set(Some(writes)));
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
        WRITES_LEFT.with(|left| left.set(None));
        match result {
            Ok(result) => Some(result),
            Err(cause) if cause.is::<PowerCut>() => None,
            Err(cause) => std::panic::resume_unwind(cause),
        }
    }
}

/// Bytes as base64 in JSON.
mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        STANDARD.decode(text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(path: PathBuf, after: Option<&str>) -> Change {
        Change::plan(path, after.map(File::for_all_to_read)).unwrap()
    }

    fn text(path: &Path) -> Option<String> {
        let file = read(path).unwrap()?;
        Some(file.text(path).unwrap().to_owned())
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_set_that_fails_half_way_leaves_everything_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        apply(&[change(old.clone(), Some("one\n"))]).unwrap();
        let changes = [
            change(old.clone(), Some("two\n")),
            change(new.clone(), Some("three\n")),
            Change {
                path: folder.path().join("old/below-a-file"),
                before: None,
                after: Some(File::for_all_to_read("x\n")),
            },
        ];
        apply(&changes).unwrap_err();
        assert_eq!(text(&old).as_deref(), Some("one\n"));
        assert_eq!(read(&new).unwrap(), None);
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "no temporary file stays: {left:?}");
    }

    #[test]
    fn a_link_where_a_file_belongs_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (link, target) = (folder.path().join("link"), folder.path().join("shadow"));
        apply(&[change(target.clone(), Some("secret\n"))]).unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let error = Change::plan(link, Some(File::for_all_to_read("evil\n"))).unwrap_err();
        assert!(matches!(error, FilesError::NotAFile(_)));
        assert_eq!(text(&target).as_deref(), Some("secret\n"));
    }

    #[test]
    fn a_restore_that_fails_too_is_told_and_the_rest_is_restored() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        apply(&[
            change(one.clone(), Some("1")),
            change(two.clone(), Some("2")),
        ])
        .unwrap();
        // Where `two` would be written again, a folder stands in the way.
        fs::create_dir_all(folder.path().join(".two.jit-ssh-new")).unwrap();
        let changes = [
            change(one.clone(), Some("new")),
            change(two.clone(), None),
            Change {
                path: one.join("below-a-file"),
                before: None,
                after: Some(File::for_all_to_read("x")),
            },
        ];
        let error = apply(&changes).unwrap_err();
        assert!(matches!(error, FilesError::NotRestored { .. }), "{error}");
        let said = error.to_string();
        assert!(said.find("below-a-file") < said.find("write "), "{said}");
        assert_eq!(text(&one).as_deref(), Some("1"));
    }

    #[test]
    fn a_file_that_would_not_survive_being_edited_is_refused_and_any_bytes_are_put_down() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sshd_config");
        let bytes = b"# caf\xe9\nPort 22\n\0";
        let wanted = File::for_all_to_read(&bytes[..]);
        apply(&[Change::plan(path.clone(), Some(wanted)).unwrap()]).unwrap();
        let file = read(&path).unwrap().unwrap();
        assert_eq!(file.bytes, bytes);
        let error = file.text(&path).unwrap_err();
        assert!(matches!(error, FilesError::NotText(_)), "{error}");
    }

    #[test]
    fn a_file_that_others_may_write_is_put_right_and_taken_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("user_ca.pub");
        apply(&[change(path.clone(), Some("key\n"))]).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        let own = Owner::ours();
        // Only root can give a file away.
        let stranger = rustix::process::geteuid().is_root();
        if stranger {
            std::os::unix::fs::chown(&path, Some(12345), Some(12345)).unwrap();
        }
        let changes = [change(path.clone(), Some("key\n"))];
        assert!(!changes[0].is_noop());
        apply(&changes).unwrap();
        assert_eq!(mode(&path), 0o644);
        assert_eq!(read(&path).unwrap().unwrap().owner, own);
        take_back(&changes).unwrap();
        assert_eq!(mode(&path), 0o666);
        assert_eq!(read(&path).unwrap(), changes[0].before);
        assert_eq!(stranger, read(&path).unwrap().unwrap().owner != own);
    }

    #[test]
    fn a_file_that_is_kept_in_the_manifest_comes_back_byte_for_byte() {
        let file = File {
            bytes: b"SSHKRL\n\0\xff".to_vec(),
            mode: 0o600,
            owner: Owner { uid: 7, gid: 8 },
        };
        let json = serde_json::to_string(&file).unwrap();
        assert_eq!(serde_json::from_str::<File>(&json).unwrap(), file);
    }

    #[test]
    fn a_link_is_followed_for_reading_only_where_it_is_roots_or_ones_own() {
        let folder = tempfile::tempdir().unwrap();
        let (link, target) = (folder.path().join("link"), folder.path().join("keys"));
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert_eq!(read_through_link(&link).unwrap(), None);
        write_whole(&target, &File::for_all_to_read("keys\n")).unwrap();
        assert_eq!(read_through_link(&link).unwrap().as_deref(), Some("keys\n"));
        assert!(matches!(read(&link), Err(FilesError::NotAFile(_))));
        // Only root can give a link away.
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::lchown(&link, Some(12345), None).unwrap();
            let error = read_through_link(&link).unwrap_err();
            assert!(matches!(error, FilesError::StrangersLink(_)), "{error}");
        }
    }

    #[test]
    fn modes_do_not_hang_on_the_umask() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/file");
        apply(&[change(path.clone(), Some("x\n"))]).unwrap();
        assert_eq!(mode(&path), 0o644);
        assert_eq!(mode(path.parent().unwrap()), 0o755);
    }

    #[test]
    fn taking_back_removes_what_was_added_and_restores_what_was_changed() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        apply(&[change(a.clone(), Some("1"))]).unwrap();
        let changes = [change(a.clone(), Some("2")), change(b.clone(), Some("3"))];
        apply(&changes).unwrap();
        take_back(&changes).unwrap();
        assert_eq!(text(&a).as_deref(), Some("1"));
        assert_eq!(read(&b).unwrap(), None);
    }
}
