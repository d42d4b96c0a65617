//! `roles`: what I may have, as of now, and for the rest what stands against it and what would help.

use jit_ssh_terminal::{Failure, Table, Terminal, escape, span};

use crate::ca::{self, Ca};
use crate::cli::WhichCa;
use crate::command::ssh_config::refresh_include;
use crate::key::LoginKey;
use crate::renew;
use crate::state::{Home, PATIENCE};

/// Asks and prints.
pub(crate) async fn run(arguments: &WhichCa, terminal: &mut Terminal) -> Result<(), Failure> {
    let home = Home::find()?;
    let files = ca::choose(&home, arguments.ca.as_deref())?;
    let _lock = files.lock(PATIENCE)?;
    let mut ca = Ca::open(files)?;
    let mut login = ca.files.login()?.ok_or_else(|| {
        ca::not_signed_in_because(&format!("nobody is signed in at {}", ca.files.name))
    })?;
    let mut key = LoginKey::load(&ca.files, &login)?;
    let answer = renew::roles(&mut ca, &mut login, &mut key, terminal)
        .await
        .map_err(renew::RenewError::into_failure)?;
    renew::refresh_hosts(&mut ca, &login, terminal).await;
    refresh_include(&home);
    terminal.answer(&answer, in_words)
}

fn in_words(answer: &jit_ssh_api::role::RolesAnswer) -> String {
    let mut may = Table::new(["ROLE", "ACCOUNTS", "AT MOST", "FOR"]);
    let mut text = String::new();
    for role in answer.roles.iter().filter(|role| role.refused.is_none()) {
        may.row([
            role.name.clone(),
            role.accounts.join(", "),
            span(role.max_validity),
            role.description.clone(),
        ]);
    }
    if may.is_empty() {
        text.push_str("You may have no role.");
    } else {
        text.push_str(&may.to_string());
    }
    for role in &answer.roles {
        if let Some(refused) = &role.refused {
            text.push_str(&format!(
                "\n\nNot {}: {}",
                escape(&role.name),
                escape(&refused.reason)
            ));
            if !refused.help.is_empty() {
                text.push_str(&format!("\n  {}", escape(&refused.help)));
            }
        }
    }
    if !answer.hosts.is_empty() {
        text.push_str(&format!("\n\nHosts: {}", escape(&answer.hosts.join(", "))));
    }
    text
}
