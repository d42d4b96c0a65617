//! When a certificate is valid: from two minutes ago (clocks differ, and sshd refuses a certificate
//! of the future without telling the client why) to the least of what was asked, what the role
//! allows and the login's end (invariant 2, A36). Whole seconds, rounded so that it is never longer.

use std::time::Duration;

use super::CertificateError;
use crate::time::Timestamp;

/// How far the start lies back.
pub const BACKDATED: Duration = Duration::from_secs(120);

/// No certificate is valid for longer from now on, whatever a policy says.
pub const MAX_VALIDITY: Duration = Duration::from_secs(24 * 60 * 60);

/// Seconds since 1970-01-01 UTC; valid while `after <= time < before`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) after: u64,
    pub(super) before: u64,
}

/// The window for a grant's validity within a login.
pub(super) fn window(
    now: Timestamp,
    validity: Duration,
    login_ends: Timestamp,
) -> Result<Window, CertificateError> {
    let latest = now.plus(validity.min(MAX_VALIDITY)).min(login_ends);
    let window = Window {
        after: now.minus(BACKDATED).seconds(),
        before: latest.seconds(),
    };
    if window.before <= now.seconds() {
        return Err(CertificateError::LoginOver {
            ends: login_ends.seconds(),
            now: now.seconds(),
        });
    }
    Ok(window)
}
