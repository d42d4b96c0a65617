//! The formula, against values computed elsewhere (Python's hashlib), and its laws.

use std::collections::HashSet;

use proptest::prelude::*;
use ssh_key::PublicKey;

use super::*;

fn blob(line: &str) -> Vec<u8> {
    line.parse::<PublicKey>().unwrap().to_bytes().unwrap()
}

fn login_key() -> Vec<u8> {
    blob(include_str!("../key_set/ed25519.pub"))
}

fn named_key() -> Vec<u8> {
    blob(include_str!("../key_set/p256.pub"))
}

fn salt() -> Salt {
    Salt::new(std::array::from_fn(|n| u8::try_from(n).unwrap()))
}

#[test]
fn the_formula_is_exactly_this() {
    assert_eq!(
        nonce(&login_key(), &salt()),
        "kdM-2nrJquReHOqjM2gospJI-sQnqS7fwD9nuD0O_IE"
    );
    assert_eq!(
        nonce_with_named_key(&login_key(), &named_key(), &salt()),
        "Bz3cv7NSSz6hiPQNYFzP9KW9Ve6SMmxshSVVkZ8J67s"
    );
}

#[test]
fn a_salt_is_exactly_32_bytes_without_padding() {
    let text = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    assert_eq!(salt().encode(), text);
    assert!(Salt::decode(text).unwrap() == salt());
    let attempts = [
        "",
        "AAEC",
        &text[1..],
        &format!("{text}="),
        &format!("{text}A"),
        &format!(" {text}"),
        &text
            .replace('_', "/")
            .replacen('A', "+", 1)
            .replacen("AE", "/E", 1),
        // The last character holds two bits too many: one salt, one text.
        &format!("{}9", &text[..42]),
    ];
    for attempt in attempts {
        assert!(Salt::decode(attempt).is_none(), "{attempt:?}");
    }
}

/// A token for one key is of no use with another, nor a token for one key alone with a pair.
#[test]
fn every_key_pair_order_and_salt_has_a_nonce_of_its_own() {
    let (one, other) = (login_key(), named_key());
    let salts = [salt(), Salt::new([0; 32])];
    let mut seen = HashSet::new();
    for salt in &salts {
        assert!(seen.insert(nonce(&one, salt)));
        assert!(seen.insert(nonce(&other, salt)));
        assert!(seen.insert(nonce_with_named_key(&one, &other, salt)));
        assert!(seen.insert(nonce_with_named_key(&other, &one, salt)));
        assert!(seen.insert(nonce_with_named_key(&one, &one, salt)));
    }
    assert_eq!(seen.len(), 10);
    assert!(seen.iter().all(|nonce| nonce.len() == 43));
}

proptest! {
    /// Bytes moved from one key to the next, or from a key to the salt, are another nonce.
    #[test]
    fn no_two_pairs_of_keys_are_read_as_one(
        all in proptest::collection::vec(any::<u8>(), 2..80),
        cut in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
    ) {
        let (cut, other) = (cut.index(all.len()), other.index(all.len()));
        let at = |cut: usize| nonce_with_named_key(&all[..cut], &all[cut..], &salt());
        prop_assert_eq!(at(cut) == at(other), cut == other);
        prop_assert_ne!(at(cut), nonce(&all, &salt()));
    }

    #[test]
    fn any_text_is_judged_as_a_salt_without_a_panic(text in any::<String>(), bytes in any::<[u8; 32]>()) {
        let _ = Salt::decode(&text);
        let salt = Salt::new(bytes);
        prop_assert!(Salt::decode(&salt.encode()) == Some(salt));
    }
}
