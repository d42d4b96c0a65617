//! How long: the least of what is asked and what the role allows, in whole seconds. Asking for more
//! than the role allows is no fault, one gets what it allows; asking for nothing is (A28).

use std::time::Duration;

use super::{Case, Objection};

pub(in crate::policy) fn rule(case: &Case<'_>) -> Result<(), Objection> {
    if of(case).is_zero() {
        return Err(Objection {
            rule: "validity",
            reason: "A certificate that is valid for less than a second was asked for.".into(),
            help: "Ask for a longer validity, or for none in particular.".into(),
        });
    }
    Ok(())
}

/// The validity that the certificate may have.
pub(super) fn of(case: &Case<'_>) -> Duration {
    let asked = case.ask.validity.unwrap_or(case.role.max_validity);
    Duration::from_secs(asked.min(case.role.max_validity).as_secs())
}
