//! A set signed by `ssh-keygen -Y sign -n jit-ssh-key-set@v1`, and sets that are not to be believed.

use proptest::prelude::*;

use super::*;

const DOCUMENT: &str = include_str!("document.json");
const PINNED: &str = "SHA256:ZyyIHCs6rludEEgDwdHTx+m/yQebUDdTXYrIA56VDFc";

fn by_ed25519() -> SignedKeySet {
    SignedKeySet {
        document: DOCUMENT.into(),
        signature: include_str!("ed25519.sig").into(),
        identity_key: include_str!("ed25519.pub").trim().into(),
    }
}

fn by_p256() -> SignedKeySet {
    SignedKeySet {
        document: DOCUMENT.into(),
        signature: include_str!("p256.sig").into(),
        identity_key: include_str!("p256.pub").trim().into(),
    }
}

#[test]
fn a_set_signed_by_ssh_keygen_is_believed_by_who_pins_its_key() {
    let signed = by_ed25519();
    assert_eq!(signed.fingerprint().unwrap(), PINNED);
    let set = signed.verify(PINNED).unwrap();
    assert_eq!((set.epoch, set.number), (1, 3));
    assert_eq!(set.name, "ca.example.com");
    let signed = by_p256();
    let pin = signed.fingerprint().unwrap();
    signed.verify(&pin).unwrap();
}

#[test]
fn a_compromised_key_is_not_trusted() {
    let set = by_ed25519().verify(PINNED).unwrap();
    assert_eq!(set.keys.len(), 2);
    let trusted: Vec<_> = set.trusted(Purpose::UserCa).collect();
    assert_eq!(trusted.len(), 1);
    assert_eq!(trusted[0].state, State::Active);
    assert_eq!(set.trusted(Purpose::HostCa).count(), 0);
}

#[test]
fn a_set_of_another_identity_is_refused_and_both_fingerprints_are_told() {
    let found = by_p256().verify(PINNED).unwrap_err();
    let KeySetError::OtherIdentity { shown, pinned } = &found else {
        panic!("{found}")
    };
    assert_eq!(pinned, PINNED);
    assert_eq!(*shown, by_p256().fingerprint().unwrap());
    for pin in [
        "",
        "SHA256:",
        "SHA256:ZyyI",
        "MD5:00",
        PINNED.trim_start_matches("SHA256:"),
    ] {
        let found = by_ed25519().verify(pin);
        assert!(
            matches!(found, Err(KeySetError::OtherIdentity { .. })),
            "{pin}"
        );
    }
}

#[test]
fn the_pinned_key_with_a_foreign_signature_is_refused() {
    let forged = SignedKeySet {
        signature: by_p256().signature,
        ..by_ed25519()
    };
    assert_eq!(forged.verify(PINNED), Err(KeySetError::Signature));
    for signature in ["", "-----BEGIN SSH SIGNATURE-----", "nonsense"] {
        let forged = SignedKeySet {
            signature: signature.into(),
            ..by_ed25519()
        };
        assert_eq!(forged.verify(PINNED), Err(KeySetError::Signature));
    }
}

#[test]
fn one_changed_character_of_the_document_is_refused() {
    for at in 0..DOCUMENT.len() {
        let mut document = DOCUMENT.as_bytes().to_vec();
        document[at] ^= 1;
        let changed = SignedKeySet {
            document: String::from_utf8(document).unwrap(),
            ..by_ed25519()
        };
        assert_eq!(changed.verify(PINNED), Err(KeySetError::Signature), "{at}");
    }
    let longer = SignedKeySet {
        document: format!("{DOCUMENT} "),
        ..by_ed25519()
    };
    assert_eq!(longer.verify(PINNED), Err(KeySetError::Signature));
}

/// Made for something else, by the same key: a proof, a file.
#[test]
fn a_signature_for_another_namespace_is_refused() {
    let other = include_str!("../proof/ed25519.sig.base64");
    let armoured = format!("-----BEGIN SSH SIGNATURE-----\n{other}-----END SSH SIGNATURE-----\n");
    // The reader wants 70 characters a line, as `ssh-keygen` writes them.
    let forged = SignedKeySet {
        signature: armoured,
        ..by_ed25519()
    };
    assert_eq!(forged.verify(PINNED), Err(KeySetError::Signature));
}

#[test]
fn an_identity_key_that_is_none_is_refused() {
    for key in ["", "ssh-ed25519", "ssh-ed25519 AAAA", "nonsense"] {
        let broken = SignedKeySet {
            identity_key: key.into(),
            ..by_ed25519()
        };
        assert!(
            matches!(broken.verify(PINNED), Err(KeySetError::Malformed(_))),
            "{key}"
        );
        assert!(broken.fingerprint().is_err());
    }
}

#[test]
fn a_reader_of_today_takes_a_set_that_says_more() {
    let more = DOCUMENT.replacen("\"epoch\"", "\"later\": {\"a\": 1},\n  \"epoch\"", 1);
    let set: KeySet = serde_json::from_str(&more).unwrap();
    assert_eq!(set.epoch, 1);
    // But not one with a state that it does not know: it could mean "do not trust".
    let unknown = DOCUMENT.replacen("compromised", "revoked", 1);
    assert!(serde_json::from_str::<KeySet>(&unknown).is_err());
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(document in any::<String>(), signature in any::<String>(), key in any::<String>()) {
        let signed = SignedKeySet { document, signature, identity_key: key };
        prop_assert!(signed.verify(PINNED).is_err());
        let signed = SignedKeySet { identity_key: by_ed25519().identity_key, ..signed };
        prop_assert!(signed.verify(PINNED).is_err());
    }
}
