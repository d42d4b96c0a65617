//! The serving process: start, TLS, ready, graceful stop. In: a data folder. Out: a CA that answers,
//! within a fraction of a second: what needs the network is fetched behind its back.
//!
//! Keeps invariant 8: without configuration, policy, ledger, keys and a signed key set there is no
//! start; and one data folder is served by one process only.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use rand::RngCore as _;
use ssh_key::PublicKey;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::config::{self, LogFormat, Tls};
use crate::data::{KEYS, LEDGER};
use crate::entropy;
use crate::host::bundle::Lists;
use crate::http::rate::Rate;
use crate::http::replay::ReplayWindow;
use crate::ledger::{Ledger, LedgerError};
use crate::login::Logins;
use crate::metrics::Metrics;
use crate::secret::Secret;
use crate::sign_in::SignIns;
use crate::signer::key_set::{self, KeySetError, Loaded};
use crate::signer::{KeyFolder, SignerError};
use crate::store::{self, StoreError, StoreOptions, backup};
use crate::time::Clock;

pub(crate) mod connections;
pub mod lock;
pub mod reload;
pub(crate) mod state;
mod systemd;
#[cfg(test)]
pub(crate) mod testing;
pub mod tls;
pub(crate) mod trusted;
pub(crate) mod writes;

use connections::{CurrentTls, Open};
use lock::{AdminSocket, DataLock, LockError};
use reload::{ReloadError, Watched};
use state::{Reloaded, RequestIds, State};
use tls::TlsError;
use trusted::Trusted;

/// What to serve.
#[derive(Debug)]
pub struct ServeOptions {
    /// The data folder.
    pub data: PathBuf,
    /// The system's clock, or a test's.
    pub clock: Clock,
    /// Unlocks the keys.
    pub passphrase: Option<Secret<String>>,
    /// Listens here instead of where the configuration says.
    pub listen: Option<SocketAddr>,
}

/// Why the CA does not start; the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Somebody else serves it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Configuration or policy.
    #[error(transparent)]
    Files(#[from] ReloadError),
    /// The keys.
    #[error(transparent)]
    Keys(#[from] SignerError),
    /// The key set.
    #[error(transparent)]
    KeySet(#[from] KeySetError),
    /// The key set is of other data.
    #[error(
        "the key set is for {found}, but this folder is {expected}: sign a new one (docs/operating.md)"
    )]
    OtherKeySet {
        /// Name and epoch in the key set.
        found: String,
        /// Name and epoch here.
        expected: String,
    },
    /// The ledger cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ledger cannot be written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The TLS identity.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        cause: std::io::Error,
    },
    /// The runtime or a signal handler.
    #[error("cannot start: {0}")]
    System(std::io::Error),
}

/// Why the CA serves no more; the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It never did.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It was asked to stop and did, but what was only counted is in no record.
    #[error(transparent)]
    Stop(LedgerError),
}

/// A CA that serves. Dropping it stops it at once; [`Running::stop`] lets requests finish.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its admin socket.
    pub admin_socket: PathBuf,
    state: Arc<State>,
    tls: CurrentTls,
    stop: watch::Sender<bool>,
    _lock: DataLock,
}

/// Starts a CA in this runtime.
pub async fn start(options: ServeOptions) -> Result<Running, StartError> {
    let ServeOptions {
        data,
        clock,
        passphrase,
        listen,
    } = options;
    let lock = DataLock::acquire(&data)?;
    backup::remove_left(&data);
    let mut watched = Watched::new(&data);
    let mut snapshot = reload::read(&data, None)?;
    let folder = KeyFolder::read(&data.join(KEYS))?;
    // Before the key set: after a restore it must be one of the ledger's new epoch.
    let epoch = store::epoch_at(&data.join(LEDGER))?;
    let key_set = match key_set::load_in(&data, folder.identity(), epoch) {
        Err(KeySetError::Unsigned { command }) => {
            // What would keep the CA from serving is said before the wait.
            let wanted = key_set::to_sign(&data)?;
            let profile = snapshot.config.profile;
            trusted::unlock(&folder, &wanted, profile, passphrase.as_ref())?;
            let signed = wait_for_signature(&data, folder.identity(), epoch, &command).await?;
            // That may have taken days: what the files say by now is what counts.
            watched = Watched::new(&data);
            snapshot = reload::read(&data, None)?;
            signed
        }
        loaded => loaded?,
    };
    let profile = snapshot.config.profile;
    let trusted = Arc::new(Trusted::open(
        &folder,
        key_set,
        profile,
        passphrase.as_ref(),
    )?);
    drop(passphrase);
    let key_set = &trusted.key_set;
    let store = StoreOptions {
        reserve: snapshot.config.disk_reserve,
        ..StoreOptions::new(data.join(LEDGER))
    };
    let ledger = Ledger::open(store, entropy::from_system())?;
    of_this_ca(key_set, &snapshot.config.name, ledger.epoch())?;
    let now = clock.now();
    ledger
        .record_policy(snapshot.policy.digest(), snapshot.policy.text(), now)
        .await?;
    let signed = serde_json::to_string(&key_set.signed).unwrap_or_default();
    ledger
        .record_key_set(key_set.set.epoch, key_set.set.number, &signed, now)
        .await?;
    let policy_since = ledger
        .policy_in_force()
        .await?
        .map_or(now, |(_, since)| since);

    let tls: CurrentTls = match &snapshot.config.listen.tls {
        Tls::None => None,
        Tls::Files { certificate, key } => {
            watched.add([data.join(certificate), data.join(key)]);
            let config = tls::load(&data.join(certificate), &data.join(key))?;
            Some(Arc::new(ArcSwap::new(config)))
        }
    };
    let address = listen.unwrap_or(snapshot.config.listen.address);
    let listener = TcpListener::bind(address)
        .await
        .map_err(|cause| StartError::Listen { address, cause })?;
    let address = listener
        .local_addr()
        .map_err(|cause| StartError::Listen { address, cause })?;
    let socket = AdminSocket::bind(&data, &lock)?;
    let admin_socket = socket.path.clone();

    let mut rng = entropy::from_system();
    let state = Arc::new(State {
        trusted: ArcSwap::new(Arc::clone(&trusted)),
        logins: Logins::new(Arc::clone(&ledger)),
        head_time: snapshot.config.limits.head_time,
        snapshot: ArcSwap::from_pointee(snapshot),
        request_ids: RequestIds::new(rng.next_u32()),
        rng: Mutex::new(rng),
        replay: ReplayWindow::new(),
        peers: Rate::new(),
        people: Rate::new(),
        certificates: Rate::per_day(),
        host_certificates: Rate::per_day(),
        host_requests: Rate::new(),
        clones: Rate::per_day(),
        lists: Lists::default(),
        publishing: tokio::sync::RwLock::new(()),
        stopping: watch::channel(false).0,
        sign_ins: SignIns::default(),
        open: Arc::new(Open::default()),
        metrics: Metrics::new(),
        reload: Mutex::new(Reloaded {
            refused: None,
            tls_refused: None,
            policy_since,
        }),
        reloading: tokio::sync::Mutex::new(()),
        clock,
        data,
        ledger,
    });
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(connections::accept_tcp(
        listener,
        tls.clone(),
        state.clone(),
        stopped.clone(),
    ));
    tokio::spawn(connections::accept_admin(
        socket,
        state.clone(),
        stopped.clone(),
    ));
    tokio::spawn(reload::watch(
        state.clone(),
        tls.clone(),
        watched,
        stopped.clone(),
    ));
    tokio::spawn(reload::warm(state.clone(), stopped.clone()));
    tokio::spawn(tick(state.clone(), stopped));
    let fingerprint = trusted.keyring.fingerprint();
    let scheme = if tls.is_some() { "https" } else { "http" };
    tracing::info!(%address, scheme, identity = fingerprint, "listening");
    tokio::task::spawn_blocking(move || rest_of_keys(&trusted));
    Ok(Running {
        address,
        admin_socket,
        state,
        tls,
        stop,
        _lock: lock,
    })
}

impl Running {
    /// Reads configuration, policy and TLS files again, as SIGHUP does.
    pub async fn reload(&self) -> Result<(), ReloadError> {
        reload::reload(&self.state, &self.tls).await.whole()
    }

    /// `SHA256:…` of the identity key.
    pub fn fingerprint(&self) -> String {
        self.state.trusted.load().keyring.fingerprint()
    }

    /// Takes no more connections, lets requests finish (within `limits.stop_time`), and writes what
    /// was only counted, unless the disk's reserve is kept for more than that.
    pub async fn stop(self) -> Result<(), LedgerError> {
        let patience = self.state.snapshot.load().config.limits.stop_time;
        self.stop.send_replace(true);
        self.state.stopping.send_replace(true);
        // Every task holds a receiver until it is done.
        if tokio::time::timeout(patience, self.stop.closed())
            .await
            .is_err()
        {
            tracing::warn!("stopped with requests under way");
        }
        match self.state.ledger.flush(self.state.now()).await {
            Err(LedgerError::DiskFull) => {
                tracing::warn!(
                    "the disk is below its reserve: what was only counted is not recorded"
                );
            }
            flushed => flushed?,
        }
        // A task lets go of its receiver a moment before it lets go of the rest: the ledger is
        // closed when the last one has.
        let last = async {
            while Arc::strong_count(&self.state) > 1 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(1), last).await;
        Ok(())
    }
}

/// The key set, once the identity key, which is kept elsewhere, has signed it.
async fn wait_for_signature(
    data: &std::path::Path,
    identity: &PublicKey,
    epoch: Option<u64>,
    command: &str,
) -> Result<Loaded, KeySetError> {
    tracing::warn!(command, "waiting for the identity key's signature");
    systemd::notify(&format!(
        "STATUS=waiting for the identity key's signature: {command}"
    ));
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        match key_set::load_in(data, identity, epoch) {
            Err(KeySetError::Unsigned { .. }) => {}
            loaded => return loaded,
        }
    }
}

/// A key set of another CA, or from before a restore, would be refused by every client.
fn of_this_ca(key_set: &Loaded, name: &str, epoch: u64) -> Result<(), StartError> {
    let set = &key_set.set;
    if set.name == name && set.epoch == epoch {
        return Ok(());
    }
    Err(StartError::OtherKeySet {
        found: format!("{} in epoch {}", set.name, set.epoch),
        expected: format!("{name} in epoch {epoch}"),
    })
}

/// Keys that the start does not wait for.
fn rest_of_keys(trusted: &Trusted) {
    if let Err(error) = trusted.keyring.complete() {
        let error = error as &dyn std::error::Error;
        tracing::error!(error, "a key is not unlocked; user certificates go on");
    }
}

/// Summaries of what is only counted; and a look whether a ledger that could not write can again.
async fn tick(state: Arc<State>, mut stop: connections::Stop) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            _ = stop.changed() => return,
        }
        if let Err(error) = state.ledger.write_seen(state.now()).await {
            tracing::debug!(%error, "what was heard of hosts waits");
        }
        match state.ledger.tick(state.now()).await {
            Ok(()) => {}
            // Below the reserve summaries wait, as they are meant to; readiness and metrics tell of it.
            Err(LedgerError::DiskFull) if state.ledger.is_writing() => {}
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "the ledger does not write");
            }
        }
    }
}

/// Serves until SIGTERM or SIGINT; SIGHUP reloads. Installs the log and a runtime of its own.
pub fn run(options: ServeOptions) -> Result<(), ServeError> {
    let config = config::Config::load(&options.data)
        .map_err(ReloadError::from)
        .map_err(StartError::from)?;
    install_log(config.log);
    no_core_dumps();
    as_many_files_as_there_may_be();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(STACK)
        .max_blocking_threads(BLOCKING)
        .build()
        .map_err(StartError::System)?;
    runtime.block_on(serve(options))
}

async fn serve(options: ServeOptions) -> Result<(), ServeError> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).map_err(StartError::System)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::System)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(StartError::System)?;
    // A start that waits for a signature can be ended too.
    let running = tokio::select! {
        started = start(options) => started?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    systemd::notify("READY=1\nSTATUS=");
    loop {
        tokio::select! {
            _ = hangup.recv() => { let _already_told = running.reload().await; }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    systemd::notify("STOPPING=1");
    tracing::info!("stopping");
    running.stop().await.map_err(ServeError::Stop)
}

/// To standard error; a second call changes nothing.
fn install_log(log: config::Log) {
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(log.level)
        .with_target(false);
    let _ = match log.format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}

/// Keys never reach a core dump (invariant 9). Where the system refuses, it makes none either.
fn no_core_dumps() {
    let none = rustix::process::Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
}

/// Each host holds a connection, and the usual soft limit is 1024.
fn as_many_files_as_there_may_be() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Where the system refuses, there are fewer.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    );
}

const TICK: Duration = Duration::from_secs(5);
const STACK: usize = 512 * 1024;
const BLOCKING: usize = 8;

#[cfg(test)]
mod tests;
