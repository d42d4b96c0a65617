//! What a first issue has of its own: a fresh token that commits to the key, and perhaps another key
//! to certify, which proves itself once.

use jit_ssh_api::binding::{self, NAMED_KEY_NAMESPACE, Salt};
use jit_ssh_api::discovery::Profile;
use jit_ssh_api::issue::{NamedKey, OpenLogin as Asked};
use ssh_key::SshSig;

use crate::certificate::AcceptedKey;
use crate::identity::Opening;
use crate::issue::{IssueError, IssueInput, not_too_often};
use crate::ledger::LedgerError;
use crate::login::{LiveLogin, OpenLogin};
use crate::policy::Grant;
use crate::server::state::{Snapshot, State};
use crate::signer::verify::verify_sshsig;

/// A verified, bound token ──► the login that it opens, or the live one that it opened before.
pub(super) async fn open(
    state: &State,
    snapshot: &Snapshot,
    input: &IssueInput,
    asked: &Asked,
) -> Result<LiveLogin, IssueError> {
    let salt = Salt::decode(&asked.salt).ok_or(IssueError::Request(
        "`salt` must be 32 bytes in base64url without padding",
    ))?;
    let login_key = input.key.key();
    let named = match &asked.certified_key {
        Some(named) => Some(prove(named, login_key, &salt, snapshot.config.profile)?),
        None => None,
    };
    let opening = Opening {
        id_token: &asked.id_token,
        access_token: asked.access_token.as_deref(),
        salt,
        login_key: login_key.blob(),
        named_key: named.as_ref().map(AcceptedKey::blob),
    };
    let token = snapshot
        .identities
        .verify_opening_of(
            opening,
            |person| not_too_often(state, snapshot, person, input.now),
            input.now,
        )
        .await?;
    let most = snapshot.config.max_login.get();
    let longest = token.issuer.max_login.map_or(most, |own| own.min(most));
    let open = OpenLogin {
        token,
        login_key: login_key.public_key().clone(),
        certified_key: named.as_ref().unwrap_or(login_key).clone(),
        longest,
        source: input.source,
        request: &input.request_id,
    };
    Ok(state.logins.open(open, input.now)?)
}

/// The login that a token opened before, as it is now.
pub(super) async fn stored(
    state: &State,
    input: &IssueInput,
    login: &LiveLogin,
) -> Result<LiveLogin, IssueError> {
    let stored = state.logins.recall(input.key.hash(), input.now).await?;
    if stored.id == login.id {
        Ok(stored)
    } else {
        Err(LedgerError::LoginChanged.into())
    }
}

/// A key that the person names signs the nonce: so nobody gets a certificate over the key of another
/// (A13).
fn prove(
    named: &NamedKey,
    login_key: &AcceptedKey,
    salt: &Salt,
    profile: Profile,
) -> Result<AcceptedKey, IssueError> {
    let key = AcceptedKey::parse(&named.public_key)
        .and_then(|key| key.fits(profile).map(|()| key))
        .map_err(IssueError::NamedKey)?;
    let nonce = binding::nonce_with_named_key(login_key.blob(), key.blob(), salt);
    let signature: SshSig = named
        .signature
        .parse()
        .map_err(|_| IssueError::NamedKeyProof)?;
    verify_sshsig(
        key.public_key(),
        NAMED_KEY_NAMESPACE,
        nonce.as_bytes(),
        &signature,
    )
    .map_err(|_| IssueError::NamedKeyProof)?;
    Ok(key)
}

/// What sshd's log should call the person: their account, else an address that counts, else what
/// the issuer calls them. Only for people to read; nothing is decided by it.
pub(super) fn name(login: &LiveLogin, grant: &Grant) -> String {
    let who = &login.identity;
    if let Some(account) = grant.username() {
        return account.as_str().to_owned();
    }
    if let Some(email) = &who.email {
        return email.to_string();
    }
    let preferred = who
        .claims
        .get("preferred_username")
        .and_then(|name| name.as_str());
    preferred.map_or_else(|| who.subject.to_string(), str::to_owned)
}
