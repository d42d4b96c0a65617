//! A CA with all of its keys, for tests, and bundles that must change nothing.

use jit_ssh_api::bundle::{Bundle, NAMESPACE};
use jit_ssh_api::key_set::{self, Key, KeySet, Purpose, SignedKeySet, State as KeyState};
use ssh_key::rand_core::OsRng;
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey};

use super::*;

pub(crate) const HOST: &str = "abcdefghijklmnopqrstuvwxyz";

/// The header of a revocation list in which nothing stands.
pub(crate) const EMPTY_KRL: &str = "U1NIS1JMCgAAAAABAAAAAAAAAAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// All keys of a CA.
pub(crate) struct Ca {
    identity: PrivateKey,
    bundle: PrivateKey,
    pub(crate) user_ca: PrivateKey,
    pub(crate) host_ca: PrivateKey,
}

impl Ca {
    pub(crate) fn new() -> Self {
        let key = || PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
        Ca {
            identity: key(),
            bundle: key(),
            user_ca: key(),
            host_ca: key(),
        }
    }

    pub(crate) fn known(&self) -> KnownCa {
        KnownCa {
            url: "https://ca.example.com".into(),
            name: "ca.example.com".into(),
            fingerprint: self.identity.fingerprint(HashAlg::Sha256).to_string(),
            epoch: 1,
            number: 1,
            tls_pins: Vec::new(),
        }
    }

    pub(crate) fn set(&self) -> KeySet {
        let keys = [
            (Purpose::UserCa, &self.user_ca),
            (Purpose::HostCa, &self.host_ca),
            (Purpose::Bundle, &self.bundle),
        ];
        KeySet {
            name: "ca.example.com".into(),
            epoch: 1,
            number: 1,
            created: 0,
            keys: keys
                .map(|(purpose, key)| Key {
                    purpose,
                    state: KeyState::Active,
                    public_key: key.public_key().to_openssh().unwrap(),
                })
                .into(),
            tls_pins: Vec::new(),
            emergency: Vec::new(),
        }
    }

    pub(crate) fn signed(&self, bundle: &Bundle) -> SignedBundle {
        let sign = |key: &PrivateKey, namespace, text: &str| {
            let signature = key.sign(namespace, HashAlg::Sha512, text.as_bytes());
            signature.unwrap().to_pem(LineEnding::LF).unwrap()
        };
        let document = serde_json::to_string(bundle).unwrap();
        let set = serde_json::to_string(&self.set()).unwrap();
        SignedBundle {
            signature: sign(&self.bundle, NAMESPACE, &document),
            document,
            key_set: SignedKeySet {
                signature: sign(&self.identity, key_set::NAMESPACE, &set),
                document: set,
                identity_key: self.identity.public_key().to_openssh().unwrap(),
            },
        }
    }
}

pub(crate) fn bundle(number: u64, principals: &[(&str, &[&str])]) -> Bundle {
    Bundle {
        host: HOST.into(),
        name: "ca.example.com".into(),
        epoch: 1,
        key_set: 1,
        number,
        issued: number,
        labels: Default::default(),
        principals: principals
            .iter()
            .map(|(account, principals)| {
                let principals = principals.iter().map(ToString::to_string);
                ((*account).to_owned(), principals.collect())
            })
            .collect(),
        own_account_roles: Vec::new(),
        krl: EMPTY_KRL.into(),
    }
}

fn read(ca: &Ca, bundle: &Bundle) -> Result<Taken, Refused> {
    take(&ca.signed(bundle), &ca.known(), HOST, None)
}

#[test]
fn what_the_ca_says_of_accounts_becomes_admissions() {
    let ca = Ca::new();
    let mut said = bundle(
        1,
        &[
            ("observer", &["role:ops"]),
            ("alice", &["role:audit"]),
            ("closed", &[]),
            ("deploy", &["deploy"]),
        ],
    );
    said.own_account_roles = vec!["dev".into()];
    let own = ["alice", "bob", "deploy"].map(|name| name.parse().unwrap());
    let admissions = read(&ca, &said).unwrap().admissions(&own).unwrap();
    let shown: Vec<String> = admissions
        .iter()
        .map(|admission| {
            let principals: Vec<&str> = admission.principals.iter().map(AsRef::as_ref).collect();
            format!("{}={}", admission.account, principals.join(","))
        })
        .collect();
    let expected = [
        "alice=role:audit,role:dev+alice",
        "bob=role:dev+bob",
        "deploy=",
        "observer=role:ops",
    ];
    assert_eq!(shown, expected);
}

#[test]
fn a_bundle_with_anything_that_cannot_be_read_is_none() {
    let ca = Ca::new();
    let good = bundle(1, &[("observer", &["role:ops"])]);
    read(&ca, &good).unwrap();
    let mut bad = Vec::new();
    for krl in ["", "U1NIS1JMCgA=", "IyBvawo=", "no base64!"] {
        bad.push(Bundle {
            krl: krl.into(),
            ..good.clone()
        });
    }
    for (account, principal) in [
        ("../../root", "role:ops"),
        ("observer", "role:ops\nroot"),
        ("observer", "root"),
        ("observer", "role:dev+alice"),
    ] {
        bad.push(bundle(1, &[(account, &[principal])]));
    }
    bad.push(Bundle {
        own_account_roles: vec!["dev+root".into()],
        ..good
    });
    for bad in bad {
        assert!(read(&ca, &bad).is_err(), "{bad:?}");
    }
}
