//! What a certificate says, judged by `ssh-keygen -L` and `ssh-key`, and what it can never say.

use std::process::Command;
use std::time::Duration;

use proptest::prelude::*;
use ssh_key::{Certificate, PrivateKey};

use super::*;
use crate::entropy::seeded;
use crate::policy::{AccountName, Extension, Grant, Principal, RoleName};
use crate::signer::{KeyKind, KeyPair, key_pair};
use crate::time::Timestamp;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const MINUTES: Duration = Duration::from_secs(15 * 60);

/// A user CA that signs.
pub(crate) fn user_ca(kind: KeyKind) -> KeyPair {
    KeyPair::from_private(&key_pair::generate(kind, &mut seeded(7)).unwrap()).unwrap()
}

/// A key to certify.
pub(crate) fn subject() -> AcceptedKey {
    let key = key_pair::generate(KeyKind::Ed25519, &mut seeded(9)).unwrap();
    AcceptedKey::new(key.public_key()).unwrap()
}

/// The facts of a login that ends in eight hours.
pub(crate) fn login() -> LoginFacts<'static> {
    LoginFacts {
        id: "Zm9vYmFy",
        name: "alice@example.com",
        ends: NOW.plus(Duration::from_secs(8 * 3600)),
    }
}

/// A certificate to sign for that key.
pub(crate) fn to_sign(grant: &Grant, key: &AcceptedKey, ca: &KeyPair) -> CertificateToSign {
    let ca = CaPublicKey::new(ca.public_key()).unwrap();
    make(grant, key, login(), &ca, NOW).unwrap()
}

fn make(
    grant: &Grant,
    key: &AcceptedKey,
    login: LoginFacts<'_>,
    ca: &CaPublicKey,
    now: Timestamp,
) -> Result<CertificateToSign, CertificateError> {
    let ask = UserCertificate {
        grant,
        key,
        login,
        ca,
        now,
    };
    CertificateToSign::user(&ask, &mut seeded(now.millis()))
}

fn grant() -> Grant {
    Grant::for_test("production-observer", MINUTES)
}

/// The signed line, past keyring and ledger.
pub(super) fn signed<K: Kind>(certificate: &CertificateToSign<K>, ca: &KeyPair) -> String {
    let terms = certificate.terms();
    check::last_look(certificate.to_be_signed(), terms, &terms.ca).unwrap();
    let mut whole = certificate.to_be_signed().to_vec();
    let signature = ca.sign(certificate.to_be_signed()).unwrap();
    string(&mut whole, &signature).unwrap();
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(whole);
    format!(
        "{} {text} {}",
        certificate.certificate_type(),
        certificate.key_id()
    )
}

/// What `ssh-keygen -L` says, which verifies the signature while reading.
pub(crate) fn listed(line: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("id-cert.pub");
    crate::signer::file::create(&path, format!("{line}\n").as_bytes(), 0o644).unwrap();
    let output = Command::new("ssh-keygen")
        .arg("-L")
        .arg("-f")
        .arg(&path)
        .env("TZ", "UTC")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_certificate_says_exactly_this() {
    let ca = user_ca(KeyKind::Ed25519);
    let role = RoleName::new("db-admin").unwrap();
    let alice = AccountName::new("alice").unwrap();
    let grant = Grant::for_test("db-admin", MINUTES).with(
        vec![Principal::role(&role), Principal::role_of(&role, &alice)],
        Extension::ALL,
        &["10.0.0.0/8", "2001:db8::/32"],
    );
    let certificate = to_sign(&grant, &subject(), &ca);
    let text = listed(&signed(&certificate, &ca));
    let (_, text) = text.split_once('\n').unwrap();
    let expected = format!(
        "        Type: ssh-ed25519-cert-v01@openssh.com user certificate
        Public key: ED25519-CERT {subject}
        Signing CA: ED25519 {ca} (using ssh-ed25519)
        Key ID: \"alice@example.com/login=Zm9vYmFy/role=db-admin\"
        Serial: {serial}
        Valid: from 2027-01-15T07:58:00 to 2027-01-15T08:15:00
        Principals: 
                role:db-admin
                role:db-admin+alice
        Critical Options: 
                source-address 10.0.0.0/8,2001:db8::/32
        Extensions: 
                access-until@jit-ssh.dev UNKNOWN OPTION: {until} (len 14)
                login@jit-ssh.dev UNKNOWN OPTION: {login} (len 12)
                permit-X11-forwarding
                permit-agent-forwarding
                permit-port-forwarding
                permit-pty
                policy@jit-ssh.dev UNKNOWN OPTION: {policy} (len 68)
",
        subject = subject().fingerprint(),
        ca = ca.public_key().fingerprint(ssh_key::HashAlg::Sha256),
        serial = certificate.serial(),
        until = format_args!("0000000a{}", hex(b"1800028800")),
        login = format_args!("00000008{}", hex(b"Zm9vYmFy")),
        policy = format_args!("00000040{}", hex("ab".repeat(32).as_bytes())),
    );
    // ssh-keygen's wording of an option that it does not know differs between its versions.
    let lines = |text: &str| -> Vec<String> {
        text.lines()
            .map(|line| match line.split_once(" UNKNOWN") {
                Some((name, data)) => {
                    let hex = data.split(": ").nth(1).unwrap();
                    format!("{name} {}", hex.split(' ').next().unwrap())
                }
                None => line.trim_end().to_owned(),
            })
            .collect()
    };
    assert_eq!(lines(text), lines(&expected));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_accepted_kind_is_certified_by_both_kinds_of_ca() {
    let keys = key::tests::one_of_each_kind();
    assert_eq!(keys.len(), 7);
    for kind in [KeyKind::Ed25519, KeyKind::P256] {
        let ca = user_ca(kind);
        for key in &keys {
            let certificate = to_sign(&grant(), key, &ca);
            let line = signed(&certificate, &ca);
            let text = listed(&line);
            assert!(text.contains("user certificate"), "{text}");
            assert!(text.contains("role:production-observer"), "{text}");
            let read = Certificate::from_openssh(&line).unwrap();
            let ca = ca.public_key().fingerprint(ssh_key::HashAlg::Sha256);
            read.validate_at(NOW.seconds(), &[ca]).unwrap();
            assert_eq!(read.public_key(), key.public_key().key_data());
            assert_eq!(read.serial(), certificate.serial());
            assert_eq!(read.valid_principals(), ["role:production-observer"]);
            assert!(!read.extensions().contains_key("permit-user-rc"));
            assert_eq!(read.comment(), certificate.key_id());
        }
    }
}

#[test]
fn two_certificates_of_one_grant_share_neither_serial_nor_nonce() {
    let (ca, key) = (user_ca(KeyKind::Ed25519), subject());
    let public = CaPublicKey::new(ca.public_key()).unwrap();
    let mut rng = seeded(1);
    let grant = grant();
    let mut serials = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let ask = UserCertificate {
            grant: &grant,
            key: &key,
            login: login(),
            ca: &public,
            now: NOW,
        };
        let certificate = CertificateToSign::user(&ask, &mut rng).unwrap();
        assert!(serials.insert(certificate.serial()));
        let nonce = certificate.to_be_signed()[36..72].to_vec();
        assert_eq!(nonce[..4], [0, 0, 0, 32]);
        assert!(serials.insert(u64::from_be_bytes(nonce[4..12].try_into().unwrap())));
    }
}

#[test]
fn a_generator_that_gives_zero_does_not_give_serial_zero() {
    struct Zeros(u32);
    impl rand::RngCore for Zeros {
        fn next_u32(&mut self) -> u32 {
            0
        }
        fn next_u64(&mut self) -> u64 {
            self.0 += 1;
            // 1 >> 1 is 0 as well.
            [0, 1, 42][usize::try_from(self.0).unwrap().min(3) - 1]
        }
        fn fill_bytes(&mut self, dest: &mut [u8]) {
            dest.fill(0);
        }
        fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand::Error> {
            self.fill_bytes(dest);
            Ok(())
        }
    }
    impl rand::CryptoRng for Zeros {}
    assert_eq!(serial::random(&mut Zeros(0)), 21);
}

#[test]
fn a_login_that_is_over_gives_no_certificate() {
    let ca = CaPublicKey::new(user_ca(KeyKind::Ed25519).public_key()).unwrap();
    for late in [0, 1, 999, 100_000] {
        let facts = LoginFacts {
            ends: NOW,
            ..login()
        };
        let now = NOW.plus(Duration::from_millis(late));
        let refused = make(&grant(), &subject(), facts, &ca, now).unwrap_err();
        assert!(
            matches!(refused, CertificateError::LoginOver { .. }),
            "{refused}"
        );
    }
}

#[test]
fn a_certificate_does_not_outlive_its_login() {
    let ca = CaPublicKey::new(user_ca(KeyKind::Ed25519).public_key()).unwrap();
    let facts = LoginFacts {
        ends: NOW.plus(Duration::from_millis(90_500)),
        ..login()
    };
    let certificate = make(&grant(), &subject(), facts, &ca, NOW).unwrap();
    assert_eq!(certificate.valid_before(), NOW.seconds() + 90);
    assert_eq!(certificate.valid_after(), NOW.seconds() - 120);
}

#[test]
fn a_login_id_that_could_forge_a_key_id_is_refused() {
    let ca = CaPublicKey::new(user_ca(KeyKind::Ed25519).public_key()).unwrap();
    let long = "a".repeat(65);
    let ids = ["", "a/role=root", "a b", "a\n", "ä", "a=b", long.as_str()];
    for id in ids {
        let facts = LoginFacts { id, ..login() };
        let refused = make(&grant(), &subject(), facts, &ca, NOW).unwrap_err();
        assert_eq!(refused, CertificateError::LoginId(id.into()));
    }
}

#[test]
fn names_of_people_forge_neither_log_lines_nor_parts_of_the_key_id() {
    let cases = [
        (
            "alice\nAccepted publickey for root from 6.6.6.6",
            "alice_Accepted_publickey_for_root_from_6.6.6.6/login=L/role=r",
        ),
        ("a/login=X/role=root", "a_login_X_role_root/login=L/role=r"),
        ("", "_/login=L/role=r"),
        ("Zoë O'Neil", "Zo__O_Neil/login=L/role=r"),
        ("\u{202e}evil\u{1b}[2J", "_evil__2J/login=L/role=r"),
    ];
    for (name, expected) in cases {
        assert_eq!(key_id::of_login(name, "L", "r").unwrap(), expected);
    }
    let long = key_id::of_login(&"x".repeat(500), &"l".repeat(64), &"r".repeat(63)).unwrap();
    assert_eq!(long.len(), 199);
    assert!(long.contains("x~/login="));
}

#[test]
fn a_grant_without_a_principal_gives_no_certificate() {
    let ca = CaPublicKey::new(user_ca(KeyKind::Ed25519).public_key()).unwrap();
    let empty = grant().with(Vec::new(), &[], &[]);
    let refused = make(&empty, &subject(), login(), &ca, NOW).unwrap_err();
    assert!(matches!(refused, CertificateError::NoPrincipal { .. }));
    let role = RoleName::new("many").unwrap();
    let many = |count: usize| {
        let names = (0..count).map(|n| AccountName::new(&format!("a{n}")).unwrap());
        grant().with(
            names.map(|name| Principal::role_of(&role, &name)).collect(),
            &[],
            &[],
        )
    };
    let refused = make(&many(257), &subject(), login(), &ca, NOW).unwrap_err();
    assert_eq!(refused, CertificateError::TooManyPrincipals(257));
    make(&many(256), &subject(), login(), &ca, NOW).unwrap();
}

#[test]
fn an_rsa_key_or_a_large_curve_is_no_user_ca() {
    for key in key::tests::one_of_each_kind() {
        let taken = CaPublicKey::<User>::new(key.public_key());
        match key.name() {
            "ssh-ed25519" | "ecdsa-sha2-nistp256" => assert!(taken.is_ok()),
            name => assert_eq!(taken, Err(CertificateError::CaKind(name.into()))),
        }
    }
}

/// A36: a policy that means minutes and writes hours is told so when it loads.
#[test]
fn a_policy_that_wants_more_than_a_day_does_not_load() {
    use crate::policy::{IssuerFacts, Policy};
    let load = |validity: &str| {
        let text = format!("[roles.r]\naccounts = [\"a\"]\nmax_validity = \"{validity}\"\n");
        Policy::parse(&text, &IssuerFacts::default())
            .map(drop)
            .map_err(|error| error.to_string())
    };
    assert_eq!(load("24h"), Ok(()));
    let refused = load("25h").unwrap_err();
    assert!(refused.contains("from 1s to 24h"), "{refused}");
}

fn extensions() -> impl Strategy<Value = Vec<Extension>> {
    proptest::sample::subsequence(Extension::ALL.to_vec(), 0..=Extension::ALL.len())
}

proptest! {
    /// Invariant 2: whatever time it is and whatever a policy allows, the bytes stay within.
    #[test]
    fn no_certificate_is_valid_longer_than_agreed(
        now in prop_oneof![any::<u64>(), 0..4_000_000_000_000u64],
        validity in prop_oneof![any::<u64>(), 0..100_000_000u64],
        lasts in prop_oneof![any::<u64>(), 0..100_000_000u64],
        extensions in extensions(),
        sourced in any::<bool>(),
    ) {
        let ca = CaPublicKey::new(user_ca(KeyKind::Ed25519).public_key()).unwrap();
        let now = Timestamp::from_millis(now);
        let validity = Duration::from_millis(validity);
        let ends = now.plus(Duration::from_millis(lasts));
        let role = RoleName::new("r").unwrap();
        let source: &[&str] = if sourced { &["192.0.2.0/24"] } else { &[] };
        let grant = Grant::for_test("r", validity)
            .with(vec![Principal::role(&role)], &extensions, source);
        let facts = LoginFacts { ends, ..login() };
        match make(&grant, &subject(), facts, &ca, now) {
            Err(CertificateError::LoginOver { .. }) => {
                // Less than what makes a whole second is nothing.
                let over = now.plus(validity.min(MAX_VALIDITY)).min(ends);
                prop_assert!(over.since(now) < Duration::from_secs(1));
            }
            Err(other) => prop_assert!(false, "{}", other),
            Ok(made) => {
                prop_assert!(made.valid_before() <= ends.seconds());
                prop_assert!(made.valid_before() <= now.plus(validity).seconds());
                prop_assert!(made.valid_before() <= now.plus(MAX_VALIDITY).seconds());
                prop_assert!(made.valid_before() > now.seconds());
                prop_assert!(made.valid_after() >= now.seconds().saturating_sub(120));
                prop_assert!(made.serial() > 0 && made.serial() <= i64::MAX as u64);
                check::last_look(made.to_be_signed(), made.terms(), ca.blob()).unwrap();
            }
        }
    }

    #[test]
    fn any_name_at_all_becomes_a_plain_key_id(name in any::<String>(), login in "[A-Za-z0-9_-]{1,64}") {
        let key_id = key_id::of_login(&name, &login, "production-observer").unwrap();
        prop_assert!(key_id.len() <= MAX_KEY_ID);
        prop_assert!(key_id.bytes().all(|b| b.is_ascii_graphic() && !b",\"'\\#`$".contains(&b)));
        prop_assert_eq!(key_id.matches("/login=").count(), 1);
        prop_assert_eq!(key_id.matches("/role=").count(), 1);
    }
}

/// A37: a certificate that the user CA signed does not become a host's.
#[test]
fn ssh_key_reads_a_user_certificate_and_no_other() {
    let ca = user_ca(KeyKind::P256);
    let line = signed(&to_sign(&grant(), &subject(), &ca), &ca);
    let read = Certificate::from_openssh(&line).unwrap();
    assert_eq!(read.cert_type(), ssh_key::certificate::CertType::User);
    let host = PrivateKey::from(ssh_key::private::Ed25519Keypair::from_seed(&[3; 32]));
    let foreign = host.public_key().fingerprint(ssh_key::HashAlg::Sha256);
    assert!(read.validate_at(NOW.seconds(), &[foreign]).is_err());
}
