//! `setup` as far as it goes without systemd.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use clap::Parser as _;
use jit_ssh_terminal::{Exit, Failure};

use crate::cli::tests::run_captured;

fn setup(parent: &Path, more: &[&str]) -> Result<String, Failure> {
    let data = parent.join("ca").display().to_string();
    let passphrase = parent.join("secret/passphrase").display().to_string();
    let mut arguments = vec!["setup", "--data", &data, "--passphrase-file", &passphrase];
    arguments.extend([
        "--url",
        "https://ca.example.com",
        "--issuer",
        "https://acme.okta.com/oauth2/default",
        "--client-id",
        "0oa1b2c3",
        "--grant",
        "Ops=production-observer:observer",
        "--grant",
        "SRE=production-admin:admin,observer",
        "--grant",
        "Dev=dev:{username}",
        "--hosts",
        "*.prod.example.com",
        "--paste-page",
    ]);
    arguments.extend(more);
    let (result, captured) = run_captured(&arguments);
    result.map(|()| captured.out())
}

#[test]
fn what_to_do_next_is_ready_to_paste() {
    let parent = tempfile::tempdir().unwrap();
    let out = setup(parent.path(), &["--skip-issuer-check"]).unwrap();
    let fingerprint = out
        .lines()
        .find_map(|line| line.trim().strip_prefix("fingerprint  "))
        .unwrap()
        .to_owned();
    let root = parent.path().display().to_string();
    let seen = out
        .replace(&fingerprint, "FINGERPRINT")
        .replace(&root, "ROOT");
    assert_eq!(seen, WHAT_NEXT);
    let mode = |path: &str| {
        parent
            .path()
            .join(path)
            .metadata()
            .unwrap()
            .permissions()
            .mode()
    };
    assert_eq!(mode("secret/passphrase") & 0o777, 0o600);
    assert_eq!(mode("ca") & 0o777, 0o700);
}

const WHAT_NEXT: &str = "\
The CA of https://ca.example.com is made.

  data         ROOT/ca   (ca.toml, policy.toml, keys, ledger)
  passphrase   ROOT/secret/passphrase   (keep a copy elsewhere: it unlocks the keys)
  fingerprint  FINGERPRINT

Start it:
  jit-ssh-ca serve --data ROOT/ca --passphrase-file ROOT/secret/passphrase

At https://acme.okta.com/oauth2/default, for client 0oa1b2c3, register these redirect addresses:
  http://127.0.0.1:10001/callback
  http://127.0.0.1:11110/callback
  http://127.0.0.1:12321/callback
  https://ca.example.com/sign-in

On every server:
  sudo jit-ssh-host install --ca https://ca.example.com --fingerprint FINGERPRINT \
--account admin=production-admin --account alice=dev+alice \
--account observer=production-observer,production-admin --create-accounts

On every laptop:
  jit-ssh login --ca https://ca.example.com --fingerprint FINGERPRINT
  ssh HOST.prod.example.com
";

#[test]
fn a_provider_that_is_down_leaves_nothing_behind() {
    let parent = tempfile::tempdir().unwrap();
    let failure = setup(parent.path(), &["--issuer-ca", "/nonexistent"]).unwrap_err();
    assert_eq!(failure.exit(), Exit::Usage);
    let (result, _) = run_captured(&[
        "setup",
        "--data",
        &parent.path().join("ca").display().to_string(),
        "--url",
        "http://127.0.0.1:1",
        "--issuer",
        "http://127.0.0.1:1",
        "--client-id",
        "x",
        "--passphrase-file",
        &parent.path().join("passphrase").display().to_string(),
    ]);
    assert_eq!(result.unwrap_err().exit(), Exit::Unreachable);
    assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
}

#[test]
fn a_passphrase_in_the_data_folder_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("ca").display().to_string();
    let inside = format!("{data}/passphrase");
    let (result, _) = run_captured(&[
        "setup",
        "--data",
        &data,
        "--url",
        "https://ca.example.com",
        "--issuer",
        "https://acme.okta.com",
        "--client-id",
        "x",
        "--passphrase-file",
        &inside,
    ]);
    assert_eq!(result.unwrap_err().exit(), Exit::Usage);
}

#[test]
fn a_passphrase_that_is_there_is_taken_and_not_overwritten() {
    let parent = tempfile::tempdir().unwrap();
    setup(parent.path(), &["--skip-issuer-check"]).unwrap();
    let passphrase = parent.path().join("secret/passphrase");
    let before = std::fs::read(&passphrase).unwrap();
    std::fs::rename(parent.path().join("ca"), parent.path().join("first")).unwrap();
    let out = setup(parent.path(), &["--skip-issuer-check"]).unwrap();
    assert_eq!(std::fs::read(&passphrase).unwrap(), before);
    assert!(!out.contains("keep a copy elsewhere"), "{out}");
}

/// `setup` under a systemd of our own, whose `systemctl` answers so; gives what it was told to do.
fn under_systemd(parent: &Path, systemctl: &str) -> (Result<(), Failure>, String, Vec<String>) {
    let (root, programs) = (parent.join("root"), parent.join("bin"));
    for folder in [&programs, &root.join("etc/systemd/system")] {
        std::fs::create_dir_all(folder).unwrap();
    }
    let calls = parent.join("calls");
    let script = |name: &str, text: &str| {
        let said = format!(
            "#!/bin/sh\necho {name} \"$@\" >> {}\n{text}\n",
            calls.display()
        );
        crate::cli::init::folder::new_file(&programs.join(name), said.as_bytes(), 0o755).unwrap();
    };
    script("systemctl", systemctl);
    script("useradd", "exit 0");
    // Nobody yet, until it was made; then whoever runs this test.
    script(
        "id",
        &format!("grep -q ^useradd {} && exec id \"$1\"", calls.display()),
    );
    let data = parent.join("ca");
    let text = [data.clone(), parent.join("passphrase")].map(|path| path.display().to_string());
    let cli = crate::cli::Cli::try_parse_from([
        "jit-ssh-ca",
        "setup",
        "--skip-issuer-check",
        "--data",
        &text[0],
        "--passphrase-file",
        &text[1],
        "--url",
        "https://ca.example.com",
        "--issuer",
        "https://acme.okta.com",
        "--client-id",
        "x",
    ])
    .unwrap();
    let crate::cli::Command::Setup(setup) = cli.command else {
        panic!("setup");
    };
    let (mut terminal, captured) = jit_ssh_terminal::Terminal::captured(false);
    let systemd = super::systemd::Systemd::pretended(&root, &programs);
    let done = setup.run_with(Some(&systemd), &data, &mut terminal);
    let calls = std::fs::read_to_string(calls).unwrap();
    let calls = calls.lines().filter(|line| !line.starts_with("id "));
    (done, captured.out(), calls.map(str::to_owned).collect())
}

#[test]
fn under_systemd_the_ca_has_a_user_and_a_unit_and_is_started() {
    let parent = tempfile::tempdir().unwrap();
    let (done, out, calls) = under_systemd(parent.path(), "exit 0");
    done.unwrap();
    assert!(calls[0].starts_with("useradd --system"), "{calls:?}");
    assert_eq!(
        calls[1..],
        [
            "systemctl daemon-reload",
            "systemctl enable --now --quiet jit-ssh-ca.service"
        ]
    );
    assert!(
        out.contains("The CA of https://ca.example.com runs."),
        "{out}"
    );
    let unit = parent
        .path()
        .join("root/etc/systemd/system/jit-ssh-ca.service");
    let unit = std::fs::read_to_string(unit).unwrap();
    let data = parent.path().join("ca");
    assert!(unit.contains(&format!(" serve --data {}\n", data.display())));
}

#[test]
fn a_unit_that_does_not_start_hides_neither_the_fingerprint_nor_what_to_paste() {
    for systemctl in [
        "echo no bus >&2; exit 1",
        "[ \"$1\" = daemon-reload ] || exit 1",
    ] {
        let parent = tempfile::tempdir().unwrap();
        let (done, out, _) = under_systemd(parent.path(), systemctl);
        let failure = done.unwrap_err();
        assert!(failure.to_string().contains("systemctl"), "{failure}");
        assert!(
            out.contains("The CA of https://ca.example.com is made."),
            "{out}"
        );
        assert!(out.contains("systemctl enable --now jit-ssh-ca"), "{out}");
        assert!(out.contains("--fingerprint SHA256:"), "{out}");
        assert!(parent.path().join("ca/ca.toml").exists());
    }
}
