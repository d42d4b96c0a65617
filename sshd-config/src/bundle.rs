//! A trust bundle ──► what this host shall trust. Nothing of it takes effect before all of it was read:
//! signatures, host, position ([`jit_ssh_api::bundle`]), every principal, the revocation list.
//!
//! A bundle that opens nothing is an order like any other; one that cannot be read is none, and takes no
//! way in away (invariant 8).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jit_ssh_api::bundle::{BundleError, Position, SignedBundle, VerifiedBundle};
use jit_ssh_api::principal::RoleName;
use jit_ssh_connect::{ConnectError, KnownCa};

use crate::files;
use crate::plan::{Enrolled, Trust, Trusted};
use crate::state::State;
use crate::trust::host_certificate::HostCertificateError;
use crate::trust::krl::KrlError;
use crate::trust::principals::AdmissionError;
use crate::trust::{AccountName, Admission, HostCertificate, Krl};

/// Why a bundle is not taken. What is in force stays.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// Not signed, not for this host, or from before.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The CA is another one, or one from before.
    #[error(transparent)]
    Ca(#[from] ConnectError),
    /// A principal that could be read as something else.
    #[error(transparent)]
    Principals(#[from] AdmissionError),
    /// Not base64.
    #[error("the revocation list in the bundle is not base64")]
    KrlEncoding,
    /// A revocation list that sshd could misread.
    #[error(transparent)]
    Krl(#[from] KrlError),
    /// The host's own certificate, as it is remembered.
    #[error(transparent)]
    HostCertificate(#[from] HostCertificateError),
}

/// A bundle that was read to its end.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    /// What it says.
    pub(crate) verified: VerifiedBundle,
    /// What is kept of the CA from now on.
    pub(crate) known: KnownCa,
    krl: Krl,
}

/// Reads a bundle for the host with this identifier, under the pin of `known`, unless it is from before
/// `seen`.
pub(crate) fn take(
    signed: &SignedBundle,
    known: &KnownCa,
    host: &str,
    seen: Option<Position>,
) -> Result<Taken, Refused> {
    let verified = signed.verify(&known.fingerprint, host, seen)?;
    let set = verified.key_set();
    let now = KnownCa {
        url: known.url.clone(),
        name: set.name.clone(),
        fingerprint: known.fingerprint.clone(),
        epoch: set.epoch,
        number: set.number,
        tls_pins: set.tls_pins.clone(),
    };
    known.goes_on_as(&now)?;
    let krl = STANDARD
        .decode(&verified.bundle().krl)
        .map_err(|_| Refused::KrlEncoding)?;
    let krl = Krl::parse(&krl)?;
    let taken = Taken {
        verified,
        known: now,
        krl,
    };
    taken.admissions(&[])?;
    Ok(taken)
}

impl Taken {
    /// Its place in time.
    pub(crate) fn position(&self) -> Position {
        self.verified.bundle().position()
    }

    /// Whether it depends on which accounts this host has.
    pub(crate) fn has_own_account_roles(&self) -> bool {
        !self.verified.bundle().own_account_roles.is_empty()
    }

    /// What the host shall trust, with its certificates as they are remembered, and `own` accounts of
    /// people.
    pub(crate) fn trust(&self, state: &State, own: &[AccountName]) -> Result<Trust, Refused> {
        let mut certificates = Vec::new();
        for certificate in &state.certificates {
            let read = HostCertificate::read(&certificate.line)?;
            certificates.push((certificate.key.clone(), read));
        }
        // As it is: the daemon may not write there, and has no need to.
        let unit = state.unit.as_ref().and_then(|path| {
            let file = files::read(path).ok().flatten()?;
            Some((path.clone(), file))
        });
        Ok(Trust {
            ca: Trusted {
                known: self.known.clone(),
                keys: self.verified.key_set().clone(),
            },
            admissions: self.admissions(own)?,
            enrolled: Some(Enrolled {
                host: state.host.clone(),
                krl: self.krl.clone(),
                certificates,
                unit,
            }),
        })
    }

    /// Who may enter as whom: the fixed accounts, and people's own ones under the roles for these.
    fn admissions(&self, own: &[AccountName]) -> Result<Vec<Admission>, Refused> {
        let bundle = self.verified.bundle();
        let mut admissions = BTreeMap::new();
        for (account, principals) in &bundle.principals {
            if let Some(admission) = Admission::of_bundle(account, principals)? {
                admissions.insert(admission.account.clone(), admission);
            }
        }
        for role in &bundle.own_account_roles {
            // On a host without such accounts too.
            RoleName::new(role).map_err(|_| AdmissionError::Role(role.clone()))?;
            for account in own {
                let fixed = admissions.get(account);
                // In the simple mode there are no roles, and an account that opens to its own name
                // would no longer.
                if fixed.is_some_and(|fixed| fixed.principals.is_empty()) {
                    continue;
                }
                admissions
                    .entry(account.clone())
                    .or_insert_with(|| Admission {
                        account: account.clone(),
                        principals: Vec::new(),
                    })
                    .also_own(role)?;
            }
        }
        Ok(admissions.into_values().collect())
    }
}

#[cfg(test)]
pub(crate) mod tests;
