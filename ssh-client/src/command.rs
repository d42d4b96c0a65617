//! One file for each command.

pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod ensure;
pub(crate) mod hosts;
pub(crate) mod inspect;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod roles;
pub(crate) mod ssh_config;
pub(crate) mod status;

use jit_ssh_terminal::{Failure, Terminal};

use crate::cli::Command;

/// Runs what was typed. A runtime is made by those commands alone that talk to somebody.
pub(crate) fn run(command: Command, terminal: &mut Terminal) -> Result<(), Failure> {
    match command {
        Command::Ensure(arguments) => ensure::run(&arguments, terminal),
        Command::Status(arguments) => status::run(&arguments, terminal),
        Command::Login(arguments) => jit_ssh_connect::block_on(login::run(&arguments, terminal))?,
        Command::Logout(arguments) => jit_ssh_connect::block_on(logout::run(&arguments, terminal))?,
        Command::Roles(arguments) => jit_ssh_connect::block_on(roles::run(&arguments, terminal))?,
        Command::Hosts(arguments) => jit_ssh_connect::block_on(hosts::run(&arguments, terminal))?,
        Command::SshConfig(arguments) => ssh_config::run(&arguments, terminal),
        Command::Inspect(arguments) => inspect::run(&arguments, terminal),
        Command::Doctor(arguments) => jit_ssh_connect::block_on(doctor::run(&arguments, terminal))?,
        Command::Completions(arguments) => completions::run(&arguments, terminal),
        Command::Man(arguments) => completions::man(&arguments, terminal),
    }
}
