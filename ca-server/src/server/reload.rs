//! Configuration and policy, read together: one valid snapshot or none. At the start a mistake ends
//! the start; later the old snapshot stays, loudly: in the log, in `/readyz`, in a metric.
//!
//! The TLS identity is a part of its own: it is taken or kept for itself, as loudly.
//!
//! Files are looked at each second (length, time of change, inode), which works on every file system
//! and with every editor; SIGHUP asks at once.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::config::{Config, ConfigError, Tls};
use crate::data;
use crate::identity::{FetchClient, FetchError, Identities};
use crate::ledger::LedgerError;
use crate::policy::{IssuerFacts, Policy, PolicyErrors};
use crate::server::connections::{CurrentTls, Stop};
use crate::server::state::{Snapshot, State};
use crate::server::tls::{self, TlsError};

/// Why the files make no snapshot; the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The policy cannot be read.
    #[error("{} cannot be read: {cause}", path.display())]
    PolicyUnreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The policy has mistakes.
    #[error("{}: {errors}", path.display())]
    Policy {
        /// Which file.
        path: PathBuf,
        /// All of them.
        errors: PolicyErrors,
    },
    /// The extra CA file.
    #[error("extra_ca: {0}")]
    ExtraCa(#[from] FetchError),
    /// The policy cannot be recorded, so it is not in force.
    #[error("the policy cannot be recorded: {0}")]
    Ledger(#[from] LedgerError),
    /// The TLS files.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The process is ending.
    #[error("the files were not read to the end")]
    Abandoned,
}

/// Reads `ca.toml` and `policy.toml` into one snapshot. What `previous` fixed until the next start
/// stays, and the keys of its issuers that did not change are kept.
pub(crate) fn read(folder: &Path, previous: Option<&Snapshot>) -> Result<Snapshot, ReloadError> {
    let mut config = Config::load(folder)?;
    if let Some(previous) = previous {
        let keys = config.keep_fixed(&previous.config);
        if !keys.is_empty() {
            tracing::warn!(
                keys = keys.join(", "),
                "changed, but counts only from the next start"
            );
        }
    }
    if config.has_unknown_proxy() {
        tracing::warn!(
            "url is https, tls is none, and no trusted_proxies are named: everybody has the address \
             of the proxy, in limits, source rules, records and for metrics"
        );
    }
    let path = folder.join(data::POLICY);
    let text = std::fs::read(&path).map_err(|cause| ReloadError::PolicyUnreadable {
        path: path.clone(),
        cause,
    })?;
    let facts = IssuerFacts::from(config.issuers.as_slice());
    let policy = Policy::parse_bytes(&text, &facts)
        .map_err(|errors| ReloadError::Policy { path, errors })?;
    let client = fetch_client(folder, &config)?;
    let previous = previous.map(|snapshot| &snapshot.identities);
    let identities = Identities::new(config.issuers.clone(), client, previous);
    Ok(Snapshot::new(config, policy, identities))
}

fn fetch_client(data: &Path, config: &Config) -> Result<FetchClient, ReloadError> {
    let extra: Vec<PathBuf> = config.extra_ca.iter().map(|path| data.join(path)).collect();
    Ok(FetchClient::new(&extra)?)
}

/// What became of a reload. The two parts do not wait for one another: a certificate that was
/// renewed in time must not run out because of a mistake in the policy, nor a half-renewed pair keep
/// a good policy out.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Configuration and policy.
    files: Result<(), ReloadError>,
    /// Certificate and key.
    tls: Result<(), TlsError>,
}

impl Outcome {
    /// Nothing was refused.
    pub(crate) fn whole(self) -> Result<(), ReloadError> {
        self.files?;
        Ok(self.tls?)
    }
}

/// Takes what is on disk now, or keeps what is in force and says why.
pub(crate) async fn reload(state: &Arc<State>, tls: &CurrentTls) -> Outcome {
    let _one_at_a_time = state.reloading.lock().await;
    let (files, pair) = read_in_background(state, tls).await;
    let outcome = Outcome {
        files: take_files(state, files).await,
        tls: take_tls(tls, pair),
    };
    let said = |error: &dyn std::fmt::Display| error.to_string();
    let refused = outcome.files.as_ref().err().map(|error| said(error));
    let tls_refused = outcome.tls.as_ref().err().map(|error| said(error));
    state
        .metrics
        .reloaded(refused.is_none() && tls_refused.is_none());
    match &refused {
        None => tracing::info!("configuration and policy reloaded"),
        Some(why) => tracing::error!(
            why,
            "the files on disk are refused; the configuration and policy from before stay in force"
        ),
    }
    if let Some(why) = &tls_refused {
        tracing::error!(
            why,
            "the TLS identity on disk is refused; the one from before is still served"
        );
    }
    let mut reload = state.reload.lock().unwrap_or_else(PoisonError::into_inner);
    reload.refused = refused;
    reload.tls_refused = tls_refused;
    drop(reload);
    outcome
}

type Pair = Result<Option<Arc<rustls::ServerConfig>>, TlsError>;

/// Both parts; a slow disk or a large trust store holds up no request.
async fn read_in_background(
    state: &Arc<State>,
    tls: &CurrentTls,
) -> (Result<Snapshot, ReloadError>, Pair) {
    let (data, served) = (state.data.clone(), tls.is_some());
    let old = state.snapshot.load_full();
    let work = move || {
        let pair = match &old.config.listen.tls {
            Tls::Files { certificate, key } if served => {
                tls::load(&data.join(certificate), &data.join(key)).map(Some)
            }
            Tls::Files { .. } | Tls::None => Ok(None),
        };
        (read(&data, Some(&old)), pair)
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(read) => read,
        Err(_) => (Err(ReloadError::Abandoned), Ok(None)),
    }
}

async fn take_files(
    state: &Arc<State>,
    read: Result<Snapshot, ReloadError>,
) -> Result<(), ReloadError> {
    let new = read?;
    // In the ledger before anything is decided by it: each record's digest can be looked up.
    let now = state.now();
    let _no_bundle_meanwhile = state.publishing.write().await;
    state
        .ledger
        .record_policy(new.policy.digest(), new.policy.text(), now)
        .await?;
    if new.policy.digest() != state.snapshot.load().policy.digest() {
        state
            .reload
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .policy_since = now;
    }
    state.snapshot.store(Arc::new(new));
    Ok(())
}

fn take_tls(tls: &CurrentTls, pair: Pair) -> Result<(), TlsError> {
    if let (Some(tls), Some(pair)) = (tls, pair?) {
        tls.store(pair);
    }
    Ok(())
}

/// Fetches what the issuers publish, so that the first sign-in need not wait; nobody waits for it.
pub(crate) async fn warm(state: Arc<State>, mut stop: Stop) {
    let snapshot = state.snapshot.load_full();
    tokio::select! {
        () = snapshot.identities.warm(state.now()) => {}
        _ = stop.changed() => {}
    }
}

/// Watches the files until the stop.
pub(crate) async fn watch(
    state: Arc<State>,
    tls: CurrentTls,
    mut watched: Watched,
    mut stop: Stop,
) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(EACH) => {}
            _ = stop.changed() => return,
        }
        let look = move || {
            let changed = watched.changed();
            (watched, changed)
        };
        let Ok(looked) = tokio::task::spawn_blocking(look).await else {
            // The runtime ends.
            return;
        };
        let changed;
        (watched, changed) = looked;
        // Whatever comes of it: the same files are not read twice.
        if changed && reload(&state, &tls).await.files.is_ok() {
            tokio::spawn(warm(state.clone(), stop.clone()));
        }
    }
}

/// The files that count without a restart, each as it was when it was last looked at; always before
/// it is read, so that no change falls between the two.
#[derive(Debug)]
pub(crate) struct Watched(Vec<(PathBuf, Stamp)>);

/// What tells one state of a file from another; none: it is not there.
type Stamp = Option<(u64, u64, i64, i64)>;

impl Watched {
    /// Configuration and policy, as they are now.
    pub(crate) fn new(folder: &Path) -> Self {
        let mut watched = Watched(Vec::new());
        watched.add([folder.join(data::CONFIG), folder.join(data::POLICY)]);
        watched
    }

    /// Further files, as they are now.
    pub(crate) fn add(&mut self, paths: impl IntoIterator<Item = PathBuf>) {
        let stamped = paths.into_iter().map(|path| {
            let stamp = stamp(&path);
            (path, stamp)
        });
        self.0.extend(stamped);
    }

    /// Whether any is another than at the last look.
    pub(crate) fn changed(&mut self) -> bool {
        let mut changed = false;
        for (path, seen) in &mut self.0 {
            let now = stamp(path);
            changed |= now != *seen;
            *seen = now;
        }
        changed
    }
}

fn stamp(path: &Path) -> Stamp {
    let file = std::fs::metadata(path).ok()?;
    Some((file.ino(), file.len(), file.mtime(), file.mtime_nsec()))
}

const EACH: Duration = Duration::from_secs(1);
