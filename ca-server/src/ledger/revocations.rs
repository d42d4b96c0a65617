//! Taking away and giving back, as records: who did it, to whom, why. What it does to rows is in
//! `writer/revocation.rs`.

use std::net::IpAddr;

use jit_ssh_api::key_set::KeySet;
use jit_ssh_api::revocation::Target;
use rusqlite::Connection;
use serde_json::{Map, Value, json};

use super::record::{Draft, Kind, PartName};
use super::writer::{Class, Revoke, Taken, Touched, Unlock, Who, Work};
use super::{Actor, Ledger, LedgerError, RightUsed, clip};
use crate::entropy;
use crate::identity::IdentityFacts;
use crate::login::LiveLogin;
use crate::revocation::krl::RevocationList;
use crate::revocation::list::{GRACE, revoked_list};
use crate::revocation::lock::LockKind;
use crate::store::{guard, ledger as records, revocations};
use crate::time::Timestamp;

impl Ledger {
    /// Takes away what somebody with the right wants gone; index of its record, and what was touched.
    /// Goes through on a full disk.
    pub(crate) async fn revoke(
        &self,
        used: RightUsed<'_>,
        taken: Taken,
        target: &Target,
        reason: &str,
    ) -> Result<(u64, Touched), LedgerError> {
        let (who, draft) = self.by(Kind::Revoked, &used);
        let draft = draft.fact("target", name(target));
        let draft = match target {
            Target::Serial(serial) => draft.fact("serial", serial.as_str()),
            Target::Role(role) => draft.fact("role", role.as_str()),
            Target::Login(login) => draft.fact("login", login.as_str()),
            // These name somebody.
            Target::User(_) | Target::Host(_) | Target::Key(_) => draft,
        };
        let details = told(target, reason, used.source);
        let revoke = self.draft_of(taken, reason, draft, details);
        self.take(who, revoke, used.now).await
    }

    /// Ends everything of the person of a login, who wants it so and may sign in again.
    pub(crate) async fn revoke_own(
        &self,
        login: &LiveLogin,
        source: Option<IpAddr>,
        request: &str,
        now: Timestamp,
    ) -> Result<Touched, LedgerError> {
        let draft = self
            .draft(Kind::Revoked, now)
            .fact("by", format!("login:{}", login.id))
            .fact("request", request)
            .fact("target", "own");
        let who = Who::Login {
            login: login.clone(),
            username: None,
        };
        let details = Map::from_iter([("source".to_owned(), json!(source))]);
        let revoke = self.draft_of(Taken::Own(login.id), "logout", draft, details);
        Ok(self.take(who, revoke, now).await?.1)
    }

    /// What is revoked as of now, for the hosts that trust these keys.
    pub async fn revoked(
        &self,
        keys: &KeySet,
        now: Timestamp,
    ) -> Result<RevocationList, LedgerError> {
        let read = move |connection: &Connection| {
            let bundle = records::head(connection)?.bundle;
            let rows = revocations::in_force(connection, now.minus(GRACE))?;
            Ok((bundle, rows))
        };
        let (bundle, rows) = self.store.read(read).await?;
        Ok(revoked_list(&rows, keys, bundle, now))
    }

    /// Lets a person (by their canonical key) or a role have certificates again.
    pub(crate) async fn unlock(
        &self,
        used: RightUsed<'_>,
        (kind, value): (LockKind, String),
        target: &Target,
        reason: &str,
    ) -> Result<(), LedgerError> {
        let (who, draft) = self.by(Kind::Unlocked, &used);
        let details = Value::Object(told(target, reason, used.source));
        let draft = draft
            .fact("target", name(target))
            .part(self.part(PartName::Details, &details)?);
        let draft = match target {
            Target::Role(role) => draft.fact("role", role.as_str()),
            _ => draft,
        };
        let entry = draft.finish()?;
        let work = Work::Unlock(Box::new(Unlock { kind, value, entry }));
        self.write(used.now, Class::Issuing, who, work).await?;
        Ok(())
    }

    /// Whether a person, one of their keys, or the role is locked: what the one door asks. The writer
    /// asks again.
    pub(crate) fn not_locked(
        &self,
        login: &LiveLogin,
        role: Option<&str>,
    ) -> Result<(), LedgerError> {
        let locks = self.writer.locks();
        let certified = login.certified_key.fingerprint();
        let key = login.key.to_string();
        let asked = [
            (LockKind::User, Some(login.identity.person.as_str())),
            (LockKind::Key, Some(key.as_str())),
            (LockKind::Key, Some(certified.as_str())),
            (LockKind::Role, role),
        ];
        for (kind, value) in asked {
            if value.is_some_and(|value| locks.holds(kind, value)) {
                return Err(LedgerError::Locked { kind });
            }
        }
        Ok(())
    }

    /// Records that a lock refused somebody, before they are told.
    pub(crate) async fn record_locked(
        &self,
        who: &IdentityFacts,
        error: &LedgerError,
        request: &str,
        source: Option<IpAddr>,
        now: Timestamp,
    ) {
        self.denied(who, error, request, source, now).await;
    }

    async fn take(
        &self,
        who: Who,
        revoke: Revoke,
        now: Timestamp,
    ) -> Result<(u64, Touched), LedgerError> {
        let work = Work::Revoke(Box::new(revoke));
        let outcome = self.write(now, Class::Ending, who, work).await?;
        match (outcome.index, outcome.touched) {
            (Some(index), Some(touched)) => Ok((index, *touched)),
            _ => Err(LedgerError::Stopped),
        }
    }

    fn draft_of(
        &self,
        taken: Taken,
        reason: &str,
        draft: Draft,
        details: Map<String, Value>,
    ) -> Revoke {
        Revoke {
            taken,
            reason: clip(reason),
            draft,
            details,
            seed: entropy::bytes(&mut *guard(&self.rng)),
        }
    }

    /// A record of what somebody did with a right. It is found by whom it is about, and so names who
    /// did it as a fact.
    fn by(&self, kind: Kind, used: &RightUsed<'_>) -> (Who, Draft) {
        let draft = self.draft(kind, used.now).fact("request", used.request);
        match used.actor {
            Actor::Local { uid } => (Who::Nobody, draft.fact("by", format!("local:{uid}"))),
            Actor::Login(login) => (
                Who::Login {
                    login: login.clone(),
                    username: None,
                },
                draft.fact("by", format!("login:{}", login.id)),
            ),
        }
    }
}

fn told(target: &Target, reason: &str, source: Option<IpAddr>) -> Map<String, Value> {
    Map::from_iter([
        ("reason".to_owned(), json!(clip(reason))),
        ("source".to_owned(), json!(source)),
        ("target".to_owned(), json!(target)),
    ])
}

/// As the request has it.
pub(crate) fn name(target: &Target) -> &'static str {
    match target {
        Target::User(_) => "user",
        Target::Login(_) => "login",
        Target::Serial(_) => "serial",
        Target::Role(_) => "role",
        Target::Host(_) => "host",
        Target::Key(_) => "key",
    }
}
