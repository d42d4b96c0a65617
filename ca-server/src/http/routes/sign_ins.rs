//! `POST /v1/sign-ins` announces a sign-in on another machine, and `GET /sign-in` is where it
//! arrives. Announcements live for ten minutes in memory: after a restart the person starts again.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jit_ssh_api::discovery::Flow;
use jit_ssh_api::problem::Kind;
use jit_ssh_api::sign_in::{SignInAnswer, SignInRequest};

use crate::http::problem::Failure;
use crate::http::{Answer, Call, ok, strict};
use crate::time::Timestamp;
use crate::web::page::paste;

/// One announcement: who asks.
#[derive(Clone, Debug)]
pub(crate) struct Announced {
    pub(crate) key: String,
    pub(crate) address: Option<IpAddr>,
    pub(crate) time: Timestamp,
    pub(crate) issuer: String,
    pub(crate) expires: Timestamp,
}

/// All announcements, by `state`.
#[derive(Debug, Default)]
pub(crate) struct SignIns {
    announced: Mutex<HashMap<String, Announced>>,
}

impl SignIns {
    /// Takes one; a `state` belongs to the first key that announced it.
    fn announce(&self, state: String, new: Announced, now: Timestamp) -> Result<(), Failure> {
        let mut announced = self
            .announced
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        announced.retain(|_, known| known.expires > now);
        match announced.get(&state) {
            Some(known) if known.key != new.key => Err(Failure::new(
                Kind::Conflict,
                "This state was announced by another key.",
                "Make a new random state.",
            )),
            None if announced.len() >= MOST => Err(Failure::new(
                Kind::TooMany,
                "Too many sign-ins are announced.",
                "Wait a minute and try again.",
            )
            .retry_after(60)),
            _ => {
                announced.insert(state, new);
                Ok(())
            }
        }
    }

    /// The announcement of a `state`, for the page.
    fn get(&self, state: &str, now: Timestamp) -> Option<Announced> {
        let announced = self
            .announced
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        announced
            .get(state)
            .filter(|known| known.expires > now)
            .cloned()
    }
}

/// `POST /v1/sign-ins`.
pub(super) fn post(call: &Call) -> Result<Answer, Failure> {
    let request: SignInRequest = strict::parse(&call.body)?;
    let key = call.key()?;
    let random = URL_SAFE_NO_PAD
        .decode(&request.state)
        .is_ok_and(|bytes| bytes.len() == 32);
    if !random {
        return Err(Failure::new(
            Kind::BadRequest,
            "`state` must be 32 random bytes in base64url without padding.",
            "Make one: openssl rand 32 | basenc --base64url | tr -d =",
        ));
    }
    let clients = call
        .snapshot
        .issuer(&request.issuer)
        .map(|issuer| &issuer.clients);
    let served = clients.is_some_and(|clients| {
        clients
            .iter()
            .any(|client| client.flows.contains(&Flow::Paste))
    });
    if !served {
        return Err(Failure::new(
            Kind::BadRequest,
            "This CA has no sign-in page for that issuer.",
            "Paste the failed loopback address instead, or ask who runs the CA for flows = [\"paste\"].",
        ));
    }
    let announced = Announced {
        key: key.key().fingerprint(),
        address: call.source(),
        time: call.now,
        issuer: request.issuer,
        expires: call.now.plus(LIFE),
    };
    let expires = announced.expires.seconds();
    call.state
        .sign_ins
        .announce(request.state, announced, call.now)?;
    // From the configuration, never from a header of the request (A84).
    let redirect_uri = format!("{}/sign-in", call.snapshot.config.url);
    ok(&SignInAnswer {
        redirect_uri,
        expires,
    })
}

/// `GET /sign-in`.
pub(super) fn page(call: &Call) -> Result<Answer, Failure> {
    let redirect = paste::Redirect::parse(&call.query);
    let state = redirect
        .as_ref()
        .and_then(|redirect| redirect.state.as_deref());
    let announced = state.and_then(|state| call.state.sign_ins.get(state, call.now));
    Ok(paste::page(redirect, announced.as_ref()))
}

const LIFE: Duration = Duration::from_secs(600);
const MOST: usize = 10_000;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Announced, LIFE, SignIns};
    use crate::time::Timestamp;

    fn by(key: &str, now: Timestamp) -> Announced {
        Announced {
            key: key.to_owned(),
            address: None,
            time: now,
            issuer: "https://idp.example.com".to_owned(),
            expires: now.plus(LIFE),
        }
    }

    #[test]
    fn another_key_cannot_take_over_an_announced_state() {
        let (sign_ins, now) = (SignIns::default(), Timestamp::from_seconds(1000));
        sign_ins
            .announce("s".into(), by("alice", now), now)
            .unwrap();
        assert!(
            sign_ins
                .announce("s".into(), by("mallory", now), now)
                .is_err()
        );
        assert_eq!(sign_ins.get("s", now).unwrap().key, "alice");
        let later = now.plus(LIFE + Duration::from_secs(1));
        assert!(sign_ins.get("s", later).is_none(), "it ends");
    }

    #[test]
    fn announcements_cannot_fill_the_memory() {
        let (sign_ins, now) = (SignIns::default(), Timestamp::from_seconds(1000));
        let taken = (0..10_050)
            .filter(|n| sign_ins.announce(n.to_string(), by("k", now), now).is_ok())
            .count();
        assert_eq!(taken, 10_000);
    }
}
