//! The SSH certificate authority of jit-ssh. The request flows one way, and each step hands the
//! next a type that only it can make:
//!
//! ```text
//! http          parses, limits, maps errors to problem+json (RFC 9457)
//!  └► identity     raw token ──► VerifiedIdentity
//!      │                (login: an identity or a proven key ──► a live login)
//!      └► policy      VerifiedIdentity + Ask + now ──► Grant | Refusal        pure
//!          └► certificate   Grant + key ──► CertificateToSign                 pure
//!              └► ledger       record(CertificateToSign) ──► Recorded         durable
//!                  └► signer      Recorded ──► Issued
//!                      └► http response
//! ```

// About in the order of the flow; the blank lines keep rustfmt from sorting.

pub mod time;

pub mod entropy;

pub mod secret;

pub mod data;

pub mod config;

pub mod server;

mod issue;

pub mod http;

pub mod identity;

pub mod policy;

pub mod certificate;

pub mod signer;

pub mod ledger;

pub mod store;

pub mod login;

mod sign_in;

pub mod host;

pub mod revocation;

pub mod web;

mod metrics;

pub mod cli;
