//! Invariant 8: closed for issuing, open for standing trust. No policy, no ledger, no time, no disk:
//! no certificate. The CA being down never locks out a certificate that is valid.

use std::fs;

use jit_ssh_tests::lab::Lab;

use crate::scene;
use crate::scene::{Scene, WEB};

#[test]
fn a_valid_certificate_opens_the_server_while_the_ca_is_down() {
    let mut scene = scene!(Scene::new(&[WEB]));
    {
        let laptop = scene.signed_in("alice");
        laptop.ssh(&[&format!("observer@{WEB}"), "true"]).ok();
    }
    scene.lab.ca.kill();
    scene.lab.idp.down();
    let laptop = jit_ssh_tests::client::Laptop::again(&scene.world, "alice");
    for _ in 0..2 {
        laptop.ssh(&[&format!("observer@{WEB}"), "true"]).ok();
    }
}

#[test]
fn a_ca_without_its_policy_does_not_start() {
    for spoil in ["", "order = [\"x\"]", "not toml"] {
        let mut lab = Lab::builder().policy(spoil).prepare();
        lab.ca.launch();
        assert_ne!(lab.ca.child().wait(), 0, "{spoil:?}");
    }
    let mut lab = Lab::builder().prepare();
    fs::remove_file(lab.ca.data.join("policy.toml")).unwrap();
    lab.ca.launch();
    assert_ne!(lab.ca.child().wait(), 0);
}

#[test]
fn a_ca_whose_ledger_is_not_one_does_not_start_and_touches_nothing() {
    let mut lab = Lab::builder().prepare();
    let path = lab.ca.data.join("ledger.db");
    let junk = b"this is not a database, and it is somebody's only copy of something".repeat(100);
    fs::write(&path, &junk).unwrap();
    lab.ca.launch();
    assert_ne!(lab.ca.child().wait(), 0);
    assert_eq!(fs::read(&path).unwrap(), junk);
}

#[test]
fn a_ledger_of_a_newer_version_is_refused_and_stays_as_it_was() {
    let mut lab = Lab::start();
    lab.login("alice");
    lab.ca.stop();
    let path = lab.ca.data.join("ledger.db");
    {
        let database = rusqlite::Connection::open(&path).unwrap();
        database.pragma_update(None, "user_version", 4711).unwrap();
    }
    lab.ca.launch();
    assert_ne!(lab.ca.child().wait(), 0);
    let log = lab.ca.log();
    assert!(log.contains("newer"), "it says why: {log}");
    let database = rusqlite::Connection::open(&path).unwrap();
    let version: i64 = database
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(version, 4711);
}

#[test]
fn a_wrong_passphrase_is_said_and_nothing_is_served() {
    let lab = Lab::builder().prepare();
    let wrong = lab.dir.file("wrong", "not the passphrase at all, really\n");
    fs::set_permissions(&wrong, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let said = lab
        .ca
        .command(&["serve", "--passphrase-file"])
        .arg(&wrong)
        .go()
        .failed();
    assert!(said.stderr.contains("passphrase"), "{said}");
}
