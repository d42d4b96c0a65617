//! `GET /v1/admin/audit`: the ledger's records.

use jit_ssh_api::admin::AuditQuery;
use jit_ssh_api::problem;
use serde_json::json;

use crate::http::problem::Failure;
use crate::http::{Answer, Call, ok, query};
use crate::ledger::record::Kind;
use crate::ledger::{self, Class};

pub(super) async fn get(call: &Call) -> Result<Answer, Failure> {
    let mut wanted = AuditQuery::default();
    for (name, value) in query::pairs(&call.query)? {
        match name.as_str() {
            "after" => wanted.after = Some(query::number(&name, &value)?),
            "before" => wanted.before = Some(query::number(&name, &value)?),
            "limit" => {
                let limit = query::number(&name, &value)?;
                wanted.limit = Some(u32::try_from(limit).unwrap_or(u32::MAX));
            }
            "kind" => wanted.kind = Some(kind(&value)?.name().to_owned()),
            "user" => wanted.user = Some(value),
            "role" => wanted.role = Some(value),
            "login" => wanted.login = Some(value),
            "serial" => wanted.serial = Some(value),
            "since" => wanted.since = Some(query::number(&name, &value)?),
            "until" => wanted.until = Some(query::number(&name, &value)?),
            _ => return Err(query::unknown(&name)),
        }
    }
    // Who reads about others is written down too.
    call.record_admin(Class::Ordinary, "audit", json!(wanted))
        .await?;
    ok(&ledger::list::page(&call.state.ledger, wanted).await?)
}

/// A kind that nothing has is a mistake, and not a ledger without such records.
fn kind(name: &str) -> Result<Kind, Failure> {
    Kind::named(name).ok_or_else(|| {
        let kinds: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        let name: String = name.chars().take(50).collect();
        Failure::new(
            problem::Kind::BadRequest,
            format!("There is no kind of record {name:?}."),
            format!("The kinds are {}.", kinds.join(", ")),
        )
    })
}
