//! A certificate for one role without a browser: a proof alone while the identity is fresh, a
//! refreshed token when it is not. The caller holds the CA's lock: refresh tokens rotate, and two
//! refreshes at once kill the grant.

use std::collections::BTreeSet;
use std::time::Duration;

use jit_ssh_api::host::Reachable;
use jit_ssh_api::issue::{CertificateAnswer, CertificateRequest, RefreshedToken};
use jit_ssh_api::key_set::Purpose;
use jit_ssh_api::problem::Kind;
use jit_ssh_api::role::RolesAnswer;
use jit_ssh_connect::{ConnectError, Request, SignProof};
use jit_ssh_terminal::{Failure, Terminal};

use crate::answer::{self, AnswerError, Wanted};
use crate::ca::Ca;
use crate::certificate::{Certificate, blob_of_line};
use crate::fleet::Fleet;
use crate::key::LoginKey;
use crate::keyring;
use crate::oidc::{OidcError, refresh};
use crate::ssh_config::LeftOut;
use crate::state::{self, CaFiles, LoginState, TokenPlace};

/// What a certificate is wanted for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    /// Role, if the person named one.
    pub(crate) role: Option<String>,
    /// Account that must be open with it.
    pub(crate) account: Option<String>,
}

/// Why there is none.
pub(crate) enum RenewError {
    /// The login is over, or the issuer wants to see the person: sign in again. In words.
    SignIn(String),
    /// Everything else.
    Failed(Box<Failure>),
}

impl<E: Into<Failure>> From<E> for RenewError {
    fn from(error: E) -> Self {
        RenewError::Failed(Box::new(error.into()))
    }
}

impl RenewError {
    /// For a command that does not sign in by itself.
    pub(crate) fn into_failure(self) -> Failure {
        match self {
            RenewError::Failed(failure) => *failure,
            RenewError::SignIn(why) => crate::ca::not_signed_in_because(&why),
        }
    }
}

/// Gets a certificate and keeps it; the login's state is as the CA says afterwards.
pub(crate) async fn certificate(
    ca: &mut Ca,
    login: &mut LoginState,
    key: &mut dyn SignProof,
    ask: &Ask,
    terminal: &mut Terminal,
) -> Result<Certificate, RenewError> {
    let request = CertificateRequest {
        role: ask.role.clone(),
        account: ask.account.clone(),
        roles_seen: Some(login.roles.version.clone()).filter(|version| !version.is_empty()),
        ..CertificateRequest::default()
    };
    let answer = identified(ca, login, key, terminal, request).await?;
    Ok(keep(ca, login, &answer, ask).await?)
}

/// Asks for the roles as of now.
pub(crate) async fn roles(
    ca: &mut Ca,
    login: &mut LoginState,
    key: &mut dyn SignProof,
    terminal: &mut Terminal,
) -> Result<RolesAnswer, RenewError> {
    let answer: RolesAnswer = ca
        .call(&Request::get("/v1/roles"), key, terminal)
        .await
        .map_err(judged)?;
    login.roles = answer.clone();
    login.roles_at = jit_ssh_connect::now();
    ca.files.write_login(login)?;
    Ok(answer)
}

/// Asks for the enrolled hosts that may be reached now.
pub(crate) async fn hosts(
    ca: &mut Ca,
    key: &mut dyn SignProof,
    terminal: &mut Terminal,
) -> Result<Reachable, ConnectError> {
    let request = Request::get("/v1/hosts").within(HOSTS_PATIENCE);
    ca.call(&request, key, terminal).await
}

/// Keeps them, and looks at the key set again where the CA names other host CA keys than it did:
/// what it names here is believed only once the identity key vouches for it.
pub(crate) async fn keep_hosts(ca: &mut Ca, answer: &Reachable) -> Result<LeftOut, Failure> {
    let blobs = |keys: &[String]| -> BTreeSet<_> {
        keys.iter().filter_map(|key| blob_of_line(key)).collect()
    };
    let known = crate::ca::trusted(&ca.pin, Purpose::HostCa)?;
    if blobs(&known) != blobs(&answer.host_ca) {
        ca.look_again().await?;
    }
    let (fleet, left_out) = Fleet::of(answer, jit_ssh_connect::now());
    ca.files.write_fleet(&fleet)?;
    Ok(left_out)
}

/// Asks and keeps, where a command is about something else: it stands in nobody's way, and the next
/// contact is another chance.
pub(crate) async fn refresh_hosts(ca: &mut Ca, login: &LoginState, terminal: &mut Terminal) {
    let Ok(mut key) = LoginKey::load(&ca.files, login) else {
        return;
    };
    if let Ok(answer) = hosts(ca, &mut key, terminal).await {
        let _ = keep_hosts(ca, &answer).await;
    }
}

async fn identified(
    ca: &mut Ca,
    login: &mut LoginState,
    key: &mut dyn SignProof,
    terminal: &mut Terminal,
    mut request: CertificateRequest,
) -> Result<CertificateAnswer, RenewError> {
    let now = jit_ssh_connect::now().saturating_add_signed(login.skew);
    let stale = login.login.identity_fresh_until <= now.saturating_add(EARLY);
    let mut unreachable = None;
    if stale {
        match refreshed(ca, login).await {
            Ok(token) => request.refresh = Some(token),
            // The CA may let logins go on through an outage; it decides.
            Err(Stale::Unreachable(error)) => unreachable = Some(error),
            Err(Stale::Other(error)) => return Err(error),
        }
    }
    let first = send(ca, key, terminal, &request).await;
    let error = match first {
        Err(error) if error.kind() == Some(Kind::IdentityStale) => error,
        other => return other.map_err(judged),
    };
    if let Some(unreachable) = unreachable {
        return Err(unreachable.into());
    }
    if stale {
        return Err(judged(error));
    }
    request.refresh = Some(refreshed(ca, login).await.map_err(RenewError::from_stale)?);
    send(ca, key, terminal, &request).await.map_err(judged)
}

async fn send(
    ca: &mut Ca,
    key: &mut dyn SignProof,
    terminal: &mut Terminal,
    request: &CertificateRequest,
) -> Result<CertificateAnswer, ConnectError> {
    let request = Request::post("/v1/certificates", request)?;
    ca.call(&request, key, terminal).await
}

pub(crate) fn judged(error: ConnectError) -> RenewError {
    match error.kind() {
        Some(Kind::LoginEnded | Kind::TokenRefused | Kind::IdentityStale) => {
            RenewError::SignIn(error.to_string())
        }
        _ => error.into(),
    }
}

enum Stale {
    Unreachable(OidcError),
    Other(RenewError),
}

impl RenewError {
    fn from_stale(stale: Stale) -> Self {
        match stale {
            Stale::Unreachable(error) => error.into(),
            Stale::Other(error) => error,
        }
    }
}

/// A refreshed ID token. The new refresh token is on disk before the answer is used: dying after
/// that loses nothing; dying before it, at worst, the grant, and the person signs in again.
async fn refreshed(ca: &Ca, login: &mut LoginState) -> Result<RefreshedToken, Stale> {
    let other = |failure: Failure| Stale::Other(RenewError::Failed(Box::new(failure)));
    let again = |why: &str| Stale::Other(RenewError::SignIn(why.to_owned()));
    let renewal = &login.renewal;
    if renewal.refresh_token == TokenPlace::None {
        return Err(again("the identity provider gave no refresh token"));
    }
    let token = keyring::load(&ca.files, renewal.refresh_token)
        .map_err(|error| other(error.into()))?
        .ok_or_else(|| again("the refresh token is gone from the keyring"))?;
    let issuer = login.login.issuer.clone();
    let http = ca.http_for(&issuer).map_err(other)?;
    let refreshed = match refresh::refresh(&http, &issuer, renewal, &token).await {
        Ok(refreshed) => refreshed,
        Err(error @ OidcError::Unreachable { .. }) => return Err(Stale::Unreachable(error)),
        Err(error @ OidcError::Refused { .. }) => return Err(again(&error.to_string())),
        Err(error) => return Err(other(error.into())),
    };
    if let Some(new) = refreshed.new_token() {
        let place = keyring::store(&ca.files, renewal.refresh_token, Some(new))
            .map_err(|error| other(error.into()))?;
        login.renewal.refresh_token = place;
        ca.files
            .write_login(login)
            .map_err(|error| other(error.into()))?;
    }
    let userinfo = login.renewal.userinfo;
    // Providers that refresh without an ID token leave a new sign-in as the only way.
    let tokens = refreshed
        .into_tokens()
        .map_err(|error| again(&error.to_string()))?;
    Ok(RefreshedToken {
        id_token: tokens.id_token.to_string(),
        access_token: tokens
            .access_token
            .filter(|_| userinfo)
            .map(|token| token.to_string()),
    })
}

/// Checks an answer and writes certificate and login. A key that we do not know may be new: the
/// key set is asked for once more.
pub(crate) async fn keep(
    ca: &mut Ca,
    login: &mut LoginState,
    answer: &CertificateAnswer,
    ask: &Ask,
) -> Result<Certificate, Failure> {
    let key = certified_blob(login)
        .ok_or_else(|| Failure::failed("The login's public key is unreadable."))?;
    let now = jit_ssh_connect::now().saturating_add_signed(ca.skew());
    let checked = |ca_keys: &[Vec<u8>]| {
        let wanted = Wanted {
            key: &key,
            role: ask.role.as_deref(),
            account: ask.account.as_deref(),
            roles: &login.roles,
            ca_keys,
            now,
        };
        answer::check(answer, &wanted)
    };
    let certificate = match checked(&ca.user_ca_keys()?) {
        Err(AnswerError::Signer) => {
            ca.look_again().await?;
            checked(&ca.user_ca_keys()?)?
        }
        other => other?,
    };
    login.login = answer.login.clone();
    // Absent: they are what they were, as of now.
    if let Some(roles) = &answer.roles {
        login.roles = roles.clone();
    }
    login.roles_at = jit_ssh_connect::now();
    login.skew = ca.skew();
    let line = format!("{}\n", answer.certificate.trim());
    if let Some(path) = ca.files.role_certificate(&answer.role) {
        state::place(&path, &line)?;
    }
    state::place(&ca.files.stable_certificate(), &line)?;
    ca.files.write_login(login)?;
    remove_dead(&ca.files, now);
    Ok(certificate)
}

/// Blob of the key that certificates are for.
pub(crate) fn certified_blob(login: &LoginState) -> Option<Vec<u8>> {
    let line = login
        .named_key
        .as_ref()
        .map_or(&login.public_key, |named| &named.public_key);
    blob_of_line(line)
}

/// Dead certificates do not linger (A47).
pub(crate) fn remove_dead(files: &CaFiles, now: u64) {
    let entries = [files.certificates(), files.roles()]
        .into_iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()));
    for path in entries.chain([files.stable_certificate()]) {
        let dead = state::read_to_string(&path)
            .ok()
            .flatten()
            .and_then(|line| Certificate::parse(&line).ok())
            .is_none_or(|certificate| certificate.valid_before <= now);
        if dead {
            // Another ensure may have done it.
            let _ = state::remove(&path);
        }
    }
}

/// Longest time for the list of hosts.
const HOSTS_PATIENCE: Duration = Duration::from_secs(10);

/// Identities are renewed this much before they are stale, in seconds.
const EARLY: u64 = 5;
