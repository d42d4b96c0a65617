//! From what a host is told to trust to the files that it shall hold: one function for `install`, and
//! for whoever brings the same in another way. Works on what was read ([`Host`]) and on a reader for
//! the files in their places; changes nothing.
//!
//! Keeps invariant 8: what is planned only adds a way in. A CA or a mapping of principals that sshd has
//! already is kept, or nothing is planned and it is said why.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jit_ssh_api::key_set::{KeySet, State};
use jit_ssh_connect::KnownCa;

use crate::files::{Change, File, FilesError};
use crate::host::{Host, Place};
use crate::install::InstallError;
use crate::manifest::{Installed, Manifest, digest};
use crate::trust::sshd_lines;
use crate::trust::{AccountName, Admission, CaKeys, HostCertificate, Krl};

/// What the CA said, verified against the pinned identity key.
#[derive(Clone, Debug)]
pub(crate) struct Trusted {
    /// What the host keeps of the CA: the pin, and how new the key set is.
    pub(crate) known: KnownCa,
    /// Its keys.
    pub(crate) keys: KeySet,
}

/// All that a host shall trust.
#[derive(Clone, Debug)]
pub(crate) struct Trust {
    /// The CA.
    pub(crate) ca: Trusted,
    /// Which account admits whom.
    pub(crate) admissions: Vec<Admission>,
    /// What only a host that is enrolled has.
    pub(crate) enrolled: Option<Enrolled>,
}

/// What a host that is enrolled trusts and shows besides.
#[derive(Clone, Debug)]
pub(crate) struct Enrolled {
    /// Its identifier.
    pub(crate) host: String,
    /// What is revoked.
    pub(crate) krl: Krl,
    /// Its own certificates, each with the path of the key that it is for.
    pub(crate) certificates: Vec<(PathBuf, HostCertificate)>,
    /// The unit file that keeps it all fresh, where systemd runs and no package brought one.
    pub(crate) unit: Option<(PathBuf, File)>,
}

/// What happens to keys of a CA that sshd trusted before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OtherCas {
    /// They go on, also for the accounts that are opened.
    Keep,
    /// The accounts that are opened trust them no more.
    Drop,
}

/// Everything that would change, in the order in which it is put down.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The files.
    pub(crate) changes: Vec<Change>,
    /// What the operator should know.
    pub(crate) notes: Vec<String>,
    /// Fingerprints of the user CA keys.
    pub(crate) ca_keys: Vec<(State, String)>,
    /// Files that sshd reads when it starts or is told to; host certificates, some versions at each
    /// connection too.
    read_at_start: Vec<PathBuf>,
}

impl Plan {
    /// Whether something changes that a running sshd hears of by a reload only.
    pub(crate) fn needs_reload(&self) -> bool {
        self.changes
            .iter()
            .any(|change| !change.is_noop() && self.read_at_start.contains(&change.path))
    }
}

/// Works out every file, and reads with `at` what is in its place now.
pub(crate) fn plan(
    place: &Place,
    host: &Host,
    trust: &Trust,
    others: OtherCas,
    at: impl Fn(&Path) -> Result<Option<File>, FilesError>,
) -> Result<Plan, InstallError> {
    let mut notes = Vec::new();
    let mut keys = CaKeys::from_key_set(&trust.ca.keys)?;
    nobody_else_maps_principals(place, host)?;
    if trust.enrolled.is_some() {
        nobody_else_revokes(place, host)?;
    }
    nothing_in_match_blocks(host, &trust.admissions)?;
    let earlier = host.earlier.as_ref();
    let merged = match others {
        OtherCas::Keep => {
            keep_earlier_trust(&host.ca_files, earlier, &mut keys, &mut notes)?;
            !host.ca_files.is_empty() || earlier.is_some_and(|manifest| manifest.merged)
        }
        // Who trusts another CA for everybody else goes on doing so.
        OtherCas::Drop => !host.ca_files.is_empty(),
    };
    let kept = keys.kept()?;
    let wanted = wanted(place, host, trust, &keys, &mut notes)?;
    let principals = |admission: &Admission| {
        let principals = admission.principals.iter().map(ToString::to_string);
        (admission.account.to_string(), principals.collect())
    };
    let manifest = Manifest {
        ca: trust.ca.known.clone(),
        host: trust
            .enrolled
            .as_ref()
            .map(|enrolled| enrolled.host.clone()),
        accounts: trust.admissions.iter().map(principals).collect(),
        merged,
        kept,
        files: Vec::new(),
    };
    let read_at_start = read_at_start(place, host, trust);
    Ok(Plan {
        changes: to_changes(place, host, manifest, wanted, at)?,
        notes,
        ca_keys: keys.fingerprints(),
        read_at_start,
    })
}

/// The files that shall be there. What sshd's line refers to comes first, the line itself last.
fn wanted(
    place: &Place,
    host: &Host,
    trust: &Trust,
    keys: &CaKeys,
    notes: &mut Vec<String>,
) -> Result<Vec<(PathBuf, File)>, InstallError> {
    let ca_keys = keys.render(&trust.ca.keys.name)?;
    let own_names = !keys.kept()?.is_empty();
    let mut wanted = vec![(place.ca_keys(), File::for_all_to_read(ca_keys))];
    for admission in &trust.admissions {
        let path = place.principals().join(admission.account.as_str());
        wanted.push((path, File::for_all_to_read(admission.render(own_names))));
    }
    let mut host_certificates = Vec::new();
    if let Some(enrolled) = &trust.enrolled {
        // Before the line that names it: sshd refuses everybody where it cannot read it.
        wanted.push((place.krl(), File::for_all_to_read(enrolled.krl.bytes())));
        for (key, certificate) in &enrolled.certificates {
            let path = place.host_certificate(key);
            wanted.push((path.clone(), File::for_all_to_read(certificate.render()?)));
            host_certificates.push(path);
        }
        wanted.extend(enrolled.unit.clone());
    }
    let lines = sshd_lines::render(
        &trust.admissions,
        sshd_lines::Files {
            ca_keys: &place.ca_keys(),
            principals: &place.principals(),
            krl: trust.enrolled.as_ref().map(|_| place.krl()).as_deref(),
            host_certificates: &host_certificates,
        },
    );
    wanted.push(match place.drop_in(&host.main_text) {
        Some(drop_in) => (drop_in, File::for_all_to_read(lines)),
        None => {
            let config = place.sshd.config().to_owned();
            notes.push(format!(
                "{} reads no drop-ins first: the lines go into a marked block at its top",
                config.display()
            ));
            let main = sshd_lines::with_block(&host.main_text, &lines);
            (config, host.main.with(main))
        }
    });
    Ok(wanted)
}

/// What sshd reads at its start: its own files, wherever our lines are or were, and host certificates.
fn read_at_start(place: &Place, host: &Host, trust: &Trust) -> Vec<PathBuf> {
    let mut paths = vec![place.sshd.config().to_owned()];
    paths.extend(place.drop_in(&host.main_text));
    let earlier = host.earlier.iter().flat_map(|manifest| &manifest.files);
    let drop_ins = earlier.filter(|file| file.path.ends_with(crate::host::DROP_IN));
    paths.extend(drop_ins.map(|file| file.path.clone()));
    let certificates = trust
        .enrolled
        .iter()
        .flat_map(|enrolled| &enrolled.certificates);
    paths.extend(certificates.map(|(key, _)| place.host_certificate(key)));
    paths
}

/// A revocation list that somebody else keeps would no longer be read for the accounts that we open,
/// and what it revokes would open them again. Two lists cannot be made one.
fn nobody_else_revokes(place: &Place, host: &Host) -> Result<(), InstallError> {
    let ours = place.krl();
    for (account, effective) in &host.effective {
        let by = effective.file("revokedkeys");
        if let (Some(account), Some(by)) = (account, by.filter(|by| Path::new(by) != ours)) {
            let (account, by) = (account.to_string(), by.to_owned());
            return Err(InstallError::Revokes { account, by });
        }
    }
    Ok(())
}

/// A mapping of principals that somebody else keeps, for the accounts or for everybody else, is not
/// ours to copy, since a copy would never hear of a principal that is taken out of it.
fn nobody_else_maps_principals(place: &Place, host: &Host) -> Result<(), InstallError> {
    let ours = place.principals_pattern();
    for (account, effective) in &host.effective {
        for directive in ["authorizedprincipalsfile", "authorizedprincipalscommand"] {
            if let Some(by) = effective.file(directive).filter(|by| *by != ours) {
                let account = account
                    .as_ref()
                    .map_or("everybody else", AccountName::as_str);
                let (account, by) = (account.to_owned(), by.to_owned());
                return Err(InstallError::Principals { account, by });
            }
        }
    }
    Ok(())
}

/// What sshd was asked holds for a login from this machine. A block that holds for other groups or
/// addresses, and for an account that is named, would lose to our lines: neither is its CA ours to
/// widen to every login to that account, nor may its certificates be refused from now on.
fn nothing_in_match_blocks(host: &Host, admissions: &[Admission]) -> Result<(), InstallError> {
    for one in &host.conditional {
        // An account that is open already stays so: our lines hold there by now.
        let asked = |account: &AccountName| {
            let mut accounts = host
                .effective
                .iter()
                .filter_map(|(asked, _)| asked.as_ref());
            accounts.any(|asked| asked == account)
        };
        let could = |admission: &&Admission| {
            asked(&admission.account) && one.could_apply_to(&admission.account)
        };
        if let Some(admission) = admissions.iter().find(could) {
            return Err(InstallError::InMatch {
                account: admission.account.to_string(),
                directive: one.directive,
                path: one.path.clone(),
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
    before: &BTreeMap<PathBuf, Option<String>>,
    manifest: Option<&Manifest>,
    keys: &mut CaKeys,
    notes: &mut Vec<String>,
) -> Result<(), InstallError> {
    let recorded = manifest.map_or(&[][..], |manifest| &manifest.kept);
    for (path, text) in before {
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
    if before.values().all(Option::is_none) {
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
    host: &Host,
    mut manifest: Manifest,
    wanted: Vec<(PathBuf, File)>,
    at: impl Fn(&Path) -> Result<Option<File>, FilesError>,
) -> Result<Vec<Change>, InstallError> {
    let earlier = host.earlier.iter().flat_map(|manifest| &manifest.files);
    let config = place.sshd.config();
    let mut changes = Vec::new();
    let mut installed = Vec::new();
    for (path, file) in wanted {
        let sha256 = digest(&file.bytes);
        let now = at(&path)?;
        let before = match earlier.clone().find(|file| file.path == path) {
            Some(file) => file.before.clone(),
            // Of the main file only our block is ever taken back, so its text is not kept twice.
            None if path == config => None,
            None => match &now {
                Some(now) if now.bytes != file.bytes => return Err(InstallError::Foreign(path)),
                now => now.clone(),
            },
        };
        installed.push(Installed {
            path: path.clone(),
            sha256,
            before,
        });
        changes.push(Change {
            path,
            before: now,
            after: Some(file),
        });
    }
    // What an earlier install put down and this one does not: accounts that are no longer named lose
    // their file, and when sshd's lines have moved, they leave the place where they were.
    let is_wanted = |path: &Path| installed.iter().any(|file: &Installed| file.path == path);
    for file in earlier {
        if file.path != config && !is_wanted(&file.path) {
            changes.push(Change {
                path: file.path.clone(),
                before: at(&file.path)?,
                after: file.before.clone(),
            });
        }
    }
    if !is_wanted(config) {
        let main = sshd_lines::without_block(&host.main_text);
        changes.push(Change {
            path: config.to_owned(),
            before: Some(host.main.clone()),
            after: Some(host.main.with(main)),
        });
    }
    manifest.files = installed;
    let path = place.manifest();
    let mut text =
        serde_json::to_string_pretty(&manifest).map_err(|error| InstallError::Manifest {
            path: path.clone(),
            cause: error.to_string(),
        })?;
    text.push('\n');
    // The manifest goes first: dying after it, `uninstall` knows what to take back.
    let first = Change {
        before: at(&path)?,
        path,
        after: Some(File::for_all_to_read(text)),
    };
    changes.insert(0, first);
    Ok(changes)
}

/// What an uninstall would change: every file as it was before jit-ssh.
pub(crate) fn removal(
    place: &Place,
    manifest: &Manifest,
    force: bool,
    at: impl Fn(&Path) -> Result<Option<File>, FilesError>,
) -> Result<Vec<Change>, InstallError> {
    let mut changes = Vec::new();
    // The line that refers to the others goes first, the manifest last.
    for file in manifest.files.iter().rev() {
        let Some(now) = at(&file.path)? else {
            continue;
        };
        let after = if file.path == place.sshd.config() {
            let main = sshd_lines::without_block(now.text(&file.path)?);
            Some(now.with(main))
        } else {
            let as_before = file.before.as_ref().map(|before| &before.bytes);
            let known = digest(&now.bytes) == file.sha256 || as_before == Some(&now.bytes);
            if !known && !force {
                return Err(InstallError::Changed(file.path.clone()));
            }
            file.before.clone()
        };
        changes.push(Change {
            path: file.path.clone(),
            before: Some(now),
            after,
        });
    }
    changes.push(Change {
        before: at(&place.manifest())?,
        path: place.manifest(),
        after: None,
    });
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use jit_ssh_api::key_set::{Key, Purpose};

    use super::*;
    use crate::sshd::Sshd;

    const A: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

    /// A host without a disk: what `plan` is shown, and nothing else.
    struct Imagined {
        place: Place,
        host: Host,
        files: BTreeMap<PathBuf, File>,
    }

    impl Imagined {
        fn new(main: &str) -> Self {
            let config = PathBuf::from("/etc/ssh/sshd_config");
            let main_file = File {
                mode: 0o600,
                ..File::for_all_to_read(main)
            };
            Imagined {
                place: Place {
                    sshd: Sshd::new("/usr/sbin/sshd".into(), config.clone()),
                    folder: "/etc/ssh/jit-ssh".into(),
                    state: "/var/lib/jit-ssh-host".into(),
                },
                host: Host {
                    main: main_file.clone(),
                    main_text: main.to_owned(),
                    earlier: None,
                    effective: Vec::new(),
                    ca_files: BTreeMap::new(),
                    conditional: Vec::new(),
                },
                files: BTreeMap::from([(config, main_file)]),
            }
        }

        fn plan(&self, accounts: &[&str]) -> Result<Plan, InstallError> {
            let trust = Trust {
                ca: trusted(),
                admissions: accounts.iter().map(|text| text.parse().unwrap()).collect(),
                enrolled: None,
            };
            plan(&self.place, &self.host, &trust, OtherCas::Keep, |path| {
                Ok(self.files.get(path).cloned())
            })
        }

        /// As if the plan had been put down.
        fn put_down(&mut self, changes: &[Change]) {
            for change in changes {
                match change.after.clone() {
                    Some(file) => self.files.insert(change.path.clone(), file),
                    None => self.files.remove(&change.path),
                };
            }
            let manifest = self.files.get(&self.place.manifest());
            self.host.earlier = manifest.map(|file| serde_json::from_slice(&file.bytes).unwrap());
            self.host.main = self.files[self.place.sshd.config()].clone();
            self.host.main_text = String::from_utf8(self.host.main.bytes.clone()).unwrap();
        }

        fn remove(&self) -> Vec<Change> {
            let manifest = self.host.earlier.as_ref().unwrap();
            removal(&self.place, manifest, false, |path| {
                Ok(self.files.get(path).cloned())
            })
            .unwrap()
        }
    }

    fn trusted() -> Trusted {
        Trusted {
            known: serde_json::from_value(serde_json::json!({
                "url": "https://ca.example.com", "name": "ca.example.com",
                "fingerprint": "SHA256:x", "epoch": 1, "number": 1,
            }))
            .unwrap(),
            keys: KeySet {
                name: "ca.example.com".into(),
                epoch: 1,
                number: 1,
                created: 0,
                keys: vec![Key {
                    purpose: Purpose::UserCa,
                    state: State::Active,
                    public_key: A.into(),
                }],
                tls_pins: vec![],
                emergency: vec![],
            },
        }
    }

    fn paths(changes: &[Change]) -> Vec<&str> {
        let changed = changes.iter().filter(|change| !change.is_noop());
        changed
            .map(|change| change.path.to_str().unwrap())
            .collect()
    }

    const DEBIAN: &str = "Include /etc/ssh/sshd_config.d/*.conf\nPort 22\n";

    #[test]
    fn what_sshd_refers_to_is_there_before_the_line_that_refers_to_it() {
        let host = Imagined::new(DEBIAN);
        let plan = host.plan(&["observer=production-observer"]).unwrap();
        assert_eq!(
            paths(&plan.changes),
            [
                "/etc/ssh/jit-ssh/install.json",
                "/etc/ssh/jit-ssh/user_ca.pub",
                "/etc/ssh/jit-ssh/principals/observer",
                "/etc/ssh/sshd_config.d/00-jit-ssh.conf",
            ]
        );
    }

    #[test]
    fn the_main_file_keeps_its_owner_and_mode_when_a_block_is_written_into_it() {
        let mut host = Imagined::new("Port 22\n");
        let before = host.files.clone();
        let plan = host.plan(&["observer=a"]).unwrap();
        let main = plan.changes.last().unwrap();
        assert_eq!(main.path, host.place.sshd.config());
        let after = main.after.as_ref().unwrap();
        assert_eq!((after.mode, after.owner), (0o600, host.host.main.owner));
        host.put_down(&plan.changes);
        assert!(
            host.plan(&["observer=a"])
                .unwrap()
                .changes
                .iter()
                .all(Change::is_noop)
        );
        host.put_down(&host.remove());
        assert_eq!(host.files, before);
    }

    #[test]
    fn a_file_of_somebody_else_in_our_place_is_refused_and_the_same_one_comes_back() {
        let mut host = Imagined::new(DEBIAN);
        let path = host.place.ca_keys();
        let strange = File::for_all_to_read(&b"\xff\0"[..]);
        host.files.insert(path.clone(), strange);
        let error = host.plan(&["observer=a"]).unwrap_err();
        assert!(matches!(error, InstallError::Foreign(at) if at == path));
        // The same content, but for everybody to write: put right, and given back as it was.
        host.files.remove(&path);
        let plan = host.plan(&["observer=a"]).unwrap();
        let ours = plan.changes.iter().find(|change| change.path == path);
        let ours = ours.unwrap().after.clone().unwrap();
        let open = File {
            mode: 0o666,
            ..ours
        };
        host.files.insert(path.clone(), open.clone());
        let plan = host.plan(&["observer=a"]).unwrap();
        assert!(paths(&plan.changes).contains(&path.to_str().unwrap()));
        host.put_down(&plan.changes);
        assert_eq!(host.files[&path].mode, 0o644);
        host.put_down(&host.remove());
        assert_eq!(host.files[&path], open);
    }

    #[test]
    fn an_account_that_is_no_longer_named_loses_its_file() {
        let mut host = Imagined::new(DEBIAN);
        let plan = host.plan(&["observer=a", "admin=b"]).unwrap();
        host.put_down(&plan.changes);
        let gone = host.place.principals().join("admin");
        assert!(host.files.contains_key(&gone));
        let plan = host.plan(&["observer=a"]).unwrap();
        host.put_down(&plan.changes);
        assert!(!host.files.contains_key(&gone));
    }

    #[test]
    fn lines_that_have_moved_leave_the_place_where_they_were() {
        let mut host = Imagined::new("Port 22\n");
        host.put_down(&host.plan(&["observer=a"]).unwrap().changes);
        let block = host.host.main_text.clone();
        assert!(block.contains(sshd_lines::BLOCK_BEGIN));
        let main = host.place.sshd.config().to_owned();
        let edited = host.host.main.with(block.replace("Port 22", DEBIAN));
        host.put_down(&[Change {
            path: main.clone(),
            before: None,
            after: Some(edited),
        }]);
        host.put_down(&host.plan(&["observer=a"]).unwrap().changes);
        assert_eq!(host.files[&main].bytes, format!("{DEBIAN}\n").as_bytes());
        let drop_in = PathBuf::from("/etc/ssh/sshd_config.d/00-jit-ssh.conf");
        assert!(host.files.contains_key(&drop_in));
    }
}
