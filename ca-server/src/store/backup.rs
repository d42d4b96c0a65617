//! Backup and restore: one file with everything that a CA is.
//!
//! The backup is an SQLite file: the whole database as of one moment (`VACUUM INTO`, so that serving
//! goes on), and in a table of its own the configuration, the policy, the keys (encrypted as they
//! are on disk), the key set and the TLS identity, also where those are links or lie elsewhere. A restore makes a new data folder from it and
//! starts a new epoch: what the CA did after the backup is unknown, so logins and tokens from before
//! count no more (A80, invariant 4).

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags, params};
use sha2::{Digest as _, Sha256};

use super::{
    Abandoned, Store, StoreError, from_sql, ledger as records, migrate, sync_folder_of, to_sql,
};
use crate::data;
use crate::ledger::record::{Draft, Hash, Kind};
use crate::time::Timestamp;

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackedUp {
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Of the whole file.
    pub sha256: Hash,
    /// Number of ledger records in it.
    pub records: u64,
}

/// What a restore made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The new epoch. The key set must be signed anew with it, by the identity key.
    pub epoch: u64,
    /// Number of ledger records, with the one that starts the epoch.
    pub records: u64,
    /// Files of the data folder, beside the database.
    pub files: Vec<PathBuf>,
}

/// Writes a backup to a file that does not exist yet, while the CA serves; one at a time, and not in
/// a reader's turn: it may take minutes. What is not asked for any more is not left there. `data` is the data
/// folder; every file in it goes along but the database, sockets and locks. `needed` are the files
/// without which the CA would not serve, wherever they are; relative to the data folder.
pub async fn backup(
    store: &Arc<Store>,
    data: PathBuf,
    needed: Vec<PathBuf>,
    path: PathBuf,
) -> Result<BackedUp, StoreError> {
    let of = Arc::clone(store);
    super::in_turn(&store.backing_up, move |abandoned| {
        write_backup(&of, abandoned, &data, &needed, &path)
    })
    .await
}

fn write_backup(
    store: &Store,
    abandoned: &Abandoned,
    data: &Path,
    needed: &[PathBuf],
    path: &Path,
) -> Result<BackedUp, StoreError> {
    let database = store.path();
    let part = super::beside(path, ".part");
    if path.symlink_metadata().is_ok() {
        return Err(StoreError::Exists(path.to_owned()));
    }
    let found = files_of(data, needed, database, &part)?;
    let mut source = super::open_reader(database)?;
    abandoned.interrupts(&mut source)?;
    room(store, &source, &found, path)?;
    // Dying anywhere before the last rename leaves `.part` behind, never half a backup by its name.
    let file = create_new(&part)?;
    let _half = Half(&part);
    let target = part
        .to_str()
        .ok_or_else(|| StoreError::Foreign(part.clone()))?;
    source.execute("VACUUM INTO ?1", [target])?;
    let copy = Connection::open(&part)?;
    copy.pragma_update(None, "synchronous", "full")?;
    copy.execute_batch(
        "CREATE TABLE backup_files (path TEXT PRIMARY KEY, bytes BLOB NOT NULL) STRICT",
    )?;
    for (name, source) in found {
        abandoned.check()?;
        let bytes = std::fs::read(&source).map_err(unread(&source))?;
        let name = name
            .to_str()
            .ok_or_else(|| StoreError::Foreign(name.clone()))?;
        copy.execute(
            "INSERT INTO backup_files VALUES (?1, ?2)",
            params![name, bytes],
        )?;
    }
    let records = records::head(&copy)?.size;
    copy.close().map_err(|(_, error)| error)?;
    file.sync_all().map_err(at(&part))?;
    // A hard link fails where the name is taken, which a rename does not.
    std::fs::hard_link(&part, path).map_err(|cause| match cause.kind() {
        std::io::ErrorKind::AlreadyExists => StoreError::Exists(path.to_owned()),
        _ => StoreError::File {
            path: path.to_owned(),
            cause,
        },
    })?;
    let made = Half(path);
    sync_folder_of(path)?;
    let (bytes, sha256) = digest(path, abandoned)?;
    abandoned.check()?;
    std::mem::forget(made);
    Ok(BackedUp {
        path: path.to_owned(),
        bytes,
        sha256,
        records,
    })
}

/// Removes what backups left in the data folder that was ended in the middle of them: theirs alone
/// are such names. Only for whoever serves it, before it does.
pub(crate) fn remove_left(data: &Path) {
    let Ok(entries) = std::fs::read_dir(data) else {
        return;
    };
    for entry in entries.flatten() {
        let left = entry.file_name();
        let Some(left) = left
            .to_str()
            .filter(|name| data::is_unfinished_backup(name))
        else {
            continue;
        };
        match std::fs::remove_file(entry.path()) {
            Ok(()) => tracing::info!(file = left, "removed what a backup left"),
            Err(error) => tracing::warn!(file = left, %error, "what a backup left stays"),
        }
    }
}

/// Makes the data folder `data`, which must not exist, from a backup, and starts a new epoch:
/// `epoch`, which must be later than the backup's, or one that no other restore of the same backup
/// has: the time, in milliseconds (docs/decisions/0043).
pub fn restore(
    path: &Path,
    data: &Path,
    epoch: Option<u64>,
    now: Timestamp,
) -> Result<Restored, StoreError> {
    if data.symlink_metadata().is_ok() {
        return Err(StoreError::Exists(data.to_owned()));
    }
    // SQLite's own words for a file that is not there help nobody.
    drop(File::open(path).map_err(at(path))?);
    let source = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    migrate::check(&source, path, migrate::STEPS)?;
    whole(&source)?;
    // Made beside its place and renamed last: dying before that leaves `.part`, never half a folder.
    let part = super::beside(data, ".part");
    folder(&part)?;
    let half = Half(&part);
    let mut files = Vec::new();
    let mut statement = source.prepare("SELECT path, bytes FROM backup_files ORDER BY path")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (name, bytes): (String, Vec<u8>) = (row.get(0)?, row.get(1)?);
        let name = plain(&name).ok_or_else(|| StoreError::Foreign(path.to_owned()))?;
        write_file(&part.join(&name), &bytes)?;
        files.push(name);
    }
    let database = part.join(data::LEDGER);
    drop(super::private_file(&database)?);
    let target = database
        .to_str()
        .ok_or_else(|| StoreError::Foreign(database.clone()))?;
    source.execute("VACUUM INTO ?1", [target])?;
    let head = begin_epoch(&database, epoch, now)?;
    File::open(&database)
        .and_then(|file| file.sync_all())
        .map_err(at(&database))?;
    sync_folder_of(&database)?;
    std::fs::rename(&part, data).map_err(at(data))?;
    std::mem::forget(half);
    sync_folder_of(data)?;
    Ok(Restored {
        epoch: head.epoch,
        records: head.size,
        files,
    })
}

/// The record of the new epoch and the head row, in one transaction. Logins of earlier epochs are
/// no logins any more.
fn begin_epoch(
    database: &Path,
    epoch: Option<u64>,
    now: Timestamp,
) -> Result<super::Head, StoreError> {
    let mut connection = Connection::open(database)?;
    connection.pragma_update(None, "synchronous", "full")?;
    let transaction = connection.transaction()?;
    transaction.execute_batch("DROP TABLE backup_files")?;
    let mut head = records::head(&transaction)?;
    let before = head;
    head.epoch = match epoch {
        Some(given) if given > before.epoch && given < MAX_EPOCH => given,
        Some(given) => {
            return Err(StoreError::Epoch {
                given,
                before: before.epoch,
            });
        }
        None => before.epoch.saturating_add(1).max(now.millis()),
    };
    head.epoch_started = now;
    let ended = transaction.execute(
        "UPDATE logins SET ended = min(ends, ?1) WHERE ended IS NULL",
        [to_sql(now.millis())?],
    )?;
    let entry = Draft::new(Kind::Epoch, head.epoch, now)
        .fact("epoch_before", before.epoch)
        .fact("logins_ended", u64::try_from(ended).unwrap_or_default())
        .fact("records_before", before.size)
        .finish()
        .map_err(|_| StoreError::Damaged("the epoch cannot be recorded"))?;
    records::append(&transaction, head.size, &entry, records::Found::default())?;
    head.size = head.size.saturating_add(1);
    records::set_head(&transaction, head)?;
    transaction.commit()?;
    connection.close().map_err(|(_, error)| error)?;
    Ok(head)
}

/// A backup that lost bytes is not restored: pages, places and leaf hashes must fit.
fn whole(source: &Connection) -> Result<(), StoreError> {
    let answer: String = source.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if answer != "ok" {
        return Err(StoreError::Damaged(
            "the backup's pages do not fit together",
        ));
    }
    let head = records::head(source)?;
    let mut statement = source.prepare("SELECT idx, leaf, hash FROM records ORDER BY idx")?;
    let mut rows = statement.query([])?;
    let mut next = 0;
    while let Some(row) = rows.next()? {
        let leaf: Vec<u8> = row.get(1)?;
        if from_sql(row.get(0)?)? != next || Hash::of_leaf(&leaf).0 != row.get::<_, [u8; 32]>(2)? {
            return Err(StoreError::Damaged(
                "a record of the backup is missing or changed",
            ));
        }
        next = next.saturating_add(1);
    }
    if next == head.size {
        Ok(())
    } else {
        Err(StoreError::Damaged("the backup lost records"))
    }
}

/// A backup must not be what fills the disk.
fn room(
    store: &Store,
    source: &Connection,
    files: &BTreeMap<PathBuf, PathBuf>,
    path: &Path,
) -> Result<(), StoreError> {
    let pragma = |name: &str| -> Result<u64, StoreError> {
        from_sql(source.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))?)
    };
    let mut bytes = pragma("page_count")?.saturating_mul(pragma("page_size")?);
    for file in files.values() {
        bytes = bytes.saturating_add(file.metadata().map_err(unread(file))?.len());
    }
    let free = store.free_at(path.parent().unwrap_or(path));
    let reserve = store.reserve();
    if free < bytes.saturating_add(reserve) {
        return Err(StoreError::NoRoom {
            bytes,
            free,
            reserve,
        });
    }
    Ok(())
}

/// What goes along: names in the backup, and where their content is. Links count as the files that
/// they lead to; what cannot go along and would be missed is an error.
fn files_of(
    data: &Path,
    needed: &[PathBuf],
    database: &Path,
    part: &Path,
) -> Result<BTreeMap<PathBuf, PathBuf>, StoreError> {
    let mut found = BTreeMap::new();
    let mut linked = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let here = data.join(&folder);
        for entry in std::fs::read_dir(&here).map_err(unread(&here))? {
            let entry = entry.map_err(unread(&here))?;
            let (path, name) = (entry.path(), folder.join(entry.file_name()));
            if entry.file_type().map_err(unread(&path))?.is_dir() {
                folders.push(name);
                continue;
            }
            match path.metadata() {
                Ok(file) if file.is_dir() => linked.push(name),
                Ok(file) if file.is_file() && belongs(&path, database, part) => {
                    found.insert(name, path);
                }
                Ok(_) => {}
                // Gone meanwhile, or a link that leads nowhere, as editors make them for a lock.
                Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {}
                Err(cause) => return Err(unread(&path)(cause)),
            }
            if found.len() > MOST_FILES {
                return Err(StoreError::LeftOut {
                    path: here,
                    why: "there are more files than any data folder has",
                });
            }
        }
    }
    for file in needed {
        let path = data.join(file);
        let name = name_of(data, &path)?;
        if !path.metadata().map_err(unread(&path))?.is_file() {
            let why = "it is no file";
            return Err(StoreError::LeftOut { path, why });
        }
        found.insert(name, path);
    }
    // Links to folders are not followed, so that none leads round in a circle; what the CA needs of
    // theirs is there by now.
    if let Some(link) = linked
        .iter()
        .find(|link| !found.keys().any(|name| name.starts_with(link)))
    {
        return Err(StoreError::LeftOut {
            path: data.join(link),
            why: "it is a link to a folder: put the folder itself there",
        });
    }
    Ok(found)
}

/// The name in a backup of a file that the CA needs; below [`OUTSIDE`] if it is not in the folder.
fn name_of(data: &Path, path: &Path) -> Result<PathBuf, StoreError> {
    if let Ok(inside) = path.strip_prefix(data)
        && let Some(inside) = inside.to_str().and_then(plain)
    {
        return Ok(inside);
    }
    let is_plain = |path: &Path| {
        path.components()
            .all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
    };
    let path = if is_plain(path) {
        path.to_owned()
    } else {
        path.canonicalize().map_err(unread(path))?
    };
    let names = path.components().filter(|part| *part != Component::RootDir);
    Ok(Path::new(OUTSIDE).join(names.collect::<PathBuf>()))
}

fn belongs(path: &Path, database: &Path, part: &Path) -> bool {
    let name = |path: &Path| {
        path.file_name()
            .map(|name| name.to_string_lossy().into_owned())
    };
    let (Some(own), Some(database), Some(part)) = (name(path), name(database), name(part)) else {
        return false;
    };
    let sqlite = |file: &Path| {
        let mut magic = [0; 16];
        File::open(file)
            .and_then(|mut file| file.read_exact(&mut magic))
            .is_ok()
            && &magic == b"SQLite format 3\0"
    };
    // Other backups lie in the folder too, perhaps.
    !own.starts_with(&database) && own != part && own != data::LOCK && !sqlite(path)
}

/// A relative path of plain names.
fn plain(name: &str) -> Option<PathBuf> {
    let path = Path::new(name);
    let good = !name.is_empty()
        && path
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
        && path.file_name().is_some_and(|name| name != data::LEDGER);
    good.then(|| path.to_owned())
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    if let Some(parent) = path.parent()
        && parent.symlink_metadata().is_err()
    {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(parent)
            .map_err(at(parent))?;
    }
    let mut file = create_new(path)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(at(path))?;
    sync_folder_of(path)
}

fn folder(path: &Path) -> Result<(), StoreError> {
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(StoreError::Exists(path.to_owned()))
        }
        Err(cause) => Err(StoreError::File {
            path: path.to_owned(),
            cause,
        }),
    }
}

fn create_new(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|cause| match cause.kind() {
            std::io::ErrorKind::AlreadyExists => StoreError::Exists(path.to_owned()),
            _ => StoreError::File {
                path: path.to_owned(),
                cause,
            },
        })
}

fn digest(path: &Path, abandoned: &Abandoned) -> Result<(u64, Hash), StoreError> {
    let mut file = File::open(path).map_err(at(path))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut bytes = 0_u64;
    loop {
        abandoned.check()?;
        let read = file.read(&mut buffer).map_err(at(path))?;
        let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty()) else {
            break;
        };
        hash.update(piece);
        bytes = bytes.saturating_add(u64::try_from(read).unwrap_or_default());
    }
    Ok((bytes, Hash(hash.finalize().into())))
}

fn unread(path: &Path) -> impl Fn(std::io::Error) -> StoreError {
    let path = path.to_owned();
    move |cause| StoreError::Unread {
        path: path.clone(),
        cause,
    }
}

fn at(path: &Path) -> impl Fn(std::io::Error) -> StoreError {
    let path = path.to_owned();
    move |cause| StoreError::File {
        path: path.clone(),
        cause,
    }
}

/// Takes away what was only half made.
struct Half<'a>(&'a Path);

impl Drop for Half<'_> {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.0);
        let _ = std::fs::remove_dir_all(self.0);
    }
}

/// Folder in a restored data folder for what the configuration names elsewhere.
pub const OUTSIDE: &str = "outside";

/// What a record can hold, and every JSON reader reads exactly.
const MAX_EPOCH: u64 = 1 << 53;
const MOST_FILES: usize = 10_000;
