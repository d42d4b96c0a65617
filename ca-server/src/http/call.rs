//! A request that was admitted: what its route gets to know, and the record of a right that it uses.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::body::Bytes;
use serde_json::Value;

use super::address::Peer;
use super::problem::Failure;
use super::proof::ProvenKey;
use crate::ledger::{Actor, Class, RightUsed};
use crate::login::LiveLogin;
use crate::server::state::{Snapshot, State};
use crate::store::hosts::HostRow;
use crate::time::Timestamp;

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
    /// This living host.
    Host(Arc<HostRow>),
    /// Somebody with the right to it.
    Actor(Actor),
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

    /// The host, on routes of hosts.
    pub(crate) fn host(&self) -> Result<&Arc<HostRow>, Failure> {
        match &self.caller {
            Caller::Host(host) => Ok(host),
            _ => Err(Failure::internal("a route without a host asked for it")),
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
            Caller::Host(host) => format!("host:{}", host.id),
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
