//! What `install` and `uninstall` do to a host, apart from talking: plan, put down, check, take
//! back. The network and the terminal stay outside.
//!
//! Keeps invariant 8: what is put down only adds a way in; `authorized_keys` and every other
//! method stay as they are; when sshd does not take the new state, the old one stands again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jit_ssh_api::key_set::{KeySet, State};
use jit_ssh_connect::KnownCa;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use ssh_key::Fingerprint;

use crate::files::{self, Change, FilesError};
use crate::match_blocks;
use crate::sshd::{self, Sshd, SshdError};
use crate::trust::ca_keys::CaKeysError;
use crate::trust::sshd_lines;
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
    /// What the host keeps of the CA: the pin, and how new the key set is.
    pub(crate) known: KnownCa,
    /// Its keys.
    pub(crate) keys: KeySet,
}

/// What happens to keys of a CA that sshd trusted before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OtherCas {
    /// They go on, also for the accounts that are opened.
    Keep,
    /// The accounts that are opened trust them no more.
    Drop,
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
    /// The CA: its pin, and the newest key set that this host has seen.
    pub(crate) ca: KnownCa,
    /// Each account with what opens it.
    pub(crate) accounts: BTreeMap<String, Vec<String>>,
    /// Another CA was trusted before and goes on.
    pub(crate) merged: bool,
    /// Its keys that these accounts go on trusting: recorded, for once our own file is in force,
    /// nothing else says any more which of the keys in it were there before us.
    pub(crate) kept: Vec<String>,
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

impl Manifest {
    /// The pin holds until the host is uninstalled: another identity key is another CA, and whoever
    /// can make an operator paste a fingerprint must not replace this one by the way.
    pub(crate) fn same_ca(&self, fingerprint: &str) -> Result<(), InstallError> {
        let asked = fingerprint.trim();
        let asked = asked.parse().map_or_else(
            |_| asked.to_owned(),
            |parsed: Fingerprint| parsed.to_string(),
        );
        if asked == self.ca.fingerprint {
            return Ok(());
        }
        Err(InstallError::OtherCa {
            url: self.ca.url.clone(),
            pinned: self.ca.fingerprint.clone(),
            asked,
        })
    }
}

/// Works out every file. Reads the host, changes nothing.
pub(crate) fn plan(
    place: &Place,
    trusted: &Trusted,
    admissions: &[Admission],
    others: OtherCas,
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
    let before = earlier_trust(place, admissions)?;
    // An `Include` right below our block counts: the block would go.
    let drop_in = sshd::drop_in_folder(&main_path, &sshd_lines::without_block(&main))
        .map(|folder| folder.join(DROP_IN));
    let mut ours: Vec<PathBuf> = drop_in.iter().cloned().collect();
    ours.extend(earlier.iter().flat_map(|manifest| {
        let files = manifest.files.iter().map(|file| file.path.clone());
        files.filter(|path| *path != main_path)
    }));
    nothing_in_match_blocks(&main_path, &main, &ours, admissions)?;
    let merged = match others {
        OtherCas::Keep => {
            let earlier = earlier.as_ref();
            keep_earlier_trust(&before, earlier, &mut keys, &mut notes)?;
            !before.is_empty() || earlier.is_some_and(|manifest| manifest.merged)
        }
        // Who trusts another CA for everybody else goes on doing so.
        OtherCas::Drop => !before.is_empty(),
    };
    let kept = keys.kept()?;
    let lines = sshd_lines::render(admissions, &place.ca_keys(), &place.principals());

    // What sshd's line refers to comes first, the line itself last.
    let mut wanted = vec![(place.ca_keys(), keys.render(&trusted.keys.name)?)];
    for admission in admissions {
        let path = place.principals().join(admission.account.as_str());
        wanted.push((path, admission.render(!kept.is_empty())));
    }
    match drop_in {
        Some(drop_in) => wanted.push((drop_in, lines)),
        None => {
            notes.push(format!(
                "{} reads no drop-ins first: the lines go into a marked block at its top",
                main_path.display()
            ));
            wanted.push((main_path.clone(), sshd_lines::with_block(&main, &lines)));
        }
    }
    let manifest = Manifest {
        ca: trusted.known.clone(),
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
        kept,
        files: Vec::new(),
    };
    let changes = to_changes(place, manifest, earlier.as_ref(), wanted)?;
    Ok(Plan {
        changes,
        notes,
        ca_keys: keys.fingerprints(),
    })
}

/// Name of the drop-in: sorts before every other, for sshd takes the first value it reads.
pub(crate) const DROP_IN: &str = "00-jit-ssh.conf";

/// A `TrustedUserCAKeys` file of somebody else that is in force; no text where it is missing.
#[derive(Debug)]
struct Earlier {
    path: PathBuf,
    text: Option<String>,
}

/// Looks at what sshd trusts besides us, for the accounts and for everybody else. A mapping of
/// principals that somebody else keeps is not ours to copy, since a copy would never hear of a
/// principal that is taken out of it.
fn earlier_trust(place: &Place, admissions: &[Admission]) -> Result<Vec<Earlier>, InstallError> {
    let ours_keys = place.ca_keys();
    let ours_pattern = place.principals_pattern();
    let mut found: Vec<Earlier> = Vec::new();
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
        let Some(path) = effective.file("trustedusercakeys").map(Path::new) else {
            continue;
        };
        if path != ours_keys && !found.iter().any(|earlier| earlier.path == path) {
            found.push(Earlier {
                path: path.to_owned(),
                text: files::read_through_link(path)?,
            });
        }
    }
    Ok(found)
}

/// What sshd was asked holds for a login from this machine. A block that holds for other groups or
/// addresses, and for an account that is named, would lose to our lines: neither is its CA ours to
/// widen to every login to that account, nor may its certificates be refused from now on.
fn nothing_in_match_blocks(
    main_path: &Path,
    main: &str,
    ours: &[PathBuf],
    admissions: &[Admission],
) -> Result<(), InstallError> {
    let found = match_blocks::read(main_path, &sshd_lines::blank_block(main), ours)?;
    for one in found {
        let could = |admission: &&Admission| one.could_apply_to(&admission.account);
        if let Some(admission) = admissions.iter().find(could) {
            return Err(InstallError::InMatch {
                account: admission.account.to_string(),
                directive: one.directive,
                path: one.path,
                line: one.line,
            });
        }
    }
    Ok(())
}

/// Keeps the keys of CAs that sshd trusted before us. A file that is there says itself what is to be
/// kept, today; where none is, it is what an earlier install recorded, and never what our own file
/// happens to hold: a key of the CA that was retired since is not one that was there before.
fn keep_earlier_trust(
    before: &[Earlier],
    manifest: Option<&Manifest>,
    keys: &mut CaKeys,
    notes: &mut Vec<String>,
) -> Result<(), InstallError> {
    let recorded = manifest.map_or(&[][..], |manifest| &manifest.kept);
    for Earlier { path, text } in before {
        let path = path.display();
        match text {
            Some(text) => {
                keys.keep(&path.to_string(), text)?;
                if manifest.is_none_or(|manifest| !manifest.merged) {
                    notes.push(format!(
                        "{path} is trusted already: its keys are kept, also for the accounts named here"
                    ));
                }
            }
            None => notes.push(format!(
                "sshd is told to trust the CA keys in {path}, which is missing: there is nothing to keep of it"
            )),
        }
    }
    if before.iter().all(|earlier| earlier.text.is_none()) {
        keys.keep("install.json", &recorded.join("\n"))?;
    }
    let kept = keys.kept()?;
    if !recorded.is_empty() && !kept.is_empty() {
        notes.push(format!(
            "{} key(s) of CAs that this host trusted before are kept: --drop-other-cas drops them",
            kept.len()
        ));
    }
    Ok(())
}

fn to_changes(
    place: &Place,
    mut manifest: Manifest,
    earlier: Option<&Manifest>,
    wanted: Vec<(PathBuf, String)>,
) -> Result<Vec<Change>, InstallError> {
    let earlier = earlier.map_or(&[][..], |manifest| &manifest.files);
    let first_before = |path: &Path| {
        earlier
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
    // What an earlier install put down and this one does not: accounts that are no longer named lose
    // their file, and when sshd's lines have moved, they leave the place where they were.
    let is_wanted = |path: &Path| installed.iter().any(|file: &Installed| file.path == path);
    for file in earlier {
        if file.path != place.sshd.config() && !is_wanted(&file.path) {
            changes.push(Change::plan(file.path.clone(), file.before.clone())?);
        }
    }
    if !is_wanted(place.sshd.config()) {
        let mut main = Change::plan(place.sshd.config().to_owned(), None)?;
        main.after = main.before.as_deref().map(sshd_lines::without_block);
        changes.push(main);
    }
    manifest.files = installed;
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
        return Err(restored(error.into(), changes));
    }
    for folder in [place.principals(), place.folder.clone()] {
        // Only where nothing else lies in it.
        let _ = std::fs::remove_dir(folder);
    }
    Ok(())
}

/// SHA-256 of a text, hexadecimal.
pub(crate) fn digest(text: &str) -> String {
    jit_ssh_api::hex(Sha256::digest(text.as_bytes()))
}
