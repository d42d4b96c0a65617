//! The exchange, from a proven key to a signed certificate: the one door (invariant 7). First issue,
//! renewal with a proof alone and renewal with a refreshed token all go through [`issue`], and all of
//! its steps ask again. Each step hands the next a type that only it can make; the numbers are those
//! of `docs/issuing.md`.
//!
//! In: a key that signed this very request, and what it asks for. Out: a certificate that is in the
//! ledger, or the first thing that stands against it. Keeps invariants 1, 4 and 7.

use std::net::IpAddr;
use std::sync::PoisonError;

use jit_ssh_api::issue::{CertificateAnswer, CertificateRequest};
use jit_ssh_api::login::Login;
use jit_ssh_api::role::RolesAnswer;

use crate::certificate::{
    CertificateError, CertificateToSign, KeyError, LoginFacts, UserCertificate,
};
use crate::http::proof::ProvenKey;
use crate::identity::{IdentityError, Issuer, Reachability};
use crate::ledger::{Context, LedgerError, Recorded, Refused, RefusedTo};
use crate::login::{KeyHash, LiveLogin, LoginError};
use crate::policy::{Ask, Grant, Refusal, RoleName};
use crate::server::state::{Snapshot, State};
use crate::signer::{Issued, Keyring, SignerError};
use crate::time::Timestamp;

mod budget;
mod renew;
mod user;

use budget::Budget;

/// Who asks for what.
#[derive(Debug)]
pub(crate) struct IssueInput {
    /// The login key; it signed the request.
    pub(crate) key: ProvenKey,
    /// What it asks.
    pub(crate) request: CertificateRequest,
    /// Where the request came from.
    pub(crate) source: Option<IpAddr>,
    /// As the log has it.
    pub(crate) request_id: String,
    /// Now: one moment for all steps.
    pub(crate) now: Timestamp,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IssueError {
    /// The caller: the request contradicts itself.
    #[error("{0}")]
    Request(&'static str),
    /// The caller: the named key.
    #[error("the named key is not accepted: {0}")]
    NamedKey(KeyError),
    /// The caller: the named key did not sign the nonce.
    #[error("the named key did not prove itself")]
    NamedKeyProof,
    /// The caller or the IdP: the token.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The caller: the login; or the ledger behind it.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The caller: the issuer or the client of the login is not configured any more.
    #[error("{issuer} is no longer trusted with sign-ins")]
    IssuerGone {
        /// Which.
        issuer: Issuer,
    },
    /// The caller: the identity is too old.
    #[error("the identity was fresh until {until}, in seconds since 1970")]
    Stale {
        /// When it ended.
        until: u64,
        /// The issuer cannot be reached, and the role has no grace for that, or no more.
        outage: bool,
    },
    /// The caller: later.
    #[error("too many requests of one person")]
    TooMany {
        /// Seconds.
        wait: u64,
    },
    /// The caller: later. What is written stays in the ledger for ever.
    #[error("too many records of one person in a day")]
    TooManyToday {
        /// Seconds.
        wait: u64,
    },
    /// The policy: no.
    #[error("refused by the rule {}: {}", .0.rule, .0.reason)]
    Refused(Box<Refusal>),
    /// Us, mostly.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The operator, mostly.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Us or the operator.
    #[error(transparent)]
    Signer(#[from] SignerError),
}

/// Issues one certificate, or says why not.
pub(crate) async fn issue(
    state: &State,
    snapshot: &Snapshot,
    input: IssueInput,
) -> Result<CertificateAnswer, IssueError> {
    // 1. Possession. `input.key` signed this very request; nothing else makes a `ProvenKey`.
    one_way_in(&input.request)?;
    // 2. Who. A token opens a login or makes one fresh; without a token the key's login is meant.
    // 3. Not too often: within 2, as soon as the person is known, and before their issuer is asked
    //    anything about them.
    let login = match (&input.request.open, &input.request.refresh) {
        (Some(open), _) => user::open(state, snapshot, &input, open).await?,
        (None, Some(token)) => renew::with_token(state, snapshot, &input, token).await?,
        (None, None) => renew::by_key(state, snapshot, &input).await?,
    };
    match within(state, snapshot, &input, &login).await {
        // The token opened this login before, and a newer one came since. What is stored counts
        // and never what the older token says; all steps ask again.
        Err(IssueError::Ledger(LedgerError::LoginChanged)) if login.is_new() => {
            let stored = user::stored(state, &input, &login).await?;
            within(state, snapshot, &input, &stored).await
        }
        done => done,
    }
}

/// The steps that every login goes through, each time.
async fn within(
    state: &State,
    snapshot: &Snapshot,
    input: &IssueInput,
    login: &LiveLogin,
) -> Result<CertificateAnswer, IssueError> {
    let now = input.now;
    // 4. Still trusted. The issuer and the client may be gone since the login began, and somebody may
    //    have locked the person or revoked a key: the record of 8 asks that again.
    still_configured(snapshot, login)?;
    not_locked(state, input, login, None).await?;
    // 5. Fresh enough to be decided on; an outage of the issuer may stretch that, by role.
    let freshness = renew::freshness(snapshot, login, now).await;
    // 6. The policy decides; the request can only narrow. What a token said is written whatever is
    //    decided, and so it counts whatever is decided.
    let mut budget = Budget::new(state, snapshot, login, now);
    if login.changes() {
        budget.charge()?;
    }
    let ask = ask(input);
    let decided = decide(state, snapshot, input, login, &ask, freshness).await;
    let grant = budget.keep_if(!is_unwritten(&decided), decided)?;
    not_locked(state, input, login, Some(grant.role().as_str())).await?;
    // 7. The certificate, without a signature; unless the person had a day's worth of records.
    let keyring = &state.trusted.load_full().keyring;
    let made = certificate(state, snapshot, keyring, login, &grant, now);
    let certificate = budget.keep_if(made.is_ok(), made)?;
    budget.charge()?;
    // 8. The record: exactly these bytes, durable, in one transaction with the opening or the
    //    refresh of the login, and only if that login still lives there.
    //    If we die here, the record stands for a certificate that nobody got.
    let written = record(
        state,
        input,
        login,
        &grant,
        certificate,
        freshness.is_outage(),
    )
    .await;
    let recorded = budget.keep_if(written.is_ok(), written)?;
    // 9. The signature, after a last look at the bytes. It exists in memory only: if we die here, a
    //    client that asks again gets another certificate and another record.
    let issued = sign(state, keyring, recorded, now).await?;
    state.metrics.issued(freshness.is_outage());
    if freshness.is_outage() {
        tracing::warn!(login = %login.id, "issued on an old identity: its issuer cannot be reached");
    }
    // 10. The answer.
    Ok(answer(snapshot, input, login, &grant, &issued))
}

fn one_way_in(request: &CertificateRequest) -> Result<(), IssueError> {
    if request.open.is_some() && request.refresh.is_some() {
        return Err(IssueError::Request(
            "`open` and `refresh` cannot be in one request",
        ));
    }
    if request.validity == Some(0) {
        return Err(IssueError::Request(
            "`validity` must be at least one second",
        ));
    }
    Ok(())
}

pub(crate) fn still_configured(snapshot: &Snapshot, login: &LiveLogin) -> Result<(), IssueError> {
    if snapshot.still_configured(&login.identity) {
        Ok(())
    } else {
        Err(IssueError::IssuerGone {
            issuer: login.identity.issuer.clone(),
        })
    }
}

/// Nobody locked the person, their keys, or the role that was decided on. A refusal is recorded before
/// it is told; nothing of the login is written.
async fn not_locked(
    state: &State,
    input: &IssueInput,
    login: &LiveLogin,
    role: Option<&str>,
) -> Result<(), IssueError> {
    let asked = state.ledger.not_locked(login, role);
    if let Err(error) = &asked {
        let (request, source) = (&input.request_id, input.source);
        state
            .ledger
            .record_locked(&login.identity, error, request, source, input.now)
            .await;
    }
    Ok(asked?)
}

fn not_too_often(
    state: &State,
    snapshot: &Snapshot,
    person: &str,
    now: Timestamp,
) -> Result<(), IssueError> {
    let limit = snapshot.config.limits.requests_per_person;
    state.people.count(person, limit, now).map_err(|wait| {
        state.ledger.count_refused_to(person, now);
        IssueError::TooMany { wait }
    })
}

/// Whether the ledger refused to write what was decided: then nothing of this request is in it.
fn is_unwritten<T>(decided: &Result<T, IssueError>) -> bool {
    matches!(decided, Err(IssueError::Ledger(_)))
}

fn ask(input: &IssueInput) -> Ask {
    Ask {
        role: input.request.role.clone(),
        account: input.request.account.clone(),
        validity: input.request.validity.map(std::time::Duration::from_secs),
        source: input.source,
    }
}

/// A refusal is recorded before it is told.
async fn decide(
    state: &State,
    snapshot: &Snapshot,
    input: &IssueInput,
    login: &LiveLogin,
    ask: &Ask,
    freshness: renew::Freshness,
) -> Result<Grant, IssueError> {
    let decision = snapshot.policy.decide(&login.identity, ask, input.now);
    match decision {
        Ok(grant) => {
            if !freshness.suffices(grant.outage_grace(), input.now) {
                return Err(stale(state, login, freshness, input.now).await);
            }
            Ok(grant)
        }
        // Old groups refuse nobody for good: a fresh token first.
        Err(_) if !freshness.is_fresh() => Err(stale(state, login, freshness, input.now).await),
        Err(refusal) => {
            let refused = Refused {
                to: RefusedTo::Login(login),
                rule: refusal.rule,
                role: refusal.role.as_ref().map(RoleName::as_str),
                reason: &refusal.reason,
                asked: serde_json::json!({
                    "account": ask.account,
                    "role": ask.role,
                    "validity": input.request.validity,
                }),
                policy: Some(snapshot.policy.digest()),
                request: &input.request_id,
                source: input.source,
                now: input.now,
            };
            state.ledger.record_refused(refused).await?;
            Err(IssueError::Refused(Box::new(refusal)))
        }
    }
}

/// The refusal of an identity that is too old. What a token just said of it is written all the same:
/// groups that are gone stay gone.
async fn stale(
    state: &State,
    login: &LiveLogin,
    freshness: renew::Freshness,
    now: Timestamp,
) -> IssueError {
    match state.ledger.record_login(login, now).await {
        Ok(()) => freshness.stale(),
        Err(error) => error.into(),
    }
}

fn certificate(
    state: &State,
    snapshot: &Snapshot,
    keyring: &Keyring,
    login: &LiveLogin,
    grant: &Grant,
    now: Timestamp,
) -> Result<CertificateToSign, IssueError> {
    // Judged again: the CA may have another profile than when the login began.
    login
        .certified_key
        .fits(snapshot.config.profile)
        .map_err(IssueError::NamedKey)?;
    // One key, one job (A37).
    let certified = KeyHash::of(login.certified_key.public_key());
    if state.ledger.hosts().by_any_key(&certified.0).is_some() {
        return Err(LedgerError::HostKey.into());
    }
    let id = login.id.to_string();
    let name = user::name(login, grant);
    let mut rng = state.rng.lock().unwrap_or_else(PoisonError::into_inner);
    let certificate = CertificateToSign::user(
        &UserCertificate {
            grant,
            key: &login.certified_key,
            login: LoginFacts {
                id: &id,
                name: &name,
                ends: login.ends,
            },
            ca: keyring.user_ca(),
            now,
        },
        &mut *rng,
    )?;
    Ok(certificate)
}

async fn record(
    state: &State,
    input: &IssueInput,
    login: &LiveLogin,
    grant: &Grant,
    certificate: CertificateToSign,
    outage: bool,
) -> Result<Recorded, IssueError> {
    let context = Context {
        login: login.clone(),
        username: grant.username().map(|name| name.as_str().to_owned()),
        request: input.request_id.clone(),
        source: input.source,
        policy: grant.policy_digest().to_owned(),
        outage,
        now: input.now,
    };
    Ok(state.ledger.record(certificate, context).await?)
}

async fn sign(
    state: &State,
    keyring: &Keyring,
    recorded: Recorded,
    now: Timestamp,
) -> Result<Issued, IssueError> {
    let (index, serial) = (recorded.index(), recorded.certificate().serial());
    match keyring.sign(recorded) {
        Ok(issued) => Ok(issued),
        Err(error) => {
            let reason = error.to_string();
            state
                .ledger
                .record_signing_failed(index, serial, &reason, now)
                .await?;
            Err(error.into())
        }
    }
}

fn answer(
    snapshot: &Snapshot,
    input: &IssueInput,
    login: &LiveLogin,
    grant: &Grant,
    issued: &Issued,
) -> CertificateAnswer {
    let certificate = issued.certificate();
    CertificateAnswer {
        certificate: issued.line().to_owned(),
        serial: certificate.serial().to_string(),
        key_id: certificate.key_id().to_owned(),
        role: certificate.role().to_owned(),
        principals: certificate.principals().to_vec(),
        accounts: grant
            .accounts()
            .iter()
            .map(|account| account.as_str().to_owned())
            .collect(),
        valid_after: certificate.valid_after(),
        valid_before: certificate.valid_before(),
        login: told(
            snapshot,
            login,
            grant.username().map(|name| name.as_str().to_owned()),
        ),
        roles: unseen_roles(snapshot, input, login),
    }
}

/// All roles, unless the client has them already: a renewal costs what the person brings, not what
/// the policy has.
fn unseen_roles(snapshot: &Snapshot, input: &IssueInput, login: &LiveLogin) -> Option<RolesAnswer> {
    let version = roles_version(snapshot, login, input.source);
    if input.request.roles_seen.as_ref() == Some(&version) {
        return None;
    }
    Some(roles_of(snapshot, login, input.source, input.now, version))
}

/// All roles from one person's side, with the CA's host patterns.
pub(crate) fn roles(
    snapshot: &Snapshot,
    login: &LiveLogin,
    source: Option<IpAddr>,
    now: Timestamp,
) -> RolesAnswer {
    let version = roles_version(snapshot, login, source);
    roles_of(snapshot, login, source, now, version)
}

fn roles_of(
    snapshot: &Snapshot,
    login: &LiveLogin,
    source: Option<IpAddr>,
    now: Timestamp,
    version: String,
) -> RolesAnswer {
    let policy = &snapshot.policy;
    RolesAnswer {
        hosts: snapshot.config.hosts.clone(),
        version,
        ..policy.roles_answer(&login.identity, &all_roles(source), now)
    }
}

fn roles_version(snapshot: &Snapshot, login: &LiveLogin, source: Option<IpAddr>) -> String {
    let hosts = &snapshot.config.hosts;
    let ask = all_roles(source);
    snapshot.policy.roles_version(&login.identity, &ask, hosts)
}

fn all_roles(source: Option<IpAddr>) -> Ask {
    Ask {
        source,
        ..Ask::default()
    }
}

/// A login as its owner sees it.
pub(crate) fn told(snapshot: &Snapshot, login: &LiveLogin, username: Option<String>) -> Login {
    let issuer = login.identity.issuer.as_ref();
    login.to_api(username, snapshot.identity_max_age(issuer))
}

/// Whether the issuer of a login answers.
async fn is_unreachable(snapshot: &Snapshot, login: &LiveLogin, now: Timestamp) -> bool {
    let issuer = login.identity.issuer.as_ref();
    matches!(
        snapshot.identities.reachable(issuer, now).await,
        Reachability::Unreachable { .. }
    )
}

#[cfg(test)]
mod tests;
