//! What `install` and `uninstall` do to a host, apart from talking: plan, put down, check, take
//! back. The network and the terminal stay outside.
//!
//! Keeps invariant 8: what is put down only adds a way in; `authorized_keys` and every other
//! method stay as they are; when sshd does not take the new state, the old one stands again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jit_ssh_api::key_set::{KeySet, State};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::files::{self, Change, FilesError};
use crate::sshd::{self, Sshd, SshdError};
use crate::trust::ca_keys::CaKeysError;
use crate::trust::sshd_lines::{self, Scope};
use crate::trust::{Admission, CaKeys};

/// Where things go on this host.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The sshd whose configuration is changed.
    pub(crate) sshd: Sshd,
    /// Folder of our own files, `/etc/ssh/jit-ssh` by default.
    pub(crate) folder: PathBuf,
}

/// What the CA said, verified against the pinned identity key.
#[derive(Clone, Debug)]
pub(crate) struct Trusted {
    /// URL of the CA.
    pub(crate) url: String,
    /// `SHA256:…` of its identity key.
    pub(crate) fingerprint: String,
    /// Its keys.
    pub(crate) keys: KeySet,
}

/// Everything that an install would change, in the order in which it is put down.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The files.
    pub(crate) changes: Vec<Change>,
    /// What the operator should know.
    pub(crate) notes: Vec<String>,
    /// Fingerprints of the user CA keys.
    pub(crate) ca_keys: Vec<(State, String)>,
}

/// What was installed, kept beside it: for `uninstall`, `doctor` and the next `install`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// URL of the CA.
    pub(crate) ca: String,
    /// The CA's name.
    pub(crate) name: String,
    /// `SHA256:…` of the CA's identity key.
    pub(crate) fingerprint: String,
    /// Each account with what opens it.
    pub(crate) accounts: BTreeMap<String, Vec<String>>,
    /// Another CA was trusted before and goes on.
    pub(crate) merged: bool,
    /// Every file that was put down.
    pub(crate) files: Vec<Installed>,
}

/// A file that was put down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Installed {
    /// Where.
    pub(crate) path: PathBuf,
    /// SHA-256 of what was written, hexadecimal.
    pub(crate) sha256: String,
    /// What was there before jit-ssh.
    pub(crate) before: Option<String>,
}

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
}

impl Place {
    /// Where the manifest lies.
    pub(crate) fn manifest(&self) -> PathBuf {
        self.folder.join("install.json")
    }

    /// Where the CA keys lie.
    pub(crate) fn ca_keys(&self) -> PathBuf {
        self.folder.join("user_ca.pub")
    }

    /// Where the principals files lie.
    pub(crate) fn principals(&self) -> PathBuf {
        self.folder.join("principals")
    }

    /// The `AuthorizedPrincipalsFile` as sshd must see it.
    fn principals_pattern(&self) -> String {
        format!("{}/%u", self.principals().display())
    }

    /// What was installed before, if anything.
    pub(crate) fn installed(&self) -> Result<Option<Manifest>, InstallError> {
        let path = self.manifest();
        let Some(text) = files::read(&path)? else {
            return Ok(None);
        };
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| InstallError::Manifest {
                path,
                cause: error.to_string(),
            })
    }
}

/// Works out every file. Reads the host, changes nothing.
pub(crate) fn plan(
    place: &Place,
    trusted: &Trusted,
    admissions: &[Admission],
) -> Result<Plan, InstallError> {
    let version = place.sshd.version()?;
    if version < sshd::OLDEST {
        return Err(InstallError::TooOld(version));
    }
    let main_path = place.sshd.config().to_owned();
    let main = files::read(&main_path)?.ok_or_else(|| InstallError::NoConfig(main_path.clone()))?;
    let earlier = place.installed()?;
    let mut notes = Vec::new();

    let mut keys = CaKeys::from_key_set(&trusted.keys)?;
    let merged = merge_earlier_trust(place, admissions, earlier.as_ref(), &mut keys, &mut notes)?;
    let scope = if merged {
        Scope::Accounts(
            admissions
                .iter()
                .map(|admission| admission.account.clone())
                .collect(),
        )
    } else {
        Scope::Global
    };
    let lines = sshd_lines::render(&scope, &place.ca_keys(), &place.principals());

    // What sshd's line refers to comes first, the line itself last.
    let mut wanted = vec![(place.ca_keys(), keys.render(&trusted.keys.name)?)];
    for admission in admissions {
        let path = place.principals().join(admission.account.as_str());
        wanted.push((path, admission.render(merged)));
    }
    match sshd::drop_in_folder(&main_path, &main) {
        Some(folder) => wanted.push((folder.join(DROP_IN), lines)),
        None => {
            notes.push(format!(
                "{} reads no drop-ins first: the lines go into a marked block at its top",
                main_path.display()
            ));
            wanted.push((main_path.clone(), sshd_lines::with_block(&main, &lines)));
        }
    }
    let changes = to_changes(place, trusted, admissions, earlier.as_ref(), merged, wanted)?;
    Ok(Plan {
        changes,
        notes,
        ca_keys: keys.fingerprints(),
    })
}

/// Name of the drop-in: sorts before every other, for sshd takes the first value it reads.
pub(crate) const DROP_IN: &str = "00-jit-ssh.conf";

/// Looks at what sshd trusted before us. CA keys without a principals file are merged; a mapping of
/// principals that somebody else keeps is not ours to copy, since a copy would never hear of a
/// principal that is taken out of it.
fn merge_earlier_trust(
    place: &Place,
    admissions: &[Admission],
    earlier: Option<&Manifest>,
    keys: &mut CaKeys,
    notes: &mut Vec<String>,
) -> Result<bool, InstallError> {
    let ours_keys = place.ca_keys();
    let ours_pattern = place.principals_pattern();
    let mut merged = earlier.is_some_and(|manifest| manifest.merged);
    let accounts = admissions.iter().map(|admission| Some(&admission.account));
    for account in accounts.chain([None]) {
        let effective = place.sshd.effective(account)?;
        let name = account.map_or("everybody else", crate::trust::Account::as_str);
        for directive in ["authorizedprincipalsfile", "authorizedprincipalscommand"] {
            if let Some(by) = effective.file(directive).filter(|by| *by != ours_pattern) {
                let (account, by) = (name.to_owned(), by.to_owned());
                return Err(InstallError::Principals { account, by });
            }
        }
        let Some(path) = effective.file("trustedusercakeys") else {
            continue;
        };
        if Path::new(path) == ours_keys {
            continue;
        }
        let text = files::read(Path::new(path))?.unwrap_or_default();
        keys.keep(path, &text)?;
        if !merged {
            notes.push(format!(
                "{path} is trusted already: its keys are kept, also for the accounts named here"
            ));
        }
        merged = true;
    }
    if merged && keys.kept() == 0 {
        // A re-run sees only our own file for our accounts: what was kept is in there.
        if let Some(text) = files::read(&ours_keys)? {
            keys.keep(&ours_keys.to_string_lossy(), &text)?;
        }
    }
    Ok(merged)
}

fn to_changes(
    place: &Place,
    trusted: &Trusted,
    admissions: &[Admission],
    earlier: Option<&Manifest>,
    merged: bool,
    wanted: Vec<(PathBuf, String)>,
) -> Result<Vec<Change>, InstallError> {
    let first_before = |path: &Path| {
        let files = earlier
            .map(|manifest| manifest.files.as_slice())
            .unwrap_or_default();
        files
            .iter()
            .find(|file| file.path == path)
            .map(|file| file.before.clone())
    };
    let mut changes = Vec::new();
    let mut installed = Vec::new();
    for (path, text) in wanted {
        let sha256 = digest(&text);
        let change = Change::plan(path.clone(), Some(text))?;
        let before = match first_before(&path) {
            Some(before) => before,
            None => {
                let strange = path != place.sshd.config() && change.before.is_some();
                if strange && !change.is_noop() {
                    return Err(InstallError::Foreign(path));
                }
                change.before.clone()
            }
        };
        // Of the main file only our block is ever taken back, so its text is not kept twice.
        let before = before.filter(|_| path != place.sshd.config());
        installed.push(Installed {
            path,
            sha256,
            before,
        });
        changes.push(change);
    }
    // Accounts that are no longer named lose their file.
    for file in earlier
        .map(|manifest| manifest.files.as_slice())
        .unwrap_or_default()
    {
        let gone = !installed.iter().any(|kept| kept.path == file.path);
        if gone && file.path.starts_with(place.principals()) {
            changes.push(Change::plan(file.path.clone(), None)?);
        }
    }
    let manifest = Manifest {
        ca: trusted.url.clone(),
        name: trusted.keys.name.clone(),
        fingerprint: trusted.fingerprint.clone(),
        accounts: admissions
            .iter()
            .map(|admission| {
                let principals = admission
                    .principals
                    .iter()
                    .map(ToString::to_string)
                    .collect();
                (admission.account.to_string(), principals)
            })
            .collect(),
        merged,
        files: installed,
    };
    let mut text =
        serde_json::to_string_pretty(&manifest).map_err(|error| InstallError::Manifest {
            path: place.manifest(),
            cause: error.to_string(),
        })?;
    text.push('\n');
    // The manifest goes first: dying after it, `uninstall` knows what to take back.
    changes.insert(0, Change::plan(place.manifest(), Some(text))?);
    Ok(changes)
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
        files::take_back(&plan.changes)?;
        return Err(error);
    }
    Ok(())
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

/// What an uninstall would change: every file as it was before jit-ssh.
pub(crate) fn plan_removal(place: &Place, force: bool) -> Result<Vec<Change>, InstallError> {
    let manifest = place
        .installed()?
        .ok_or_else(|| InstallError::NotInstalled(place.manifest()))?;
    let mut changes = Vec::new();
    // The line that refers to the others goes first, the manifest last.
    for file in manifest.files.iter().rev() {
        let mut change = Change::plan(file.path.clone(), file.before.clone())?;
        let Some(now) = change.before.clone() else {
            continue;
        };
        if file.path == place.sshd.config() {
            change.after = Some(sshd_lines::without_block(&now));
        } else if digest(&now) != file.sha256 && Some(&now) != file.before.as_ref() && !force {
            return Err(InstallError::Changed(file.path.clone()));
        }
        changes.push(change);
    }
    changes.push(Change::plan(place.manifest(), None)?);
    Ok(changes)
}

/// Takes everything back, and asks sshd whether it would still start.
pub(crate) fn remove(place: &Place, changes: &[Change]) -> Result<(), InstallError> {
    files::apply(changes)?;
    if let Err(error) = place.sshd.test() {
        files::take_back(changes)?;
        return Err(error.into());
    }
    for folder in [place.principals(), place.folder.clone()] {
        // Only where nothing else lies in it.
        let _ = std::fs::remove_dir(folder);
    }
    Ok(())
}

/// SHA-256 of a text, hexadecimal.
pub(crate) fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
