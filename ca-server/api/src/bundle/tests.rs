//! Bundles that are not to be believed: of thieves, of the past, of other hosts.

use rand::rngs::StdRng;
use rand::{RngCore as _, SeedableRng as _};
use ssh_key::{Algorithm, HashAlg, PrivateKey};

use super::*;
use crate::key_set::{self, Key};

const HOST: &str = "k3v7q2";

/// A CA with all of its keys.
struct Ca {
    identity: PrivateKey,
    bundle: PrivateKey,
    user_ca: PrivateKey,
    set: KeySet,
}

impl Ca {
    fn new() -> Self {
        let mut rng = StdRng::seed_from_u64(7);
        let mut key = || PrivateKey::random(&mut rng, Algorithm::Ed25519).unwrap();
        let (identity, bundle, user_ca) = (key(), key(), key());
        let line = |key: &PrivateKey| key.public_key().to_openssh().unwrap();
        let keys = [(Purpose::UserCa, &user_ca), (Purpose::Bundle, &bundle)];
        let keys = keys.map(|(purpose, key)| Key {
            purpose,
            state: State::Active,
            public_key: line(key),
        });
        let set = KeySet {
            name: "ca.example.com".into(),
            epoch: 1,
            number: 1,
            created: 1_700_000_000,
            keys: keys.into(),
            tls_pins: Vec::new(),
            emergency: Vec::new(),
        };
        Ca {
            identity,
            bundle,
            user_ca,
            set,
        }
    }

    fn pin(&self) -> String {
        self.identity.fingerprint(HashAlg::Sha256).to_string()
    }

    fn set_state(&mut self, state: State) {
        let bundle_key = self
            .set
            .keys
            .iter_mut()
            .find(|key| key.purpose == Purpose::Bundle);
        bundle_key.unwrap().state = state;
    }

    fn signed(&self, bundle: &Bundle, by: &PrivateKey) -> SignedBundle {
        let document = serde_json::to_string(bundle).unwrap();
        let set = serde_json::to_string(&self.set).unwrap();
        SignedBundle {
            signature: sign(by, NAMESPACE, &document),
            document,
            key_set: SignedKeySet {
                signature: sign(&self.identity, key_set::NAMESPACE, &set),
                document: set,
                identity_key: self.identity.public_key().to_openssh().unwrap(),
            },
        }
    }
}

fn sign(key: &PrivateKey, namespace: &str, text: &str) -> String {
    key.sign(namespace, HashAlg::Sha512, text.as_bytes())
        .unwrap()
        .to_pem(ssh_key::LineEnding::LF)
        .unwrap()
}

fn bundle() -> Bundle {
    Bundle {
        host: HOST.into(),
        name: "ca.example.com".into(),
        epoch: 1,
        key_set: 1,
        number: 5,
        issued: 1_700_000_100,
        labels: Labels::new(),
        principals: [("observer".into(), vec!["role:production-observer".into()])].into(),
        own_account_roles: Vec::new(),
        krl: "U1NIS1JMCgA=".into(),
    }
}

#[test]
fn a_bundle_of_the_ca_is_believed_by_the_host_that_it_is_for() {
    let ca = Ca::new();
    let held = Some(bundle().position());
    for held in [None, held] {
        let verified = ca
            .signed(&bundle(), &ca.bundle)
            .verify(&ca.pin(), HOST, held)
            .unwrap();
        assert_eq!(*verified.bundle(), bundle());
        assert_eq!(*verified.key_set(), ca.set);
    }
}

#[test]
fn a54_an_unsigned_or_changed_bundle_is_refused() {
    let ca = Ca::new();
    let good = ca.signed(&bundle(), &ca.bundle);
    let mut unsigned = good.clone();
    unsigned.signature = String::new();
    let mut changed = good.clone();
    changed.document = changed.document.replace("observer", "root");
    let mut other_context = good.clone();
    other_context.signature = sign(&ca.bundle, "jit-ssh@v1", &good.document);
    let mut respaced = good;
    respaced.document.push(' ');
    for bad in [unsigned, changed, other_context, respaced] {
        assert_eq!(
            bad.verify(&ca.pin(), HOST, None),
            Err(BundleError::Signature)
        );
    }
}

#[test]
fn a_thief_of_the_other_keys_makes_no_bundle() {
    let ca = Ca::new();
    for thief in [&ca.user_ca, &ca.identity] {
        let bad = ca.signed(&bundle(), thief);
        assert_eq!(
            bad.verify(&ca.pin(), HOST, None),
            Err(BundleError::Signature)
        );
    }
}

#[test]
fn a_bundle_key_counts_only_while_the_key_set_says_that_it_signs() {
    let mut ca = Ca::new();
    ca.set_state(State::Retiring);
    let good = ca.signed(&bundle(), &ca.bundle);
    good.verify(&ca.pin(), HOST, None).unwrap();
    for state in [State::Next, State::Compromised] {
        ca.set_state(state);
        let bad = ca.signed(&bundle(), &ca.bundle);
        assert_eq!(
            bad.verify(&ca.pin(), HOST, None),
            Err(BundleError::Signature)
        );
    }
}

#[test]
fn a_whole_other_ca_is_refused() {
    let ca = Ca::new();
    let mut other = Ca::new();
    other.identity = PrivateKey::random(&mut StdRng::seed_from_u64(8), Algorithm::Ed25519).unwrap();
    let bad = other.signed(&bundle(), &other.bundle);
    let refused = bad.verify(&ca.pin(), HOST, None).unwrap_err();
    assert!(matches!(
        refused,
        BundleError::KeySet(KeySetError::OtherIdentity { .. })
    ));
}

#[test]
fn a54_an_older_bundle_is_refused_whatever_makes_it_older() {
    let ca = Ca::new();
    let held = Position {
        epoch: 1,
        key_set: 1,
        number: 5,
        issued: 1_700_000_100,
    };
    let mut earlier_number = bundle();
    earlier_number.number = 4;
    earlier_number.issued += 1000;
    let mut earlier_time = bundle();
    earlier_time.issued -= 1;
    for old in [earlier_number, earlier_time] {
        let refused = ca
            .signed(&old, &ca.bundle)
            .verify(&ca.pin(), HOST, Some(held));
        assert!(
            matches!(refused, Err(BundleError::Older { .. })),
            "{refused:?}"
        );
    }
    let held = Position {
        epoch: 2,
        key_set: 1,
        number: 1,
        issued: 0,
    };
    let refused = ca
        .signed(&bundle(), &ca.bundle)
        .verify(&ca.pin(), HOST, Some(held));
    assert!(
        matches!(refused, Err(BundleError::Older { .. })),
        "{refused:?}"
    );
}

#[test]
fn a_bundle_for_another_host_or_of_another_epoch_is_refused() {
    let ca = Ca::new();
    let good = ca.signed(&bundle(), &ca.bundle);
    assert_eq!(
        good.verify(&ca.pin(), "other", None),
        Err(BundleError::OtherHost(HOST.into()))
    );
    let mut of_epoch_2 = bundle();
    of_epoch_2.epoch = 2;
    let mut of_another_name = bundle();
    of_another_name.name = "evil.example.com".into();
    let mut of_another_set = bundle();
    of_another_set.key_set = 2;
    for bad in [of_epoch_2, of_another_name, of_another_set] {
        let refused = ca.signed(&bad, &ca.bundle).verify(&ca.pin(), HOST, None);
        assert_eq!(refused, Err(BundleError::OtherKeySet));
    }
}

#[test]
fn a54_an_older_key_set_does_not_come_back_with_a_newer_number() {
    let mut ca = Ca::new();
    ca.set.number = 2;
    let held = {
        let mut held = bundle();
        held.key_set = 2;
        Some(held.position())
    };
    ca.set.number = 1;
    let mut huge = bundle();
    huge.number = u64::MAX;
    huge.issued = u64::MAX;
    let refused = ca.signed(&huge, &ca.bundle).verify(&ca.pin(), HOST, held);
    assert!(
        matches!(refused, Err(BundleError::Older { .. })),
        "{refused:?}"
    );
    // And the other way round the CA is heard again.
    let held = Some(huge.position());
    ca.set.number = 2;
    let mut next = bundle();
    next.key_set = 2;
    let taken = ca.signed(&next, &ca.bundle).verify(&ca.pin(), HOST, held);
    taken.unwrap();
}

#[test]
fn what_is_not_a_bundle_is_told_as_such_and_never_panics() {
    let ca = Ca::new();
    let mut rng = StdRng::seed_from_u64(9);
    for length in [0, 1, 64, 4096] {
        let mut bytes = vec![0; length];
        rng.fill_bytes(&mut bytes);
        let mut bad = ca.signed(&bundle(), &ca.bundle);
        bad.document = String::from_utf8_lossy(&bytes).into_owned();
        bad.signature = sign(&ca.bundle, NAMESPACE, &bad.document);
        let refused = bad.verify(&ca.pin(), HOST, None);
        assert!(
            matches!(refused, Err(BundleError::Malformed(_))),
            "{refused:?}"
        );
    }
}
