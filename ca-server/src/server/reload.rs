//! Configuration and policy, read together: one valid snapshot or none. At the start a mistake ends
//! the start; later the old snapshot stays, loudly: in the log, in `/readyz`, in a metric.
//!
//! Files are looked at each second (length, time of change, inode), which works on every file system
//! and with every editor; SIGHUP asks at once.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::config::{self, Config, ConfigError, Tls};
use crate::identity::{FetchClient, FetchError, Identities};
use crate::ledger::LedgerError;
use crate::policy::{IssuerFacts, Policy, PolicyErrors};
use crate::server::connections::{CurrentTls, Stop};
use crate::server::state::{Snapshot, State};
use crate::server::tls::{self, TlsError};

/// Name of the policy in the data folder.
pub const POLICY: &str = "policy.toml";

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
}

/// Reads `ca.toml` and `policy.toml` into one snapshot; keys of issuers that did not change are
/// kept from `previous`.
pub(crate) fn read(data: &Path, previous: Option<&Snapshot>) -> Result<Snapshot, ReloadError> {
    let config = Config::load(data)?;
    let path = data.join(POLICY);
    let text = std::fs::read(&path).map_err(|cause| ReloadError::PolicyUnreadable {
        path: path.clone(),
        cause,
    })?;
    let facts = IssuerFacts::from(config.issuers.as_slice());
    let policy = Policy::parse_bytes(&text, &facts)
        .map_err(|errors| ReloadError::Policy { path, errors })?;
    let client = fetch_client(data, &config)?;
    let previous = previous.map(|snapshot| &snapshot.identities);
    let identities = Identities::new(config.issuers.clone(), client, previous);
    Ok(Snapshot::new(config, policy, identities))
}

fn fetch_client(data: &Path, config: &Config) -> Result<FetchClient, ReloadError> {
    let extra: Vec<PathBuf> = config.extra_ca.iter().map(|path| data.join(path)).collect();
    Ok(FetchClient::new(&extra)?)
}

/// Takes what is on disk now, or keeps what is in force and says why.
pub(crate) async fn reload(state: &Arc<State>, tls: &CurrentTls) -> Result<(), ReloadError> {
    let taken = take(state, tls).await;
    state.metrics.reloaded(taken.is_ok());
    let refused = taken.as_ref().err().map(ToString::to_string);
    match &refused {
        None => tracing::info!("configuration and policy reloaded"),
        Some(why) => tracing::error!(
            why,
            "the files on disk are refused; the configuration and policy from before stay in force"
        ),
    }
    state
        .reload
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .refused = refused;
    taken
}

async fn take(state: &Arc<State>, tls: &CurrentTls) -> Result<(), ReloadError> {
    let old = state.snapshot.load_full();
    let new = read(&state.data, Some(&old))?;
    let certificate = match (tls, &old.config.listen.tls) {
        (Some(_), Tls::Files { certificate, key }) => Some(tls::load(
            &state.data.join(certificate),
            &state.data.join(key),
        )?),
        _ => None,
    };
    let keys = old.config.needs_restart(&new.config);
    if !keys.is_empty() {
        tracing::warn!(
            keys = keys.join(", "),
            "changed, but counts only from the next start"
        );
    }
    let new = with_fixed(new, &old.config);
    // In the ledger before anything is decided by it: each record's digest can be looked up.
    let now = state.now();
    state
        .ledger
        .record_policy(new.policy.digest(), new.policy.text(), now)
        .await?;
    if new.policy.digest() != old.policy.digest() {
        state
            .reload
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .policy_since = now;
    }
    state.snapshot.store(Arc::new(new));
    if let (Some(tls), Some(certificate)) = (tls, certificate) {
        tls.store(certificate);
    }
    Ok(())
}

/// What counts from the next start only stays as it was: a proof's CA name above all.
fn with_fixed(mut new: Snapshot, old: &Config) -> Snapshot {
    let config = &mut new.config;
    config.name.clone_from(&old.name);
    config.url.clone_from(&old.url);
    config.profile = old.profile;
    config.listen.address = old.listen.address;
    config.listen.tls.clone_from(&old.listen.tls);
    config.limits.head_time = old.limits.head_time;
    config.log = old.log;
    config.extra_ca.clone_from(&old.extra_ca);
    config.disk_reserve = old.disk_reserve;
    new
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
pub(crate) async fn watch(state: Arc<State>, tls: CurrentTls, mut stop: Stop) {
    let mut seen = stamps(&state);
    loop {
        tokio::select! {
            () = tokio::time::sleep(EACH) => {}
            _ = stop.changed() => return,
        }
        let now = stamps(&state);
        if now != seen {
            // Whatever comes of it: the same files are not read twice.
            seen = now;
            if reload(&state, &tls).await.is_ok() {
                tokio::spawn(warm(state.clone(), stop.clone()));
            }
        }
    }
}

/// What tells one state of a file from another; none: it is not there.
type Stamp = Option<(u64, u64, i64, i64)>;

fn stamps(state: &State) -> Vec<Stamp> {
    let mut paths = vec![state.data.join(config::FILE), state.data.join(POLICY)];
    if let Tls::Files { certificate, key } = &state.snapshot.load().config.listen.tls {
        paths.extend([state.data.join(certificate), state.data.join(key)]);
    }
    let stamp = |path: &PathBuf| {
        let file = std::fs::metadata(path).ok()?;
        Some((file.ino(), file.len(), file.mtime(), file.mtime_nsec()))
    };
    paths.iter().map(stamp).collect()
}

const EACH: Duration = Duration::from_secs(1);
