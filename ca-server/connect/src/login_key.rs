//! The login that `jit-ssh login` left on this machine, for admin commands from anywhere: its pin,
//! and its key in the agent or in a file. `jit-ssh` alone writes these files (its `state.rs` has the
//! map); here they are only read, and only what is needed. What both must agree on stands here: the
//! names of the files, where a key can be, and which CA is meant by a name or an address.

use std::path::{Path, PathBuf};

use jit_ssh_terminal::{Exit, Failure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use ssh_key::{HashAlg, PrivateKey, PublicKey, SshSig};

use crate::agent::Agent;
use crate::platform;
use crate::{KnownCa, SignError, SignProof};

/// A pinned CA and the key of the login there.
pub struct LoginKey {
    /// The CA.
    pub known: KnownCa,
    /// Signs proofs.
    pub signer: Box<dyn SignProof + Send>,
}

/// Finds the login at the CA with this URL or name; `None`: the one of `JIT_SSH_CA`, or the only CA.
pub fn find(ca: Option<&str>) -> Result<LoginKey, Failure> {
    let from_environment = std::env::var("JIT_SSH_CA").ok().filter(|ca| !ca.is_empty());
    let ca = ca.or(from_environment.as_deref());
    match (platform::config_dir(), platform::state_dir()) {
        (Some(config), Some(state)) => find_in(&config, &state, ca),
        _ => Err(not_signed_in(ca)),
    }
}

/// As [`find`], in these folders.
pub fn find_in(config: &Path, state: &Path, ca: Option<&str>) -> Result<LoginKey, Failure> {
    let mut pinned: Vec<KnownCa> = std::fs::read_dir(config.join("cas"))
        .into_iter()
        .flatten()
        .filter_map(|entry| read::<Pin>(&entry.ok()?.path().join(PIN_FILE)))
        .map(|pin| pin.known)
        .collect();
    if let Some(ca) = ca {
        let by_name = pinned.iter().any(|known| known.name == ca);
        pinned.retain(|known| {
            if by_name {
                known.name == ca
            } else {
                is_at(known, ca)
            }
        });
    }
    if pinned.len() > 1 {
        let names: Vec<&str> = pinned.iter().map(|known| known.name.as_str()).collect();
        return Err(Failure::usage("Several CAs are known here.")
            .why(names.join(", "))
            .next("Say which one: `--ca NAME`, or JIT_SSH_CA."));
    }
    let known = pinned.pop().ok_or_else(|| not_signed_in(ca))?;
    let folder = state.join(&known.name);
    let login: Login = read(&folder.join(LOGIN_FILE)).ok_or_else(|| not_signed_in(ca))?;
    let signer: Box<dyn SignProof + Send> = match login.key {
        KeyPlace::Agent { address } => {
            let public = PublicKey::from_openssh(&login.public_key).ok();
            let public = public.ok_or_else(|| not_signed_in(ca))?;
            let agent = Agent::at(&address).map_err(|error| not_signed_in(ca).why(error))?;
            Box::new(InAgent { agent, public })
        }
        KeyPlace::File => {
            let key = PrivateKey::read_openssh_file(&folder.join(KEY_FILE))
                .map_err(|error| not_signed_in(ca).why(error))?;
            Box::new(InFile(key))
        }
    };
    Ok(LoginKey { known, signer })
}

/// Whether this CA is at that address, given with or without `https://`. A name is looked for first.
pub fn is_at(known: &KnownCa, address: &str) -> bool {
    let url = |text| crate::normalise_url(text).ok();
    url(address).is_some_and(|wanted| url(&known.url) == Some(wanted))
}

fn not_signed_in(ca: Option<&str>) -> Failure {
    let at = ca.map_or_else(String::new, |ca| format!(" at {ca}"));
    Failure::new(
        Exit::NotSignedIn,
        format_args!("You are not signed in{at}."),
    )
    .next("Sign in: `jit-ssh login`.")
}

/// Beside the pins: what the first contact settled.
pub const PIN_FILE: &str = "pin.json";
/// In the state of a CA: who is signed in.
pub const LOGIN_FILE: &str = "login.json";
/// In the state of a CA: the login key, if it is in a file.
pub const KEY_FILE: &str = "key";

/// Where a login key is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "place")]
pub enum KeyPlace {
    /// In the agent at this address, until the login's end.
    Agent {
        /// Socket or pipe.
        address: PathBuf,
    },
    /// In [`KEY_FILE`], 0600.
    File,
}

#[derive(Deserialize)]
struct Pin {
    known: KnownCa,
}

#[derive(Deserialize)]
struct Login {
    key: KeyPlace,
    public_key: String,
}

struct InAgent {
    agent: Agent,
    public: PublicKey,
}

impl SignProof for InAgent {
    fn sign(&mut self, namespace: &str, message: &[u8]) -> Result<SshSig, SignError> {
        self.agent
            .sign(&self.public, namespace, message)
            .map_err(|error| SignError(error.to_string()))
    }
}

struct InFile(PrivateKey);

impl SignProof for InFile {
    fn sign(&mut self, namespace: &str, message: &[u8]) -> Result<SshSig, SignError> {
        self.0
            .sign(namespace, HashAlg::Sha512, message)
            .map_err(|error| SignError(error.to_string()))
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}
