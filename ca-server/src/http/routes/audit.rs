//! `GET /v1/admin/audit`: the ledger's records.

use jit_ssh_api::admin::AuditQuery;
use serde_json::json;

use crate::http::problem::Failure;
use crate::http::{Answer, Call, ok, query};
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
            "kind" => wanted.kind = Some(value),
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
