//! The one writer: a thread with the one connection that writes, and group commit.
//!
//! In: [`Write`]s over a channel. Out: an [`Outcome`] for each, once it is durable. What waits while
//! one commit is on its way to the disk goes into the next; nobody waits to fill a batch. Keeps
//! invariants 1 and 4: everything that must still hold is asked again here, in the same transaction.
//!
//! Within a batch a write is checked whole before its first row changes, so a refused one leaves
//! nothing behind; a fault of the store undoes the batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use jit_ssh_api::admin::Name;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot, watch};

use super::LedgerError;
use super::record::Entry;
use crate::host::watch::Watch;
use crate::login::cache::LoginCache;
use crate::login::{KeyHash, LiveLogin, LoginId};
use crate::revocation::lock::{LockKind, LockSet};
use crate::store::checkpoint::Checkpoints;
use crate::store::hosts::{self, HostRow};
use crate::store::ledger::{self as records, InForce, Serial};
use crate::store::logins::LoginRow;
use crate::store::revocations;
use crate::store::{BundleNumber, Head, Store, StoreError};
use crate::time::Timestamp;

pub(super) mod host;
mod login;
mod revocation;
mod step;

use host::HostWork;
pub(crate) use revocation::{Revoke, Taken, Touched, Unlock};
use step::{Failure, Step};

/// What is written even when the disk is nearly full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// What ends a login, and who ended it: always.
    Ending,
    /// Certificates, what a token said of a login, policies and key sets, whatever else an admin
    /// changes: may use the reserve.
    Issuing,
    /// Refusals, their summaries, and who read what: stops at the reserve, and is counted.
    Ordinary,
}

/// One write: all of it, or nothing.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) now: Timestamp,
    pub(crate) class: Class,
    pub(crate) who: Who,
    pub(crate) work: Work,
}

/// Whom a write is about.
#[derive(Debug)]
pub(crate) enum Who {
    /// Nobody in particular.
    Nobody,
    /// A login, which must live, and whose pending change is written first.
    Login {
        login: LiveLogin,
        username: Option<String>,
    },
    /// A person without a login.
    Person {
        issuer: String,
        subject: String,
        person: String,
    },
}

/// What is written.
#[derive(Debug)]
pub(crate) enum Work {
    /// Nothing beside the login's change.
    LoginOnly,
    /// The head row as it is, to see whether the disk takes it.
    Probe,
    /// A certificate that is about to be signed.
    Certificate {
        entry: Entry,
        serial: Serial,
        /// Of what: it must not be locked.
        role: String,
    },
    /// Any other record.
    Record(Entry),
    /// The end of a login.
    End { id: LoginId, entry: Entry },
    /// A policy or key set in force, unless the last record of its kind says so already.
    InForce {
        kind: InForce,
        entry: Entry,
        /// The fact that tells one from another, with its value.
        says: (&'static str, String),
        /// A policy's text, to be kept under that value.
        text: Option<String>,
    },
    /// What is taken away, with all that is alive of it.
    Revoke(Box<Revoke>),
    /// A lock that goes.
    Unlock(Box<Unlock>),
    /// A name that somebody else may have from now on.
    FreeName { name: Name, entry: Entry },
    /// Something of invitations or hosts.
    Host(Box<HostWork>),
}

/// What became of a write.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// Index of the record that was asked for.
    pub(crate) index: Option<u64>,
    /// When the login ended, for [`Work::End`].
    pub(crate) ended: Option<Timestamp>,
    /// What was taken away, for [`Work::Revoke`] and [`Work::End`].
    pub(crate) touched: Option<Box<Touched>>,
    /// The bundle that says so, for [`Work::Host`].
    pub(crate) bundle: BundleNumber,
    /// Serials of what was revoked with it.
    pub(crate) serials: Vec<u64>,
}

/// A handle on the thread.
pub(crate) struct Writer {
    sender: Option<mpsc::Sender<Job>>,
    writing: Arc<AtomicBool>,
    bundles: watch::Receiver<BundleNumber>,
    locks: Arc<LockSet>,
    hosts: Arc<Watch>,
    thread: Option<JoinHandle<()>>,
}

struct Job {
    write: Write,
    reply: oneshot::Sender<Result<Outcome, LedgerError>>,
}

impl Writer {
    /// Starts the thread on the store's writing connection.
    pub(crate) fn start(store: &Arc<Store>, cache: &Arc<LoginCache>) -> Result<Self, StoreError> {
        let (sender, receiver) = mpsc::channel(WAITING);
        let writing = Arc::new(AtomicBool::new(true));
        let (newer_bundle, bundles) = watch::channel(store.bundle_at_open());
        let mut connection = store.take_writer()?;
        let locks = Arc::new(LockSet::new(revocations::locks(&connection)?));
        let checkpoints = Checkpoints::start(&mut connection, store.path())?;
        let living = hosts::living(&connection)?;
        let hosts = Arc::new(Watch::new(living, store.epoch_started()));
        let mut task = Task {
            stopped: false,
            writing: Arc::clone(&writing),
            checkpoints,
            connection,
            store: Arc::clone(store),
            newer_bundle,
            newest: None,
            hosts: Arc::clone(&hosts),
            cache: Arc::clone(cache),
            locks: Arc::clone(&locks),
        };
        let thread = std::thread::Builder::new()
            .name("ledger".into())
            .spawn(move || task.run(receiver))
            .map_err(|cause| StoreError::File {
                path: store.path().to_owned(),
                cause,
            })?;
        Ok(Writer {
            sender: Some(sender),
            writing,
            bundles,
            locks,
            hosts,
            thread: Some(thread),
        })
    }

    /// Whether the last batch was written; after a final fault none ever is.
    pub(crate) fn is_writing(&self) -> bool {
        self.writing.load(Ordering::Relaxed)
    }

    /// The newest trust bundle, and whoever comes after it.
    pub(crate) fn bundles(&self) -> watch::Receiver<BundleNumber> {
        self.bundles.clone()
    }

    /// Who is locked, as of the last commit.
    pub(crate) fn locks(&self) -> &LockSet {
        &self.locks
    }

    /// The hosts that live.
    pub(crate) fn hosts(&self) -> &Arc<Watch> {
        &self.hosts
    }

    /// Durable on return. A caller that goes away meanwhile changes nothing.
    pub(crate) async fn write(&self, write: Write) -> Result<Outcome, LedgerError> {
        let (reply, answer) = oneshot::channel();
        let sender = self.sender.as_ref().ok_or(LedgerError::Stopped)?;
        sender
            .try_send(Job { write, reply })
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => LedgerError::Overloaded,
                mpsc::error::TrySendError::Closed(_) => LedgerError::Stopped,
            })?;
        answer.await.map_err(|_| LedgerError::Stopped)?
    }
}

impl Drop for Writer {
    /// Waits for the last commit: what was taken is written.
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Task {
    checkpoints: Checkpoints,
    connection: Connection,
    store: Arc<Store>,
    cache: Arc<LoginCache>,
    locks: Arc<LockSet>,
    hosts: Arc<Watch>,
    /// Who holds a request for a newer bundle hears of it here, once it is durable.
    newer_bundle: watch::Sender<BundleNumber>,
    /// What to tell them, once it is.
    newest: Option<BundleNumber>,
    /// After a final fault: see [`StoreError::is_final`].
    stopped: bool,
    /// What [`Writer::is_writing`] says.
    writing: Arc<AtomicBool>,
}

/// A job with what came of it, and what to tell the cache.
type Done = (
    oneshot::Sender<Result<Outcome, LedgerError>>,
    Result<Outcome, LedgerError>,
);

impl Task {
    fn run(&mut self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(first) = jobs.blocking_recv() {
            let mut replies: Vec<Done> = Vec::new();
            let mut committed = Vec::new();
            let result = if self.stopped {
                replies.push((first.reply, Err(LedgerError::Stopped)));
                Ok(())
            } else {
                let result = self.batch(first, &mut jobs, &mut replies, &mut committed);
                self.writing.store(result.is_ok(), Ordering::Relaxed);
                result
            };
            match result {
                Ok(()) => {
                    for news in committed {
                        news.tell(&self.cache, &self.locks, &self.hosts);
                    }
                    // After the news: whoever wakes up by it finds what it is about.
                    self.newer_bundle.send_if_modified(|newest| {
                        let newer = self.newest.is_some_and(|number| number != *newest);
                        *newest = self.newest.take().unwrap_or(*newest);
                        newer
                    });
                    // Dying here: the records are there, nobody has heard of them, no signature
                    // was made. A certificate's record without a signature harms nobody; a login
                    // is found again by its token.
                    for (reply, outcome) in replies {
                        let _ = reply.send(outcome);
                    }
                    if !self.stopped
                        && let Err(fault) = self.checkpoints.after_commit(&self.connection)
                    {
                        self.failed(fault);
                    }
                }
                Err(fault) => {
                    // The batch is undone, for everybody in it.
                    let fault = self.failed(fault);
                    for (reply, _) in replies {
                        let _ = reply.send(Err(fault.clone()));
                    }
                }
            }
        }
    }

    /// Says it to the operator, and remembers whether it is for good.
    fn failed(&mut self, fault: StoreError) -> LedgerError {
        self.stopped = fault.is_final();
        self.writing.store(false, Ordering::Relaxed);
        let fault = LedgerError::from(fault);
        tracing::error!(
            error = &fault as &dyn std::error::Error,
            "the ledger cannot write"
        );
        fault
    }

    fn batch(
        &mut self,
        first: Job,
        jobs: &mut mpsc::Receiver<Job>,
        replies: &mut Vec<Done>,
        committed: &mut Vec<News>,
    ) -> Result<(), StoreError> {
        let disk = self.store.disk();
        let epoch = self.store.epoch();
        let mut next = Some(first);
        let started = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = match started {
            Ok(transaction) => transaction,
            Err(error) => {
                replies.extend(next.map(|job: Job| (job.reply, Err(LedgerError::Stopped))));
                return Err(error.into());
            }
        };
        let mut fault = None;
        let mut head = Head::default();
        match records::head(&transaction) {
            Ok(found) if found.epoch == epoch => head = found,
            Ok(_) => fault = Some(StoreError::Damaged("the epoch changed while serving")),
            Err(error) => fault = Some(error),
        }
        let before = head;
        while let Some(Job { write, reply }) = next.take() {
            let outcome = match fault {
                Some(_) => Err(LedgerError::Stopped),
                None => {
                    let mut step = Step {
                        connection: &transaction,
                        head: &mut head,
                        committed,
                    };
                    match step.apply(write, disk) {
                        Ok(outcome) => Ok(outcome),
                        Err(Failure::Refused(refused)) => Err(refused),
                        Err(Failure::Fault(error)) => {
                            fault = Some(error);
                            Err(LedgerError::Stopped)
                        }
                    }
                }
            };
            replies.push((reply, outcome));
            if fault.is_none() && replies.len() < BATCH {
                next = jobs.try_recv().ok();
            }
        }
        // Dying up to here: nothing of the batch is there, nobody has heard of it.
        if let Some(error) = fault {
            return Err(error);
        }
        if head != before {
            records::set_head(&transaction, head)?;
        }
        transaction.commit()?;
        // From here on all of the batch is there, also after a power cut.
        if head.bundle != before.bundle {
            self.newest = Some(head.bundle);
        }
        Ok(())
    }
}

/// What caches hear once a batch is durable.
enum News {
    Opened(LiveLogin, u64),
    Refreshed(LiveLogin, u64),
    Ended(LoginRow),
    Locked(LockKind, String),
    Unlocked(LockKind, String),
    Host(Arc<HostRow>),
    HostRevoked(String),
}

impl News {
    fn tell(self, cache: &LoginCache, locks: &LockSet, hosts: &Watch) {
        match self {
            News::Opened(login, record) => {
                let _ = login.state.identity_record.set(record);
                cache.opened(login.state);
            }
            News::Refreshed(login, record) => {
                let _ = login.state.identity_record.set(record);
                cache.refreshed(login.state);
            }
            News::Ended(row) => cache.ended(&KeyHash(row.key)),
            News::Locked(kind, value) => locks.add(kind, value),
            News::Unlocked(kind, value) => locks.remove(kind, &value),
            News::Host(row) => hosts.lives(row),
            News::HostRevoked(id) => hosts.revoked(&id),
        }
    }
}

const WAITING: usize = 4096;
const BATCH: usize = 512;
