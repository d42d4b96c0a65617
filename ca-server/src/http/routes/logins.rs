//! Logins: one's own, and everybody's for those with the right.

use std::sync::Arc;

use jit_ssh_api::admin::LoginQuery;
use jit_ssh_api::problem::Kind;
use serde_json::json;

use crate::http::problem::Failure;
use crate::http::{Answer, Call, ok, query};
use crate::issue;
use crate::ledger::Class;
use crate::login::{EndedBy, LoginId};

/// `GET /v1/logins/self`.
pub(super) fn own(call: &Call) -> Result<Answer, Failure> {
    let login = call.login()?;
    ok(&issue::told(&call.snapshot, login, None))
}

/// `DELETE /v1/logins/self`.
pub(super) async fn end_own(call: &Call) -> Result<Answer, Failure> {
    let id = call.login()?.id;
    let ended = call
        .state
        .logins
        .end(id, &EndedBy::Owner, &call.request_id, call.now)
        .await?;
    ok(&ended)
}

/// `GET /v1/admin/logins`.
pub(super) async fn list(call: &Call) -> Result<Answer, Failure> {
    let mut wanted = LoginQuery::default();
    for (name, value) in query::pairs(&call.query)? {
        match name.as_str() {
            "all" => wanted.all = query::flag(&name, &value)?,
            "user" => wanted.user = Some(value),
            _ => return Err(query::unknown(&name)),
        }
    }
    // Also what precedes `login end --user`: it must work when nothing else does.
    call.record_admin(Class::Ordinary, "login-list", json!(wanted))
        .await?;
    let snapshot = Arc::clone(&call.snapshot);
    let fresh = move |issuer: &str| snapshot.identity_max_age(issuer);
    ok(&call.state.logins.list(wanted, call.now, fresh).await?)
}

/// `DELETE /v1/admin/logins/{id}`.
pub(super) async fn end(call: &Call) -> Result<Answer, Failure> {
    let id = call.id.as_deref().and_then(LoginId::parse).ok_or_else(|| {
        Failure::new(
            Kind::NotFound,
            "There is no such login.",
            "`jit-ssh-ca login list` shows them all.",
        )
    })?;
    call.record_admin(Class::Ending, "login-end", json!({ "login": id.to_string() }))
        .await?;
    let by = EndedBy::Admin(call.actor_name());
    ok(&call
        .state
        .logins
        .end(id, &by, &call.request_id, call.now)
        .await?)
}
