//! `login`: first contact and pin where needed, one sign-in, the first certificate, and the offer to
//! make plain `ssh` work.

use jit_ssh_terminal::{Exit, Failure, Terminal, escape, span};
use serde::Serialize;

use crate::ca::{self, Ca, FirstContact};
use crate::cli::Login;
use crate::command::ssh_config;
use crate::platform;
use crate::renew::{self, Ask};
use crate::sign_in::{KeyStore, SignIn, SignedIn, Turn, Way, sign_in, turn};
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
    #[serde(skip_serializing_if = "Option::is_none")]
    ssh_config: Option<ssh_config::Shown>,
}

/// Signs in.
pub(crate) async fn run(arguments: &Login, terminal: &mut Terminal) -> Result<(), Failure> {
    let home = Home::find()?;
    let mut ca = contact(&home, arguments, terminal).await?;
    let watched = platform::terminal().is_ok();
    let _turn = match turn(&ca.files, watched, terminal)? {
        Turn::Free(turn) | Turn::After(turn) => turn,
        Turn::Taken => {
            return Err(Failure::new(
                Exit::NotSignedIn,
                format_args!("Another shell is signing in at {}.", ca.files.name),
            )
            .next("Sign in there, or end it (Ctrl-C) and try again."));
        }
    };
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
    renew::refresh_hosts(&mut ca, &signed_in.login, terminal).await;
    let mut shown = describe(&ca, &signed_in, terminal);
    let refused = signed_in.certificate.err();
    if terminal.is_json() {
        // One line for everything: nothing is printed before the last of it is done.
        let mut failure = refused.map(|failure| *failure);
        match offer_ssh_config(&home, arguments, terminal) {
            Ok(written) => shown.ssh_config = written,
            Err(broken) => failure = failure.or(Some(broken)),
        }
        return match failure {
            None => terminal.answer(&shown, |_| String::new()),
            Some(failure) => terminal.answer_in_part(&shown, failure, |_| String::new()),
        };
    }
    let now = jit_ssh_connect::now().saturating_add_signed(ca.skew());
    terminal.answer(&shown, |shown| in_words(shown, now))?;
    if let Some(written) = offer_ssh_config(&home, arguments, terminal)? {
        written.print(terminal)?;
    }
    refused.map_or(Ok(()), |failure| Err(*failure))
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

fn describe(ca: &Ca, signed_in: &SignedIn, terminal: &mut Terminal) -> Shown {
    let login = &signed_in.login;
    let certificate = signed_in.certificate.as_ref().ok();
    if let Some(reason) = &signed_in.no_agent
        && !matches!(reason, jit_ssh_connect::agent::AgentError::None)
    {
        terminal.note(format_args!("The login key is in a file: {reason}."));
    }
    Shown {
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
        ssh_config: None,
    }
}

fn in_words(shown: &Shown, now: u64) -> String {
    let left = span(shown.login.ends.saturating_sub(now));
    let mut text = format!("Signed in as {} for {left}.", escape(&shown.person));
    if let (Some(role), Some(until)) = (&shown.role, shown.valid_before) {
        let left = span(until.saturating_sub(now));
        text.push_str(&format!(
            "\nA certificate for {role}, valid for {left}, renewed by itself."
        ));
    }
    if shown.roles.len() > 1 {
        text.push_str(&format!(
            "\nYour roles: {}.",
            escape(&shown.roles.join(", "))
        ));
    }
    text
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
) -> Result<Option<ssh_config::Shown>, Failure> {
    ssh_config::refresh_include(home);
    if ssh_config::is_installed(home) {
        return Ok(None);
    }
    let ask = !terminal.is_json() && terminal.is_interactive();
    let question = "Write the ssh configuration, so that plain ssh uses this?";
    if arguments.ssh_config || (ask && terminal.confirm(question, "--ssh-config")?) {
        return ssh_config::install(home, terminal).map(Some);
    }
    terminal.note("Plain ssh does not use this yet: `jit-ssh ssh-config` makes it.");
    Ok(None)
}
