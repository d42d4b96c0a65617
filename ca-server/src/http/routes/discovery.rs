//! `GET /.well-known/jit-ssh`: what a client must know before anybody signed in.

use jit_ssh_api::API_VERSION;
use jit_ssh_api::discovery::Discovery;

use crate::http::problem::Failure;
use crate::http::{Answer, Call, ok};

pub(super) fn get(call: &Call) -> Result<Answer, Failure> {
    let config = &call.snapshot.config;
    ok(&Discovery {
        api_version: API_VERSION,
        name: config.name.clone(),
        url: config.url.clone(),
        epoch: call.state.ledger.epoch(),
        time: call.now.seconds(),
        profile: config.profile,
        issuers: call.snapshot.issuers.clone(),
        key_set: call.state.trusted.load().key_set.signed.clone(),
    })
}
