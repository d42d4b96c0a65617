//! The end-to-end tests: one binary, one link. Each test starts its own parts and ends them.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests: a panic is a finding"
)]

mod scene;

mod ansible;
mod api_doc;
mod attacks;
mod backup;
mod cli;
mod crash;
mod demo;
mod doctor;
mod fleet;
mod host;
mod hosts;
mod invariants;
mod login;
mod keyring;
mod matrix;
mod operate;
mod package;
mod parts;
mod passphrase;
mod paste;
mod plain_ssh;
mod policy;
mod provider_faults;
mod providers;
mod reload;
mod renewal;
mod revocation;
mod security_model;
mod setup;
mod shells;
