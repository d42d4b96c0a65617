//! Invariant 2: one certificate, one role, and nothing in it that the role does not say. Whatever is
//! asked for, what comes back keeps within the policy, as `ssh-key` reads it back.

use jit_ssh_api::problem::Kind;
use jit_ssh_tests::clock;
use jit_ssh_tests::lab::Lab;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use ssh_key::certificate::CertType;

fn asks() -> impl Strategy<Value = Value> {
    let role = prop_oneof![
        Just(None),
        proptest::sample::select(vec![
            "production-observer",
            "production-admin",
            "engineering",
            "jump",
            "",
            "root",
            "*",
            "role:jump",
            "jump,production-admin",
            "jump\n",
            "PRODUCTION-OBSERVER",
        ])
        .prop_map(Some),
    ];
    let account = prop_oneof![
        Just(None),
        proptest::sample::select(vec![
            "observer",
            "admin",
            "deploy",
            "carol",
            "alice",
            "root",
            "",
            "*",
            "observer,root",
            "{username}",
        ])
        .prop_map(Some),
    ];
    let validity = prop_oneof![
        Just(None),
        any::<u64>().prop_map(Some),
        (0_u64..7200).prop_map(Some)
    ];
    (role, account, validity).prop_map(|(role, account, validity)| {
        let mut ask = json!({});
        if let Some(role) = role {
            ask["role"] = json!(role);
        }
        if let Some(account) = account {
            ask["account"] = json!(account);
        }
        if let Some(validity) = validity {
            ask["validity"] = json!(validity);
        }
        ask
    })
}

#[test]
fn whatever_is_asked_for_the_answer_keeps_within_the_role() {
    let lab = Lab::start();
    let wire = lab.wire();
    // role, accounts, principals, longest validity, extensions of sshd's
    #[rustfmt::skip]
    let alice: &[(&str, &str, u64, &[&str])] = &[
        ("production-observer", "role:production-observer", 900, &["permit-pty"]),
        ("jump", "role:jump", 900, &["permit-port-forwarding"]),
    ];
    #[rustfmt::skip]
    let carol: &[(&str, &str, u64, &[&str])] = &[
        ("engineering", "role:engineering+carol", 3600, &["permit-agent-forwarding", "permit-port-forwarding", "permit-pty"]),
    ];
    let mut runner = TestRunner::deterministic();
    let mut issued = 0;
    for (person, allowed) in [("alice", alice), ("carol", carol)] {
        let opened = lab.login(person);
        for _ in 0..60 {
            let ask = asks().new_tree(&mut runner).unwrap().current();
            let answer = wire.ask(&opened.key, &ask);
            if answer.status != 200 {
                let kind = answer.problem().kind();
                let expected = [Some(Kind::Refused), Some(Kind::BadRequest)];
                assert!(expected.contains(&kind), "{ask}: {answer:?}");
                continue;
            }
            issued += 1;
            let answer = answer.certificate();
            let certificate = ssh_key::Certificate::from_openssh(&answer.certificate).unwrap();
            let (_, principal, validity, extensions) = allowed
                .iter()
                .find(|(role, ..)| *role == answer.role)
                .unwrap_or_else(|| panic!("{person} got {} for {ask}", answer.role));
            assert_eq!(certificate.valid_principals(), [*principal], "{ask}");
            assert_eq!(certificate.cert_type(), CertType::User);
            assert_ne!(certificate.serial(), 0);
            assert!(certificate.critical_options().is_empty(), "{ask}");
            let ours = |name: &&String| !name.ends_with("@jit-ssh.dev");
            let names: Vec<&str> = certificate
                .extensions()
                .keys()
                .filter(ours)
                .map(String::as_str)
                .collect();
            assert_eq!(names, *extensions, "{ask}");
            let now = clock::now();
            assert!(certificate.valid_after() + 120 <= now + 1, "{ask}");
            assert!(certificate.valid_before() <= now + validity, "{ask}");
            assert!(
                certificate.valid_before() >= certificate.valid_after(),
                "{ask}"
            );
            if let Some(asked) = ask["validity"].as_u64() {
                assert!(
                    certificate.valid_before() <= now.saturating_add(asked),
                    "{ask}"
                );
            }
            assert_eq!(
                certificate.public_key(),
                opened.key.0.public_key().key_data()
            );
        }
    }
    assert!(issued > 10, "{issued}");
}

#[test]
fn a_role_with_a_source_puts_it_into_a_critical_option() {
    let policy = jit_ssh_tests::ca::POLICY.replacen(
        "max_validity = \"15m\"",
        "max_validity = \"15m\"\nsource = [\"127.0.0.0/8\", \"10.0.0.0/8\"]",
        1,
    );
    let lab = Lab::builder().policy(&policy).start();
    let answer = lab.login("alice").answer;
    let certificate = ssh_key::Certificate::from_openssh(&answer.certificate).unwrap();
    let options: Vec<_> = certificate.critical_options().iter().collect();
    assert_eq!(options.len(), 1);
    assert_eq!(options[0].0, "source-address");
    assert!(options[0].1.contains("127.0.0.0/8"));
}

#[test]
fn the_simple_mode_puts_accounts_into_the_certificate() {
    let policy = format!("principals = \"accounts\"\n{}", jit_ssh_tests::ca::POLICY);
    let lab = Lab::builder().policy(&policy).start();
    assert_eq!(lab.login("alice").answer.principals, ["observer"]);
    assert_eq!(lab.login("carol").answer.principals, ["carol"]);
}
