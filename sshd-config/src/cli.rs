//! The command line: what can be asked of `jit-ssh-host`, and the help that teaches it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use jit_ssh_terminal::Exit;

/// Makes a stock sshd trust a jit-ssh CA.
///
/// sshd stays as the distribution ships it: `jit-ssh-host` writes the CA's keys, which role opens
/// which account, and one drop-in. Nothing of ours is in the path of an SSH login, and keys in
/// `authorized_keys` go on working.
#[derive(Debug, Parser)]
#[command(
    name = "jit-ssh-host",
    version,
    after_help = Exit::HELP,
    max_term_width = 100,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    /// Print one line of JSON instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make this host's sshd trust the CA
    #[command(after_long_help = "\
Examples:
  See what would change, without changing it:
    jit-ssh-host install --ca https://ca.example.com --fingerprint SHA256:… \\
        --account observer=production-observer --dry-run

  Holders of the role production-observer may log in as observer, which is made if need be:
    jit-ssh-host install --ca https://ca.example.com --fingerprint SHA256:… \\
        --account observer=production-observer --create-accounts

Run again with other accounts, it changes what differs. The files are put down whole, checked with
`sshd -t` and `sshd -T`, and taken back unless sshd sees what was meant. Keys of a CA that sshd
trusted before are kept; --drop-other-cas drops them for the accounts that are named. The CA's
identity key stays pinned until `uninstall`.")]
    Install(Install),
    /// Take the trust back: every file as it was before
    Uninstall(Uninstall),
    /// Print the files for Ansible, cloud-init or by hand, without touching this host
    #[command(after_long_help = "\
Example:
  jit-ssh-host print --ca https://ca.example.com --fingerprint SHA256:… \\
      --account observer=production-observer --format cloud-init")]
    Print(Print),
    /// Join the CA's fleet by an invitation: host certificates, and trust that is kept fresh
    #[command(after_long_help = "\
Examples:
  On the CA, for one host:
    jit-ssh-ca host invite --name 'web1.prod.example.com' --label env=production

  Here, with the invitation in a file that nobody else may read:
    jit-ssh-host enroll --ca https://ca.example.com --fingerprint SHA256:… \\
        --token-file /root/invitation

The invitation is read from --token-file, from JIT_SSH_INVITATION, or from standard input; it is no
argument, since `ps` shows those to everybody. The host proves that it has each of its host keys, and
gets certificates for the names that the invitation allows. What opens which account is said by the
policy and the host's labels, and kept so by `jit-ssh-host sync`, which systemd runs. Run again, it
changes what differs.")]
    Enroll(Enroll),
    /// Keep what this host trusts as the CA says; systemd runs it
    Sync(Sync),
    /// Show what this host holds, without asking anybody
    Status(Status),
    /// Leave the fleet: every file as it was before
    Unenroll(Unenroll),
    /// Check that sshd really trusts the CA, account by account
    Doctor(Doctor),
    /// Print completions for a shell: `jit-ssh-host completions bash`
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write man pages into a folder
    #[command(hide = true)]
    Man {
        /// The folder
        folder: PathBuf,
    },
}

/// Which CA, and how it is recognised.
#[derive(Debug, Args)]
pub(crate) struct Ca {
    /// URL of the CA
    #[arg(long, value_name = "URL")]
    pub(crate) ca: String,

    /// Fingerprint of the CA's identity key, as `jit-ssh-ca setup` printed it
    #[arg(long, value_name = "SHA256:…")]
    pub(crate) fingerprint: String,

    /// Further CA certificates to verify TLS with (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
}

/// Where sshd and our files are.
#[derive(Debug, Args)]
pub(crate) struct Where {
    /// Main configuration file of sshd
    #[arg(long, value_name = "FILE", default_value = crate::sshd::DEFAULT_CONFIG)]
    pub(crate) sshd_config: PathBuf,

    /// The sshd program; found in the usual places by default
    #[arg(long, value_name = "FILE")]
    pub(crate) sshd: Option<PathBuf>,

    /// Folder for the CA keys and principals files
    #[arg(long, value_name = "FOLDER", default_value = "/etc/ssh/jit-ssh")]
    pub(crate) folder: PathBuf,

    /// Folder for what an enrolled host remembers
    #[arg(
        long,
        value_name = "FOLDER",
        hide = true,
        default_value = "/var/lib/jit-ssh-host"
    )]
    pub(crate) state: PathBuf,
}

/// `install`.
#[derive(Debug, Args)]
pub(crate) struct Install {
    #[command(flatten)]
    pub(crate) ca: Ca,

    /// Which roles open which account; ROLE+ACCOUNT for a role on people's own accounts; ACCOUNT
    /// alone where the policy says `principals = "accounts"`
    #[arg(long = "account", value_name = "ACCOUNT=ROLE[,ROLE…]", required = true)]
    pub(crate) accounts: Vec<String>,

    /// Make accounts that do not exist yet, with a home folder and without a password
    #[arg(long)]
    pub(crate) create_accounts: bool,

    /// Do not keep keys of another CA that sshd trusted before for these accounts
    #[arg(long)]
    pub(crate) drop_other_cas: bool,

    /// Show what would change, change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Do not tell a running sshd to read its configuration again
    #[arg(long)]
    pub(crate) no_reload: bool,

    #[command(flatten)]
    pub(crate) place: Where,
}

/// `uninstall`.
#[derive(Debug, Args)]
pub(crate) struct Uninstall {
    /// Show what would change, change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Also where somebody changed a file since
    #[arg(long)]
    pub(crate) force: bool,

    /// Do not tell a running sshd to read its configuration again
    #[arg(long)]
    pub(crate) no_reload: bool,

    #[command(flatten)]
    pub(crate) place: Where,
}

/// `print`.
#[derive(Debug, Args)]
pub(crate) struct Print {
    #[command(flatten)]
    pub(crate) ca: Ca,

    /// Which roles open which account, as for `install`
    #[arg(long = "account", value_name = "ACCOUNT=ROLE[,ROLE…]", required = true)]
    pub(crate) accounts: Vec<String>,

    /// For whom
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,

    /// Folder for the CA keys and principals files on the host
    #[arg(long, value_name = "FOLDER", default_value = "/etc/ssh/jit-ssh")]
    pub(crate) folder: PathBuf,
}

/// `enroll`.
#[derive(Debug, Args)]
pub(crate) struct Enroll {
    #[command(flatten)]
    pub(crate) ca: Ca,

    /// File with the invitation, which nobody else may read
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,

    /// Name that people type after `ssh`; the host's own full name by default
    #[arg(long = "name", value_name = "NAME")]
    pub(crate) names: Vec<String>,

    /// Show what would be sent and written, change nothing and use no invitation
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Do not tell a running sshd to read its configuration again
    #[arg(long)]
    pub(crate) no_reload: bool,

    /// Do not have systemd run `jit-ssh-host sync`
    #[arg(long)]
    pub(crate) no_service: bool,

    #[command(flatten)]
    pub(crate) place: Where,
}

/// `sync`.
#[derive(Debug, Args)]
pub(crate) struct Sync {
    /// Ask once, put down what comes, and end
    #[arg(long)]
    pub(crate) once: bool,

    /// Further CA certificates to verify TLS with (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) place: Where,
}

/// `status`.
#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) place: Where,
}

/// `unenroll`.
#[derive(Debug, Args)]
pub(crate) struct Unenroll {
    /// Show what would change, change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Also where somebody changed a file since
    #[arg(long)]
    pub(crate) force: bool,

    /// Do not tell a running sshd to read its configuration again
    #[arg(long)]
    pub(crate) no_reload: bool,

    #[command(flatten)]
    pub(crate) place: Where,
}

/// How `print` writes the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Each file behind its path
    Text,
    /// `write_files` of cloud-init
    CloudInit,
    /// An Ansible play, with its handler
    Ansible,
}

/// `doctor`.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Look at this host only, do not ask the CA
    #[arg(long)]
    pub(crate) offline: bool,

    /// Further CA certificates to verify TLS with (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) place: Where,
}
