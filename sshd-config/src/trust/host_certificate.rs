//! The host's own certificates (`HostCertificate`, sshd_config(5)): a line of the CA in, a file for
//! sshd out, once it is what was asked for.
//!
//! The CA's word is looked at although it is the CA's: a host certificate for other names would have
//! clients take this host for another one, and one without names for any (TRIALS of CVE-2024-7594,
//! A33). Source: PROTOCOL.certkeys.

use jit_ssh_api::key_set::{KeySet, Purpose};
use ssh_key::certificate::{CertType, Certificate};
use ssh_key::public::KeyData;
use ssh_key::{HashAlg, PublicKey};

/// A certificate for one of the host's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostCertificate {
    certificate: Certificate,
}

/// Why a certificate is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HostCertificateError {
    /// Not a certificate.
    #[error("the CA's host certificate cannot be read")]
    Malformed,
    /// For people.
    #[error("the CA answered with a certificate that is none for a host")]
    Kind,
    /// For another key.
    #[error("the host certificate is for the key {0}, which is none of this host's")]
    OtherKey(String),
    /// For other names.
    #[error("the host certificate is for {got}, but {asked} was asked for")]
    OtherNames {
        /// In it.
        got: String,
        /// Asked for.
        asked: String,
    },
    /// Not by a host CA.
    #[error("the host certificate is not signed by a host CA of the key set")]
    Signer,
    /// Options that host certificates never have.
    #[error("the host certificate has options, and none is known for hosts")]
    Options,
    /// Over.
    #[error("the host certificate has ended")]
    Ended,
}

impl HostCertificate {
    /// Reads a line, and takes it if it is for one of these keys and exactly these names.
    pub(crate) fn accept(
        line: &str,
        keys: &[PublicKey],
        names: &[String],
        key_set: &KeySet,
        now: u64,
    ) -> Result<Self, HostCertificateError> {
        let certificate = Self::read(line)?.certificate;
        if certificate.cert_type() != CertType::Host {
            return Err(HostCertificateError::Kind);
        }
        if !keys
            .iter()
            .any(|key| key.key_data() == certificate.public_key())
        {
            let key = PublicKey::from(certificate.public_key().clone());
            let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
            return Err(HostCertificateError::OtherKey(fingerprint));
        }
        let sorted = |names: &[String]| {
            let mut names = names.to_vec();
            names.sort();
            names
        };
        let (got, asked) = (sorted(certificate.valid_principals()), sorted(names));
        if got != asked || got.is_empty() {
            let (got, asked) = (got.join(", "), asked.join(", "));
            return Err(HostCertificateError::OtherNames { got, asked });
        }
        let signs = |purpose| {
            let mut keys = key_set.trusted(purpose);
            keys.any(|key| {
                let key = key.public_key.parse::<PublicKey>();
                key.is_ok_and(|key| key.key_data() == certificate.signature_key())
            })
        };
        if !signs(Purpose::HostCa)
            || signs(Purpose::UserCa)
            || certificate.verify_signature().is_err()
        {
            return Err(HostCertificateError::Signer);
        }
        if !certificate.critical_options().is_empty() || !certificate.extensions().is_empty() {
            return Err(HostCertificateError::Options);
        }
        if certificate.valid_before() <= now {
            return Err(HostCertificateError::Ended);
        }
        Ok(HostCertificate { certificate })
    }

    /// Reads a line that was taken before: from our own file.
    pub(crate) fn read(line: &str) -> Result<Self, HostCertificateError> {
        let certificate =
            Certificate::from_openssh(line.trim()).map_err(|_| HostCertificateError::Malformed)?;
        Ok(HostCertificate { certificate })
    }

    /// The key that it is for.
    pub(crate) fn key(&self) -> &KeyData {
        self.certificate.public_key()
    }

    /// When it ends, seconds since 1970-01-01 UTC.
    pub(crate) fn ends(&self) -> u64 {
        self.certificate.valid_before()
    }

    /// The file's exact text.
    pub(crate) fn render(&self) -> Result<String, HostCertificateError> {
        let line = self
            .certificate
            .to_openssh()
            .map_err(|_| HostCertificateError::Malformed)?;
        Ok(format!("{}\n", line.trim_end()))
    }
}

#[cfg(test)]
mod tests {
    use jit_ssh_api::key_set::{Key, State};
    use ssh_key::certificate::Builder;
    use ssh_key::rand_core::OsRng;
    use ssh_key::{Algorithm, PrivateKey};

    use super::*;

    struct Ca {
        host_ca: PrivateKey,
        user_ca: PrivateKey,
        host: PrivateKey,
    }

    fn key() -> PrivateKey {
        PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap()
    }

    impl Ca {
        fn new() -> Self {
            let (host_ca, user_ca, host) = (key(), key(), key());
            Ca {
                host_ca,
                user_ca,
                host,
            }
        }

        fn set(&self, host_ca: State) -> KeySet {
            let key = |purpose, state, key: &PrivateKey| Key {
                purpose,
                state,
                public_key: key.public_key().to_openssh().unwrap(),
            };
            KeySet {
                name: "ca".into(),
                epoch: 1,
                number: 1,
                created: 0,
                keys: vec![
                    key(Purpose::HostCa, host_ca, &self.host_ca),
                    key(Purpose::UserCa, State::Active, &self.user_ca),
                ],
                tls_pins: vec![],
                emergency: vec![],
            }
        }

        #[expect(clippy::disallowed_methods, reason = "certificates for the test")]
        fn certificate(&self, by: &PrivateKey, kind: CertType, names: &[&str]) -> String {
            let key = self.host.public_key().key_data().clone();
            let mut builder = Builder::new_with_random_nonce(&mut OsRng, key, 100, 200).unwrap();
            builder.cert_type(kind).unwrap();
            for name in names {
                builder.valid_principal(*name).unwrap();
            }
            if names.is_empty() {
                builder.all_principals_valid().unwrap();
            }
            builder.sign(by).unwrap().to_openssh().unwrap()
        }

        fn accept(&self, line: &str) -> Result<HostCertificate, HostCertificateError> {
            let names = ["web1.example.com".to_owned()];
            let keys = [self.host.public_key().clone()];
            HostCertificate::accept(line, &keys, &names, &self.set(State::Active), 150)
        }
    }

    #[test]
    fn what_was_asked_for_is_taken() {
        let ca = Ca::new();
        let line = ca.certificate(&ca.host_ca, CertType::Host, &["web1.example.com"]);
        let taken = ca.accept(&line).unwrap();
        assert_eq!(taken.ends(), 200);
        assert_eq!(HostCertificate::read(&taken.render().unwrap()), Ok(taken));
    }

    #[test]
    fn a_certificate_for_something_else_is_refused() {
        let ca = Ca::new();
        let other = Ca::new();
        let names = &["web1.example.com"][..];
        for line in [
            ca.certificate(&ca.host_ca, CertType::User, names),
            ca.certificate(&ca.host_ca, CertType::Host, &[]),
            ca.certificate(&ca.host_ca, CertType::Host, &["web2.example.com"]),
            ca.certificate(&ca.host_ca, CertType::Host, &["web1.example.com", "*"]),
            ca.certificate(&ca.user_ca, CertType::Host, names),
            ca.certificate(&other.host_ca, CertType::Host, names),
            other.certificate(&ca.host_ca, CertType::Host, names),
            "ssh-ed25519-cert-v01@openssh.com AAAA".to_owned(),
            String::new(),
        ] {
            assert!(ca.accept(&line).is_err(), "{line}");
        }
        let good = ca.certificate(&ca.host_ca, CertType::Host, names);
        let names = ["web1.example.com".to_owned()];
        let keys = [ca.host.public_key().clone()];
        let at = |state, now| HostCertificate::accept(&good, &keys, &names, &ca.set(state), now);
        assert_eq!(at(State::Active, 200), Err(HostCertificateError::Ended));
        assert_eq!(
            at(State::Compromised, 150),
            Err(HostCertificateError::Signer)
        );
    }
}
