//! The keyring: what it signs, what it refuses to sign, and folders that it does not open.

use std::path::Path;
use std::time::Duration;

use jit_ssh_api::key_set::State;

use super::file::Lock;
use super::*;
use crate::certificate::tests::{listed, login, subject};
use crate::certificate::{AcceptedKey, HostCertificate, HostName, UserCertificate};
use crate::entropy::seeded;
use crate::policy::Grant;
use crate::time::Timestamp;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// A folder of keys as `init` makes it, unlocked.
fn folder(kind: KeyKind) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut rng = seeded(11);
    for name in [IDENTITY, "user-ca", "host-ca", "bundle", "ledger"] {
        file::generate(folder.path(), name, kind, Lock::Open, &mut rng).unwrap();
    }
    folder
}

/// The set in which every key of the folder is active, by the names that `init` gives.
fn set_of(folder: &Path) -> KeySet {
    let keys = PURPOSES.map(|purpose| {
        let public = file::read_public(folder, file_name(purpose)).unwrap();
        (purpose, public)
    });
    key_set::first(key_set::FirstKeySet {
        name: "ca.example.com",
        epoch: 1,
        created: NOW,
        keys: &keys,
        tls_pins: Vec::new(),
    })
}

fn locked(folder: &tempfile::TempDir) -> Result<LockedKeyring, SignerError> {
    let set = set_of(folder.path());
    LockedKeyring::read(&KeyFolder::read(folder.path())?, &set)
}

fn open(folder: &tempfile::TempDir) -> Result<Keyring, SignerError> {
    locked(folder)?.unlock(None)
}

fn recorded(ca: &CaPublicKey, key: &AcceptedKey, seed: u64) -> Recorded {
    let grant = Grant::for_test("production-observer", Duration::from_secs(900));
    let ask = UserCertificate {
        grant: &grant,
        key,
        login: login(),
        ca,
        now: NOW,
    };
    Recorded::for_test(CertificateToSign::user(&ask, &mut seeded(seed)).unwrap())
}

#[test]
fn exactly_the_recorded_bytes_are_signed() {
    for kind in [KeyKind::Ed25519, KeyKind::P256] {
        let folder = folder(kind);
        let keyring = open(&folder).unwrap();
        for seed in 0..20 {
            let recorded = recorded(keyring.user_ca(), &subject(), seed);
            let bytes = recorded.certificate().to_be_signed().to_vec();
            let issued = keyring.sign(recorded).unwrap();
            let mut words = issued.line().split(' ');
            let (kind, text) = (words.next().unwrap(), words.next().unwrap());
            assert_eq!(kind, "ssh-ed25519-cert-v01@openssh.com");
            assert_eq!(words.collect::<Vec<_>>(), [issued.certificate().key_id()]);
            let whole = STANDARD.decode(text).unwrap();
            assert!(whole.starts_with(&bytes));
            let read = ssh_key::Certificate::from_openssh(issued.line()).unwrap();
            let ca = keyring.user_ca().public_key().fingerprint(HashAlg::Sha256);
            read.validate_at(NOW.seconds(), &[ca]).unwrap();
            if seed == 0 {
                let text = listed(issued.line());
                assert!(text.contains(&ca.to_string()), "{text}");
            }
        }
    }
}

/// A key that was replaced between the record and the signature does not sign what was recorded
/// for another (A41).
#[test]
fn bytes_recorded_for_another_ca_are_not_signed() {
    let folder = folder(KeyKind::Ed25519);
    let keyring = open(&folder).unwrap();
    let other = crate::certificate::tests::user_ca(KeyKind::Ed25519);
    let other = CaPublicKey::new(other.public_key()).unwrap();
    let refused = keyring.sign(recorded(&other, &subject(), 1)).unwrap_err();
    let expected = CheckError::SignatureKey;
    assert!(
        matches!(&refused, SignerError::LastLook(found) if *found == expected),
        "{refused}"
    );
}

/// A37: each CA signs its own kind. That one is given what was recorded for the other does not compile;
/// that it is given what was made for the other's key is refused.
#[test]
fn the_user_ca_signs_no_host_and_the_host_ca_nobody() {
    let folder = folder(KeyKind::Ed25519);
    let keyring = open(&folder).unwrap();
    let host_ca = keyring.host_ca().unwrap();
    assert_ne!(keyring.user_ca().blob(), host_ca.public_key().blob());
    let names = [HostName::parse("web01.prod.example.com").unwrap()];
    let recorded = |ca: &PublicKey| {
        let ask = HostCertificate {
            id: "h7f3k2",
            names: &names,
            key: &subject(),
            validity: Duration::from_secs(3600),
            ca: &CaPublicKey::new(ca).unwrap(),
            now: NOW,
        };
        Recorded::for_test(CertificateToSign::host(&ask, &mut seeded(4)).unwrap())
    };
    let issued = host_ca.sign(recorded(host_ca.public_key().public_key()));
    let line = issued.unwrap().line().to_owned();
    let read = ssh_key::Certificate::from_openssh(&line).unwrap();
    assert_eq!(read.cert_type(), ssh_key::certificate::CertType::Host);
    let in_folder = file::read_public(folder.path(), "host-ca").unwrap();
    assert_eq!(read.signature_key(), in_folder.key_data());
    assert!(listed(&line).contains("host certificate"));

    let refused = host_ca.sign(recorded(keyring.user_ca().public_key()));
    assert!(
        matches!(
            refused,
            Err(SignerError::LastLook(CheckError::SignatureKey))
        ),
        "{refused:?}"
    );
    let of_host_ca = CaPublicKey::new(host_ca.public_key().public_key()).unwrap();
    let refused = keyring.sign(self::recorded(&of_host_ca, &subject(), 5));
    assert!(
        matches!(
            refused,
            Err(SignerError::LastLook(CheckError::SignatureKey))
        ),
        "{refused:?}"
    );
}

/// A37: one key as user CA and host CA would make every user certificate a step to a host's.
#[test]
fn one_key_with_two_jobs_is_refused() {
    let names = [IDENTITY, "user-ca", "host-ca", "bundle", "ledger"];
    for (at, one) in names.iter().enumerate() {
        for other in names.iter().skip(at + 1) {
            let folder = folder(KeyKind::Ed25519);
            for suffix in ["", ".pub"] {
                let from = folder.path().join(format!("{one}{suffix}"));
                let to = folder.path().join(format!("{other}{suffix}"));
                std::fs::copy(from, to).unwrap();
            }
            let refused = open(&folder).unwrap_err();
            let same = matches!(&refused, SignerError::Twice { one: a, other: b } if a == one && b == other);
            assert!(same, "{refused}");
        }
    }
}

/// Kinds for every file of the folder, so that discovery's `profile` is true of all of them.
#[test]
fn a_key_of_another_kind_than_the_profiles_is_refused() {
    for (kind, profile) in [
        (KeyKind::Ed25519, Profile::Standard),
        (KeyKind::P256, Profile::Standard),
        (KeyKind::P256, Profile::Fips),
    ] {
        let folder = folder(kind);
        let keyring = locked(&folder).unwrap();
        assert!(keyring.fits(profile).is_ok(), "{kind:?} {profile:?}");
    }
    for name in [IDENTITY, "user-ca", "host-ca", "bundle", "ledger"] {
        let folder = folder(KeyKind::P256);
        for suffix in ["", ".pub"] {
            std::fs::remove_file(folder.path().join(format!("{name}{suffix}"))).unwrap();
        }
        let kind = KeyKind::Ed25519;
        file::generate(folder.path(), name, kind, Lock::Open, &mut seeded(12)).unwrap();
        let keyring = locked(&folder).unwrap();
        assert!(keyring.fits(Profile::Standard).is_ok(), "{name}");
        let refused = keyring.fits(Profile::Fips).unwrap_err();
        let named = matches!(&refused, SignerError::Profile { name: found, .. } if *found == name);
        assert!(named, "{name}: {refused}");
    }
}

/// The identity key may be kept in a security key, and is never RSA.
#[test]
fn an_identity_key_of_a_kind_that_is_not_listed_is_refused() {
    let mut taken = Vec::new();
    for key in crate::certificate::key::tests::one_of_each_kind() {
        let fits = |profile| fits(IDENTITY, key.public_key(), profile).is_ok();
        taken.push((key.name(), fits(Profile::Standard), fits(Profile::Fips)));
    }
    assert_eq!(
        taken,
        [
            ("ssh-ed25519", true, false),
            ("ecdsa-sha2-nistp256", true, true),
            ("ecdsa-sha2-nistp384", true, true),
            ("ecdsa-sha2-nistp521", true, true),
            ("ssh-rsa", false, false),
            ("sk-ssh-ed25519@openssh.com", true, false),
            ("sk-ecdsa-sha2-nistp256@openssh.com", true, true),
        ]
    );
    // What signs here is of one of two kinds.
    let p384 = crate::certificate::key::tests::one_of_each_kind().swap_remove(2);
    for profile in [Profile::Standard, Profile::Fips] {
        assert!(fits("user-ca", p384.public_key(), profile).is_err());
    }
}

#[test]
fn a_folder_with_a_mismatched_or_missing_pair_does_not_open() {
    for name in ["user-ca", "host-ca", "bundle", "ledger"] {
        let folder = folder(KeyKind::Ed25519);
        let set = set_of(folder.path());
        let open = || LockedKeyring::read(&KeyFolder::read(folder.path())?, &set);
        let public = folder.path().join(format!("{name}.pub"));
        std::fs::copy(folder.path().join("identity.pub"), &public).unwrap();
        let refused = open().unwrap_err();
        let expected = matches!(refused, SignerError::File(FileError::OtherPublic(_)));
        assert!(expected, "{refused}");
        std::fs::remove_file(public).unwrap();
        let refused = open().unwrap_err();
        let expected = matches!(refused, SignerError::File(FileError::Missing(_)));
        assert!(expected, "{refused}");
    }
}

/// In the middle of a rotation: by the names of the files nobody could tell.
#[test]
fn the_key_that_the_set_calls_active_signs_whatever_its_file_is_called() {
    let folder = folder(KeyKind::Ed25519);
    let (kind, mut rng) = (KeyKind::Ed25519, seeded(13));
    let old = open(&folder).unwrap();
    let next = file::generate(folder.path(), "user-ca.next", kind, Lock::Open, &mut rng).unwrap();
    let mut set = set_of(folder.path());
    let mut distributed = set.keys[0].clone();
    distributed.public_key = key_set::line(&next);
    distributed.state = State::Next;
    set.keys.push(distributed);
    let open = |set: &KeySet| {
        let folder = KeyFolder::read(folder.path())?;
        LockedKeyring::read(&folder, set)?.unlock(None)
    };
    let before = open(&set).unwrap();
    assert_eq!(before.user_ca().blob(), old.user_ca().blob());

    set.keys[0].state = State::Retiring;
    let refused = open(&set).unwrap_err();
    assert!(matches!(refused, SignerError::KeySet(_)), "{refused}");
    set.keys.last_mut().unwrap().state = State::Active;
    let after = open(&set).unwrap();
    let signer = after.user_ca().public_key();
    assert_eq!(signer.key_data(), next.key_data());
    let issued = after
        .sign(recorded(after.user_ca(), &subject(), 1))
        .unwrap();
    let read = ssh_key::Certificate::from_openssh(issued.line()).unwrap();
    let fingerprint = next.fingerprint(HashAlg::Sha256);
    read.validate_at(NOW.seconds(), &[fingerprint]).unwrap();

    // What no set names may be anything.
    std::fs::copy(
        folder.path().join("host-ca.pub"),
        folder.path().join("copy.pub"),
    )
    .unwrap();
    std::fs::copy(folder.path().join("host-ca"), folder.path().join("copy")).unwrap();
    std::fs::remove_file(folder.path().join("user-ca")).unwrap();
    open(&set).unwrap();
    std::fs::remove_file(folder.path().join("user-ca.next")).unwrap();
    let refused = open(&set).unwrap_err();
    let missing = matches!(refused, SignerError::File(FileError::Missing(_)));
    assert!(missing, "{refused}");
}

#[test]
fn an_active_key_that_is_in_no_file_is_not_replaced_by_the_one_that_is() {
    let folder = folder(KeyKind::Ed25519);
    let other = tempfile::tempdir().unwrap();
    let elsewhere = file::generate(
        other.path(),
        "user-ca",
        KeyKind::Ed25519,
        Lock::Open,
        &mut seeded(14),
    );
    let elsewhere = key_set::line(&elsewhere.unwrap());
    for at in 0..PURPOSES.len() {
        let mut set = set_of(folder.path());
        set.keys[at].public_key = elsewhere.clone();
        let keys = KeyFolder::read(folder.path()).unwrap();
        let refused = LockedKeyring::read(&keys, &set).unwrap_err();
        let named = matches!(&refused, SignerError::KeySet(says) if says.contains(&elsewhere));
        assert!(named, "{refused}");
    }
}

/// The start waits for the user CA alone.
#[test]
fn a_key_that_another_passphrase_locks_is_not_given_out() {
    let right = Secret::new("correct horse battery".to_owned());
    let wrong = Secret::new("another passphrase".to_owned());
    let folder = tempfile::tempdir().unwrap();
    let mut rng = seeded(15);
    for (name, lock) in [
        (IDENTITY, Lock::Open),
        ("user-ca", Lock::Random(&right)),
        ("host-ca", Lock::Random(&right)),
        ("bundle", Lock::Random(&wrong)),
        ("ledger", Lock::Random(&wrong)),
    ] {
        file::generate(folder.path(), name, KeyKind::Ed25519, lock, &mut rng).unwrap();
    }
    let keyring = locked(&folder).unwrap().unlock(Some(&right)).unwrap();
    let host_ca = file::read_public(folder.path(), "host-ca").unwrap();
    let unlocked = keyring.host_ca().unwrap().public_key().public_key();
    assert_eq!(unlocked.key_data(), host_ca.key_data());
    for refused in [
        keyring.complete().unwrap_err(),
        keyring.bundle().unwrap_err(),
    ] {
        let expected = matches!(refused, SignerError::File(FileError::WrongPassphrase(_)));
        assert!(expected, "{refused}");
    }
    assert!(locked(&folder).unwrap().unlock(Some(&wrong)).is_err());
}

#[test]
fn the_private_identity_key_is_not_needed_to_serve() {
    let folder = folder(KeyKind::P256);
    std::fs::remove_file(folder.path().join(IDENTITY)).unwrap();
    let keyring = open(&folder).unwrap();
    assert!(keyring.fingerprint().starts_with("SHA256:"));
    let missing = file::unlock(folder.path(), IDENTITY, None).unwrap_err();
    let expected = matches!(missing, FileError::Missing(_));
    assert!(expected, "{missing}");
}

/// Invariant 9: nothing that could be logged shows a private key.
#[test]
fn a_keyring_shows_no_private_key() {
    let folder = folder(KeyKind::Ed25519);
    let key = file::unlock(folder.path(), "user-ca", None).unwrap();
    let secret = key.key_data().ed25519().unwrap().private.to_bytes();
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let keyring = open(&folder).unwrap();
    let shown = format!("{keyring:?}");
    assert!(shown.contains("KeyPair(SHA256:"));
    assert!(!shown.to_lowercase().contains(&hex));
    assert!(!shown.contains(&format!("{:?}", &secret[..4]).replace(['[', ']'], "")));
}
