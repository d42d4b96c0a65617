//! `jit-ssh`: sign in once, then plain `ssh`.
//!
//! ```text
//! cli        what the person typed
//!  └► command   one file each; `ensure` and `status --short` answer within milliseconds from files
//!      ├► state, certificate        what is on disk, read without a runtime or a network
//!      ├► sign_in ─► oidc, key, keyring  a browser sign-in, bound to a fresh key
//!      ├► renew ─► answer           certificates without a browser; what the CA sends is checked
//!      ├► ca                        pin, first contact, signed calls
//!      ├► fleet                     the enrolled hosts that a CA names, strictly read
//!      └► ssh_config                what makes plain `ssh` ask `ensure`, and believe in enrolled hosts
//! ```

mod answer;
mod ca;
mod certificate;
mod cli;
mod command;
mod fleet;
mod key;
mod keyring;
mod oidc;
mod platform;
#[cfg(unix)]
#[cfg(test)]
mod real_agent;
mod renew;
mod sign_in;
mod ssh_config;
mod state;

use std::process::ExitCode;

use clap::Parser as _;
use jit_ssh_terminal::Terminal;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let mut terminal = Terminal::standard(cli.json);
    let result = command::run(cli.command, &mut terminal);
    terminal.finish(result)
}
