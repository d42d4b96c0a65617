//! Moving time: waiting for a condition with a deadline, and the system's clock in seconds.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long anything on this machine may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// Seconds since 1970-01-01 UTC.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// Asks `condition` until it gives something.
///
/// # Panics
/// When it has not within [`PATIENCE`]: the test fails with what was waited for.
pub fn until<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, condition)
}

/// [`until`] with another deadline.
///
/// # Panics
/// When the condition has given nothing by then.
pub fn until_within<T>(
    patience: Duration,
    what: &str,
    mut condition: impl FnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(
            Instant::now() < deadline,
            "waited {patience:?} in vain for {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}
