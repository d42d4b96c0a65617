//! Where the passphrase of the CA's keys comes from: a file, a systemd credential, the environment,
//! or the person; in this order. It is never an argument, which every process could read.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use jit_ssh_terminal::{Failure, Terminal};

use crate::entropy;
use crate::secret::Secret;

/// How to get the passphrase.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Passphrase {
    /// File with the passphrase of the keys. Else the systemd credential `passphrase`, else
    /// JIT_SSH_CA_PASSPHRASE, else you are asked
    #[arg(long, value_name = "FILE")]
    pub(super) passphrase_file: Option<PathBuf>,
}

impl Passphrase {
    /// The passphrase of keys that exist.
    pub(super) fn read(&self, terminal: &Terminal) -> Result<Secret<String>, Failure> {
        match self.stored()? {
            Some(passphrase) => Ok(passphrase),
            None => prompt(terminal, "Passphrase of the CA's keys: "),
        }
    }

    /// The passphrase for keys to be made; a person is asked twice.
    pub(super) fn choose(&self, terminal: &Terminal) -> Result<Secret<String>, Failure> {
        if let Some(passphrase) = self.stored()? {
            return long_enough(passphrase);
        }
        let first = long_enough(prompt(terminal, "New passphrase for the CA's keys: ")?)?;
        let second = prompt(terminal, "The same again: ")?;
        if first.expose() != second.expose() {
            return Err(Failure::usage("The two passphrases differ.").next("Try again."));
        }
        Ok(first)
    }

    /// One that nobody has to type, if there is one.
    pub(super) fn stored(&self) -> Result<Option<Secret<String>>, Failure> {
        if let Some(path) = &self.passphrase_file {
            return read_file(path, Readers::OwnerAlone).map(Some);
        }
        if let Some(folder) = std::env::var_os("CREDENTIALS_DIRECTORY") {
            let path = Path::new(&folder).join("passphrase");
            if path.exists() {
                return read_file(&path, Readers::AsSystemdSays).map(Some);
            }
        }
        match std::env::var("JIT_SSH_CA_PASSPHRASE") {
            Ok(text) if !text.is_empty() => Ok(Some(Secret::new(text))),
            _ => Ok(None),
        }
    }
}

#[derive(Clone, Copy)]
enum Readers {
    OwnerAlone,
    AsSystemdSays,
}

fn read_file(path: &Path, readers: Readers) -> Result<Secret<String>, Failure> {
    let unreadable = |error: &dyn std::fmt::Display| {
        Failure::usage(format_args!(
            "The passphrase file {} cannot be read.",
            path.display()
        ))
        .why(error)
    };
    let mode = std::fs::metadata(path)
        .map_err(|error| unreadable(&error))?
        .mode();
    if matches!(readers, Readers::OwnerAlone) && mode & 0o077 != 0 {
        return Err(Failure::usage(format_args!(
            "The passphrase file {} can be read by others.",
            path.display()
        ))
        .next(format_args!("chmod 600 {}", path.display())));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(&error))?;
    let text = Secret::new(text);
    let passphrase = text.expose().trim_end_matches(['\r', '\n']);
    if passphrase.is_empty() {
        return Err(Failure::usage(format_args!(
            "The passphrase file {} is empty.",
            path.display()
        )));
    }
    Ok(Secret::new(passphrase.to_owned()))
}

fn prompt(terminal: &Terminal, question: &str) -> Result<Secret<String>, Failure> {
    if !terminal.is_interactive() {
        return Err(
            Failure::usage("The passphrase of the CA's keys is missing.")
                .next("Give a file: `--passphrase-file FILE`; or set JIT_SSH_CA_PASSPHRASE."),
        );
    }
    let text = rpassword::prompt_password(question)
        .map_err(|error| Failure::usage("The passphrase cannot be read.").why(error))?;
    Ok(Secret::new(text))
}

fn long_enough(passphrase: Secret<String>) -> Result<Secret<String>, Failure> {
    if passphrase.expose().chars().count() < 10 {
        return Err(
            Failure::usage("The passphrase is shorter than ten characters.")
                .next("Take a longer one; `--generate-passphrase FILE` makes one."),
        );
    }
    Ok(passphrase)
}

/// A random passphrase in a new file that only its owner reads.
pub(super) fn generate(path: &Path) -> Result<Secret<String>, Failure> {
    let passphrase = crate::signer::file::random_passphrase(&mut entropy::from_system());
    super::init::folder::new_file(path, format!("{}\n", passphrase.expose()).as_bytes(), 0o600)
        .map_err(|error| {
            Failure::failed(format_args!("{} cannot be made.", path.display()))
                .why(error)
                .next(
                    "Nothing is overwritten: give another file, or use the one that is there with \
                 `--passphrase-file`.",
                )
        })?;
    Ok(passphrase)
}
