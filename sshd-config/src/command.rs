//! The commands: what is said to the operator. What is done stands in `install`.

mod doctor;
mod install;
mod print;
mod uninstall;

use clap::CommandFactory as _;
use jit_ssh_terminal::{Failure, Terminal};

use crate::cli::{Cli, Command, Where};
use crate::install::{InstallError, Place};
use crate::sshd::{self, Sshd};
use crate::trust::{Admission, principals};

/// Runs one command.
pub(crate) fn run(command: Command, terminal: &mut Terminal) -> Result<(), Failure> {
    match command {
        Command::Install(options) => install::run(&options, terminal),
        Command::Uninstall(options) => uninstall::run(&options, terminal),
        Command::Print(options) => print::run(&options, terminal),
        Command::Doctor(options) => doctor::run(&options, terminal),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "jit-ssh-host", &mut text);
            terminal.raw(&text)
        }
        Command::Man { folder } => clap_mangen::generate_to(Cli::command(), &folder)
            .map_err(|error| Failure::failed("The man pages could not be written.").why(error)),
    }
}

fn place(options: &Where) -> Place {
    let program = options.sshd.clone().unwrap_or_else(sshd::default_program);
    Place {
        sshd: Sshd::new(program, options.sshd_config.clone()),
        folder: options.folder.clone(),
    }
}

fn admissions(accounts: &[String]) -> Result<Vec<Admission>, Failure> {
    let parsed: Result<Vec<Admission>, _> = accounts.iter().map(|text| text.parse()).collect();
    parsed
        .and_then(|admissions| principals::distinct(&admissions).map(|()| admissions))
        .map_err(|error| {
            Failure::usage("An --account is not understood.")
                .why(error)
                .next("Write it as ACCOUNT=ROLE, for example `--account observer=production-observer`.")
        })
}

/// Only root may write where sshd reads, unless the files are somebody's own.
fn explain(error: InstallError) -> Failure {
    let next = match &error {
        InstallError::Files(_) => {
            "Run it as root (`sudo jit-ssh-host …`), and look at the path named above."
        }
        InstallError::Sshd(_) => "Mend sshd's configuration first: `sshd -t` says what it refuses.",
        InstallError::Keys(_) => "Mend the file that is named, or ask whoever runs the CA.",
        InstallError::TooOld(_) => "Upgrade OpenSSH on this host.",
        InstallError::NoConfig(_) => {
            "Install OpenSSH's server, or name its file with --sshd-config."
        }
        InstallError::Principals { .. } => {
            "Principals are not merged, since a copy would not hear of one that is taken away. Remove that \
             directive, or add the lines of `jit-ssh-host print` to what maintains it."
        }
        InstallError::Foreign(_) => "Move that file away, or choose another folder with --folder.",
        InstallError::NotInForce { .. } => {
            "Everything is as it was before. Look for an earlier line or a Match block that sets it: \
             `sshd -T -C user=ACCOUNT` shows what holds."
        }
        InstallError::NotInstalled(_) => {
            "There is nothing to do; another folder is named with --folder."
        }
        InstallError::Manifest { .. } => "Move it away and run `jit-ssh-host install` again.",
        InstallError::Changed(_) => {
            "Look at it; `jit-ssh-host uninstall --force` removes it all the same."
        }
    };
    Failure::failed("This host was not changed.")
        .why(error)
        .next(next)
}
