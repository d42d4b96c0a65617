//! `user_ca.pub`, in the format of `TrustedUserCAKeys` (sshd_config(5)).
//!
//! A line that sshd cannot read hides every key after it, without a word (tried with OpenSSH 9.2),
//! so every line that goes in was parsed first, whoever wrote it.

use std::fmt::Write as _;

use jit_ssh_api::key_set::{KeySet, Purpose, State};
use ssh_key::{Algorithm, HashAlg, PublicKey};

/// The keys that sshd shall trust to sign user certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CaKeys {
    ours: Vec<(State, PublicKey)>,
    compromised: Vec<PublicKey>,
    kept: Vec<PublicKey>,
}

/// Why a set of CA keys cannot be installed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CaKeysError {
    /// A key of the signed key set does not parse.
    #[error("the CA's key set holds a user CA key that is not a public key")]
    Ours,
    /// A key of a kind that CAs of jit-ssh never have.
    #[error("the CA's key set holds a user CA key of type {0}, which is not accepted")]
    Kind(String),
    /// There is no key to trust.
    #[error("the CA's key set holds no user CA key that is to be trusted")]
    Empty,
    /// The host CA's key is listed as user CA key too (A37).
    #[error("the CA uses one key for users and for hosts, which would let users pose as hosts")]
    SharedWithHosts,
    /// A line of a file that was there before.
    #[error("line {line} of {path} is not a public key, and sshd ignores every key after it")]
    Foreign {
        /// Path of the file.
        path: String,
        /// Line, from 1.
        line: usize,
    },
}

impl CaKeys {
    /// The user CA keys of a verified key set: `active` first, then `next`, then `retiring`.
    pub(crate) fn from_key_set(keys: &KeySet) -> Result<Self, CaKeysError> {
        let hosts: Vec<&str> = keys
            .trusted(Purpose::HostCa)
            .map(|key| key.public_key.as_str())
            .collect();
        let mut ours = Vec::new();
        for key in keys.trusted(Purpose::UserCa) {
            if hosts.contains(&key.public_key.as_str()) {
                return Err(CaKeysError::SharedWithHosts);
            }
            let mut parsed: PublicKey = key.public_key.parse().map_err(|_| CaKeysError::Ours)?;
            if !matches!(
                parsed.algorithm(),
                Algorithm::Ed25519 | Algorithm::Ecdsa { .. }
            ) {
                return Err(CaKeysError::Kind(parsed.algorithm().to_string()));
            }
            parsed.set_comment("");
            ours.push((key.state, parsed));
        }
        if ours.is_empty() {
            return Err(CaKeysError::Empty);
        }
        ours.sort_by_key(|(state, _)| match state {
            State::Active => 0,
            State::Next => 1,
            State::Retiring | State::Compromised => 2,
        });
        let compromised = keys
            .keys
            .iter()
            .filter(|key| key.state == State::Compromised)
            .filter_map(|key| key.public_key.parse().ok())
            .collect();
        Ok(CaKeys {
            ours,
            compromised,
            kept: Vec::new(),
        })
    }

    /// Keeps the keys of a `TrustedUserCAKeys` file that was in force before: but for those that the
    /// CA names itself, whose state is its own to say.
    pub(crate) fn keep(&mut self, path: &str, text: &str) -> Result<(), CaKeysError> {
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key: PublicKey = line.parse().map_err(|_| CaKeysError::Foreign {
                path: path.to_owned(),
                line: index + 1,
            })?;
            let ours = self.ours.iter().map(|(_, ours)| ours);
            let known = ours
                .chain(&self.compromised)
                .chain(&self.kept)
                .any(|known| known.key_data() == key.key_data());
            if !known {
                self.kept.push(key);
            }
        }
        Ok(())
    }

    /// Fingerprints of the CA's own keys, with their states.
    pub(crate) fn fingerprints(&self) -> Vec<(State, String)> {
        self.ours
            .iter()
            .map(|(state, key)| (*state, key.fingerprint(HashAlg::Sha256).to_string()))
            .collect()
    }

    /// Keys of another CA that are kept, one line each.
    pub(crate) fn kept(&self) -> Result<Vec<String>, CaKeysError> {
        let line = |key: &PublicKey| key.to_openssh().map_err(|_| CaKeysError::Ours);
        let lines = self.kept.iter().map(line);
        lines
            .map(|line| line.map(|line| line.trim_end().to_owned()))
            .collect()
    }

    /// The file's exact text.
    pub(crate) fn render(&self, ca_name: &str) -> Result<String, CaKeysError> {
        let mut text = format!(
            "# User CA keys of {ca_name}, trusted by sshd. Written by jit-ssh-host: changes are overwritten.\n"
        );
        for (state, key) in &self.ours {
            let state = match state {
                State::Next => "next",
                State::Active => "active",
                State::Retiring => "retiring",
                State::Compromised => continue,
            };
            let line = key.to_openssh().map_err(|_| CaKeysError::Ours)?;
            let _ = writeln!(text, "{} jit-ssh-user-ca,{state}", line.trim_end());
        }
        let kept = self.kept()?;
        if !kept.is_empty() {
            text.push_str("# Trusted on this host before jit-ssh:\n");
        }
        for line in kept {
            let _ = writeln!(text, "{line}");
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use jit_ssh_api::key_set::Key;
    use proptest::prelude::*;

    use super::*;

    const A: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
    const B: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB8eHRwbGhkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgEA";

    fn set(keys: &[(Purpose, State, &str)]) -> KeySet {
        KeySet {
            name: "ca.example.com".into(),
            epoch: 1,
            number: 1,
            created: 0,
            keys: keys
                .iter()
                .map(|(purpose, state, key)| Key {
                    purpose: *purpose,
                    state: *state,
                    public_key: (*key).to_owned(),
                })
                .collect(),
            tls_pins: vec![],
            emergency: vec![],
        }
    }

    #[test]
    fn a_compromised_key_is_not_written() {
        let keys = set(&[
            (Purpose::UserCa, State::Compromised, A),
            (Purpose::UserCa, State::Active, B),
        ]);
        let text = CaKeys::from_key_set(&keys).unwrap().render("ca").unwrap();
        assert!(text.contains(B) && !text.contains(A), "{text}");
    }

    #[test]
    fn a_compromised_key_does_not_come_back_as_one_that_was_trusted_before() {
        let keys = set(&[
            (Purpose::UserCa, State::Compromised, A),
            (Purpose::UserCa, State::Active, B),
        ]);
        let mut keys = CaKeys::from_key_set(&keys).unwrap();
        keys.keep("old", &format!("{A} corp\n{B}\n")).unwrap();
        assert_eq!(keys.kept().unwrap(), [""; 0]);
        assert!(!keys.render("ca").unwrap().contains(A));
    }

    #[test]
    fn one_key_for_users_and_hosts_is_refused() {
        let keys = set(&[
            (Purpose::UserCa, State::Active, A),
            (Purpose::HostCa, State::Active, A),
        ]);
        assert_eq!(
            CaKeys::from_key_set(&keys),
            Err(CaKeysError::SharedWithHosts)
        );
    }

    #[test]
    fn a_key_set_without_a_trusted_user_ca_is_refused() {
        assert_eq!(CaKeys::from_key_set(&set(&[])), Err(CaKeysError::Empty));
        let only_dead = set(&[(Purpose::UserCa, State::Compromised, A)]);
        assert_eq!(CaKeys::from_key_set(&only_dead), Err(CaKeysError::Empty));
    }

    #[test]
    fn a_key_with_a_line_feed_does_not_smuggle_a_second_key() {
        let two = format!("{A} x\n{B}");
        let keys = set(&[(Purpose::UserCa, State::Active, two.as_str())]);
        let text = CaKeys::from_key_set(&keys).and_then(|keys| keys.render("ca"));
        assert!(text.is_err() || !text.unwrap().contains(B));
    }

    #[test]
    fn a_junk_line_in_the_old_file_stops_the_merge_because_sshd_stops_there_too() {
        let mut keys = CaKeys::from_key_set(&set(&[(Purpose::UserCa, State::Active, A)])).unwrap();
        let error = keys
            .keep("/etc/ssh/old.pub", &format!("# fine\n\njunk\n{B}\n"))
            .unwrap_err();
        assert_eq!(
            error,
            CaKeysError::Foreign {
                path: "/etc/ssh/old.pub".into(),
                line: 3
            }
        );
    }

    #[test]
    fn kept_keys_stand_after_ours_and_once() {
        let mut keys = CaKeys::from_key_set(&set(&[(Purpose::UserCa, State::Active, A)])).unwrap();
        keys.keep("old", &format!("{B} corp\n{A}\n{B}\n")).unwrap();
        let text = keys.render("ca").unwrap();
        assert_eq!(text.matches(A).count(), 1);
        assert_eq!(text.matches(B).count(), 1);
        assert!(text.find(A) < text.find(B));
    }

    proptest! {
        #[test]
        fn no_bytes_in_the_old_file_panic_or_add_a_line_that_is_no_key(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            cut in 0..A.len(),
            flip in any::<u8>(),
        ) {
            let ours = set(&[(Purpose::UserCa, State::Active, B)]);
            // Any bytes, and a key with one byte that is another.
            let mut bent = A.as_bytes().to_vec();
            if let Some(byte) = bent.get_mut(cut) {
                *byte = flip;
            }
            for bytes in [bytes, bent] {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let mut keys = CaKeys::from_key_set(&ours).unwrap();
                if keys.keep("old", &text).is_ok() {
                    let rendered = keys.render("ca").unwrap();
                    for line in rendered.lines().filter(|line| !line.starts_with('#')) {
                        prop_assert!(line.parse::<PublicKey>().is_ok(), "{line:?}");
                    }
                }
            }
        }
    }
}
