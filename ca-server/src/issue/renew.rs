//! What a renewal has of its own: how fresh the identity is, a refreshed token, and an issuer that
//! cannot be reached.

use std::time::Duration;

use jit_ssh_api::issue::RefreshedToken;
use jit_ssh_api::problem::Kind;
use serde_json::Value;

use crate::identity::{IdentityError, Refresh};
use crate::issue::{IssueError, IssueInput, is_unreachable, not_too_often};
use crate::ledger::{Refused, RefusedTo};
use crate::login::{LiveLogin, LoginError};
use crate::server::state::{Snapshot, State};
use crate::time::Timestamp;

/// The proven key ──► its live login, whose person is not there too often.
pub(super) async fn by_key(
    state: &State,
    snapshot: &Snapshot,
    input: &IssueInput,
) -> Result<LiveLogin, IssueError> {
    let login = state.logins.recall(input.key.hash(), input.now).await?;
    not_too_often(state, snapshot, &login.identity.person, input.now)?;
    Ok(login)
}

/// A refreshed token ──► the same login with what the token says now.
pub(super) async fn with_token(
    state: &State,
    snapshot: &Snapshot,
    input: &IssueInput,
    token: &RefreshedToken,
) -> Result<LiveLogin, IssueError> {
    let login = by_key(state, snapshot, input).await?;
    let refresh = Refresh {
        id_token: &token.id_token,
        access_token: token.access_token.as_deref(),
        issuer: login.identity.issuer.as_ref(),
        client_id: &login.identity.client_id,
        subject: login.identity.subject.as_ref(),
        person: &login.identity.person,
        nonce: login.nonce.as_deref().unwrap_or_default(),
        last_issued_at: login.last_issued_at(),
        last_token_id: &login.last_token_id,
    };
    let verified = snapshot.identities.verify_refresh(refresh, input.now).await;
    let refreshed = match verified {
        Ok(token) => {
            let request = &input.request_id;
            let refreshed = state.logins.refresh(&login, token, request, input.now);
            refreshed.map_err(IssueError::from)
        }
        Err(error) => Err(error.into()),
    };
    if let Err(error) = &refreshed {
        record_refused(state, input, &login, error).await?;
    }
    refreshed
}

/// Somebody with a live login sent a token that does not go with it: an auditor wants to know. The
/// caller is known by the login's key; of the token nothing is kept.
async fn record_refused(
    state: &State,
    input: &IssueInput,
    login: &LiveLogin,
    error: &IssueError,
) -> Result<(), IssueError> {
    match error {
        // Nobody refused anything.
        IssueError::Identity(IdentityError::Unavailable { .. }) => return Ok(()),
        IssueError::Identity(_) | IssueError::Login(LoginError::NotNewer) => {}
        _ => return Ok(()),
    }
    let reason = error.to_string();
    let refused = Refused {
        to: RefusedTo::Login(login),
        rule: Kind::TokenRefused.name(),
        role: None,
        reason: &reason,
        asked: Value::Null,
        policy: None,
        request: &input.request_id,
        source: input.source,
        now: input.now,
    };
    Ok(state.ledger.record_refused(refused).await?)
}

/// How fresh what we know of a person is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// Young enough.
    Fresh,
    /// Too old, and the issuer could give a newer token.
    Stale {
        /// Since when.
        since: Timestamp,
    },
    /// Too old, and the issuer cannot be reached at all.
    Outage {
        /// Since when it is too old.
        since: Timestamp,
    },
}

/// Looks at the age of an identity; asks the issuer only when it is too old.
pub(crate) async fn freshness(snapshot: &Snapshot, login: &LiveLogin, now: Timestamp) -> Freshness {
    let issuer = login.identity.issuer.as_ref();
    let since = login.identity_fresh_until(snapshot.identity_max_age(issuer));
    if now < since {
        Freshness::Fresh
    } else if is_unreachable(snapshot, login, now).await {
        Freshness::Outage { since }
    } else {
        Freshness::Stale { since }
    }
}

impl Freshness {
    pub(crate) fn is_fresh(self) -> bool {
        self == Freshness::Fresh
    }

    pub(crate) fn is_outage(self) -> bool {
        matches!(self, Freshness::Outage { .. })
    }

    /// Fresh, or within the grace that the role has for an outage.
    pub(crate) fn suffices(self, grace: Option<Duration>, now: Timestamp) -> bool {
        match (self, grace) {
            (Freshness::Fresh, _) => true,
            (Freshness::Outage { since }, Some(grace)) => now < since.plus(grace),
            _ => false,
        }
    }

    /// The refusal of an identity that is not fresh.
    pub(crate) fn stale(self) -> IssueError {
        match self {
            Freshness::Outage { since } => IssueError::Stale {
                until: since.seconds(),
                outage: true,
            },
            Freshness::Stale { since } => IssueError::Stale {
                until: since.seconds(),
                outage: false,
            },
            Freshness::Fresh => IssueError::Stale {
                until: 0,
                outage: false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Freshness;
    use crate::time::Timestamp;

    #[test]
    fn grace_counts_only_while_the_issuer_cannot_be_reached_and_not_for_ever() {
        let since = Timestamp::from_seconds(1000);
        let grace = Some(Duration::from_secs(60));
        let (early, late) = (Timestamp::from_seconds(1059), Timestamp::from_seconds(1060));
        let outage = Freshness::Outage { since };
        assert!(outage.suffices(grace, early));
        assert!(!outage.suffices(grace, late));
        assert!(!outage.suffices(None, early), "off by default");
        assert!(
            !Freshness::Stale { since }.suffices(grace, early),
            "it refuses, or answers"
        );
        assert!(Freshness::Fresh.suffices(None, late));
    }
}
