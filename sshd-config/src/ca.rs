//! What the CA says, believed only under the pinned identity key.

use jit_ssh_terminal::Failure;

use crate::cli::Ca;
use crate::install::Trusted;

/// Asks the CA for its key set and checks it against the pinned fingerprint.
pub(crate) fn fetch(_ca: &Ca) -> Result<Trusted, Failure> {
    Err(Failure::failed("unfinished"))
}
