//! Runs the blocks of `docs/api.md`, in their order, in one shell: the whole exchange with nothing but
//! `curl`, `jq`, `openssl` and `ssh-keygen`.

use jit_ssh_tests::lab::Lab;
use jit_ssh_tests::process::{Run, asset, installed};

#[test]
fn the_documented_exchange_works_as_it_is_written() {
    for tool in ["curl", "jq", "openssl"] {
        if !installed(tool) {
            jit_ssh_tests::skip!("{tool} is not installed");
        }
    }
    let page = std::fs::read_to_string(asset("../docs/api.md")).unwrap();
    let blocks: Vec<&str> = page
        .split("```sh\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(blocks.len() >= 8);
    let lab = Lab::start();
    let script = format!("set -eu\n{}", blocks.join("\n"));
    let said = Run::new("bash")
        .args(["-c", &script])
        .at(lab.dir.folder("by-hand"))
        .env("CA", &lab.ca.url)
        .env("FINGERPRINT", lab.ca.fingerprint())
        .env(
            "SIGN_IN",
            format!("python3 {} --paste", asset("op/browser.py").display()),
        )
        .env("JIT_SSH_TEST_USER", "alice")
        .go()
        .ok();
    for expected in [
        "Good \"jit-ssh-key-set@v1\" signature",
        "ssh-ed25519-cert-v01@openssh.com user certificate",
        "role:production-observer",
        "production-observer: yes",
        "https://jit-ssh.dev/problems/refused",
        "https://jit-ssh.dev/problems/login-ended",
    ] {
        assert!(
            said.stdout.contains(expected),
            "{expected} is missing: {said}"
        );
    }
    assert_eq!(said.stderr, "", "{said}");
}

#[test]
fn the_table_of_routes_is_the_one_that_is_served() {
    let page = std::fs::read_to_string(asset("../docs/api.md")).unwrap();
    let api = std::fs::read_to_string(asset("../ca-server/api/src/lib.rs")).unwrap();
    let routes: Vec<&str> = api
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `"))
        .filter_map(|line| line.split('`').next())
        .collect();
    assert!(routes.len() >= 10);
    for route in routes {
        let path = route.split(' ').nth(1).unwrap();
        let stem = path.trim_end_matches("/{id}").trim_end_matches("/explain");
        assert!(page.contains(stem), "{route} is not in docs/api.md");
    }
}
