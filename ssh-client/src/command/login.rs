//! `login`: first contact and pin where needed, one sign-in, the first certificate, and the offer to
//! make plain `ssh` work.

use jit_ssh_terminal::{Failure, Terminal, span};
use serde::Serialize;

use crate::ca::{self, Ca, FirstContact};
use crate::cli::Login;
use crate::command::ssh_config;
use crate::renew::Ask;
use crate::sign_in::{KeyStore, SignIn, SignedIn, Way, sign_in};
use crate::state::{Home, KeyPlace, TokenPlace};

/// What is printed.
#[derive(Serialize)]
struct Shown {
    ca: String,
    fingerprint: String,
    person: String,
    login: jit_ssh_api::login::Login,
    role: Option<String>,
    certificate: Option<String>,
    valid_before: Option<u64>,
    key: &'static str,
    refresh_token: TokenPlace,
    roles: Vec<String>,
}

/// Signs in.
pub(crate) async fn run(arguments: &Login, terminal: &mut Terminal) -> Result<(), Failure> {
    let home = Home::find()?;
    let mut ca = contact(&home, arguments, terminal).await?;
    let _lock = ca.files.lock()?;
    let wanted = SignIn {
        issuer: arguments.issuer.clone(),
        ask: Ask {
            role: arguments.role.clone().filter(|role| !role.is_empty()),
            account: None,
        },
        key: arguments.key.clone(),
        way: if arguments.no_browser {
            Way::Paste
        } else {
            Way::Browser
        },
        store: if arguments.no_agent {
            KeyStore::File
        } else {
            KeyStore::AgentIfUsable
        },
    };
    let signed_in = sign_in(&mut ca, &wanted, terminal).await?;
    show(&ca, &signed_in, terminal)?;
    offer_ssh_config(&home, arguments, terminal)?;
    match signed_in.certificate {
        Ok(_) => Ok(()),
        Err(failure) => Err(*failure),
    }
}

async fn contact(home: &Home, arguments: &Login, terminal: &mut Terminal) -> Result<Ca, Failure> {
    let named = arguments.ca.as_deref().filter(|ca| !ca.is_empty());
    let known = match named {
        Some(url) if url.contains("://") => None,
        Some(name) if !home.cas().iter().any(|ca| ca.name == name) => None,
        named => Some(ca::choose(home, named)?),
    };
    let url = match (&known, named) {
        (Some(files), _) => match files.pin()? {
            Some(pin) => pin.known.url,
            None => return Err(ca::not_signed_in()),
        },
        (None, Some(name)) if name.contains("://") => name.to_owned(),
        (None, Some(name)) => format!("https://{name}"),
        (None, None) => return Err(ca::not_signed_in()),
    };
    let first = FirstContact {
        url: &url,
        fingerprint: arguments.fingerprint.as_deref(),
        ca_files: &arguments.ca_file,
    };
    Ca::contact(home, &first, terminal).await
}

fn show(ca: &Ca, signed_in: &SignedIn, terminal: &mut Terminal) -> Result<(), Failure> {
    let login = &signed_in.login;
    let certificate = signed_in.certificate.as_ref().ok();
    let shown = Shown {
        ca: ca.files.name.clone(),
        fingerprint: ca.pin.known.fingerprint.clone(),
        person: person(&login.login),
        login: login.login.clone(),
        role: certificate.and_then(|certificate| certificate.role().map(str::to_owned)),
        certificate: certificate.map(|_| ca.files.stable_certificate().display().to_string()),
        valid_before: certificate.map(|certificate| certificate.valid_before),
        key: match login.key {
            KeyPlace::Agent { .. } => "agent",
            KeyPlace::File => "file",
        },
        refresh_token: login.renewal.refresh_token,
        roles: login
            .roles
            .roles
            .iter()
            .filter(|role| role.refused.is_none())
            .map(|role| role.name.clone())
            .collect(),
    };
    if let Some(reason) = &signed_in.no_agent
        && !matches!(reason, jit_ssh_connect::agent::AgentError::None)
    {
        terminal.note(format_args!("The login key is in a file: {reason}."));
    }
    let now = jit_ssh_connect::now().saturating_add_signed(login.skew);
    terminal.answer(&shown, |shown| {
        let left = span(shown.login.ends.saturating_sub(now));
        let mut text = format!("Signed in as {} for {left}.", shown.person);
        if let (Some(role), Some(until)) = (&shown.role, shown.valid_before) {
            let left = span(until.saturating_sub(now));
            text.push_str(&format!(
                "\nA certificate for {role}, valid for {left}, renewed by itself."
            ));
        }
        if shown.roles.len() > 1 {
            text.push_str(&format!("\nYour roles: {}.", shown.roles.join(", ")));
        }
        text
    })
}

/// What a person is called: address, account, or subject.
pub(crate) fn person(login: &jit_ssh_api::login::Login) -> String {
    login
        .email
        .clone()
        .or_else(|| login.username.clone())
        .unwrap_or_else(|| login.subject.clone())
}

fn offer_ssh_config(
    home: &Home,
    arguments: &Login,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    ssh_config::refresh_include(home);
    if ssh_config::is_installed(home) {
        return Ok(());
    }
    let ask = !terminal.is_json() && terminal.is_interactive();
    let question = "Write the ssh configuration, so that plain ssh uses this?";
    if arguments.ssh_config || (ask && terminal.confirm(question, "--ssh-config")?) {
        return ssh_config::install(home, terminal);
    }
    terminal.note("Plain ssh does not use this yet: `jit-ssh ssh-config` makes it.");
    Ok(())
}
