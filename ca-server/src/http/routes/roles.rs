//! `GET /v1/roles`: what I may have, and for the rest what stands against it.

use crate::http::problem::Failure;
use crate::http::{Answer, Call, ok};
use crate::issue;

pub(super) fn get(call: &Call) -> Result<Answer, Failure> {
    let login = call.login()?;
    ok(&issue::roles(
        &call.snapshot,
        login,
        call.source(),
        call.now,
    ))
}
