//! The policy in force, and what it says of somebody.

use std::sync::PoisonError;

use jit_ssh_api::admin::{ExplainRequest, PolicyText};
use jit_ssh_api::problem::Kind;
use serde_json::{Value, json};

use crate::http::problem::Failure;
use crate::http::{Answer, Call, ok, strict};
use crate::ledger::Class;

/// `GET /v1/admin/policy`.
pub(super) async fn get(call: &Call) -> Result<Answer, Failure> {
    call.record_admin(Class::Ordinary, "policy", Value::Null)
        .await?;
    let since = {
        let reload = call
            .state
            .reload
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        reload.policy_since
    };
    let policy = &call.snapshot.policy;
    ok(&PolicyText {
        digest: policy.digest().to_owned(),
        text: policy.text().to_owned(),
        since: since.seconds(),
    })
}

/// `POST /v1/admin/policy/explain`.
pub(super) async fn explain(call: &Call) -> Result<Answer, Failure> {
    let request: ExplainRequest = strict::parse_with_lists(&call.body)?;
    call.record_admin(Class::Ordinary, "policy-explain", json!(request))
        .await?;
    let mut explanation = call
        .snapshot
        .policy
        .explain(&request, call.now)
        .map_err(|error| {
            Failure::new(
                Kind::BadRequest,
                format!("{error}."),
                "Name the person another way.",
            )
        })?;
    explanation
        .roles
        .hosts
        .clone_from(&call.snapshot.config.hosts);
    ok(&explanation)
}
