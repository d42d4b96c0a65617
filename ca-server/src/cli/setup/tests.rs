//! `setup` as far as it goes without systemd.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

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
