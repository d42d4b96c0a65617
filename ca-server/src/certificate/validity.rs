//! When a certificate is valid: from two minutes ago (clocks differ, and sshd refuses a certificate
//! of the future without telling the client why) to the least of what was asked, what the role
//! allows and the login's end, or to what is agreed with a host (invariant 2, A36). Whole seconds, rounded so that it is never longer.

use std::time::Duration;

use super::Kind;
use crate::time::Timestamp;

/// How far the start lies back.
pub const BACKDATED: Duration = Duration::from_secs(120);

/// No certificate of a person is valid for longer from now on, whatever a policy says.
pub const MAX_VALIDITY: Duration = Duration::from_secs(24 * 60 * 60);

/// No certificate of a host is valid for longer from now on. Hosts renew daily: the rest is for an
/// outage of the CA.
pub const MAX_HOST_VALIDITY: Duration = Duration::from_secs(60 * 24 * 60 * 60);

/// Seconds since 1970-01-01 UTC; valid while `after <= time < before`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) after: u64,
    pub(super) before: u64,
}

/// The window for a validity that ends with something else at the latest; none, where nothing of it is
/// after now.
pub(super) fn window<K: Kind>(
    now: Timestamp,
    validity: Duration,
    ends: Option<Timestamp>,
) -> Option<Window> {
    let latest = now.plus(validity.min(K::LONGEST));
    let latest = ends.map_or(latest, |ends| latest.min(ends));
    let window = Window {
        after: now.minus(BACKDATED).seconds(),
        before: latest.seconds(),
    };
    (window.before > now.seconds()).then_some(window)
}
