//! What all handlers share. The parts that a reload replaces are one [`Snapshot`], swapped whole: a
//! request sees one configuration and its policy from its first step to its last. So are the keys:
//! one [`Trusted`].

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use jit_ssh_api::discovery;
use rand::rngs::StdRng;
use tokio::sync::watch;

use crate::config::Config;
use crate::host::bundle::Lists;
use crate::http::rate::Rate;
use crate::http::replay::ReplayWindow;
use crate::identity::{self, Identities, IssuerConfig};
use crate::ledger::Ledger;
use crate::login::Logins;
use crate::metrics::{Gauges, Metrics};
use crate::policy::Policy;
use crate::server::connections::Open;
use crate::server::trusted::Trusted;
use crate::sign_in::SignIns;
use crate::store::DiskState;
use crate::time::{Clock, Timestamp};

/// One configuration, its policy and its issuers: valid together.
pub(crate) struct Snapshot {
    pub(crate) config: Config,
    pub(crate) policy: Policy,
    pub(crate) identities: Identities,
    /// Issuers as discovery tells them.
    pub(crate) issuers: Vec<discovery::Issuer>,
}

impl Snapshot {
    pub(crate) fn new(config: Config, policy: Policy, identities: Identities) -> Self {
        let issuers = config.issuers.iter().map(told).collect();
        Snapshot {
            config,
            policy,
            identities,
            issuers,
        }
    }

    /// The configuration of an issuer, if it is still one of ours.
    pub(crate) fn issuer(&self, issuer: &str) -> Option<&IssuerConfig> {
        self.config
            .issuers
            .iter()
            .find(|known| known.issuer.as_ref() == issuer)
    }

    /// Whether the issuer and the client that somebody signed in with are both still ours.
    pub(crate) fn still_configured(&self, who: &identity::IdentityFacts) -> bool {
        self.issuer(who.issuer.as_ref())
            .is_some_and(|issuer| issuer.client(&who.client_id).is_some())
    }

    /// How long a token of that issuer says who somebody is; not at all if it is gone.
    pub(crate) fn identity_max_age(&self, issuer: &str) -> Duration {
        self.issuer(issuer)
            .map(|issuer| issuer.identity_max_age)
            .unwrap_or_default()
    }
}

/// An issuer as clients must know it.
fn told(config: &IssuerConfig) -> discovery::Issuer {
    let clients = config.clients.iter().map(|client| discovery::Client {
        client_id: client.id.clone(),
        client_secret: client.secret.clone(),
        flows: client.flows.clone(),
        redirect: client.redirect.clone(),
        redirect_ports: client.redirect_ports.clone(),
        scopes: client.scopes.clone(),
        extra: client.extra.clone(),
    });
    discovery::Issuer {
        issuer: config.issuer.to_string(),
        label: config.label.clone(),
        clients: clients.collect(),
        userinfo: config.groups.is_userinfo(),
        identity_max_age: config.identity_max_age.as_secs(),
    }
}

/// The serving CA.
pub(crate) struct State {
    pub(crate) snapshot: ArcSwap<Snapshot>,
    pub(crate) clock: Clock,
    pub(crate) data: PathBuf,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) logins: Logins,
    pub(crate) trusted: ArcSwap<Trusted>,
    pub(crate) rng: Mutex<StdRng>,
    pub(crate) replay: ReplayWindow,
    pub(crate) peers: Rate,
    pub(crate) people: Rate,
    /// Certificates a day.
    pub(crate) certificates: Rate,
    /// Certificates of hosts, a day.
    pub(crate) host_certificates: Rate,
    /// Requests of hosts.
    pub(crate) host_requests: Rate,
    /// Records of hosts that seem to be there twice, a day.
    pub(crate) clones: Rate,
    pub(crate) lists: Lists,
    /// Held while something comes into force, from its record on: see `host/bundle.rs`.
    pub(crate) publishing: tokio::sync::RwLock<()>,
    /// True from the moment that the server is asked to stop: what is held ends.
    pub(crate) stopping: watch::Sender<bool>,
    pub(crate) sign_ins: SignIns,
    pub(crate) open: Arc<Open>,
    pub(crate) metrics: Metrics,
    pub(crate) head_time: Duration,
    pub(crate) request_ids: RequestIds,
    pub(crate) reload: Mutex<Reloaded>,
    /// Held through a reload: of two, the one that read later also ends later.
    pub(crate) reloading: tokio::sync::Mutex<()>,
}

/// What became of the last reload.
#[derive(Debug, Default)]
pub(crate) struct Reloaded {
    /// Why configuration and policy on disk are not in force; for the log and local eyes.
    pub(crate) refused: Option<String>,
    /// Why the TLS identity on disk is not served.
    pub(crate) tls_refused: Option<String>,
    /// Since when the policy in force is.
    pub(crate) policy_since: Timestamp,
}

/// Whether the CA can issue.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Readiness {
    pub(crate) ready: bool,
    pub(crate) ledger: &'static str,
    pub(crate) disk: &'static str,
    pub(crate) configuration: &'static str,
    pub(crate) tls: &'static str,
}

impl State {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn readiness(&self) -> Readiness {
        let writing = self.ledger.is_writing();
        let disk = self.ledger.disk();
        let (refused, tls_refused) = self.reload_refused();
        Readiness {
            ready: writing && disk != DiskState::Full,
            ledger: if writing {
                "writing"
            } else {
                "stopped after a fault; start the CA again"
            },
            disk: match disk {
                DiskState::Ample => "ample",
                DiskState::Reserve => "below the reserve",
                DiskState::Full => "full; nothing is issued",
            },
            configuration: if refused {
                "the files on disk were refused, older ones are in force; the log says why"
            } else {
                "in force"
            },
            tls: if tls_refused {
                "the certificate and key on disk were refused, older ones are served; the log says why"
            } else {
                "in force"
            },
        }
    }

    pub(crate) fn gauges(&self) -> Gauges {
        let (refused, tls_refused) = self.reload_refused();
        let (hosts, held_requests) = self.ledger.hosts().count();
        Gauges {
            hosts,
            held_requests,
            connections: self.open.count(),
            ready: self.readiness().ready,
            reload_refused: refused || tls_refused,
            disk: match self.ledger.disk() {
                DiskState::Ample => 0,
                DiskState::Reserve => 1,
                DiskState::Full => 2,
            },
        }
    }

    /// Whether configuration and policy on disk were refused, and whether the TLS identity was.
    fn reload_refused(&self) -> (bool, bool) {
        let reload = self.reload.lock().unwrap_or_else(PoisonError::into_inner);
        (reload.refused.is_some(), reload.tls_refused.is_some())
    }
}

/// Names of requests: unique within a process, and not to be guessed from one another's start.
#[derive(Debug)]
pub(crate) struct RequestIds {
    process: u32,
    next: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new(process: u32) -> Self {
        RequestIds {
            process,
            next: AtomicU64::new(1),
        }
    }

    /// `d21a99e0-00000001`.
    pub(crate) fn next(&self) -> String {
        format!(
            "{:08x}-{:08x}",
            self.process,
            self.next.fetch_add(1, Ordering::Relaxed)
        )
    }
}
