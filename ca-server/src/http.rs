//! HTTP in, HTTP out: the only module that knows of it. In: a request and its peer. Out: an answer,
//! or a problem document; never a half of either.
//!
//! Each request goes the same way: found in the table of routes by its exact path (A85), counted
//! against its peer's rate, read within limits of size, depth and time (A87), its caller proven
//! (invariant 5) and admitted (`admit.rs`), then handed to its route as a `Call`, and its answer is
//! logged, counted and finished here. Sources: RFC 9110, RFC 9112, RFC 9457.

use std::sync::Arc;
use std::time::Instant;

use http::Request;
use hyper::body::Bytes;
use jit_ssh_api::problem::Kind;

use crate::server::state::State;

pub mod access;
pub mod address;
mod admit;
mod answer;
mod call;
pub(crate) mod problem;
pub(crate) mod proof;
pub(crate) mod query;
pub(crate) mod rate;
pub(crate) mod replay;
pub(crate) mod routes;
pub(crate) mod strict;

use access::{Found, Route};
use address::Peer;
pub(crate) use answer::{Answer, Body, ok, with_status};
pub(crate) use call::Call;
use problem::Failure;

/// Answers a request, whatever it is.
pub(crate) async fn handle<B>(state: &Arc<State>, peer: Peer, mut request: Request<B>) -> Answer
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let started = Instant::now();
    let request_id = state.request_ids.next();
    let snapshot = state.snapshot.load_full();
    let from = admit::client(peer, request.headers(), &snapshot);
    if from.as_ref().is_ok_and(|from| *from != peer) {
        request.extensions_mut().insert(admit::Relayed);
    }
    // For the log; where a proxy of ours does not say who asks, it is the one who does.
    let shown = *from.as_ref().unwrap_or(&peer);
    let (route, id, other_methods) = match access::find(request.method(), request.uri().path()) {
        Found::Route(route, id) => (Some(route), id.map(str::to_owned), None),
        Found::OtherMethods(methods) => (None, None, Some(methods)),
        Found::Nothing => (None, None, None),
    };
    let answered = match (route, &other_methods) {
        (Some(route), _) => match from {
            Ok(from) => admit::admit(state, snapshot, from, route, id, &request_id, request).await,
            Err(refused) => Err(refused),
        },
        (None, Some(_)) => Err(Failure::new(
            Kind::MethodNotAllowed,
            "This route has other methods.",
            "The header Allow lists them; docs/api.md shows each.",
        )),
        (None, None) => Err(Failure::new(
            Kind::NotFound,
            "There is nothing at this address.",
            "docs/api.md lists every route; paths count letter by letter.",
        )),
    };
    let mut answer = match answered {
        Ok(answer) => {
            tracing::info!(
                request = request_id,
                route = route.map_or("", Route::path),
                status = answer.status().as_u16(),
                micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
                peer = %Shown(shown),
                "answered"
            );
            answer
        }
        Err(failure) => {
            refused(state, route, shown, &failure, &request_id, started);
            failure.answer(&request_id)
        }
    };
    state
        .metrics
        .answered(route, answer.status().as_u16(), started.elapsed());
    answer::finish(&mut answer, &request_id, other_methods.as_deref());
    answer
}

/// A peer for the log.
struct Shown(Peer);

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Peer::Tcp(address) => address.fmt(f),
            Peer::Socket { uid } => write!(f, "local:{uid}"),
        }
    }
}

/// Counts and logs a refusal; what only the operator can mend is louder.
fn refused(
    state: &State,
    route: Option<Route>,
    peer: Peer,
    failure: &Failure,
    request_id: &str,
    started: Instant,
) {
    state.metrics.refused(failure.kind());
    if matches!(failure.kind().status(), 401) {
        state
            .ledger
            .count_refused(failure.kind().name(), state.now());
    }
    let (kind, route) = (failure.kind(), route.map_or("", Route::path));
    let (status, peer) = (kind.status(), Shown(peer));
    let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    let (kind, cause) = (kind.name(), failure.logged());
    if status >= 500 {
        tracing::error!(request = request_id, route, status, micros, %peer, kind, cause, "failed");
    } else {
        tracing::info!(request = request_id, route, status, micros, %peer, kind, cause, "refused");
    }
}

#[cfg(test)]
mod tests;
