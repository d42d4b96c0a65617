//! Taking access away, with sshd as the judge: what the CA revokes opens nothing any more, within
//! seconds, and everybody else gets in as before.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jit_ssh_api::bundle::VerifiedBundle;
use jit_ssh_api::problem::Kind;
use jit_ssh_tests::lab::Lab;
use jit_ssh_tests::process::{Output, Run};
use jit_ssh_tests::wire::Opened;
use serde_json::json;
use ssh_key::LineEnding;

use crate::scene::{Scene, WEB, plan};

/// A person's key and certificate as files.
fn files(scene: &Scene, name: &str, opened: &Opened) -> PathBuf {
    let key = scene.lab.dir.folder("keys").join(name);
    let private = opened.key.0.to_openssh(LineEnding::LF).unwrap();
    fs::write(&key, private.as_bytes()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(
        key.with_file_name(format!("{name}-cert.pub")),
        format!("{}\n", opened.answer.certificate),
    )
    .unwrap();
    key
}

fn ssh(scene: &Scene, key: &Path) -> Output {
    scene
        .world
        .run("ssh")
        .args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "IdentitiesOnly=yes",
        ])
        .args([
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
        ])
        .args([
            "-o",
            "LogLevel=ERROR",
            "-p",
            &scene.server(WEB).port.to_string(),
            "-i",
        ])
        .arg(key)
        .args([&format!("observer@{WEB}"), "true"])
        .go()
}

/// As a host does: whole, or not at all.
fn put(krl: &Path, bundle: &VerifiedBundle) {
    let bytes = STANDARD.decode(&bundle.bundle().krl).unwrap();
    let beside = krl.with_extension("new");
    fs::write(&beside, bytes).unwrap();
    fs::rename(beside, krl).unwrap();
}

#[test]
fn a55_sshd_refuses_what_was_revoked_and_lets_the_others_in_also_after_a_restart() {
    let mut lab = Lab::start();
    let Some(world) = lab.world() else {
        jit_ssh_tests::skip!("no mount namespaces here")
    };
    let (host, _) = lab.ca.enrol(&[WEB], &[]);
    let krl = lab.dir.path().join("revoked");
    let first = host.bundle();
    put(&krl, &first);
    let server = plan(WEB, &lab.ca.user_ca())
        .line(&format!("RevokedKeys {}", krl.display()))
        .start(&world, &lab.dir);
    // A host writes what it holds, and says so by asking for the next.
    let number = first.bundle().number;
    let (alice, dave) = (lab.login("alice"), lab.login("dave"));
    // Killed between the revocation and the next bundle: the file of hosts is made of what is stored.
    let revoke = [
        "revoke",
        "--user",
        "alice@example.com",
        "--reason",
        "stolen",
        "--wait",
        "0s",
    ];
    lab.ca.admin(&[&revoke[..], &["--json"]].concat()).ok();
    lab.ca.kill();
    lab.ca.serve();
    let scene = Scene {
        servers: vec![server],
        world,
        lab,
    };
    let (hers, his) = (files(&scene, "alice", &alice), files(&scene, "dave", &dave));
    ssh(&scene, &hers).ok();
    ssh(&scene, &his).ok();
    let told = host.wait(number, 0);
    assert!(told.bundle().number > number);
    put(&krl, &told);
    let listed = Run::new("ssh-keygen")
        .args(["-Q", "-l", "-f"])
        .arg(&krl)
        .go()
        .ok();
    assert!(listed.stdout.contains(&alice.answer.serial), "{listed}");
    let refused = ssh(&scene, &hers).failed();
    assert!(refused.stderr.contains("Permission denied"), "{refused}");
    assert!(scene.server(WEB).log().contains("revoked"));
    ssh(&scene, &his).ok();
}

#[test]
fn a55_a_revocation_waits_until_hosts_confirm_it_and_names_those_that_do_not() {
    let lab = Lab::start();
    let (host, _) = lab.ca.enrol(&["web-1.prod.example.com"], &[]);
    let (_silent, _) = lab.ca.enrol(&["db-7.prod.example.com"], &[]);
    let number = host.bundle().bundle().number;
    let alice = lab.login("alice");
    let waits = std::thread::spawn(move || {
        let told = host.wait(number, 30).bundle().number;
        host.wait(told, 0);
    });
    let said = lab
        .ca
        .admin(&[
            "revoke",
            "--serial",
            &alice.answer.serial,
            "--reason",
            "pasted",
            "--wait",
            "2s",
        ])
        .failed_with(1);
    waits.join().unwrap();
    assert!(
        said.stdout.contains("1 of 2 hosts in ")
            && said.stdout.contains("; silent: db-7.prod.example.com"),
        "{said}"
    );
    assert!(
        said.stderr.contains("1 host has not confirmed within 2 s"),
        "{said}"
    );
}

#[test]
fn a_locked_person_gets_nothing_with_a_fresh_token_until_unlocked() {
    let lab = Lab::start();
    let wire = lab.wire();
    let alice = lab.login("alice");
    let said = lab
        .ca
        .admin(&["offboard", "alice@example.com", "--reason", "left"])
        .ok();
    for touched in [&alice.answer.serial, &alice.answer.login.id] {
        assert!(said.stdout.contains(touched), "{said}");
    }
    wire.ask(&alice.key, &json!({})).refused(Kind::LoginEnded);
    let again = || {
        let (key, salt) = (
            jit_ssh_tests::wire::Key::new(),
            jit_ssh_tests::wire::BindingSalt::new(),
        );
        let token = lab.idp.token("alice", &salt.nonce(&key)).sign();
        wire.open_with(&key, &salt, &token)
    };
    let problem = again().refused(Kind::Refused);
    assert_eq!(problem.rule.as_deref(), Some("locked"));
    assert!(
        !problem.detail.contains("left"),
        "why is not theirs to know"
    );
    let refused = lab.ca.records_of("refused");
    assert_eq!(refused.last().unwrap().fields["rule"], "locked");
    let list = lab.ca.admin(&["lock", "list"]).ok();
    assert!(
        list.stdout.contains("sub-of-alice") && list.stdout.contains("left"),
        "{list}"
    );
    lab.ca
        .admin(&["unlock", "--user", "sub-of-alice", "--reason", "came back"])
        .ok();
    again().certificate();
}
