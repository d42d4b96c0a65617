//! The policy through its commands, and the admin commands: over the socket as the data folder's
//! owner, and from a laptop as a person with rights.

use std::fs;

use jit_ssh_tests::ca::POLICY;
use jit_ssh_tests::lab::Lab;
use jit_ssh_tests::process::{Output, Run, program};

use crate::scene;
use crate::scene::Scene;

fn check(text: &str) -> Output {
    let dir = jit_ssh_tests::dir::Dir::new();
    let path = dir.file("policy.toml", text);
    Run::new(program("jit-ssh-ca"))
        .args(["policy", "check"])
        .arg(path)
        .go()
}

#[test]
fn a_mistake_is_shown_with_its_line_and_what_to_write() {
    let said = check(&POLICY.replacen("max_validity", "max_validty", 1)).failed();
    let line = 1 + POLICY
        .lines()
        .position(|line| line.contains("max_validity"))
        .unwrap();
    assert!(
        said.stderr.contains(&format!(":{line}")),
        "line {line}: {said}"
    );
    assert!(
        said.stderr.contains("max_validity"),
        "the suggestion: {said}"
    );
}

#[test]
fn what_is_not_supported_yet_is_refused_and_not_ignored() {
    for key in [
        "record = true",
        "read_only = true",
        "at_end = \"end\"",
        "reason = { required = true }",
        "approval = {}",
        "authentication = { max_age = \"15m\" }",
    ] {
        let said =
            check(&POLICY.replacen("max_validity", &format!("{key}\nmax_validity"), 1)).failed();
        assert!(said.stderr.contains("not supported"), "{key}: {said}");
    }
}

#[test]
fn the_tests_of_a_policy_run_and_fail_it() {
    let said =
        check(&POLICY.replace("may_not = [\"production-admin\"]", "may_not = [\"jump\"]")).failed();
    assert!(said.stderr.contains("jump"), "{said}");
}

#[test]
fn explain_tells_the_first_rule_and_what_would_help() {
    let lab = Lab::start();
    let said = lab.ca.admin(&["policy", "explain", "--group", "Ops"]).ok();
    assert!(
        said.stdout.contains("production-observer") && said.stdout.contains("Leads"),
        "{said}"
    );
}

#[test]
fn the_owner_lists_ends_and_shows_over_the_socket() {
    let lab = Lab::start();
    let alice = lab.login("alice");
    let id = &alice.answer.login.id;
    let list = lab.ca.admin(&["login", "list"]).ok();
    assert!(list.stdout.contains(id.as_str()), "{list}");
    lab.ca.admin(&["login", "end", id]).ok();
    let audit = lab.ca.admin(&["audit", "list", "--json"]).ok();
    assert!(audit.stdout.contains("login-ended"), "{audit}");
    let by = lab.ca.records_of("admin");
    assert!(
        by.iter().any(|record| record.fields["by"]
            .as_str()
            .is_some_and(|by| by.starts_with("local:"))),
        "{by:?}"
    );
    let keys = lab.ca.admin(&["key", "list"]).ok();
    assert!(keys.stdout.contains(&lab.ca.fingerprint()), "{keys}");
    lab.ca.admin(&["policy", "show"]).ok();
}

#[test]
fn a_person_with_rights_does_it_from_a_laptop_and_another_may_not() {
    let scene = scene!(Scene::new(&[]));
    scene.lab.idp.change("carol", |carol| {
        carol.groups = vec!["Security".into(), "Engineering".into()];
    });
    let laptop = scene.laptop("carol");
    scene.sign_in(&laptop, &[]).ok();
    let admin = |arguments: &[&str]| {
        laptop
            .run(program("jit-ssh-ca"))
            .args(arguments)
            .args(["--ca", &scene.lab.ca.url])
            .go()
    };
    let audit = admin(&["audit", "list"]).ok();
    assert!(audit.stdout.contains("carol"), "{audit}");
    laptop.jit(&["logout"]).go().ok();
    let alice = laptop.seat("alice");
    scene.lab.idp.seat("alice");
    scene.sign_in(&alice, &[]).ok();
    let refused = alice
        .run(program("jit-ssh-ca"))
        .args(["audit", "list", "--ca", &scene.lab.ca.url])
        .go()
        .failed();
    assert!(!refused.stdout.contains("carol"), "{refused}");
}

#[test]
fn the_example_policy_of_a_new_ca_passes_its_own_tests() {
    let dir = jit_ssh_tests::dir::Dir::new();
    let data = dir.join("ca");
    Run::new(program("jit-ssh-ca"))
        .args([
            "init",
            "--url",
            "https://ca.example.com",
            "--issuer",
            "https://acme.okta.com",
        ])
        .args(["--client-id", "0oa1", "--data"])
        .arg(&data)
        .arg("--generate-passphrase")
        .arg(dir.join("passphrase"))
        .go()
        .ok();
    let text = fs::read_to_string(data.join("policy.toml")).unwrap();
    assert!(text.contains('#'), "it is commented");
    check(&text).ok();
}
