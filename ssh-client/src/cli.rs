//! What the person typed; the one definition of help, completions and man pages.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use jit_ssh_terminal::Exit;

/// Sign in once, then plain `ssh`.
#[derive(Debug, Parser)]
#[command(
    name = "jit-ssh",
    version,
    about = "Sign in once, then plain ssh",
    after_help = Exit::HELP,
    max_term_width = 100,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    /// Print the answer as one line of JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One for each thing to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Sign in at the identity provider and get a first certificate
    Login(Login),
    /// End the login and remove its keys from agent and disk
    Logout(Logout),
    /// Who is signed in, with which roles, for how long
    Status(Status),
    /// Roles that you may have, and what would help with the others
    Roles(WhichCa),
    /// Make sure of a certificate for one account on one host (run by ssh, see `ssh-config`)
    Ensure(Ensure),
    /// Make plain ssh, scp, rsync, git … use jit-ssh for the CA's hosts
    SshConfig(SshConfig),
    /// Say in words what is in a certificate, anybody's
    Inspect(Inspect),
    /// Find what is wrong, and the mend
    Doctor(WhichCa),
    /// Print completions for a shell
    Completions(Completions),
    /// Print the man page, or write all of them into a folder
    Man(Man),
}

/// Which CA, where several are known.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct WhichCa {
    /// Name or address of the CA, where several are known
    #[arg(long, value_name = "NAME|URL")]
    pub(crate) ca: Option<String>,
}

/// `login`
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Login {
    /// Address of the CA; needed the first time only
    #[arg(long, value_name = "URL")]
    pub(crate) ca: Option<String>,
    /// Fingerprint of the CA's identity key, from whoever runs the CA
    #[arg(long, value_name = "SHA256:…")]
    pub(crate) fingerprint: Option<String>,
    /// TLS CA certificates (PEM) to trust for the CA and the identity provider
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Vec<PathBuf>,
    /// Identity provider, by address or label, where the CA knows several
    #[arg(long)]
    pub(crate) issuer: Option<String>,
    /// Role of the first certificate
    #[arg(long, env = "JIT_SSH_ROLE")]
    pub(crate) role: Option<String>,
    /// Certify this key instead of a fresh one (FIDO, RSA, ECDSA …)
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Sign in on another machine and paste what the browser shows
    #[arg(long)]
    pub(crate) no_browser: bool,
    /// Keep the login key in a file even where there is an agent
    #[arg(long)]
    pub(crate) no_agent: bool,
    /// Write the ssh configuration without asking
    #[arg(long)]
    pub(crate) ssh_config: bool,
}

/// `logout`
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Logout {
    #[command(flatten)]
    pub(crate) which: WhichCa,
    /// End your logins on all machines, and revoke all of their certificates
    #[arg(long)]
    pub(crate) everywhere: bool,
    /// Forget the CA and its pin as well
    #[arg(long)]
    pub(crate) forget: bool,
}

/// `status`
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) which: WhichCa,
    /// One short line for a shell prompt, from files alone
    #[arg(long)]
    pub(crate) short: bool,
}

/// `ensure`
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Ensure {
    #[command(flatten)]
    pub(crate) which: WhichCa,
    /// Host name, as ssh resolved it (`%h`)
    #[arg(long)]
    pub(crate) host: String,
    /// Account on the host (`%r`)
    #[arg(long)]
    pub(crate) account: String,
    /// Role, instead of the first that opens the account
    #[arg(long, env = "JIT_SSH_ROLE")]
    pub(crate) role: Option<String>,
}

/// `ssh-config`
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct SshConfig {
    /// Print what would be included, change nothing
    #[arg(long, conflicts_with_all = ["remove", "dry_run"])]
    pub(crate) print: bool,
    /// Show the changes, make none
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Take everything out again
    #[arg(long)]
    pub(crate) remove: bool,
}

/// `inspect`
#[derive(Clone, Debug, Args)]
pub(crate) struct Inspect {
    /// Certificate file; `-` for standard input
    pub(crate) file: PathBuf,
}

/// `completions`
#[derive(Clone, Debug, Args)]
pub(crate) struct Completions {
    /// Shell
    pub(crate) shell: clap_complete::Shell,
}

/// `man`
#[derive(Clone, Debug, Args)]
pub(crate) struct Man {
    /// Folder for one page per command
    #[arg(value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_tree_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_ssh_runs_is_understood() {
        let line = [
            "jit-ssh",
            "ensure",
            "--ca",
            "ca",
            "--host",
            "db01",
            "--account",
            "observer",
        ];
        let Command::Ensure(ensure) = Cli::try_parse_from(line).unwrap().command else {
            panic!("not ensure");
        };
        assert_eq!(
            (ensure.host.as_str(), ensure.account.as_str()),
            ("db01", "observer")
        );
    }
}
