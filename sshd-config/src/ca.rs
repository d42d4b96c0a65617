//! What the CA says, believed only under the pinned identity key (A50).

use jit_ssh_connect::{Options, Pin};
use jit_ssh_terminal::Failure;

use crate::cli::Ca;
use crate::install::Trusted;

/// Asks the CA for its key set and checks it against the pinned fingerprint. Whoever else answers,
/// with whatever TLS certificate, is refused.
pub(crate) fn fetch(ca: &Ca) -> Result<Trusted, Failure> {
    let mut options = Options::from_env(concat!("jit-ssh-host/", env!("CARGO_PKG_VERSION")));
    options.ca_files.extend(ca.ca_file.clone());
    let pin = Pin::Fingerprint(&ca.fingerprint);
    let contact = jit_ssh_connect::block_on(jit_ssh_connect::discover(&ca.ca, pin, &options))??;
    Ok(Trusted {
        url: contact.known.url,
        fingerprint: contact.known.fingerprint,
        keys: contact.key_set,
    })
}
