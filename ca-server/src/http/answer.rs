//! What leaves: an answer that is there whole, and the headers that every one of them carries.

use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use serde::Serialize;

use super::problem::Failure;

/// A body that is there whole.
pub(crate) type Body = Full<Bytes>;

/// An answer.
pub(crate) type Answer = Response<Body>;

/// 200 with JSON.
pub(crate) fn ok(value: &impl Serialize) -> Result<Answer, Failure> {
    with_status(StatusCode::OK, value)
}

/// JSON with another status.
pub(crate) fn with_status(status: StatusCode, value: &impl Serialize) -> Result<Answer, Failure> {
    let body = serde_json::to_vec(value).map_err(Failure::internal)?;
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body))
        .map_err(Failure::internal)
}

/// What every answer carries.
pub(super) fn finish(answer: &mut Answer, request_id: &str, allow: Option<&str>) {
    let headers = answer.headers_mut();
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert("x-request-id", id);
    }
    if let Some(Ok(allow)) = allow.map(HeaderValue::from_str) {
        headers.insert(header::ALLOW, allow);
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}
