//! Invariant 3: a token is accepted only if everything about it is right. `attacks/token.rs` has what
//! must be refused; here is what must be accepted, so that no check refuses the whole world.

use jit_ssh_tests::idp::key::{Curve, SigningKey};
use jit_ssh_tests::idp::token::Token;
use jit_ssh_tests::lab::Lab;
use jit_ssh_tests::wire::{BindingSalt, Key};
use serde_json::json;

#[test]
fn every_asymmetric_algorithm_is_accepted_with_the_key_that_fits() {
    let mut lab = Lab::builder().prepare();
    let keys = [
        (
            SigningKey::rsa("rsa"),
            &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"][..],
        ),
        (SigningKey::ec("p256", Curve::P256), &["ES256"]),
        (SigningKey::ec("p384", Curve::P384), &["ES384"]),
        (SigningKey::ec("p521", Curve::P521), &["ES512"]),
        (SigningKey::ed("ed"), &["EdDSA", "Ed25519"]),
    ];
    let jwks: Vec<_> = keys
        .iter()
        .map(|(key, _)| {
            // Without `alg`, as Entra does: the issuer's list and the key's type decide.
            let mut jwk = key.jwk();
            jwk.as_object_mut().unwrap().remove("alg");
            jwk
        })
        .collect();
    lab.idp
        .misbehave(|faults| faults.keys = Some(json!({ "keys": jwks }).to_string()));
    lab.ca.serve();
    let wire = lab.wire();
    for (signer, algorithms) in &keys {
        for algorithm in *algorithms {
            let (key, salt) = (Key::new(), BindingSalt::new());
            let claims = lab
                .idp
                .inner()
                .claims("alice", "jit-ssh", Some(&salt.nonce(&key)));
            let token = Token::new(signer, claims).header("alg", *algorithm);
            let answer = wire.open_with(&key, &salt, &token.sign());
            assert_eq!(answer.status, 200, "{algorithm}: {answer:?}");
        }
    }
}

#[test]
fn a_key_without_a_kid_is_found_where_there_is_only_one() {
    let mut lab = Lab::builder().prepare();
    let mut jwk = lab.idp.key().jwk();
    jwk.as_object_mut().unwrap().remove("kid");
    lab.idp
        .misbehave(|faults| faults.keys = Some(json!({ "keys": [jwk] }).to_string()));
    lab.ca.serve();
    let (key, salt) = (Key::new(), BindingSalt::new());
    let token = lab
        .idp
        .token("alice", &salt.nonce(&key))
        .without_header("kid");
    lab.wire()
        .open_with(&key, &salt, &token.sign())
        .certificate();
}

#[test]
fn clocks_a_minute_apart_are_no_reason_to_refuse() {
    let lab = Lab::start();
    let wire = lab.wire();
    let now = jit_ssh_tests::clock::now();
    for (claim, value) in [("iat", now + 50), ("nbf", now + 50), ("exp", now - 50)] {
        let (key, salt) = (Key::new(), BindingSalt::new());
        let token = lab
            .idp
            .token("alice", &salt.nonce(&key))
            .claim(claim, value);
        wire.open_with(&key, &salt, &token.sign()).certificate();
    }
}

#[test]
fn entra_dates_back_by_five_minutes_and_is_still_fresh() {
    let lab = Lab::builder()
        .habit(jit_ssh_tests::idp::Habit::Entra)
        .issuer("preset = \"entra\"")
        .start();
    let opened = lab.login("alice");
    let answer = lab.wire().ask(&opened.key, &json!({})).certificate();
    assert!(answer.login.identity_fresh_until > jit_ssh_tests::clock::now() + 200);
}
