//! From a found route to its handler. In: the request as it came. Out: the route's answer, or a
//! refusal.
//!
//! It is counted against its peer's rate, read within limits of size and time (A87), its caller is
//! proven (invariant 5) and compared with what the table of routes asks for; only then is there a
//! [`Call`].

use std::net::IpAddr;
use std::sync::Arc;

use http::header;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Bytes;
use jit_ssh_api::problem::Kind;
use jit_ssh_api::proof::Request as Signed;
use serde_json::json;

use super::access::{Patience, Route, Who};
use super::address::{self, Peer};
use super::answer::Answer;
use super::call::{Call, Caller};
use super::problem::Failure;
use super::proof::{self, ProvenKey};
use super::routes;
use crate::issue::{self, IssueError};
use crate::ledger::{Actor, Refused, RefusedTo};
use crate::login::LiveLogin;
use crate::policy::Right;
use crate::server::connections::Place;
use crate::server::state::{Snapshot, State};
use crate::store::hosts::HostRow;
use crate::time::Timestamp;

/// A proxy of ours brought the request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relayed;

/// Who asks: the peer, or whom a proxy of ours names.
pub(super) fn client(
    peer: Peer,
    headers: &HeaderMap,
    snapshot: &Snapshot,
) -> Result<Peer, Failure> {
    let Peer::Tcp(address) = peer else {
        return Ok(peer);
    };
    let proxies = &snapshot.config.listen.trusted_proxies;
    address::client(address, headers, proxies)
        .map(Peer::Tcp)
        .map_err(bad_forwarded)
}

/// From a found route to its handler.
pub(super) async fn admit<B>(
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
    let place = head.extensions.get::<Arc<Place>>().cloned();
    // A proxy's connection carries requests of many.
    let own_place = place
        .as_deref()
        .filter(|_| head.extensions.get::<Relayed>().is_none());
    if let (Caller::Host(host), Peer::Tcp(address)) = (&caller, from) {
        counted_as_host(state, host, address, own_place, &snapshot, now)?;
    }
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
        Patience::Held => {
            let _held = place.as_ref().map(Place::holds);
            return answering.await;
        }
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

/// A host is counted as itself and no longer by its address, behind which there may be hundreds.
fn counted_as_host(
    state: &State,
    host: &HostRow,
    address: IpAddr,
    place: Option<&Place>,
    snapshot: &Snapshot,
    now: Timestamp,
) -> Result<(), Failure> {
    let limit = snapshot.config.limits.requests_per_peer;
    state.peers.give_back(address::limited_as(address), limit);
    state
        .host_requests
        .count(&host.id, REQUESTS_PER_HOST, now)
        .map_err(too_many)?;
    if let Some(place) = place {
        place.is_of_host(&host.id);
    }
    state.ledger.hosts().seen(&host.id, now);
    Ok(())
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
            (Who::KeyProof, _) => self.prove(who).map(Caller::Key),
            (Who::Host, _) => self.host().map(Caller::Host),
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

    fn prove(&self, who: Who) -> Result<ProvenKey, Failure> {
        let signed = Signed {
            method: self.method.as_str(),
            path_and_query: self.path_and_query,
            ca_name: &self.snapshot.config.name,
            epoch: self.state.ledger.epoch(),
            body: self.body,
        };
        // What a host asks for says what it holds: heard once.
        let changes = *self.method != Method::GET || who == Who::Host;
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
        let key = self.prove(Who::LoginProof)?;
        Ok(self.state.logins.recall(key.hash(), self.now).await?)
    }

    /// A living host, by its first key.
    fn host(&self) -> Result<Arc<HostRow>, Failure> {
        let key = self.prove(Who::Host)?;
        self.state
            .ledger
            .hosts()
            .by_first_key(&key.hash().0)
            .ok_or_else(|| {
                Failure::new(
                    Kind::HostUnknown,
                    "There is no living host with this key.",
                    "Enrol this host: jit-ssh-host enroll, with an invitation from whoever runs the CA.",
                )
            })
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

/// Requests of one host in a minute: far more than it has reason for.
const REQUESTS_PER_HOST: u32 = 120;

/// Names the refusal of a right.
const RIGHTS: &str = "rights";
