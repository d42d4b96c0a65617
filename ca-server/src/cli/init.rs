//! `init`: the data folder of a new CA, whole or not at all: keys, the signed key set, `ca.toml`,
//! `policy.toml`, and with `--tls self` a TLS identity that the key set pins.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use jit_ssh_api::discovery::Profile;
use jit_ssh_api::key_set::Purpose;
use jit_ssh_terminal::{Failure, Terminal};
use serde::Serialize;
use ssh_key::{HashAlg, PublicKey};
use url::{Host, Url};

pub(super) mod configuration;
pub(super) mod folder;
mod tls;

use super::passphrase::{self, Passphrase};
use super::policy::{POLICY_FILE, faults};
use crate::config::Config;
use crate::data::{CONFIG, KEYS};
use crate::entropy::{self, Entropy};
use crate::identity::Preset;
use crate::policy::{ExampleGrant, IssuerFacts, Policy, example, example_for_people};
use crate::secret::Secret;
use crate::signer::file::Lock;
use crate::signer::{self, KeyKind, KeyPair, file, key_set};
use crate::time::Clock;
use configuration::First;

/// What a new CA is made of.
#[derive(Clone, Debug, Args)]
pub(super) struct New {
    /// Where clients and hosts reach the CA.
    #[arg(long, value_name = "URL", value_parser = ca_url,
        help = "Where clients and hosts reach the CA: https://ca.example.com")]
    pub(super) url: Url,
    /// Issuer of your identity provider, exactly as its tokens name it
    #[arg(long, value_name = "URL")]
    pub(super) issuer: String,
    /// Client id registered there for jit-ssh
    #[arg(long, value_name = "ID")]
    pub(super) client_id: String,
    /// The public "secret" of that client, where the provider insists on one (Google)
    #[arg(long, value_name = "TEXT")]
    client_secret: Option<String>,
    /// Kind of provider, where its address does not tell: okta, entra, google, keycloak, generic
    #[arg(long, value_parser = preset)]
    preset: Option<Preset>,
    /// Claim with the groups, by name or path, where it is not the preset's
    #[arg(long, value_name = "CLAIM")]
    groups_claim: Option<String>,
    /// Claim that every token must have with this value; for Google: hd=example.com
    #[arg(long, value_name = "CLAIM=VALUE", value_parser = pair)]
    require: Vec<(String, String)>,
    /// Port registered for the loopback redirect, where the provider compares it
    #[arg(long = "redirect-port", value_name = "PORT", value_delimiter = ',')]
    redirect_ports: Vec<u16>,
    /// Scopes to ask the provider for [default: the preset's; `setup` adds `groups` where the
    /// provider offers it]
    #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',')]
    pub(super) scopes: Vec<String>,
    /// The provider lets this client redirect to URL/sign-in too: the page for `--no-browser`
    #[arg(long)]
    paste_page: bool,
    /// PEM file with the CA of the provider's TLS certificate, if it is your own
    #[arg(long, value_name = "FILE")]
    pub(super) issuer_ca: Option<PathBuf>,
    /// Who gets what: members of GROUP get ROLE, which opens these Unix accounts; for Google, write a
    /// person's address for GROUP
    #[arg(long = "grant", value_name = "GROUP=ROLE:ACCOUNT[,ACCOUNT]")]
    pub(super) grants: Vec<ExampleGrant>,
    /// Group whose members may read the ledger, end logins and ask about the policy
    #[arg(long = "admins", value_name = "GROUP")]
    admins: Vec<String>,
    /// Hosts where plain `ssh` gets a certificate: '*.prod.example.com'
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    pub(super) hosts: Vec<String>,
    /// TLS: `self` makes a certificate that the fingerprint vouches for, `files` takes yours, `none`
    /// listens on loopback for a proxy
    #[arg(long, value_name = "HOW", value_enum)]
    tls: Option<TlsChoice>,
    /// Certificate chain for `--tls files`
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// Private key for `--tls files`
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// Address and port to listen on [default: all addresses, the port of --url]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Name of the CA in proofs and key sets [default: the host of --url]
    #[arg(long)]
    name: Option<String>,
    /// Keys of the CA: `standard` (Ed25519) or `fips` (ECDSA P-256)
    #[arg(long, value_enum, default_value_t = ProfileChoice::Standard)]
    profile: ProfileChoice,
    /// Public half of an identity key that is kept elsewhere; it then signs the key set with
    /// ssh-keygen before the CA can serve
    #[arg(long, value_name = "FILE.pub")]
    identity_key: Option<PathBuf>,
}

/// How to speak TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TlsChoice {
    /// A certificate of its own.
    #[value(name = "self")]
    Own,
    /// Files that the operator has.
    Files,
    /// None.
    None,
}

/// Which keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ProfileChoice {
    Standard,
    Fips,
}

/// `init`.
#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is ever overwritten: DIR must be empty or not there. `setup` does this and starts the CA.

Example:
  jit-ssh-ca init --data /srv/ca --generate-passphrase /root/ca-passphrase \\
      --url https://ca.example.com --issuer https://acme.okta.com --client-id 0oa1b2c3 \\
      --grant Ops=production-observer:observer")]
pub(super) struct Init {
    #[command(flatten)]
    new: New,
    #[command(flatten)]
    passphrase: Passphrase,
    /// Make a random passphrase for the keys and put it into this new file
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_file")]
    generate_passphrase: Option<PathBuf>,
}

/// What was made.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Made {
    pub(super) data: PathBuf,
    pub(super) url: String,
    pub(super) fingerprint: String,
    /// What to type where the identity key is, before the CA can serve.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sign_key_set: Option<String>,
}

/// The passphrase of the new keys, and where it came from.
pub(super) enum Chosen {
    /// By somebody: worth stretching.
    ByPerson(Secret<String>),
    /// By us, 32 random bytes.
    AtRandom(Secret<String>),
}

impl Init {
    pub(super) fn run(self, data: &Path, terminal: &mut Terminal) -> Result<(), Failure> {
        // Everything that can be wrong with the words comes before anything is made.
        let plan = self.new.plan()?;
        let staging = folder::Staging::begin(data)?;
        let chosen = match &self.generate_passphrase {
            Some(path) => Chosen::AtRandom(passphrase::generate(path)?),
            None => Chosen::ByPerson(self.passphrase.choose(terminal)?),
        };
        let made = plan.make(staging, data, &chosen).inspect_err(|_| {
            if let Some(path) = &self.generate_passphrase {
                // It locks nothing: no key was made with it.
                let _ = std::fs::remove_file(path);
            }
        })?;
        terminal.answer(&made, |made| {
            let sign = made.sign_key_set.as_ref().map_or(String::new(), |command| {
                format!("\n\nSign the key set where the identity key is:\n  {command}\nand bring the signature back beside it.")
            });
            format!(
                "The CA of {} is in {}.\nFingerprint: {}{sign}\n\n\
                 Look through ca.toml and policy.toml there, then: jit-ssh-ca serve --data {}",
                made.url,
                made.data.display(),
                made.fingerprint,
                made.data.display()
            )
        })
    }
}

/// Checked, but nothing is made yet.
pub(super) struct Plan {
    pub(super) url: String,
    host: String,
    first: First,
    pub(super) config: Config,
    configuration: String,
    policy: String,
    own_tls: bool,
    identity: Option<PublicKey>,
    issuer_ca: Option<Vec<u8>>,
}

impl New {
    /// Checks all of it, down to the text of the two files.
    pub(super) fn plan(&self) -> Result<Plan, Failure> {
        let url = self.url.as_str().trim_end_matches('/').to_owned();
        let host = host(&self.url);
        let (tls, own_tls) = self.tls(&self.url)?;
        let preset = self.preset.unwrap_or_else(|| Preset::detect(&self.issuer));
        let issuer_ca = self.issuer_ca.as_deref().map(read).transpose()?;
        let first = First {
            name: self.name.clone().unwrap_or_else(|| host.replace(':', "-")),
            url: url.clone(),
            profile: match self.profile {
                ProfileChoice::Standard => Profile::Standard,
                ProfileChoice::Fips => Profile::Fips,
            },
            hosts: self.hosts.clone(),
            extra_ca: issuer_ca.as_ref().map(|_| ISSUER_CA.to_owned()),
            listen: self.listen(&tls),
            tls,
            issuer: configuration::Issuer {
                issuer: self.issuer.clone(),
                preset,
                groups_claim: self.groups_claim.clone(),
                require: self.require.clone(),
                client_id: self.client_id.clone(),
                client_secret: self.client_secret.clone(),
                redirect_ports: self.redirect_ports.clone(),
                scopes: self.scopes.clone(),
                paste: self.paste_page,
            },
        };
        let configuration = first.text();
        let config = Config::parse(&configuration).map_err(|mistakes| {
            let mistakes: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            Failure::usage("A CA cannot be made of this.").why(mistakes.join("\n"))
        })?;
        let policy = self.policy_text(&config);
        let facts = IssuerFacts::from(config.issuers.as_slice());
        Policy::parse(&policy, &facts).map_err(|errors| faults(Path::new(POLICY_FILE), &errors))?;
        let identity = self
            .identity_key
            .as_deref()
            .map(|path| read_identity(path, first.profile))
            .transpose()?;
        Ok(Plan {
            url,
            host,
            first,
            config,
            configuration,
            policy,
            own_tls,
            identity,
            issuer_ca,
        })
    }

    fn policy_text(&self, config: &Config) -> String {
        let groups = config.issuers.iter().all(|issuer| issuer.can_say.groups);
        let mut text = if groups {
            example(&self.issuer, &self.grants)
        } else {
            // The "group" of a grant is then the e-mail address of a person.
            example_for_people(&self.issuer, &self.grants)
        };
        for group in &self.admins {
            let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
            let who = if groups {
                format!("groups = [{}]", quoted(group))
            } else {
                format!("users  = [{{ email = {} }}]", quoted(group))
            };
            text.push_str(&format!(
                "\n[[rights]]\nissuer = {}\n{who}\nmay    = [\"audit\", \"logins\", \"policy\", \"keys\"]\n",
                quoted(&self.issuer)
            ));
        }
        text
    }

    fn tls(&self, url: &Url) -> Result<(configuration::Tls, bool), Failure> {
        let plain = url.scheme() == "http";
        let choice = match self.tls {
            Some(choice) => choice,
            None if plain => TlsChoice::None,
            None if self.tls_certificate.is_some() => TlsChoice::Files,
            None => TlsChoice::Own,
        };
        if plain && choice != TlsChoice::None {
            return Err(Failure::usage(
                "--tls does not fit --url, which is plain HTTP.",
            ));
        }
        match (choice, &self.tls_certificate, &self.tls_key) {
            (TlsChoice::None, None, _) => Ok((configuration::Tls::None, false)),
            (TlsChoice::Own, None, _) => {
                let (certificate, key) = (TLS_CERTIFICATE.to_owned(), TLS_KEY.to_owned());
                Ok((configuration::Tls::Files { certificate, key }, true))
            }
            (TlsChoice::Files, Some(certificate), Some(key)) => {
                let absolute = |path: &Path| {
                    std::path::absolute(path)
                        .map(|path| path.display().to_string())
                        .map_err(|error| Failure::usage("That is no path.").why(error))
                };
                // Read now, so that a wrong name is told now.
                read(certificate)?;
                read(key)?;
                let (certificate, key) = (absolute(certificate)?, absolute(key)?);
                Ok((configuration::Tls::Files { certificate, key }, false))
            }
            (TlsChoice::Files, ..) => Err(Failure::usage("`--tls files` needs the files.")
                .next("Add `--tls-certificate FILE --tls-key FILE`.")),
            (TlsChoice::None | TlsChoice::Own, Some(_), _) => {
                Err(Failure::usage("--tls-certificate is for `--tls files`."))
            }
        }
    }

    fn listen(&self, tls: &configuration::Tls) -> String {
        if let Some(listen) = self.listen {
            return listen.to_string();
        }
        let port = self.url.port_or_known_default().unwrap_or(443);
        match (tls, self.url.host()) {
            (configuration::Tls::None, Some(Host::Ipv4(address))) => format!("{address}:{port}"),
            (configuration::Tls::None, Some(Host::Ipv6(address))) => format!("[{address}]:{port}"),
            // A proxy stands in front.
            (configuration::Tls::None, _) if self.url.scheme() == "https" => {
                "127.0.0.1:8443".to_owned()
            }
            (configuration::Tls::None, _) => format!("127.0.0.1:{port}"),
            (configuration::Tls::Files { .. }, _) => format!("[::]:{port}"),
        }
    }
}

impl Plan {
    /// The scopes of the preset and one more.
    pub(super) fn scopes_with(&self, scope: &str) -> Vec<String> {
        let clients = self
            .config
            .issuers
            .iter()
            .flat_map(|issuer| &issuer.clients);
        let mut scopes: Vec<String> = clients.flat_map(|client| client.scopes.clone()).collect();
        if !scopes.iter().any(|known| known == scope) {
            scopes.push(scope.to_owned());
        }
        scopes
    }

    /// Makes the folder and gives it its name.
    pub(super) fn make(
        &self,
        staging: folder::Staging,
        data: &Path,
        passphrase: &Chosen,
    ) -> Result<Made, Failure> {
        let root = staging.path();
        let unwritable = |error: std::io::Error| {
            Failure::failed(format_args!("{} cannot be written.", data.display())).why(error)
        };
        let put = |name: &str, content: &[u8]| {
            folder::new_file(&root.join(name), content, 0o600).map_err(unwritable)
        };
        put(CONFIG, self.configuration.as_bytes())?;
        put(POLICY_FILE, self.policy.as_bytes())?;
        if let Some(pem) = &self.issuer_ca {
            put(ISSUER_CA, pem)?;
        }
        let mut tls_pins = Vec::new();
        if self.own_tls {
            let identity = tls::generate(&self.host)
                .map_err(|error| Failure::failed("No TLS identity can be made.").why(error))?;
            folder::new_folder(&root.join("tls")).map_err(unwritable)?;
            put(TLS_CERTIFICATE, identity.certificate.as_bytes())?;
            put(TLS_KEY, identity.key.expose().as_bytes())?;
            tls_pins.push(identity.pin);
        }
        let keys = root.join(KEYS);
        folder::new_folder(&keys).map_err(unwritable)?;
        let (identity, to_sign) = self.keys(
            root,
            &keys,
            passphrase,
            tls_pins,
            &mut entropy::from_system(),
        )?;
        let sign_key_set = to_sign.map(|command| {
            command.replace(&root.display().to_string(), &data.display().to_string())
        });
        let fingerprint = identity.fingerprint(HashAlg::Sha256).to_string();
        staging.commit()?;
        Ok(Made {
            data: data.to_owned(),
            url: self.url.clone(),
            fingerprint,
            sign_key_set,
        })
    }

    /// The five keys and the first key set; gives the identity key, and what to type where that is
    /// kept elsewhere.
    fn keys(
        &self,
        root: &Path,
        keys: &Path,
        passphrase: &Chosen,
        tls_pins: Vec<String>,
        rng: &mut impl Entropy,
    ) -> Result<(PublicKey, Option<String>), Failure> {
        let kind = match self.first.profile {
            Profile::Standard => KeyKind::Ed25519,
            Profile::Fips => KeyKind::P256,
        };
        let (lock, secret) = match passphrase {
            Chosen::ByPerson(secret) => (Lock::Chosen(secret), secret),
            Chosen::AtRandom(secret) => (Lock::Random(secret), secret),
        };
        let mut others: Vec<(Purpose, PublicKey)> = Vec::new();
        for purpose in signer::PURPOSES {
            let name = signer::file_name(purpose);
            others.push((
                purpose,
                file::generate(keys, name, kind, lock, rng).map_err(no_keys)?,
            ));
        }
        let set = |others: &[(Purpose, PublicKey)]| {
            key_set::first(key_set::FirstKeySet {
                name: &self.first.name,
                epoch: 1,
                created: Clock::System.now(),
                keys: others,
                tls_pins,
            })
        };
        if let Some(identity) = &self.identity {
            file::write_public(keys, signer::IDENTITY, identity).map_err(no_keys)?;
            let command = key_set::write_to_sign(root, &set(&others)).map_err(no_keys)?;
            return Ok((identity.clone(), Some(command)));
        }
        file::generate(keys, signer::IDENTITY, kind, lock, rng).map_err(no_keys)?;
        let private = file::unlock(keys, signer::IDENTITY, Some(secret)).map_err(no_keys)?;
        let pair = KeyPair::from_private(&private).map_err(no_keys)?;
        let signed = key_set::sign(&pair, &set(&others)).map_err(no_keys)?;
        key_set::write(root, &signed).map_err(no_keys)?;
        Ok((pair.public_key().clone(), None))
    }
}

fn no_keys(error: impl std::fmt::Display) -> Failure {
    Failure::failed("The keys cannot be made; nothing was changed.").why(error)
}

fn host(url: &Url) -> String {
    url.host_str()
        .unwrap_or_default()
        .trim_matches(['[', ']'])
        .to_owned()
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        Failure::usage(format_args!("{} cannot be read.", path.display())).why(error)
    })
}

fn read_identity(path: &Path, profile: Profile) -> Result<PublicKey, Failure> {
    let text = read(path)?;
    let key = String::from_utf8_lossy(&text)
        .trim()
        .parse()
        .map_err(|error| {
            Failure::usage(format_args!(
                "{} is not an OpenSSH public key.",
                path.display()
            ))
            .why(error)
            .next("Give the `.pub` file of the identity key.")
        })?;
    signer::fits(signer::IDENTITY, &key, profile).map_err(|error| {
        Failure::usage(format_args!(
            "{} cannot be the identity key.",
            path.display()
        ))
        .why(error)
        .next("Make one: `ssh-keygen -t ecdsa`; security keys are good (`-t ecdsa-sk`).")
    })?;
    Ok(key)
}

fn ca_url(text: &str) -> Result<Url, String> {
    jit_ssh_connect::normalise_url(text).map_err(|error| error.to_string())
}

fn preset(text: &str) -> Result<Preset, String> {
    Preset::ALL
        .into_iter()
        .find(|preset| preset.name() == text)
        .ok_or_else(|| "write okta, entra, google, keycloak or generic".to_owned())
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write CLAIM=VALUE, as in hd=example.com".to_owned()),
    }
}

const ISSUER_CA: &str = "issuer-ca.pem";
const TLS_CERTIFICATE: &str = "tls/cert.pem";
const TLS_KEY: &str = "tls/key.pem";

#[cfg(test)]
mod tests;
