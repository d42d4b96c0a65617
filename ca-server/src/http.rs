//! HTTP in, HTTP out: the only module that knows of it. In: a request and its peer. Out: an answer,
//! or a problem document; never a half of either.
//!
//! Each request goes the same way: found in the table of routes by its exact path (A85), counted
//! against its peer's rate, read within limits of size, depth and time (A87), its caller proven
//! (invariant 5) and admitted, then handed to its route. Sources: RFC 9110, RFC 9112, RFC 9457.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use jit_ssh_api::problem::Kind;
use jit_ssh_api::proof::Request as Signed;
use serde::Serialize;
use serde_json::{Value, json};

use crate::issue::{self, IssueError};
use crate::ledger::{Actor, Class, Refused, RefusedTo, RightUsed};
use crate::login::LiveLogin;
use crate::policy::Right;
use crate::server::state::{Snapshot, State};
use crate::time::Timestamp;

pub mod access;
pub mod address;
pub(crate) mod problem;
pub(crate) mod proof;
pub(crate) mod query;
pub(crate) mod rate;
pub(crate) mod replay;
pub(crate) mod routes;
pub(crate) mod strict;

use access::{Found, Patience, Route, Who};
use address::Peer;
use problem::Failure;
use proof::ProvenKey;

/// A body that is there whole.
pub(crate) type Body = Full<Bytes>;

/// An answer.
pub(crate) type Answer = Response<Body>;

/// A request that was admitted to its route.
pub(crate) struct Call {
    pub(crate) state: Arc<State>,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) now: Timestamp,
    pub(crate) request_id: String,
    pub(crate) from: Peer,
    pub(crate) caller: Caller,
    pub(crate) id: Option<String>,
    pub(crate) query: String,
    pub(crate) if_none_match: Option<String>,
    pub(crate) body: Bytes,
}

/// Who asks, as far as the route wanted to know.
#[derive(Debug)]
pub(crate) enum Caller {
    /// Somebody.
    Anyone,
    /// Whoever holds this key.
    Key(ProvenKey),
    /// Whoever holds the key of this live login.
    Login(LiveLogin),
    /// Somebody with the right to it.
    Actor(Actor),
}

/// Answers a request, whatever it is.
pub(crate) async fn handle<B>(state: &Arc<State>, peer: Peer, request: Request<B>) -> Answer
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let started = Instant::now();
    let request_id = state.request_ids.next();
    let snapshot = state.snapshot.load_full();
    let from = client(peer, request.headers(), &snapshot);
    // For the log; where a proxy of ours does not say who asks, it is the one who does.
    let shown = *from.as_ref().unwrap_or(&peer);
    let (route, id, other_methods) = match access::find(request.method(), request.uri().path()) {
        Found::Route(route, id) => (Some(route), id.map(str::to_owned), None),
        Found::OtherMethods(methods) => (None, None, Some(methods)),
        Found::Nothing => (None, None, None),
    };
    let answered = match (route, &other_methods) {
        (Some(route), _) => match from {
            Ok(from) => admit(state, snapshot, from, route, id, &request_id, request).await,
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
    finish(&mut answer, &request_id, other_methods.as_deref());
    answer
}

/// Who asks: the peer, or whom a proxy of ours names.
fn client(peer: Peer, headers: &HeaderMap, snapshot: &Snapshot) -> Result<Peer, Failure> {
    let Peer::Tcp(address) = peer else {
        return Ok(peer);
    };
    let proxies = &snapshot.config.listen.trusted_proxies;
    address::client(address, headers, proxies)
        .map(Peer::Tcp)
        .map_err(bad_forwarded)
}

/// From a found route to its handler.
async fn admit<B>(
    state: &Arc<State>,
    snapshot: Arc<Snapshot>,
    from: Peer,
    route: Route,
    id: Option<String>,
    request_id: &str,
    request: Request<B>,
) -> Result<Answer, Failure>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let now = state.now();
    let (head, body) = request.into_parts();
    if let Peer::Tcp(address) = from {
        let limit = snapshot.config.limits.requests_per_peer;
        state
            .peers
            .count(address::limited_as(address), limit, now)
            .map_err(too_many)?;
    }
    let body = read(&head.method, &head.headers, body, &snapshot).await?;
    let asked = Asked {
        state,
        snapshot: &snapshot,
        now,
        request_id,
        from,
        // As sent: what was signed is what the route is found by.
        path_and_query: head.uri.path_and_query().map_or("", |it| it.as_str()),
        method: &head.method,
        headers: &head.headers,
        body: &body,
    };
    let caller = asked.caller(route.who()).await?;
    let call = Call {
        state: Arc::clone(state),
        now,
        request_id: request_id.to_owned(),
        from,
        caller,
        id,
        query: head.uri.query().unwrap_or_default().to_owned(),
        if_none_match: text(&head.headers, &header::IF_NONE_MATCH).map(str::to_owned),
        body,
        snapshot: Arc::clone(&snapshot),
    };
    let answering = routes::call(route, call);
    let limit = match route.patience() {
        Patience::Answer => snapshot.config.limits.answer_time,
        Patience::Long => return answering.await,
    };
    match tokio::time::timeout(limit, answering).await {
        Ok(answered) => answered,
        Err(_) => Err(Failure::unavailable(
            "The CA took too long.",
            "the time limit of an answer",
        )),
    }
}

/// The body, within its limits. Only `POST` has one.
async fn read<B>(
    method: &Method,
    headers: &HeaderMap,
    body: B,
    snapshot: &Snapshot,
) -> Result<Bytes, Failure>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let limits = &snapshot.config.limits;
    let is_post = *method == Method::POST;
    if is_post && !is_json(headers) {
        return Err(Failure::new(
            Kind::MediaType,
            "The body must be JSON.",
            "Send Content-Type: application/json.",
        ));
    }
    let most = if is_post { limits.body } else { 0 };
    if body.size_hint().lower() > most as u64 {
        return Err(too_large(most));
    }
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let reading = Limited::new(body, most).collect();
    match tokio::time::timeout(limits.body_time, reading).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(most)),
        Ok(Err(error)) => Err(Failure::new(
            Kind::BadRequest,
            "The body did not arrive whole.",
            "Send the request again.",
        )
        .cause(error)),
        Err(_) => Err(Failure::new(
            Kind::Timeout,
            "The body took too long to arrive.",
            "Send the request again.",
        )),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = text(headers, &header::CONTENT_TYPE).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

/// A header that is there once and is text.
fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

/// A request that was read, before it is known who asks.
struct Asked<'a> {
    state: &'a State,
    snapshot: &'a Snapshot,
    now: Timestamp,
    request_id: &'a str,
    from: Peer,
    path_and_query: &'a str,
    method: &'a Method,
    headers: &'a HeaderMap,
    body: &'a [u8],
}

impl Asked<'_> {
    /// Who asks, if they may call such a route at all.
    async fn caller(&self, who: Who) -> Result<Caller, Failure> {
        match (who, self.from) {
            (Who::Anyone, _) => Ok(Caller::Anyone),
            (Who::Watcher, from) => self.watcher(from),
            (Who::KeyProof, _) => self.prove().map(Caller::Key),
            (Who::LoginProof, _) => self.login().await.map(Caller::Login),
            (Who::Right(_) | Who::SocketOnly, Peer::Socket { uid }) => {
                Ok(Caller::Actor(Actor::Local { uid }))
            }
            (Who::Right(right), Peer::Tcp(_)) => self.holder(right).await,
            (Who::SocketOnly, Peer::Tcp(_)) => Err(Failure::new(
                Kind::Forbidden,
                "This is done on the CA's own machine only.",
                "Run jit-ssh-ca there, as the owner of its data folder.",
            )),
        }
    }

    fn watcher(&self, from: Peer) -> Result<Caller, Failure> {
        let networks = &self.snapshot.config.listen.metrics_from;
        let seen = match from {
            Peer::Socket { .. } => true,
            Peer::Tcp(address) => networks.iter().any(|network| network.contains(address)),
        };
        if seen {
            return Ok(Caller::Anyone);
        }
        Err(Failure::new(
            Kind::Forbidden,
            "Metrics are not shown to this address.",
            "Add it to listen.metrics_from.",
        ))
    }

    fn prove(&self) -> Result<ProvenKey, Failure> {
        let signed = Signed {
            method: self.method.as_str(),
            path_and_query: self.path_and_query,
            ca_name: &self.snapshot.config.name,
            epoch: self.state.ledger.epoch(),
            body: self.body,
        };
        let changes = *self.method != Method::GET;
        proof::check(
            text(self.headers, &header::AUTHORIZATION),
            &signed,
            self.state.ledger.store().epoch_before(),
            self.snapshot.config.profile,
            changes.then_some(&self.state.replay),
            self.now,
        )
    }

    async fn login(&self) -> Result<LiveLogin, Failure> {
        let key = self.prove()?;
        Ok(self.state.logins.recall(key.hash(), self.now).await?)
    }

    /// A person with a right: the login lives, its issuer and client are still configured, its
    /// identity is fresh, and the policy of now gives the right to that identity.
    async fn holder(&self, right: Right) -> Result<Caller, Failure> {
        let login = self.login().await?;
        issue::still_configured(self.snapshot, &login)?;
        let issuer = login.identity.issuer.as_ref();
        let fresh_until = login.identity_fresh_until(self.snapshot.identity_max_age(issuer));
        if self.now >= fresh_until {
            let stale = IssueError::Stale {
                until: fresh_until.seconds(),
                outage: false,
            };
            return Err(stale.into());
        }
        if !self.snapshot.policy.rights(&login.identity).contains(right) {
            let reason =
                format!("This needs the right `{right}`, which the policy does not give you.");
            self.record_forbidden(&login, right, &reason).await?;
            return Err(Failure::new(
                Kind::Forbidden,
                reason,
                "Ask who runs the CA: [[rights]] of the policy gives it to groups.",
            )
            .rule(RIGHTS));
        }
        Ok(Caller::Actor(Actor::Login(login)))
    }

    /// A refusal is recorded before it is told.
    async fn record_forbidden(
        &self,
        login: &LiveLogin,
        right: Right,
        reason: &str,
    ) -> Result<(), Failure> {
        let source = match self.from {
            Peer::Tcp(address) => Some(address),
            Peer::Socket { .. } => None,
        };
        let refused = Refused {
            to: RefusedTo::Login(login),
            rule: RIGHTS,
            role: None,
            reason,
            asked: json!({ "right": right.to_string() }),
            policy: Some(self.snapshot.policy.digest()),
            request: self.request_id,
            source,
            now: self.now,
        };
        Ok(self.state.ledger.record_refused(refused).await?)
    }
}

impl Call {
    /// Where the request came from; none over the socket.
    pub(crate) fn source(&self) -> Option<IpAddr> {
        match self.from {
            Peer::Tcp(address) => Some(address),
            Peer::Socket { .. } => None,
        }
    }

    /// The proven key, on routes that ask for one.
    pub(crate) fn key(&self) -> Result<&ProvenKey, Failure> {
        match &self.caller {
            Caller::Key(key) => Ok(key),
            _ => Err(Failure::internal(
                "a route without a proof asked for its key",
            )),
        }
    }

    /// The login, on routes that ask for one.
    pub(crate) fn login(&self) -> Result<&LiveLogin, Failure> {
        match &self.caller {
            Caller::Login(login) => Ok(login),
            _ => Err(Failure::internal("a route without a login asked for it")),
        }
    }

    fn actor(&self) -> Result<&Actor, Failure> {
        match &self.caller {
            Caller::Actor(actor) => Ok(actor),
            _ => Err(Failure::internal("a route without an actor asked for one")),
        }
    }

    /// How the audit names whoever uses a right here.
    pub(crate) fn actor_name(&self) -> String {
        match &self.caller {
            Caller::Actor(Actor::Local { uid }) => format!("local:{uid}"),
            Caller::Actor(Actor::Login(login)) => format!("login:{}", login.id),
            Caller::Login(login) => format!("login:{}", login.id),
            Caller::Anyone | Caller::Key(_) => "nobody".to_owned(),
        }
    }

    /// Records that a right was used, before it is; of which class its record is.
    pub(crate) async fn record_admin(
        &self,
        class: Class,
        action: &'static str,
        with: Value,
    ) -> Result<(), Failure> {
        let used = self.used(action, with)?;
        Ok(self.state.ledger.record_admin(class, used).await?)
    }

    /// A right that the caller uses here.
    pub(crate) fn used(&self, action: &'static str, with: Value) -> Result<RightUsed<'_>, Failure> {
        Ok(RightUsed {
            actor: self.actor()?,
            action,
            with,
            request: &self.request_id,
            source: self.source(),
            now: self.now,
        })
    }
}

impl Caller {
    /// The proven key itself.
    pub(crate) fn into_key(self) -> Result<ProvenKey, Failure> {
        match self {
            Caller::Key(key) => Ok(key),
            _ => Err(Failure::internal(
                "a route without a proof asked for its key",
            )),
        }
    }
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

/// What every answer carries.
fn finish(answer: &mut Answer, request_id: &str, allow: Option<&str>) {
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

fn bad_forwarded(error: address::BadForwarded) -> Failure {
    Failure::new(
        Kind::BadRequest,
        "The proxy in front of the CA sent an address that is none.",
        "Tell the people who run the CA.",
    )
    .cause(error)
}

fn too_many(seconds: u64) -> Failure {
    Failure::new(
        Kind::TooMany,
        "Too many requests came from your address.",
        "Wait a little and try again.",
    )
    .retry_after(seconds)
}

fn too_large(most: usize) -> Failure {
    let detail = match most {
        0 => "This route takes no body.".to_owned(),
        most => format!("A body may have {most} bytes at most."),
    };
    Failure::new(Kind::TooLarge, detail, "Send a smaller request.")
}

/// Names the refusal of a right.
const RIGHTS: &str = "rights";

#[cfg(test)]
mod tests;
