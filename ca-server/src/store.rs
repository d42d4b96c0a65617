//! What is kept, and what is promised.
//!
//! In: typed rows from `ledger/` and `login.rs`; `server.rs` opens it, and the routes and commands for
//! backups copy it whole. Out: the same rows, later, also after a kill at any moment. Keeps the durable half of invariants 1 and 4.
//!
//! - **Durable on return.** SQLite in WAL mode with `synchronous=FULL`: a commit is on the disk before
//!   anybody hears of it.
//! - **One writer.** One connection writes, on a thread of its own (`ledger/writer.rs`), under an
//!   exclusive lock on `NAME.lock`; a second [`Store::open`] of the same file is refused.
//! - **Readers** have connections of their own that cannot write, off the async threads. Each holds
//!   its turn until it is over, and ends early once nobody waits for it. A backup takes no such turn.
//! - **The head row** (`head.size`) gives each batch its place; it is read and written in the same
//!   transaction as the records, so that a shared store (PostgreSQL, later) can do the same.
//! - **Private**: files are 0600 whatever the umask (A89); every statement is prepared.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

use crate::ledger::record::{Fact, Leaf};
use crate::time::Timestamp;

pub mod backup;
pub(crate) mod checkpoint;
pub(crate) mod hosts;
pub(crate) mod ledger;
pub(crate) mod logins;
pub(crate) mod migrate;
pub(crate) mod revocations;

/// Where the store is, and how much of the disk it leaves alone.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The database file; made when it is not there.
    pub path: PathBuf,
    /// Free bytes below which refusals and reads are only counted; below a quarter of it nothing is
    /// issued, and logins can still be ended.
    pub reserve: u64,
}

impl StoreOptions {
    /// The file with the default reserve of 64 MiB.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        StoreOptions {
            path: path.into(),
            reserve: 64 << 20,
        }
    }
}

/// How full the disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DiskState {
    /// More than the reserve is free.
    Ample,
    /// The reserve is being used: refusals and reads are only counted.
    Reserve,
    /// Nothing is issued; what ends something is still recorded.
    Full,
}

/// Why the store does not do what it should. All of them are for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it.
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
    /// Written by a newer version of the program.
    #[error(
        "{path} has schema version {found}, and this program knows {known} at most: use a newer program"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// A database, but not one of ours.
    #[error("{0} is not a database of jit-ssh-ca")]
    Foreign(PathBuf),
    /// It exists already, and nothing is overwritten.
    #[error("{0} exists already")]
    Exists(PathBuf),
    /// An epoch for a restore that would be taken for one from before.
    #[error("epoch {given} is not later than the backup's, {before} (and below 2^53)")]
    Epoch {
        /// The one that was asked for.
        given: u64,
        /// The backup's.
        before: u64,
    },
    /// What is stored does not fit together.
    #[error("the ledger is damaged: {0}")]
    Damaged(&'static str),
    /// A file cannot be read or written.
    #[error("cannot use {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// Something that a backup needs cannot be read.
    #[error("{path} cannot be read, and a backup without it would not serve")]
    Unread {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// Something would be missing from a backup.
    #[error("a backup would be without {path}: {why}")]
    LeftOut {
        /// What.
        path: PathBuf,
        /// Why.
        why: &'static str,
    },
    /// A backup would fill the disk.
    #[error("{bytes} bytes and the reserve of {reserve} are more than the {free} that are free")]
    NoRoom {
        /// Its size.
        bytes: u64,
        /// What is free where it would be.
        free: u64,
        /// What is to stay free.
        reserve: u64,
    },
    /// SQLite refuses.
    #[error("the database refuses")]
    Database(#[from] rusqlite::Error),
    /// Whoever waited for it is gone.
    #[error("nobody waits for it any more")]
    Abandoned,
    /// A thread of ours is gone.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Nobody knows what is on the disk after this (a sync that failed may have lost pages that the
    /// system believes are written): nothing more is written until a restart reads it again.
    pub(crate) fn is_final(&self) -> bool {
        use rusqlite::ErrorCode;
        let StoreError::Database(error) = self else {
            return false;
        };
        matches!(
            error.sqlite_error_code(),
            Some(
                ErrorCode::SystemIoFailure
                    | ErrorCode::DatabaseCorrupt
                    | ErrorCode::NotADatabase
                    | ErrorCode::FileLockingProtocolFailed
            )
        )
    }

    /// No room left on the disk.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, StoreError::Database(error)
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull))
    }
}

/// The head row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Number of records, and the index of the next one.
    pub size: u64,
    /// Epoch.
    pub epoch: u64,
    /// Since when it lasts; zero in the first.
    pub epoch_started: Timestamp,
    /// The newest trust bundle.
    pub bundle: BundleNumber,
}

/// Which trust bundle is the newest, and since when. It counts up with everything that hosts must
/// hear of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BundleNumber {
    /// Counts up within an epoch.
    pub number: u64,
    /// When what it says changed last.
    pub changed: Timestamp,
}

impl BundleNumber {
    /// Something changed that hosts must hear of.
    pub(crate) fn next(&mut self, now: Timestamp) {
        self.number = self.number.saturating_add(1);
        self.changed = now;
    }
}

/// An open store: the lock, readers, and until it is taken the one writing connection.
pub struct Store {
    options: StoreOptions,
    head_at_open: Head,
    epoch_before: Option<u64>,
    writer: Mutex<Option<Connection>>,
    readers: Mutex<Vec<Connection>>,
    pub(crate) reading: Arc<Semaphore>,
    pub(crate) backing_up: Arc<Semaphore>,
    /// What a test pretends to be free.
    #[cfg(test)]
    pretended: Mutex<Option<u64>>,
    /// Held while the store is open; released by the system when the process dies.
    _lock: File,
}

impl Store {
    /// Opens the file or makes it; older versions are migrated after a copy, newer ones refused.
    pub fn open(options: StoreOptions) -> Result<Store, StoreError> {
        let path = &options.path;
        let lock = lock(path)?;
        private_file(path)?;
        let mut connection = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        // Before anything is written: a newer or foreign file stays as it is.
        migrate::check(&connection, path, migrate::STEPS)?;
        settle(&connection)?;
        migrate::migrate(&mut connection, path, migrate::STEPS)?;
        let head_at_open = ledger::head(&connection)?;
        let epoch_before = epoch_before(&connection)?;
        Ok(Store {
            options,
            head_at_open,
            epoch_before,
            writer: Mutex::new(Some(connection)),
            readers: Mutex::new(Vec::new()),
            reading: Arc::new(Semaphore::new(READERS)),
            backing_up: Arc::new(Semaphore::new(1)),
            #[cfg(test)]
            pretended: Mutex::default(),
            _lock: lock,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.options.path
    }

    /// The epoch; it changes only while nobody serves.
    pub fn epoch(&self) -> u64 {
        self.head_at_open.epoch
    }

    /// The epoch before the last restore, if there was one.
    pub fn epoch_before(&self) -> Option<u64> {
        self.epoch_before
    }

    /// The newest trust bundle when the store was opened.
    pub(crate) fn bundle_at_open(&self) -> BundleNumber {
        self.head_at_open.bundle
    }

    /// Since when the epoch lasts; zero in the first.
    pub fn epoch_started(&self) -> Timestamp {
        self.head_at_open.epoch_started
    }

    /// How full the disk is.
    pub fn disk(&self) -> DiskState {
        let free = self.free_at(&self.options.path);
        if free >= self.options.reserve {
            DiskState::Ample
        } else if free >= self.options.reserve / 4 {
            DiskState::Reserve
        } else {
            DiskState::Full
        }
    }

    /// Free bytes of the file system that holds this file or folder.
    #[cfg(not(test))]
    fn free_at(&self, path: &Path) -> u64 {
        free_bytes(path)
    }

    #[cfg(test)]
    fn free_at(&self, path: &Path) -> u64 {
        guard(&self.pretended).unwrap_or_else(|| free_bytes(path))
    }

    fn reserve(&self) -> u64 {
        self.options.reserve
    }

    /// From now on so many bytes are free.
    #[cfg(test)]
    pub(crate) fn pretend_free(&self, bytes: u64) {
        *guard(&self.pretended) = Some(bytes);
    }

    /// The one writing connection, once.
    pub(crate) fn take_writer(&self) -> Result<Connection, StoreError> {
        guard(&self.writer).take().ok_or(StoreError::Closed)
    }

    /// Reads off the async threads, from one consistent snapshot.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = Arc::clone(self);
        in_turn(&self.reading, move |abandoned| {
            store.read_now(abandoned, read)
        })
        .await
    }

    fn read_now<T>(
        &self,
        abandoned: &Abandoned,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let idle = guard(&self.readers).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => open_reader(&self.options.path)?,
        };
        abandoned.interrupts(&mut connection)?;
        let snapshot = connection.transaction()?;
        let answer = read(&snapshot);
        drop(snapshot);
        if connection.is_autocommit() {
            guard(&self.readers).push(connection);
        }
        answer
    }
}

/// Works off the async threads when it is its turn. The turn belongs to the work and not to whoever
/// waits for it: one who is gone has not ended what goes on, only asked it to end.
async fn in_turn<T: Send + 'static>(
    turns: &Arc<Semaphore>,
    work: impl FnOnce(&Abandoned) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let Ok(turn) = Arc::clone(turns).acquire_owned().await else {
        return Err(StoreError::Closed);
    };
    let abandoned = Abandoned::default();
    let _waiting = Waiting(abandoned.clone());
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        abandoned.check()?;
        work(&abandoned)
    })
    .await
    .map_err(|_| StoreError::Closed)?
}

/// Tells a thread of ours whether whoever waited for its work is gone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Abandoned(Arc<AtomicBool>);

/// Somebody waits, until this is dropped.
struct Waiting(Abandoned);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

impl Abandoned {
    fn is_true(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// An error once nobody waits.
    fn check(&self) -> Result<(), StoreError> {
        if self.is_true() {
            return Err(StoreError::Abandoned);
        }
        Ok(())
    }

    /// Statements of this connection end once nobody waits, whatever they are at.
    fn interrupts(&self, connection: &mut Connection) -> Result<(), StoreError> {
        let abandoned = self.clone();
        connection.progress_handler(STEPS_BETWEEN_LOOKS, Some(move || abandoned.is_true()))?;
        Ok(())
    }
}

/// What a connection needs besides the path. Settings that live in the file are set by the writer.
fn settle(connection: &Connection) -> Result<(), StoreError> {
    connection.pragma_update(None, "journal_mode", "wal")?;
    // FULL: the WAL is synced at every commit, so that what is acknowledged survives a power cut.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "journal_size_limit", WAL_KEPT_BYTES)?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(())
}

fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(connection)
}

/// `NAME.lock` beside the database, and not the database itself: closing any descriptor of that
/// would drop SQLite's own locks.
fn lock(path: &Path) -> Result<File, StoreError> {
    let path = beside(path, ".lock");
    let file = private_file(&path)?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| StoreError::InUse(path))?;
    Ok(file)
}

/// Opens or makes a file that only its owner can read. SQLite gives `-wal` and `-shm` the same mode.
pub(crate) fn private_file(path: &Path) -> Result<File, StoreError> {
    let fail = |cause| StoreError::File {
        path: path.to_owned(),
        cause,
    };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(fail)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))
        .map_err(fail)?;
    Ok(file)
}

/// The path with something appended to the file's name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Bytes free for us; none where the file system does not say, so that we stop rather than guess.
fn free_bytes(path: &Path) -> u64 {
    rustix::fs::statvfs(path).map_or(0, |fs| fs.f_bavail.saturating_mul(fs.f_frsize))
}

/// A lock whose holder panicked guards plain values only: they are still whole.
pub(crate) fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The epoch of a ledger that somebody else may be serving; changes nothing. None: there is none yet.
pub fn epoch_at(path: &Path) -> Result<Option<u64>, StoreError> {
    if !path.exists() {
        return Ok(None);
    }
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    let (version, _) = migrate::check(&connection, path, migrate::STEPS)?;
    match version {
        0 => Ok(None),
        _ => Ok(Some(ledger::head(&connection)?.epoch)),
    }
}

/// What the record of the present epoch says of the one before.
fn epoch_before(connection: &Connection) -> Result<Option<u64>, StoreError> {
    let Some(row) = ledger::last_of(connection, ledger::InForce::Epoch)? else {
        return Ok(None);
    };
    let leaf = Leaf::decode(&row.leaf)
        .map_err(|_| StoreError::Damaged("the record of the epoch is not readable"))?;
    Ok(match leaf.facts.get("epoch_before") {
        Some(Fact::Number(before)) => Some(*before),
        _ => None,
    })
}

/// SQLite's integers are signed; what does not fit is damage, not a number.
pub(crate) fn to_sql(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::Damaged("a number does not fit"))
}

/// See [`to_sql`].
pub(crate) fn from_sql(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| StoreError::Damaged("a number is negative"))
}

/// Makes the entries of a folder durable: a new or renamed file is there after a power cut.
pub(crate) fn sync_folder_of(path: &Path) -> Result<(), StoreError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|cause| StoreError::File {
            path: folder.to_owned(),
            cause,
        })
}

const READERS: usize = 4;
/// Of SQLite's machine: some tens of microseconds.
const STEPS_BETWEEN_LOOKS: i32 = 1000;
const WRITER_CACHE_KIB: i64 = 6 * 1024;
const READER_CACHE_KIB: i64 = 512;
const WAL_KEPT_BYTES: i64 = 24 << 20;

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    fn store() -> (tempfile::TempDir, Arc<Store>) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(StoreOptions::new(folder.path().join("ledger.db"))).unwrap();
        (folder, Arc::new(store))
    }

    /// Polls it once.
    async fn at_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = std::future::ready(()) => None,
        }
    }

    #[tokio::test]
    async fn a_read_that_was_given_up_keeps_its_turn_until_it_is_over() {
        let (_folder, store) = store();
        let mut ends = Vec::new();
        for _ in 0..READERS {
            let (began, begun) = tokio::sync::oneshot::channel();
            let (end, ended) = std::sync::mpsc::channel::<()>();
            let reading = store.read(move |_| {
                began.send(()).unwrap();
                let _ = ended.recv();
                Ok(())
            });
            tokio::select! {
                _ = reading => panic!("it waits"),
                begun = begun => begun.unwrap(),
            }
            ends.push(end);
        }
        let mut next = Box::pin(store.read(|_| Ok(())));
        assert!(at_once(&mut next).await.is_none());
        assert_eq!(store.reading.available_permits(), 0, "all still read");
        ends.pop();
        next.await.unwrap();
    }

    #[tokio::test]
    async fn a_read_that_was_given_up_does_not_go_on() {
        let (_folder, store) = store();
        for _ in 0..READERS {
            let (began, begun) = tokio::sync::oneshot::channel();
            let reading = store.read(move |connection| {
                began.send(()).unwrap();
                let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) \
                     SELECT max(i) FROM n";
                Ok(connection.query_row(endless, [], |row| row.get::<_, i64>(0))?)
            });
            tokio::select! {
                _ = reading => panic!("it has no end"),
                begun = begun => begun.unwrap(),
            }
        }
        // The connections are as good as before.
        for _ in 0..=READERS {
            store.read(ledger::head).await.unwrap();
        }
    }

    fn failure(code: i32) -> StoreError {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None).into()
    }

    #[test]
    fn after_a_failed_sync_nothing_more_is_written() {
        for code in [
            ffi::SQLITE_IOERR_FSYNC,
            ffi::SQLITE_IOERR_WRITE,
            ffi::SQLITE_CORRUPT,
        ] {
            assert!(failure(code).is_final(), "{code}");
        }
        for code in [
            ffi::SQLITE_FULL,
            ffi::SQLITE_BUSY,
            ffi::SQLITE_CONSTRAINT_UNIQUE,
        ] {
            assert!(
                !failure(code).is_final(),
                "{code}: the batch is undone, and it goes on"
            );
        }
        assert!(failure(ffi::SQLITE_FULL).is_full());
    }
}
