//! The commands: what is said to the operator. What is done stands in `install`.

mod doctor;
mod enroll;
mod install;
mod print;
mod status;
mod sync;
mod unenroll;
mod uninstall;

use std::io::ErrorKind;

use clap::CommandFactory as _;
use jit_ssh_connect::Options;
use jit_ssh_terminal::{Failure, Terminal};

use crate::cli::{Cli, Command, Where};
use crate::files::FilesError;
use crate::host::Place;
use crate::install::InstallError;
use crate::sshd::{self, Sshd};
use crate::state::StateError;
use crate::sync::SyncError;
use crate::trust::{AccountName, Admission, principals};

/// Runs one command.
pub(crate) fn run(command: Command, terminal: &mut Terminal) -> Result<(), Failure> {
    match command {
        Command::Install(options) => install::run(&options, terminal),
        Command::Uninstall(options) => uninstall::run(&options, terminal),
        Command::Print(options) => print::run(&options, terminal),
        Command::Enroll(options) => enroll::run(&options, terminal),
        Command::Sync(options) => sync::run(&options, terminal),
        Command::Status(options) => status::run(&options, terminal),
        Command::Unenroll(options) => unenroll::run(&options, terminal),
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
        state: options.state.clone(),
    }
}

fn connection_options() -> Options {
    Options::from_env(concat!("jit-ssh-host/", env!("CARGO_PKG_VERSION")))
}

/// What the host remembers cannot be read or written.
fn remembered(error: StateError) -> Failure {
    match error {
        StateError::Files(error) => {
            let next = files_next(&error);
            Failure::failed("What this host remembers of its enrolment cannot be used.")
                .why(error)
                .next(next)
        }
        StateError::Damaged { .. } => Failure::failed(error)
            .next("Enrol once more, with another invitation: `jit-ssh-host enroll`."),
    }
}

fn not_enrolled(place: &Place) -> Failure {
    Failure::failed("This host is not enrolled.")
        .why(format_args!("There is no {}.", place.state.join("host.json").display()))
        .next("Enrol it: `jit-ssh-host enroll --ca https://ca.example.com --fingerprint SHA256:… --token-file FILE`.")
}

fn explain_sync(error: SyncError) -> Failure {
    match error {
        SyncError::NotEnrolled(_) => Failure::failed("This host is not enrolled.")
            .why(error)
            .next(
                "Enrol it: `jit-ssh-host enroll`, with an invitation of `jit-ssh-ca host invite`.",
            ),
        SyncError::State(error) => remembered(error),
        SyncError::EnrolledAnew => Failure::failed(error)
            .next("Start it again: `systemctl restart jit-ssh-host`; it goes on as the host that it is now."),
        SyncError::NoKey(_) => Failure::failed(error)
            .next("Bring that key back; or have the host revoked (`jit-ssh-ca host revoke`), and enrol it anew."),
        SyncError::Connect(error) => error.into(),
        SyncError::Install(error) => explain(error),
        SyncError::NotKept
        | SyncError::NoWorker
        | SyncError::Refused(_)
        | SyncError::Renewal(_)
        | SyncError::Sshd(_) => Failure::failed(error)
            .next("What was in force stays; `jit-ssh-host doctor` looks at this host."),
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

fn explain(error: InstallError) -> Failure {
    explain_after_making(error, &[])
}

/// What the host is like after a failure. Accounts that were made are not taken back, since somebody
/// may be at work in one already: so they are named.
fn left_as(restored: bool, made: &[AccountName]) -> String {
    let names: Vec<&str> = made.iter().map(AccountName::as_str).collect();
    let names = names.join(", ");
    match (restored, made.is_empty()) {
        (true, true) => "This host was not changed.".to_owned(),
        (true, false) => {
            format!("This host was not changed, but for the accounts that were made: {names}.")
        }
        (false, true) => "This host was changed, and could not be put back whole.".to_owned(),
        (false, false) => format!(
            "This host was changed, and could not be put back whole. Accounts that were made: {names}."
        ),
    }
}

fn explain_after_making(error: InstallError, made: &[AccountName]) -> Failure {
    let next = next(&error);
    Failure::failed(left_as(error.is_restored(), made))
        .why(error)
        .next(next)
}

/// The error and what to do, where nothing was to be changed.
fn explain_why(error: &InstallError) -> Failure {
    Failure::failed(error).next(next(error))
}

/// Only root may write where sshd reads, unless the files are somebody's own.
fn next(error: &InstallError) -> &'static str {
    match error {
        InstallError::Files(error) => files_next(error),
        InstallError::NotRestored { .. } => {
            "Put the files named above right by hand, then check `sshd -t` before sshd is restarted."
        }
        InstallError::OtherCa { .. } => {
            "If that is meant: `jit-ssh-host uninstall` first, then install again."
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
        InstallError::Revokes { .. } => {
            "Two revocation lists cannot be made one, and sshd reads one: have what is in that file revoked \
             at the CA (`jit-ssh-ca revoke --key SHA256:…`), and remove the directive."
        }
        InstallError::State(_) => "Look at the path named above.",
        InstallError::HostCertificate(_) => {
            "Ask whoever runs the CA; the host's names are in the invitation."
        }
        InstallError::IsEnrolled { .. } => {
            "Change the policy or the host's labels at the CA; `jit-ssh-host unenroll` takes the host out."
        }
        InstallError::InMatch { .. } => {
            "Name other accounts, leave this one out of that block (`Match … User *,!ACCOUNT`), or move \
             the line out of the Match."
        }
        InstallError::Foreign(_) => "Move that file away, or choose another folder with --folder.",
        InstallError::NotInForce { .. } => {
            "Look for an earlier line or a Match block that sets it: \
             `sshd -T -C user=ACCOUNT` shows what holds."
        }
        InstallError::NotInstalled(_) => {
            "There is nothing to do; another folder is named with --folder."
        }
        InstallError::Manifest { .. } => "Move it away and run `jit-ssh-host install` again.",
        InstallError::Changed(_) => {
            "Look at it; `jit-ssh-host uninstall --force` removes it all the same."
        }
    }
}

fn files_next(error: &FilesError) -> &'static str {
    match error {
        FilesError::Io { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
            "Run it as root: `sudo jit-ssh-host …`."
        }
        FilesError::Io { .. } => "Look at the path named above.",
        FilesError::NotText(_) => "Look for a comment in an old encoding, and write it in UTF-8.",
        FilesError::NotAFile(_) => {
            "Put a regular file there, or move it away; where sshd's main file is a link, name what it \
             points to with --sshd-config."
        }
        FilesError::StrangersLink(_) => {
            "Whose link it is decides what sshd trusts: put root's own link or a regular file there."
        }
        FilesError::NotRestored { .. } => {
            "Put the files named above right by hand, then check `sshd -t` before sshd is restarted."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_was_changed_is_not_said_to_be_unchanged() {
        let made: Vec<AccountName> = vec!["observer".parse().unwrap()];
        let refused = || InstallError::Changed("/etc/ssh/jit-ssh/user_ca.pub".into());
        let what =
            |error, made: &[AccountName]| explain_after_making(error, made).what().to_owned();
        assert_eq!(what(refused(), &[]), "This host was not changed.");
        assert!(what(refused(), &made).contains("but for the accounts that were made: observer"));
        let restore = || FilesError::NotAFile("/etc/ssh/sshd_config".into());
        let twice = InstallError::NotRestored {
            error: Box::new(refused()),
            restore: restore(),
        };
        let failure = explain_after_making(twice, &made);
        assert!(failure.what().contains("could not be put back whole"));
        assert!(failure.what().contains("observer"));
        let why = failure.cause().unwrap();
        let order = (why.find("user_ca.pub"), why.find("sshd_config"));
        assert!(order.0.is_some() && order.0 < order.1, "both errors: {why}");
        let half = FilesError::NotRestored {
            error: Box::new(restore()),
            restore: Box::new(restore()),
        };
        assert!(what(half.into(), &[]).contains("could not be put back whole"));
    }
}
