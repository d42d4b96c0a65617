//! What one issuer publishes, over time: fetched when due, kept through an outage, asked again for an
//! unknown key.
//!
//! In: a configured issuer; nothing is ever fetched for another (A10). Out: its keys. They are fresh
//! for what their cache headers say, between five minutes and an hour; while the issuer is down they
//! serve for a day; an unknown key asks again, one request at a time and at most once a minute (A11).
//! The hot path takes no lock. Sources: OpenID Connect Discovery 1.0 §4.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jit_ssh_connect::is_loopback;
use serde_json::{Map, Value};
use url::Url;

use super::{FetchClient, FetchError};
use crate::identity::json;
use crate::identity::keys::Jwks;
use crate::identity::token::short;
use crate::identity::{Issuer, Reachability};
use crate::time::Timestamp;

/// What one issuer publishes, as last fetched.
#[derive(Debug)]
pub(in crate::identity) struct Published {
    pub(in crate::identity) keys: Jwks,
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
    #[cfg(test)]
    pub(in crate::identity) fn by_hand(issuer: Issuer, keys: Jwks) -> Self {
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
    /// However that goes, it says nothing of the issuer's health: whoever signs in has a hand in it,
    /// and an outage stretches what old groups give.
    pub(in crate::identity) async fn userinfo(
        &self,
        published: &Published,
        access_token: &str,
    ) -> Result<Map<String, Value>, FetchError> {
        let client = self.client.as_ref().ok_or(FetchError::ByHand)?;
        let url = published
            .userinfo
            .as_ref()
            .ok_or(FetchError::Discovery("userinfo_endpoint"))?;
        let (answer, _) = client.get(url, Some(access_token)).await?;
        Ok(json::object(&answer)?)
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
                .is_some_and(|asked| now.is_within(PROBE_INTERVAL, asked))
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
            (Err(error), Some(published))
                if error.leaves_the_last_answer() && published.is_usable(now) =>
            {
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
        let keys = Jwks::parse(&keys, self.issuer.as_ref())?;
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
            .is_some_and(|asked| now.is_within(UNKNOWN_KEY_INTERVAL, asked))
    }

    /// The last failure, while it is too early to ask again: 5 s, doubled each time, to a minute.
    fn backing_off(&self, now: Timestamp) -> Option<FetchError> {
        let history = self.history();
        let (asked, failed) = (history.asked?, history.failed?);
        let wait = BACK_OFF
            .saturating_mul(1 << history.failures.saturating_sub(1).min(8))
            .min(MAX_BACK_OFF);
        now.is_within(wait, asked)
            .then(|| FetchError::BackingOff(Box::new(failed)))
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
        now.is_within(self.life, self.fetched)
    }

    fn is_due_soon(&self, now: Timestamp) -> bool {
        !now.is_within(self.life / 4 * 3, self.fetched)
    }

    fn is_usable(&self, now: Timestamp) -> bool {
        now.is_within(MAX_STALE, self.fetched)
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
    // Only an issuer on this machine may send us, with a person's token, to others on it (A10).
    let local = Url::parse(issuer).is_ok_and(|issuer| is_loopback(&issuer));
    let address = |name: &'static str| match document.get(name) {
        None => Ok(None),
        Some(value) => {
            let url = value.as_str().and_then(|text| Url::parse(text).ok());
            let url = url.ok_or(FetchError::Discovery(name))?;
            if is_loopback(&url) && !local {
                return Err(FetchError::Loopback(url.to_string()));
            }
            Ok(Some(url))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A10: an issuer elsewhere cannot send us, with a person's access token, to what listens on our
    /// own machine.
    #[test]
    fn an_issuer_elsewhere_that_points_at_this_machine_is_refused() {
        let elsewhere = "https://idp.example.com";
        let read = |issuer: &str, jwks: &str, userinfo: &str| {
            let document = json!({
                "issuer": issuer, "jwks_uri": jwks, "userinfo_endpoint": userinfo,
            });
            read_discovery(document.to_string().as_bytes(), issuer)
        };
        let (jwks, userinfo) = ("https://idp.example.com/k", "https://idp.example.com/u");
        assert!(read(elsewhere, jwks, userinfo).is_ok());
        for here in [
            "http://127.0.0.1:8080/",
            "http://127.1.2.3/",
            "http://2130706433/",
            "http://[::1]:1/",
            "http://localhost/",
            "http://LOCALHOST:631/",
            "https://127.0.0.1:8443/",
        ] {
            let shown = Url::parse(here).unwrap().to_string();
            let refused = Err(FetchError::Loopback(shown));
            assert_eq!(read(elsewhere, here, userinfo), refused);
            assert_eq!(read(elsewhere, jwks, here), refused);
            assert!(read("http://127.0.0.1:9", here, here).is_ok(), "{here}");
        }
    }

    proptest::proptest! {
        /// Whatever an issuer publishes is read or refused.
        #[test]
        fn any_discovery_document_is_read_or_refused(
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..256),
            jwks in ".{0,40}",
            userinfo in ".{0,40}",
        ) {
            let issuer = "https://idp.example.com";
            let _ = read_discovery(&bytes, issuer);
            for start in ["", "https://", "http://"] {
                let document = json!({
                    "issuer": issuer, "jwks_uri": format!("{start}{jwks}"), "userinfo_endpoint": userinfo,
                });
                if let Ok((jwks, userinfo)) = read_discovery(document.to_string().as_bytes(), issuer) {
                    for url in std::iter::once(jwks).chain(userinfo) {
                        proptest::prop_assert!(!is_loopback(&url), "{url}");
                    }
                }
            }
        }
    }
}
