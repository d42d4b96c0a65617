//! `jit-ssh-host`: makes a stock sshd trust a jit-ssh CA.
//!
//! `command` talks, `ca` asks the CA, `host` reads what is there, `plan` works out the files, `install`
//! puts them down. Below them `trust` knows what the files say, `sshd` asks the host's own sshd what it
//! makes of them, `match_blocks` reads what it cannot be asked, and `files` writes.

mod accounts;
mod ca;
mod cli;
mod command;
mod diff;
mod files;
mod host;
mod install;
mod manifest;
mod match_blocks;
mod plan;
mod sshd;
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
