//! What a host's certificate says, judged by `ssh-keygen -L` and `ssh-key`, and what it can never say.

use proptest::prelude::*;
use ssh_key::Certificate;
use ssh_key::certificate::CertType;

use super::*;
use crate::certificate::check::{self, MAX_PRINCIPALS};
use crate::certificate::key::tests::one_of_each_kind;
use crate::certificate::tests::{listed, signed, subject, user_ca};
use crate::entropy::seeded;
use crate::signer::{KeyKind, KeyPair};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn names(names: &[&str]) -> Vec<HostName> {
    names
        .iter()
        .map(|name| HostName::parse(name).unwrap())
        .collect()
}

fn make(
    names: &[HostName],
    key: &AcceptedKey,
    validity: Duration,
    now: Timestamp,
    ca: &KeyPair,
) -> Result<CertificateToSign<Host>, CertificateError> {
    let ask = HostCertificate {
        id: "h7f3k2",
        names,
        key,
        validity,
        ca: &CaPublicKey::new(ca.public_key()).unwrap(),
        now,
    };
    CertificateToSign::host(&ask, &mut seeded(now.millis()))
}

#[test]
fn a_host_certificate_says_exactly_this() {
    let ca = user_ca(KeyKind::Ed25519);
    let names = names(&["web01.prod.example.com", "web01", "192.0.2.7"]);
    let certificate = make(&names, &subject(), 30 * DAY, NOW, &ca).unwrap();
    let line = signed(&certificate, &ca);
    let text = listed(&line);
    let (_, text) = text.split_once('\n').unwrap();
    let expected = format!(
        "        Type: ssh-ed25519-cert-v01@openssh.com host certificate
        Public key: ED25519-CERT {subject}
        Signing CA: ED25519 {ca} (using ssh-ed25519)
        Key ID: \"web01.prod.example.com/host=h7f3k2\"
        Serial: {serial}
        Valid: from 2027-01-15T07:58:00 to 2027-02-14T08:00:00
        Principals: 
                web01.prod.example.com
                web01
                192.0.2.7
        Critical Options: (none)
        Extensions: (none)
",
        subject = subject().fingerprint(),
        ca = ca.public_key().fingerprint(ssh_key::HashAlg::Sha256),
        serial = certificate.serial(),
    );
    assert_eq!(text, expected);
    let read = Certificate::from_openssh(&line).unwrap();
    assert_eq!(read.cert_type(), CertType::Host);
}

#[test]
fn keys_of_all_kinds_make_host_certificates_that_openssh_reads() {
    for kind in [KeyKind::Ed25519, KeyKind::P256] {
        let ca = user_ca(kind);
        for key in one_of_each_kind() {
            let made = make(&names(&["web01"]), &key, DAY, NOW, &ca).unwrap();
            let text = listed(&signed(&made, &ca));
            let kind = format!("Type: {} host certificate", key.certificate_type());
            assert!(text.contains(&kind), "{text}");
        }
    }
}

/// A33: to `ssh`, a host certificate without names is good for every host.
#[test]
fn a_host_without_a_name_gets_no_certificate() {
    let ca = user_ca(KeyKind::Ed25519);
    let refused = make(&[], &subject(), DAY, NOW, &ca).unwrap_err();
    assert_eq!(refused, CertificateError::NoHostName);
}

#[test]
fn more_names_than_ssh_reads_are_refused() {
    let ca = user_ca(KeyKind::Ed25519);
    let many = |count: usize| -> Vec<HostName> {
        (0..count)
            .map(|n| HostName::parse(&format!("h{n}")).unwrap())
            .collect()
    };
    make(&many(MAX_PRINCIPALS), &subject(), DAY, NOW, &ca).unwrap();
    assert_eq!(
        make(&many(MAX_PRINCIPALS + 1), &subject(), DAY, NOW, &ca).unwrap_err(),
        CertificateError::TooManyPrincipals(MAX_PRINCIPALS + 1)
    );
}

#[test]
fn a_name_that_stands_for_other_hosts_is_no_name() {
    let label = "a".repeat(64);
    let long = ["a"; 128].join(".");
    for name in [
        "",
        ".",
        "*",
        "*.prod.example.com",
        "web?",
        "!web01",
        "web01,db01",
        "web01 db01",
        "web01.",
        ".web01",
        "web..example.com",
        "-web01",
        "web01-",
        "Web01",
        "wéb01",
        "web_01",
        "web01\n",
        "web01#",
        "[web01]:2222",
        "2001:db8::1",
        &label,
        &long,
    ] {
        let refused = HostName::parse(name).unwrap_err();
        assert_eq!(refused, CertificateError::HostName(name.into()));
    }
    for name in ["web01", "web01.prod.example.com", "192.0.2.7", "xn--wb-bja"] {
        assert_eq!(HostName::parse(name).unwrap().as_str(), name);
    }
}

#[test]
fn a_hosts_id_that_forges_a_part_of_the_key_id_is_refused() {
    let ca = user_ca(KeyKind::Ed25519);
    let ca = CaPublicKey::new(ca.public_key()).unwrap();
    for id in ["", "a/host=b", "a=b", "a b", &"x".repeat(65)] {
        let ask = HostCertificate {
            id,
            names: &names(&["web01"]),
            key: &subject(),
            validity: DAY,
            ca: &ca,
            now: NOW,
        };
        let refused = CertificateToSign::host(&ask, &mut seeded(1)).unwrap_err();
        assert_eq!(refused, CertificateError::HostId(id.into()));
    }
}

proptest! {
    /// A36: whatever time it is and whatever is agreed, the bytes stay within.
    #[test]
    fn no_host_certificate_is_valid_longer_than_agreed(
        now in prop_oneof![any::<u64>(), 0..4_000_000_000_000u64],
        validity in prop_oneof![any::<u64>(), 0..10_000_000_000u64],
    ) {
        let ca = user_ca(KeyKind::Ed25519);
        let now = Timestamp::from_millis(now);
        let validity = Duration::from_millis(validity);
        match make(&names(&["web01"]), &subject(), validity, now, &ca) {
            Err(CertificateError::NoTime) => {
                let over = now.plus(validity.min(MAX_HOST_VALIDITY));
                prop_assert!(over.since(now) < Duration::from_secs(1));
            }
            Err(other) => prop_assert!(false, "{}", other),
            Ok(made) => {
                prop_assert!(made.valid_before() <= now.plus(validity).seconds());
                prop_assert!(made.valid_before() <= now.plus(MAX_HOST_VALIDITY).seconds());
                prop_assert!(made.valid_before() > now.seconds());
                prop_assert!(made.valid_after() >= now.seconds().saturating_sub(120));
                check::last_look(made.to_be_signed(), made.terms(), &made.terms().ca).unwrap();
            }
        }
    }
}
