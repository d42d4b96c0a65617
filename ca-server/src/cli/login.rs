//! `login list` and `login end`: who is signed in, and whose login is over.

use std::path::Path;

use clap::{Args, Subcommand};
use jit_ssh_api::admin::{LoginList, LoginQuery, Name, NameKind};
use jit_ssh_api::login::{Ended, Login as Entry};
use jit_ssh_connect::Request;
use jit_ssh_terminal::{Failure, Table, Terminal, utc};

use super::access::Access;

/// Logins.
#[derive(Debug, Subcommand)]
pub(super) enum Login {
    /// List who is signed in
    List(List),
    /// End a login for good: its certificates are revoked, and its key gets none any more
    End(End),
    /// Free an e-mail address or username: the next account that comes with it has it
    FreeName(FreeName),
}

/// `login list`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  jit-ssh-ca login list --user alice@example.com --all")]
pub(super) struct List {
    /// Only this person: e-mail address, subject or username
    #[arg(long)]
    user: Option<String>,
    /// Ended logins too
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    access: Access,
}

/// `login end`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  jit-ssh-ca login end hm3vq5k2xw7aobc4tz6jrd2yne\n  jit-ssh-ca login end --user alice@example.com"
)]
pub(super) struct End {
    /// Identifier of a login, from `login list`
    #[arg(
        required_unless_present = "user",
        conflicts_with = "user",
        value_name = "ID"
    )]
    logins: Vec<String>,
    /// Every login of this person: e-mail address, subject or username
    #[arg(long)]
    user: Option<String>,
    #[command(flatten)]
    access: Access,
}

/// `login free-name`.
#[derive(Debug, Args)]
#[command(after_help = "\
Who first signs in with an e-mail address or username keeps it: another account of the same provider
is refused. Where a person's account was made anew, end the old one's logins, then free the name:
while one of them lives, it is not freed.

Examples:
  jit-ssh-ca login end --user alice@example.com
  jit-ssh-ca login free-name --issuer https://idp.example.com --email alice@example.com")]
pub(super) struct FreeName {
    /// The provider's issuer identifier
    #[arg(long, value_name = "URL")]
    issuer: String,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    access: Access,
}

/// One name.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The e-mail address to free
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// The username to free
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
}

impl Login {
    pub(super) fn run(self, data: &Path, terminal: &mut Terminal) -> Result<(), Failure> {
        match self {
            Login::List(list) => list.run(data, terminal),
            Login::End(end) => end.run(data, terminal),
            Login::FreeName(name) => name.run(data, terminal),
        }
    }
}

impl List {
    fn run(self, data: &Path, terminal: &mut Terminal) -> Result<(), Failure> {
        let query = LoginQuery {
            all: self.all,
            user: self.user,
        };
        let mut caller = self.access.open(data)?;
        let list: LoginList = caller.call(&Request::get_with(LOGINS, &query), terminal)?;
        terminal.answer(&list, |list| {
            if list.unknown_user {
                return "Nobody is known by that name.".to_owned();
            }
            table(&list.logins)
        })?;
        if list.more {
            terminal.warn("There are older logins than these: ask for one person with --user.");
        }
        Ok(())
    }
}

impl End {
    fn run(self, data: &Path, terminal: &mut Terminal) -> Result<(), Failure> {
        let mut caller = self.access.open(data)?;
        let mut ids = self.logins;
        if let Some(user) = self.user {
            let query = LoginQuery {
                all: false,
                user: Some(user.clone()),
            };
            let list: LoginList = caller.call(&Request::get_with(LOGINS, &query), terminal)?;
            if list.unknown_user {
                return Err(
                    Failure::failed(format_args!("Nobody is known by the name {user}.")).next(
                        "`jit-ssh-ca login list` shows who is signed in; end a login by its \
                         identifier.",
                    ),
                );
            }
            if list.more {
                terminal.warn(format_args!(
                    "{user} has more live logins than one answer holds: run this again."
                ));
            }
            ids = list.logins.into_iter().map(|login| login.id).collect();
            if ids.is_empty() {
                return Err(Failure::failed(format_args!("{user} has no live login."))
                    .next("`jit-ssh-ca login list --all` shows ended ones too."));
            }
        }
        for id in ids {
            let known = !id.is_empty()
                && id
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
            if !known {
                return Err(Failure::usage(format_args!(
                    "`{id}` is not the identifier of a login."
                ))
                .next("`jit-ssh-ca login list` shows them."));
            }
            let ended: Ended =
                caller.call(&Request::delete(&format!("{LOGINS}/{id}")), terminal)?;
            terminal.answer(&ended, |ended| {
                let revoked = match ended.certificates.len() {
                    0 => String::new(),
                    1 => " Its certificate is revoked.".to_owned(),
                    more => format!(" Its {more} certificates are revoked."),
                };
                format!("Login {} ended at {}.{revoked}", ended.id, utc(ended.ended))
            })?;
        }
        Ok(())
    }
}

impl FreeName {
    fn run(self, data: &Path, terminal: &mut Terminal) -> Result<(), Failure> {
        let (kind, name) = match (self.which.email, self.which.username) {
            (Some(email), _) => (NameKind::Email, email),
            (None, name) => (NameKind::Username, name.unwrap_or_default()),
        };
        let name = Name {
            issuer: self.issuer,
            kind,
            name,
        };
        let mut caller = self.access.open(data)?;
        let freed: Name = caller.call(&Request::delete_with(NAMES, &name), terminal)?;
        terminal.answer(&freed, |freed| {
            format!(
                "The {} {} is free: the next account of {} that comes with it has it.",
                freed.kind.name(),
                freed.name,
                freed.issuer
            )
        })
    }
}

fn table(logins: &[Entry]) -> String {
    let mut table = Table::new(["LOGIN", "WHO", "STARTED", "ENDS", "GROUPS", "KEY"]);
    for login in logins {
        let who = login.email.as_ref().unwrap_or(&login.subject);
        let ends = match login.ended {
            Some(ended) => format!("ended {}", utc(ended)),
            None => utc(login.ends),
        };
        table.row([
            login.id.clone(),
            who.clone(),
            utc(login.started),
            ends,
            login.groups.join(", "),
            login.key.clone(),
        ]);
    }
    if table.is_empty() {
        "Nobody is signed in.".to_owned()
    } else {
        table.to_string()
    }
}

const LOGINS: &str = "/v1/admin/logins";
const NAMES: &str = "/v1/admin/names";
