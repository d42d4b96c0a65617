//! `jit-ssh doctor`: each thing that can be wrong with a laptop is found, with a mend beside it.

use std::fs;
use std::path::Path;

use jit_ssh_tests::client::Laptop;
use jit_ssh_tests::clock;
use jit_ssh_tests::port;
use jit_ssh_tests::process::{Run, program};
use jit_ssh_tests::proxy::Proxy;
use serde_json::Value;

use crate::scene;
use crate::scene::{Scene, WEB};

/// What `doctor` says of one thing: how it is, and all the words.
#[track_caller]
fn finding(run: Run, name: &str) -> (String, String) {
    let said = run.go();
    let report = said.json();
    let checks = report["checks"].as_array().unwrap();
    let found: Vec<&Value> = checks
        .iter()
        .filter(|check| check["name"] == name)
        .collect();
    let worst = ["bad", "note", "good"]
        .into_iter()
        .find(|state| found.iter().any(|check| check["state"] == *state))
        .unwrap_or_else(|| panic!("nothing about {name}: {report:#}"));
    // Whatever is wrong has a mend, and only what is bad ends with an error.
    for check in checks {
        let mend = check["mend"].as_array().unwrap();
        assert_eq!(check["state"] == "good", mend.is_empty(), "{check:#}");
    }
    let bad = checks.iter().any(|check| check["state"] == "bad");
    assert_eq!(report["state"] == "bad", bad, "{report:#}");
    assert_eq!(said.code, Some(i32::from(bad)), "{said}");
    (worst.to_owned(), format!("{found:?}"))
}

fn doctor(laptop: &Laptop<'_>) -> Run {
    laptop.jit(&["doctor", "--json"])
}

/// Replaces the address of the CA in the pin: another machine, as far as the client knows.
fn moved_to(laptop: &Laptop<'_>, url: &str) {
    let path = laptop.home().join(".config/jit-ssh/cas/ca.test/pin.json");
    let mut pin: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    pin["known"]["url"] = url.into();
    fs::write(&path, pin.to_string()).unwrap();
}

#[test]
fn a_healthy_laptop_has_nothing_bad() {
    let scene = scene!(Scene::new(&[WEB]));
    let laptop = scene.signed_in("alice");
    for what in [
        "ssh",
        "ssh configuration",
        "CA",
        "clock",
        "identity provider",
        "login key",
    ] {
        let (health, words) = finding(doctor(&laptop), what);
        assert_eq!(health, "good", "{words}");
    }
}

#[test]
fn a_laptop_without_ssh_is_told() {
    let scene = scene!(Scene::new(&[]));
    let laptop = scene.signed_in("alice");
    let run = laptop
        .run("env")
        .arg("PATH=/nowhere")
        .arg(program("jit-ssh"))
        .args(["doctor", "--json"]);
    let (health, words) = finding(run, "ssh");
    assert_eq!(health, "bad", "{words}");
    assert!(words.contains("Install OpenSSH"), "{words}");
}

#[test]
fn an_agent_that_does_not_answer_is_a_note_and_no_obstacle() {
    let scene = scene!(Scene::new(&[]));
    let laptop = scene.signed_in("alice");
    let (health, _) = finding(doctor(&laptop), "agent");
    assert_eq!(health, "note", "there is none");
    let dead = scene.lab.dir.file("dead-agent", "");
    let laptop = laptop.with_agent(&dead);
    let (health, words) = finding(doctor(&laptop), "agent");
    assert_eq!(health, "note", "{words}");
    assert!(words.contains("does not answer"), "{words}");
}

#[test]
fn an_include_that_is_gone_old_or_asks_a_program_that_is_gone_is_found() {
    let scene = scene!(Scene::new(&[WEB]));
    let laptop = scene.laptop("alice");
    // A program of our own, which can go.
    let own = scene.lab.dir.join("jit ssh");
    fs::copy(program("jit-ssh"), &own).unwrap();
    scene.sign_in(&laptop, &[]).ok();
    let what = "ssh configuration";
    let expect = |health: &str, word: &str| {
        let (found, words) = finding(doctor(&laptop), what);
        assert_eq!(found, health, "{words}");
        assert!(words.contains(word), "{word} in {words}");
    };
    expect("note", "does not use jit-ssh");
    laptop.run(&own).arg("ssh-config").go().ok();
    expect("note", "not what this program would write");
    fs::remove_file(&own).unwrap();
    expect("bad", "cannot be started");
    // Nor is a file that is no program.
    fs::write(&own, "").unwrap();
    expect("bad", "cannot be started");
    laptop.jit(&["ssh-config"]).go().ok();
    expect("good", "included");
    fs::remove_file(laptop.home().join(".config/jit-ssh/ssh_config")).unwrap();
    expect("bad", "which is not there");
    let config = laptop.home().join(".ssh/config");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("NoSuchKeyword yes\n{text}")).unwrap();
    expect("bad", "ssh does not read it");
}

#[test]
fn a_program_that_is_replaced_while_it_runs_is_not_named_deleted() {
    let scene = scene!(Scene::new(&[WEB]));
    let laptop = scene.signed_in("alice");
    laptop.jit(&["ssh-config", "--remove"]).go().ok();
    laptop.jit(&["logout"]).go().ok();
    let own = scene.lab.dir.join("jit-ssh");
    let new = scene.lab.dir.join("jit-ssh.new");
    for path in [&own, &new] {
        fs::copy(program("jit-ssh"), path).unwrap();
    }
    let mut login = laptop
        .run(&own)
        .args(["login", "--ssh-config"])
        .env("BROWSER", "true")
        .start("upgraded", &scene.lab.dir);
    let url = clock::until("the address", || {
        let log = login.log();
        let mut words = log.split_whitespace();
        words
            .find(|word| word.contains("/authorize?"))
            .map(str::to_owned)
    });
    fs::rename(&new, &own).unwrap();
    jit_ssh_tests::browser::show("alice", &url);
    assert_eq!(login.wait(), 0, "{}", login.log());
    let include = laptop.home().join(".config/jit-ssh/ssh_config");
    let text = fs::read_to_string(include).unwrap();
    assert!(
        text.contains(&format!("exec \"{} ensure", own.display())),
        "{text}"
    );
    laptop.ssh(&[&format!("observer@{WEB}"), "true"]).ok();
}

#[test]
fn a_clock_that_is_off_is_told() {
    let scene = scene!(Scene::new(&[]));
    let laptop = scene.signed_in("alice");
    let liar = Proxy::start(scene.lab.ca.address, |path, answer| {
        if path.contains("well-known") {
            let time = answer["time"].as_u64().unwrap();
            answer["time"] = (time + 3600).into();
        }
    });
    moved_to(&laptop, &liar.url);
    let (health, words) = finding(doctor(&laptop), "clock");
    assert_eq!(health, "bad", "{words}");
    assert!(words.contains("1h") || words.contains("59"), "{words}");
}

#[test]
fn a_ca_that_cannot_be_reached_is_told_with_the_proxy_in_between() {
    let scene = scene!(Scene::new(&[]));
    let laptop = scene.signed_in("alice");
    let closed = port::free();
    moved_to(&laptop, &format!("http://127.0.0.1:{closed}"));
    let (health, words) = finding(doctor(&laptop), "CA");
    assert_eq!(health, "bad", "{words}");
    assert!(words.contains("cannot be reached"), "{words}");
    // Not on this machine: the proxy's turn. Nobody listens there either.
    moved_to(&laptop, "https://ca.invalid");
    let proxy = format!("http://user:secret@127.0.0.1:{closed}");
    let (health, words) = finding(doctor(&laptop).env("HTTPS_PROXY", &proxy), "proxy");
    assert_eq!(health, "bad", "{words}");
    assert!(
        words.contains(&format!("http://127.0.0.1:{closed}")),
        "{words}"
    );
    assert!(words.contains("NO_PROXY=ca.invalid"), "{words}");
    assert!(!words.contains("secret"), "{words}");
    let around = doctor(&laptop)
        .env("HTTPS_PROXY", &proxy)
        .env("NO_PROXY", "ca.invalid");
    let (health, words) = finding(around, "proxy");
    assert_eq!(health, "note", "{words}");
    assert!(words.contains("directly"), "{words}");
}

#[test]
fn a_machine_that_trusts_no_tls_ca_is_told() {
    let scene = scene!(Scene::new(&[]));
    let laptop = scene.signed_in("alice");
    let bare = |laptop: &Laptop<'_>| {
        doctor(laptop)
            .env("SSL_CERT_FILE", "/nowhere/bundle.pem")
            .env("SSL_CERT_DIR", "/nowhere")
    };
    // Everything here is on loopback, without TLS.
    let (health, words) = finding(bare(&laptop), "trust store");
    assert_eq!(health, "note", "{words}");
    moved_to(&laptop, "https://ca.invalid");
    let (health, words) = finding(bare(&laptop), "trust store");
    assert_eq!(health, "bad", "{words}");
    assert!(words.contains("ca-certificates"), "{words}");
    // A file that was named is enough; one that is none is told.
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["ca.invalid".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let file = scene.lab.dir.file("tls-ca.pem", &certificate.pem());
    let named = |path: &Path| bare(&laptop).env("JIT_SSH_CA_FILE", path);
    let (health, words) = finding(named(&file), "trust store");
    assert_eq!(health, "good", "{words}");
    let (health, words) = finding(named(&scene.lab.dir.file("empty.pem", "")), "trust store");
    assert_eq!(health, "bad", "{words}");
    assert!(words.contains("empty.pem"), "{words}");
}
