//! Files of the person, read and written whole or not at all: 0600, on disk before they are in place,
//! never through somebody else's link (A47), and of a length that can be read again.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StateError;
use crate::platform;

/// Writes a private file whole or not at all: a new file beside it, on disk, then renamed. Dying
/// here leaves the old content and at most a stray `.new` file, which the next writer replaces.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), StateError> {
    private_parent(path)?;
    replace(path, content)
}

/// As [`write()`], in a folder that is the person's own and stays as it is.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), StateError> {
    write_with(path, content, File::sync_data)?;
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    platform::sync_dir(folder).map_err(|cause| StateError::Io {
        path: folder.to_owned(),
        cause,
    })
}

fn private_parent(path: &Path) -> Result<(), StateError> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    platform::private_dir(folder).map_err(|cause| StateError::Io {
        path: folder.to_owned(),
        cause,
    })
}

fn write_with(
    path: &Path,
    content: &[u8],
    sync: impl Fn(&File) -> io::Result<()>,
) -> Result<(), StateError> {
    let io = |cause| StateError::Io {
        path: path.to_owned(),
        cause,
    };
    // What could not be read again is not written.
    if content.len() as u64 > MAX_FILE {
        return Err(StateError::TooLong(path.to_owned()));
    }
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = folder.join(name);
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
        _ => {}
    }
    let written = platform::create_private(&new).and_then(|mut file| {
        file.write_all(content)?;
        sync(&file)?;
        drop(file);
        std::fs::rename(&new, path)
    });
    if written.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    written.map_err(io)
}

/// Copies a certificate to another path of ours, whole or not at all, without waiting for the disk:
/// what a crash loses here is made again by the next `ensure`.
pub(crate) fn place(path: &Path, content: &str) -> Result<(), StateError> {
    private_parent(path)?;
    write_with(path, content.as_bytes(), |_| Ok(()))
}

/// Removes a file; one that is not there is removed already.
pub(crate) fn remove(path: &Path) -> Result<(), StateError> {
    match std::fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(StateError::Io {
            path: path.to_owned(),
            cause,
        }),
        _ => Ok(()),
    }
}

pub(super) fn remove_dir(path: &Path) -> Result<(), StateError> {
    match std::fs::remove_dir_all(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(StateError::Io {
            path: path.to_owned(),
            cause,
        }),
        _ => Ok(()),
    }
}

/// Reads a text file; `None` if it is not there.
pub(crate) fn read_to_string(path: &Path) -> Result<Option<String>, StateError> {
    match File::open(path) {
        Ok(file) => read_whole(file, path).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(StateError::Io {
            path: path.to_owned(),
            cause,
        }),
    }
}

/// All that there is to read, or an error: never a part, which would be written back as the whole.
pub(crate) fn read_whole(from: impl io::Read, path: &Path) -> Result<String, StateError> {
    let io = |cause| StateError::Io {
        path: path.to_owned(),
        cause,
    };
    let mut bytes = Vec::with_capacity(4096);
    from.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(StateError::TooLong(path.to_owned()));
    }
    String::from_utf8(bytes).map_err(|error| io(io::Error::new(io::ErrorKind::InvalidData, error)))
}

pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StateError> {
    let Some(text) = read_to_string(path)? else {
        return Ok(None);
    };
    let value = serde_json::from_str(&text).map_err(|cause| StateError::Malformed {
        path: path.to_owned(),
        cause,
    })?;
    Ok(Some(value))
}

pub(super) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), StateError> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|cause| StateError::Malformed {
        path: path.to_owned(),
        cause,
    })?;
    text.push(b'\n');
    write(path, &text)
}

/// Nothing that we read or write is longer: four times the longest answer of a CA that is taken, for
/// the same in indented JSON.
pub(super) const MAX_FILE: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn files_are_private_even_where_links_wait_for_them() {
        use std::os::unix::fs::PermissionsExt as _;
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("state");
        std::fs::create_dir(&folder).unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
        let elsewhere = base.path().join("elsewhere");
        let path = folder.join("key");
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        write(&path, b"secret").unwrap();
        assert!(!elsewhere.exists());
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(std::fs::read(&path).unwrap(), b"secret");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
    }

    #[test]
    fn what_is_too_long_is_neither_read_in_part_nor_written() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("long");
        File::create(&path).unwrap().set_len(MAX_FILE).unwrap();
        let whole = read_to_string(&path).unwrap().unwrap();
        assert_eq!(whole.len() as u64, MAX_FILE);
        let longer = format!("{whole}x");
        assert!(matches!(
            write(&path, longer.as_bytes()),
            Err(StateError::TooLong(_))
        ));
        assert_eq!(read_to_string(&path).unwrap().unwrap().len(), whole.len());
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(MAX_FILE + 1).unwrap();
        assert!(matches!(read_to_string(&path), Err(StateError::TooLong(_))));
        write(&path, b"\xff").unwrap();
        assert!(matches!(read_to_string(&path), Err(StateError::Io { .. })));
    }
}
