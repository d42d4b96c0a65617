//! Lists that `ssh-keygen` makes are read, and nothing that sshd could read in another way.

use std::path::Path;
use std::process::Command;

use proptest::prelude::*;

use super::*;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

fn blob() -> Vec<u8> {
    KEY.parse::<PublicKey>().unwrap().to_bytes().unwrap()
}

fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    [&length.to_be_bytes(), bytes].concat()
}

fn header() -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend(1u32.to_be_bytes());
    out.extend([0; 24]);
    out.extend([0; 8]);
    out
}

fn section(kind: u8, data: &[u8]) -> Vec<u8> {
    [vec![kind], string(data)].concat()
}

fn of_ca(inner: &[u8]) -> Vec<u8> {
    let ca = [string(&blob()), string(b""), inner.to_vec()].concat();
    [header(), section(CERTIFICATES, &ca)].concat()
}

/// What `ssh-keygen -k` makes of a specification.
fn by_keygen(folder: &Path, spec: &str) -> Vec<u8> {
    #![expect(clippy::disallowed_methods, reason = "files of a test")]
    std::fs::write(folder.join("ca.pub"), KEY).unwrap();
    std::fs::write(folder.join("spec"), spec).unwrap();
    let made = Command::new("ssh-keygen")
        .current_dir(folder)
        .args(["-q", "-k", "-f", "krl", "-s", "ca.pub", "spec"])
        .status()
        .unwrap();
    assert!(made.success());
    std::fs::read(folder.join("krl")).unwrap()
}

#[test]
fn lists_of_openssh_are_read() {
    let folder = tempfile::tempdir().unwrap();
    for (spec, entries) in [
        ("", 0),
        ("serial: 5\n", 1),
        ("serial: 5\nserial: 9000000000000000000\n", 2),
        ("serial: 5-900\n", 1),
        (
            "serial: 5\nserial: 7\nserial: 9\nserial: 12\nserial: 15\nserial: 17\nserial: 20\nserial: 23\n",
            1,
        ),
        ("id: alice@example.com\n", 1),
        (&format!("key: {KEY}\n"), 1),
        (&format!("sha1: {KEY}\n"), 1),
        (&format!("sha256: {KEY}\n"), 1),
    ] {
        let bytes = by_keygen(folder.path(), spec);
        let read = Krl::parse(&bytes).unwrap_or_else(|error| panic!("{spec:?}: {error}"));
        assert_eq!(
            (read.bytes(), read.entries()),
            (&bytes[..], entries),
            "{spec:?}"
        );
    }
}

#[test]
fn a53_what_sshd_would_take_for_a_text_that_revokes_nothing_is_refused() {
    let html = b"<html>not found</html>";
    for bytes in [
        &b""[..],
        b"\n",
        b"# ok\n",
        b"SSHKRL\n",
        html,
        KEY.as_bytes(),
    ] {
        assert_eq!(Krl::parse(bytes), Err(KrlError::Magic), "{bytes:?}");
    }
}

#[test]
fn a_list_with_a_bitmap_that_openssh_writes_but_does_not_read_is_refused() {
    let bitmap = |bytes: usize| {
        let mut bits = vec![0x7f; bytes];
        bits[0] = 1;
        let inner = [0u64.to_be_bytes().to_vec(), string(&bits)].concat();
        Krl::parse(&of_ca(&section(SERIAL_BITMAP, &inner)))
    };
    assert!(bitmap(MOST_BITS / 8).is_ok());
    assert_eq!(bitmap(MOST_BITS / 8 + 1), Err(KrlError::Bitmap));
}

#[test]
fn whatever_is_left_over_or_missing_is_refused() {
    let good = of_ca(&section(SERIAL_LIST, &7u64.to_be_bytes()));
    assert_eq!(Krl::parse(&good).unwrap().entries(), 1);
    for length in 0..good.len() {
        let cut = Krl::parse(&good[..length]);
        // The header alone is a whole list, with nothing in it.
        assert!(
            cut.is_err() || length == header().len(),
            "{length}: {cut:?}"
        );
    }
    for garbage in [&b"\0"[..], b"\n", b"\x01", b"garbage", &[0; 5]] {
        let long = [&good[..], garbage].concat();
        assert!(Krl::parse(&long).is_err(), "{garbage:?}");
    }
    let inside = [7u64.to_be_bytes().to_vec(), vec![0]].concat();
    assert!(Krl::parse(&of_ca(&section(SERIAL_LIST, &inside))).is_err());
}

#[test]
fn sections_that_sshd_calls_damaged_are_refused() {
    let range = |first: u64, last: u64| [first.to_be_bytes(), last.to_be_bytes()].concat();
    for bad in [
        of_ca(b""),
        of_ca(&section(SERIAL_LIST, b"")),
        of_ca(&section(SERIAL_LIST, &0u64.to_be_bytes())),
        of_ca(&section(SERIAL_RANGE, &range(9, 5))),
        of_ca(&section(KEY_ID, b"")),
        of_ca(&section(0x39, b"")),
        [header(), section(EXPLICIT_KEY, &string(b"no key"))].concat(),
        [header(), section(FINGERPRINT_SHA256, &string(&[0; 31]))].concat(),
        [header(), section(4, &string(b"signature"))].concat(),
        [header(), section(255, b"")].concat(),
        [MAGIC.to_vec(), 2u32.to_be_bytes().to_vec(), vec![0; 32]].concat(),
    ] {
        assert!(Krl::parse(&bad).is_err(), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Krl::parse(&bytes);
        let _ = Krl::parse(&[header(), bytes.clone()].concat());
        let _ = Krl::parse(&of_ca(&bytes));
    }
}
