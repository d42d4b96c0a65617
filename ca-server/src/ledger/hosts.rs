//! Records of hosts: who was invited, who enrolled as what, each host certificate's exact bytes, who
//! changed labels, what was revoked, and who seems to be there twice.

use std::net::IpAddr;

use jit_ssh_api::host::Labels;
use serde_json::json;

use super::record::{Hash, Kind, PartName};
use super::writer::host::{CertificateEntry, HostWork};
use super::{Class, Ledger, LedgerError, Recorded, RightUsed, Who, Work, clip};
use crate::certificate::{CertificateToSign, Host};
use crate::host::watch::{Seen, Watch};
use crate::store::BundleNumber;
use crate::store::hosts::{HostCertificateRow, HostRow, InvitationRow};
use crate::time::Timestamp;
use std::sync::Arc;

/// What a host's certificates are recorded with.
pub(crate) struct HostContext<'a> {
    /// For what.
    pub(crate) what: HostRecord,
    /// Request id.
    pub(crate) request: &'a str,
    /// Where the request came from.
    pub(crate) source: Option<IpAddr>,
    /// Now.
    pub(crate) now: Timestamp,
}

/// What a host does.
pub(crate) enum HostRecord {
    /// It joins, or joins again.
    Enrols(Box<Enrols>),
    /// It had certificates before.
    Renews {
        /// Which.
        host: String,
    },
}

/// A host that joins, as it would be.
#[derive(Clone, Debug)]
pub(crate) struct Enrols {
    /// SHA-256 of the invitation's secret.
    pub(crate) token: [u8; 32],
    /// Its row; the writer fills in what only the store knows.
    pub(crate) host: HostRow,
    /// It lives already.
    pub(crate) again: bool,
}

/// What a revocation of a host did.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostRevoked {
    /// Its record.
    pub(crate) record: u64,
    /// The bundle that carries it.
    pub(crate) bundle: BundleNumber,
    /// Serials of its certificates that were not over.
    pub(crate) serials: Vec<u64>,
}

impl Ledger {
    /// The hosts that live.
    pub fn hosts(&self) -> &Arc<Watch> {
        &self.hosts
    }

    /// An invitation is there from now on.
    pub(crate) async fn invite(
        &self,
        used: RightUsed<'_>,
        row: InvitationRow,
    ) -> Result<(), LedgerError> {
        let now = used.now;
        let (who, draft) = self.admin_as(Kind::HostInvited, &used)?;
        let entry = draft
            .fact("expires", row.expires.millis())
            .fact("invitation", crate::login::LoginId(row.id).to_string())
            .finish()?;
        let work = HostWork::Invite { row, entry };
        self.write(now, Class::Issuing, who, Work::Host(Box::new(work)))
            .await
            .map(drop)
    }

    /// An invitation counts no more; false if there is none of that identifier.
    pub(crate) async fn withdraw(
        &self,
        used: RightUsed<'_>,
        id: [u8; 16],
    ) -> Result<bool, LedgerError> {
        let now = used.now;
        let (who, draft) = self.admin(&used)?;
        let entry = draft
            .fact("invitation", crate::login::LoginId(id).to_string())
            .finish()?;
        let work = HostWork::Withdraw { id, entry };
        let outcome = self
            .write(now, Class::Ending, who, Work::Host(Box::new(work)))
            .await?;
        Ok(outcome.index.is_some())
    }

    /// Records the exact bytes of a host's certificates, with its enrolment if it joins; all of it is
    /// durable on return, or nothing is there.
    pub(crate) async fn record_host(
        &self,
        certificates: Vec<CertificateToSign<Host>>,
        context: HostContext<'_>,
    ) -> Result<Vec<Recorded<Host>>, LedgerError> {
        let HostContext {
            what,
            request,
            source,
            now,
        } = context;
        let host = match &what {
            HostRecord::Enrols(enrols) => enrols.host.id.clone(),
            HostRecord::Renews { host } => host.clone(),
        };
        let mut entries = Vec::new();
        for certificate in &certificates {
            let details = json!({
                "key": certificate.key_fingerprint(),
                "key_id": certificate.key_id(),
                "principals": certificate.principals(),
                "source": source,
            });
            let entry = self
                .draft(Kind::HostCertificate, now)
                .fact("ca_sha256", Hash::of(certificate.ca()).to_string())
                .fact("host", host.as_str())
                .fact("request", request)
                .fact("serial", certificate.serial().to_string())
                .fact(
                    "tbs_sha256",
                    Hash::of(certificate.to_be_signed()).to_string(),
                )
                .fact("valid_after", certificate.valid_after())
                .fact("valid_before", certificate.valid_before())
                .part(self.raw(PartName::ToBeSigned, certificate.to_be_signed().to_vec()))
                .part(self.part(PartName::Details, &details)?)
                .finish()?;
            entries.push(CertificateEntry {
                entry,
                row: HostCertificateRow {
                    serial: certificate.serial(),
                    ca: certificate.terms().ca.clone(),
                    ends: Timestamp::from_seconds(certificate.valid_before()),
                },
            });
        }
        let work = match what {
            HostRecord::Enrols(enrols) => {
                let details = json!({
                    "keys": certificates.iter().map(CertificateToSign::key_fingerprint).collect::<Vec<_>>(),
                    "labels": enrols.host.labels,
                    "names": enrols.host.names,
                    "report": enrols.host.report,
                    "source": source,
                });
                let entry = self
                    .draft(Kind::HostEnrolled, now)
                    .fact("again", enrols.again)
                    .fact("host", host.as_str())
                    .fact("request", request)
                    .part(self.part(PartName::Details, &details)?)
                    .finish()?;
                HostWork::Enrol {
                    enrols,
                    source,
                    entry,
                    certificates: entries,
                }
            }
            HostRecord::Renews { host } => HostWork::Renew {
                host,
                certificates: entries,
            },
        };
        let work = Work::Host(Box::new(work));
        let outcome = self.write(now, Class::Issuing, Who::Nobody, work).await?;
        let first = outcome.index.ok_or(LedgerError::Stopped)?;
        Ok((first..)
            .zip(certificates)
            .map(|(index, certificate)| Recorded { certificate, index })
            .collect())
    }

    /// The labels of a host from now on; the number of the bundle that says so.
    pub(crate) async fn label_host(
        &self,
        used: RightUsed<'_>,
        host: &str,
        labels: Labels,
    ) -> Result<u64, LedgerError> {
        let now = used.now;
        let (who, draft) = self.admin_as(Kind::HostLabels, &used)?;
        let work = HostWork::Label {
            host: host.to_owned(),
            labels,
            entry: draft.fact("host", host).finish()?,
        };
        let outcome = self
            .write(now, Class::Issuing, who, Work::Host(Box::new(work)))
            .await?;
        Ok(outcome.bundle.number)
    }

    /// Revokes a host: its certificates are listed, its names and keys are free, and it may ask for
    /// nothing more.
    pub(crate) async fn revoke_host(
        &self,
        used: RightUsed<'_>,
        host: &str,
    ) -> Result<HostRevoked, LedgerError> {
        let now = used.now;
        let (who, draft) = self.admin_as(Kind::HostRevoked, &used)?;
        let work = HostWork::Revoke {
            host: host.to_owned(),
            entry: draft.fact("host", host).finish()?,
        };
        let outcome = self
            .write(now, Class::Ending, who, Work::Host(Box::new(work)))
            .await?;
        Ok(HostRevoked {
            record: outcome.index.ok_or(LedgerError::Stopped)?,
            bundle: outcome.bundle,
            serials: outcome.serials,
        })
    }

    /// Somebody seems to be a host that is there already.
    pub(crate) async fn record_clone(
        &self,
        host: &str,
        why: &str,
        source: Option<IpAddr>,
        request: &str,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let details = json!({ "source": source, "why": clip(why) });
        let entry = self
            .draft(Kind::HostClone, now)
            .fact("host", host)
            .fact("request", request)
            .part(self.part(PartName::Details, &details)?)
            .finish()?;
        self.write(now, Class::Issuing, Who::Nobody, Work::Record(entry))
            .await
            .map(drop)
    }

    /// Writes what was heard of hosts; no record.
    pub(crate) async fn write_seen(&self, now: Timestamp) -> Result<(), LedgerError> {
        let seen: Vec<Seen> = self.hosts.unwritten(now);
        if seen.is_empty() {
            return Ok(());
        }
        let work = Work::Host(Box::new(HostWork::Seen(seen)));
        self.write(now, Class::Ordinary, Who::Nobody, work)
            .await
            .map(drop)
    }
}
