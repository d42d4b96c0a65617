//! `serve`: gets the passphrase and hands over to [`crate::server`].

use std::net::SocketAddr;
use std::path::Path;

use clap::Args;
use jit_ssh_terminal::{Failure, Terminal};

use super::passphrase::Passphrase;
use crate::server::{self, ServeError, ServeOptions};
use crate::signer::key_pair;
use crate::time::Clock;

/// `serve`.
#[derive(Debug, Args)]
#[command(after_help = "\
Stops on SIGTERM and SIGINT once running requests are done; SIGHUP reads configuration and policy
again. The log goes to standard error.

Example:
  jit-ssh-ca serve --data /srv/ca --passphrase-file /root/ca-passphrase")]
pub(super) struct Serve {
    /// Listen here instead of where the configuration says; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    #[command(flatten)]
    passphrase: Passphrase,
}

impl Serve {
    pub(super) fn run(self, data: &Path, terminal: &Terminal) -> Result<(), Failure> {
        std::thread::spawn(key_pair::warm);
        let passphrase = match self.passphrase.stored()? {
            None if terminal.is_interactive() => Some(self.passphrase.read(terminal)?),
            stored => stored,
        };
        let options = ServeOptions {
            data: data.to_owned(),
            passphrase,
            clock: Clock::System,
            listen: self.listen,
        };
        server::run(options).map_err(|error| {
            Failure::failed(match error {
                ServeError::Start(_) => "The CA does not start.",
                ServeError::Stop(_) => "The CA stopped, and its last summary is not recorded.",
            })
            .why(error)
            .next("`jit-ssh-ca doctor` looks at the data folder and says what to mend.")
        })
    }
}
