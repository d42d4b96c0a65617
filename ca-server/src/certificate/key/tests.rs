//! A corpus of bad keys, each a real one with one thing wrong, and all kinds of good ones.

use std::process::Command;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use ssh_key::public::{SkEcdsaSha2NistP256, SkEd25519};
use ssh_key::{Mpint, PrivateKey};

use super::*;

/// A public key line made by `ssh-keygen`.
fn keygen(kind: &str, bits: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("id");
    let made = Command::new("ssh-keygen")
        .args([
            "-q",
            "-t",
            kind,
            "-b",
            bits,
            "-N",
            "",
            "-C",
            "a comment, two",
        ])
        .arg("-f")
        .arg(&path)
        .status()
        .unwrap();
    assert!(made.success());
    std::fs::read_to_string(path.with_extension("pub")).unwrap()
}

/// Every kind that is accepted.
pub(crate) fn one_of_each_kind() -> Vec<AcceptedKey> {
    let made = [
        ("ed25519", "256"),
        ("ecdsa", "256"),
        ("ecdsa", "384"),
        ("ecdsa", "521"),
        ("rsa", "3072"),
    ];
    let mut keys: Vec<AcceptedKey> = made
        .iter()
        .map(|(kind, bits)| AcceptedKey::parse(&keygen(kind, bits)).unwrap())
        .collect();
    let KeyData::Ed25519(edwards) = keys[0].public_key().key_data().clone() else {
        panic!("the first is Ed25519")
    };
    let KeyData::Ecdsa(EcdsaPublicKey::NistP256(point)) = *keys[1].public_key().key_data() else {
        panic!("the second is P-256")
    };
    let sk = [
        KeyData::SkEd25519(SkEd25519::new(edwards, "ssh:")),
        KeyData::SkEcdsaSha2NistP256(SkEcdsaSha2NistP256::new(point, "ssh:work")),
    ];
    keys.extend(sk.map(|key| AcceptedKey::new(&PublicKey::from(key)).unwrap()));
    keys
}

fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    [length.to_be_bytes().as_slice(), bytes].concat()
}

fn blob(parts: &[&[u8]]) -> Vec<u8> {
    parts.iter().flat_map(|part| string(part)).collect()
}

/// A modulus of so many bits without small factors: only those are looked at.
fn modulus(bits: usize) -> Vec<u8> {
    let mut bytes = vec![0xffu8; bits / 8];
    let end = bytes.len() - 2;
    for odd in (1u16..=u16::MAX).step_by(2) {
        bytes[end..].copy_from_slice(&odd.to_be_bytes());
        if small_factor(&bytes).is_none() {
            return bytes;
        }
    }
    panic!("one in six odd numbers has no small factor")
}

fn rsa_blob(exponent: &[u8], modulus: &[u8]) -> Vec<u8> {
    let positive = |bytes: &[u8]| {
        Mpint::from_positive_bytes(bytes)
            .unwrap()
            .as_bytes()
            .to_vec()
    };
    blob(&[b"ssh-rsa", &positive(exponent), &positive(modulus)])
}

#[test]
fn every_kind_is_read_from_text_and_from_its_blob() {
    for key in one_of_each_kind() {
        let line = key.public_key().to_openssh().unwrap();
        let kind = key.name();
        assert_eq!(AcceptedKey::parse(&line).as_ref(), Ok(&key), "{kind}");
        assert_eq!(AcceptedKey::from_blob(key.blob()).as_ref(), Ok(&key));
        let from_comment = AcceptedKey::parse(&format!("  {line} a comment\n"));
        assert_eq!(from_comment.as_ref(), Ok(&key));
        assert!(key.certificate_type().contains("-cert-v01@openssh.com"));
    }
}

/// The profile `fips` takes no key of an Edwards curve, in a file or in a security key.
#[test]
fn an_edwards_key_does_not_fit_the_fips_profile() {
    for key in one_of_each_kind() {
        let kind = key.name();
        assert_eq!(key.fits(Profile::Standard), Ok(()), "{kind}");
        let expected = match kind {
            "ssh-ed25519" | "sk-ssh-ed25519@openssh.com" => Err(KeyError::Profile(kind)),
            _ => Ok(()),
        };
        assert_eq!(key.fits(Profile::Fips), expected, "{kind}");
    }
}

#[test]
fn keys_that_anybody_could_break_are_refused() {
    let p = |fill: u8| {
        let mut bytes = [0xffu8; 32];
        bytes[0] = fill;
        bytes[31] = 0x7f;
        bytes
    };
    let mut order_two = p(0xec);
    order_two[31] = 0xff;
    let identity = {
        let mut bytes = [0u8; 32];
        bytes[0] = 1;
        bytes
    };
    let order_eight: [u8; 32] = [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ];
    let not_on_curve = {
        let mut bytes = [0u8; 32];
        bytes[0] = 2;
        bytes
    };
    for point in [
        [0u8; 32],
        identity,
        order_two,
        order_eight,
        p(0xed),
        p(0xee),
        p(0xff),
        not_on_curve,
    ] {
        let found = AcceptedKey::from_blob(&blob(&[b"ssh-ed25519", &point]));
        assert_eq!(found, Err(KeyError::Point), "{point:02x?}");
        let sk = blob(&[b"sk-ssh-ed25519@openssh.com", &point, b"ssh:"]);
        assert_eq!(AcceptedKey::from_blob(&sk), Err(KeyError::Point));
    }
    let curves: [(&[u8], &[u8], usize); 3] = [
        (b"ecdsa-sha2-nistp256", b"nistp256", 32),
        (b"ecdsa-sha2-nistp384", b"nistp384", 48),
        (b"ecdsa-sha2-nistp521", b"nistp521", 66),
    ];
    for (kind, curve, size) in curves {
        // Off the curve; zero; compressed; a coordinate beyond the field.
        let mut off = vec![4u8; 1 + 2 * size];
        assert!(AcceptedKey::from_blob(&blob(&[kind, curve, &off])).is_err());
        off[1..].fill(0);
        assert!(AcceptedKey::from_blob(&blob(&[kind, curve, &off])).is_err());
        off[1..].fill(0xff);
        assert!(AcceptedKey::from_blob(&blob(&[kind, curve, &off])).is_err());
        let compressed = vec![2u8; 1 + size];
        assert!(AcceptedKey::from_blob(&blob(&[kind, curve, &compressed])).is_err());
        assert!(AcceptedKey::from_blob(&blob(&[kind, curve, &[0]])).is_err());
        assert!(AcceptedKey::from_blob(&blob(&[kind, curve, b""])).is_err());
    }
}

#[test]
fn a_point_of_one_curve_under_the_name_of_another_is_refused() {
    let keys = one_of_each_kind();
    let KeyData::Ecdsa(p384) = keys[2].public_key().key_data() else {
        panic!("the third is P-384")
    };
    let point = p384.as_sec1_bytes();
    for (kind, curve) in [
        (b"ecdsa-sha2-nistp256", b"nistp256"),
        (b"ecdsa-sha2-nistp384", b"nistp256"),
        (b"ecdsa-sha2-nistp256", b"nistp384"),
    ] {
        assert!(AcceptedKey::from_blob(&blob(&[kind, curve, point])).is_err());
    }
}

#[test]
fn rsa_keys_too_short_too_long_or_odd_are_refused() {
    let e = [1u8, 0, 1];
    for bits in [3072, 3080, 4096, 8192] {
        AcceptedKey::from_blob(&rsa_blob(&e, &modulus(bits))).unwrap();
    }
    for bits in [1024, 2048, 3064, 8200, 16384] {
        let found = AcceptedKey::from_blob(&rsa_blob(&e, &modulus(bits)));
        assert_eq!(found, Err(KeyError::RsaBits(bits)));
    }
    let exponents: [&[u8]; 6] = [&[], &[1], &[3], &[17], &[1, 0, 2], &[1, 0, 0, 0, 1]];
    for exponent in exponents {
        let found = AcceptedKey::from_blob(&rsa_blob(exponent, &modulus(3072)));
        assert!(
            matches!(found, Err(KeyError::RsaExponent | KeyError::Unreadable)),
            "{exponent:?}: {found:?}"
        );
    }
    let mut even = modulus(3072);
    even[383] &= 0xfe;
    let found = AcceptedKey::from_blob(&rsa_blob(&e, &even));
    assert_eq!(found, Err(KeyError::RsaFactor(2)));
    // 0x80…00 + a multiple of 3: the sum of its base-256 digits says so.
    let mut three = vec![0u8; 384];
    three[0] = 0x80;
    three[383] = 0x01;
    let found = AcceptedKey::from_blob(&rsa_blob(&e, &three));
    assert_eq!(found, Err(KeyError::RsaFactor(3)));
}

#[test]
fn negative_and_padded_numbers_are_refused() {
    let n = modulus(3072);
    // Without the zero in front it is negative; with two it is not the one encoding.
    let negative = blob(&[b"ssh-rsa", &[1, 0, 1], &n]);
    assert!(AcceptedKey::from_blob(&negative).is_err());
    let padded = [&[0, 0], n.as_slice()].concat();
    assert!(AcceptedKey::from_blob(&blob(&[b"ssh-rsa", &[1, 0, 1], &padded])).is_err());
    let padded = blob(&[b"ssh-rsa", &[0, 1, 0, 1], &[&[0], n.as_slice()].concat()]);
    assert!(AcceptedKey::from_blob(&padded).is_err());
}

#[test]
fn dsa_and_unknown_kinds_are_refused_by_name() {
    let line = "ssh-dss AAAAB3NzaC1kc3MAAACBAP a";
    assert_eq!(
        AcceptedKey::parse(line),
        Err(KeyError::Kind("ssh-dss".into()))
    );
    let dsa = blob(&[b"ssh-dss", &[1], &[1], &[1], &[1]]);
    assert_eq!(
        AcceptedKey::from_blob(&dsa),
        Err(KeyError::Kind("ssh-dss".into()))
    );
    let found = AcceptedKey::from_blob(&blob(&[b"ssh-mine@example.com", b"key"]));
    assert!(
        matches!(found, Err(KeyError::Kind(_) | KeyError::Unreadable)),
        "{found:?}"
    );
}

#[test]
fn a_certificate_in_place_of_a_key_is_refused() {
    let ca = crate::certificate::tests::user_ca(crate::signer::KeyKind::Ed25519);
    let grant = crate::policy::Grant::for_test("r", Duration::from_secs(60));
    let subject = crate::certificate::tests::subject();
    let made = crate::certificate::tests::to_sign(&grant, &subject, &ca);
    let mut whole = made.to_be_signed().to_vec();
    whole.extend(string(&ca.sign(made.to_be_signed()).unwrap()));
    assert_eq!(AcceptedKey::from_blob(&whole), Err(KeyError::Certificate));
    let line = ssh_key::Certificate::from_bytes(&whole)
        .unwrap()
        .to_openssh()
        .unwrap();
    assert_eq!(AcceptedKey::parse(&line), Err(KeyError::Certificate));
    // The certificate's bytes under the name of a plain key.
    let disguised = line.replacen("ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519", 1);
    assert_eq!(AcceptedKey::parse(&disguised), Err(KeyError::Unreadable));
}

#[test]
fn bytes_after_a_key_and_lines_after_a_line_are_refused() {
    let line = keygen("ed25519", "256");
    let key = AcceptedKey::parse(&line).unwrap();
    let longer = [key.blob(), &[0]].concat();
    assert_eq!(AcceptedKey::from_blob(&longer), Err(KeyError::Unreadable));
    let shorter = &key.blob()[..key.blob().len() - 1];
    assert_eq!(AcceptedKey::from_blob(shorter), Err(KeyError::Unreadable));
    let two = format!("{}\n{}", line.trim(), line.trim());
    assert_eq!(AcceptedKey::parse(&two), Err(KeyError::Unreadable));
    let options = format!("command=\"sh\" {line}");
    assert_eq!(AcceptedKey::parse(&options), Err(KeyError::Unreadable));
    let renamed = line.replace("ssh-ed25519 ", "ssh-rsa ");
    assert_eq!(AcceptedKey::parse(&renamed), Err(KeyError::Unreadable));
    let huge = format!("ssh-ed25519 {}", "A".repeat(MAX_LINE));
    assert_eq!(
        AcceptedKey::parse(&huge),
        Err(KeyError::TooLong(huge.len()))
    );
    assert_eq!(AcceptedKey::parse(""), Err(KeyError::Unreadable));
}

#[test]
fn a_private_key_is_not_taken_for_a_public_one() {
    let key = PrivateKey::from(ssh_key::private::Ed25519Keypair::from_seed(&[5; 32]));
    let text = key.to_openssh(ssh_key::LineEnding::LF).unwrap();
    assert_eq!(AcceptedKey::parse(&text), Err(KeyError::Unreadable));
}

#[test]
fn a_security_key_of_a_web_site_is_refused() {
    let keys = one_of_each_kind();
    let KeyData::Ed25519(edwards) = keys[0].public_key().key_data().clone() else {
        panic!("the first is Ed25519")
    };
    for application in ["", "https://example.com", "ssh", "ssh:a b", "ssh:\n"] {
        let key = PublicKey::from(KeyData::SkEd25519(SkEd25519::new(edwards, application)));
        let found = AcceptedKey::new(&key);
        assert_eq!(found, Err(KeyError::Application(application.into())));
    }
}

/// A40: judging the largest and worst keys costs less than a browser's blink.
#[test]
fn no_key_takes_long_to_judge() {
    let e = [1u8, 0, 1];
    let worst = [
        rsa_blob(&e, &modulus(8192)),
        rsa_blob(&e, &modulus(16384)),
        rsa_blob(&[0x7f; 1000], &modulus(8192)),
        blob(&[b"ecdsa-sha2-nistp521", b"nistp521", &[4u8; 133]]),
    ];
    for key in worst {
        let start = Instant::now();
        let _ = AcceptedKey::from_blob(&key);
        assert!(
            start.elapsed() < Duration::from_millis(250),
            "{:?}",
            start.elapsed()
        );
    }
}

proptest! {
    #[test]
    fn any_bytes_and_any_text_are_judged_without_a_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        text in any::<String>(),
    ) {
        let _ = AcceptedKey::from_blob(&bytes);
        let _ = AcceptedKey::parse(&text);
        let _ = AcceptedKey::from_blob(&blob(&[b"ssh-rsa", &bytes]));
        let _ = AcceptedKey::parse(&format!("ssh-ed25519 {text}"));
    }

    /// A blob that is accepted is exactly what is certified.
    #[test]
    fn one_flipped_bit_gives_another_key_or_none(at in 0usize..51, bit in 0u8..8) {
        let key = crate::certificate::tests::subject();
        let mut other = key.blob().to_vec();
        other[at] ^= 1 << bit;
        if let Ok(accepted) = AcceptedKey::from_blob(&other) {
            prop_assert_eq!(accepted.blob(), other.as_slice());
            prop_assert_ne!(accepted, key);
        }
    }
}
