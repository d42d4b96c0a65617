//! `POST /v1/sign-ins` announces a sign-in on another machine, and `GET /sign-in` is where it
//! arrives; [`crate::sign_in`] keeps what was announced.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jit_ssh_api::discovery::Flow;
use jit_ssh_api::problem::Kind;
use jit_ssh_api::sign_in::{SignInAnswer, SignInRequest};

use crate::http::problem::Failure;
use crate::http::{Answer, Call, ok, strict};
use crate::sign_in::{Announced, LIFE};
use crate::web::page::paste;

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
