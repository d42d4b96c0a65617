//! What a write does to invitations and hosts, within a batch.
//!
//! The rules of A60 are asked here for the last time, against what is stored: the invitation counts, as
//! often as it says; a name and a key are one living host's. First what only reads (`judge_host`), then
//! the rows (`host`).

use std::net::IpAddr;
use std::sync::Arc;

use jit_ssh_api::host::Labels;

use super::step::{Failure, Step};
use super::{News, Outcome};
use crate::host::watch::Seen;
use crate::host::{HostRefusal, invitation};
use crate::ledger::LedgerError;
use crate::ledger::hosts::Enrols;
use crate::ledger::record::{Entry, Hash};
use crate::login::KeyHash;
use crate::revocation::lock::LockKind;
use crate::store::StoreError;
use crate::store::hosts::{self, HostCertificateRow, HostRow, InvitationRow};
use crate::store::ledger::{self as records, Found, Serial};
use crate::store::revocations::{self, Revocation, Revoked};
use crate::time::Timestamp;

/// What is written of hosts.
#[derive(Debug)]
pub(crate) enum HostWork {
    /// An invitation.
    Invite { row: InvitationRow, entry: Entry },
    /// An invitation counts no more.
    Withdraw { id: [u8; 16], entry: Entry },
    /// A host joins, or joins again.
    Enrol {
        enrols: Box<Enrols>,
        source: Option<IpAddr>,
        entry: Entry,
        certificates: Vec<CertificateEntry>,
    },
    /// A host gets certificates again.
    Renew {
        host: String,
        certificates: Vec<CertificateEntry>,
    },
    /// A host's labels.
    Label {
        host: String,
        labels: Labels,
        entry: Entry,
    },
    /// The end of a host.
    Revoke { host: String, entry: Entry },
    /// What was heard of hosts.
    Seen(Vec<Seen>),
}

/// A host's certificate that is about to be signed.
#[derive(Debug)]
pub(crate) struct CertificateEntry {
    pub(crate) entry: Entry,
    pub(crate) row: HostCertificateRow,
}

/// Whether a host that comes again wants a name that it had not.
fn has_more(before: &HostRow, host: &HostRow) -> bool {
    host.names.iter().any(|name| !before.names.contains(name))
}

fn refused<T>(refusal: HostRefusal) -> Result<T, Failure> {
    Err(Failure::Refused(LedgerError::Host(refusal)))
}

impl Step<'_> {
    /// Everything that can refuse. Only reads.
    pub(super) fn judge_host(&self, work: &HostWork, now: Timestamp) -> Result<(), Failure> {
        match work {
            HostWork::Invite { .. } | HostWork::Withdraw { .. } | HostWork::Seen(_) => Ok(()),
            HostWork::Enrol {
                enrols,
                source,
                certificates,
                ..
            } => {
                self.judge_enrolment(enrols, *source, now)?;
                self.judge_serials(certificates)
            }
            HostWork::Renew { host, certificates } => {
                self.no_key_is_locked(&self.living(host)?)?;
                self.judge_serials(certificates)
            }
            HostWork::Label { host, .. } | HostWork::Revoke { host, .. } => {
                self.living(host).map(drop)
            }
        }
    }

    /// The rows.
    pub(super) fn host(
        &mut self,
        work: HostWork,
        found: Found,
        now: Timestamp,
    ) -> Result<Outcome, Failure> {
        match work {
            HostWork::Invite { mut row, entry } => {
                row.made = self.append(&entry, found)?;
                hosts::invite(self.connection, &row)?;
                Ok(self.outcome(row.made))
            }
            HostWork::Withdraw { id, entry } => {
                let Some(row) = hosts::invitation_by_id(self.connection, &id)? else {
                    return Ok(Outcome::default());
                };
                hosts::withdraw(self.connection, row.number, now)?;
                let index = self.append(&entry, found)?;
                Ok(self.outcome(index))
            }
            HostWork::Enrol {
                enrols,
                entry,
                certificates,
                ..
            } => self.enrol(*enrols, &entry, certificates, now),
            HostWork::Renew { host, certificates } => {
                let mut row = self.living(&host)?;
                let first =
                    self.certify(row.number, certificates, &mut row.certificate_ends, now)?;
                hosts::set_certificate_ends(self.connection, row.number, row.certificate_ends)?;
                self.committed.push(News::Host(Arc::new(row)));
                Ok(self.outcome(first))
            }
            HostWork::Label {
                host,
                labels,
                entry,
            } => {
                let mut row = self.living(&host)?;
                hosts::set_labels(self.connection, row.number, &labels)?;
                row.labels = labels;
                let index = self.append(&entry, found)?;
                self.head.bundle.next(now);
                self.committed.push(News::Host(Arc::new(row)));
                Ok(self.outcome(index))
            }
            HostWork::Revoke { host, entry } => {
                let row = self.living(&host)?;
                let index = self.append(&entry, found)?;
                let certificates = hosts::certificates(self.connection, row.number, now)?;
                for certificate in &certificates {
                    let revocation = Revocation {
                        what: Revoked::Serial {
                            ca: Some(Hash::of(&certificate.ca).0),
                            serial: certificate.serial,
                        },
                        until: Some(certificate.ends),
                    };
                    revocations::add(self.connection, &revocation, index)?;
                }
                hosts::revoke(self.connection, row.number, now)?;
                self.head.bundle.next(now);
                self.committed.push(News::HostRevoked(row.id));
                Ok(Outcome {
                    serials: certificates.iter().map(|it| it.serial).collect(),
                    ..self.outcome(index)
                })
            }
            HostWork::Seen(seen) => {
                for it in seen {
                    hosts::set_seen(self.connection, it.number, it.seen, it.bundle, &it.report)?;
                }
                Ok(Outcome::default())
            }
        }
    }

    /// A key that somebody revoked is no host's either.
    fn no_key_is_locked(&self, host: &HostRow) -> Result<(), Failure> {
        host.keys
            .iter()
            .try_for_each(|key| self.not_locked(LockKind::Key, &KeyHash(key.hash).to_string()))
    }

    fn judge_enrolment(
        &self,
        enrols: &Enrols,
        source: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let host = &enrols.host;
        let Some(row) = hosts::invitation(self.connection, &enrols.token)? else {
            return refused(HostRefusal::NoInvitation);
        };
        if let Err(refusal) = invitation::judge(&row, &host.names, source, now) {
            return refused(refusal);
        }
        // Its own host may come again with it, however often it counts.
        if !enrols.again && row.uses == Some(0) {
            return refused(HostRefusal::UsedUp);
        }
        self.no_key_is_locked(host)?;
        let mut own = None;
        for (place, key) in host.keys.iter().enumerate() {
            if hosts::is_login_key(self.connection, &key.hash, now)? {
                return refused(HostRefusal::LoginKey);
            }
            let Some((owner, position)) = hosts::owner_of_key(self.connection, &key.hash)? else {
                continue;
            };
            if place == 0 && position == 0 {
                own = Some(owner);
            } else if own != Some(owner) {
                return refused(HostRefusal::KeyTaken {
                    host: hosts::id_of(self.connection, owner)?,
                });
            }
        }
        // Whether it lives was looked up before: it may have been enrolled or revoked since.
        match (own, enrols.again) {
            (None, false) => {}
            (Some(owner), true) => {
                let known = hosts::id_of(self.connection, owner)?;
                let before = self.living(&known)?;
                // A copy under another name has no business with the names of the first one.
                if !before.names.iter().all(|name| host.names.contains(name)) {
                    return refused(HostRefusal::KeyTaken { host: known });
                }
                if known != host.id {
                    return refused(HostRefusal::Changed);
                }
                // What it has already needs no invitation that still counts; another name does.
                if has_more(&before, host) && row.uses == Some(0) {
                    return refused(HostRefusal::UsedUp);
                }
            }
            (Some(_), false) | (None, true) => return refused(HostRefusal::Changed),
        }
        for name in &host.names {
            if let Some(owner) = hosts::owner_of_name(self.connection, name)?
                && own != Some(owner)
            {
                return refused(HostRefusal::NameTaken {
                    name: name.clone(),
                    host: hosts::id_of(self.connection, owner)?,
                });
            }
        }
        Ok(())
    }

    fn judge_serials(&self, certificates: &[CertificateEntry]) -> Result<(), Failure> {
        for certificate in certificates {
            if records::record_of_serial(self.connection, certificate.row.serial)?.is_some() {
                return Err(Failure::Refused(LedgerError::SerialTaken));
            }
        }
        Ok(())
    }

    /// A host that lives, as it is stored.
    fn living(&self, host: &str) -> Result<HostRow, Failure> {
        match hosts::by_id(self.connection, host)? {
            Some(row) if row.revoked.is_none() => Ok(row),
            _ => refused(HostRefusal::Unknown(host.to_owned())),
        }
    }

    fn enrol(
        &mut self,
        enrols: Enrols,
        entry: &Entry,
        certificates: Vec<CertificateEntry>,
        now: Timestamp,
    ) -> Result<Outcome, Failure> {
        let mut host = enrols.host;
        let invitation = hosts::invitation(self.connection, &enrols.token)?
            .ok_or(StoreError::Damaged("an invitation went within a write"))?;
        let record = self.append(entry, Found::default())?;
        if enrols.again {
            let before = self.living(&host.id)?;
            if has_more(&before, &host) {
                hosts::use_invitation(self.connection, invitation.number)?;
            }
            host = HostRow {
                number: before.number,
                // An operator may have changed them since.
                labels: before.labels,
                enrolled: before.enrolled,
                record: before.record,
                bundle: before.bundle,
                ..host
            };
            hosts::enrol_again(self.connection, &host)?;
        } else {
            host.record = record;
            host.number = hosts::insert(self.connection, &host)?;
            hosts::use_invitation(self.connection, invitation.number)?;
        }
        let first = self.certify(host.number, certificates, &mut host.certificate_ends, now)?;
        self.committed.push(News::Host(Arc::new(host)));
        Ok(self.outcome(first))
    }

    /// Records of certificates, one behind the other; the index of the first.
    fn certify(
        &mut self,
        host: i64,
        certificates: Vec<CertificateEntry>,
        ends: &mut Timestamp,
        now: Timestamp,
    ) -> Result<u64, Failure> {
        let first = self.head.size;
        if let Some(earliest) = certificates.iter().map(|it| it.row.ends).min() {
            *ends = earliest;
        }
        for CertificateEntry { entry, row } in certificates {
            let index = self.append(&entry, Found::default())?;
            let serial = Serial {
                serial: row.serial,
                ends: None,
            };
            if !records::take_serial(self.connection, serial, index)? {
                return Err(StoreError::Damaged("a serial came between").into());
            }
            hosts::add_certificate(self.connection, host, &row, now)?;
        }
        Ok(first)
    }

    fn outcome(&self, index: u64) -> Outcome {
        Outcome {
            index: Some(index),
            bundle: self.head.bundle,
            ..Outcome::default()
        }
    }
}
