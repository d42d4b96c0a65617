//! A real set-up in six commands and no edited file, as far as a test can run them: `setup`, the two
//! lines that it prints for a server and a laptop, and plain `ssh`.

use std::fs;

use jit_ssh_tests::clock;
use jit_ssh_tests::dir::Dir;
use jit_ssh_tests::idp::{CLIENT, Habit, Idp};
use jit_ssh_tests::process::{Run, program};
use jit_ssh_tests::{http, port};

#[test]
fn setup_makes_a_ca_that_serves_and_says_what_to_paste() {
    let dir = Dir::new();
    let idp = Idp::start(Habit::Generic);
    let (data, port) = (dir.join("ca"), port::free());
    let url = format!("http://127.0.0.1:{port}");
    let said = Run::new(program("jit-ssh-ca"))
        .args([
            "setup",
            "--no-start",
            "--paste-page",
            "--url",
            &url,
            "--tls",
            "none",
        ])
        .args(["--listen", &format!("127.0.0.1:{port}")])
        .args(["--issuer", &idp.issuer, "--client-id", CLIENT])
        .args([
            "--grant",
            "Ops=production-observer:observer",
            "--hosts",
            "*.prod.example.com",
        ])
        .arg("--data")
        .arg(&data)
        .arg("--passphrase-file")
        .arg(dir.join("passphrase"))
        .go()
        .ok();
    assert!(
        idp.hits("/openid-configuration") >= 1,
        "it read the issuer's discovery"
    );
    assert!(
        said.stdout.contains("http://127.0.0.1/callback"),
        "the redirect to register: {said}"
    );
    assert!(
        said.stdout.contains(&format!("{url}/sign-in")),
        "the page to register: {said}"
    );
    assert!(
        said.stdout.contains("jit-ssh-host install"),
        "for a server: {said}"
    );
    assert!(
        said.stdout.contains("jit-ssh login"),
        "for a laptop: {said}"
    );
    assert!(said.stdout.contains("SHA256:"), "the fingerprint: {said}");
    // No file edited: it serves as it was made.
    let mut serving = Run::new(program("jit-ssh-ca"))
        .args(["serve", "--passphrase-file"])
        .arg(dir.join("passphrase"))
        .arg("--data")
        .arg(&data)
        .start("serve", &dir);
    clock::until("the CA to be ready", || {
        assert!(serving.runs(), "{}", serving.log());
        (port::answers(std::net::Ipv4Addr::LOCALHOST, port)
            && http::send(([127, 0, 0, 1], port).into(), "GET", "/readyz", &[], b"").status == 200)
            .then_some(())
    });
    let wire = jit_ssh_tests::wire::Wire::new(([127, 0, 0, 1], port).into());
    let opened = wire.open(&idp, "alice");
    assert_eq!(opened.answer.role, "production-observer");
    let policy = fs::read_to_string(data.join("policy.toml")).unwrap();
    assert!(policy.contains("Ops"));
}

#[test]
fn an_identity_key_that_is_kept_elsewhere_signs_the_key_set_with_ssh_keygen() {
    let dir = Dir::new();
    let (data, port) = (dir.join("ca"), port::free());
    jit_ssh_tests::keygen::generate(&dir.join("offline"), &["-t", "ed25519"]);
    let said = Run::new(program("jit-ssh-ca"))
        .args([
            "init",
            "--json",
            "--url",
            &format!("http://127.0.0.1:{port}"),
            "--tls",
            "none",
        ])
        .args(["--listen", &format!("127.0.0.1:{port}")])
        .args([
            "--issuer",
            "https://idp.example.com",
            "--client-id",
            "x",
            "--identity-key",
        ])
        .arg(dir.join("offline.pub"))
        .arg("--data")
        .arg(&data)
        .arg("--generate-passphrase")
        .arg(dir.join("passphrase"))
        .go()
        .ok();
    let serve = || {
        Run::new(program("jit-ssh-ca"))
            .args(["serve", "--passphrase-file"])
            .arg(dir.join("passphrase"))
            .arg("--data")
            .arg(&data)
    };
    let sign = said.json()["sign_key_set"].as_str().unwrap().to_owned();
    assert!(sign.contains("ssh-keygen -Y sign"), "{sign}");
    // What it says to type, at the place where the identity key is.
    let document = clock::until("the document to sign", || {
        fs::read_dir(&data)
            .unwrap()
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|kind| kind == "tosign"))
    });
    Run::new("ssh-keygen")
        .args(["-q", "-Y", "sign", "-n", "jit-ssh-key-set@v1", "-f"])
        .arg(dir.join("offline"))
        .arg(&document)
        .go()
        .ok();
    let mut serving = serve().start("serve", &dir);
    clock::until("the CA to listen", || {
        assert!(serving.runs(), "{}", serving.log());
        port::answers(std::net::Ipv4Addr::LOCALHOST, port).then_some(())
    });
    let wire = jit_ssh_tests::wire::Wire::new(([127, 0, 0, 1], port).into());
    let offline: ssh_key::PublicKey = jit_ssh_tests::keygen::public(&dir.join("offline"))
        .parse()
        .unwrap();
    let pin = offline.fingerprint(ssh_key::HashAlg::Sha256).to_string();
    wire.ca.key_set.verify(&pin).unwrap();
}

#[test]
fn help_of_every_command_of_all_programs_says_what_it_is_for() {
    for (name, commands) in [
        (
            "jit-ssh-ca",
            &[
                "setup",
                "init",
                "serve",
                "policy",
                "login",
                "audit",
                "key",
                "backup",
                "restore",
                "doctor",
                "completions",
            ][..],
        ),
        (
            "jit-ssh",
            &[
                "login",
                "logout",
                "status",
                "roles",
                "ensure",
                "ssh-config",
                "inspect",
                "doctor",
                "completions",
            ],
        ),
        ("jit-ssh-host", &["install", "uninstall", "print", "doctor"]),
    ] {
        Run::new(program(name)).arg("--version").go().ok();
        for command in commands {
            let said = Run::new(program(name)).args([command, "--help"]).go().ok();
            assert!(said.stdout.contains("Usage:"), "{name} {command}: {said}");
        }
        Run::new(program(name))
            .arg("no-such-command")
            .go()
            .failed_with(2);
    }
}

#[test]
fn a_provider_whose_documents_the_ca_would_not_take_is_told_by_setup() {
    let dir = Dir::new();
    let idp = Idp::start(Habit::Generic);
    let ask = || {
        Run::new(program("jit-ssh-ca"))
            .args(["setup", "--no-start", "--url", "https://ca.example.com"])
            .args(["--issuer", &idp.issuer, "--client-id", CLIENT])
            .arg("--data")
            .arg(dir.join("ca"))
            .arg("--passphrase-file")
            .arg(dir.join("passphrase"))
            .go()
    };
    for broken in [r#"{"keys":[]}"#, "not a key set"] {
        idp.misbehave(|faults| faults.keys = Some(broken.to_owned()));
        let refused = ask().failed();
        assert!(refused.stderr.contains("would not take"), "{refused}");
        assert!(!dir.join("ca").exists());
    }
    idp.misbehave(|faults| faults.keys = None);
    ask().ok();
}
