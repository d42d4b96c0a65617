//! `setup`: a CA on this machine in one command. It asks the identity provider first (so that a
//! wrong address is told before anything is made), makes the data folder, gives it to a user of its
//! own under systemd, starts the CA, and prints what to do at the provider, on servers and laptops.

use std::path::{Path, PathBuf};

use clap::Args;
use jit_ssh_terminal::{Failure, Terminal};
use serde::Serialize;

mod guide;
pub(super) mod issuer;
pub(super) mod systemd;

use super::init::{Chosen, New, folder};
use super::passphrase::{self, Passphrase};

/// `setup`.
#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is ever overwritten. Without systemd it makes the data folder and says how to start the CA.
With a certificate made by itself (the default) browsers warn on the page of `jit-ssh login
--no-browser`; everything else checks the fingerprint. docs/operating.md goes through all of it.

Example:
  jit-ssh-ca setup --url https://ca.example.com --issuer https://acme.okta.com \\
      --client-id 0oa1b2c3 --grant Ops=production-observer:observer --hosts '*.prod.example.com'")]
pub(super) struct Setup {
    #[command(flatten)]
    new: New,
    /// File with the passphrase of the keys; made with a random one if it is not there
    /// [default: /etc/jit-ssh-ca/passphrase, or DATA.passphrase when not root]
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Make everything, start nothing
    #[arg(long)]
    no_start: bool,
    /// Make no systemd unit and no user of its own; say how to start the CA by hand
    #[arg(long)]
    no_systemd: bool,
    /// Do not ask the identity provider
    #[arg(long)]
    skip_issuer_check: bool,
}

/// What was done, for `--json`.
#[derive(Debug, Serialize)]
struct Done {
    data: PathBuf,
    passphrase_file: PathBuf,
    url: String,
    fingerprint: String,
    started: bool,
    redirects: Vec<String>,
    server_command: String,
    laptop_command: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sign_key_set: Option<String>,
}

impl Setup {
    pub(super) fn run(self, data: &Path, terminal: &mut Terminal) -> Result<(), Failure> {
        let systemd = systemd::Systemd::here().filter(|_| !self.no_systemd);
        self.run_with(systemd.as_ref(), data, terminal)
    }

    fn run_with(
        mut self,
        systemd: Option<&systemd::Systemd>,
        data: &Path,
        terminal: &mut Terminal,
    ) -> Result<(), Failure> {
        let mut plan = self.new.plan()?;
        let passphrase_file = self.passphrase_file(data)?;
        let unit = systemd
            .map(|systemd| systemd.unit(data, &passphrase_file))
            .transpose()?;
        if !self.skip_issuer_check {
            let _spinner = terminal.spinner("asking the identity provider");
            let checked = issuer::check(&self.new.issuer, self.new.issuer_ca.as_deref())?;
            for remark in checked.remarks {
                terminal.warn(remark);
            }
            if checked.groups_scope && self.new.scopes.is_empty() {
                self.new.scopes = plan.scopes_with("groups");
                plan = self.new.plan()?;
            }
        }
        let staging = folder::Staging::begin(data)?;
        let (chosen, made_passphrase) = choose(&passphrase_file)?;
        let made = plan.make(staging, data, &chosen).inspect_err(|_| {
            if made_passphrase {
                // It locks nothing: no key was made with it.
                let _ = std::fs::remove_file(&passphrase_file);
            }
        })?;
        let waits = made.sign_key_set.is_some();
        // The CA is made by now, and is not made again: whatever systemd says, what to paste is told.
        let start = !self.no_start && !waits;
        let began = match (systemd, unit) {
            (Some(systemd), Some(unit)) => {
                let _spinner = terminal.spinner("starting the CA");
                systemd.install(&unit, data).and_then(|()| match start {
                    true => systemd.start(),
                    false => Ok(()),
                })
            }
            _ => Ok(()),
        };
        let started = systemd.is_some() && start && began.is_ok();
        let guide = guide::Guide::new(&plan, &made, &self.new);
        let done = Done {
            data: data.to_owned(),
            url: made.url.clone(),
            fingerprint: made.fingerprint.clone(),
            started,
            redirects: guide.redirects(),
            server_command: guide.server(),
            laptop_command: guide.laptop(),
            sign_key_set: made.sign_key_set.clone(),
            passphrase_file,
        };
        terminal.answer(&done, |done| {
            guide.text(&guide::State {
                started: done.started,
                under_systemd: systemd.is_some(),
                data,
                passphrase_file: &done.passphrase_file,
                made_passphrase,
            })
        })?;
        began
    }

    fn passphrase_file(&self, data: &Path) -> Result<PathBuf, Failure> {
        let path = match &self.passphrase_file {
            Some(path) => path.clone(),
            None if rustix::process::geteuid().is_root() => PathBuf::from(systemd::PASSPHRASE),
            None => {
                let mut name = data.file_name().unwrap_or_default().to_owned();
                name.push(".passphrase");
                data.with_file_name(name)
            }
        };
        let path = std::path::absolute(path)
            .map_err(|error| Failure::usage("--passphrase-file is no path.").why(error))?;
        if path.starts_with(data) {
            return Err(
                Failure::usage("The passphrase must not lie in the data folder.")
                    .why("Whoever copies the folder would have both the keys and what locks them."),
            );
        }
        Ok(path)
    }
}

/// The passphrase in the file, or a random one in a new file.
fn choose(path: &Path) -> Result<(Chosen, bool), Failure> {
    if path.exists() {
        let existing = Passphrase {
            passphrase_file: Some(path.to_owned()),
        };
        return match existing.stored()? {
            Some(passphrase) => Ok((Chosen::ByPerson(passphrase), false)),
            None => Err(Failure::usage("The passphrase file is empty.")),
        };
    }
    let parent = path.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(parent).map_err(|error| {
        Failure::failed(format_args!("{} cannot be made.", parent.display()))
            .why(error)
            .next("Use sudo, or name a file of your own: `--passphrase-file FILE`.")
    })?;
    Ok((Chosen::AtRandom(passphrase::generate(path)?), true))
}

#[cfg(test)]
mod tests;
