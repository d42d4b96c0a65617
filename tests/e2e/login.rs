//! `jit-ssh login`: a sign-in in a browser, against the provider for tests and against a real one
//! that we did not write; what it leaves on the laptop, and what ends with `logout`.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use jit_ssh_tests::agent::Agent;
use jit_ssh_tests::ca::{Ca, Plan};
use jit_ssh_tests::client::Laptop;
use jit_ssh_tests::dir::Dir;
use jit_ssh_tests::expect::is_harmless;
use jit_ssh_tests::lab::Lab;
use jit_ssh_tests::op::Op;
use jit_ssh_tests::sshd::Sshd;
use jit_ssh_tests::world::World;

use crate::scene;
use crate::scene::{Scene, WEB, below, certificates, plan};

#[test]
fn a_person_of_ops_signs_in_and_is_let_in_as_observer() {
    let scene = scene!(Scene::new(&[WEB]));
    let laptop = scene.laptop("alice");
    let said = scene.sign_in(&laptop, &[]).ok();
    assert!(said.all().contains("production-observer"), "{said}");
    laptop.jit(&["ssh-config"]).go().ok();
    let who = laptop
        .ssh(&[&format!("observer@{WEB}"), "id -un; echo $SSH_CONNECTION"])
        .ok();
    assert!(who.stdout.starts_with("observer\n"), "{who}");
    // sshd's own log names the person's login and role.
    let log = scene.server(WEB).log();
    let line = log
        .lines()
        .find(|line| line.contains("Accepted publickey for observer"))
        .unwrap();
    assert!(
        line.contains("ED25519-CERT") && line.contains("role=production-observer"),
        "{line}"
    );
    // And so does the ledger, with the same serial.
    let record = &scene.lab.ca.records_of("certificate")[0];
    let serial = line
        .split("(serial ")
        .nth(1)
        .unwrap()
        .split(')')
        .next()
        .unwrap();
    assert!(
        serde_json::to_string(record).unwrap().contains(serial),
        "{record:?}"
    );
}

#[test]
fn a_person_of_no_group_is_told_what_would_help() {
    let scene = scene!(Scene::new(&[WEB]));
    let laptop = scene.laptop("bob");
    let said = scene.sign_in(&laptop, &[]).failed_with(3);
    is_harmless(&said.all());
    assert!(
        said.stderr.contains("Ops") || said.stderr.to_lowercase().contains("group"),
        "{said}"
    );
    assert!(certificates(&laptop).is_empty());
    // The refusal is in the ledger.
    assert!(!scene.lab.ca.records_of("refused").is_empty());
}

#[test]
fn the_wrong_account_and_the_wrong_role_are_refused() {
    let scene = scene!(Scene::new(&[WEB]));
    let laptop = scene.signed_in("alice");
    laptop.ssh(&[&format!("observer@{WEB}"), "true"]).ok();
    for account in ["admin", "carol", "root"] {
        laptop
            .ssh(&[&format!("{account}@{WEB}"), "true"])
            .failed_with(255);
    }
    let said = scene
        .sign_in(&laptop, &["--role", "production-admin"])
        .failed_with(3);
    assert!(said.stderr.contains("Leads"), "what would help: {said}");
}

#[test]
fn a_certificate_on_another_laptop_is_worth_nothing_without_its_key() {
    let scene = scene!(Scene::new(&[WEB]));
    let laptop = scene.signed_in("alice");
    let certificate = certificates(&laptop).remove(0);
    let thief = Dir::new();
    fs::copy(&certificate, thief.join("key-cert.pub")).unwrap();
    jit_ssh_tests::keygen::generate(&thief.join("key"), &["-t", "ed25519"]);
    let said = laptop
        .run("ssh")
        .args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "StrictHostKeyChecking=no",
        ])
        .args([
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "IdentitiesOnly=yes",
        ])
        .arg("-i")
        .arg(thief.join("key"))
        .args([
            "-p",
            &scene.server(WEB).port.to_string(),
            &format!("observer@{WEB}"),
            "true",
        ])
        .go();
    assert_ne!(said.code, Some(0), "{said}");
}

#[test]
fn what_lies_on_the_disk_is_private() {
    let scene = scene!(Scene::new(&[]));
    let laptop = scene.laptop("alice");
    scene.sign_in(&laptop, &["--no-agent"]).ok();
    let mut keys = 0;
    for path in below(laptop.home()) {
        let mode = fs::metadata(&path).unwrap().mode() & 0o777;
        let text = fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&text).into_owned();
        let token = scene.lab.idp.inner().issued.clone();
        assert!(
            token.iter().all(|token| !text.contains(token)),
            "an ID token in {}",
            path.display()
        );
        if text.contains("PRIVATE KEY") {
            keys += 1;
            assert_eq!(mode, 0o600, "{}", path.display());
        }
    }
    assert_eq!(keys, 1, "the login key, in a file");
}

#[test]
fn the_login_key_lives_in_the_agent_and_not_on_the_disk() {
    let scene = scene!(Scene::new(&[WEB]));
    let agent = Agent::start(&scene.lab.dir);
    let laptop = scene.laptop("alice").with_agent(agent.socket());
    scene.sign_in(&laptop, &[]).ok();
    assert_eq!(agent.keys().len(), 1, "{:?}", agent.keys());
    for path in below(laptop.home()) {
        let text = fs::read(&path).unwrap();
        assert!(
            !String::from_utf8_lossy(&text).contains("PRIVATE KEY"),
            "{}",
            path.display()
        );
    }
    laptop.jit(&["ssh-config"]).go().ok();
    laptop.ssh(&[&format!("observer@{WEB}"), "true"]).ok();
    laptop.jit(&["logout"]).go().ok();
    assert!(agent.keys().is_empty());
}

#[test]
fn a_logout_ends_the_login_for_good_and_leaves_nothing() {
    let scene = scene!(Scene::new(&[WEB]));
    let laptop = scene.signed_in("alice");
    laptop.ssh(&[&format!("observer@{WEB}"), "true"]).ok();
    laptop.jit(&["logout"]).go().ok();
    assert!(certificates(&laptop).is_empty());
    for path in below(laptop.home()) {
        let text = fs::read(&path).unwrap();
        assert!(
            !String::from_utf8_lossy(&text).contains("PRIVATE KEY"),
            "{}",
            path.display()
        );
    }
    laptop
        .ssh(&[&format!("observer@{WEB}"), "true"])
        .failed_with(255);
    assert_eq!(scene.lab.ca.records_of("login-ended").len(), 1);
    assert!(
        scene.lab.idp.inner().revoked() >= 1,
        "the refresh token is revoked at the provider"
    );
    laptop.jit(&["status", "--json"]).go().failed_with(4);
}

#[test]
fn with_json_whatever_happens_is_one_line() {
    let mut scene = scene!(Scene::new(&[WEB]));
    let laptop = scene.laptop("alice");
    let said = scene.sign_in(&laptop, &["--json", "--ssh-config"]).ok();
    assert_eq!(said.json()["role"], "production-observer", "{said}");
    assert_eq!(said.json()["ssh_config"]["changed"], true, "{said}");
    laptop.ssh(&[&format!("observer@{WEB}"), "true"]).ok();
    // Signed in, and the role refused.
    let said = scene.sign_in(&laptop, &["--json", "--role", "production-admin"]);
    let line = said.failed_with(3).json();
    assert_eq!(line["error"]["exit"], 3, "{line}");
    assert!(line["login"]["id"].is_string(), "{line}");
    assert_eq!(line["certificate"], serde_json::Value::Null, "{line}");
    // Signed in, and the person's own configuration unreadable.
    laptop.jit(&["ssh-config", "--remove"]).go().ok();
    let config = laptop.home().join(".ssh/config");
    let mut text = fs::read_to_string(&config).unwrap();
    text.push_str("NoSuchKeyword yes\n");
    fs::write(&config, text).unwrap();
    let said = scene.sign_in(&laptop, &["--json", "--ssh-config"]);
    let line = said.failed_with(1).json();
    assert!(line["certificate"].is_string(), "{line}");
    assert_eq!(line["error"]["exit"], 1, "{line}");
    // Signed out here, and the CA away.
    scene.lab.ca.stop();
    let laptop = Laptop::again(&scene.world, "alice");
    let line = laptop.jit(&["logout", "--json"]).go().failed_with(5).json();
    assert_eq!(line["ended_at_ca"], false, "{line}");
    assert_eq!(line["error"]["exit"], 5, "{line}");
}

#[test]
fn a_logout_removes_everything_here_whoever_does_not_answer() {
    let mut scene = scene!(Scene::new(&[]));
    let laptop = scene.laptop("alice");
    scene.sign_in(&laptop, &["--no-agent"]).ok();
    let state = laptop.home().join(".local/state/jit-ssh/ca.test");
    let left = |laptop: &Laptop<'_>| {
        let mut left = certificates(laptop);
        let names = ["key", "key.pub", "login.json"].map(|name| state.join(name));
        left.extend(names.into_iter().filter(|path| path.exists()));
        left
    };
    assert_eq!(left(&laptop).len(), 5, "{:?}", left(&laptop));
    // A token that cannot be removed is told, after all else is gone.
    let token = state.join("refresh-token");
    fs::remove_file(&token).unwrap();
    fs::create_dir(&token).unwrap();
    let said = laptop.jit(&["logout"]).go().failed_with(1);
    assert!(said.stderr.contains("refresh-token"), "{said}");
    assert!(left(&laptop).is_empty(), "{:?}", left(&laptop));
    assert_eq!(scene.lab.ca.records_of("login-ended").len(), 1);
    fs::remove_dir(&token).unwrap();
    // The CA is away.
    scene.sign_in(&laptop, &["--no-agent"]).ok();
    scene.lab.ca.stop();
    let laptop = Laptop::again(&scene.world, "alice");
    let said = laptop.jit(&["logout"]).go().failed_with(5);
    assert!(said.stderr.contains("removed here"), "{said}");
    assert!(left(&laptop).is_empty(), "{:?}", left(&laptop));
    assert!(!token.exists());
    // The pin is damaged and in the way.
    let pin = laptop.home().join(".config/jit-ssh/cas/ca.test");
    fs::write(pin.join("pin.json"), "{").unwrap();
    fs::write(state.join("key"), "PRIVATE KEY").unwrap();
    laptop.jit(&["logout", "--forget"]).go().ok();
    assert!(!pin.exists() && !state.exists());
}

#[test]
fn status_roles_and_inspect_say_who_and_how_long() {
    let scene = scene!(Scene::new(&[WEB]));
    let laptop = scene.signed_in("alice");
    let status = laptop.jit(&["status", "--json"]).go().ok();
    assert!(
        status.json().to_string().contains("sub-of-alice"),
        "{status}"
    );
    let short = laptop.jit(&["status", "--short"]).go().ok();
    assert_eq!(short.stdout.lines().count(), 1, "{short}");
    let roles = laptop
        .jit(&["roles", "--json"])
        .go()
        .ok()
        .json()
        .to_string();
    assert!(
        roles.contains("production-observer") && roles.contains("Leads"),
        "{roles}"
    );
    let certificate = certificates(&laptop).remove(0);
    let words = laptop.jit(&["inspect"]).arg(&certificate).go().ok();
    assert!(words.stdout.contains("production-observer"), "{words}");
    is_harmless(&words.stdout);
}

#[test]
fn a_login_over_https_believes_the_pinned_key_set_alone() {
    let scene = scene!(Scene::with(Lab::builder().tls(), &[WEB], |plan| plan));
    let laptop = scene.signed_in("alice");
    laptop.ssh(&[&format!("observer@{WEB}"), "true"]).ok();
}

#[test]
fn a_first_use_without_a_fingerprint_needs_tls_that_verifies_and_says_so() {
    let scene = scene!(Scene::with(Lab::builder().tls(), &[], |plan| plan));
    let url = &scene.lab.ca.url;
    let laptop = scene.laptop("alice");
    let pin = laptop.home().join(".config/jit-ssh/cas/ca.test/pin.json");
    // Nothing vouches for the CA: nothing is pinned, nobody is sent to a browser.
    laptop.jit(&["login", "--ca", url]).go().failed_with(1);
    assert!(!pin.exists());
    assert!(scene.lab.idp.inner().authorizations.is_empty());
    let pem = tls_certificate(&scene.lab.ca.data);
    let file = laptop.home().join("company-tls.pem");
    fs::write(&file, pem).unwrap();
    let by_option = laptop.jit(&["login", "--ca", url, "--ca-file"]).arg(&file);
    let by_environment = laptop
        .jit(&["login", "--ca", url])
        .env("JIT_SSH_CA_FILE", &file);
    for login in [by_option, by_environment] {
        let said = login.go().ok();
        let print = scene.lab.ca.fingerprint();
        assert!(said.stderr.contains(&print), "{said}");
        assert!(said.stderr.contains("nobody has compared it"), "{said}");
        let text = fs::read_to_string(&pin).unwrap();
        assert!(
            text.contains("public-tls") && text.contains(&print),
            "{text}"
        );
        // From here on the pin vouches.
        laptop.jit(&["roles"]).go().ok();
        laptop.jit(&["logout", "--forget"]).go().ok();
        assert!(!pin.exists());
    }
}

/// The certificate that the CA made itself.
fn tls_certificate(data: &std::path::Path) -> String {
    below(data)
        .into_iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .find(|text| text.starts_with("-----BEGIN CERTIFICATE"))
        .unwrap()
}

#[test]
fn a_ca_of_the_fips_profile_uses_p256_throughout() {
    let scene = scene!(Scene::with(Lab::builder().fips(), &[WEB], |plan| plan));
    let laptop = scene.signed_in("alice");
    laptop.ssh(&[&format!("observer@{WEB}"), "true"]).ok();
    let log = scene.server(WEB).log();
    assert!(
        log.contains("ECDSA-CERT") && log.contains("CA ECDSA"),
        "{log}"
    );
}

#[test]
fn a_person_signs_in_at_a_real_provider_in_its_own_forms() {
    for algorithm in ["RS256", "ES256"] {
        let dir = Dir::new();
        let Some(op) = Op::start(&dir, algorithm, "http://127.0.0.1:1/sign-in") else {
            jit_ssh_tests::skip!("node is not installed");
        };
        let plan_ = Plan {
            client:
                "scopes = [\"openid\", \"email\", \"profile\", \"groups\", \"offline_access\"]\n\
                     extra = { prompt = \"consent\" }"
                    .to_owned(),
            ..Plan::default()
        };
        let mut ca = Ca::init(&dir, plan_, std::slice::from_ref(&op.issuer));
        ca.serve();
        let Some(world) = World::new(&dir) else {
            jit_ssh_tests::skip!("no mount namespaces here");
        };
        let server: Sshd = plan(WEB, &ca.user_ca()).start(&world, &dir);
        let laptop = Laptop::new(&world, "alice", &[&server]);
        laptop
            .jit(&["login", "--ca", &ca.url, "--fingerprint", &ca.fingerprint()])
            .go()
            .ok();
        laptop.jit(&["ssh-config"]).go().ok();
        let who = laptop.ssh(&[&format!("observer@{WEB}"), "id -un"]).ok();
        assert_eq!(who.text(), "observer");
        let bob = laptop.seat("bob");
        bob.jit(&["logout"]).go().ok();
        bob.jit(&["login", "--ca", &ca.url, "--fingerprint", &ca.fingerprint()])
            .go()
            .failed_with(3);
    }
}
