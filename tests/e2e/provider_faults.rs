//! A provider that is slow, broken or stingy: what the CA makes of it, and the sentence that the
//! person reads.

use std::time::Duration;

use jit_ssh_api::problem::Kind;
use jit_ssh_tests::ca::POLICY;
use jit_ssh_tests::clock;
use jit_ssh_tests::expect::is_harmless;
use jit_ssh_tests::idp::Faults;
use jit_ssh_tests::lab::Lab;
use jit_ssh_tests::wire::{BindingSalt, Key};

use crate::scene;
use crate::scene::{Scene, WEB, certificates};

#[test]
fn a_provider_in_trouble_is_named_with_what_it_did() {
    // What it does, the exit code, and the words: the provider's address and what to do come first.
    type Fault = fn(&mut Faults);
    let cases: [(&str, Fault, i32, &[&str]); 6] = [
        (
            "too slow",
            |faults| faults.slow = Some(Duration::from_secs(60)),
            5,
            &["cannot be reached.", "timed out", "next:"],
        ),
        (
            "a fault of its own",
            |faults| faults.status = Some(503),
            5,
            &["cannot be reached.", "it answers 503", "next:"],
        ),
        (
            "no such page",
            |faults| faults.status = Some(404),
            1,
            &["404 Not Found for its configuration", "jit-ssh-ca doctor"],
        ),
        (
            "an answer without end",
            |faults| faults.huge = Some(20 << 20),
            1,
            &["its answer is far too large", "jit-ssh-ca doctor"],
        ),
        (
            "a page of a captive portal",
            |faults| faults.discovery = Some("<html>sign in to the Wi-Fi</html>".to_owned()),
            1,
            &["its configuration is unreadable", "jit-ssh-ca doctor"],
        ),
        (
            "a refusal",
            |faults| faults.token_error = Some("unauthorized_client".to_owned()),
            3,
            &[
                "unauthorized_client",
                "Ask whoever runs the identity provider",
            ],
        ),
    ];
    let scene = scene!(Scene::new(&[]));
    let laptop = scene.laptop("alice");
    for (what, fault, code, words) in cases {
        scene.lab.idp.misbehave(|faults| {
            *faults = Faults::default();
            fault(faults);
        });
        let said = scene.sign_in(&laptop, &[]).failed_with(code);
        is_harmless(&said.all());
        for word in words {
            assert!(said.stderr.contains(word), "{what}: no {word:?}: {said}");
        }
        if code != 3 {
            assert!(said.stderr.contains(&scene.lab.idp.issuer), "{said}");
        }
        assert!(said.stderr.len() < 2000, "{what}: {said}");
        assert!(certificates(&laptop).is_empty());
    }
    scene
        .lab
        .idp
        .misbehave(|faults| *faults = Faults::default());
    scene.sign_in(&laptop, &[]).ok();
}

#[test]
fn a_provider_that_answers_the_ca_with_faults_is_said_to_be_away() {
    let mut lab = Lab::builder().prepare();
    lab.idp.misbehave(|faults| faults.status = Some(500));
    lab.ca.serve();
    let (wire, key, salt) = (lab.wire(), Key::new(), BindingSalt::new());
    let token = lab.idp.token("alice", &salt.nonce(&key)).sign();
    let problem = wire
        .open_with(&key, &salt, &token)
        .refused(Kind::IssuerUnavailable);
    assert!(problem.retry_after.is_some(), "{problem:?}");
    // Nothing was used up: once it answers, the same token opens the login.
    lab.idp.misbehave(|faults| faults.status = None);
    clock::until("the CA to ask again", || {
        (wire.open_with(&key, &salt, &token).status == 200).then_some(())
    });
}

#[test]
fn keys_that_must_not_be_stored_are_not_asked_for_at_each_login() {
    for header in ["no-store", "max-age=0", "max-age=-1", "private, no-cache"] {
        let mut lab = Lab::builder().prepare();
        lab.idp
            .misbehave(|faults| faults.cache_control = Some(header.to_owned()));
        lab.ca.serve();
        for _ in 0..10 {
            lab.login("alice");
        }
        assert_eq!(lab.idp.hits("/keys"), 1, "{header}");
    }
}

#[test]
fn keys_that_may_be_kept_for_years_are_asked_for_when_a_new_one_signs() {
    // A cache that believes the header would shut everybody out after a rotation.
    let mut lab = Lab::builder().prepare();
    lab.idp
        .misbehave(|faults| faults.cache_control = Some("max-age=315360000, immutable".to_owned()));
    lab.ca.serve();
    lab.login("alice");
    let new = jit_ssh_tests::idp::key::SigningKey::rsa("rsa-2");
    lab.idp.rotate(vec![new]);
    lab.login("alice");
    assert_eq!(lab.idp.hits("/keys"), 2);
}

#[test]
fn a_refresh_without_an_id_token_is_no_identity_and_the_person_is_told() {
    let policy = POLICY.replacen("max_validity = \"15m\"", "max_validity = \"6s\"", 1);
    let lab = Lab::builder()
        .issuer("identity_max_age = \"3s\"")
        .policy(&policy);
    let scene = scene!(Scene::with(lab, &[WEB], |plan| plan));
    let laptop = scene.signed_in("alice");
    scene
        .lab
        .idp
        .misbehave(|faults| faults.no_token_at_refresh = true);
    let said = clock::until("the door to close", || {
        let said = laptop.ssh(&[&format!("observer@{WEB}"), "true"]);
        (said.code != Some(0)).then_some(said)
    })
    .failed_with(255);
    for words in ["no ID token at a refresh", "jit-ssh login"] {
        assert!(said.stderr.contains(words), "{words}: {said}");
    }
}
