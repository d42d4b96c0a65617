//! Keys of every kind that OpenSSH makes prove themselves.

use std::path::Path;
use std::process::Command;

use super::*;
use crate::bundle::tests::Ca;

fn made(folder: &Path, name: &str, options: &[&str]) -> PathBuf {
    let path = folder.join(name);
    let made = Command::new("ssh-keygen")
        .args(["-q", "-N", "", "-C", "root@web1", "-f"])
        .arg(&path)
        .args(options)
        .status()
        .unwrap();
    assert!(made.success());
    path
}

#[test]
fn each_key_proves_itself_for_this_ca_and_this_invitation() {
    let folder = tempfile::tempdir().unwrap();
    let keys: Vec<Key> = [
        ("ed25519", &["-t", "ed25519"][..]),
        ("ecdsa", &["-t", "ecdsa"]),
        ("rsa", &["-t", "rsa", "-b", "3072"]),
        ("pem", &["-t", "rsa", "-b", "3072", "-m", "PEM"]),
    ]
    .iter()
    .map(|(name, options)| Key::at(&made(folder.path(), name, options)).unwrap())
    .collect();
    let known = Ca::new().known();
    let names = ["web1.example.com".to_owned()];
    let sent = request("secret", &names, &keys, &known, HostReport::default()).unwrap();
    assert_eq!(sent.keys.len(), 4);
    let first = &sent.keys[0].public_key;
    assert!(!first.contains("root@web1"), "{first}");
    let message = enrolment_message(&known.name, known.epoch, "secret", first);
    let other = enrolment_message(&known.name, known.epoch, "other", first);
    for key in &sent.keys {
        let public: PublicKey = key.public_key.parse().unwrap();
        let signature: SshSig = key.signature.parse().unwrap();
        let verify = |message: &str| {
            let namespace = ENROLMENT_NAMESPACE;
            jit_ssh_api::proof::verify_sshsig(&public, namespace, message.as_bytes(), &signature)
        };
        verify(&message).unwrap();
        verify(&other).unwrap_err();
    }
}

#[test]
fn what_is_no_host_key_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Key::at(&folder.path().join("missing")).is_none());
    let path = folder.path().join("text");
    #[expect(clippy::disallowed_methods, reason = "a file of the test")]
    std::fs::write(&path, "text").unwrap();
    assert!(Key::at(&path).is_none());
}
