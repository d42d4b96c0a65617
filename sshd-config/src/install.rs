//! Puts a plan down and takes it back; asks sshd each time what it makes of it.
//!
//! Keeps invariant 8: when sshd does not take the new state, the old one stands again.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::files::{self, Change, File, FilesError};
use crate::host::Place;
use crate::plan::{self, OtherCas, Plan, Trust};
use crate::sshd::{self, Effective, SshdError};
use crate::state::{self, StateError};
use crate::trust::ca_keys::CaKeysError;
use crate::trust::host_certificate::HostCertificateError;
use crate::trust::{AccountName, Admission, CaKeys, Krl};

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
    /// Keys are already revoked by somebody else.
    #[error("sshd already reads what is revoked for {account} from {by}")]
    Revokes {
        /// For which account.
        account: String,
        /// From where.
        by: String,
    },
    /// The host's own certificate.
    #[error(transparent)]
    HostCertificate(#[from] HostCertificateError),
    /// What an enrolled host remembers.
    #[error(transparent)]
    State(#[from] StateError),
    /// What opens which account comes from the CA by now.
    #[error("this host is enrolled at {url}: what opens which account is said there")]
    IsEnrolled {
        /// Where.
        url: String,
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

/// What is ready to be put down.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// What the host shall trust, without the accounts that are left out.
    pub(crate) trust: Trust,
    /// The files.
    pub(crate) plan: Plan,
    /// Accounts that an enrolled host cannot open, and why: one account that somebody else manages
    /// must not keep the rest from being heard of, least of all what is revoked.
    pub(crate) left_out: Vec<(AccountName, String)>,
    /// Accounts that were not open before.
    opening: Vec<Admission>,
}

/// Looks at the host and works out what changes. Changes nothing.
pub(crate) fn prepare(
    place: &Place,
    mut trust: Trust,
    others: OtherCas,
) -> Result<Prepared, InstallError> {
    let mut left_out = Vec::new();
    loop {
        let opening = opening(place, &trust)?;
        let planned = place
            .look(&opening)
            .and_then(|host| plan::plan(place, &host, &trust, others, files::read));
        let error = match planned {
            Ok(plan) => {
                return Ok(Prepared {
                    trust,
                    plan,
                    left_out,
                    opening,
                });
            }
            Err(error) => error,
        };
        leave_out(&mut trust, error, &mut left_out)?;
    }
}

/// Accounts that are to be opened and are not yet: of those that are, sshd says only what our own
/// lines say.
fn opening(place: &Place, trust: &Trust) -> Result<Vec<Admission>, InstallError> {
    let earlier = place.installed()?;
    let same_host = |host: &str| {
        let enrolled = trust.enrolled.as_ref();
        enrolled.is_some_and(|enrolled| enrolled.host == host)
    };
    let open = earlier
        .filter(|manifest| manifest.host.as_deref().is_some_and(same_host))
        .map(|manifest| manifest.accounts)
        .unwrap_or_default();
    let admissions = trust.admissions.iter();
    Ok(admissions
        .filter(|admission| !open.contains_key(admission.account.as_str()))
        .cloned()
        .collect())
}

/// Goes on without the account that stands against it all; on a host that is not enrolled, and where
/// no single account does, the error is the answer.
fn leave_out(
    trust: &mut Trust,
    error: InstallError,
    left_out: &mut Vec<(AccountName, String)>,
) -> Result<(), InstallError> {
    let account = match &error {
        InstallError::Principals { account, .. }
        | InstallError::Revokes { account, .. }
        | InstallError::InMatch { account, .. }
        | InstallError::NotInForce { account, .. }
            if trust.enrolled.is_some() =>
        {
            account
        }
        _ => return Err(error),
    };
    let at = |admission: &Admission| admission.account.as_str() == account;
    let Some(index) = trust.admissions.iter().position(at) else {
        return Err(error);
    };
    let admission = trust.admissions.remove(index);
    left_out.push((admission.account, error.to_string()));
    Ok(())
}

/// Puts down what is prepared and asks sshd what it makes of it; unless that is what was meant, the
/// old state stands again.
pub(crate) fn put_down(place: &Place, prepared: &Prepared) -> Result<(), InstallError> {
    let plan = &prepared.plan;
    if prepared.trust.enrolled.is_some() && plan.needs_reload() {
        // Before the write: who dies after it is followed by one who tells sshd.
        state::reload_due(place, true)?;
    }
    files::apply(&plan.changes)?;
    // What sshd reads at each login was looked at before. So whoever breaks sshd's configuration does
    // not keep an enrolled host from hearing what is revoked.
    if prepared.trust.enrolled.is_some() && !plan.needs_reload() {
        return Ok(());
    }
    let in_force = place
        .sshd
        .test()
        .map_err(InstallError::from)
        .and_then(|()| {
            let mut opening = prepared.opening.iter();
            if prepared.trust.enrolled.is_some() {
                opening.try_for_each(|admission| check_enrolled_in_force(place, admission))
            } else {
                opening.try_for_each(|admission| check_in_force(place, admission))
            }
        });
    if let Err(error) = in_force {
        // sshd was not told anything yet: what runs still has the old configuration.
        return Err(restored(error, &plan.changes));
    }
    Ok(())
}

/// All of it, for an enrolled host: what takes away first, then whatever it takes for the rest. `meant`
/// hears what each file of the former shall be from then on, before it is written and whatever fails
/// after it: nobody may put back what was there.
pub(crate) fn carry_out(
    place: &Place,
    trust: Trust,
    others: OtherCas,
    meant: impl FnMut(&Path, Option<&File>),
) -> Result<Prepared, InstallError> {
    let mut left_out = Vec::new();
    // A list that OpenSSH does not read stays where it came from; who lost a principal loses it anyway.
    let readable = match &trust.enrolled {
        Some(enrolled) => openssh_reads(place, &enrolled.krl),
        None => Ok(()),
    };
    take_away(place, &trust, readable.is_ok(), meant)?;
    readable?;
    let mut trust = trust;
    loop {
        let mut prepared = prepare(place, trust, others)?;
        match put_down(place, &prepared) {
            Ok(()) => {
                left_out.append(&mut prepared.left_out);
                prepared.left_out = left_out;
                return Ok(prepared);
            }
            Err(error) => {
                left_out.append(&mut prepared.left_out);
                trust = prepared.trust;
                leave_out(&mut trust, error, &mut left_out)?;
            }
        }
    }
}

/// What sshd reads at each login, on a host where it is in force already: principals that are gone,
/// what is revoked, CA keys that are no longer trusted. Nothing of sshd's configuration is looked at, so
/// that nothing there can be in the way; and what one file does not take is no reason to keep the
/// others as they are.
fn take_away(
    place: &Place,
    trust: &Trust,
    krl_is_readable: bool,
    mut meant: impl FnMut(&Path, Option<&File>),
) -> Result<(), InstallError> {
    let Some(enrolled) = &trust.enrolled else {
        return Ok(());
    };
    let Some(manifest) = place.installed()? else {
        return Ok(());
    };
    if manifest.host.as_ref() != Some(&enrolled.host) {
        return Ok(());
    }
    let mut keys = CaKeys::from_key_set(&trust.ca.keys)?;
    keys.keep("install.json", &manifest.kept.join("\n"))?;
    let own_names = !keys.kept()?.is_empty();
    let mut files = Vec::new();
    if krl_is_readable {
        let krl = File::for_all_to_read(enrolled.krl.bytes());
        files.push((place.krl(), Some(krl)));
    }
    for account in manifest.accounts.keys() {
        let of = |admission: &&Admission| admission.account.as_str() == account;
        let admission = trust.admissions.iter().find(of);
        let file = admission.map(|admission| File::for_all_to_read(admission.render(own_names)));
        files.push((place.principals().join(account), file));
    }
    let ca_keys = File::for_all_to_read(keys.render(&trust.ca.keys.name)?);
    files.push((place.ca_keys(), Some(ca_keys)));
    let mut result = Ok(());
    for (path, after) in files {
        // Dying between two of these leaves each file whole; the next start does the rest.
        meant(&path, after.as_ref());
        let done = files::put_down_one(path, after);
        result = result.and(done);
    }
    Ok(result?)
}

/// Asks OpenSSH on this host whether it reads the list, before sshd gets to see it.
fn openssh_reads(place: &Place, krl: &Krl) -> Result<(), InstallError> {
    let path = place.folder.join(".revoked_keys.jit-ssh-check");
    files::make_folder(&place.folder)?;
    let _ = std::fs::remove_file(&path);
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(krl.bytes()));
    let result = match written {
        Ok(()) => place.sshd.reads_krl(&path).map_err(InstallError::from),
        Err(source) => Err(FilesError::Io {
            action: "write",
            path: path.clone(),
            source,
        }
        .into()),
    };
    let _ = std::fs::remove_file(&path);
    result
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
        says(&effective, admission, directive, &expected)?;
    }
    Ok(())
}

/// The same on a host that is enrolled: what is revoked holds there as well.
pub(crate) fn check_enrolled_in_force(
    place: &Place,
    admission: &Admission,
) -> Result<(), InstallError> {
    check_in_force(place, admission)?;
    let effective = place.sshd.effective(Some(&admission.account))?;
    let krl = place.krl().display().to_string();
    says(&effective, admission, "revokedkeys", &krl)
}

fn says(
    effective: &Effective,
    admission: &Admission,
    directive: &'static str,
    expected: &str,
) -> Result<(), InstallError> {
    let says = effective.first(directive).unwrap_or("nothing");
    if says == expected {
        return Ok(());
    }
    Err(InstallError::NotInForce {
        account: admission.account.to_string(),
        directive,
        says: says.to_owned(),
    })
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
