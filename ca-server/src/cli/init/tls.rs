//! A TLS identity of the CA's own: a self-signed certificate whose key the signed key set pins, so
//! that whoever has the fingerprint needs no public CA. Browsers do not know it (the paste page of
//! `--no-browser` shows their warning): give real files with `--tls files` where that matters.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PublicKeyData as _};
use sha2::{Digest as _, Sha256};

use crate::secret::Secret;

/// Certificate and key in PEM, and the pin for the key set.
pub(in crate::cli) struct TlsIdentity {
    pub(in crate::cli) certificate: String,
    pub(in crate::cli) key: Secret<String>,
    pub(in crate::cli) pin: String,
}

/// ECDSA P-256, which every client and both profiles know.
pub(in crate::cli) fn generate(host: &str) -> Result<TlsIdentity, rcgen::Error> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let mut parameters = CertificateParams::new(vec![host.to_owned()])?;
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, format!("jit-ssh CA {host}"));
    parameters.distinguished_name = name;
    let certificate = parameters.self_signed(&key)?;
    Ok(TlsIdentity {
        certificate: certificate.pem(),
        pin: STANDARD.encode(Sha256::digest(key.subject_public_key_info())),
        key: Secret::new(key.serialize_pem()),
    })
}
