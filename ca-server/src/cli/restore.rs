//! `restore`: a data folder from a backup. What happened after the backup is lost, so a new epoch
//! begins: proofs and logins of before count no more, and a key set of that epoch, signed by the
//! identity key, tells clients and hosts that this is no rollback (A80).

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Args;
use jit_ssh_terminal::{Failure, Terminal};
use serde::Serialize;

use super::init::folder;
use super::passphrase::Passphrase;
use super::setup::systemd::Systemd;
use crate::data::KEYS;
use crate::signer::{self, KeyPair, file, key_set};
use crate::store::{StoreError, backup};
use crate::time::Clock;

/// `restore`.
#[derive(Debug, Args)]
#[command(after_help = "\
DIR (--data) must be empty or not there. Everybody signs in again afterwards; certificates that are
out stay valid until they end. See that the CA that was backed up serves no more.

Example:
  jit-ssh-ca restore /var/backups/jit-ssh-ca-2026-11-23 --data /var/lib/jit-ssh-ca")]
pub(super) struct Restore {
    /// File made by `jit-ssh-ca backup`
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Number of the new epoch, later than the backup's and than any that clients have seen
    /// [default: the time, in milliseconds since 1970, so that no two restores have the same]
    #[arg(long, value_name = "N")]
    epoch: Option<u64>,
    #[command(flatten)]
    passphrase: Passphrase,
}

#[derive(Serialize)]
struct Done {
    data: PathBuf,
    epoch: u64,
    records: u64,
    /// What the configuration names outside of the data folder, and where its copy is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    outside: Vec<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sign_key_set: Option<String>,
}

impl Restore {
    fn refused(&self, error: &StoreError) -> Failure {
        if let StoreError::Epoch { .. } = error {
            return Failure::usage("This epoch would be no new one; nothing was changed.")
                .why(error)
                .next("Leave `--epoch` out: the default is later than all before.");
        }
        let file = self.file.display();
        match error {
            StoreError::File { path, cause } if *path == self.file => {
                return match cause.kind() {
                    ErrorKind::NotFound => Failure::failed(format_args!("{file} is not there.")),
                    _ => Failure::failed(format_args!("{file} cannot be read.")).why(cause),
                }
                .next("Give the file that `jit-ssh-ca backup` made; nothing was changed.");
            }
            _ => {}
        }
        Failure::failed(format_args!(
            "{file} cannot be restored; nothing was changed."
        ))
        .why(error)
        .next("Take another backup: this one is not whole, or not one of ours.")
    }

    pub(super) fn run(self, data: &Path, terminal: &mut Terminal) -> Result<(), Failure> {
        let now = Clock::System.now();
        let staging = folder::Staging::begin(data)?;
        let root = staging.path().join("data");
        let restored = backup::restore(&self.file, &root, self.epoch, now)
            .map_err(|error| self.refused(&error))?;
        let no_key_set = |error: &dyn std::fmt::Display| {
            Failure::failed("The new epoch cannot be signed; nothing was changed.").why(error)
        };
        let keys = root.join(KEYS);
        let identity = file::read_public(&keys, signer::IDENTITY).map_err(|e| no_key_set(&e))?;
        let before = key_set::load(&root, &identity).map_err(|e| no_key_set(&e))?;
        let set = key_set::next(&before.set, restored.epoch, now);
        let mut sign_key_set = None;
        if keys.join(signer::IDENTITY).exists() {
            let passphrase = self.passphrase.read(terminal)?;
            let private = file::unlock(&keys, signer::IDENTITY, Some(&passphrase))
                .map_err(|e| no_key_set(&e))?;
            let pair = KeyPair::from_private(&private).map_err(|e| no_key_set(&e))?;
            let signed = key_set::sign(&pair, &set).map_err(|e| no_key_set(&e))?;
            key_set::write(&root, &signed).map_err(|e| no_key_set(&e))?;
        } else {
            let command = key_set::write_to_sign(&root, &set).map_err(|e| no_key_set(&e))?;
            let (made, named) = (root.display().to_string(), data.display().to_string());
            sign_key_set = Some(command.replace(&made, &named));
        }
        staging.commit_folder(&root)?;
        if let Some(systemd) = Systemd::here().filter(|systemd| systemd.serves(data)) {
            systemd.give(data)?;
        }
        let done = Done {
            data: data.to_owned(),
            epoch: restored.epoch,
            records: restored.records,
            outside: restored
                .files
                .iter()
                .filter(|file| file.starts_with(backup::OUTSIDE))
                .map(|file| data.join(file))
                .collect(),
            sign_key_set,
        };
        terminal.answer(&done, |done| {
            let sign = done.sign_key_set.as_ref().map_or(String::new(), |command| {
                format!("\nSign the key set where the identity key is, and bring the signature back:\n  {command}")
            });
            let mut outside = String::new();
            for (index, file) in done.outside.iter().enumerate() {
                if index == 0 {
                    outside.push_str(
                        "\nca.toml names files outside of the folder. If they are not there, put these \
                         there or name these:",
                    );
                }
                outside.push_str(&format!("\n  {}", file.display()));
            }
            format!(
                "{} holds {} records and begins epoch {}.{sign}{outside}\n\
                 Everybody signs in again. Start it: systemctl start jit-ssh-ca",
                done.data.display(),
                done.records,
                done.epoch
            )
        })
    }
}
