//! Reload by SIGHUP and by the file's change: the new snapshot whole, or the old one, loudly.

use std::fs;
use std::time::Duration;

use jit_ssh_api::problem::Kind;
use jit_ssh_tests::ca::POLICY;
use jit_ssh_tests::clock;
use jit_ssh_tests::http;
use jit_ssh_tests::lab::Lab;
use jit_ssh_tests::process::Run;
use serde_json::json;

/// Ops lose their role.
fn narrower() -> String {
    POLICY
        .replacen("groups = [\"Ops\"]", "groups = [\"Nobody\"]", 1)
        .replace("may = [\"production-observer\"]\n", "")
}

#[test]
fn a_new_policy_counts_for_the_next_certificate_of_a_live_login() {
    let mut lab = Lab::start();
    let wire = lab.wire();
    let alice = lab.login("alice");
    wire.ask(&alice.key, &json!({})).certificate();
    lab.ca.change(|plan| plan.policy = narrower());
    lab.ca.reload();
    clock::until("the new policy", || {
        (wire.ask(&alice.key, &json!({})).status != 200).then_some(())
    });
    wire.ask(&alice.key, &json!({})).refused(Kind::Refused);
    assert_eq!(lab.ca.records_of("policy").len(), 2);
}

#[test]
fn a_changed_file_is_seen_without_a_signal() {
    let mut lab = Lab::start();
    let wire = lab.wire();
    let alice = lab.login("alice");
    lab.ca.change(|plan| plan.policy = narrower());
    clock::until_within(Duration::from_secs(30), "the new policy", || {
        (wire.ask(&alice.key, &json!({})).status != 200).then_some(())
    });
    wire.ask(&alice.key, &json!({})).refused(Kind::Refused);
    assert_eq!(lab.ca.records_of("policy").len(), 2);
}

#[test]
fn a_policy_with_a_mistake_is_refused_loudly_and_the_old_one_stays() {
    let mut lab = Lab::start();
    let wire = lab.wire();
    let alice = lab.login("alice");
    for broken in [
        "order = [",
        "",
        &POLICY.replace("max_validity", "max_validty"),
        &POLICY.replacen(
            "may_not = [\"production-admin\"]",
            "may_not = [\"production-observer\"]",
            1,
        ),
    ] {
        let loud = lab.ca.log().lines().count();
        lab.ca.change(|plan| broken.clone_into(&mut plan.policy));
        lab.ca.reload();
        clock::until("the refusal in the log", || {
            let log = lab.ca.log();
            let new: Vec<&str> = log.lines().skip(loud).collect();
            new.iter().any(|line| line.contains("policy")).then_some(())
        });
        let ready = http::send(lab.ca.address, "GET", "/readyz", &[], b"");
        assert!(ready.body.contains("refused"), "{ready:?}");
        wire.ask(&alice.key, &json!({})).certificate();
    }
    lab.ca.change(|plan| POLICY.clone_into(&mut plan.policy));
    lab.ca.reload();
    clock::until("health", || {
        let ready = http::send(lab.ca.address, "GET", "/readyz", &[], b"");
        (ready.status == 200 && !ready.body.contains("refused")).then_some(())
    });
}

#[test]
fn a_configuration_with_a_mistake_is_refused_and_the_old_one_stays() {
    let lab = Lab::start();
    let wire = lab.wire();
    let alice = lab.login("alice");
    let path = lab.ca.data.join("ca.toml");
    let text = fs::read_to_string(&path).unwrap();
    for broken in [
        text.replace("[listen]", "[listn]"),
        text.replace("name = ", "nme = "),
        format!("{text}\n[limits]\nbody = \"lots\"\n"),
        String::new(),
    ] {
        jit_ssh_tests::ca::replace(&path, &broken);
        lab.ca.reload();
        wire.ask(&alice.key, &json!({})).certificate();
    }
    clock::until("the refusal in the log", || {
        lab.ca.log().contains("ca.toml").then_some(())
    });
    assert_eq!(
        http::send(lab.ca.address, "GET", "/healthz", &[], b"").status,
        200
    );
}

#[test]
fn a_new_tls_certificate_is_served_without_a_restart() {
    let lab = Lab::builder().tls().start();
    let (cert, key) = (
        lab.ca.data.join("tls/cert.pem"),
        lab.ca.data.join("tls/key.pem"),
    );
    let shown = || {
        Run::new("sh")
            .arg("-c")
            .arg(format!(
                "openssl s_client -connect {} </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha256",
                lab.ca.address
            ))
            .go()
            .ok()
            .text()
            .to_owned()
    };
    let before = shown();
    let new = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    jit_ssh_tests::ca::replace(&key, &new.signing_key.serialize_pem());
    jit_ssh_tests::ca::replace(&cert, &new.cert.pem());
    clock::until_within(Duration::from_secs(60), "the new certificate", || {
        (shown() != before).then_some(())
    });
}

#[test]
fn a_stop_finishes_the_request_that_is_under_way() {
    let mut lab = Lab::start();
    let wire = lab.wire();
    lab.login("alice"); // so that the keys of before are fetched
    let before = lab.idp.hits("/keys");
    lab.idp
        .misbehave(|faults| faults.slow = Some(Duration::from_millis(700)));
    lab.idp
        .rotate(vec![jit_ssh_tests::idp::key::SigningKey::another_rsa(
            "rsa-2",
        )]);
    let (key, salt) = (
        jit_ssh_tests::wire::Key::new(),
        jit_ssh_tests::wire::BindingSalt::new(),
    );
    let token = lab.idp.token("alice", &salt.nonce(&key)).sign();
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| wire.open_with(&key, &salt, &token));
        // The CA has gone to the provider for the unknown key: the request is under way.
        clock::until("the request", || {
            (lab.idp.hits("/keys") > before).then_some(())
        });
        lab.ca.child().signal(rustix::process::Signal::TERM);
        asked.join().unwrap().certificate();
    });
    assert_eq!(lab.ca.child().wait(), 0);
}

#[test]
fn two_cas_do_not_serve_one_folder() {
    let lab = Lab::start();
    let second = lab.ca.serve_command().go().failed();
    assert!(!second.stderr.contains("panicked"), "{second}");
    assert!(
        second.stderr.contains("in use"),
        "it says that another one serves: {second}"
    );
    lab.login("alice");
}
