//! A host joins, or asks for certificates again. In: a key that signed this very request, and what the
//! host asks for. Out: certificates that are in the ledger, and the first bundle.
//!
//! The steps are those of a person's exchange: possession, may it, the bytes, the record, the
//! signature. The record asks once more, in the transaction that enrols.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::PoisonError;

use jit_ssh_api::host::{
    ENROLMENT_NAMESPACE, Enrolment, EnrolmentRequest, HostCertificate as Told, HostCertificates,
    HostKey, HostReport, enrolment_message, is_label,
};
use ssh_key::{PublicKey, SshSig};

use super::{HostError, HostRefusal, bundle, invitation, new_id};
use crate::certificate::{
    AcceptedKey, CertificateToSign, Host, HostCertificate, HostName, MAX_HOST_VALIDITY,
};
use crate::http::proof::ProvenKey;
use crate::ledger::{Enrols, HostContext, HostRecord, Recorded};
use crate::login::KeyHash;
use crate::server::state::{Snapshot, State};
use crate::signer::Keyring;
use crate::store::hosts::{self, HostKeyRow, HostRow};
use crate::time::Timestamp;

/// Who asks for what.
pub(crate) struct EnrolInput<'a> {
    /// The first host key; it signed the request.
    pub(crate) key: &'a ProvenKey,
    /// What it asks.
    pub(crate) request: EnrolmentRequest,
    /// Where the request came from.
    pub(crate) source: Option<IpAddr>,
    /// As the log has it.
    pub(crate) request_id: &'a str,
    /// Now.
    pub(crate) now: Timestamp,
}

/// Enrols a host.
pub(crate) async fn enrol(
    state: &State,
    snapshot: &Snapshot,
    input: EnrolInput<'_>,
) -> Result<Enrolment, HostError> {
    let EnrolInput {
        key,
        request,
        source,
        request_id,
        now,
    } = input;
    // 1. Possession: the request by the first key, the enrolment by each.
    let keys = proven(state, snapshot, key, &request)?;
    let names = exact(&request.names)?;
    let report = bounded(request.report)?;
    // 2. The invitation; asked again when it is used.
    let token = invitation::token_hash(&request.token).ok_or(HostRefusal::NoInvitation)?;
    let row = state
        .ledger
        .store()
        .read(move |connection| hosts::invitation(connection, &token))
        .await?
        .ok_or(HostRefusal::NoInvitation)?;
    invitation::judge(&row, &request.names, source, now)?;
    // 3. Who it is: one that came before, with the same first key, is the same host.
    let first = KeyHash::of(key.key().public_key());
    let known = state.ledger.hosts().by_first_key(&first.0);
    let (id, labels, enrolled) = match &known {
        Some(known) => (known.id.clone(), known.labels.clone(), known.enrolled),
        None => {
            let mut rng = state.rng.lock().unwrap_or_else(PoisonError::into_inner);
            (new_id(&mut *rng).to_string(), row.labels.clone(), now)
        }
    };
    if let Some(known) = &known {
        not_too_often(state, known, now)?;
    }
    // 4. The certificates, without signatures.
    let trusted = state.trusted.load_full();
    let keyring = &trusted.keyring;
    let certificates = certificates(state, keyring, &id, &names, &keys, now)?;
    let key_rows = keys.iter().map(|key| HostKeyRow {
        hash: KeyHash::of(key.public_key()).0,
        blob: key.blob().to_vec(),
    });
    let host = HostRow {
        number: 0,
        id: id.clone(),
        names: request.names,
        labels,
        invitation: row.number,
        enrolled,
        record: 0,
        certificate_ends: ends(&certificates),
        report: report.clone(),
        seen: now,
        bundle: None,
        revoked: None,
        keys: key_rows.collect(),
    };
    // 5. The record: exactly these bytes, in one transaction with the enrolment.
    let context = HostContext {
        what: HostRecord::Enrols(Box::new(Enrols {
            token,
            host,
            again: known.is_some(),
        })),
        request: request_id,
        source,
        now,
    };
    let recorded = match state.ledger.record_host(certificates, context).await {
        Ok(recorded) => recorded,
        Err(error) => {
            let error = HostError::from(error);
            notice_clone(state, &error, source, request_id, now).await?;
            return Err(error);
        }
    };
    state.ledger.hosts().report(&id, report, now);
    // 6. The signatures, and what to trust from now on.
    let certificates = sign(state, keyring, recorded, now).await?;
    Ok(Enrolment {
        certificates,
        bundle: bundle::make(state, &id, now).await?,
        host: id,
    })
}

/// New certificates for the keys and names that are enrolled.
pub(crate) async fn renew(
    state: &State,
    snapshot: &Snapshot,
    host: &HostRow,
    (source, request_id): (Option<IpAddr>, &str),
    now: Timestamp,
) -> Result<HostCertificates, HostError> {
    not_too_often(state, host, now)?;
    let names = exact(&host.names)?;
    let mut keys = Vec::new();
    for key in &host.keys {
        let public = PublicKey::from_bytes(&key.blob)
            .map_err(|_| HostError::NoHostKey(KeyHash(key.hash).to_string()))?;
        keys.push(accepted(snapshot, &public)?);
    }
    let trusted = state.trusted.load_full();
    let keyring = &trusted.keyring;
    let certificates = certificates(state, keyring, &host.id, &names, &keys, now)?;
    let context = HostContext {
        what: HostRecord::Renews {
            host: host.id.clone(),
        },
        request: request_id,
        source,
        now,
    };
    let recorded = state.ledger.record_host(certificates, context).await?;
    Ok(HostCertificates {
        certificates: sign(state, keyring, recorded, now).await?,
    })
}

/// Every certificate stays in the ledger for ever: a host that was broken into must not fill the disk
/// (A87).
fn not_too_often(state: &State, host: &HostRow, now: Timestamp) -> Result<(), HostError> {
    let counted = state
        .host_certificates
        .count(&host.id, CERTIFICATES_PER_DAY, now);
    counted.map_err(|wait| HostError::TooMany { wait })
}

/// The keys of a request, each proven: the first one signed the request, and each the enrolment.
fn proven(
    state: &State,
    snapshot: &Snapshot,
    key: &ProvenKey,
    request: &EnrolmentRequest,
) -> Result<Vec<AcceptedKey>, HostError> {
    let wrong = |what: &str| HostError::Request(what.to_owned());
    let first = request
        .keys
        .first()
        .ok_or_else(|| wrong("a host has at least one key"))?;
    if request.keys.len() > MAX_KEYS {
        return Err(HostError::Request(format!(
            "a host has {MAX_KEYS} keys at most"
        )));
    }
    let message = enrolment_message(
        &snapshot.config.name,
        state.ledger.epoch(),
        &request.token,
        &first.public_key,
    );
    let mut seen = HashSet::new();
    let mut keys = Vec::new();
    for (
        place,
        HostKey {
            public_key,
            signature,
        },
    ) in request.keys.iter().enumerate()
    {
        let accepted = AcceptedKey::parse(public_key).map_err(|cause| HostError::Key {
            key: format!("number {}", place.saturating_add(1)),
            cause,
        })?;
        let accepted = self::accepted(snapshot, accepted.public_key())?;
        let fingerprint = accepted.fingerprint();
        if place == 0 && accepted.blob() != key.key().blob() {
            return Err(wrong("the first key of a host signs its requests"));
        }
        if !seen.insert(fingerprint.clone()) {
            return Err(wrong("a host has each key once"));
        }
        if is_of_ca(state, &accepted) {
            return Err(HostError::NoHostKey(fingerprint));
        }
        let signed = signature.parse::<SshSig>().is_ok_and(|signature| {
            crate::signer::verify::verify_sshsig(
                accepted.public_key(),
                ENROLMENT_NAMESPACE,
                message.as_bytes(),
                &signature,
            )
            .is_ok()
        });
        if !signed {
            return Err(HostError::KeyProof(fingerprint));
        }
        keys.push(accepted);
    }
    Ok(keys)
}

/// A key that may be a host's: none of a security key, which no sshd can use for that.
fn accepted(snapshot: &Snapshot, public: &PublicKey) -> Result<AcceptedKey, HostError> {
    let refused = |cause| HostError::Key {
        key: public.fingerprint(ssh_key::HashAlg::Sha256).to_string(),
        cause,
    };
    let key = AcceptedKey::new(public).map_err(refused)?;
    key.fits(snapshot.config.profile).map_err(refused)?;
    if key.name().starts_with("sk-") {
        return Err(HostError::NoHostKey(key.fingerprint()));
    }
    Ok(key)
}

/// A key of the CA's own has its one job already (A37), whatever its state.
fn is_of_ca(state: &State, key: &AcceptedKey) -> bool {
    let trusted = state.trusted.load();
    let set = &trusted.key_set.set;
    let identity = trusted.keyring.identity().key_data() == key.public_key().key_data();
    let listed = set.keys.iter().map(|key| &key.public_key);
    let emergency = set.emergency.iter();
    identity
        || listed.chain(emergency).any(|line| {
            line.parse::<PublicKey>()
                .is_ok_and(|of_ca| of_ca.key_data() == key.public_key().key_data())
        })
}

/// Exact names, each once.
fn exact(names: &[String]) -> Result<Vec<HostName>, HostError> {
    if names.is_empty() || names.len() > MAX_NAMES {
        return Err(HostError::Request(format!(
            "a host has 1 to {MAX_NAMES} names"
        )));
    }
    let each: HashSet<&String> = names.iter().collect();
    if each.len() != names.len() {
        return Err(HostError::Request("a host has each name once".to_owned()));
    }
    let parsed = names.iter().map(|name| HostName::parse(name));
    parsed
        .collect::<Result<_, _>>()
        .map_err(|error| HostError::Request(error.to_string()))
}

/// What a host says of itself, if it is small: it is kept in memory.
pub(crate) fn bounded(report: HostReport) -> Result<HostReport, HostError> {
    let fits = |text: &str, most: usize| text.len() <= most && !text.contains(char::is_control);
    let findings = report
        .findings
        .iter()
        .all(|finding| is_label(&finding.check) && fits(&finding.detail, 500));
    if fits(&report.openssh, 100)
        && fits(&report.version, 100)
        && report.findings.len() <= MAX_FINDINGS
        && findings
    {
        return Ok(report);
    }
    Err(HostError::Request(format!(
        "a report has versions of 100 bytes and {MAX_FINDINGS} findings of 500 bytes at most, \
         without control characters"
    )))
}

fn certificates(
    state: &State,
    keyring: &Keyring,
    id: &str,
    names: &[HostName],
    keys: &[AcceptedKey],
    now: Timestamp,
) -> Result<Vec<CertificateToSign<Host>>, HostError> {
    let ca = keyring.host_ca()?.public_key();
    let mut rng = state.rng.lock().unwrap_or_else(PoisonError::into_inner);
    let each = keys.iter().map(|key| {
        let ask = HostCertificate {
            id,
            names,
            key,
            validity: MAX_HOST_VALIDITY,
            ca,
            now,
        };
        CertificateToSign::host(&ask, &mut *rng)
    });
    Ok(each.collect::<Result<_, _>>()?)
}

/// When the first of them ends.
fn ends(certificates: &[CertificateToSign<Host>]) -> Timestamp {
    let ends = certificates.iter().map(CertificateToSign::valid_before);
    Timestamp::from_seconds(ends.min().unwrap_or_default())
}

/// Signs what was recorded.
async fn sign(
    state: &State,
    keyring: &Keyring,
    recorded: Vec<Recorded<Host>>,
    now: Timestamp,
) -> Result<Vec<Told>, HostError> {
    let ca = keyring.host_ca()?;
    let mut told = Vec::new();
    for recorded in recorded {
        let (index, serial) = (recorded.index(), recorded.certificate().serial());
        match ca.sign(recorded) {
            Ok(issued) => told.push(Told {
                certificate: issued.line().to_owned(),
                serial: serial.to_string(),
                valid_before: issued.certificate().valid_before(),
            }),
            Err(error) => {
                let reason = error.to_string();
                state
                    .ledger
                    .record_signing_failed(index, serial, &reason, now)
                    .await?;
                return Err(error.into());
            }
        }
        state.metrics.host_certified();
    }
    Ok(told)
}

/// Somebody came with a name or a key of a living host: an operator must hear of it (A60).
async fn notice_clone(
    state: &State,
    error: &HostError,
    source: Option<IpAddr>,
    request: &str,
    now: Timestamp,
) -> Result<(), HostError> {
    let HostError::Ledger(crate::ledger::LedgerError::Host(refusal)) = error else {
        return Ok(());
    };
    let Some(host) = refusal.cloned() else {
        return Ok(());
    };
    record_clone(state, host, &refusal.to_string(), source, request, now).await
}

/// On record, but not for ever again: whoever asks in a loop is the same clone.
pub(crate) async fn record_clone(
    state: &State,
    host: &str,
    why: &str,
    source: Option<IpAddr>,
    request: &str,
    now: Timestamp,
) -> Result<(), HostError> {
    tracing::warn!(host, why, request, "a host seems to be there twice");
    state.metrics.clone_noticed();
    if state.clones.count(host, CLONES_PER_DAY, now).is_ok() {
        state
            .ledger
            .record_clone(host, why, source, request, now)
            .await?;
    }
    Ok(())
}

const MAX_KEYS: usize = 8;
const MAX_NAMES: usize = 16;
const MAX_FINDINGS: usize = 50;
const CERTIFICATES_PER_DAY: u32 = 48;
const CLONES_PER_DAY: u32 = 24;
