//! The files of the person: pins (what they decided), logins, keys and certificates (what we
//! keep). Folders 0700, files 0600 whatever the umask says, written whole or not at all, never
//! through somebody else's link; two locks for each CA, one for its files and one for the turn to
//! sign in, so that many shells do one thing once and none waits for somebody else's browser (A47).
//!
//! ```text
//! ~/.config/jit-ssh/cas/NAME/pin.json           the CA's URL, identity key, last key set
//! ~/.config/jit-ssh/cas/NAME/hosts.json         what the ssh include is made of
//! ~/.config/jit-ssh/cas/NAME/fleet              enrolled hosts that the person may reach
//! ~/.config/jit-ssh/cas/NAME/known_hosts        who vouches for them: what `ssh` believes there
//! ~/.config/jit-ssh/ssh_config                  what `ssh` includes
//! ~/.config/jit-ssh/aliases.json                what the person calls hosts, as `ssh` resolved it
//! ~/.local/state/jit-ssh/NAME/login.json        who is signed in, roles as last heard
//! ~/.local/state/jit-ssh/NAME/key, key.pub      the login key (in the agent: key.pub alone)
//! ~/.local/state/jit-ssh/NAME/certs/ACCOUNT@HOST-cert.pub   as `ssh` asks for them
//! ~/.local/state/jit-ssh/NAME/roles/ROLE-cert.pub           one for each role in use
//! ~/.local/state/jit-ssh/NAME/key-cert.pub      the last one: for tools that read no `Match`
//! ```

use std::path::PathBuf;
use std::time::Duration;

use jit_ssh_api::discovery::Discovery;
use jit_ssh_api::login::Login;
use jit_ssh_api::role::RolesAnswer;
use jit_ssh_connect::KnownCa;
use jit_ssh_connect::agent::{Agent, AgentError};
pub(crate) use jit_ssh_connect::login_key::KeyPlace;
use jit_ssh_connect::login_key::{KEY_FILE, LOGIN_FILE, PIN_FILE};
use jit_ssh_terminal::Failure;
use serde::{Deserialize, Serialize};

mod files;
mod lock;

pub(crate) use files::{place, read_to_string, read_whole, remove, replace, write};
pub(crate) use lock::{Lock, PATIENCE};

use crate::fleet::Fleet;
use crate::platform;
use crate::ssh_config::aliases::Aliases;
use files::{MAX_FILE, read_json, remove_dir, write_json};
use lock::lock;

/// Why a file of the person cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    /// Neither HOME nor the XDG variables say where.
    #[error("neither HOME nor XDG_CONFIG_HOME and XDG_STATE_HOME name an absolute folder")]
    NoHome,
    /// The system refused.
    #[error("{path}: {cause}")]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The content is not ours.
    #[error("{path} cannot be read: {cause}")]
    Malformed {
        /// File.
        path: PathBuf,
        /// Where it breaks.
        cause: serde_json::Error,
    },
    /// More than is read: a part of it would be taken for the whole.
    #[error("{0} has more than {MAX_FILE} bytes, and jit-ssh reads and writes no file that long")]
    TooLong(PathBuf),
    /// A CA's name that cannot be a folder's.
    #[error("the CA's name {0:?} cannot be used for a folder")]
    Name(String),
    /// Somebody else holds a lock, and goes on holding it.
    #[error("another jit-ssh holds {0} and does not come to its end")]
    Busy(PathBuf),
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        let next = match &error {
            StateError::NoHome => "Set HOME to your home folder.",
            StateError::Io { .. } => "Look at the owner and the mode of that path.",
            StateError::Malformed { .. } => {
                "Remove the file and sign in again: `jit-ssh login --ca URL`."
            }
            StateError::TooLong(_) => "It was left as it is. Make it shorter, and try again.",
            StateError::Name(_) => "Tell whoever runs the CA: `name` in ca.toml is no host name.",
            StateError::Busy(_) => {
                "Look for it: `pgrep -a jit-ssh`. One that was stopped (Ctrl-Z) goes on with `fg`."
            }
        };
        Failure::failed(format_args!("{error}.")).next(next)
    }
}

/// Both folders.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    config: PathBuf,
    state: PathBuf,
}

impl Home {
    /// As the environment says.
    pub(crate) fn find() -> Result<Self, StateError> {
        let config = platform::config_dir().ok_or(StateError::NoHome)?;
        let state = platform::state_dir().ok_or(StateError::NoHome)?;
        Ok(Home { config, state })
    }

    /// In folders that the caller names.
    #[cfg(test)]
    pub(crate) fn at(base: &std::path::Path) -> Self {
        let (config, state) = (base.join("config"), base.join("state"));
        Home { config, state }
    }

    /// The file that `ssh` includes.
    pub(crate) fn ssh_include(&self) -> PathBuf {
        self.config.join("ssh_config")
    }

    /// What was found of the person's aliases; a file that is not ours is made again.
    pub(crate) fn aliases(&self) -> Option<Aliases> {
        read_json(&self.config.join(ALIASES)).ok().flatten()
    }

    /// Keeps them.
    pub(crate) fn write_aliases(&self, aliases: &Aliases) -> Result<(), StateError> {
        write_json(&self.config.join(ALIASES), aliases)
    }

    /// Forgets them.
    pub(crate) fn remove_aliases(&self) -> Result<(), StateError> {
        remove(&self.config.join(ALIASES))
    }

    /// The files of one CA; nothing is created.
    pub(crate) fn ca(&self, name: &str) -> Result<CaFiles, StateError> {
        if !is_folder_name(name) {
            return Err(StateError::Name(name.to_owned()));
        }
        let config = self.config.join("cas").join(name);
        let state = self.state.join(name);
        Ok(CaFiles {
            name: name.to_owned(),
            config,
            state,
        })
    }

    /// All CAs that are pinned, by name.
    pub(crate) fn cas(&self) -> Vec<CaFiles> {
        let Ok(entries) = std::fs::read_dir(self.config.join("cas")) else {
            return Vec::new();
        };
        let mut cas: Vec<CaFiles> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter_map(|name| self.ca(&name).ok())
            .filter(|ca| ca.pin_path().is_file())
            .collect();
        cas.sort_by(|a, b| a.name.cmp(&b.name));
        cas
    }

    /// All CAs that are pinned, the first pinned first: what two of them claim is the first one's.
    pub(crate) fn cas_by_age(&self) -> Result<Vec<(CaFiles, Pin)>, StateError> {
        let mut cas = Vec::new();
        for files in self.cas() {
            if let Some(pin) = files.pin()? {
                cas.push((files, pin));
            }
        }
        cas.sort_by_key(|(_, pin)| pin.pinned);
        Ok(cas)
    }

    /// When a CA that is pinned now is: after all others, also within a second and by a clock that was
    /// set back.
    pub(crate) fn next_pin(&self, now: u64) -> Result<u64, StateError> {
        let cas = self.cas_by_age()?;
        let last = cas.last().map_or(0, |(_, pin)| pin.pinned);
        Ok(now.max(last.saturating_add(1)))
    }

    /// Guards what belongs to no single CA: the ssh include.
    pub(crate) fn lock(&self, patience: Duration) -> Result<Lock, StateError> {
        lock(&self.config, "lock", Some(patience))
    }
}

fn is_folder_name(name: &str) -> bool {
    let safe = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    !name.is_empty() && name.len() <= 200 && !name.starts_with(['.', '-']) && name.bytes().all(safe)
}

/// Where one CA's files are.
#[derive(Clone, Debug)]
pub(crate) struct CaFiles {
    /// The CA's name.
    pub(crate) name: String,
    config: PathBuf,
    state: PathBuf,
}

/// What the first contact settled, and what the CA last said of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Pin {
    /// Its address, its identity key, the newest key set seen.
    pub(crate) known: KnownCa,
    /// How the fingerprint came here.
    pub(crate) source: PinSource,
    /// PEM files of TLS CAs that the person named.
    #[serde(default)]
    pub(crate) ca_files: Vec<PathBuf>,
    /// The last answer that the pinned key vouched for.
    pub(crate) discovery: Discovery,
    /// When it was pinned, seconds since 1970-01-01 UTC, or a little later where another CA was pinned
    /// at that time; 0: before this was kept.
    #[serde(default)]
    pub(crate) pinned: u64,
}

/// How the fingerprint came here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PinSource {
    /// The person gave it.
    Given,
    /// Taken from the first contact, under publicly verified TLS.
    PublicTls,
}

/// A login as this machine knows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LoginState {
    /// As the CA last said.
    pub(crate) login: Login,
    /// Roles, as of `roles_at`.
    pub(crate) roles: RolesAnswer,
    /// When the roles were heard, seconds since 1970-01-01 UTC.
    pub(crate) roles_at: u64,
    /// Where the login key is.
    pub(crate) key: KeyPlace,
    /// The login key, OpenSSH format.
    pub(crate) public_key: String,
    /// A key that the person named, certified in place of the login key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) named_key: Option<NamedKeyState>,
    /// What a silent renewal needs.
    pub(crate) renewal: Renewal,
    /// The CA's clock minus ours, in seconds, as last seen.
    #[serde(default)]
    pub(crate) skew: i64,
}

/// What the ssh include is made of; it outlives the login, so that plain `ssh` asks for the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plain {
    /// Hosts and accounts, as last heard.
    pub(crate) roles: RolesAnswer,
    /// Where the person signed in.
    pub(crate) issuer: String,
    /// Where the login key is.
    pub(crate) key: KeyPlace,
    /// A key that the person named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) named_key: Option<NamedKeyState>,
}

impl Plain {
    /// That the agent which the include names is another user's by now.
    pub(crate) fn others_agent(&self) -> Option<AgentError> {
        let KeyPlace::Agent { address } = &self.key else {
            return None;
        };
        Agent::at(address)
            .err()
            .filter(|error| matches!(error, AgentError::Other { .. }))
    }
}

impl LoginState {
    /// The part that outlives it.
    pub(crate) fn plain(&self) -> Plain {
        Plain {
            // The version also changes with the address that one is at, which is none of the file's.
            roles: RolesAnswer {
                version: String::new(),
                ..self.roles.clone()
            },
            issuer: self.login.issuer.clone(),
            key: self.key.clone(),
            named_key: self.named_key.clone(),
        }
    }
}

/// A key that the person named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NamedKeyState {
    /// As `IdentityFile` needs it.
    pub(crate) path: PathBuf,
    /// OpenSSH format.
    pub(crate) public_key: String,
}

/// Endpoints and client of the issuer, and where the refresh token is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Renewal {
    /// OAuth client.
    pub(crate) client_id: String,
    /// Its public "secret", where the provider insists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_secret: Option<String>,
    /// From the issuer's metadata.
    pub(crate) token_endpoint: String,
    /// From the issuer's metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) revocation_endpoint: Option<String>,
    /// As at first: Okta and Entra want them again.
    pub(crate) scopes: Vec<String>,
    /// The CA wants the access token as well.
    pub(crate) userinfo: bool,
    /// Where the refresh token is.
    pub(crate) refresh_token: TokenPlace,
}

/// Where the refresh token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TokenPlace {
    /// The issuer gave none.
    None,
    /// The system's keyring.
    Keyring,
    /// `refresh-token`, 0600.
    File,
}

impl CaFiles {
    /// `pin.json`.
    pub(crate) fn pin_path(&self) -> PathBuf {
        self.config.join(PIN_FILE)
    }

    /// The pin, if there is one.
    pub(crate) fn pin(&self) -> Result<Option<Pin>, StateError> {
        read_json(&self.pin_path())
    }

    /// Keeps the pin.
    pub(crate) fn write_pin(&self, pin: &Pin) -> Result<(), StateError> {
        write_json(&self.pin_path(), pin)
    }

    /// Forgets everything about this CA.
    pub(crate) fn forget(&self) -> Result<(), StateError> {
        let state = remove_dir(&self.state);
        remove_dir(&self.config)?;
        state
    }

    /// The login, if there is one. It may have ended.
    pub(crate) fn login(&self) -> Result<Option<LoginState>, StateError> {
        read_json(&self.login_path())
    }

    /// Keeps the login, and what the ssh include needs of it.
    pub(crate) fn write_login(&self, login: &LoginState) -> Result<(), StateError> {
        write_json(&self.login_path(), login)?;
        let plain = login.plain();
        if self.plain().ok().flatten().as_ref() == Some(&plain) {
            return Ok(());
        }
        write_json(&self.plain_path(), &plain)
    }

    /// What the ssh include is made of.
    pub(crate) fn plain(&self) -> Result<Option<Plain>, StateError> {
        read_json(&self.plain_path())
    }

    /// Enrolled hosts, as last heard.
    pub(crate) fn fleet(&self) -> Result<Fleet, StateError> {
        let text = self.fleet_text()?.unwrap_or_default();
        Ok(Fleet::from_text(&text))
    }

    /// The file of enrolled hosts, to be searched.
    pub(crate) fn fleet_text(&self) -> Result<Option<String>, StateError> {
        read_to_string(&self.fleet_path())
    }

    /// Keeps the enrolled hosts.
    pub(crate) fn write_fleet(&self, fleet: &Fleet) -> Result<(), StateError> {
        write(&self.fleet_path(), fleet.to_text().as_bytes())
    }

    fn fleet_path(&self) -> PathBuf {
        self.config.join("fleet")
    }

    /// Known hosts: who vouches for the enrolled ones.
    pub(crate) fn known_hosts(&self) -> PathBuf {
        self.config.join("known_hosts")
    }

    fn plain_path(&self) -> PathBuf {
        self.config.join("hosts.json")
    }

    fn login_path(&self) -> PathBuf {
        self.state.join(LOGIN_FILE)
    }

    /// Path of the login key, as `IdentityFile` wants it: `ssh` reads `key.pub` beside it where the
    /// key itself is in the agent.
    pub(crate) fn key(&self) -> PathBuf {
        self.state.join(KEY_FILE)
    }

    /// Its public part.
    pub(crate) fn public_key(&self) -> PathBuf {
        self.state.join("key.pub")
    }

    /// The refresh token, where there is no keyring.
    pub(crate) fn refresh_token(&self) -> PathBuf {
        self.state.join("refresh-token")
    }

    /// Folder of certificates, one for each account and host.
    pub(crate) fn certificates(&self) -> PathBuf {
        self.state.join("certs")
    }

    /// The certificate for one account on one host; `None` for names that cannot stand in a path.
    pub(crate) fn certificate(&self, account: &str, host: &str) -> Option<PathBuf> {
        let safe = |text: &str, more: &[u8]| {
            !text.is_empty()
                && text.len() <= 253
                && !text.starts_with(['-', '.'])
                && text
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b) || more.contains(&b))
        };
        let fits = safe(account, b"") && account.len() <= 64 && safe(host, b":%[]");
        fits.then(|| {
            self.certificates()
                .join(format!("{account}@{host}-cert.pub"))
        })
    }

    /// The certificate of one role.
    pub(crate) fn role_certificate(&self, role: &str) -> Option<PathBuf> {
        is_folder_name(role).then(|| self.roles().join(format!("{role}-cert.pub")))
    }

    /// Folder of the roles' certificates.
    pub(crate) fn roles(&self) -> PathBuf {
        self.state.join("roles")
    }

    /// The stable path for tools that read no `Match`.
    pub(crate) fn stable_certificate(&self) -> PathBuf {
        self.state.join("key-cert.pub")
    }

    /// Removes every certificate.
    pub(crate) fn remove_certificates(&self) -> Result<(), StateError> {
        remove_dir(&self.certificates())?;
        remove_dir(&self.roles())?;
        remove(&self.stable_certificate())
    }

    /// Removes login, key and certificates, all that can be; the pin stays.
    pub(crate) fn remove_login(&self) -> Result<(), StateError> {
        let secrets = [
            self.key(),
            self.refresh_token(),
            self.public_key(),
            self.login_path(),
        ];
        let removed = secrets.map(|path| remove(&path));
        self.remove_certificates()?;
        removed.into_iter().collect()
    }

    /// Waits until nobody else changes this CA's files, but not longer than that. It is held for
    /// calls to the CA and the identity provider, which have their own limits, and never while a
    /// person is waited for: that is what [`CaFiles::turn`] is for.
    pub(crate) fn lock(&self, patience: Duration) -> Result<Lock, StateError> {
        lock(&self.state, "lock", Some(patience))
    }

    /// The turn to send the person to a browser; `None` while another shell has it.
    pub(crate) fn turn(&self) -> Result<Option<Lock>, StateError> {
        match lock(&self.state, SIGN_IN, Some(Duration::ZERO)) {
            Ok(turn) => Ok(Some(turn)),
            Err(StateError::Busy(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits for that turn; without a limit where somebody is there who can give up.
    pub(crate) fn wait_for_turn(&self, patience: Option<Duration>) -> Result<Lock, StateError> {
        lock(&self.state, SIGN_IN, patience)
    }

    /// Remembers that an interactive sign-in was tried and came to nothing.
    pub(crate) fn note_failed_sign_in(&self, now: u64) -> Result<(), StateError> {
        write(&self.failure_path(), now.to_string().as_bytes())
    }

    /// When an interactive sign-in last came to nothing.
    pub(crate) fn failed_sign_in(&self) -> Option<u64> {
        let text = read_to_string(&self.failure_path()).ok()??;
        text.trim().parse().ok()
    }

    /// A sign-in worked.
    pub(crate) fn clear_failed_sign_in(&self) -> Result<(), StateError> {
        remove(&self.failure_path())
    }

    fn failure_path(&self) -> PathBuf {
        self.state.join("sign-in-failed")
    }
}

/// Name of the file of aliases.
const ALIASES: &str = "aliases.json";

/// Name of the lock for sign-ins.
const SIGN_IN: &str = "sign-in";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_the_folder_are_refused() {
        let base = tempfile::tempdir().unwrap();
        let home = Home::at(base.path());
        for name in ["", ".", "..", "a/b", "-x", "a\nb", "a b", "a\0b"] {
            assert!(home.ca(name).is_err(), "{name:?}");
        }
        let ca = home.ca("ca.example.com").unwrap();
        for (account, host) in [
            ("../x", "h"),
            ("a", "../h"),
            ("a", "h/../../x"),
            ("", "h"),
            ("a", ""),
            ("-a", "h"),
            ("a", "$(id)"),
            ("a\nb", "h"),
        ] {
            assert!(
                ca.certificate(account, host).is_none(),
                "{account:?} {host:?}"
            );
        }
        for host in ["db01.prod.example.com", "10.1.2.3", "fe80::1%eth0"] {
            assert!(ca.certificate("observer", host).is_some(), "{host}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn admin_commands_find_the_login_that_was_kept() {
        use jit_ssh_api::discovery::Profile;
        use jit_ssh_api::key_set::SignedKeySet;
        let base = tempfile::tempdir().unwrap();
        let home = Home::at(base.path());
        let find = |ca| jit_ssh_connect::login_key::find_in(&home.config, &home.state, ca);
        assert!(find(None).is_err());
        let key = crate::key::LoginKey::make(Profile::Standard, &mut rand::rngs::OsRng).unwrap();
        for name in ["ca.example.com", "other.example.com"] {
            let files = home.ca(name).unwrap();
            let url = format!("https://{name}");
            let discovery = Discovery {
                api_version: 1,
                name: name.into(),
                url: url.clone(),
                epoch: 1,
                time: 0,
                profile: Profile::Standard,
                issuers: Vec::new(),
                key_set: SignedKeySet {
                    document: String::new(),
                    signature: String::new(),
                    identity_key: String::new(),
                },
            };
            let known = KnownCa {
                url,
                name: name.into(),
                fingerprint: "SHA256:x".into(),
                epoch: 1,
                number: 1,
                tls_pins: Vec::new(),
            };
            let pin = Pin {
                known,
                source: PinSource::Given,
                ca_files: Vec::new(),
                discovery,
                pinned: 0,
            };
            files.write_pin(&pin).unwrap();
            crate::key::LoginKey::keep(&key, &files, None, 60).unwrap();
            let mut login = crate::ssh_config::tests::login(&[], &[]);
            login.public_key = key.public_key().to_openssh().unwrap();
            files.write_login(&login).unwrap();
        }
        assert!(find(None).is_err(), "two are known");
        for named in [
            "ca.example.com",
            "https://ca.example.com/",
            "CA.example.com:443",
        ] {
            assert_eq!(
                crate::ca::choose(&home, Some(named)).unwrap().name,
                "ca.example.com"
            );
            let mut found = find(Some(named)).unwrap();
            assert_eq!(found.known.name, "ca.example.com");
            let signature = found.signer.sign("n@v1", b"m").unwrap();
            key.public_key().verify("n@v1", b"m", &signature).unwrap();
        }
        for stranger in [
            "example.com",
            "http://ca.example.com",
            "ca.example.com/x",
            "",
        ] {
            assert!(
                crate::ca::choose(&home, Some(stranger)).is_err(),
                "{stranger}"
            );
            assert!(find(Some(stranger)).is_err(), "{stranger}");
        }
        assert_eq!(home.cas().len(), 2);
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(64))]
        #[test]
        fn any_bytes_in_the_files_are_read_without_a_panic(
            bytes: Vec<u8>,
            name in "login|key|roles|known|discovery|[a-z_]{1,8}",
            text: String,
        ) {
            let base = tempfile::tempdir().unwrap();
            let ca = Home::at(base.path()).ca("ca").unwrap();
            let json = serde_json::json!({ name: text, "place": text }).to_string();
            for content in [bytes.as_slice(), json.as_bytes(), b"{", b"null", b"[[[[", b""] {
                for path in [ca.pin_path(), ca.login_path(), ca.plain_path()] {
                    write(&path, content).unwrap();
                }
                proptest::prop_assert!(!matches!(ca.pin(), Ok(Some(_))));
                proptest::prop_assert!(!matches!(ca.login(), Ok(Some(_))));
                proptest::prop_assert!(!matches!(ca.plain(), Ok(Some(_))));
            }
        }
    }
}
