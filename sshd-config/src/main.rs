//! `jit-ssh-host`: makes a stock sshd trust a jit-ssh CA.
//!
//! `command` talks, `enrol` joins a fleet, `sync` keeps what came of it fresh (`bundle` reads it, `state`
//! remembers it, `notify` tells systemd), `ca` asks the CA, `host` reads what is there, `plan` works out the files, `install`
//! puts them down. Below them `trust` knows what the files say, `sshd` asks the host's own sshd what it
//! makes of them, `match_blocks` reads what it cannot be asked, and `files` writes.

mod accounts;
mod bundle;
mod ca;
mod cli;
mod command;
mod diff;
mod enrol;
mod files;
mod host;
mod install;
mod manifest;
mod match_blocks;
mod notify;
mod plan;
mod sshd;
mod state;
mod sync;
mod trust;

use std::process::ExitCode;

use clap::Parser as _;
use jit_ssh_terminal::Terminal;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let mut terminal = Terminal::standard(cli.json);
    let result = command::run(cli.command, &mut terminal);
    terminal.finish(result)
}
