//! Logins: one's own, and everybody's for those with the right.

use std::sync::Arc;

use jit_ssh_api::admin::{LoginQuery, Name, NameKind};
use jit_ssh_api::login::EndedAll;
use jit_ssh_api::problem::Kind;
use serde_json::json;

use crate::http::problem::Failure;
use crate::http::{Answer, Call, ok, query};
use crate::identity::Email;
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

/// `DELETE /v1/logins`.
pub(super) async fn end_all_own(call: &Call) -> Result<Answer, Failure> {
    let ended = call
        .state
        .ledger
        .revoke_own(call.login()?, call.source(), &call.request_id, call.now)
        .await?;
    ok(&EndedAll {
        logins: ended.logins.iter().map(LoginId::to_string).collect(),
        certificates: ended.certificates.iter().map(u64::to_string).collect(),
        bundle: ended.bundle.number,
    })
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

/// `DELETE /v1/admin/names`.
pub(super) async fn free_name(call: &Call) -> Result<Answer, Failure> {
    let name = name(&call.query)?;
    let used = call.used("name-free", json!(name))?;
    if call.state.ledger.free_name(used, &name).await? {
        return ok(&name);
    }
    Err(Failure::new(
        Kind::NotFound,
        format!(
            "No person of {} has that {}.",
            name.issuer,
            name.kind.name()
        ),
        "Write issuer and name as the refusal in `jit-ssh-ca audit list --kind refused` has them.",
    ))
}

fn name(query: &str) -> Result<Name, Failure> {
    let (mut issuer, mut kind, mut name) = (None, None, None);
    for (parameter, value) in query::pairs(query)? {
        match parameter.as_str() {
            "issuer" => issuer = Some(value),
            "kind" if value == NameKind::Email.name() => kind = Some(NameKind::Email),
            "kind" if value == NameKind::Username.name() => kind = Some(NameKind::Username),
            "name" => name = Some(value),
            _ => return Err(query::unknown(&parameter)),
        }
    }
    let (Some(issuer), Some(kind), Some(name)) = (issuer, kind, name) else {
        return Err(Failure::new(
            Kind::BadRequest,
            "A name is told by `issuer`, `kind` (email or username) and `name`.",
            "docs/api.md lists the parameters of each route.",
        ));
    };
    let name = match kind {
        // Kept with its domain in lower case.
        NameKind::Email => Email::parse(&name).map_or(name, |email| email.to_string()),
        NameKind::Username => name,
    };
    Ok(Name { issuer, kind, name })
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
    call.record_admin(
        Class::Ending,
        "login-end",
        json!({ "login": id.to_string() }),
    )
    .await?;
    let by = EndedBy::Admin(call.actor_name());
    ok(&call
        .state
        .logins
        .end(id, &by, &call.request_id, call.now)
        .await?)
}
