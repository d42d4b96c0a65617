//! `key list`: the keys of the CA and what everybody pins. Public, so it is also read from the data
//! folder where nobody serves it.

use std::path::Path;

use clap::{Args, Subcommand};
use jit_ssh_api::key_set::{KeySet, SignedKeySet};
use jit_ssh_connect::Request;
use jit_ssh_terminal::{Failure, Table, Terminal, utc};
use serde::Serialize;
use ssh_key::{HashAlg, PublicKey};

use super::access::{Access, is_served};

/// Keys.
#[derive(Debug, Subcommand)]
pub(super) enum Key {
    /// List the keys, and the fingerprint that clients and hosts pin
    List(List),
}

/// `key list`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  jit-ssh-ca key list")]
pub(super) struct List {
    #[command(flatten)]
    access: Access,
}

#[derive(Serialize)]
struct Keys {
    fingerprint: String,
    identity_key: String,
    key_set: KeySet,
}

impl Key {
    pub(super) fn run(self, data: &Path, terminal: &mut Terminal) -> Result<(), Failure> {
        let Key::List(list) = self;
        let served = list.access.ca.is_some() || is_served(data);
        let signed = if served {
            list.access
                .open(data)?
                .call(&Request::get("/v1/admin/keys"), terminal)?
        } else {
            read(data)?
        };
        let keys = verified(signed)?;
        terminal.answer(&keys, text)
    }
}

/// The key set in the data folder.
fn read(data: &Path) -> Result<SignedKeySet, Failure> {
    let path = data.join(crate::signer::key_set::FILE);
    let text = std::fs::read(&path).map_err(|error| {
        Failure::failed(format_args!("There is no key set in {}.", data.display()))
            .why(error)
            .next("Is this the data folder? `--data DIR` names another; `jit-ssh-ca init` makes one.")
            .next("If the identity key is kept elsewhere, the key set may wait for its signature: `jit-ssh-ca doctor`.")
    })?;
    serde_json::from_slice(&text).map_err(|error| {
        Failure::failed(format_args!("{} cannot be read.", path.display())).why(error)
    })
}

fn verified(signed: SignedKeySet) -> Result<Keys, Failure> {
    let wrong = |error| {
        Failure::failed("The key set is not valid.")
            .why(error)
            .next("Run `jit-ssh-ca doctor`.")
    };
    let fingerprint = signed.fingerprint().map_err(wrong)?;
    let key_set = signed.verify(&fingerprint).map_err(wrong)?;
    Ok(Keys {
        fingerprint,
        identity_key: signed.identity_key,
        key_set,
    })
}

fn text(keys: &Keys) -> String {
    let set = &keys.key_set;
    let mut table = Table::new(["FOR", "STATE", "FINGERPRINT", "TYPE"]);
    for key in &set.keys {
        let (fingerprint, kind) = match key.public_key.parse::<PublicKey>() {
            Ok(key) => (
                key.fingerprint(HashAlg::Sha256).to_string(),
                key.algorithm().to_string(),
            ),
            Err(_) => ("unreadable".to_owned(), String::new()),
        };
        table.row([word(&key.purpose), word(&key.state), fingerprint, kind]);
    }
    let pins = match set.tls_pins.len() {
        0 => "by public or company CAs".to_owned(),
        1 => "pinned by this key set".to_owned(),
        several => format!("{several} keys pinned by this key set"),
    };
    format!(
        "fingerprint  {}   (what clients and hosts pin)\n\
         name         {}\n\
         key set      epoch {}, number {}, made {}\n\
         TLS          {pins}\n\n{table}",
        keys.fingerprint,
        set.name,
        set.epoch,
        set.number,
        utc(set.created)
    )
}

/// As it is written on the wire: `user-ca`, `active`.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        _ => String::new(),
    }
}
