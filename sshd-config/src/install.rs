//! Puts a plan down and takes it back; asks sshd each time what it makes of it.
//!
//! Keeps invariant 8: when sshd does not take the new state, the old one stands again.

use std::path::PathBuf;

use crate::files::{self, Change, FilesError};
use crate::host::Place;
use crate::plan::Plan;
use crate::sshd::{self, SshdError};
use crate::trust::Admission;
use crate::trust::ca_keys::CaKeysError;

/// Why a host cannot be changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InstallError {
    /// The file system.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// sshd.
    #[error(transparent)]
    Sshd(#[from] SshdError),
    /// The CA's keys, or those of a CA that was trusted before.
    #[error(transparent)]
    Keys(#[from] CaKeysError),
    /// OpenSSH is too old.
    #[error("this host runs OpenSSH {}.{}, and certificates with roles need {}.{} or newer", .0.0, .0.1, sshd::OLDEST.0, sshd::OLDEST.1)]
    TooOld(sshd::Version),
    /// There is no main file.
    #[error("there is no sshd configuration at {}", .0.display())]
    NoConfig(PathBuf),
    /// Principals are already mapped by somebody else.
    #[error("sshd already maps principals for {account}, by {by}")]
    Principals {
        /// For which account.
        account: String,
        /// By what.
        by: String,
    },
    /// Another CA or mapping of principals that only some logins meet.
    #[error("{}:{line} sets {directive} in a Match block that could apply to {account}", path.display())]
    InMatch {
        /// For which account.
        account: String,
        /// Which directive.
        directive: &'static str,
        /// In which file.
        path: PathBuf,
        /// On which line.
        line: usize,
    },
    /// A file in our place that we did not write.
    #[error("{} was not written by jit-ssh-host", .0.display())]
    Foreign(PathBuf),
    /// After the change, sshd did not see it.
    #[error("with the new files in place, sshd says `{directive} {says}` for {account}")]
    NotInForce {
        /// For which account.
        account: String,
        /// Which directive.
        directive: &'static str,
        /// What sshd says of it.
        says: String,
    },
    /// Nothing is installed.
    #[error("jit-ssh is not installed on this host: there is no {}", .0.display())]
    NotInstalled(PathBuf),
    /// The manifest cannot be read.
    #[error("{} cannot be read: {cause}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// Somebody changed a file since.
    #[error("{} was changed after jit-ssh-host wrote it", .0.display())]
    Changed(PathBuf),
    /// The host trusts another CA of jit-ssh by now.
    #[error("this host trusts {url} by its identity key {pinned}, not by {asked}")]
    OtherCa {
        /// Where that one is.
        url: String,
        /// `SHA256:…` of its identity key.
        pinned: String,
        /// What was asked for.
        asked: String,
    },
    /// sshd did not take the new state, and the old one could not be put back whole.
    #[error("{error}; and then, putting back the old files: {restore}")]
    NotRestored {
        /// Why the old state was wanted back.
        error: Box<InstallError>,
        /// Why it is not there.
        restore: FilesError,
    },
}

impl InstallError {
    /// Whether the host is as it was before.
    pub(crate) fn is_restored(&self) -> bool {
        match self {
            InstallError::Files(error) => !matches!(error, FilesError::NotRestored { .. }),
            InstallError::NotRestored { .. } => false,
            _ => true,
        }
    }
}

/// Puts the plan down and asks sshd what it makes of it; unless that is what was meant, the old
/// state stands again.
pub(crate) fn put_down(
    place: &Place,
    plan: &Plan,
    admissions: &[Admission],
) -> Result<(), InstallError> {
    files::apply(&plan.changes)?;
    let in_force = place
        .sshd
        .test()
        .map_err(InstallError::from)
        .and_then(|()| {
            admissions
                .iter()
                .try_for_each(|admission| check_in_force(place, admission))
        });
    if let Err(error) = in_force {
        // sshd was not told anything yet: what runs still has the old configuration.
        return Err(restored(error, &plan.changes));
    }
    Ok(())
}

/// Takes the changes back because of an error, which stays the first that is said.
fn restored(error: InstallError, changes: &[Change]) -> InstallError {
    match files::take_back(changes) {
        Ok(()) => error,
        Err(restore) => InstallError::NotRestored {
            error: Box::new(error),
            restore,
        },
    }
}

/// What sshd must say for an account to be open to its roles.
pub(crate) fn check_in_force(place: &Place, admission: &Admission) -> Result<(), InstallError> {
    let effective = place.sshd.effective(Some(&admission.account))?;
    let ca_keys = place.ca_keys().display().to_string();
    let expected = [
        ("trustedusercakeys", ca_keys),
        ("authorizedprincipalsfile", place.principals_pattern()),
        ("pubkeyauthentication", "yes".to_owned()),
    ];
    for (directive, expected) in expected {
        let says = effective.first(directive).unwrap_or("nothing");
        if says != expected {
            return Err(InstallError::NotInForce {
                account: admission.account.to_string(),
                directive,
                says: says.to_owned(),
            });
        }
    }
    Ok(())
}

/// Takes everything back, and asks sshd whether it would still start.
pub(crate) fn remove(place: &Place, changes: &[Change]) -> Result<(), InstallError> {
    files::apply(changes)?;
    if let Err(error) = place.sshd.test() {
        return Err(restored(error.into(), changes));
    }
    for folder in [place.principals(), place.folder.clone()] {
        // Only where nothing else lies in it.
        let _ = std::fs::remove_dir(folder);
    }
    Ok(())
}
