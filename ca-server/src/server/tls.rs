//! TLS for the listener: rustls on aws-lc, TLS 1.2 and 1.3. The files are read again when they
//! change; a pair that does not fit together changes nothing, loudly.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Why there is no TLS; the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read as PEM.
    #[error("{} cannot be read: {cause}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// There is no certificate in the file.
    #[error("{} has no certificate in it", .0.display())]
    Empty(PathBuf),
    /// The key is not the certificate's, or of a kind that rustls does not know.
    #[error("{} and {} do not make a TLS identity: {cause}", certificate.display(), key.display())]
    Unfit {
        /// The chain.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why.
        cause: rustls::Error,
    },
}

/// Reads the pair and makes a configuration of it.
pub(crate) fn load(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let unreadable = |path: &Path, cause: &dyn std::fmt::Display| TlsError::Unreadable {
        path: path.to_owned(),
        cause: cause.to_string(),
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|cause| unreadable(certificate, &cause))?;
    if chain.is_empty() {
        return Err(TlsError::Empty(certificate.to_owned()));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|cause| unreadable(key, &cause))?;
    let unfit = |cause| TlsError::Unfit {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        cause,
    };
    let provider = provider();
    let pair = CertifiedKey::from_der(chain, private, &provider).map_err(unfit)?;
    let resolver: Arc<dyn ResolvesServerCert> = Arc::new(SingleCertAndKey::from(pair));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unfit)?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Clients come with a new process each time: there is nothing to resume, so nothing is kept.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// The one cryptographic provider.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

#[cfg(test)]
mod tests {
    use super::{TlsError, load};

    #[expect(clippy::disallowed_methods, reason = "a test's own files")]
    fn pair(folder: &std::path::Path, name: &str) -> (std::path::PathBuf, std::path::PathBuf) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let (certificate, key) = (
            folder.join(format!("{name}.pem")),
            folder.join(format!("{name}.key")),
        );
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        (certificate, key)
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (one, key) = pair(folder.path(), "one");
        let (_, other) = pair(folder.path(), "other");
        load(&one, &key).unwrap();
        assert!(matches!(load(&one, &other), Err(TlsError::Unfit { .. })));
        assert!(matches!(load(&key, &key), Err(TlsError::Empty(_))));
        assert!(load(&folder.path().join("none"), &key).is_err());
    }
}
