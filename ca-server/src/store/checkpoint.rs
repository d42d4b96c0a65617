//! Copying the write-ahead log back into the database, beside the writer.
//!
//! In: how long the log is after each commit. Out: a log that stays short. SQLite would copy the whole
//! log inside of a commit, and all who wait for that commit would wait for it. Here a thread copies
//! most of it while the writer goes on; then the writer copies the little that came meanwhile, after it
//! has answered, and its next commit begins the log anew.
//! <https://www.sqlite.org/wal.html#ckpt>
//!
//! What is acknowledged is in the log, and synced, before any of this: a copy that is late or fails
//! loses nothing. One that fails for good stops the writer ([`StoreError::is_final`]), since a later one
//! could succeed without what the disk lost.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::hooks::Wal;
use rusqlite::{Connection, OpenFlags};

use super::StoreError;

/// Keeps the log of one database short; belongs to its one writer.
pub(crate) struct Checkpoints {
    /// Pages of the log after the last commit.
    log: Arc<AtomicU32>,
    /// Pages from which on it is copied.
    due: u32,
    /// The thread has an order whose report was not taken yet.
    copying: bool,
    order: Option<SyncSender<()>>,
    done: Receiver<Result<(), StoreError>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    /// Takes over from SQLite's own way of it, on the connection that writes.
    pub(crate) fn start(writer: &mut Connection, path: &Path) -> Result<Self, StoreError> {
        let log = Arc::new(AtomicU32::new(0));
        let length = Arc::clone(&log);
        writer.wal_hook(Some(move |_: &mut Wal, pages| {
            length.store(u32::try_from(pages).unwrap_or(u32::MAX), Ordering::Relaxed);
            Ok(())
        }))?;
        let connection = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "trusted_schema", false)?;
        let (order, orders) = sync_channel::<()>(1);
        let (report, done) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("checkpoint".into())
            .spawn(move || {
                while orders.recv().is_ok() {
                    if report.send(copy(&connection).map(drop)).is_err() {
                        return;
                    }
                }
            })
            .map_err(|cause| StoreError::File {
                path: path.to_owned(),
                cause,
            })?;
        Ok(Checkpoints {
            log,
            due: BEGIN,
            copying: false,
            order: Some(order),
            done,
            thread: Some(thread),
        })
    }

    /// After a commit, when those who waited for it have their answer.
    pub(crate) fn after_commit(&mut self, writer: &Connection) -> Result<(), StoreError> {
        let pages = self.log.load(Ordering::Relaxed);
        if pages < self.due {
            return Ok(());
        }
        if !self.copying {
            let order = self.order.as_ref().ok_or(StoreError::Closed)?;
            order.send(()).map_err(|_| StoreError::Closed)?;
            self.copying = true;
            return Ok(());
        }
        let copied = if pages < self.due.saturating_add(AHEAD) {
            self.done.try_recv().ok()
        } else {
            // The disk takes commits faster than copies of them: the log must not grow for ever.
            match self.done.recv_timeout(PATIENCE) {
                Ok(copied) => Some(copied),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Err(StoreError::Closed),
            }
        };
        let Some(copied) = copied else { return Ok(()) };
        self.copying = false;
        copied?;
        self.due = if copy(writer)? {
            BEGIN
        } else {
            // Somebody reads from before: what they see cannot be overwritten yet.
            pages.saturating_add(BEGIN)
        };
        Ok(())
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.order = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Whether all of the log is in the database now.
fn copy(connection: &Connection) -> Result<bool, StoreError> {
    let (pages, copied) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    })?;
    Ok(pages == copied)
}

/// Pages of the log (4 KiB each) from which on it is copied.
const BEGIN: u32 = 2500;
/// Pages that the writer may be ahead of the copy before it waits.
const AHEAD: u32 = 4 * BEGIN;
/// What the writer waits then, at most.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Store, StoreOptions, beside};

    struct Fixture {
        _folder: tempfile::TempDir,
        store: Store,
        writer: Connection,
        checkpoints: Checkpoints,
        rows: usize,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(StoreOptions::new(folder.path().join("ledger.db"))).unwrap();
            let mut writer = store.take_writer().unwrap();
            let checkpoints = Checkpoints::start(&mut writer, store.path()).unwrap();
            Fixture {
                _folder: folder,
                store,
                writer,
                checkpoints,
                rows: 0,
            }
        }

        /// Commits that many MiB, each with its own look at the log.
        fn write(&mut self, mebibytes: usize) {
            for _ in 0..mebibytes {
                self.rows += 1;
                self.writer
                    .execute(
                        "INSERT INTO policies (digest, text) VALUES (?1, ?2)",
                        (self.rows.to_string(), "x".repeat(1 << 20)),
                    )
                    .unwrap();
                self.checkpoints.after_commit(&self.writer).unwrap();
            }
        }

        fn log_mebibytes(&self) -> u64 {
            let log = beside(self.store.path(), "-wal");
            std::fs::metadata(log).unwrap().len() >> 20
        }
    }

    #[test]
    fn the_log_stays_short_however_much_is_written() {
        let mut fixture = Fixture::new();
        fixture.write(200);
        // Begin, ahead, and what one commit adds; without a copy it would be 200.
        let longest = u64::from(BEGIN + AHEAD) * 4 / 1024 + 2;
        let length = fixture.log_mebibytes();
        assert!(length <= longest, "{length} MiB, at most {longest}");
    }

    #[test]
    fn a_long_read_delays_the_copy_and_nothing_is_lost() {
        let mut fixture = Fixture::new();
        fixture.write(1);
        let reader = Connection::open(fixture.store.path()).unwrap();
        reader.execute_batch("BEGIN").unwrap();
        let seen = |reader: &Connection| {
            reader
                .query_row("SELECT count(*) FROM policies", [], |row| {
                    row.get::<_, u32>(0)
                })
                .unwrap()
        };
        assert_eq!(seen(&reader), 1);
        fixture.write(60);
        assert_eq!(seen(&reader), 1, "its snapshot");
        assert!(
            fixture.log_mebibytes() >= 60,
            "all of it is still in the log"
        );
        reader.execute_batch("COMMIT").unwrap();
        assert_eq!(seen(&reader), 61);
        fixture.write(60);
        let before = fixture.log_mebibytes();
        fixture.write(60);
        assert!(fixture.log_mebibytes() <= before, "it begins anew again");
        assert_eq!(seen(&reader), 181);
    }

    #[test]
    fn a_copy_that_fails_is_told_to_the_writer() {
        let mut fixture = Fixture::new();
        fixture.checkpoints.done = {
            let (report, done) = sync_channel(1);
            let failed = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC);
            let failed = rusqlite::Error::SqliteFailure(failed, None);
            report.send(Err(failed.into())).unwrap();
            done
        };
        fixture.checkpoints.copying = true;
        fixture.checkpoints.log.store(BEGIN, Ordering::Relaxed);
        let told = fixture.checkpoints.after_commit(&fixture.writer);
        assert!(told.unwrap_err().is_final());
    }
}
