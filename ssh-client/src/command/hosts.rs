//! `hosts`: the enrolled hosts that I may reach now, as which account, by which role. What is heard is
//! kept for plain `ssh`: its host keys are believed by it, and its names are what shells complete.

use std::process::{Command, Stdio};
use std::time::Duration;

use jit_ssh_api::host::Reachable;
use jit_ssh_api::problem::Kind;
use jit_ssh_terminal::{Exit, Failure, Table, Terminal};

use crate::ca::{self, Ca};
use crate::cli::Hosts;
use crate::command::ssh_config::{refresh_include, warn_left_out};
use crate::key::LoginKey;
use crate::platform;
use crate::renew;
use crate::state::{CaFiles, Home, PATIENCE};

/// Asks and prints.
pub(crate) async fn run(arguments: &Hosts, terminal: &mut Terminal) -> Result<(), Failure> {
    let home = Home::find()?;
    let files = ca::choose(&home, arguments.which.ca.as_deref())?;
    if arguments.refresh {
        return refresh(&home, files, terminal).await;
    }
    let _lock = files.lock(PATIENCE)?;
    let mut ca = Ca::open(files)?;
    let login = ca.files.login()?.ok_or_else(|| {
        ca::not_signed_in_because(&format!("nobody is signed in at {}", ca.files.name))
    })?;
    let mut key = LoginKey::load(&ca.files, &login)?;
    let answer = match renew::hosts(&mut ca, &mut key, terminal).await {
        Err(error) if error.kind() == Some(Kind::NotFound) => return Err(no_fleet(&ca)),
        other => other.map_err(|error| renew::judged(error).into_failure())?,
    };
    let left_out = renew::keep_hosts(&mut ca, &answer).await?;
    warn_left_out(&left_out, terminal);
    refresh_include(&home);
    terminal.answer(&answer, in_words)
}

fn in_words(answer: &Reachable) -> String {
    let mut table = Table::new(["HOST", "ACCOUNTS", "ROLE"]);
    for host in &answer.hosts {
        for role in &host.roles {
            table.row([
                host.names.join(", "),
                role.accounts.join(", "),
                role.role.clone(),
            ]);
        }
    }
    if table.is_empty() {
        "There is no enrolled host that you may reach now.".to_owned()
    } else {
        table.to_string()
    }
}

fn no_fleet(ca: &Ca) -> Failure {
    Failure::failed(format_args!("{} knows of no hosts.", ca.files.name))
        .why("it is older than this program")
        .next("Its hosts are reached as before: `jit-ssh roles` names them.")
}

/// Starts [`refresh`] on its own where the list is not fresh, and waits for nothing: the `ssh` that a
/// renewal was for goes on.
pub(crate) fn refresh_in_background(files: &CaFiles) {
    let heard = files.fleet().map(|fleet| fleet.heard).unwrap_or_default();
    if heard.saturating_add(FRESH.as_secs()) > jit_ssh_connect::now() {
        return;
    }
    let Ok(program) = platform::own_program() else {
        return;
    };
    let mut command = Command::new(program);
    command
        .args(["hosts", "--refresh", "--ca", &files.name])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    platform::start_alone(command);
}

/// What runs then. The call is made without the lock, so that nobody waits for it; what comes is kept
/// only for the login that asked.
async fn refresh(home: &Home, files: CaFiles, terminal: &mut Terminal) -> Result<(), Failure> {
    let silent = || Failure::silent(Exit::Failed);
    let mut ca = Ca::open(files.clone())?;
    let login = files.login()?.ok_or_else(silent)?;
    let mut key = LoginKey::load(&files, &login)?;
    let answer = renew::hosts(&mut ca, &mut key, terminal)
        .await
        .map_err(|_| silent())?;
    let is_over = || {
        let now = files.login().ok().flatten();
        now.is_none_or(|now| now.login.id != login.login.id)
    };
    // After a logout not even the lock's folder is made again.
    if is_over() {
        return Err(silent());
    }
    let _lock = files.lock(PATIENCE)?;
    if is_over() {
        return Err(silent());
    }
    let mut ca = Ca::open(files.clone())?;
    renew::keep_hosts(&mut ca, &answer).await?;
    refresh_include(home);
    Ok(())
}

/// As long as this nobody asks again by the way.
const FRESH: Duration = Duration::from_secs(5 * 60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::tests::reachable;

    #[test]
    fn each_role_of_a_host_is_a_line_and_hosts_without_one_are_not_shown() {
        let mut answer = reachable(
            &["db01.example.com"],
            &[("ops", "observer"), ("admins", "admin")],
        );
        answer
            .hosts
            .extend(reachable(&["other.example.com"], &[]).hosts);
        let text = in_words(&answer);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(
            text.contains("observer") && text.contains("admins"),
            "{text}"
        );
        let evil = reachable(&["\x1b]0;x\x07"], &[("ops", "observer")]);
        assert!(!in_words(&evil).contains('\x1b'));
        assert_eq!(in_words(&Reachable::default()).lines().count(), 1);
    }
}
