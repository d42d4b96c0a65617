//! An OpenSSH certificate read from its line, ours or anybody's: a small parser of its own, since
//! `ssh-key` 0.6.7 does not read certificates that never expire, and since `ensure` must be done in
//! a millisecond. Any bytes may come in. Source: PROTOCOL.certkeys. Nothing here is verified;
//! [`crate::answer`] does that for what the CA sends.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// `ssh-ed25519-cert-v01@openssh.com` …
    pub(crate) algorithm: String,
    /// The certified key, as the blob of a plain public key.
    pub(crate) public_key: Vec<u8>,
    /// Serial; 0 is what tools write that do not number.
    pub(crate) serial: u64,
    /// 1 user, 2 host, anything else nonsense.
    pub(crate) kind: u32,
    /// What sshd writes into its log.
    pub(crate) key_id: String,
    /// None: any account or host (A33).
    pub(crate) principals: Vec<String>,
    /// Seconds since 1970-01-01 UTC.
    pub(crate) valid_after: u64,
    /// Seconds since 1970-01-01 UTC; `u64::MAX` is for ever.
    pub(crate) valid_before: u64,
    /// Names with their values.
    pub(crate) critical_options: Vec<(String, Vec<u8>)>,
    /// Names with their values.
    pub(crate) extensions: Vec<(String, Vec<u8>)>,
    /// Blob of the CA key.
    pub(crate) ca_key: Vec<u8>,
    /// Length of the comment's text does not matter: it is the holder's own.
    pub(crate) comment: String,
}

/// Id of the login that a certificate belongs to.
pub(crate) const LOGIN_EXTENSION: &str = "login@jit-ssh.dev";
/// SHA-256 of the policy that gave it.
pub(crate) const POLICY_EXTENSION: &str = "policy@jit-ssh.dev";
/// When a session that it opened should end, seconds since 1970-01-01 UTC.
pub(crate) const ACCESS_UNTIL_EXTENSION: &str = "access-until@jit-ssh.dev";

/// Why some text is not a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CertificateError {
    /// Not `ALGORITHM BASE64 COMMENT`.
    #[error("this is not a line of the form `ssh-…-cert-v01@openssh.com AAAA… comment`")]
    Line,
    /// A private key, said plainly.
    #[error("this is a private key")]
    PrivateKey,
    /// A public key without a certificate.
    #[error("this is a public key, not a certificate")]
    PublicKey,
    /// The algorithm of the line and that of the blob differ, or it is unknown.
    #[error("this kind of certificate is not known")]
    Algorithm,
    /// The blob ends early, goes on too long, or has lengths that do not fit.
    #[error("the certificate is damaged")]
    Damaged,
}

impl Certificate {
    /// Reads the first certificate line of a file.
    pub(crate) fn parse(text: &str) -> Result<Self, CertificateError> {
        let line = text
            .lines()
            .map(str::trim)
            .find(|line| !line.is_empty() && !line.starts_with('#'))
            .ok_or(CertificateError::Line)?;
        if line.starts_with("-----BEGIN") {
            return Err(CertificateError::PrivateKey);
        }
        let (algorithm, rest) = line.split_once(' ').ok_or(CertificateError::Line)?;
        let (blob, comment) = rest.split_once(' ').unwrap_or((rest, ""));
        let blob = STANDARD.decode(blob).map_err(|_| CertificateError::Line)?;
        if !algorithm.contains("-cert-v01@") {
            return Err(CertificateError::PublicKey);
        }
        let mut certificate = Self::from_blob(&blob)?;
        if certificate.algorithm != algorithm {
            return Err(CertificateError::Algorithm);
        }
        comment.trim().clone_into(&mut certificate.comment);
        Ok(certificate)
    }

    fn from_blob(blob: &[u8]) -> Result<Self, CertificateError> {
        let mut reader = Reader(blob);
        let algorithm = reader.text()?;
        let (plain, fields) = key_fields(&algorithm).ok_or(CertificateError::Algorithm)?;
        let _nonce = reader.string()?;
        let mut public_key = Vec::new();
        put_string(&mut public_key, plain.as_bytes());
        for _ in 0..fields {
            put_string(&mut public_key, reader.string()?);
        }
        let serial = reader.u64()?;
        let kind = reader.u32()?;
        let key_id = reader.text()?;
        let mut list = Reader(reader.string()?);
        let mut principals = Vec::new();
        while !list.0.is_empty() {
            principals.push(list.text()?);
        }
        let valid_after = reader.u64()?;
        let valid_before = reader.u64()?;
        let critical_options = options(reader.string()?)?;
        let extensions = options(reader.string()?)?;
        let _reserved = reader.string()?;
        let ca_key = reader.string()?.to_vec();
        let _signature = reader.string()?;
        if !reader.0.is_empty() {
            return Err(CertificateError::Damaged);
        }
        Ok(Certificate {
            algorithm,
            public_key,
            serial,
            kind,
            key_id,
            principals,
            valid_after,
            valid_before,
            critical_options,
            extensions,
            ca_key,
            comment: String::new(),
        })
    }

    /// The role that a key id of ours names: `NAME/login=ID/role=ROLE`.
    pub(crate) fn role(&self) -> Option<&str> {
        self.key_id
            .rsplit_once("/role=")
            .map(|(_, role)| role)
            .filter(|role| !role.is_empty() && !role.contains('/'))
    }

    /// Whether it can still be used for a login that starts now: valid, and not about to end.
    pub(crate) fn is_fresh(&self, now: u64) -> bool {
        // The CA dates certificates two minutes back: that part is no validity to speak of.
        let length = self.valid_before.saturating_sub(self.valid_after);
        let margin = (length.saturating_sub(120) / 5).min(30);
        self.valid_after <= now.saturating_add(60) && self.valid_before > now.saturating_add(margin)
    }
}

/// `SHA256:…` of a key blob.
pub(crate) fn fingerprint(blob: &[u8]) -> String {
    let digest = base64::engine::general_purpose::STANDARD_NO_PAD.encode(Sha256::digest(blob));
    format!("SHA256:{digest}")
}

/// Blob of an OpenSSH public key line.
pub(crate) fn blob_of_line(line: &str) -> Option<Vec<u8>> {
    STANDARD.decode(line.split_whitespace().nth(1)?).ok()
}

/// The plain algorithm of a certificate's, and how many fields its public key has.
fn key_fields(algorithm: &str) -> Option<(&'static str, usize)> {
    Some(match algorithm {
        "ssh-ed25519-cert-v01@openssh.com" => ("ssh-ed25519", 1),
        "ssh-rsa-cert-v01@openssh.com" => ("ssh-rsa", 2),
        "ssh-dss-cert-v01@openssh.com" => ("ssh-dss", 4),
        "ecdsa-sha2-nistp256-cert-v01@openssh.com" => ("ecdsa-sha2-nistp256", 2),
        "ecdsa-sha2-nistp384-cert-v01@openssh.com" => ("ecdsa-sha2-nistp384", 2),
        "ecdsa-sha2-nistp521-cert-v01@openssh.com" => ("ecdsa-sha2-nistp521", 2),
        "sk-ssh-ed25519-cert-v01@openssh.com" => ("sk-ssh-ed25519@openssh.com", 2),
        "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com" => ("sk-ecdsa-sha2-nistp256@openssh.com", 3),
        _ => return None,
    })
}

fn options(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, CertificateError> {
    let mut reader = Reader(bytes);
    let mut options = Vec::new();
    while !reader.0.is_empty() {
        let name = reader.text()?;
        // Values are strings packed in a string; empty for flags.
        let packed = reader.string()?;
        let mut inner = Reader(packed);
        let value = match inner.string() {
            Ok(value) if inner.0.is_empty() => value,
            _ => packed,
        };
        options.push((name, value.to_vec()));
    }
    Ok(options)
}

/// Appends an SSH string.
fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Reads the wire format of RFC 4251 §5 from any bytes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], CertificateError> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(CertificateError::Damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    fn u32(&mut self) -> Result<u32, CertificateError> {
        let bytes = self.take(4)?;
        Ok(bytes.iter().fold(0, |n, byte| n << 8 | u32::from(*byte)))
    }

    fn u64(&mut self) -> Result<u64, CertificateError> {
        let bytes = self.take(8)?;
        Ok(bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)))
    }

    fn string(&mut self) -> Result<&'a [u8], CertificateError> {
        let length = usize::try_from(self.u32()?).map_err(|_| CertificateError::Damaged)?;
        self.take(length)
    }

    fn text(&mut self) -> Result<String, CertificateError> {
        // Names of others may hold any bytes; they are only ever shown, and escaped then.
        Ok(String::from_utf8_lossy(self.string()?).into_owned())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::path::Path;
    use std::process::Command;

    /// Runs `ssh-keygen` and expects success.
    pub(crate) fn keygen(folder: &Path, arguments: &[&str]) {
        let output = Command::new("ssh-keygen")
            .current_dir(folder)
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    #[test]
    fn what_ssh_keygen_signs_is_read_also_when_it_never_expires() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        keygen(at, &["-q", "-t", "ed25519", "-N", "", "-f", "ca"]);
        for (kind, bits) in [("ed25519", "256"), ("rsa", "2048"), ("ecdsa", "384")] {
            keygen(at, &["-q", "-t", kind, "-b", bits, "-N", "", "-f", kind]);
            let public = format!("{kind}.pub");
            let options = "force-command=/bin/true";
            let sign = [
                "-q",
                "-s",
                "ca",
                "-I",
                "some one/role=ops",
                "-n",
                "a,b",
                "-z",
                "77",
            ];
            keygen(at, &[&sign[..], &["-O", options, &public]].concat());
            let line = std::fs::read_to_string(at.join(format!("{kind}-cert.pub"))).unwrap();
            let certificate = Certificate::parse(&line).unwrap();
            assert_eq!(certificate.valid_before, u64::MAX);
            assert_eq!(certificate.serial, 77);
            assert_eq!(certificate.principals, ["a", "b"]);
            assert_eq!(certificate.role(), Some("ops"));
            let force = ("force-command".to_owned(), b"/bin/true".to_vec());
            assert_eq!(certificate.critical_options, [force]);
            let plain = std::fs::read_to_string(at.join(&public)).unwrap();
            assert_eq!(Some(certificate.public_key), blob_of_line(&plain));
            let ca = std::fs::read_to_string(at.join("ca.pub")).unwrap();
            assert_eq!(Some(certificate.ca_key), blob_of_line(&ca));
            assert_eq!(Certificate::parse(&plain), Err(CertificateError::PublicKey));
        }
        let private = std::fs::read_to_string(at.join("ca")).unwrap();
        assert_eq!(
            Certificate::parse(&private),
            Err(CertificateError::PrivateKey)
        );
    }

    #[test]
    fn a_certificate_about_to_end_is_not_fresh() {
        let mut certificate = Certificate {
            algorithm: String::new(),
            public_key: Vec::new(),
            serial: 1,
            kind: 1,
            key_id: String::new(),
            principals: Vec::new(),
            valid_after: 1000,
            valid_before: 1300,
            critical_options: Vec::new(),
            extensions: Vec::new(),
            ca_key: Vec::new(),
            comment: String::new(),
        };
        assert!(certificate.is_fresh(1100));
        assert!(!certificate.is_fresh(1270));
        assert!(!certificate.is_fresh(900));
        certificate.valid_before = u64::MAX;
        assert!(certificate.is_fresh(1 << 60));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, text: String) {
            let _ = Certificate::from_blob(&bytes);
            let _ = Certificate::parse(&text);
            let mut blob = Vec::new();
            put_string(&mut blob, b"ssh-ed25519-cert-v01@openssh.com");
            blob.extend_from_slice(&bytes);
            let _ = Certificate::from_blob(&blob);
        }
    }
}
