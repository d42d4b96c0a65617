//! The CA's public keys: for `TrustedUserCAKeys`, and the key set for those with the right to it.

use http::{Response, StatusCode, header};

use crate::http::problem::Failure;
use crate::http::{Answer, Body, Call, ok};
use crate::ledger::Class;

/// `GET /v1/trust/user-ca`.
pub(super) fn trust_user_ca(call: &Call) -> Result<Answer, Failure> {
    let trusted = call.state.trusted.load();
    let trust = &trusted.trust;
    let known = call.if_none_match.as_deref().is_some_and(|known| {
        known
            .split(',')
            .any(|tag| tag.trim().trim_start_matches("W/") == trust.etag)
    });
    let response = Response::builder()
        .header(header::ETAG, &trust.etag)
        .header(header::CACHE_CONTROL, "no-cache");
    if known {
        return response
            .status(StatusCode::NOT_MODIFIED)
            .body(Body::default())
            .map_err(Failure::internal);
    }
    response
        .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
        .body(Body::from(trust.text.clone()))
        .map_err(Failure::internal)
}

/// `GET /v1/admin/keys`.
pub(super) async fn get(call: &Call) -> Result<Answer, Failure> {
    call.record_admin(Class::Ordinary, "keys", serde_json::Value::Null)
        .await?;
    ok(&call.state.trusted.load().key_set.signed)
}
