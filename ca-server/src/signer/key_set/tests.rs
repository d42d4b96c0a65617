//! The key set, signed here or by `ssh-keygen` somewhere else, and sets that are not to be believed.

use std::process::Command;

use super::*;
use crate::entropy::seeded;
use crate::signer::{KeyKind, PURPOSES, key_pair};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn pair(seed: u64) -> KeyPair {
    KeyPair::from_private(&key_pair::generate(KeyKind::Ed25519, &mut seeded(seed)).unwrap())
        .unwrap()
}

fn keys() -> Vec<(Purpose, PublicKey)> {
    let seeds = PURPOSES.into_iter().zip(10u64..);
    seeds
        .map(|(purpose, seed)| (purpose, pair(seed).public_key().clone()))
        .collect()
}

fn set() -> KeySet {
    first(FirstKeySet {
        name: "ca.example.com",
        epoch: 1,
        created: NOW,
        keys: &keys(),
        tls_pins: Vec::new(),
    })
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_set_signed_here_is_loaded_and_verifies_at_ssh_keygen() {
    let (data, identity) = (folder(), pair(1));
    let signed = sign(&identity, &set()).unwrap();
    write(data.path(), &signed).unwrap();
    let loaded = load(data.path(), identity.public_key()).unwrap();
    assert_eq!(loaded.set, set());
    assert_eq!(loaded.signed, signed);
    let said = crate::signer::verify::tests::keygen_says(
        identity.public_key(),
        NAMESPACE,
        signed.document.as_bytes(),
        &signed.signature.parse().unwrap(),
    );
    assert!(said);
}

/// The identity key never was on this machine: `ssh-keygen` signs, `load` takes it over.
#[test]
fn a_set_signed_offline_by_ssh_keygen_is_taken_over() {
    let (data, offline) = (folder(), folder());
    let key = offline.path().join("identity");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"])
        .arg(&key)
        .status()
        .unwrap();
    assert!(made.success());
    let identity = file::read_public(offline.path(), "identity").unwrap();
    let typed = write_to_sign(data.path(), &set()).unwrap();
    let waits = load(data.path(), &identity).unwrap_err();
    assert!(waits.to_string().contains(&typed), "{waits}");
    let command = typed.replace("IDENTITY_KEY", key.to_str().unwrap());
    let words: Vec<&str> = command.split(' ').collect();
    let signs = Command::new(words[0]).args(&words[1..]).output().unwrap();
    assert!(signs.status.success(), "{signs:?}");
    let loaded = load(data.path(), &identity).unwrap();
    assert_eq!(loaded.set, set());
    assert!(!data.path().join(TO_SIGN).exists());
    assert!(!data.path().join(SIGNATURE).exists());
    let again = load(data.path(), &identity).unwrap();
    assert_eq!(again.signed, loaded.signed);
}

#[test]
fn a_set_signed_by_another_key_or_changed_after_is_refused() {
    let (data, identity) = (folder(), pair(1));
    let signed = sign(&identity, &set()).unwrap();
    let refused = |signed: &SignedKeySet, identity: &KeyPair| {
        write(data.path(), signed).unwrap();
        let found = load(data.path(), identity.public_key()).unwrap_err();
        assert!(matches!(found, KeySetError::Refused { .. }), "{found}");
    };
    refused(&signed, &pair(2));
    let mut changed = signed.clone();
    changed.document = changed.document.replace("\"epoch\": 1", "\"epoch\": 2");
    assert_ne!(changed.document, signed.document);
    refused(&changed, &identity);
    let mut changed = signed.clone();
    changed.signature = sign(&pair(2), &set()).unwrap().signature;
    refused(&changed, &identity);
    let mut changed = signed.clone();
    changed.signature = identity
        .sign_sshsig("file", signed.document.as_bytes())
        .unwrap()
        .to_pem(LineEnding::LF)
        .unwrap();
    refused(&changed, &identity);
}

#[test]
fn an_offline_signature_of_another_key_is_refused() {
    let (data, identity) = (folder(), pair(1));
    write_to_sign(data.path(), &set()).unwrap();
    let foreign = sign(&pair(2), &set()).unwrap().signature;
    file::create(&data.path().join(SIGNATURE), foreign.as_bytes(), 0o644).unwrap();
    let found = load(data.path(), identity.public_key()).unwrap_err();
    assert!(matches!(found, KeySetError::Refused { .. }), "{found}");
    assert!(!data.path().join(FILE).exists());
}

/// An old offline signature, left or put there, does not bring an old set back.
#[test]
fn an_older_set_does_not_replace_a_newer_one() {
    let (data, identity) = (folder(), pair(1));
    let newer = next(&set(), 1, NOW);
    assert_eq!(newer.number, 2);
    write(data.path(), &sign(&identity, &newer).unwrap()).unwrap();
    for old in [set(), newer.clone()] {
        write_to_sign(data.path(), &old).unwrap();
        let signature = sign(&identity, &old).unwrap().signature;
        file::create(&data.path().join(SIGNATURE), signature.as_bytes(), 0o644).unwrap();
        let loaded = load(data.path(), identity.public_key()).unwrap();
        assert_eq!(loaded.set, newer);
        assert!(!data.path().join(TO_SIGN).exists());
    }
    let restored = next(&newer, 2, NOW);
    assert_eq!((restored.epoch, restored.number), (2, 1));
    write_to_sign(data.path(), &restored).unwrap();
    // Until it is signed, the set of before goes on.
    let loaded = load(data.path(), identity.public_key()).unwrap();
    assert_eq!(loaded.set, newer);
    let signature = sign(&identity, &restored).unwrap().signature;
    file::create(&data.path().join(SIGNATURE), signature.as_bytes(), 0o644).unwrap();
    let loaded = load(data.path(), identity.public_key()).unwrap();
    assert_eq!(loaded.set, restored);
}

#[test]
fn a_key_with_two_jobs_or_a_job_without_a_key_is_refused() {
    let (data, identity) = (folder(), pair(1));
    let refused = |change: &dyn Fn(&mut KeySet)| {
        let mut wrong = set();
        change(&mut wrong);
        write(data.path(), &sign(&identity, &wrong).unwrap()).unwrap();
        let found = load(data.path(), identity.public_key()).unwrap_err();
        assert!(matches!(found, KeySetError::Content { .. }), "{found}");
    };
    refused(&|set| drop(set.keys.remove(0)));
    refused(&|set| set.keys[0].state = State::Compromised);
    refused(&|set| set.keys[0].public_key = set.keys[1].public_key.clone());
    refused(&|set| set.keys[0].public_key = line(identity.public_key()));
    refused(&|set| set.keys[0].public_key = "ssh-ed25519 nonsense".into());
    refused(&|set| {
        let mut second = set.keys[0].clone();
        second.public_key = line(pair(20).public_key());
        set.keys.push(second);
    });
}

#[test]
fn a_missing_or_broken_file_says_what_it_is() {
    let (data, identity) = (folder(), pair(1));
    let missing = load(data.path(), identity.public_key()).unwrap_err();
    assert!(matches!(missing, KeySetError::Missing(_)), "{missing}");
    file::create(&data.path().join(FILE), b"{}", 0o644).unwrap();
    let broken = load(data.path(), identity.public_key()).unwrap_err();
    assert!(matches!(broken, KeySetError::Content { .. }), "{broken}");
}

/// As `restore` leaves it where the identity key is elsewhere.
#[test]
fn a_set_of_the_epoch_before_does_not_stand_in_for_one_that_waits() {
    let (data, identity) = (folder(), pair(1));
    let here = data.path();
    write(here, &sign(&identity, &set()).unwrap()).unwrap();
    let restored = next(&set(), 7, NOW);
    write_to_sign(here, &restored).unwrap();
    let epoch_of = |epoch| load_in(here, identity.public_key(), epoch).map(|set| set.set.epoch);
    for epoch in [None, Some(1)] {
        assert_eq!(epoch_of(epoch).unwrap(), 1, "a next set may wait for long");
    }
    let refused = epoch_of(Some(7));
    assert!(
        matches!(refused, Err(KeySetError::Unsigned { .. })),
        "{refused:?}"
    );

    let signed = sign(&identity, &restored).unwrap();
    let signature = signed.signature.as_bytes();
    file::replace(&here.join(SIGNATURE), signature, 0o644).unwrap();
    let seen = look_in(here, identity.public_key(), Some(7)).unwrap();
    assert_eq!(seen.set, restored);
    assert!(
        here.join(TO_SIGN).exists(),
        "who only looks changes nothing"
    );
    assert_eq!(epoch_of(Some(7)).unwrap(), 7);
    assert!(!here.join(TO_SIGN).exists() && !here.join(SIGNATURE).exists());
}
