//! `logout`: ends the login at the CA, gives the grant back to the identity provider, and removes
//! key, certificates and token from agent, keyring and disk. What is on this machine goes even where
//! nobody answers. The CA revokes the certificates that are alive: hosts that enrolled refuse them within
//! seconds; at others they end by themselves, and what is removed here is the key without which they
//! open nothing.

use std::time::Duration;

use jit_ssh_api::login::{Ended, EndedAll};
use jit_ssh_api::problem::Kind;
use jit_ssh_connect::Request;
use jit_ssh_terminal::{Exit, Failure, Terminal};
use serde::Serialize;

use crate::ca::{self, Ca};
use crate::cli::Logout;
use crate::command::ssh_config::refresh_include;
use crate::key::LoginKey;
use crate::keyring;
use crate::oidc::refresh;
use crate::state::{Home, LoginState, StateError};

/// What is printed.
#[derive(Serialize)]
struct Shown {
    ca: String,
    ended_at_ca: bool,
    /// Logins that ended; with `--everywhere` perhaps more than this machine's.
    logins: usize,
    /// Certificates that were alive.
    certificates: usize,
    revoked_at_issuer: bool,
}

/// Ends the login. Nothing stops it half-way: what fails is told once the rest is done.
pub(crate) async fn run(arguments: &Logout, terminal: &mut Terminal) -> Result<(), Failure> {
    let home = Home::find()?;
    let files = ca::choose(&home, arguments.which.ca.as_deref())?;
    // Whoever holds the files for longer was stopped, and must not keep anybody signed in.
    let lock = match files.lock(PATIENCE) {
        Err(StateError::Busy(_)) => None,
        lock => Some(lock?),
    };
    let mut shown = Shown {
        ca: files.name.clone(),
        ended_at_ca: false,
        logins: 0,
        certificates: 0,
        revoked_at_issuer: false,
    };
    let login = files.login();
    let mut untold = None;
    let mut left = Vec::new();
    match &login {
        Ok(None) => {}
        Ok(Some(login)) => {
            match Ca::open(files.clone()) {
                Ok(mut ca) => {
                    match end_at_ca(&mut ca, login, arguments.everywhere, terminal).await {
                        Ok((logins, certificates)) => {
                            shown.ended_at_ca = true;
                            (shown.logins, shown.certificates) = (logins, certificates);
                        }
                        Err(cause) => untold = Some(cause),
                    }
                    shown.revoked_at_issuer = revoke_at_issuer(&ca, login).await;
                }
                Err(failure) => untold = Some(failure.what().to_owned()),
            }
            left.extend(keyring::remove(&files, login.renewal.refresh_token).err());
        }
        Err(error) => untold = Some(error.to_string()),
    }
    left.extend(files.remove_login().err());
    if arguments.forget {
        left.extend(files.forget().err());
    }
    drop(lock);
    refresh_include(&home);
    let text = |shown: &Shown| {
        if matches!(login, Ok(None)) {
            format!("Nobody was signed in at {}.", shown.ca)
        } else if arguments.everywhere && shown.ended_at_ca {
            format!(
                "Signed out of {} everywhere: logins ended: {}, certificates revoked: {}.",
                shown.ca, shown.logins, shown.certificates
            )
        } else {
            format!("Signed out of {}.", shown.ca)
        }
    };
    let failure = match (left.into_iter().next(), untold) {
        (Some(error), _) => error.into(),
        (None, Some(cause)) => not_told(&cause),
        (None, None) => return terminal.answer(&shown, text),
    };
    terminal.answer_in_part(&shown, failure, text)
}

fn not_told(cause: &str) -> Failure {
    Failure::new(
        Exit::Unreachable,
        "Everything is removed here, but the CA could not be told.",
    )
    .why(cause)
    .next(
        "The login ends by itself; to end it now, ask whoever runs the CA: `jit-ssh-ca login end`.",
    )
}

/// How many logins ended, and how many certificates were revoked with them.
async fn end_at_ca(
    ca: &mut Ca,
    login: &LoginState,
    everywhere: bool,
    terminal: &mut Terminal,
) -> Result<(usize, usize), String> {
    let mut key = LoginKey::load(&ca.files, login).map_err(|error| error.to_string())?;
    let ended = if everywhere {
        let request = Request::delete("/v1/logins");
        let ended = ca.call::<EndedAll>(&request, &mut key, terminal).await;
        ended.map(|ended| (ended.logins.len(), ended.certificates.len()))
    } else {
        let request = Request::delete("/v1/logins/self");
        let ended = ca.call::<Ended>(&request, &mut key, terminal).await;
        ended.map(|ended| (1, ended.certificates.len()))
    };
    if let LoginKey::Agent { agent, public } = &mut key {
        // An agent that keeps it has its lifetime; said by `doctor`.
        let _ = agent.remove(public);
    }
    match ended {
        Ok(counted) => Ok(counted),
        // Others of this person live on: only a login can end them.
        Err(error) if error.kind() == Some(Kind::LoginEnded) && !everywhere => Ok((0, 0)),
        Err(error) => Err(error.to_string()),
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

const PATIENCE: Duration = Duration::from_secs(10);
