//! The only caller of the system clock. `now` is an argument everywhere else.

#[cfg(test)]
use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A moment: milliseconds since 1970-01-01 UTC.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// From milliseconds since 1970-01-01 UTC.
    pub const fn from_millis(millis: u64) -> Self {
        Timestamp(millis)
    }

    /// From seconds since 1970-01-01 UTC; saturates.
    pub const fn from_seconds(seconds: u64) -> Self {
        Timestamp(seconds.saturating_mul(1000))
    }

    /// Milliseconds since 1970-01-01 UTC.
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since 1970-01-01 UTC.
    pub const fn seconds(self) -> u64 {
        self.0 / 1000
    }

    /// Later by `duration`; saturates at the end of time.
    pub fn plus(self, duration: Duration) -> Self {
        Timestamp(self.0.saturating_add(millis(duration)))
    }

    /// Earlier by `duration`; saturates at 1970.
    pub fn minus(self, duration: Duration) -> Self {
        Timestamp(self.0.saturating_sub(millis(duration)))
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Whether `earlier` is less than `span` ago. A moment of the future is not: what was noted
    /// before the clock was set back must not last until the clock is there again. Requests that are
    /// answered side by side may be a little apart.
    pub fn is_within(self, span: Duration, earlier: Timestamp) -> bool {
        earlier <= self.plus(APART) && self.since(earlier) < span
    }
}

/// How far moments that belong to one request may be apart, at most.
const APART: Duration = Duration::from_secs(60);

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Where `now` comes from: the system, or a test's hand.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The system's clock.
    System,
    /// Stands still until a test moves it.
    #[cfg(test)]
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// A clock that a test moves.
    #[cfg(test)]
    pub fn manual(start: Timestamp) -> Self {
        Clock::Manual(Arc::new(AtomicU64::new(start.millis())))
    }

    /// Moves a manual clock; a system clock goes its own way.
    #[cfg(test)]
    pub fn advance(&self, duration: Duration) {
        if let Clock::Manual(now) = self {
            now.fetch_add(millis(duration), Ordering::SeqCst);
        }
    }

    /// The moment.
    pub fn now(&self) -> Timestamp {
        match self {
            #[cfg(test)]
            Clock::Manual(now) => Timestamp(now.load(Ordering::SeqCst)),
            Clock::System => {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "the one reading of the system clock"
                )]
                let now = std::time::SystemTime::now();
                let since = now
                    .duration_since(std::time::UNIX_EPOCH)
                    .unwrap_or_default();
                Timestamp(millis(since))
            }
        }
    }
}
