//! Invariant 1: no record, no signature. The exact bytes are recorded, durable, before the signer
//! sees them.

use std::collections::BTreeMap;

use jit_ssh_tests::lab::Lab;
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// What was signed: the certificate's bytes without the signature at their end.
fn signed_bytes(line: &str) -> Vec<u8> {
    use base64::Engine as _;
    let text = line.split(' ').nth(1).unwrap();
    let mut bytes = base64::engine::general_purpose::STANDARD
        .decode(text)
        .unwrap();
    let certificate = ssh_key::Certificate::from_openssh(line).unwrap();
    let signature = Vec::<u8>::try_from(certificate.signature().clone()).unwrap();
    let length = bytes.len() - 4 - signature.len();
    assert!(bytes.ends_with(&signature));
    bytes.truncate(length);
    bytes
}

#[test]
fn the_bytes_that_were_signed_are_the_bytes_that_were_recorded() {
    let lab = Lab::start();
    let wire = lab.wire();
    let mut signed = BTreeMap::new();
    for person in ["alice", "carol"] {
        let opened = lab.login(person);
        let mut certificates = vec![opened.answer.certificate.clone()];
        for _ in 0..5 {
            certificates.push(wire.ask(&opened.key, &json!({})).certificate().certificate);
        }
        for line in certificates {
            let digest = Sha256::digest(signed_bytes(&line));
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            signed.insert(hex, line);
        }
    }
    let records = lab.ca.records_of("certificate");
    assert_eq!(records.len(), signed.len());
    for record in records {
        let digest = record.fields["tbs_sha256"].as_str().unwrap();
        assert!(signed.contains_key(digest), "{record:?}");
    }
}

#[test]
fn a_refusal_leaves_no_certificate_and_a_record_of_who_asked_for_what() {
    let lab = Lab::start();
    let wire = lab.wire();
    let alice = lab.login("alice");
    let before = lab.ca.records_of("certificate").len();
    let ask = wire.ask(&alice.key, &json!({ "role": "production-admin" }));
    ask.refused(jit_ssh_api::problem::Kind::Refused);
    assert_eq!(lab.ca.records_of("certificate").len(), before);
    let refused = lab.ca.records_of("refused").pop().unwrap();
    assert_eq!(refused.fields["role"], "production-admin");
}

#[test]
fn refusals_of_strangers_fill_no_disk() {
    let lab = Lab::start();
    let wire = lab.wire();
    let before = lab.ca.records().len();
    let key = jit_ssh_tests::wire::Key::new();
    for _ in 0..50 {
        wire.ask(&key, &json!({}));
        wire.open_with(&key, &jit_ssh_tests::wire::BindingSalt::new(), "a.b.c");
    }
    assert!(
        lab.ca.records().len() <= before + 2,
        "a hundred refusals of nobody are a summary"
    );
    // Of a known person too: capped, and then counted.
    let alice = lab.login("alice");
    let begun = jit_ssh_tests::clock::now();
    for _ in 0..200 {
        let ask = wire.ask(&alice.key, &json!({ "role": "production-admin" }));
        ask.refused(jit_ssh_api::problem::Kind::Refused);
    }
    // Five a minute, of each minute that this took.
    let minutes = (jit_ssh_tests::clock::now() - begun) / 60 + 2;
    let refused = lab.ca.records_of("refused").len() as u64;
    assert!((5..=5 * minutes).contains(&refused), "{refused}");
}
