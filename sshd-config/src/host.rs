//! The host as it is: where things go, and what is read of it before anything is worked out. Reads,
//! and changes nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::files::{self, File};
use crate::install::InstallError;
use crate::manifest::Manifest;
use crate::match_blocks::{self, Conditional};
use crate::sshd::{self, Effective, Sshd};
use crate::trust::sshd_lines;
use crate::trust::{AccountName, Admission};

/// Where things go on this host.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The sshd whose configuration is changed.
    pub(crate) sshd: Sshd,
    /// Folder of our own files, `/etc/ssh/jit-ssh` by default.
    pub(crate) folder: PathBuf,
    /// Folder of what an enrolled host remembers, for root alone.
    pub(crate) state: PathBuf,
}

/// What counts for a plan.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    /// The main file of sshd.
    pub(crate) main: File,
    /// Its text.
    pub(crate) main_text: String,
    /// What was installed before.
    pub(crate) earlier: Option<Manifest>,
    /// What holds for each account that is to be opened, and for everybody else.
    pub(crate) effective: Vec<(Option<AccountName>, Effective)>,
    /// The `TrustedUserCAKeys` files that are in force and not ours; no text where one is missing.
    pub(crate) ca_files: BTreeMap<PathBuf, Option<String>>,
    /// What the files say about CAs and principals in `Match` blocks of others.
    pub(crate) conditional: Vec<Conditional>,
}

/// Name of the drop-in: it stands before what distributions and tools put there, for sshd takes the
/// first value that it reads. Whether it does is asked of `sshd -T`.
pub(crate) const DROP_IN: &str = "00-jit-ssh.conf";

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

    /// Where the revocation list lies. Where it is once, it stays: a running sshd refuses every login
    /// to our accounts when it cannot read it.
    pub(crate) fn krl(&self) -> PathBuf {
        self.folder.join("revoked_keys")
    }

    /// Where the certificate for a host key lies.
    pub(crate) fn host_certificate(&self, key: &Path) -> PathBuf {
        let mut name = key.file_name().unwrap_or_default().to_owned();
        name.push("-cert.pub");
        self.folder.join(name)
    }

    /// The `AuthorizedPrincipalsFile` as sshd must see it.
    pub(crate) fn principals_pattern(&self) -> String {
        format!("{}/%u", self.principals().display())
    }

    /// What was installed before, if anything.
    pub(crate) fn installed(&self) -> Result<Option<Manifest>, InstallError> {
        let path = self.manifest();
        let Some(file) = files::read(&path)? else {
            return Ok(None);
        };
        serde_json::from_slice(&file.bytes)
            .map(Some)
            .map_err(|error| InstallError::Manifest {
                path,
                cause: error.to_string(),
            })
    }

    /// Our drop-in, where the main file reads one first.
    pub(crate) fn drop_in(&self, main: &str) -> Option<PathBuf> {
        // An `Include` right below our block counts: the block would go.
        sshd::drop_in_folder(self.sshd.config(), &sshd_lines::without_block(main))
            .map(|folder| folder.join(DROP_IN))
    }

    /// What the files of others say in `Match` blocks. `sshd -T` answers for one connection alone.
    pub(crate) fn conditional(
        &self,
        main: &str,
        earlier: Option<&Manifest>,
    ) -> Result<Vec<Conditional>, InstallError> {
        let config = self.sshd.config();
        let mut ours: Vec<PathBuf> = self.drop_in(main).into_iter().collect();
        ours.extend(earlier.iter().flat_map(|manifest| {
            let files = manifest.files.iter().map(|file| file.path.clone());
            files.filter(|path| path != config)
        }));
        Ok(match_blocks::read(config, main, &ours)?)
    }

    /// Looks at all that counts for these accounts, asking sshd about each.
    pub(crate) fn look<'a>(
        &self,
        admissions: impl IntoIterator<Item = &'a Admission>,
    ) -> Result<Host, InstallError> {
        let version = self.sshd.version()?;
        if version < sshd::OLDEST {
            return Err(InstallError::TooOld(version));
        }
        let config = self.sshd.config();
        let main = files::read(config)?;
        let main = main.ok_or_else(|| InstallError::NoConfig(config.to_owned()))?;
        let main_text = main.text(config)?.to_owned();
        let earlier = self.installed()?;
        let mut effective = Vec::new();
        let mut ca_files = BTreeMap::new();
        let accounts = admissions
            .into_iter()
            .map(|admission| Some(&admission.account));
        for account in accounts.chain([None]) {
            let holds = self.sshd.effective(account)?;
            let ca_file = holds.file("trustedusercakeys").map(Path::new);
            if let Some(path) = ca_file.filter(|path| *path != self.ca_keys()) {
                ca_files.insert(path.to_owned(), files::read_through_link(path)?);
            }
            effective.push((account.cloned(), holds));
        }
        Ok(Host {
            conditional: self.conditional(&main_text, earlier.as_ref())?,
            main,
            main_text,
            earlier,
            effective,
            ca_files,
        })
    }
}
