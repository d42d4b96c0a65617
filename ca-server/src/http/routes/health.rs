//! For whoever watches: the process lives, the CA can issue, and figures.

use http::{Response, StatusCode, header};

use crate::http::problem::Failure;
use crate::http::{Answer, Body, Call, with_status};

/// `GET /healthz`: the process answers.
pub(super) fn live() -> Result<Answer, Failure> {
    Response::builder()
        .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
        .body(Body::from("ok\n"))
        .map_err(Failure::internal)
}

/// `GET /readyz`: 200 if certificates can be issued, 503 if not, and why.
pub(super) fn ready(call: &Call) -> Result<Answer, Failure> {
    let readiness = call.state.readiness();
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    with_status(status, &readiness)
}

/// `GET /metrics`.
pub(super) fn metrics(call: &Call) -> Result<Answer, Failure> {
    Response::builder()
        .header(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )
        .body(Body::from(call.state.metrics.render(call.state.gauges())))
        .map_err(Failure::internal)
}
