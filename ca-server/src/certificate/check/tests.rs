//! Each rule is broken once, in bytes that are otherwise a good certificate, made by an encoder of
//! the tests' own: removing a rule breaks its test.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::certificate::tests::{subject, to_sign, user_ca};
use crate::certificate::{CaPublicKey, CertificateToSign, Host, HostCertificate, HostName};
use crate::entropy::seeded;
use crate::policy::{Extension, Grant, Principal, RoleName};
use crate::signer::KeyKind;
use crate::time::Timestamp;

type Options = Vec<(Vec<u8>, Vec<u8>)>;

/// A certificate's fields, free to be wrong.
#[derive(Clone)]
struct Draft {
    certificate_type: Vec<u8>,
    nonce: Vec<u8>,
    key: Vec<Vec<u8>>,
    serial: u64,
    kind: u32,
    key_id: Vec<u8>,
    principals: Vec<Vec<u8>>,
    valid_after: u64,
    valid_before: u64,
    critical: Options,
    extensions: Options,
    reserved: Vec<u8>,
    ca: Vec<u8>,
    after: Vec<u8>,
}

fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    [length.to_be_bytes().as_slice(), bytes].concat()
}

impl Draft {
    fn of(read: &Read<'_>) -> Self {
        let own = |all: &[&[u8]]| all.iter().map(|one| one.to_vec()).collect();
        let pairs =
            |all: &[(&[u8], &[u8])]| all.iter().map(|(a, b)| (a.to_vec(), b.to_vec())).collect();
        Draft {
            certificate_type: read.certificate_type.to_vec(),
            nonce: read.nonce.to_vec(),
            key: own(&read.key),
            serial: read.serial,
            kind: read.kind,
            key_id: read.key_id.to_vec(),
            principals: own(&read.principals),
            valid_after: read.valid_after,
            valid_before: read.valid_before,
            critical: pairs(&read.critical),
            extensions: pairs(&read.extensions),
            reserved: read.reserved.to_vec(),
            ca: read.signature_key.to_vec(),
            after: Vec::new(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let options = |all: &Options| {
            let inner: Vec<u8> = all
                .iter()
                .flat_map(|(name, data)| [string(name), string(data)].concat())
                .collect();
            string(&inner)
        };
        let principals: Vec<u8> = self.principals.iter().flat_map(|p| string(p)).collect();
        [
            string(&self.certificate_type),
            string(&self.nonce),
            self.key.iter().flat_map(|field| string(field)).collect(),
            self.serial.to_be_bytes().to_vec(),
            self.kind.to_be_bytes().to_vec(),
            string(&self.key_id),
            string(&principals),
            self.valid_after.to_be_bytes().to_vec(),
            self.valid_before.to_be_bytes().to_vec(),
            options(&self.critical),
            options(&self.extensions),
            string(&self.reserved),
            string(&self.ca),
            self.after.clone(),
        ]
        .concat()
    }

    fn extension(&mut self, name: &str) -> &mut (Vec<u8>, Vec<u8>) {
        let at = self
            .extensions
            .iter()
            .position(|(n, _)| n == name.as_bytes());
        &mut self.extensions[at.unwrap()]
    }
}

fn good() -> (Draft, Terms) {
    let role = RoleName::new("db-admin").unwrap();
    let grant = Grant::for_test("db-admin", Duration::from_secs(900)).with(
        vec![Principal::role(&role)],
        &[Extension::Pty, Extension::PortForwarding],
        &["10.0.0.0/8", "192.0.2.7/32"],
    );
    let made = to_sign(&grant, &subject(), &user_ca(KeyKind::Ed25519));
    let draft = Draft::of(&read(made.to_be_signed()).unwrap());
    assert_eq!(draft.bytes(), made.to_be_signed());
    (draft, made.terms().clone())
}

/// A host's, as good.
fn good_host() -> (Draft, Terms<Host>) {
    let names = ["web01.prod.example.com", "192.0.2.7"].map(|name| HostName::parse(name).unwrap());
    let ask = HostCertificate {
        id: "h7f3k2",
        names: &names,
        key: &subject(),
        validity: Duration::from_secs(30 * 24 * 3600),
        ca: &CaPublicKey::new(user_ca(KeyKind::P256).public_key()).unwrap(),
        now: Timestamp::from_seconds(1_800_000_000),
    };
    let made = CertificateToSign::host(&ask, &mut seeded(3)).unwrap();
    let draft = Draft::of(&read(made.to_be_signed()).unwrap());
    assert_eq!(draft.bytes(), made.to_be_signed());
    (draft, made.terms().clone())
}

fn look<K: Kind>(draft: &Draft, terms: &Terms<K>) -> Result<(), CheckError> {
    last_look(&draft.bytes(), terms, &terms.ca)
}

/// Breaks one thing and says what the last look says.
fn broken(change: impl FnOnce(&mut Draft)) -> CheckError {
    let (mut draft, terms) = good();
    look(&draft, &terms).unwrap();
    change(&mut draft);
    look(&draft, &terms).unwrap_err()
}

/// The same with a host's.
fn broken_host(change: impl FnOnce(&mut Draft)) -> CheckError {
    let (mut draft, terms) = good_host();
    look(&draft, &terms).unwrap();
    change(&mut draft);
    look(&draft, &terms).unwrap_err()
}

#[test]
fn bytes_after_the_end_are_refused() {
    let found = broken(|draft| draft.after = vec![0]);
    assert!(matches!(found, CheckError::Format(_)));
}

#[test]
fn a_certificate_cut_short_anywhere_is_refused() {
    let (draft, terms) = good();
    let bytes = draft.bytes();
    for end in 0..bytes.len() {
        assert!(
            last_look(&bytes[..end], &terms, &terms.ca).is_err(),
            "{end}"
        );
    }
}

#[test]
fn a_plain_key_type_or_dsa_in_front_is_refused() {
    for kind in ["ssh-ed25519", "ssh-dss-cert-v01@openssh.com", ""] {
        let found = broken(|draft| draft.certificate_type = kind.into());
        assert_eq!(found, CheckError::CertificateType(kind.into()));
    }
}

#[test]
fn another_key_than_the_proven_one_is_refused() {
    assert_eq!(broken(|draft| draft.key[0][0] ^= 1), CheckError::Key);
    assert_eq!(broken(|draft| draft.key[0].push(0)), CheckError::Key);
}

#[test]
fn a_certificate_nested_as_the_key_is_refused() {
    let (mut draft, mut terms) = good();
    terms.key = draft.bytes();
    assert_eq!(look(&draft, &terms), Err(CheckError::Key));
    draft.key[0] = draft.bytes();
    assert_eq!(look(&draft, &terms), Err(CheckError::Key));
}

#[test]
fn a_short_nonce_is_refused() {
    assert_eq!(
        broken(|draft| draft.nonce.truncate(16)),
        CheckError::Nonce(16)
    );
    assert_eq!(broken(|draft| draft.nonce.clear()), CheckError::Nonce(0));
}

#[test]
fn serial_zero_and_serials_beyond_63_bits_are_refused() {
    for serial in [0, 1 << 63, u64::MAX] {
        assert_eq!(
            broken(|draft| draft.serial = serial),
            CheckError::Serial(serial)
        );
    }
}

#[test]
fn a_host_certificate_from_the_user_ca_is_refused() {
    for kind in [0, 2, 3, u32::MAX] {
        assert_eq!(broken(|draft| draft.kind = kind), CheckError::NotUser(kind));
    }
}

#[test]
fn a_user_certificate_from_the_host_ca_is_refused() {
    for kind in [0, 1, 3, u32::MAX] {
        let found = broken_host(|draft| draft.kind = kind);
        assert_eq!(found, CheckError::NotHost(kind));
    }
}

/// A37: not one by its type alone either: everything of the one kind is wrong in the other.
#[test]
fn what_was_agreed_for_one_kind_is_refused_for_the_other() {
    let (user, user_terms) = good();
    let (host, host_terms) = good_host();
    let mut as_host = user.clone();
    as_host.kind = 2;
    let found = last_look(&as_host.bytes(), &host_terms, &host_terms.ca);
    assert!(matches!(found, Err(CheckError::KeyId(_))), "{found:?}");
    let mut as_user = host.clone();
    as_user.kind = 1;
    let found = last_look(&as_user.bytes(), &user_terms, &user_terms.ca);
    assert!(matches!(found, Err(CheckError::KeyId(_))), "{found:?}");
    for ca in [&user_terms.ca, &host_terms.ca] {
        let of_host = last_look(&host.bytes(), &host_terms, ca);
        assert_eq!(of_host.is_ok(), *ca == host_terms.ca);
        let of_user = last_look(&user.bytes(), &user_terms, ca);
        assert_eq!(of_user.is_ok(), *ca == user_terms.ca);
    }
}

#[test]
fn a_key_id_of_another_host_is_refused() {
    for attempt in [
        "",
        "web01",
        "/host=h7f3k2",
        "web01/host=other",
        "host=x/host=h7f3k2",
        "web01/host=h7f3k2/role=root",
        "web01/login=h7f3k2",
        "web01\n/host=h7f3k2",
    ] {
        let found = broken_host(|draft| draft.key_id = attempt.into());
        assert!(
            matches!(found, CheckError::KeyId(_)),
            "{attempt:?}: {found}"
        );
    }
}

/// A33: every byte there is, at the end of a name that is otherwise good and that was agreed.
#[test]
fn a_host_name_that_a_client_takes_for_a_pattern_is_refused() {
    let (mut draft, mut terms) = good_host();
    let mut allowed = String::new();
    for byte in 0..=255u8 {
        let name = [b"web", [byte].as_slice(), b"1"].concat();
        terms.principals = vec![String::from_utf8_lossy(&name).into_owned()];
        draft.principals = vec![name.clone()];
        match look(&draft, &terms) {
            Ok(()) => allowed.push(char::from(byte)),
            Err(found) => assert_eq!(found, CheckError::HostName(shown(&name))),
        }
    }
    assert_eq!(allowed, "-.0123456789abcdefghijklmnopqrstuvwxyz");
    let (label, long) = ("a".repeat(64), ["a"; 128].join("."));
    for attempt in [
        "", ".", "a.", ".a", "a..b", "-a", "a-", "a.-b", &label, &long,
    ] {
        terms.principals = vec![attempt.to_owned()];
        draft.principals = vec![attempt.into()];
        let found = look(&draft, &terms).unwrap_err();
        assert_eq!(found, CheckError::HostName(attempt.into()));
    }
}

#[test]
fn a_host_certificate_for_every_host_or_another_is_refused() {
    let (mut draft, mut terms) = good_host();
    terms.principals.clear();
    draft.principals.clear();
    assert_eq!(look(&draft, &terms), Err(CheckError::PrincipalCount(0)));
    let found = broken_host(|draft| draft.principals.push(b"db01".to_vec()));
    assert_eq!(found, CheckError::Principals);
    let found = broken_host(|draft| draft.principals[1] = b"192.0.2.8".to_vec());
    assert_eq!(found, CheckError::Principals);
}

#[test]
fn an_option_in_a_host_certificate_is_refused() {
    let pair = |name: &str| (name.as_bytes().to_vec(), Vec::new());
    for name in ["force-command", "source-address", "x@example.com"] {
        let found = broken_host(|draft| draft.critical.push(pair(name)));
        assert_eq!(found, CheckError::Critical(name.into()));
    }
    for name in ["permit-pty", LOGIN_EXTENSION, "x@example.com"] {
        let found = broken_host(|draft| draft.extensions.push(pair(name)));
        assert_eq!(found, CheckError::Extensions(name.into()));
    }
}

#[test]
fn what_no_certificate_may_be_a_host_certificate_may_not_either() {
    assert_eq!(broken_host(|draft| draft.key[0][0] ^= 1), CheckError::Key);
    assert_eq!(
        broken_host(|draft| draft.nonce.truncate(16)),
        CheckError::Nonce(16)
    );
    assert_eq!(broken_host(|draft| draft.serial = 0), CheckError::Serial(0));
    assert_eq!(
        broken_host(|draft| draft.reserved = vec![1]),
        CheckError::Reserved(1)
    );
    let found = broken_host(|draft| draft.ca = draft.bytes());
    assert_eq!(found, CheckError::SignatureKey);
    let found = broken_host(|draft| draft.valid_before += 1);
    assert!(matches!(found, CheckError::Validity { .. }), "{found}");
}

#[test]
fn sixty_days_are_the_longest_for_a_host_whatever_was_agreed() {
    let (mut draft, mut terms) = good_host();
    terms.not_after = u64::MAX;
    draft.valid_before = draft.valid_after + 120 + 60 * 24 * 3600;
    look(&draft, &terms).unwrap();
    draft.valid_before += 1;
    assert!(matches!(
        look(&draft, &terms),
        Err(CheckError::Validity { .. })
    ));
}

#[test]
fn a_key_id_that_forges_a_log_line_or_a_part_is_refused() {
    let long = format!("{}/login=Zm9vYmFy/role=db-admin", "a".repeat(200));
    let attempts = [
        "",
        "alice",
        "alice\nAccepted publickey for root/login=Zm9vYmFy/role=db-admin",
        "a b/login=Zm9vYmFy/role=db-admin",
        "a,b/login=Zm9vYmFy/role=db-admin",
        "/login=Zm9vYmFy/role=db-admin",
        "alice/login=Zm9vYmFy/role=root",
        "alice/login=other/role=db-admin",
        "alice/role=db-admin/login=Zm9vYmFy",
        "login=x/login=Zm9vYmFy/role=db-admin",
        "alice/login=Zm9vYmFy/role=db-admin/role=root",
        "al\u{e9}/login=Zm9vYmFy/role=db-admin",
        long.as_str(),
    ];
    for attempt in attempts {
        let found = broken(|draft| draft.key_id = attempt.into());
        assert!(
            matches!(found, CheckError::KeyId(_)),
            "{attempt:?}: {found}"
        );
    }
}

#[test]
fn a_certificate_for_everybody_is_refused() {
    let found = broken(|draft| draft.principals.clear());
    assert_eq!(found, CheckError::PrincipalCount(0));
    // Nor where the terms are empty as well.
    let (mut draft, mut terms) = good();
    draft.principals.clear();
    terms.principals.clear();
    assert_eq!(look(&draft, &terms), Err(CheckError::PrincipalCount(0)));
}

#[test]
fn more_principals_than_sshd_reads_are_refused() {
    let (mut draft, mut terms) = good();
    let names = |count: usize| (0..count).map(|n| format!("a{n}")).collect::<Vec<_>>();
    for (count, fits) in [(256, true), (257, false)] {
        terms.principals = names(count);
        draft.principals = names(count).into_iter().map(String::into_bytes).collect();
        assert_eq!(look(&draft, &terms).is_ok(), fits);
    }
}

/// A34: every byte there is, and some letters that are several bytes, at each place of a name.
#[test]
fn no_character_that_a_reader_splits_or_cuts_at_is_in_a_principal() {
    let (mut draft, mut terms) = good();
    let mut allowed = String::new();
    for byte in 0..=255u8 {
        let mut name = b"role:db-adm".to_vec();
        name.push(byte);
        // Only text can be agreed at all; the bytes are judged before they are compared.
        terms.principals = vec![String::from_utf8_lossy(&name).into_owned()];
        draft.principals = vec![name.clone()];
        match look(&draft, &terms) {
            Ok(()) => allowed.push(char::from(byte)),
            // A second part must follow it.
            Err(_) if byte == b'+' => {}
            Err(found) => assert_eq!(found, CheckError::PrincipalCharacter(shown(&name))),
        }
    }
    assert_eq!(allowed, "-0123456789_abcdefghijklmnopqrstuvwxyz");
    let long = "a".repeat(33);
    let attempts = [
        "",
        "*",
        "root#eu",
        "deploy,root",
        "-oProxyCommand",
        "0",
        "Root",
        "role:",
        "role:+root",
        "role:a+",
        "role:a+b+c",
        "role:a+b:c",
        "rôle",
        "roleа",
        "a b",
        "a\nb",
        "role:a@b",
        &long,
    ];
    for attempt in attempts {
        terms.principals = vec![attempt.to_owned()];
        draft.principals = vec![attempt.into()];
        let found = look(&draft, &terms).unwrap_err();
        assert_eq!(found, CheckError::PrincipalCharacter(attempt.into()));
    }
}

#[test]
fn a_principal_more_fewer_or_other_than_the_roles_is_refused() {
    assert_eq!(
        broken(|draft| draft.principals.push(b"root".to_vec())),
        CheckError::Principals
    );
    assert_eq!(
        broken(|draft| draft.principals[0] = b"role:db-root".to_vec()),
        CheckError::Principals
    );
}

#[test]
fn validity_past_what_was_agreed_is_refused() {
    let refused = |change: fn(&mut Draft)| {
        let found = broken(change);
        assert!(matches!(found, CheckError::Validity { .. }), "{found}");
    };
    refused(|draft| draft.valid_before += 1);
    refused(|draft| draft.valid_before = u64::MAX);
    refused(|draft| draft.valid_before *= 1000);
    refused(|draft| draft.valid_before = draft.valid_after);
    refused(|draft| draft.valid_before = 0);
    refused(|draft| draft.valid_after -= 1);
    refused(|draft| draft.valid_after = 0);
    refused(|draft| draft.valid_after = draft.valid_before + 1);
}

#[test]
fn a_day_is_the_longest_whatever_was_agreed() {
    let (mut draft, mut terms) = good();
    terms.not_after = u64::MAX;
    draft.valid_before = draft.valid_after + 120 + 24 * 3600;
    look(&draft, &terms).unwrap();
    draft.valid_before += 1;
    assert!(matches!(
        look(&draft, &terms),
        Err(CheckError::Validity { .. })
    ));
}

#[test]
fn options_twice_or_out_of_order_are_refused() {
    let twice = broken(|draft| {
        let first = draft.critical[0].clone();
        draft.critical.push(first);
    });
    assert_eq!(twice, CheckError::Order("source-address".into()));
    let swapped = broken(|draft| draft.extensions.swap(0, 1));
    assert!(matches!(swapped, CheckError::Order(_)));
    let twice = broken(|draft| {
        let last = draft.extensions.last().unwrap().clone();
        draft.extensions.push(last);
    });
    assert!(matches!(twice, CheckError::Order(_)));
}

#[test]
fn a_critical_option_missing_changed_or_added_is_refused() {
    let refused = |change: fn(&mut Draft)| {
        let found = broken(change);
        assert!(matches!(found, CheckError::Critical(_)), "{found}");
    };
    refused(|draft| draft.critical.clear());
    refused(|draft| draft.critical[0].1 = string(b"0.0.0.0/0"));
    refused(|draft| draft.critical[0].1 = string(b"10.0.0.0/8"));
    refused(|draft| draft.critical[0].0 = b"source-addresses".to_vec());
    refused(|draft| {
        let forced = (b"force-command".to_vec(), string(b"id"));
        draft.critical.insert(0, forced);
    });
    refused(|draft| {
        draft
            .critical
            .push((b"verify-required".to_vec(), Vec::new()));
    });
    let (mut draft, mut terms) = good();
    terms.own.source.clear();
    assert!(matches!(look(&draft, &terms), Err(CheckError::Critical(_))));
    draft.critical.clear();
    look(&draft, &terms).unwrap();
}

#[test]
fn an_extension_missing_changed_or_added_is_refused() {
    let refused = |change: fn(&mut Draft)| {
        let found = broken(change);
        assert!(matches!(found, CheckError::Extensions(_)), "{found}");
    };
    for at in 0..5 {
        let found = broken(|draft| drop(draft.extensions.remove(at)));
        assert!(matches!(found, CheckError::Extensions(_)), "{at}: {found}");
    }
    refused(|draft| draft.extensions.clear());
    refused(|draft| {
        draft
            .extensions
            .push((b"permit-user-rc".to_vec(), Vec::new()));
        draft.extensions.sort();
    });
    refused(|draft| {
        draft
            .extensions
            .push((b"zzz@example.com".to_vec(), Vec::new()));
    });
    refused(|draft| draft.extension("permit-pty").1 = string(b"yes"));
    refused(|draft| draft.extension(LOGIN_EXTENSION).1 = string(b"other"));
    refused(|draft| draft.extension(POLICY_EXTENSION).1 = string(b"00"));
    refused(|draft| draft.extension(ACCESS_UNTIL_EXTENSION).1 = string(b"99999999999"));
}

#[test]
fn data_of_an_option_that_is_not_one_string_is_refused() {
    let refused = |change: fn(&mut Draft)| {
        let found = broken(change);
        assert!(matches!(found, CheckError::Format(_)), "{found}");
    };
    refused(|draft| draft.extension(LOGIN_EXTENSION).1 = b"Zm9vYmFy".to_vec());
    refused(|draft| draft.extension(LOGIN_EXTENSION).1.push(0));
    refused(|draft| draft.critical[0].1.push(b','));
    refused(|draft| draft.critical[0].1.clear());
}

/// Invariant 2, whatever a policy said: the terms cannot bring it in either.
#[test]
fn permit_user_rc_is_refused_even_where_it_was_agreed() {
    for name in ["permit-user-rc", "no-touch-required", "permit-tun"] {
        let (mut draft, mut terms) = good();
        terms.own.permits.insert(name);
        draft.extensions.push((name.into(), Vec::new()));
        draft.extensions.sort();
        let found = look(&draft, &terms);
        assert!(
            matches!(found, Err(CheckError::Extensions(_))),
            "{name}: {found:?}"
        );
    }
}

#[test]
fn a_reserved_field_with_content_is_refused() {
    assert_eq!(
        broken(|draft| draft.reserved = vec![1]),
        CheckError::Reserved(1)
    );
}

#[test]
fn another_key_than_the_user_ca_is_refused_as_signature_key() {
    let (mut draft, mut terms) = good();
    let other = user_ca(KeyKind::P256).public_key().to_bytes().unwrap();
    assert_eq!(
        last_look(&draft.bytes(), &terms, &other),
        Err(CheckError::SignatureKey)
    );
    let ours = terms.ca.clone();
    draft.ca.clone_from(&other);
    assert_eq!(
        last_look(&draft.bytes(), &terms, &ours),
        Err(CheckError::SignatureKey)
    );
    terms.ca.clone_from(&other);
    assert_eq!(
        last_look(&draft.bytes(), &terms, &ours),
        Err(CheckError::SignatureKey)
    );
    last_look(&draft.bytes(), &terms, &other).unwrap();
}

#[test]
fn rsa_and_certificates_are_refused_as_signature_key() {
    for name in [
        "ssh-rsa",
        "ssh-ed25519-cert-v01@openssh.com",
        "ecdsa-sha2-nistp384",
        "",
    ] {
        let (mut draft, mut terms) = good();
        draft.ca = [string(name.as_bytes()), string(b"key")].concat();
        terms.ca.clone_from(&draft.ca);
        assert_eq!(
            look(&draft, &terms),
            Err(CheckError::SignatureKey),
            "{name}"
        );
    }
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let (_, terms) = good();
        prop_assert!(last_look(&bytes, &terms, &terms.ca).is_err());
    }

    /// One changed byte is either refused, or stands where nothing was agreed: in the nonce, the
    /// serial, the person's name, or it makes the validity shorter.
    #[test]
    fn a_changed_byte_changes_nothing_that_was_agreed(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let (draft, terms) = good();
        let mut bytes = draft.bytes();
        let at = at.index(bytes.len());
        bytes[at] = to;
        if last_look(&bytes, &terms, &terms.ca).is_ok() {
            let mut found = Draft::of(&read(&bytes).unwrap());
            prop_assert!(found.serial != 0);
            prop_assert!(found.valid_after >= terms.not_before);
            prop_assert!(found.valid_before <= terms.not_after);
            let rest = b"/login=Zm9vYmFy/role=db-admin";
            prop_assert!(found.key_id.ends_with(rest));
            found.nonce.clone_from(&draft.nonce);
            found.key_id.clone_from(&draft.key_id);
            found.serial = draft.serial;
            found.valid_after = draft.valid_after;
            found.valid_before = draft.valid_before;
            prop_assert_eq!(found.bytes(), draft.bytes());
        }
    }
}
