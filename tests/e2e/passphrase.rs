//! The passphrase of the CA's keys, typed at a real terminal: what is typed is not shown, and a
//! wrong one starts nothing.

use std::fs;

use jit_ssh_tests::dir::Dir;
use jit_ssh_tests::lab::Lab;
use jit_ssh_tests::process::{Child, Run, asset, program};
use jit_ssh_tests::{clock, http, port};

/// A program of the CA at a terminal of its own, where a person types an answer to each question.
fn at_a_terminal(dir: &Dir, name: &str, arguments: &[&str], answers: &[(&str, &str)]) -> Child {
    let dialog: Vec<String> = answers
        .iter()
        .flat_map(|(question, answer)| [(*question).to_owned(), (*answer).to_owned()])
        .collect();
    Run::new("python3")
        .arg(asset("op/terminal.py"))
        .arg(serde_json::to_string(&dialog).unwrap())
        .arg(program("jit-ssh-ca"))
        .args(arguments)
        .env_remove("CREDENTIALS_DIRECTORY")
        .env_remove("JIT_SSH_CA_PASSPHRASE")
        .start(name, dir)
}

/// `serve` at a terminal, with this typed.
fn serve(lab: &Lab, name: &str, typed: &str) -> Child {
    let data = lab.ca.data.to_str().unwrap();
    at_a_terminal(
        &lab.dir,
        name,
        &["serve", "--data", data],
        &[(ASKED, typed)],
    )
}

const ASKED: &str = "Passphrase of the CA's keys: ";
const NEW: &str = "New passphrase for the CA's keys: ";
const AGAIN: &str = "The same again: ";

#[test]
fn the_passphrase_that_is_typed_starts_the_ca_and_is_not_shown() {
    let lab = Lab::builder().prepare();
    let passphrase = lab.ca.passphrase();
    let mut serving = serve(&lab, "right", &passphrase);
    ready(&mut serving, lab.ca.address);
    let shown = serving.log();
    assert!(shown.contains(ASKED), "{shown}");
    assert!(!shown.contains(&passphrase), "{shown}");
    assert!(shown.contains("[echo is off]"), "{shown}");
    assert_eq!(serving.stop(), 0, "{}", serving.log());
    // The terminal is as it was.
    assert!(serving.log().contains("[echo is on]"), "{}", serving.log());
}

#[test]
fn a_wrong_passphrase_that_is_typed_starts_nothing_and_is_told() {
    let lab = Lab::builder().prepare();
    for (name, typed) in [("wrong", "wrong horse battery"), ("empty", "")] {
        let mut serving = serve(&lab, name, typed);
        assert_eq!(serving.wait(), 1, "{typed:?}: {}", serving.log());
        let shown = serving.log();
        assert!(
            shown.contains("The CA does not start."),
            "{typed:?}: {shown}"
        );
        assert!(shown.contains("passphrase"), "{typed:?}: {shown}");
        assert!(!shown.contains("wrong horse"), "{shown}");
        assert!(!port::answers(
            std::net::Ipv4Addr::LOCALHOST,
            lab.ca.address.port()
        ));
    }
}

#[test]
fn a_new_passphrase_is_typed_twice_and_unlocks_what_it_made() {
    let dir = Dir::new();
    let (data, port) = (dir.join("ca"), port::free());
    let url = format!("http://127.0.0.1:{port}");
    let folder = data.to_str().unwrap();
    let init = |name: &str, answers: &[(&str, &str)]| {
        let arguments = [
            "init",
            "--data",
            folder,
            "--url",
            &url,
            "--tls",
            "none",
            "--name",
            "ca.test",
            "--issuer",
            "http://127.0.0.1:9",
            "--client-id",
            "client",
        ];
        at_a_terminal(&dir, name, &arguments, answers)
    };
    let typed = "correct horse battery staple";
    for (name, answers, why) in [
        (
            "differs",
            &[(NEW, typed), (AGAIN, "correct horse battery stable")][..],
            "The two passphrases differ.",
        ),
        (
            "short",
            &[(NEW, "horse")],
            "The passphrase is shorter than ten characters.",
        ),
    ] {
        let mut refused = init(name, answers);
        assert_eq!(refused.wait(), 2, "{}", refused.log());
        assert!(refused.log().contains(why), "{}", refused.log());
        assert!(!refused.log().contains("horse"), "{}", refused.log());
        assert!(!data.join("keys").exists(), "{name}");
    }
    let mut made = init("made", &[(NEW, typed), (AGAIN, typed)]);
    assert_eq!(made.wait(), 0, "{}", made.log());
    assert!(!made.log().contains("horse"), "{}", made.log());
    let key = fs::read_to_string(data.join("keys/user-ca")).unwrap();
    let key = ssh_key::PrivateKey::from_openssh(key).unwrap();
    assert!(key.is_encrypted());
    key.decrypt(typed).unwrap();
}

fn ready(serving: &mut Child, address: std::net::SocketAddr) {
    clock::until("the CA to be ready", || {
        assert!(serving.runs(), "{}", serving.log());
        (port::answers(std::net::Ipv4Addr::LOCALHOST, address.port())
            && http::send(address, "GET", "/readyz", &[], b"").status == 200)
            .then_some(())
    });
}
