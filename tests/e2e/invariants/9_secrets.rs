//! Invariant 9: secrets never reach a log, an error, the ledger, or a core dump. `attacks/operations.rs`
//! looks for canaries in files; here are the process itself and its failures.

use std::fs;

use jit_ssh_tests::lab::Lab;

#[test]
fn a_core_dump_of_the_ca_is_not_written() {
    let lab = Lab::start();
    let limits = fs::read_to_string(format!("/proc/{}/limits", lab.ca.pid())).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    let values: Vec<&str> = line.split_whitespace().rev().skip(1).take(2).collect();
    assert_eq!(values, ["0", "0"], "{line}");
}

#[test]
fn the_passphrase_is_in_neither_arguments_nor_messages() {
    let lab = Lab::start();
    let passphrase = lab.ca.passphrase();
    let arguments = fs::read(format!("/proc/{}/cmdline", lab.ca.pid())).unwrap();
    assert!(!String::from_utf8_lossy(&arguments).contains(&passphrase));
    let wrong = lab.dir.file("canary", "canary-passphrase-of-nobody\n");
    fs::set_permissions(&wrong, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let other = Lab::builder().prepare();
    let said = other
        .ca
        .command(&["serve", "--passphrase-file"])
        .arg(&wrong)
        .go()
        .failed();
    assert!(
        !said.all().contains("canary-passphrase-of-nobody"),
        "{said}"
    );
}
