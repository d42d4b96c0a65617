//! What one issuer publishes, over time: fetched when due, kept through an outage, asked again for an
//! unknown key.
//!
//! In: a configured issuer; nothing is ever fetched for another (A10). Out: its keys. They are fresh
//! for what their cache headers say, between five minutes and an hour; while the issuer is down they
//! serve for a day; an unknown key asks again, one request at a time and at most once a minute (A11).
//! The hot path takes no lock. Sources: OpenID Connect Discovery 1.0 §4, IDPS.md §4.5.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use serde_json::{Map, Value};
use url::Url;

use super::{FetchClient, FetchError};
use crate::identity::json;
use crate::identity::keys::KeySet;
use crate::identity::token::short;
use crate::identity::{Issuer, Reachability};
use crate::time::Timestamp;

/// What one issuer publishes, as last fetched.
#[derive(Debug)]
pub(in crate::identity) struct Published {
    pub(in crate::identity) keys: KeySet,
    userinfo: Option<Url>,
    fetched: Timestamp,
    life: Duration,
}

/// One issuer's keys over time.
#[derive(Debug)]
pub(in crate::identity) struct Source {
    issuer: Issuer,
    client: Option<FetchClient>,
    published: ArcSwapOption<Published>,
    /// Held while fetching: one request at a time.
    fetching: tokio::sync::Mutex<()>,
    /// Held for an assignment, never across an await.
    history: Mutex<History>,
}

/// How the last requests went.
#[derive(Clone, Debug, Default)]
struct History {
    asked: Option<Timestamp>,
    asked_for_unknown_key: Option<Timestamp>,
    failures: u32,
    failed: Option<FetchError>,
    outage_since: Option<Timestamp>,
}

impl Source {
    /// What a CA with this issuer does at its first token, alone: discovery and keys, within its
    /// limits, byte for byte; for who sets one up.
    pub(in crate::identity) async fn try_out(
        issuer: Issuer,
        client: FetchClient,
        now: Timestamp,
    ) -> Result<(), FetchError> {
        Source::new(issuer, client).ask(now).await.map(|_| ())
    }

    /// Nothing is fetched before it is needed.
    pub(in crate::identity) fn new(issuer: Issuer, client: FetchClient) -> Self {
        Source {
            issuer,
            client: Some(client),
            published: ArcSwapOption::empty(),
            fetching: tokio::sync::Mutex::new(()),
            history: Mutex::default(),
        }
    }

    /// Keys given by hand, for ever: nothing is fetched.
    pub(in crate::identity) fn by_hand(issuer: Issuer, keys: KeySet) -> Self {
        let fetched = Timestamp::default();
        let published = Published {
            keys,
            userinfo: None,
            fetched,
            life: Duration::MAX,
        };
        Source {
            issuer,
            client: None,
            published: ArcSwapOption::from_pointee(published),
            fetching: tokio::sync::Mutex::new(()),
            history: Mutex::default(),
        }
    }

    /// Takes over what another source of the same issuer holds.
    pub(in crate::identity) fn inherit(&self, other: &Source) {
        self.published.store(other.published.load_full());
        self.note(|history| *history = other.history());
    }

    /// Keys that are fresh, or the last ones while the issuer is down; fetches them first if due.
    pub(in crate::identity) async fn keys(
        self: &Arc<Self>,
        now: Timestamp,
    ) -> Result<Arc<Published>, FetchError> {
        if let Some(published) = self.published.load_full()
            && published.is_fresh(now)
        {
            if published.is_due_soon(now) {
                self.renew_aside(now);
            }
            return Ok(published);
        }
        let _one = self.fetching.lock().await;
        if let Some(published) = self.published.load_full()
            && published.is_fresh(now)
        {
            return Ok(published);
        }
        self.fetch_or_keep(now).await
    }

    /// After a token named a key that `seen` does not have: newer keys, if they may be asked for.
    pub(in crate::identity) async fn keys_beyond(
        &self,
        seen: &Arc<Published>,
        now: Timestamp,
    ) -> Option<Arc<Published>> {
        if self.client.is_none() || self.asked_for_unknown_key(now) {
            return self.newer_than(seen);
        }
        let _one = self.fetching.lock().await;
        if let Some(newer) = self.newer_than(seen) {
            return Some(newer);
        }
        if self.asked_for_unknown_key(now) {
            return None;
        }
        self.note(|history| history.asked_for_unknown_key = Some(now));
        self.fetch(now).await.ok()
    }

    /// The issuer's answer about the person who holds `access_token` (OpenID Connect Core §5.3).
    pub(in crate::identity) async fn userinfo(
        &self,
        published: &Published,
        access_token: &str,
        now: Timestamp,
    ) -> Result<Map<String, Value>, FetchError> {
        let client = self.client.as_ref().ok_or(FetchError::ByHand)?;
        let url = published
            .userinfo
            .as_ref()
            .ok_or(FetchError::Discovery("userinfo_endpoint"))?;
        let answer = client.get(url, Some(access_token)).await;
        // The person's token may be refused; that says nothing of the issuer's health.
        if let Err(error) = &answer
            && error.is_outage()
        {
            self.note(|history| {
                history.outage_since.get_or_insert(now);
            });
        }
        Ok(json::object(&answer?.0)?)
    }

    /// Whether the issuer answers; asks it unless that was done a moment ago.
    pub(in crate::identity) async fn reachable(&self, now: Timestamp) -> Reachability {
        let known = |history: &History| match history.outage_since {
            Some(since) => Reachability::Unreachable { since },
            None => Reachability::Reachable,
        };
        let asked_just_now = |history: &History| {
            history
                .asked
                .is_some_and(|asked| now.since(asked) < PROBE_INTERVAL)
        };
        if self.client.is_none() {
            return Reachability::Reachable;
        }
        let history = self.history();
        if asked_just_now(&history) {
            return known(&history);
        }
        let _one = self.fetching.lock().await;
        if !asked_just_now(&self.history()) {
            let _ = self.fetch(now).await;
        }
        known(&self.history())
    }

    /// Renews keys that are due soon, without anybody waiting for it.
    fn renew_aside(self: &Arc<Self>, now: Timestamp) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if self.backing_off(now).is_some() || self.fetching.try_lock().is_err() {
            return;
        }
        let source = Arc::clone(self);
        runtime.spawn(async move {
            let _one = source.fetching.lock().await;
            if source
                .published
                .load()
                .as_ref()
                .is_some_and(|it| it.is_due_soon(now))
            {
                let _ = source.fetch(now).await;
            }
        });
    }

    /// Under the lock: fetches, or falls back on what is there.
    async fn fetch_or_keep(&self, now: Timestamp) -> Result<Arc<Published>, FetchError> {
        let result = match self.backing_off(now) {
            Some(error) => Err(error),
            None => self.fetch(now).await,
        };
        match (result, self.published.load_full()) {
            (Ok(published), _) => Ok(published),
            (Err(error), Some(published)) if error.is_outage() && published.is_usable(now) => {
                tracing::warn!(
                    issuer = %self.issuer, %error, keys = published.keys.len(),
                    "cannot fetch the issuer's keys; the last ones serve for up to a day"
                );
                Ok(published)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Under the lock: asks, and remembers how it went.
    async fn fetch(&self, now: Timestamp) -> Result<Arc<Published>, FetchError> {
        self.note(|history| history.asked = Some(now));
        let result = self.ask(now).await;
        self.note(|history| match &result {
            Ok(_) => {
                history.failures = 0;
                history.failed = None;
                history.outage_since = None;
            }
            Err(error) => {
                history.failures = history.failures.saturating_add(1);
                history.failed = Some(error.clone());
                if error.is_outage() {
                    history.outage_since.get_or_insert(now);
                } else {
                    history.outage_since = None;
                }
            }
        });
        let published = Arc::new(result?);
        self.published.store(Some(Arc::clone(&published)));
        Ok(published)
    }

    async fn ask(&self, now: Timestamp) -> Result<Published, FetchError> {
        let client = self.client.as_ref().ok_or(FetchError::ByHand)?;
        let (document, _) = client
            .get(&discovery_url(self.issuer.as_ref())?, None)
            .await?;
        let (jwks_uri, userinfo) = read_discovery(&document, self.issuer.as_ref())?;
        let (keys, life) = client.get(&jwks_uri, None).await?;
        let keys = KeySet::parse(&keys, self.issuer.as_ref())?;
        Ok(Published {
            keys,
            userinfo,
            fetched: now,
            life,
        })
    }

    fn newer_than(&self, seen: &Arc<Published>) -> Option<Arc<Published>> {
        self.published
            .load_full()
            .filter(|published| !Arc::ptr_eq(published, seen))
    }

    fn asked_for_unknown_key(&self, now: Timestamp) -> bool {
        self.history()
            .asked_for_unknown_key
            .is_some_and(|asked| now.since(asked) < UNKNOWN_KEY_INTERVAL)
    }

    /// The last failure, while it is too early to ask again: 5 s, doubled each time, to a minute.
    fn backing_off(&self, now: Timestamp) -> Option<FetchError> {
        let history = self.history();
        let (asked, failed) = (history.asked?, history.failed?);
        let wait = BACK_OFF
            .saturating_mul(1 << history.failures.saturating_sub(1).min(8))
            .min(MAX_BACK_OFF);
        (now.since(asked) < wait).then(|| FetchError::BackingOff(Box::new(failed)))
    }

    fn history(&self) -> History {
        self.history
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn note(&self, change: impl FnOnce(&mut History)) {
        change(&mut self.history.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Published {
    fn is_fresh(&self, now: Timestamp) -> bool {
        now.since(self.fetched) < self.life
    }

    fn is_due_soon(&self, now: Timestamp) -> bool {
        now.since(self.fetched) >= self.life / 4 * 3
    }

    fn is_usable(&self, now: Timestamp) -> bool {
        now.since(self.fetched) < MAX_STALE
    }
}

/// `ISSUER/.well-known/openid-configuration`, without a doubled slash (Discovery §4).
fn discovery_url(issuer: &str) -> Result<Url, FetchError> {
    let base = issuer.strip_suffix('/').unwrap_or(issuer);
    Url::parse(&format!("{base}/.well-known/openid-configuration"))
        .map_err(|_| FetchError::NotAllowed(issuer.to_owned()))
}

/// The addresses in a discovery document, if it is this issuer's, byte for byte (A9, A10).
fn read_discovery(document: &[u8], issuer: &str) -> Result<(Url, Option<Url>), FetchError> {
    let document = json::object(document)?;
    match document.get("issuer").and_then(Value::as_str) {
        Some(found) if found == issuer => {}
        Some(other) => return Err(FetchError::OtherIssuer(short(other))),
        None => return Err(FetchError::Discovery("issuer")),
    }
    let address = |name: &'static str| match document.get(name) {
        None => Ok(None),
        Some(value) => {
            let url = value.as_str().and_then(|text| Url::parse(text).ok());
            url.map(Some).ok_or(FetchError::Discovery(name))
        }
    };
    let jwks_uri = address("jwks_uri")?.ok_or(FetchError::Discovery("jwks_uri"))?;
    Ok((jwks_uri, address("userinfo_endpoint")?))
}

const MAX_STALE: Duration = Duration::from_secs(24 * 60 * 60);
const UNKNOWN_KEY_INTERVAL: Duration = Duration::from_secs(60);
const PROBE_INTERVAL: Duration = Duration::from_secs(10);
const BACK_OFF: Duration = Duration::from_secs(5);
const MAX_BACK_OFF: Duration = Duration::from_secs(60);
