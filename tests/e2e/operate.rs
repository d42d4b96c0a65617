//! What whoever runs the CA meets: its log, where its passphrase comes from, what a killed process
//! leaves behind.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use jit_ssh_api::problem::Kind;
use jit_ssh_tests::ca::Ca;
use jit_ssh_tests::lab::Lab;
use jit_ssh_tests::process::{Child, Run, program};
use jit_ssh_tests::{clock, http, port};
use serde_json::{Value, json};

#[test]
fn each_line_of_the_json_log_is_an_object_and_a_refusal_can_be_found_by_its_id() {
    let lab = Lab::builder()
        .sections("[log]\nformat = \"json\"\n")
        .start();
    let alice = lab.login("alice");
    let wire = lab.wire();
    let refused = wire.ask(&alice.key, &json!({ "role": "production-admin" }));
    let problem = refused.refused(Kind::Refused);
    let cut = wire.plain("POST", "/v1/certificates", b"{\n\"");
    let lines = || -> Vec<Value> {
        let log = lab.ca.log();
        let whole = log.lines().filter(|line| !line.is_empty());
        whole
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect()
    };
    let found = clock::until("the refusal in the log", || {
        lines()
            .into_iter()
            .find(|line| line["request"] == problem.request_id.as_str())
    });
    assert_eq!(found["message"], "refused");
    assert_eq!(found["status"], 403);
    let causes: Vec<_> = lines().iter().map(|line| line["cause"].clone()).collect();
    assert!(
        causes
            .iter()
            .filter_map(Value::as_str)
            .all(|cause| !cause.starts_with("Some(") && !cause.starts_with('"')),
        "{causes:?}"
    );
    assert!(cut.status >= 400);
}

#[test]
fn a_socket_that_a_killed_ca_left_does_not_hide_the_keys() {
    let mut lab = Lab::start();
    let served = lab.ca.admin(&["key", "list", "--json"]).ok().json();
    lab.ca.kill();
    assert!(lab.ca.data.join("admin.sock").exists());
    let left = lab.ca.command(&["key", "list", "--json"]).go().ok().json();
    assert_eq!(left["fingerprint"], served["fingerprint"]);
}

/// `serve` without a passphrase file.
fn serve(ca: &Ca) -> Run {
    Run::new(program("jit-ssh-ca"))
        .args(["serve", "--data"])
        .arg(&ca.data)
        .env_remove("CREDENTIALS_DIRECTORY")
        .env_remove("JIT_SSH_CA_PASSPHRASE")
}

fn ready(lab: &Lab, serving: &mut Child) {
    clock::until("the CA to be ready", || {
        assert!(serving.runs(), "{}", serving.log());
        (port::answers(std::net::Ipv4Addr::LOCALHOST, lab.ca.address.port())
            && http::send(lab.ca.address, "GET", "/readyz", &[], b"").status == 200)
            .then_some(())
    });
    serving.stop();
}

#[test]
fn the_passphrase_comes_from_a_credential_of_systemd_before_the_environment() {
    let lab = Lab::builder().prepare();
    let credentials = lab.dir.join("credentials");
    fs::create_dir(&credentials).unwrap();
    let credential = credentials.join("passphrase");
    fs::write(&credential, format!("{}\n", lab.ca.passphrase())).unwrap();
    // systemd's own file is group-readable where it says so.
    fs::set_permissions(&credential, fs::Permissions::from_mode(0o440)).unwrap();
    let mut serving = serve(&lab.ca)
        .env("CREDENTIALS_DIRECTORY", &credentials)
        .env("JIT_SSH_CA_PASSPHRASE", "a wrong one, not looked at")
        .start("credential", &lab.dir);
    ready(&lab, &mut serving);
}

#[test]
fn the_passphrase_comes_from_the_environment_and_a_wrong_one_starts_nothing() {
    let lab = Lab::builder().prepare();
    let refused = serve(&lab.ca)
        .env("JIT_SSH_CA_PASSPHRASE", "wrong horse battery staple")
        .go()
        .failed();
    assert!(!refused.all().contains("wrong horse"), "{refused}");
    let missing = serve(&lab.ca).go().failed();
    assert!(missing.stderr.contains("passphrase"), "{missing}");
    let mut serving = serve(&lab.ca)
        .env("JIT_SSH_CA_PASSPHRASE", lab.ca.passphrase())
        .start("environment", &lab.dir);
    ready(&lab, &mut serving);
}

#[test]
fn a_passphrase_file_that_others_read_is_refused() {
    let lab = Lab::builder().prepare();
    let file = &lab.ca.passphrase_file;
    fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = serve(&lab.ca)
        .arg("--passphrase-file")
        .arg(file)
        .go()
        .failed();
    assert!(refused.stderr.contains("chmod 600"), "{refused}");
}
