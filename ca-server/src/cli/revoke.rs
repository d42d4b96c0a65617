//! `revoke`, `unlock`, `lock list`, `offboard`: taking access away, and who heard of it.

use std::path::Path;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use jit_ssh_api::revocation::{
    Lock as Entry, Locks, Receipts, ReceiptsQuery, Revocation, RevocationRequest, Target,
    UnlockRequest,
};
use jit_ssh_connect::Request;
use jit_ssh_terminal::{Failure, Table, Terminal, utc};
use serde::Serialize;

use super::access::{Access, Caller};
use crate::config::units;

/// `revoke`.
#[derive(Debug, Args)]
#[command(after_help = "\
What is alive is revoked on every enrolled host within seconds, and the command waits until they say
so. A person or role gets no certificates until `unlock`; a login, a certificate, a host or a key stays
revoked. Sessions that are open go on: end them on the host. A host that is away refuses once it is
back; one that never enrolled hears of nothing, and certificates end there by themselves.

Exit code 1 if a host that was heard of within a day did not confirm in time.

Examples:
  jit-ssh-ca revoke --user alice@example.com --reason 'laptop stolen'
  jit-ssh-ca revoke --login hm3vq5k2xw7aobc4tz6jrd2yne --reason 'signed in on a shared machine'
  jit-ssh-ca revoke --serial 4611686018427387904 --reason 'pasted into a ticket'
  jit-ssh-ca revoke --role production-admin --reason 'freeze' --wait 30s")]
pub(super) struct Revoke {
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    how: How,
}

/// What is taken away.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// Everything of a person, who is locked: e-mail address, subject or username
    #[arg(long)]
    user: Option<String>,
    /// A login and its certificates; the person may sign in again
    #[arg(long, value_name = "ID")]
    login: Option<String>,
    /// One certificate
    #[arg(long, value_name = "NUMBER")]
    serial: Option<String>,
    /// All certificates of a role, which is locked
    #[arg(long)]
    role: Option<String>,
    /// A host, by name or identifier: its certificates, and what it may ask for
    #[arg(long)]
    host: Option<String>,
    /// A public key, for ever, also one that the CA never saw
    #[arg(long, value_name = "SHA256:…")]
    key: Option<String>,
}

/// Why, and how long to wait.
#[derive(Debug, Args)]
struct How {
    /// Why: stays in the ledger
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Wait at most so long for hosts to confirm (`s`, `m`); 0s: not at all
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    wait: Duration,
    #[command(flatten)]
    access: Access,
}

/// `unlock`.
#[derive(Debug, Args)]
#[command(after_help = "\
What was revoked stays revoked: the person signs in again.

Examples:
  jit-ssh-ca unlock --user alice@example.com --reason 'laptop found'
  jit-ssh-ca unlock --role production-admin --reason 'freeze is over'")]
pub(super) struct Unlock {
    #[command(flatten)]
    which: Which,
    /// Why: stays in the ledger
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    access: Access,
}

/// Who or what is unlocked.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// A person: e-mail address, subject, username, or PERSON of `lock list`
    #[arg(long)]
    user: Option<String>,
    /// A role
    #[arg(long)]
    role: Option<String>,
}

/// Locks.
#[derive(Debug, Subcommand)]
pub(super) enum Lock {
    /// List who and what gets no certificates, and why
    List(List),
}

/// `lock list`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  jit-ssh-ca lock list --json")]
pub(super) struct List {
    #[command(flatten)]
    access: Access,
}

/// `offboard`.
#[derive(Debug, Args)]
#[command(after_help = "\
As `revoke --user`, and lists what was touched. The account at the identity provider is yours to
close. The same human with an account at another provider is another person for the CA: offboard that
one too.

Example:
  jit-ssh-ca offboard alice@example.com --reason 'left the company'")]
pub(super) struct Offboard {
    /// E-mail address, subject or username
    user: String,
    #[command(flatten)]
    how: How,
}

/// What is printed.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    revocation: Revocation,
    receipts: Option<Receipts>,
}

impl Revoke {
    pub(super) fn run(self, data: &Path, terminal: &mut Terminal) -> Result<(), Failure> {
        take(self.what.target()?, &self.how, summary, data, terminal)
    }
}

impl Offboard {
    pub(super) fn run(self, data: &Path, terminal: &mut Terminal) -> Result<(), Failure> {
        take(Target::User(self.user), &self.how, list, data, terminal)
    }
}

impl Unlock {
    pub(super) fn run(self, data: &Path, terminal: &mut Terminal) -> Result<(), Failure> {
        let target = match (self.which.user, self.which.role) {
            (Some(user), _) => Target::User(user),
            (None, role) => Target::Role(role.unwrap_or_default()),
        };
        let request = UnlockRequest {
            target,
            reason: self.reason,
        };
        let mut caller = self.access.open(data)?;
        let unlocked: Locks = caller.call(&Request::post(UNLOCK, &request)?, terminal)?;
        terminal.answer(&unlocked, |unlocked| {
            let told = unlocked.locks.iter().map(|lock| match &lock.target {
                Target::Role(role) => format!("The role {role} is given again."),
                _ => format!("{} may sign in again.", called(lock)),
            });
            told.collect::<Vec<_>>().join("\n")
        })
    }
}

impl Lock {
    pub(super) fn run(self, data: &Path, terminal: &mut Terminal) -> Result<(), Failure> {
        let Lock::List(list) = self;
        let mut caller = list.access.open(data)?;
        let locks: Locks = caller.call(&Request::get(LOCKS), terminal)?;
        terminal.answer(&locks, |locks| table(&locks.locks))
    }
}

impl What {
    fn target(self) -> Result<Target, Failure> {
        let named = [
            self.user.map(Target::User),
            self.login.map(Target::Login),
            self.serial.map(Target::Serial),
            self.role.map(Target::Role),
            self.host.map(Target::Host),
            self.key.map(Target::Key),
        ];
        let target = named.into_iter().flatten().next();
        target.ok_or_else(|| Failure::usage("Say what to revoke."))
    }
}

/// Revokes, and waits for the hosts.
fn take(
    target: Target,
    how: &How,
    text: fn(&Target, &Revocation) -> String,
    data: &Path,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let request = RevocationRequest {
        target,
        reason: how.reason.clone(),
    };
    let mut caller = how.access.open(data)?;
    let revocation: Revocation = caller.call(&Request::post(REVOCATIONS, &request)?, terminal)?;
    // Done, whoever hears of it when: that the hosts cannot be asked for takes nothing back.
    let receipts = receipts(&mut caller, &revocation, how.wait, terminal);
    let (receipts, unheard) = match receipts {
        Ok(receipts) => (Some(receipts), None),
        Err(failure) => (None, Some(failure)),
    };
    let shown = Shown {
        revocation,
        receipts,
    };
    let target = &request.target;
    let told = |shown: &Shown| {
        let mut told = text(target, &shown.revocation);
        if let Some(receipts) = shown.receipts.as_ref().filter(|it| it.hosts > 0) {
            told.push('\n');
            told.push_str(&confirmed(receipts));
        }
        told
    };
    let missing = shown.receipts.as_ref().map_or(0, |it| it.awaited);
    match unheard {
        Some(failure) => terminal.answer_in_part(&shown, failure, told),
        None if missing > 0 && !how.wait.is_zero() => {
            let failure = Failure::failed(format_args!(
                "{missing} {} not confirmed within {} s.",
                if missing == 1 { "host has" } else { "hosts have" },
                how.wait.as_secs()
            ))
            .next("It is revoked: each hears of it once it reaches the CA. `jit-ssh-ca host list` shows when it last did.");
            terminal.answer_in_part(&shown, failure, told)
        }
        None => terminal.answer(&shown, told),
    }
}

/// Asks until everybody who is worth waiting for has confirmed, or the time is up.
fn receipts(
    caller: &mut Caller,
    revocation: &Revocation,
    wait: Duration,
    terminal: &mut Terminal,
) -> Result<Receipts, Failure> {
    let query = ReceiptsQuery {
        bundle: revocation.bundle,
        changed_ms: Some(revocation.changed_ms),
    };
    let began = Instant::now();
    loop {
        let receipts: Receipts = caller.call(&Request::get_with(RECEIPTS, &query), terminal)?;
        if receipts.awaited == 0 || began.elapsed() >= wait {
            return Ok(receipts);
        }
        std::thread::sleep(BETWEEN);
    }
}

fn summary(target: &Target, revocation: &Revocation) -> String {
    let Revocation {
        certificates,
        logins,
        ..
    } = revocation;
    let what = match target {
        Target::User(user) => format!("{user} is locked"),
        Target::Login(id) => format!("Login {id} is revoked"),
        Target::Serial(serial) if certificates.is_empty() => {
            return format!("The certificate {serial} had ended already: nothing to revoke.");
        }
        Target::Serial(serial) => return format!("The certificate {serial} is revoked."),
        Target::Role(role) => format!("The role {role} is locked"),
        Target::Host(host) => format!("The host {host} is revoked"),
        Target::Key(key) => format!("The key {key} is revoked for ever"),
    };
    let mut told = format!(
        "{what}: {} revoked, {} ended.",
        count(certificates.len(), "certificate"),
        count(logins.len(), "login")
    );
    match target {
        Target::User(_) => told.push_str(" `jit-ssh-ca unlock --user` takes the lock back."),
        Target::Role(_) => told.push_str(" `jit-ssh-ca unlock --role` takes the lock back."),
        _ => {}
    }
    told
}

fn list(target: &Target, revocation: &Revocation) -> String {
    let mut lines = vec![summary(target, revocation)];
    let logins = revocation.logins.iter();
    lines.extend(logins.map(|id| format!("  login        {id}")));
    let serials = revocation.certificates.iter();
    lines.extend(serials.map(|serial| format!("  certificate  {serial}")));
    lines.push("Left to do: close the account at the identity provider.".to_owned());
    lines.join("\n")
}

/// "214 of 216 hosts in 1.4 s; silent: db-7, db-9".
fn confirmed(receipts: &Receipts) -> String {
    let Receipts {
        hosts,
        confirmed,
        milliseconds,
        silent,
        ..
    } = receipts;
    let tenths = milliseconds.saturating_add(50) / 100;
    let mut told = match confirmed {
        0 => format!("0 of {hosts} hosts"),
        _ => format!(
            "{confirmed} of {hosts} hosts in {}.{} s",
            tenths / 10,
            tenths % 10
        ),
    };
    if !silent.is_empty() {
        told.push_str("; silent: ");
        told.push_str(
            &silent
                .iter()
                .take(NAMED)
                .cloned()
                .collect::<Vec<_>>()
                .join(", "),
        );
        if let Some(more) = silent.len().checked_sub(NAMED).filter(|more| *more > 0) {
            told.push_str(&format!(" and {more} more"));
        }
    }
    told
}

fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

/// A person by the name that others know.
fn called(lock: &Entry) -> String {
    match (&lock.target, lock.names.first()) {
        (_, Some(name)) => name.clone(),
        (Target::User(key) | Target::Role(key) | Target::Key(key), None) => key.clone(),
        _ => String::new(),
    }
}

fn table(locks: &[Entry]) -> String {
    let mut table = Table::new(["LOCKED", "SINCE", "WHY", "PERSON"]);
    for lock in locks {
        let (what, person) = match &lock.target {
            Target::User(person) => (called(lock), person.clone()),
            Target::Role(role) => (format!("role {role}"), String::new()),
            Target::Key(key) => (format!("key {key}"), String::new()),
            Target::Login(_) | Target::Serial(_) | Target::Host(_) => continue,
        };
        table.row([what, utc(lock.since), lock.reason.clone(), person]);
    }
    if table.is_empty() {
        "Nobody and nothing is locked.".to_owned()
    } else {
        table.to_string()
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    if text == "0s" || text == "0" {
        return Ok(Duration::ZERO);
    }
    units::Span::parse(text)
        .map(units::Span::get)
        .ok_or_else(|| "write it as 10s or 2m".to_owned())
}

const REVOCATIONS: &str = "/v1/admin/revocations";
const UNLOCK: &str = "/v1/admin/unlock";
const LOCKS: &str = "/v1/admin/locks";
const RECEIPTS: &str = "/v1/admin/receipts";
/// Between two questions for receipts.
const BETWEEN: Duration = Duration::from_millis(200);
/// Silent hosts that are named in one line.
const NAMED: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_did_not_hear_of_it_stands_there_by_name() {
        let mut receipts = Receipts {
            bundle: 7,
            hosts: 216,
            confirmed: 214,
            milliseconds: 1_350,
            silent: vec!["db-7".into(), "db-9".into()],
            awaited: 0,
        };
        let told = confirmed(&receipts);
        assert_eq!(told, "214 of 216 hosts in 1.4 s; silent: db-7, db-9");
        receipts.silent.clear();
        receipts.confirmed = 216;
        assert_eq!(confirmed(&receipts), "216 of 216 hosts in 1.4 s");
        receipts.confirmed = 0;
        receipts.silent = (0..23).map(|n| format!("h{n}")).collect();
        assert!(confirmed(&receipts).starts_with("0 of 216 hosts; silent: h0, h1"));
        assert!(confirmed(&receipts).ends_with("h19 and 3 more"));
    }
}
