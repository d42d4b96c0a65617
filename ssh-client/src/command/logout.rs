//! `logout`: ends the login at the CA (which revokes its certificates), gives the grant back to the
//! identity provider, and removes key, certificates and token from agent, keyring and disk. What is
//! on this machine goes even where nobody answers.

use jit_ssh_api::login::Ended;
use jit_ssh_connect::Request;
use jit_ssh_terminal::{Exit, Failure, Terminal};
use serde::Serialize;

use crate::ca::{self, Ca};
use crate::cli::Logout;
use crate::command::ssh_config::refresh_include;
use crate::key::LoginKey;
use crate::keyring;
use crate::oidc::refresh;
use crate::state::{Home, LoginState};

/// What is printed.
#[derive(Serialize)]
struct Shown {
    ca: String,
    ended_at_ca: bool,
    revoked_at_issuer: bool,
}

/// Ends the login.
pub(crate) async fn run(arguments: &Logout, terminal: &mut Terminal) -> Result<(), Failure> {
    let home = Home::find()?;
    let files = ca::choose(&home, arguments.which.ca.as_deref())?;
    let lock = files.lock()?;
    let mut ca = Ca::open(files)?;
    let login = ca.files.login();
    let mut shown = Shown {
        ca: ca.files.name.clone(),
        ended_at_ca: false,
        revoked_at_issuer: false,
    };
    let mut trouble = None;
    if let Ok(Some(login)) = &login {
        let (ended, failure) = end_at_ca(&mut ca, login, terminal).await;
        (shown.ended_at_ca, trouble) = (ended, failure);
        shown.revoked_at_issuer = revoke_at_issuer(&ca, login).await;
        keyring::remove(&ca.files, login.renewal.refresh_token)?;
    }
    ca.files.remove_login()?;
    if arguments.forget {
        ca.files.forget()?;
    }
    drop(lock);
    refresh_include(&home);
    let signed_in = !matches!(login, Ok(None));
    terminal.answer(&shown, |shown| {
        if signed_in {
            format!("Signed out of {}.", shown.ca)
        } else {
            format!("Nobody was signed in at {}.", shown.ca)
        }
    })?;
    match trouble {
        Some(cause) if signed_in => Err(Failure::new(
            Exit::Unreachable,
            "Everything is removed here, but the CA could not be told.",
        )
        .why(cause)
        .next("The login ends by itself; to end it now, ask whoever runs the CA: `jit-ssh-ca login end`.")),
        _ => Ok(()),
    }
}

async fn end_at_ca(
    ca: &mut Ca,
    login: &LoginState,
    terminal: &mut Terminal,
) -> (bool, Option<String>) {
    let mut key = match LoginKey::load(&ca.files, login) {
        Ok(key) => key,
        Err(error) => return (false, Some(error.to_string())),
    };
    let request = Request::delete("/v1/logins/self");
    let ended = ca.call::<Ended>(&request, &mut key, terminal).await;
    if let LoginKey::Agent { agent, public } = &mut key {
        // An agent that keeps it has its lifetime; said by `doctor`.
        let _ = agent.remove(public);
    }
    match ended {
        Ok(_) => (true, None),
        Err(error) if error.kind() == Some(jit_ssh_api::problem::Kind::LoginEnded) => (true, None),
        Err(error) => (false, Some(error.to_string())),
    }
}

async fn revoke_at_issuer(ca: &Ca, login: &LoginState) -> bool {
    let Ok(Some(token)) = keyring::load(&ca.files, login.renewal.refresh_token) else {
        return false;
    };
    let Ok(http) = ca.http_for(&login.login.issuer) else {
        return false;
    };
    login.renewal.revocation_endpoint.is_some()
        && refresh::revoke(&http, &login.renewal, &token).await.is_ok()
}
