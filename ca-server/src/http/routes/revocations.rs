//! Taking access away, giving it back, and who heard of it.

use jit_ssh_api::problem::Kind;
use jit_ssh_api::revocation::{Lock, Locks, Revocation, RevocationRequest, Target, UnlockRequest};
use serde_json::{Value, json};
use ssh_key::{Fingerprint, PublicKey};

use super::hosts;
use crate::host::HostRefusal;
use crate::http::problem::Failure;
use crate::http::{Answer, Call, ok, query, strict};
use crate::ledger::{Class, LedgerError, Taken};
use crate::login::{KeyHash, LoginId, search};
use crate::revocation::lock::{self, LockKind};
use crate::time::Timestamp;

/// `POST /v1/admin/revocations`.
pub(super) async fn post(call: &Call) -> Result<Answer, Failure> {
    let RevocationRequest { target, reason } = strict::parse(&call.body)?;
    with_reason(&reason)?;
    if let Target::Host(host) = &target {
        return revoke_host(call, host, &reason).await;
    }
    let taken = taken(call, &target).await?;
    let used = call.used("revoke", Value::Null)?;
    let (record, touched) = call
        .state
        .ledger
        .revoke(used, taken, &target, &reason)
        .await?;
    ok(&Revocation {
        record,
        bundle: touched.bundle.number,
        changed_ms: touched.bundle.changed.millis(),
        certificates: touched.certificates.iter().map(u64::to_string).collect(),
        logins: touched.logins.iter().map(LoginId::to_string).collect(),
        locked: touched.locked,
    })
}

/// `POST /v1/admin/unlock`.
pub(super) async fn unlock(call: &Call) -> Result<Answer, Failure> {
    let UnlockRequest { target, reason } = strict::parse(&call.body)?;
    with_reason(&reason)?;
    let locks = call.state.ledger.store().read(lock::known).await;
    let locks = locks.map_err(LedgerError::from)?;
    let mut found: Vec<lock::Known> = match &target {
        Target::User(name) => locks.into_iter().filter(|it| it.is_of(name)).collect(),
        Target::Role(role) => locks
            .into_iter()
            .filter(|it| it.row.kind == LockKind::Role && it.row.value == *role)
            .collect(),
        Target::Key(_) => return Err(for_ever()),
        Target::Login(_) | Target::Serial(_) | Target::Host(_) => {
            return Err(Failure::new(
                Kind::BadRequest,
                "Only a person and a role can be unlocked.",
                "What was revoked stays revoked: a new login or certificate takes its place.",
            ));
        }
    };
    let Some(lock) = found.pop() else {
        return Err(Failure::new(
            Kind::NotFound,
            "Nobody is locked by that name, and no such role is.",
            "`jit-ssh-ca lock list` shows who and what is.",
        ));
    };
    // A name that two people go by must not unlock the one who was not meant.
    if !found.is_empty() {
        return Err(Failure::new(
            Kind::Conflict,
            "More than one locked person has that name.",
            "Name one by the PERSON that `jit-ssh-ca lock list` shows.",
        ));
    }
    let used = call.used("unlock", Value::Null)?;
    let which = (lock.row.kind, lock.row.value.clone());
    call.state
        .ledger
        .unlock(used, which, &target, &reason)
        .await?;
    ok(&Locks {
        locks: vec![shown(lock)],
    })
}

/// `GET /v1/admin/locks`.
pub(super) async fn locks(call: &Call) -> Result<Answer, Failure> {
    call.record_admin(Class::Ordinary, "lock-list", Value::Null)
        .await?;
    let locks = call.state.ledger.store().read(lock::known).await;
    let locks = locks.map_err(LedgerError::from)?;
    ok(&Locks {
        locks: locks.into_iter().map(shown).collect(),
    })
}

/// `GET /v1/admin/receipts`: who has a bundle now. Says nothing of people, and is asked again and again
/// within seconds: it leaves no record.
pub(super) async fn receipts(call: &Call) -> Result<Answer, Failure> {
    let (mut bundle, mut changed) = (None, None);
    for (name, value) in query::pairs(&call.query)? {
        match name.as_str() {
            "changed_ms" => changed = Some(query::number(&name, &value)?),
            "bundle" => bundle = Some(query::number(&name, &value)?),
            _ => return Err(query::unknown(&name)),
        }
    }
    let bundle = bundle.ok_or_else(|| {
        Failure::new(
            Kind::BadRequest,
            "The number of a bundle is missing.",
            "`bundle` is what the answer to a revocation has.",
        )
    })?;
    let newest = *call.state.ledger.bundles().borrow();
    let changed = changed.map_or(newest.changed, Timestamp::from_millis);
    let hosts = call.state.ledger.hosts();
    ok(&hosts.receipts(bundle, changed, call.now))
}

async fn revoke_host(call: &Call, host: &str, reason: &str) -> Result<Answer, Failure> {
    let ledger = &call.state.ledger;
    let Some(row) = ledger.hosts().find(host) else {
        return Err(HostRefusal::Unknown(host.chars().take(253).collect()).into());
    };
    let used = call.used("revoke", json!({ "host": row.id, "reason": reason }))?;
    hosts::revoked(&ledger.revoke_host(used, &row.id).await?)
}

fn shown(lock: lock::Known) -> Lock {
    let lock::Known { row, names } = lock;
    Lock {
        target: match row.kind {
            LockKind::User => Target::User(row.value),
            LockKind::Role => Target::Role(row.value),
            LockKind::Key => Target::Key(row.value),
        },
        names,
        since: row.since.seconds(),
        reason: row.reason,
    }
}

fn with_reason(reason: &str) -> Result<(), Failure> {
    if reason.trim().is_empty() {
        return Err(Failure::new(
            Kind::BadRequest,
            "A reason is missing.",
            "Say in a few words why: it stays in the ledger.",
        ));
    }
    Ok(())
}

/// What is meant, as the store knows it.
async fn taken(call: &Call, target: &Target) -> Result<Taken, Failure> {
    match target {
        Target::User(name) => people(call, name).await.map(Taken::People),
        Target::Login(id) => LoginId::parse(id).map(Taken::Login).ok_or_else(|| {
            Failure::new(
                Kind::NotFound,
                "There is no such login.",
                "`jit-ssh-ca login list` shows them all.",
            )
        }),
        // As certificates have it, and written one way.
        Target::Serial(text) => match text.parse::<u64>() {
            Ok(serial) if serial.to_string() == *text && i64::try_from(serial).is_ok() => {
                Ok(Taken::Serial(serial))
            }
            _ => Err(LedgerError::NotThere {
                what: "certificate of this CA with the serial",
                which: text.chars().take(50).collect(),
            }
            .into()),
        },
        Target::Role(name) => Ok(Taken::Role {
            name: name.clone(),
            known: call.snapshot.policy.role(name).is_some(),
        }),
        Target::Host(host) => Err(HostRefusal::Unknown(host.clone()).into()),
        Target::Key(text) => key(call, text),
    }
}

/// Everybody of that name: who is signed in, who signed in lately, whose the name is.
async fn people(call: &Call, name: &str) -> Result<Vec<i64>, Failure> {
    let (name, now) = (name.to_owned(), call.now);
    let people = call.state.ledger.store().read(move |connection| {
        let mut people = search::people(connection, &name, Some(now))?;
        people.extend(search::people(connection, &name, None)?);
        people.sort_unstable();
        people.dedup();
        Ok(people)
    });
    let people = people.await.map_err(LedgerError::from)?;
    if people.is_empty() {
        return Err(Failure::new(
            Kind::NotFound,
            "Nobody is known by that name.",
            "The CA knows whoever signed in once: `jit-ssh-ca login list --all` shows them. Keep \
             others out at the identity provider or in the policy.",
        ));
    }
    Ok(people)
}

/// A fingerprint. Not of a key of the CA: every certificate of it would be refused by every host.
fn key(call: &Call, text: &str) -> Result<Taken, Failure> {
    let parsed = text.parse::<Fingerprint>().ok();
    let Some(hash) = parsed.and_then(Fingerprint::sha256) else {
        return Err(Failure::new(
            Kind::BadRequest,
            "That is not the fingerprint of a key.",
            "Write it as `ssh-keygen -l` does: SHA256:… .",
        ));
    };
    let key = KeyHash(hash);
    let trusted = call.state.trusted.load_full();
    let own = trusted
        .key_set
        .set
        .keys
        .iter()
        .filter_map(|key| key.public_key.parse::<PublicKey>().ok())
        .any(|own| KeyHash::of(&own) == key);
    if own || KeyHash::of(trusted.keyring.identity()) == key {
        return Err(Failure::new(
            Kind::Conflict,
            "That is a key of the CA itself: without it nobody gets in anywhere.",
            "A key of the CA is replaced, and then taken out of the key set.",
        ));
    }
    Ok(Taken::Key(key))
}

fn for_ever() -> Failure {
    Failure::new(
        Kind::BadRequest,
        "A revoked key stays revoked.",
        "Make a new one: jit-ssh login does.",
    )
}
