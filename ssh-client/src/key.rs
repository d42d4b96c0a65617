//! The login key: Ed25519, or P-256 where the CA's profile asks; in the agent with a lifetime, else
//! in a file. It signs every request (invariant 5). A key that the person names is certified in its
//! place and signs once, by `ssh-keygen -Y sign`, which knows touch, PIN, passphrase and agent.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jit_ssh_api::binding::NAMED_KEY_NAMESPACE;
use jit_ssh_api::discovery::Profile;
use jit_ssh_api::issue::NamedKey;
use jit_ssh_connect::{SignError, SignProof};
use jit_ssh_terminal::{Exit, Failure};
use rand::{CryptoRng, RngCore};
use ssh_key::{Algorithm, EcdsaCurve, HashAlg, LineEnding, PrivateKey, PublicKey, SshSig};

use crate::state::{self, CaFiles, KeyPlace, LoginState, StateError};
use jit_ssh_connect::agent::{Agent, AgentError};

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    /// The key is gone from the agent (restarted, emptied, or the lifetime is over).
    #[error("the login key is no longer in the agent")]
    Gone,
    /// The key file is gone.
    #[error("the login key is gone")]
    NoFile,
    /// The agent fails.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// A file fails.
    #[error(transparent)]
    State(#[from] StateError),
    /// Not a key.
    #[error("the login key cannot be used: {0}")]
    Key(#[from] ssh_key::Error),
    /// A named key without a readable public part.
    #[error("{path} has no readable public key beside it: {cause}", path = path.display())]
    Named {
        /// As the person named it.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// A named key that does not sign.
    #[error("{path} did not sign: {cause}", path = path.display())]
    NamedSilent {
        /// As the person named it.
        path: PathBuf,
        /// The words of `ssh-keygen`.
        cause: String,
    },
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        let text = format!("{error}.");
        match error {
            KeyError::Gone | KeyError::NoFile => Failure::new(Exit::NotSignedIn, "The login key is gone.")
                .why(text)
                .next("Sign in again: `jit-ssh login`."),
            KeyError::State(error) => error.into(),
            KeyError::Agent(_) => Failure::failed(text)
                .next("Sign in with the key in a file: `jit-ssh login --no-agent`."),
            KeyError::Key(_) => Failure::failed(text).next("Sign in again: `jit-ssh login`."),
            KeyError::Named { .. } => {
                Failure::usage(text).next("Name the private key's file; `FILE.pub` must stand beside it.")
            }
            KeyError::NamedSilent { .. } => Failure::failed(text).next(
                "Try it by hand: `ssh-keygen -Y sign -n test -f FILE` must work, with its touch or passphrase.",
            ),
        }
    }
}

/// A login key that can sign.
pub(crate) enum LoginKey {
    /// In the agent.
    Agent {
        /// Connected.
        agent: Agent,
        /// Which key.
        public: PublicKey,
    },
    /// In memory: fresh, or read from its file.
    Memory(Box<PrivateKey>),
}

impl LoginKey {
    /// A fresh key, in memory alone until the login worked.
    pub(crate) fn make(
        profile: Profile,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<PrivateKey, KeyError> {
        let algorithm = match profile {
            Profile::Standard => Algorithm::Ed25519,
            Profile::Fips => Algorithm::Ecdsa {
                curve: EcdsaCurve::NistP256,
            },
        };
        let mut key = PrivateKey::random(rng, algorithm)?;
        key.set_comment("jit-ssh login key");
        Ok(key)
    }

    /// The key of a login.
    pub(crate) fn load(files: &CaFiles, login: &LoginState) -> Result<Self, KeyError> {
        let public = PublicKey::from_openssh(&login.public_key)?;
        match &login.key {
            KeyPlace::Agent { address } => {
                let mut agent = Agent::at(address).map_err(|_| KeyError::Gone)?;
                if !agent.holds(&public)? {
                    return Err(KeyError::Gone);
                }
                Ok(LoginKey::Agent { agent, public })
            }
            KeyPlace::File => {
                let text = state::read_to_string(&files.key())?.ok_or(KeyError::NoFile)?;
                let key = PrivateKey::from_openssh(zeroize::Zeroizing::new(text).as_bytes())?;
                if key.public_key().key_data() != public.key_data() {
                    return Err(KeyError::NoFile);
                }
                Ok(LoginKey::Memory(Box::new(key)))
            }
        }
    }

    /// Puts a fresh key where it will live until `lifetime` seconds are over. Dying here leaves at
    /// most a key in the agent that its lifetime ends, or a file that the next login replaces.
    pub(crate) fn keep(
        key: &PrivateKey,
        files: &CaFiles,
        agent: Option<Agent>,
        lifetime: u32,
    ) -> Result<KeyPlace, KeyError> {
        let public = key.public_key().to_openssh()?;
        let place = match agent {
            Some(mut agent) => {
                agent.add(key, &format!("jit-ssh {}", files.name), lifetime)?;
                state::remove(&files.key())?;
                let address = agent.address().to_owned();
                KeyPlace::Agent { address }
            }
            None => {
                let text = key.to_openssh(LineEnding::LF)?;
                state::write(&files.key(), text.as_bytes())?;
                KeyPlace::File
            }
        };
        state::write(&files.public_key(), format!("{public}\n").as_bytes())?;
        Ok(place)
    }
}

impl SignProof for LoginKey {
    fn sign(&mut self, namespace: &str, message: &[u8]) -> Result<SshSig, SignError> {
        match self {
            LoginKey::Agent { agent, public } => agent
                .sign(public, namespace, message)
                .map_err(|error| SignError(error.to_string())),
            LoginKey::Memory(key) => key
                .sign(namespace, HashAlg::Sha512, message)
                .map_err(|error| SignError(error.to_string())),
        }
    }
}

/// The public part of a key that the person names by its file, with or without `.pub`.
pub(crate) fn named_public(path: &Path) -> Result<(PathBuf, PublicKey), KeyError> {
    let named = |cause: String| KeyError::Named {
        path: path.to_owned(),
        cause,
    };
    let path = std::path::absolute(path).map_err(|error| named(error.to_string()))?;
    let private = match path.extension() {
        Some(extension) if extension == "pub" => path.with_extension(""),
        _ => path.clone(),
    };
    let mut public = private.clone().into_os_string();
    public.push(".pub");
    let text = state::read_to_string(Path::new(&public))
        .map_err(|error| named(error.to_string()))?
        .ok_or_else(|| named("no such file".to_owned()))?;
    let key = PublicKey::from_openssh(text.trim()).map_err(|error| named(error.to_string()))?;
    Ok((private, key))
}

/// Lets a named key sign the nonce of the binding, once: `ssh-keygen` asks for touch, PIN or
/// passphrase at the terminal, and uses the agent where the private part is there alone.
pub(crate) fn named_signature(
    path: &Path,
    public: &PublicKey,
    nonce: &str,
) -> Result<NamedKey, KeyError> {
    let silent = |cause: String| KeyError::NamedSilent {
        path: path.to_owned(),
        cause,
    };
    let mut file = path.to_owned();
    if !file.exists() {
        file = PathBuf::from(format!("{}.pub", path.display()));
    }
    let mut child = Command::new("ssh-keygen")
        .args(["-q", "-Y", "sign", "-n", NAMED_KEY_NAMESPACE, "-f"])
        .arg(&file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|error| silent(format!("ssh-keygen: {error}")))?;
    if let Some(mut input) = child.stdin.take() {
        input
            .write_all(nonce.as_bytes())
            .map_err(|error| silent(error.to_string()))?;
    }
    let output = child
        .wait_with_output()
        .map_err(|error| silent(error.to_string()))?;
    if !output.status.success() {
        return Err(silent(format!("ssh-keygen: {}", output.status)));
    }
    let signature = String::from_utf8(output.stdout)
        .map_err(|_| silent("ssh-keygen prints no signature".to_owned()))?;
    Ok(NamedKey {
        public_key: public.to_openssh()?,
        signature,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::tests::keygen;
    use rand::rngs::OsRng;

    #[test]
    fn a_named_key_signs_the_nonce_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        for kind in ["ed25519", "rsa", "ecdsa"] {
            keygen(at, &["-q", "-t", kind, "-N", "", "-f", kind]);
            for name in [kind.to_owned(), format!("{kind}.pub")] {
                let (path, public) = named_public(&at.join(name)).unwrap();
                assert_eq!(path, at.join(kind));
                let named = named_signature(&path, &public, "NONCE").unwrap();
                let signature: SshSig = named.signature.parse().unwrap();
                public
                    .verify(NAMED_KEY_NAMESPACE, b"NONCE", &signature)
                    .unwrap();
            }
        }
        assert!(named_public(&at.join("missing")).is_err());
    }

    #[test]
    fn a_key_in_a_file_signs_after_it_was_read_again() {
        let base = tempfile::tempdir().unwrap();
        let files = state::Home::at(base.path()).ca("ca").unwrap();
        for profile in [Profile::Standard, Profile::Fips] {
            let key = LoginKey::make(profile, &mut OsRng).unwrap();
            let place = LoginKey::keep(&key, &files, None, 60).unwrap();
            assert_eq!(place, KeyPlace::File);
            let text = state::read_to_string(&files.key()).unwrap().unwrap();
            let read = PrivateKey::from_openssh(text.as_bytes()).unwrap();
            let signature = LoginKey::Memory(Box::new(read)).sign("n@v1", b"m").unwrap();
            key.public_key().verify("n@v1", b"m", &signature).unwrap();
            keygen(base.path(), &["-y", "-f", files.key().to_str().unwrap()]);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_left_the_agent_is_gone() {
        use crate::real_agent::RealAgent;
        let real = RealAgent::start();
        let base = tempfile::tempdir().unwrap();
        let files = state::Home::at(base.path()).ca("ca").unwrap();
        let key = LoginKey::make(Profile::Fips, &mut OsRng).unwrap();
        let agent = Agent::at(&real.address()).unwrap();
        LoginKey::keep(&key, &files, Some(agent), 60).unwrap();
        assert!(!files.key().exists());
        assert!(files.public_key().exists());
        let mut agent = Agent::at(&real.address()).unwrap();
        assert!(agent.holds(key.public_key()).unwrap());
        agent.remove(key.public_key()).unwrap();
        assert!(!agent.holds(key.public_key()).unwrap());
    }
}
