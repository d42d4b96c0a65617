//! What `ssh-keygen -Q`, which shares its reader with sshd, says of our lists.

use std::path::{Path, PathBuf};
use std::process::Command;

use rand::rngs::StdRng;
use rand::{RngCore as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};
use ssh_key::PublicKey;

use super::*;

/// CAs with certificates, all made by ssh-keygen.
struct Lab {
    folder: tempfile::TempDir,
}

impl Lab {
    fn new() -> Self {
        let lab = Lab {
            folder: tempfile::tempdir().unwrap(),
        };
        for name in ["ca", "other-ca", "alice", "bob"] {
            keygen(&[
                "-q",
                "-t",
                "ed25519",
                "-N",
                "",
                "-C",
                "",
                "-f",
                lab.text(name),
            ]);
        }
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> &'static str {
        self.path(name).to_str().unwrap().to_owned().leak()
    }

    fn blob(&self, name: &str) -> Vec<u8> {
        let line = std::fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap();
        line.parse::<PublicKey>().unwrap().to_bytes().unwrap()
    }

    fn certificate(&self, ca: &str, key: &str, serial: u64) -> PathBuf {
        let serial = serial.to_string();
        let public = format!("{}.pub", self.text(key));
        keygen(&[
            "-q",
            "-s",
            self.text(ca),
            "-I",
            "x",
            "-n",
            "x",
            "-z",
            &serial,
            &public,
        ]);
        let made = self.path(&format!("{key}-cert.pub"));
        let kept = self.path(&format!("{ca}-{key}-{serial}-cert.pub"));
        std::fs::rename(made, &kept).unwrap();
        kept
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a file of a test that ssh-keygen reads"
    )]
    fn write(&self, list: &RevocationList) -> PathBuf {
        let path = self.path("krl");
        std::fs::write(&path, list.encode().unwrap()).unwrap();
        path
    }
}

fn keygen(arguments: &[&str]) -> String {
    let output = Command::new("ssh-keygen").args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    text
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Revoked,
    Fine,
}

/// Anything else than a clear answer is a failure.
fn judge(krl: &Path, key: &Path) -> Verdict {
    let output = Command::new("ssh-keygen")
        .args(["-Q", "-f"])
        .args([krl, key])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match (output.status.code(), text.trim()) {
        (Some(0), text) if text.ends_with(": ok") => Verdict::Fine,
        (Some(1), text) if text.ends_with(": REVOKED") => Verdict::Revoked,
        _ => panic!("{output:?}"),
    }
}

#[test]
fn a53_a_list_with_nothing_in_it_is_a_list_and_revokes_nothing() {
    let lab = Lab::new();
    let bytes = RevocationList::default().encode().unwrap();
    assert_eq!(bytes.len(), 44);
    assert!(bytes.starts_with(b"SSHKRL\n\0"));
    let krl = lab.write(&RevocationList::default());
    let certificate = lab.certificate("ca", "alice", 7);
    assert_eq!(judge(&krl, &certificate), Verdict::Fine);
    // A CA of which only serial 0 is revoked, which is none.
    let list = RevocationList {
        serials: [(lab.blob("ca"), [0].into())].into(),
        ..RevocationList::default()
    };
    assert_eq!(list.encode().unwrap(), bytes);
}

#[test]
fn a57_a_serial_is_revoked_of_the_ca_that_gave_it_and_of_no_other() {
    let lab = Lab::new();
    let serials = [1, 2, 1 << 62, u64::MAX >> 1];
    let list = RevocationList {
        version: 3,
        generated: 1_700_000_000,
        serials: [(lab.blob("ca"), serials.into())].into(),
        ..RevocationList::default()
    };
    let krl = lab.write(&list);
    for serial in serials {
        let certificate = lab.certificate("ca", "alice", serial);
        assert_eq!(judge(&krl, &certificate), Verdict::Revoked, "{serial}");
        let certificate = lab.certificate("other-ca", "alice", serial);
        assert_eq!(judge(&krl, &certificate), Verdict::Fine, "{serial}");
    }
    for near in [3, (1 << 62) - 1, (1 << 62) + 1] {
        let certificate = lab.certificate("ca", "alice", near);
        assert_eq!(judge(&krl, &certificate), Verdict::Fine, "{near}");
    }
    assert_eq!(
        judge(&krl, &lab.path("alice.pub")),
        Verdict::Fine,
        "the key itself"
    );
    let both = RevocationList {
        serials: [
            (lab.blob("ca"), [1].into()),
            (lab.blob("other-ca"), [2].into()),
        ]
        .into(),
        ..RevocationList::default()
    };
    let krl = lab.write(&both);
    for (ca, serial, verdict) in [
        ("ca", 1, Verdict::Revoked),
        ("ca", 2, Verdict::Fine),
        ("other-ca", 1, Verdict::Fine),
        ("other-ca", 2, Verdict::Revoked),
    ] {
        let certificate = lab.certificate(ca, "bob", serial);
        assert_eq!(judge(&krl, &certificate), verdict, "{ca} {serial}");
    }
}

#[test]
fn a_key_is_revoked_with_every_certificate_that_it_ever_gets() {
    let lab = Lab::new();
    let mut keys: BTreeSet<[u8; 32]> = [Sha256::digest(lab.blob("alice")).into()].into();
    // Among others: sshd searches them in order.
    let mut rng = StdRng::seed_from_u64(1);
    for _ in 0..100 {
        let mut other = [0; 32];
        rng.fill_bytes(&mut other);
        keys.insert(other);
    }
    let list = RevocationList {
        keys,
        ..RevocationList::default()
    };
    let krl = lab.write(&list);
    assert_eq!(judge(&krl, &lab.path("alice.pub")), Verdict::Revoked);
    for ca in ["ca", "other-ca"] {
        assert_eq!(
            judge(&krl, &lab.certificate(ca, "alice", 5)),
            Verdict::Revoked
        );
        assert_eq!(judge(&krl, &lab.certificate(ca, "bob", 5)), Verdict::Fine);
    }
}

#[test]
fn a_lost_ca_key_takes_all_of_its_certificates_along() {
    let lab = Lab::new();
    let list = RevocationList {
        ca_keys: [lab.blob("ca")].into(),
        ..RevocationList::default()
    };
    let krl = lab.write(&list);
    assert_eq!(
        judge(&krl, &lab.certificate("ca", "alice", 5)),
        Verdict::Revoked
    );
    assert_eq!(
        judge(&krl, &lab.certificate("other-ca", "alice", 5)),
        Verdict::Fine
    );
}

#[test]
fn a_long_list_can_be_read_and_has_the_same_bytes_each_time() {
    let lab = Lab::new();
    let mut rng = StdRng::seed_from_u64(2);
    // Dense ones too: what ssh-keygen would put into a bitmap that sshd cannot read.
    let sparse = (0..20_000).map(|_| rng.next_u64() >> 1);
    let serials: BTreeSet<u64> = sparse.chain(1_000..60_000).collect();
    let list = RevocationList {
        serials: [(lab.blob("ca"), serials.clone())].into(),
        ..RevocationList::default()
    };
    assert_eq!(list.encode().unwrap(), list.clone().encode().unwrap());
    let krl = lab.write(&list);
    let some = *serials.last().unwrap();
    assert_eq!(
        judge(&krl, &lab.certificate("ca", "alice", some)),
        Verdict::Revoked
    );
    assert_eq!(
        judge(&krl, &lab.certificate("ca", "alice", 59_999)),
        Verdict::Revoked
    );
    assert_eq!(
        judge(&krl, &lab.certificate("ca", "alice", 60_000)),
        Verdict::Fine
    );
    let told = keygen(&["-Q", "-l", "-f", lab.text("krl")]);
    assert!(told.contains("serial: 1000-59999\n"), "a run on one line");
    assert_eq!(told.matches("serial:").count(), 20_000 + 1, "others alone");
}
