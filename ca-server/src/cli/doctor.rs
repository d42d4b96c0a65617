//! `doctor`: looks at the data folder, the providers and the serving process, and says for each
//! finding what mends it. Changes nothing.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use clap::Args;
use jit_ssh_api::key_set::{KeySet, SignedKeySet};
use jit_ssh_connect::Request;
use jit_ssh_terminal::{Check, Failure, Report, State, Terminal};
use ssh_key::PublicKey;

use super::access::{Access, is_served};
use super::passphrase::Passphrase;
use super::policy::{self, POLICY_FILE, count};
use super::setup::issuer;
use crate::config::{Config, Tls};
use crate::data::{KEYS, LEDGER};
use crate::secret::Secret;
use crate::signer::key_set::KeySetError;
use crate::signer::{KeyFolder, LockedKeyring, key_set};
use crate::store;

/// `doctor`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sudo jit-ssh-ca doctor")]
pub(super) struct Doctor {
    /// Do not call the identity providers
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    passphrase: Passphrase,
}

impl Doctor {
    pub(super) fn run(self, data: &Path, terminal: &mut Terminal) -> Result<(), Failure> {
        let mut report = Report::default();
        report.extend(self.look(data, terminal));
        report.tell(terminal)
    }

    fn look(&self, data: &Path, terminal: &mut Terminal) -> Vec<Check> {
        let mut findings = vec![folder(data)];
        if findings.iter().any(|finding| finding.state() == State::Bad) {
            return findings;
        }
        let config = match Config::load(data) {
            Ok(config) => {
                let issuers = count(config.issuers.len(), "issuer");
                findings.push(Check::good(
                    "configuration",
                    format!("ca.toml is valid: {issuers}"),
                ));
                Some(config)
            }
            Err(error) => {
                let mend = "Mend ca.toml; docs/configuration.md has every key.";
                findings.push(Check::bad("configuration", error.to_string(), mend));
                None
            }
        };
        findings.push(match policy::load(&data.join(POLICY_FILE), terminal) {
            Ok(policy) => {
                let tests = count(policy.test_count(), "test");
                Check::good("policy", format!("policy.toml is valid: {tests} passed"))
            }
            Err(failure) => Check::failed("policy", &failure),
        });
        findings.extend(self.keys(data, config.as_ref()));
        if let Some(config) = &config {
            findings.push(tls(data, config));
            findings.push(disk(data, config));
            if !self.offline {
                let extra = config.extra_ca.as_ref().map(|file| data.join(file));
                for configured in &config.issuers {
                    let _spinner = terminal.spinner("asking the identity provider");
                    findings.extend(provider(configured.issuer.as_ref(), extra.as_deref()));
                }
            }
        }
        findings.push(serving(data, terminal));
        findings
    }

    fn keys(&self, data: &Path, config: Option<&Config>) -> Vec<Check> {
        let folder = match KeyFolder::read(&data.join(KEYS)) {
            Ok(folder) => folder,
            Err(error) => {
                let restore = "Restore them from a backup: `jit-ssh-ca restore`.";
                return vec![Check::bad("keys", error.to_string(), restore)];
            }
        };
        let (set, finding) = set(data, folder.identity(), config);
        let mut findings = match set {
            Some(set) => self.active_keys(&folder, &set, config),
            None => Vec::new(),
        };
        findings.push(finding);
        findings
    }

    /// The keys that the key set names.
    fn active_keys(&self, folder: &KeyFolder, set: &KeySet, config: Option<&Config>) -> Vec<Check> {
        let locked = match LockedKeyring::read(folder, set) {
            Ok(locked) => locked,
            Err(error) => {
                let restore = "Restore it from a backup.";
                return vec![Check::bad("keys", error.to_string(), restore)];
            }
        };
        let unfit = config.map(|config| locked.unfit(config.profile));
        let mend = "A profile is chosen once, at `init`: write the one of the keys into ca.toml.";
        let mut findings: Vec<Check> = unfit
            .unwrap_or_default()
            .iter()
            .map(|error| Check::bad("keys", error.to_string(), mend))
            .collect();
        findings.push(match self.passphrase.stored() {
            Ok(Some(passphrase)) => unlocks(locked, &passphrase),
            Ok(None) => Check::note(
                "keys",
                "all there; whether the passphrase fits was not tried",
                "Give it with `--passphrase-file /etc/jit-ssh-ca/passphrase`.",
            ),
            Err(failure) => Check::failed("keys", &failure),
        });
        findings
    }
}

fn unlocks(locked: LockedKeyring, passphrase: &Secret<String>) -> Check {
    let wrong = |error: &dyn std::fmt::Display| {
        Check::bad("keys", error.to_string(), "Give the right passphrase file.")
    };
    match locked.unlock(Some(passphrase)) {
        Err(error) => wrong(&error),
        Ok(keyring) => match keyring.complete() {
            Err(error) => wrong(error),
            Ok(()) => Check::good("keys", "all there, and the passphrase unlocks them"),
        },
    }
}

/// The set, or the one that waits for its signature, and what is to be said of it. Read here without
/// taking over one that was signed elsewhere: that is for `serve`, as its user.
fn set(data: &Path, identity: &PublicKey, config: Option<&Config>) -> (Option<KeySet>, Check) {
    let epoch = match store::epoch_at(&data.join(LEDGER)) {
        Ok(epoch) => epoch,
        Err(error) => {
            let mend = "Restore the ledger from a backup: `jit-ssh-ca restore`.";
            return (None, Check::bad("ledger", error.to_string(), mend));
        }
    };
    match key_set::look_in(data, identity, epoch) {
        Ok(loaded) => {
            let finding = fits(&loaded.set, config, epoch);
            (Some(loaded.set), finding)
        }
        Err(error @ KeySetError::Unsigned { .. }) => {
            let mend = "Sign it there, and bring the signature back beside it.";
            let finding = Check::bad("key set", error.to_string(), mend);
            (key_set::to_sign(data).ok(), finding)
        }
        Err(error) => {
            let mend = "Restore key-set.json from a backup.";
            (None, Check::bad("key set", error.to_string(), mend))
        }
    }
}

fn fits(set: &KeySet, config: Option<&Config>, epoch: Option<u64>) -> Check {
    if config.is_some_and(|config| config.name != set.name) {
        let says = format!("it is for the CA `{}`", set.name);
        let mend = format!("Write that name into ca.toml: name = \"{}\"", set.name);
        return Check::bad("key set", says, &mend);
    }
    if let Some(epoch) = epoch.filter(|epoch| *epoch != set.epoch) {
        let says = format!(
            "it is of epoch {}, and the ledger is in epoch {epoch}: one of them was brought back alone",
            set.epoch
        );
        let mend = "Restore the whole folder from a backup: `jit-ssh-ca restore`.";
        return Check::bad("key set", says, mend);
    }
    let says = format!(
        "epoch {}, number {}, signed by the identity key",
        set.epoch, set.number
    );
    Check::good("key set", says)
}

fn folder(data: &Path) -> Check {
    let metadata = match data.metadata() {
        Ok(metadata) => metadata,
        Err(error) => {
            return Check::bad(
                "data folder",
                format!("{}: {error}", data.display()),
                "Name it with `--data`, use sudo, or make one: `jit-ssh-ca setup --help`.",
            );
        }
    };
    if let Err(error) = std::fs::read_dir(data) {
        return Check::bad(
            "data folder",
            format!("{}: {error}", data.display()),
            "Use sudo.",
        );
    }
    if metadata.mode() & 0o077 != 0 {
        let says = format!(
            "{} is open to others (mode {:o})",
            data.display(),
            metadata.mode() & 0o7777
        );
        return Check::bad("data folder", says, format!("chmod 700 {}", data.display()));
    }
    Check::good("data folder", data.display().to_string())
}

fn tls(data: &Path, config: &Config) -> Check {
    if config.has_unknown_proxy() {
        return Check::note(
            "TLS",
            "none here, though `url` is https; the proxy in front is not named, so everybody has its address",
            "Write it into ca.toml, below [listen]: trusted_proxies = [\"127.0.0.1\", \"::1\"]",
        );
    }
    let Tls::Files { certificate, key } = &config.listen.tls else {
        return Check::good(
            "TLS",
            format!("none; plain HTTP on {}", config.listen.address),
        );
    };
    for path in [certificate, key] {
        let path = data.join(path);
        if let Err(error) = std::fs::File::open(&path) {
            let says = format!("{}: {error}", path.display());
            return Check::bad("TLS", says, "The CA's user must be able to read it.");
        }
    }
    Check::good("TLS", data.join(certificate).display().to_string())
}

fn disk(data: &Path, config: &Config) -> Check {
    match rustix::fs::statvfs(data) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let says = format!("{} MiB free", free / 1024 / 1024);
            if free < config.disk_reserve.saturating_mul(2) {
                return Check::bad(
                    "disk",
                    says,
                    "Make room: below its reserve the CA stops issuing.",
                );
            }
            Check::good("disk", says)
        }
        Err(error) => Check::note(
            "disk",
            error.to_string(),
            "Look at the disk under the data folder.",
        ),
    }
}

fn provider(address: &str, extra_ca: Option<&Path>) -> Vec<Check> {
    match issuer::check(address, extra_ca).map(|checked| checked.remarks) {
        Ok(warnings) if warnings.is_empty() => {
            vec![Check::good(
                "identity provider",
                format!("{address} answers"),
            )]
        }
        Ok(warnings) => warnings
            .into_iter()
            .map(|warning| {
                Check::note(
                    "identity provider",
                    warning,
                    "docs/idp says what to set there.",
                )
            })
            .collect(),
        Err(failure) => vec![Check::failed("identity provider", &failure)],
    }
}

fn serving(data: &Path, terminal: &mut Terminal) -> Check {
    if !is_served(data) {
        let mend = "Start it: `systemctl start jit-ssh-ca`, or `jit-ssh-ca serve`.";
        return Check::note("serving", "no process serves this folder", mend);
    }
    let asked = Access::default().open(data).and_then(|mut caller| {
        caller.call::<SignedKeySet>(&Request::get("/v1/admin/keys"), terminal)
    });
    match asked {
        Ok(_) => Check::good("serving", "the CA answers on its socket"),
        Err(failure) => Check::failed("serving", &failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_that_is_not_named_is_told_of() {
        let behind = "url = \"https://ca.example.com\"\n[listen]\ntls = \"none\"\n";
        let look = |text: &str| tls(Path::new("/"), &Config::parse(text).unwrap()).state();
        assert_eq!(look(behind), State::Note);
        let named = format!("{behind}trusted_proxies = [\"127.0.0.1\"]\n");
        assert_eq!(look(&named), State::Good);
        assert_eq!(
            look(&behind.replace("https://ca.example.com", "http://127.0.0.1")),
            State::Good
        );
    }
}
