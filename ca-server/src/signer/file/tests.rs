//! Keys on disk: locked, never loose, never overwritten, and read by `ssh-keygen` as well.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::*;
use crate::entropy::seeded;
use crate::signer::KeyPair;

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A folder as `init` makes it, with one key in it.
fn folder(kind: KeyKind, lock: Lock<'_>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    generate(folder.path(), "user-ca", kind, lock, &mut seeded(1)).unwrap();
    folder
}

#[test]
fn a_locked_key_opens_with_its_passphrase_and_no_other() {
    let passphrase = random_passphrase(&mut seeded(2));
    assert_eq!(passphrase.expose().len(), 43);
    for kind in [KeyKind::Ed25519, KeyKind::P256] {
        let folder = folder(kind, Lock::Random(&passphrase));
        let key = unlock(folder.path(), "user-ca", Some(&passphrase)).unwrap();
        KeyPair::from_private(&key).unwrap();
        let wrong = unlock(folder.path(), "user-ca", Some(&secret("wrong"))).unwrap_err();
        assert!(matches!(wrong, FileError::WrongPassphrase(_)), "{wrong}");
        let none = unlock(folder.path(), "user-ca", None).unwrap_err();
        assert!(matches!(none, FileError::NoPassphrase(_)), "{none}");
        assert!(!none.to_string().contains(passphrase.expose()));
    }
}

#[test]
fn files_are_private_and_nothing_is_left_beside_them() {
    let folder = folder(KeyKind::Ed25519, Lock::Open);
    assert_eq!(mode(&folder.path().join("user-ca")), 0o600);
    assert_eq!(mode(&folder.path().join("user-ca.pub")), 0o644);
    let mut names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["user-ca", "user-ca.pub"]);
}

#[test]
fn a_key_is_never_overwritten() {
    let folder = folder(KeyKind::Ed25519, Lock::Open);
    let before = fs::read(folder.path().join("user-ca")).unwrap();
    let again = generate(
        folder.path(),
        "user-ca",
        KeyKind::Ed25519,
        Lock::Open,
        &mut seeded(3),
    );
    assert!(matches!(again, Err(FileError::Exists(_))), "{again:?}");
    // Nor where only the private half is there.
    fs::remove_file(folder.path().join("user-ca.pub")).unwrap();
    let again = generate(
        folder.path(),
        "user-ca",
        KeyKind::Ed25519,
        Lock::Open,
        &mut seeded(3),
    );
    assert!(matches!(again, Err(FileError::Exists(_))), "{again:?}");
    assert_eq!(fs::read(folder.path().join("user-ca")).unwrap(), before);
}

#[test]
fn ssh_keygen_opens_what_we_write_and_we_open_what_it_writes() {
    let chosen = secret("correct horse battery");
    for kind in [KeyKind::Ed25519, KeyKind::P256] {
        let folder = folder(kind, Lock::Chosen(&chosen));
        let path = folder.path().join("user-ca");
        let output = Command::new("ssh-keygen")
            .args(["-y", "-P", chosen.expose(), "-f"])
            .arg(&path)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let public = fs::read_to_string(folder.path().join("user-ca.pub")).unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), public);
    }
    let folder = tempfile::tempdir().unwrap();
    for kind in ["ed25519", "ecdsa"] {
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", kind, "-N", chosen.expose(), "-C", "", "-f"])
            .arg(folder.path().join(kind))
            .status()
            .unwrap();
        assert!(made.success());
        let key = unlock(folder.path(), kind, Some(&chosen)).unwrap();
        KeyPair::from_private(&key).unwrap();
    }
}

#[test]
fn an_rsa_key_of_the_ca_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "rsa", "-b", "3072", "-N", "", "-f"])
        .arg(folder.path().join("user-ca"))
        .status()
        .unwrap();
    assert!(made.success());
    let key = unlock(folder.path(), "user-ca", None).unwrap();
    let refused = KeyPair::from_private(&key).unwrap_err();
    assert!(matches!(refused, PairError::Kind(_)), "{refused}");
}

#[test]
fn a_key_that_others_can_read_or_write_is_refused() {
    let folder = folder(KeyKind::Ed25519, Lock::Open);
    let path = folder.path().join("user-ca");
    for loose in [0o640, 0o604, 0o660, 0o644, 0o601, 0o777] {
        set_mode(&path, loose);
        let refused = unlock(folder.path(), "user-ca", None).unwrap_err();
        assert!(
            matches!(refused, FileError::Mode { .. }),
            "{loose:o}: {refused}"
        );
        assert!(refused.to_string().contains("chmod 0600"), "{refused}");
    }
    for fit in [0o600, 0o400] {
        set_mode(&path, fit);
        unlock(folder.path(), "user-ca", None).unwrap();
    }
    set_mode(&folder.path().join("user-ca.pub"), 0o666);
    let refused = unlock(folder.path(), "user-ca", None).unwrap_err();
    assert!(matches!(refused, FileError::Mode { .. }), "{refused}");
}

#[test]
fn a_folder_that_others_can_put_keys_into_is_refused() {
    let folder = folder(KeyKind::Ed25519, Lock::Open);
    for (mode, fits) in [
        (0o700, true),
        (0o750, true),
        (0o770, false),
        (0o1777, false),
    ] {
        set_mode(folder.path(), mode);
        assert_eq!(check_folder(folder.path()).is_ok(), fits, "{mode:o}");
    }
}

#[test]
fn a_key_of_another_user_is_refused() {
    assert!(!may_own(12_345, 1000));
    assert!(may_own(1000, 1000));
    assert!(may_own(0, 1000));
    assert!(may_own(1000, 0));
}

#[test]
fn links_folders_and_pipes_in_place_of_a_key_are_refused() {
    let folder = folder(KeyKind::Ed25519, Lock::Open);
    let path = folder.path().join("user-ca");
    let moved = folder.path().join("elsewhere");
    fs::rename(&path, &moved).unwrap();
    std::os::unix::fs::symlink(&moved, &path).unwrap();
    let refused = unlock(folder.path(), "user-ca", None).unwrap_err();
    assert!(matches!(refused, FileError::NotPlain(_)), "{refused}");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let refused = unlock(folder.path(), "user-ca", None).unwrap_err();
    assert!(matches!(refused, FileError::NotPlain(_)), "{refused}");
    fs::remove_dir(&path).unwrap();
    let made = Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    let refused = unlock(folder.path(), "user-ca", None).unwrap_err();
    assert!(matches!(refused, FileError::NotPlain(_)), "{refused}");
    fs::remove_file(&path).unwrap();
    let refused = unlock(folder.path(), "user-ca", None).unwrap_err();
    assert!(matches!(refused, FileError::Missing(_)), "{refused}");
}

/// A41: whoever can write `.pub` does not decide which key is published.
#[test]
fn a_public_key_that_is_not_the_private_ones_is_refused() {
    let folder = folder(KeyKind::Ed25519, Lock::Open);
    let other = key_pair::generate(KeyKind::Ed25519, &mut seeded(8)).unwrap();
    fs::remove_file(folder.path().join("user-ca.pub")).unwrap();
    write_public(folder.path(), "user-ca", other.public_key()).unwrap();
    let refused = unlock(folder.path(), "user-ca", None).unwrap_err();
    assert!(matches!(refused, FileError::OtherPublic(_)), "{refused}");
}

/// A41: the public key outside of the locked part is not protected by the passphrase.
#[test]
fn a_locked_key_with_another_public_key_in_front_is_refused() {
    let passphrase = random_passphrase(&mut seeded(2));
    let folder = folder(KeyKind::Ed25519, Lock::Random(&passphrase));
    let path = folder.path().join("user-ca");
    let bytes = PrivateKey::from_openssh(fs::read(&path).unwrap())
        .unwrap()
        .to_bytes()
        .unwrap();
    let ours = read_public(folder.path(), "user-ca").unwrap();
    let other = key_pair::generate(KeyKind::Ed25519, &mut seeded(8)).unwrap();
    let (from, to) = (
        ours.key_data().ed25519().unwrap().0,
        other.public_key().key_data().ed25519().unwrap().0,
    );
    let at = bytes.windows(32).position(|window| window == from).unwrap();
    let mut forged = bytes.to_vec();
    forged[at..at + 32].copy_from_slice(&to);
    let forged = PrivateKey::from_bytes(&forged).unwrap();
    for name in ["user-ca", "user-ca.pub"] {
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    let text = forged.to_openssh(LineEnding::LF).unwrap();
    create(&path, text.as_bytes(), 0o600).unwrap();
    write_public(folder.path(), "user-ca", other.public_key()).unwrap();
    assert!(unlock(folder.path(), "user-ca", Some(&passphrase)).is_err());
}

#[test]
fn what_is_not_a_key_is_refused() {
    let folder = folder(KeyKind::Ed25519, Lock::Open);
    let path = folder.path().join("user-ca");
    let texts: [&[u8]; 4] = [
        b"",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\n-----END OPENSSH PRIVATE KEY-----\n",
        &[0xff; 100],
        &[b'A'; MAX_FILE + 1],
    ];
    for text in texts {
        replace(&path, text, 0o600).unwrap();
        let refused = unlock(folder.path(), "user-ca", None).unwrap_err();
        assert!(matches!(refused, FileError::Unreadable(_)), "{refused}");
    }
}

#[test]
fn a_draft_left_by_a_crash_does_not_stand_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    create(&folder.path().join(".user-ca.new"), b"half", 0o644).unwrap();
    generate(
        folder.path(),
        "user-ca",
        KeyKind::Ed25519,
        Lock::Open,
        &mut seeded(1),
    )
    .unwrap();
    assert_eq!(mode(&folder.path().join("user-ca")), 0o600);
    unlock(folder.path(), "user-ca", None).unwrap();
}
