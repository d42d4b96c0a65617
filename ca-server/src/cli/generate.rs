//! `completions` and `man`: both made from the one clap tree.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use jit_ssh_terminal::{Failure, Terminal};

use super::Cli;

/// `completions`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  jit-ssh-ca completions bash > /etc/bash_completion.d/jit-ssh-ca"
)]
pub(super) struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self, terminal: &mut Terminal) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "jit-ssh-ca", &mut script);
        terminal.raw(&script)
    }
}

/// `man`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  jit-ssh-ca man /usr/local/share/man/man1")]
pub(super) struct Man {
    /// Folder for `jit-ssh-ca.1`, `jit-ssh-ca-setup.1` …; must exist
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Man {
    pub(super) fn run(self, terminal: &mut Terminal) -> Result<(), Failure> {
        clap_mangen::generate_to(Cli::command(), &self.folder).map_err(|error| {
            Failure::failed(format_args!("{} cannot be written.", self.folder.display())).why(error)
        })?;
        terminal.say(format_args!(
            "The man pages are in {}.",
            self.folder.display()
        ))
    }
}
