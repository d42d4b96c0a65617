//! Whom TLS trusts: the system's store with extra CA files, or the keys that the signed key set
//! pins. At first contact, where only a fingerprint is known, the handshake is let through and its
//! key remembered, until the key set (checked against the fingerprint) has named it or not.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sha2::{Digest as _, Sha256};

use crate::error::ConnectError;
use crate::http::Options;

/// Who vouches for the server.
#[derive(Clone, Debug)]
pub(crate) enum Trust {
    /// The trust store.
    System,
    /// Keys of the key set (SHA-256 of SubjectPublicKeyInfo, base64), else the trust store.
    Pins(Vec<String>),
    /// Nobody yet: whatever is seen is remembered, and judged before anything else is sent.
    FirstContact(Arc<Seen>),
    /// No TLS at all (Unix socket).
    #[cfg_attr(not(unix), expect(dead_code, reason = "there are no Unix sockets"))]
    Nobody,
}

/// What the handshake of a first contact showed.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<Option<(String, bool)>>);

impl Seen {
    /// The pin of the key that was seen, and whether the trust store vouches for it.
    pub(crate) fn get(&self) -> Option<(String, bool)> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

pub(crate) fn config(ca_files: &[PathBuf], trust: Trust) -> Result<ClientConfig, ConnectError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let roots = if matches!(trust, Trust::Nobody) {
        RootCertStore::empty()
    } else {
        roots(ca_files)?
    };
    let system = if roots.is_empty() {
        None
    } else {
        let builder =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        Some(
            builder
                .build()
                .map_err(|error| ConnectError::Client(error.to_string()))?,
        )
    };
    let verifier = Arc::new(Verifier {
        system,
        trust,
        provider: provider.clone(),
    });
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ConnectError::Client(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

/// How many TLS CAs are trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustStore {
    /// Of the system.
    pub system: usize,
    /// Of the files that were named.
    pub named: usize,
}

/// Looks at what TLS trusts with these options.
pub fn trust_store(options: &Options) -> Result<TrustStore, ConnectError> {
    let system = roots(&[])?.len();
    let named = roots(&options.ca_files)?.len().saturating_sub(system);
    Ok(TrustStore { system, named })
}

fn roots(ca_files: &[PathBuf]) -> Result<RootCertStore, ConnectError> {
    let mut roots = RootCertStore::empty();
    // A certificate of the store that cannot be read is one CA less, never one more.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for path in ca_files {
        let wrong = |cause: String| ConnectError::CaFile {
            path: path.clone(),
            cause,
        };
        let before = roots.len();
        for certificate in
            CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?
        {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots
                .add(certificate)
                .map_err(|error| wrong(error.to_string()))?;
        }
        if roots.len() == before {
            return Err(wrong("it holds no PEM certificate".to_owned()));
        }
    }
    Ok(roots)
}

#[derive(Debug)]
struct Verifier {
    system: Option<Arc<WebPkiServerVerifier>>,
    trust: Trust,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let by_system = || match &self.system {
            Some(system) => system.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                now,
            ),
            None => Err(CertificateError::UnknownIssuer.into()),
        };
        match &self.trust {
            Trust::System => by_system(),
            Trust::Nobody => Err(CertificateError::UnknownIssuer.into()),
            Trust::Pins(pins) => {
                let pin = pin(end_entity)?;
                if pins.contains(&pin) {
                    Ok(ServerCertVerified::assertion())
                } else {
                    by_system()
                }
            }
            Trust::FirstContact(seen) => {
                let shown = (pin(end_entity)?, by_system().is_ok());
                *seen.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
                Ok(ServerCertVerified::assertion())
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// The pin of a certificate's key, as the key set writes it.
fn pin(certificate: &CertificateDer<'_>) -> Result<String, rustls::Error> {
    let certificate = webpki::EndEntityCert::try_from(certificate)
        .map_err(|_| rustls::Error::InvalidCertificate(CertificateError::BadEncoding))?;
    Ok(STANDARD.encode(Sha256::digest(certificate.subject_public_key_info())))
}

/// Whether the chain of causes holds a complaint about the server's certificate.
pub(crate) fn is_certificate_error(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        // An io::Error hides what it wraps from `source`.
        let inner = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        let inner = inner.map(|inner| inner as &(dyn std::error::Error + 'static));
        for error in [Some(error), inner].into_iter().flatten() {
            if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
                return true;
            }
        }
        next = inner.or_else(|| error.source());
    }
    false
}
