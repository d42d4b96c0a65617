//! What the CA says, believed only under the pinned identity key (A50).

use std::path::Path;

use jit_ssh_connect::{Options, Pin};
use jit_ssh_terminal::Failure;

use crate::plan::Trusted;

/// Asks the CA for its key set and checks it against the pin. Whoever else answers, with whatever TLS
/// certificate, is refused, and so is a key set that is older than one that this host has seen.
pub(crate) fn fetch(url: &str, pin: Pin<'_>, ca_file: Option<&Path>) -> Result<Trusted, Failure> {
    let mut options = Options::from_env(concat!("jit-ssh-host/", env!("CARGO_PKG_VERSION")));
    options.ca_files.extend(ca_file.map(Path::to_owned));
    let contact = jit_ssh_connect::block_on(jit_ssh_connect::discover(url, pin, &options))??;
    Ok(Trusted {
        known: contact.known,
        keys: contact.key_set,
    })
}
