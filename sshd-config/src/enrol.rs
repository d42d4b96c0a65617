//! Joining: the host's keys, the proof by each, and what the CA answers. The private keys stay where
//! they are and as they are; what is sent is public.
//!
//! Who the host is from then on is its first key: Ed25519 if it has one, else ECDSA, else RSA.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jit_ssh_api::bundle::SignedBundle;
use jit_ssh_api::host::{
    ENROLMENT_NAMESPACE, Enrolment, EnrolmentRequest, HostCertificate as Answered, HostKey,
    HostReport, enrolment_message,
};
use jit_ssh_api::key_set::KeySet;
use jit_ssh_connect::{KnownCa, SignError, SignProof};
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, PublicKey, SshSig};

use crate::bundle::{self, Refused, Taken};
use crate::host::Place;
use crate::install::InstallError;
use crate::state::Certificate;
use crate::trust::HostCertificate;
use crate::trust::host_certificate::HostCertificateError;

/// One of the host's keys.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    /// The private key's file.
    pub(crate) path: PathBuf,
    /// The public key, without a comment.
    pub(crate) public: PublicKey,
}

/// What the CA answered, looked at.
#[derive(Debug)]
pub(crate) struct Joined {
    /// The host's identifier.
    pub(crate) host: String,
    /// Its certificates, the first key's first.
    pub(crate) certificates: Vec<Certificate>,
    /// The first bundle.
    pub(crate) taken: Taken,
    /// As it came.
    pub(crate) signed: SignedBundle,
}

/// Why an answer is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JoinError {
    /// The identifier is not one.
    #[error("the CA answered with a host identifier that is none")]
    Identifier,
    /// No certificate for the first key.
    #[error("the CA answered without a certificate for {0}")]
    NoCertificate(String),
    /// A certificate for something else.
    #[error(transparent)]
    Certificate(#[from] HostCertificateError),
    /// The bundle.
    #[error(transparent)]
    Bundle(#[from] Refused),
}

/// The keys that sshd shows (`HostKey`), those that can prove themselves: the first is who the host is.
pub(crate) fn keys(place: &Place) -> Result<Vec<Key>, InstallError> {
    let effective = place.sshd.effective(None)?;
    let mut keys: Vec<Key> = effective
        .all("hostkey")
        .filter_map(|path| Key::at(Path::new(path)))
        .collect();
    keys.sort_by_key(|key| match key.public.algorithm() {
        Algorithm::Ed25519 => 0,
        Algorithm::Ecdsa { .. } => 1,
        _ => 2,
    });
    Ok(keys)
}

impl Key {
    /// The key in a file; none where there is none that sshd would show.
    pub(crate) fn at(path: &Path) -> Option<Self> {
        let mut public = match PrivateKey::read_openssh_file(path) {
            Ok(key) => key.public_key().clone(),
            // Older hosts have keys in PEM.
            Err(_) => {
                let output = Command::new("ssh-keygen")
                    .args(["-y", "-P", "", "-f"])
                    .arg(path)
                    .stdin(Stdio::null())
                    .output()
                    .ok()?;
                let text = String::from_utf8(output.stdout).ok()?;
                text.trim().parse().ok()?
            }
        };
        public.set_comment("");
        let known = matches!(
            public.algorithm(),
            Algorithm::Ed25519 | Algorithm::Ecdsa { .. } | Algorithm::Rsa { .. }
        );
        known.then(|| Key {
            path: path.to_owned(),
            public,
        })
    }

    /// OpenSSH format, without a comment.
    pub(crate) fn line(&self) -> Result<String, SignError> {
        let line = self.public.to_openssh();
        line.map_err(|error| SignError(error.to_string()))
    }

    /// By `ssh-keygen`, for what this program does not sign itself: RSA, and keys in PEM.
    fn sign_by_keygen(&self, namespace: &str, message: &[u8]) -> Result<SshSig, SignError> {
        let failed = |error: &dyn std::fmt::Display| {
            SignError(format!("{}: ssh-keygen: {error}", self.path.display()))
        };
        let mut child = Command::new("ssh-keygen")
            .args(["-Y", "sign", "-q", "-n", namespace, "-f"])
            .arg(&self.path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| failed(&error))?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(message).map_err(|error| failed(&error))?;
        }
        let output = child.wait_with_output().map_err(|error| failed(&error))?;
        if !output.status.success() {
            return Err(failed(&String::from_utf8_lossy(&output.stderr).trim()));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        text.parse().map_err(|error: ssh_key::Error| failed(&error))
    }
}

impl SignProof for Key {
    fn sign(&mut self, namespace: &str, message: &[u8]) -> Result<SshSig, SignError> {
        let own = matches!(
            self.public.algorithm(),
            Algorithm::Ed25519 | Algorithm::Ecdsa { .. }
        );
        match PrivateKey::read_openssh_file(&self.path) {
            Ok(key) if own => key
                .sign(namespace, HashAlg::Sha512, message)
                .map_err(|error| SignError(format!("{}: {error}", self.path.display()))),
            _ => self.sign_by_keygen(namespace, message),
        }
    }
}

/// What is sent, with a signature by each key: for this CA, this invitation, together with the first.
pub(crate) fn request(
    token: &str,
    names: &[String],
    keys: &[Key],
    known: &KnownCa,
    report: HostReport,
) -> Result<EnrolmentRequest, SignError> {
    let first = keys
        .first()
        .ok_or_else(|| SignError("this host has no key".to_owned()))?
        .line()?;
    let message = enrolment_message(&known.name, known.epoch, token, &first);
    let mut proven = Vec::new();
    for key in keys {
        let signature = key.clone().sign(ENROLMENT_NAMESPACE, message.as_bytes())?;
        let signature = signature
            .to_pem(LineEnding::LF)
            .map_err(|error| SignError(error.to_string()))?;
        proven.push(HostKey {
            public_key: key.line()?,
            signature,
        });
    }
    Ok(EnrolmentRequest {
        token: token.to_owned(),
        names: names.to_vec(),
        keys: proven,
        report,
    })
}

/// Looks at the answer: nothing of it is used before all of it is good.
pub(crate) fn accept(
    answer: &Enrolment,
    known: &KnownCa,
    keys: &[Key],
    names: &[String],
    now: u64,
) -> Result<Joined, JoinError> {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if !(8..=64).contains(&answer.host.len()) || !answer.host.bytes().all(legal) {
        return Err(JoinError::Identifier);
    }
    let taken = bundle::take(&answer.bundle, known, &answer.host, None)?;
    let set = taken.verified.key_set();
    let certificates = certificates(&answer.certificates, keys, names, set, now)?;
    Ok(Joined {
        host: answer.host.clone(),
        certificates,
        taken,
        signed: answer.bundle.clone(),
    })
}

/// The certificates that the CA answered with, each beside its key; the first key has one.
pub(crate) fn certificates(
    answered: &[Answered],
    keys: &[Key],
    names: &[String],
    set: &KeySet,
    now: u64,
) -> Result<Vec<Certificate>, JoinError> {
    let public: Vec<PublicKey> = keys.iter().map(|key| key.public.clone()).collect();
    let mut taken = Vec::new();
    for one in answered {
        let line = &one.certificate;
        match HostCertificate::accept(line, &public, names, set, now) {
            Ok(certificate) => taken.push(certificate),
            // Of a key that was removed here since: the others go on.
            Err(HostCertificateError::OtherKey(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut certificates = Vec::new();
    for (index, key) in keys.iter().enumerate() {
        let of = |certificate: &&HostCertificate| certificate.key() == key.public.key_data();
        match taken.iter().find(of) {
            Some(certificate) => certificates.push(Certificate {
                key: key.path.clone(),
                line: certificate.render()?.trim_end().to_owned(),
            }),
            None if index == 0 => {
                return Err(JoinError::NoCertificate(key.path.display().to_string()));
            }
            None => {}
        }
    }
    Ok(certificates)
}

/// What the host says of itself.
pub(crate) fn report(place: &Place) -> HostReport {
    HostReport {
        openssh: place.sshd.version_text().unwrap_or_default(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        findings: Vec::new(),
    }
}

/// The name under which this host is reached, as far as it knows: its fully qualified one.
pub(crate) fn own_name() -> Option<String> {
    let node = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let full = || {
        let output = Command::new("hostname")
            .arg("-f")
            .stdin(Stdio::null())
            .output()
            .ok()?;
        String::from_utf8(output.stdout).ok()
    };
    let name = if node.contains('.') {
        Some(node)
    } else {
        full()
    };
    let name = name?.trim().to_ascii_lowercase();
    (!name.is_empty() && name != "localhost").then_some(name)
}

#[cfg(test)]
mod tests;
