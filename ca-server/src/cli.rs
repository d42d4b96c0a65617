//! The commands of `jit-ssh-ca`: one clap tree, from which `--help`, completions and man pages come.
//!
//! `setup`, `init`, `serve`, `restore` and `doctor` work on the data folder; `policy check` and `policy
//! test` read a file, `key list` what is public in the folder. All other commands ask
//! the serving process, over its Unix socket as the owner of the data, or with `--ca` as a person
//! whom the policy gives the right: only the serving process writes.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use jit_ssh_terminal::{Exit, Failure, Terminal};

mod access;
mod audit;
mod backup;
mod doctor;
mod generate;
mod host;
mod init;
mod interrupted;
mod key;
mod login;
mod passphrase;
mod policy;
mod restore;
mod revoke;
mod serve;
mod setup;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "jit-ssh-ca",
    version,
    about = "SSH certificate authority: sign in at your identity provider, get a certificate for minutes",
    long_about = "SSH certificate authority: people sign in at your identity provider and get \
        certificates that live for minutes, for the role that their group gives them.",
    after_help = Exit::HELP,
    after_long_help = MAIN_EXAMPLES,
    max_term_width = 100,
    propagate_version = true,
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: Global,
}

/// What every command takes.
#[derive(Clone, Debug, Args)]
struct Global {
    /// Data folder of the CA: keys, ledger, configuration and policy
    #[arg(
        long,
        global = true,
        help_heading = "Everywhere",
        value_name = "DIR",
        env = "JIT_SSH_CA_DATA",
        default_value = "/var/lib/jit-ssh-ca",
        hide_env_values = true
    )]
    data: PathBuf,
    /// Print one line of JSON instead of text, failures too
    #[arg(long, global = true, help_heading = "Everywhere")]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Set up a CA on this machine and start it: data folder, systemd unit, next steps to paste
    Setup(Box<setup::Setup>),
    /// Make the data folder of a new CA: keys, configuration, policy
    Init(Box<init::Init>),
    /// Serve the CA
    Serve(serve::Serve),
    /// Check, test and explain the policy
    #[command(subcommand)]
    Policy(policy::Policy),
    /// List logins, or end one for good
    #[command(subcommand, visible_alias = "logins")]
    Login(login::Login),
    /// Take access away: of a person, a login, a certificate, a role, a host or a key
    Revoke(revoke::Revoke),
    /// Let a person sign in again, or a role be given again
    Unlock(revoke::Unlock),
    /// Show who and what gets no certificates
    #[command(subcommand, visible_alias = "locks")]
    Lock(revoke::Lock),
    /// End everything of a person in one go
    Offboard(revoke::Offboard),
    /// Invite, list, label and revoke the servers that enrol themselves
    #[command(subcommand, visible_alias = "hosts")]
    Host(host::Host),
    /// Read the ledger: who got which certificate, who was refused and why
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Show the keys of the CA and the fingerprint that clients and hosts pin
    #[command(subcommand, visible_alias = "keys")]
    Key(key::Key),
    /// Back up everything into one file, while the CA serves
    Backup(backup::Backup),
    /// Make a data folder from a backup; starts a new epoch
    Restore(restore::Restore),
    /// Look for what is wrong, with the mend for each
    Doctor(doctor::Doctor),
    /// Print the completions for a shell
    Completions(generate::Completions),
    /// Write the man pages into a folder
    #[command(hide = true)]
    Man(generate::Man),
}

/// Runs the program.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors. A closed pipe is none either.
            let _ = error.print();
            let exit = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            };
            return exit.into();
        }
    };
    let mut terminal = Terminal::standard(cli.global.json);
    let result = run(cli, &mut terminal);
    terminal.finish(result)
}

fn run(cli: Cli, terminal: &mut Terminal) -> Result<(), Failure> {
    let data = std::path::absolute(&cli.global.data)
        .map_err(|error| Failure::usage("--data is no path.").why(error))?;
    match cli.command {
        Command::Setup(setup) => setup.run(&data, terminal),
        Command::Init(init) => init.run(&data, terminal),
        Command::Serve(serve) => serve.run(&data, terminal),
        Command::Policy(policy) => policy.run(&data, terminal),
        Command::Login(login) => login.run(&data, terminal),
        Command::Revoke(revoke) => revoke.run(&data, terminal),
        Command::Unlock(unlock) => unlock.run(&data, terminal),
        Command::Lock(lock) => lock.run(&data, terminal),
        Command::Offboard(offboard) => offboard.run(&data, terminal),
        Command::Host(host) => host.run(&data, terminal),
        Command::Audit(audit) => audit.run(&data, terminal),
        Command::Key(key) => key.run(&data, terminal),
        Command::Backup(backup) => backup.run(&data, terminal),
        Command::Restore(restore) => restore.run(&data, terminal),
        Command::Doctor(doctor) => doctor.run(&data, terminal),
        Command::Completions(completions) => completions.run(terminal),
        Command::Man(man) => man.run(terminal),
    }
}

const MAIN_EXAMPLES: &str = "\
Examples:
  A CA on this machine, in one command:
    jit-ssh-ca setup --url https://ca.example.com --issuer https://acme.okta.com \\
        --client-id 0oa1b2c3 --grant Ops=production-observer:observer --hosts '*.prod.example.com'
  Who got in today, and who was refused:
    jit-ssh-ca audit list --since 1d
  What somebody in a group may have:
    jit-ssh-ca policy explain --group Ops

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused, 4 not signed in, 5 CA or identity provider unreachable";

#[cfg(test)]
mod tests;
