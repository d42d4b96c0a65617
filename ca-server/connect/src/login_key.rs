//! The login that `jit-ssh login` left on this machine, for admin commands from anywhere.

use jit_ssh_terminal::{Exit, Failure};

use crate::{KnownCa, SignProof};

/// A pinned CA and the key of the login there.
pub struct LoginKey {
    /// The CA.
    pub known: KnownCa,
    /// Signs proofs.
    pub signer: Box<dyn SignProof + Send>,
}

/// Finds the login at the CA with this URL or name; `None`: the only CA, or the default one.
pub fn find(ca: Option<&str>) -> Result<LoginKey, Failure> {
    let at = ca.map_or_else(String::new, |ca| format!(" at {ca}"));
    Err(Failure::new(
        Exit::NotSignedIn,
        format_args!("You are not signed in{at}."),
    )
    .next("Sign in: `jit-ssh login`."))
}
