//! The end-to-end tests: one binary, one link. Each test starts its own parts and ends them.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests: a panic is a finding"
)]

mod scene;

mod api_doc;
mod attacks;
mod backup;
mod crash;
mod host;
mod invariants;
mod login;
mod matrix;
mod operate;
mod package;
mod parts;
mod paste;
mod plain_ssh;
mod policy;
mod reload;
mod renewal;
mod security_model;
mod setup;
