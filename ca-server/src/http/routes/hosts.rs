//! Hosts: invitations and lists for those with the right, what a host asks for itself, and the hosts
//! that a person may reach.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jit_ssh_api::host::{
    BundleQuery, EnrolmentRequest, HostList, HostQuery, HostRenewal, HostReport, HostRole,
    Invitation, InvitationEntry, InvitationList, InvitationRequest, LabelsRequest, Reachable,
    ReachableHost, Withdrawn,
};
use jit_ssh_api::key_set::Purpose;
use jit_ssh_api::problem::Kind;
use jit_ssh_api::revocation::Revocation;
use serde_json::json;

use crate::host::enrolment::{self, EnrolInput};
use crate::host::{HostRefusal, bundle, invitation, new_id};
use crate::http::problem::Failure;
use crate::http::{Answer, Call, ok, query, strict};
use crate::issue;
use crate::ledger::{Class, HostRevoked};
use crate::login::LoginId;
use crate::store::hosts::{self, HostRow, InvitationRow};

/// `POST /v1/admin/invitations`.
pub(super) async fn invite(call: &Call) -> Result<Answer, Failure> {
    let request: InvitationRequest = strict::parse_with_lists(&call.body)?;
    invitation::check(&request).map_err(|what| bad(&what))?;
    let (id, token) = {
        let mut rng = call
            .state
            .rng
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        (new_id(&mut *rng), invitation::new_token(&mut *rng))
    };
    let hash = invitation::token_hash(&token)
        .ok_or_else(|| Failure::internal("a token of ours is none"))?;
    let expires = call.now.plus(Duration::from_secs(request.valid_seconds));
    let used = call.used("host-invite", json!(request))?;
    let row = InvitationRow {
        number: 0,
        id: id.0,
        token: hash,
        names: request.names,
        labels: request.labels,
        networks: request.from,
        uses: request.uses,
        made: 0,
        expires,
        withdrawn: None,
    };
    call.state.ledger.invite(used, row).await?;
    ok(&Invitation {
        id: id.to_string(),
        token,
        expires: expires.seconds(),
    })
}

/// `GET /v1/admin/invitations`.
pub(super) async fn invitations(call: &Call) -> Result<Answer, Failure> {
    no_query(call)?;
    call.record_admin(Class::Ordinary, "invitation-list", json!(null))
        .await?;
    let now = call.now;
    let store = call.state.ledger.store();
    let rows = store
        .read(move |connection| hosts::invitations(connection, now))
        .await
        .map_err(crate::ledger::LedgerError::from)?;
    let told = rows.into_iter().map(|row| InvitationEntry {
        id: LoginId(row.id).to_string(),
        names: row.names,
        labels: row.labels,
        uses: row.uses,
        from: row.networks,
        expires: row.expires.seconds(),
    });
    ok(&InvitationList {
        invitations: told.collect(),
    })
}

/// `DELETE /v1/admin/invitations/{id}`.
pub(super) async fn withdraw(call: &Call) -> Result<Answer, Failure> {
    let missing = || {
        Failure::new(
            Kind::NotFound,
            "There is no such invitation.",
            "`jit-ssh-ca host invitations` shows them all.",
        )
    };
    let id = call
        .id
        .as_deref()
        .and_then(LoginId::parse)
        .ok_or_else(missing)?;
    let used = call.used("invitation-withdraw", json!(null))?;
    if !call.state.ledger.withdraw(used, id.0).await? {
        return Err(missing());
    }
    ok(&Withdrawn { id: id.to_string() })
}

/// `POST /v1/hosts`.
pub(super) async fn enrol(call: &Call) -> Result<Answer, Failure> {
    let request: EnrolmentRequest = strict::parse_with_lists(&call.body)?;
    let input = EnrolInput {
        key: call.key()?,
        request,
        source: call.source(),
        request_id: &call.request_id,
        now: call.now,
    };
    let enrolled = enrolment::enrol(&call.state, &call.snapshot, input).await;
    if enrolled.is_err() {
        call.state.ledger.count_refused("enrolment", call.now);
    }
    ok(&enrolled?)
}

/// `POST /v1/hosts/self/certificates`.
pub(super) async fn certificates(call: &Call) -> Result<Answer, Failure> {
    let HostRenewal {} = strict::parse(&call.body)?;
    let from = (call.source(), call.request_id.as_str());
    ok(&enrolment::renew(&call.state, &call.snapshot, call.host()?, from, call.now).await?)
}

/// `GET /v1/hosts/self/bundle`: at once if the host has another one, else when there is another one,
/// when its time is up, when the CA stops, when another request of this host comes, or when the host is
/// revoked.
pub(super) async fn bundle(call: &Call) -> Result<Answer, Failure> {
    let mut wanted = BundleQuery::default();
    for (name, value) in query::pairs(&call.query)? {
        let number = query::number(&name, &value)?;
        match name.as_str() {
            "epoch" => wanted.epoch = Some(number),
            "number" => wanted.number = Some(number),
            "wait" => wanted.wait = Some(number),
            _ => return Err(query::unknown(&name)),
        }
    }
    let (state, id) = (&call.state, call.host()?.id.clone());
    let watch = state.ledger.hosts();
    let mut newest = state.ledger.bundles();
    let number = newest.borrow_and_update().number;
    let held = wanted
        .number
        .filter(|held| wanted.epoch == Some(state.ledger.epoch()) && *held <= number);
    if let Some(held) = held {
        watch.receipt(&id, held, call.now);
    }
    if held == Some(number) {
        let wait = Duration::from_secs(wanted.wait.unwrap_or_default()).min(LONGEST_WAIT);
        let mut stopping = state.stopping.subscribe();
        let Some(mut hold) = watch.hold(&id, call.source(), call.now) else {
            return Err(unknown(&id));
        };
        if hold.cloned {
            let why = "two machines ask as this host at once";
            let request = &call.request_id;
            enrolment::record_clone(state, &id, why, call.source(), request, call.now).await?;
        }
        if !*stopping.borrow_and_update() {
            tokio::select! {
                _ = newest.changed() => {}
                _ = stopping.changed() => {}
                _ = &mut hold.over => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
    if watch.find(&id).is_none() {
        return Err(unknown(&id));
    }
    ok(&bundle::make(state, &id, state.now()).await?)
}

/// `POST /v1/hosts/self/report`.
pub(super) fn report(call: &Call) -> Result<Answer, Failure> {
    let report: HostReport = strict::parse_with_lists(&call.body)?;
    let report = enrolment::bounded(report)?;
    let host = call.host()?;
    call.state
        .ledger
        .hosts()
        .report(&host.id, report.clone(), call.now);
    ok(&report)
}

/// `GET /v1/hosts`: by the policy and the person's identity of now.
pub(super) fn reachable(call: &Call) -> Result<Answer, Failure> {
    no_query(call)?;
    let login = call.login()?;
    let policy = &call.snapshot.policy;
    let mine = issue::roles(&call.snapshot, login, call.source(), call.now);
    let mine: Vec<_> = mine
        .roles
        .iter()
        .filter(|role| role.refused.is_none())
        .filter_map(|role| Some((policy.role(&role.name)?, role)))
        .collect();
    let mut living = call.state.ledger.hosts().in_force();
    living.sort_by(|one, other| one.names.cmp(&other.names));
    let reached = living.iter().filter_map(|host| {
        let roles: Vec<HostRole> = mine
            .iter()
            .filter(|(role, _)| role.is_for_host(&host.labels))
            .map(|(_, told)| HostRole {
                role: told.name.clone(),
                accounts: told.accounts.clone(),
            })
            .collect();
        (!roles.is_empty()).then(|| ReachableHost {
            names: host.names.clone(),
            roles,
        })
    });
    let trusted = call.state.trusted.load();
    let keys = trusted.key_set.set.trusted(Purpose::HostCa);
    ok(&Reachable {
        hosts: reached.collect(),
        host_ca: keys.into_iter().map(|key| key.public_key.clone()).collect(),
    })
}

/// `GET /v1/admin/hosts`.
pub(super) async fn list(call: &Call) -> Result<Answer, Failure> {
    let mut wanted = HostQuery::default();
    for (name, value) in query::pairs(&call.query)? {
        match name.as_str() {
            "all" => wanted.all = query::flag(&name, &value)?,
            "name" => wanted.name = Some(value),
            _ => return Err(query::unknown(&name)),
        }
    }
    call.record_admin(Class::Ordinary, "host-list", json!(wanted))
        .await?;
    let watch = call.state.ledger.hosts();
    let mut rows = watch.living();
    if wanted.all {
        let store = call.state.ledger.store();
        let all = store
            .read(|connection| hosts::all(connection, false))
            .await
            .map_err(crate::ledger::LedgerError::from)?;
        let revoked = all.into_iter().filter(|row| row.revoked.is_some());
        rows.extend(revoked.map(Arc::new));
    }
    if let Some(name) = &wanted.name {
        rows.retain(|row| row.names.contains(name));
    }
    rows.sort_by(|one, other| (&one.names, one.number).cmp(&(&other.names, other.number)));
    let newest = call.state.ledger.bundles().borrow().number;
    ok(&HostList {
        hosts: rows.iter().map(|row| watch.to_api(row, newest)).collect(),
    })
}

/// `GET /v1/admin/hosts/{id}`.
pub(super) async fn show(call: &Call) -> Result<Answer, Failure> {
    no_query(call)?;
    let id = id(call)?;
    call.record_admin(Class::Ordinary, "host-show", json!({ "host": id }))
        .await?;
    told(call, id).await
}

/// `DELETE /v1/admin/hosts/{id}`.
pub(super) async fn revoke(call: &Call) -> Result<Answer, Failure> {
    let id = id(call)?;
    let used = call.used("host-revoke", json!({ "host": id }))?;
    revoked(&call.state.ledger.revoke_host(used, id).await?)
}

/// What was taken away with a host.
pub(super) fn revoked(revoked: &HostRevoked) -> Result<Answer, Failure> {
    ok(&Revocation {
        record: revoked.record,
        bundle: revoked.bundle.number,
        changed_ms: revoked.bundle.changed.millis(),
        certificates: revoked.serials.iter().map(u64::to_string).collect(),
        logins: Vec::new(),
        locked: false,
    })
}

/// `POST /v1/admin/hosts/{id}/labels`.
pub(super) async fn label(call: &Call) -> Result<Answer, Failure> {
    let request: LabelsRequest = strict::parse(&call.body)?;
    invitation::check_labels(&request.labels).map_err(|what| bad(&what))?;
    let id = id(call)?;
    let used = call.used(
        "host-label",
        json!({ "host": id, "labels": request.labels }),
    )?;
    call.state
        .ledger
        .label_host(used, id, request.labels)
        .await?;
    told(call, id).await
}

async fn told(call: &Call, id: &str) -> Result<Answer, Failure> {
    let watch = call.state.ledger.hosts();
    let newest = call.state.ledger.bundles().borrow().number;
    let row = match watch.find(id) {
        Some(row) => Some(row),
        None => stored(call, id.to_owned()).await?.map(Arc::new),
    };
    let row = row.ok_or_else(|| Failure::from(HostRefusal::Unknown(id.to_owned())))?;
    ok(&watch.to_api(&row, newest))
}

async fn stored(call: &Call, id: String) -> Result<Option<HostRow>, Failure> {
    let store = call.state.ledger.store();
    let row = store
        .read(move |connection| hosts::by_id(connection, &id))
        .await
        .map_err(crate::ledger::LedgerError::from)?;
    Ok(row)
}

fn id(call: &Call) -> Result<&str, Failure> {
    call.id
        .as_deref()
        .ok_or_else(|| Failure::internal("a route without an identifier asked for it"))
}

fn no_query(call: &Call) -> Result<(), Failure> {
    match query::pairs(&call.query)?.keys().next() {
        None => Ok(()),
        Some(name) => Err(query::unknown(name)),
    }
}

fn unknown(id: &str) -> Failure {
    Failure::new(
        Kind::HostUnknown,
        format!("The host {id} was revoked."),
        "Enrol it again, with a new invitation, if it is to come back.",
    )
}

fn bad(what: &str) -> Failure {
    Failure::new(
        Kind::BadRequest,
        format!("That cannot be: {what}."),
        "See docs/hosts.md.",
    )
}

/// Less than the idle limits of usual proxies.
const LONGEST_WAIT: Duration = Duration::from_secs(55);
