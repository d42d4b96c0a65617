//! How client, host and admin commands call the CA.
//!
//! ```text
//! discover   first contact: URL + fingerprint ──► Contact (what the CA says) + KnownCa (what is kept)
//! Connection every later call: request ──► proof by the login key ──► answer | ConnectError
//!            corrects a wrong clock once, takes a new epoch once, follows a new TLS pin once
//! Failure    every ConnectError says what happened and what to do next
//! ```
//!
//! The identity key's fingerprint is the only thing that is believed beforehand (A50); TLS is checked
//! by the system's trust store, extra CA files, or the pins of the signed key set. Nothing follows
//! redirects (A10). The runtime is the caller's: [`block_on`] makes a small one, only when called,
//! because the client's fast path must not pay for it.

pub mod agent;
mod error;
mod http;
pub mod login_key;
mod pin;
pub mod platform;
mod signed;
mod tls;

pub use error::ConnectError;
pub use http::{Options, http_client, is_loopback, normalise_url, proxy_for, root_cause};
pub use pin::{Contact, KnownCa, Pin, discover};
pub use signed::{Connection, Request, SignError, SignProof};
pub use tls::{TrustStore, trust_store};

/// Seconds since 1970-01-01 UTC: the only reading of the system clock in the programs that call the
/// CA.
pub fn now() -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one reading of the system clock"
    )]
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

/// Runs a future to its end on a runtime of this thread.
pub fn block_on<F: Future>(future: F) -> Result<F::Output, ConnectError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ConnectError::Runtime)?;
    Ok(runtime.block_on(future))
}

#[cfg(test)]
mod tests;
