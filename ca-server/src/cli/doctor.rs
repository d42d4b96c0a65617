//! `doctor`: looks at the data folder, the providers and the serving process, and says for each
//! finding what mends it. Changes nothing.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use clap::Args;
use jit_ssh_api::key_set::SignedKeySet;
use jit_ssh_connect::Request;
use jit_ssh_terminal::{Check, Failure, Report, State, Terminal};
use ssh_key::{HashAlg, PublicKey};

use super::access::{Access, is_served};
use super::passphrase::Passphrase;
use super::policy::{self, POLICY_FILE, count};
use super::setup::issuer;
use crate::config::{Config, Tls};
use crate::data::KEYS;
use crate::signer::{self, file, key_set};

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
        let keys = data.join(KEYS);
        let identity = match file::check_folder(&keys)
            .and_then(|()| file::read_public(&keys, signer::IDENTITY))
        {
            Ok(identity) => identity,
            Err(error) => {
                return vec![Check::bad(
                    "keys",
                    error.to_string(),
                    "Restore them from a backup: `jit-ssh-ca restore`.",
                )];
            }
        };
        let mut findings = Vec::new();
        let restore = "Restore it from a backup.";
        let mut found = vec![(signer::IDENTITY, identity.clone())];
        for purpose in signer::PURPOSES {
            let name = signer::file_name(purpose);
            match file::read(&keys, name) {
                Ok(key) => found.push((name, key.public_key().clone())),
                Err(error) => findings.push(Check::bad("keys", error.to_string(), restore)),
            }
        }
        if let Some(config) = config {
            let unfit = found
                .iter()
                .filter_map(|(name, key)| signer::fits(name, key, config.profile).err());
            let mend =
                "A profile is chosen once, at `init`: write the one of the keys into ca.toml.";
            findings.extend(unfit.map(|error| Check::bad("keys", error.to_string(), mend)));
        }
        match self.passphrase.stored() {
            Ok(Some(passphrase)) => match signer::Keyring::open(&keys, Some(&passphrase)) {
                Ok(_) => findings.push(Check::good(
                    "keys",
                    "all there, and the passphrase unlocks them",
                )),
                Err(error) => findings.push(Check::bad(
                    "keys",
                    error.to_string(),
                    "Give the right passphrase file.",
                )),
            },
            Ok(None) => findings.push(Check::note(
                "keys",
                "all there; whether the passphrase fits was not tried",
                "Give it with `--passphrase-file /etc/jit-ssh-ca/passphrase`.",
            )),
            Err(failure) => findings.push(Check::failed("keys", &failure)),
        }
        findings.push(set(data, &identity, config));
        findings
    }
}

/// Read here without taking over one that was signed elsewhere: that is for `serve`, as its user.
fn set(data: &Path, identity: &PublicKey, config: Option<&Config>) -> Check {
    let path = data.join(key_set::FILE);
    let Ok(text) = std::fs::read_to_string(&path) else {
        return match key_set::load(data, identity) {
            Err(error @ key_set::KeySetError::Unsigned { .. }) => Check::bad(
                "key set",
                error.to_string(),
                "Sign it there, and bring the signature back beside it.",
            ),
            Err(error) => Check::bad("key set", error.to_string(), "Restore it from a backup."),
            Ok(_) => Check::good("key set", "signed elsewhere, and taken over"),
        };
    };
    let pinned = identity.fingerprint(HashAlg::Sha256).to_string();
    let set = serde_json::from_str::<SignedKeySet>(&text)
        .map_err(|error| error.to_string())
        .and_then(|signed| signed.verify(&pinned).map_err(|error| error.to_string()));
    match set {
        Err(error) => Check::bad("key set", error, "Restore key-set.json from a backup."),
        Ok(set) if config.is_some_and(|config| config.name != set.name) => Check::bad(
            "key set",
            format!("it is for the CA `{}`", set.name),
            format!("Write that name into ca.toml: name = \"{}\"", set.name),
        ),
        Ok(set) => Check::good(
            "key set",
            format!(
                "epoch {}, number {}, signed by the identity key",
                set.epoch, set.number
            ),
        ),
    }
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
