//! `backup` while serving, and `restore` into a new epoch.

use std::fs;

use jit_ssh_tests::lab::Lab;
use jit_ssh_tests::process::{Run, program};
use jit_ssh_tests::wire::Wire;
use jit_ssh_tests::{ca, clock, port};

#[test]
fn a_restored_ca_has_all_records_and_starts_a_new_epoch() {
    let lab = Lab::start();
    let alice = lab.login("alice");
    let file = lab.dir.join("backup");
    let recorded = lab.ca.records();
    lab.ca.admin(&["backup", file.to_str().unwrap()]).ok();
    let epoch = lab.wire().ca.epoch;
    // What happens after the backup is lost with the machine.
    lab.login("carol");

    let data = lab.dir.join("restored");
    Run::new(program("jit-ssh-ca"))
        .arg("restore")
        .arg(&file)
        .arg("--data")
        .arg(&data)
        .arg("--passphrase-file")
        .arg(&lab.ca.passphrase_file)
        .go()
        .ok();
    let port = port::free();
    let old = lab.ca.address.port().to_string();
    let path = data.join("ca.toml");
    let text = fs::read_to_string(&path)
        .unwrap()
        .replace(&format!(":{old}"), &format!(":{port}"));
    ca::replace(&path, &text);
    let mut serving = Run::new(program("jit-ssh-ca"))
        .arg("serve")
        .arg("--data")
        .arg(&data)
        .arg("--passphrase-file")
        .arg(&lab.ca.passphrase_file)
        .start("restored", &lab.dir);
    clock::until("the restored CA", || {
        assert!(serving.runs(), "{}", serving.log());
        port::answers(std::net::Ipv4Addr::LOCALHOST, port).then_some(())
    });
    let wire = Wire::new(std::net::SocketAddr::from(([127, 0, 0, 1], port)));
    assert_eq!(wire.ca.epoch, epoch + 1);
    // The identity key vouches for the new epoch too: clients and hosts go on by themselves.
    let set = wire.ca.key_set.verify(&lab.ca.fingerprint()).unwrap();
    assert_eq!(set.epoch, epoch + 1);
    // A proof for the old epoch is refused, and names the new one; every record of then is there.
    let mut old = wire.clone();
    old.ca.epoch = epoch;
    let refused = old.signed(&alice.key, "GET", "/v1/roles", b"");
    assert_eq!(refused.problem().expected.unwrap().epoch, epoch + 1);
    let page = jit_ssh_tests::http::send_local(
        &data.join("admin.sock"),
        "GET",
        "/v1/admin/audit?limit=1000",
        &[],
        b"",
    );
    let page: jit_ssh_api::admin::AuditPage = page.json();
    for record in &recorded {
        assert!(
            page.records
                .iter()
                .any(|now| now.leaf_sha256 == record.leaf_sha256 && now.index == record.index),
            "{record:?} is lost"
        );
    }
}

#[test]
fn a_backup_overwrites_nothing_and_is_private() {
    use std::os::unix::fs::MetadataExt as _;
    let lab = Lab::start();
    let file = lab.dir.join("backup");
    fs::write(&file, "mine").unwrap();
    lab.ca.admin(&["backup", file.to_str().unwrap()]).failed();
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    let other = lab.dir.join("other");
    lab.ca.admin(&["backup", other.to_str().unwrap()]).ok();
    assert_eq!(fs::metadata(&other).unwrap().mode() & 0o077, 0);
}

#[test]
fn a_restore_onto_a_folder_with_something_in_it_is_refused() {
    let lab = Lab::start();
    let file = lab.dir.join("backup");
    lab.ca.admin(&["backup", file.to_str().unwrap()]).ok();
    lab.ca
        .command(&["restore", file.to_str().unwrap()])
        .go()
        .failed();
    lab.login("alice");
}

#[test]
fn a_backup_that_was_cut_or_changed_is_not_restored_by_half() {
    let lab = Lab::start();
    lab.login("alice");
    let file = lab.dir.join("backup");
    lab.ca.admin(&["backup", file.to_str().unwrap()]).ok();
    let bytes = fs::read(&file).unwrap();
    for (index, spoiled) in [
        bytes[..bytes.len() / 2].to_vec(),
        Vec::new(),
        b"not a backup".to_vec(),
    ]
    .iter()
    .enumerate()
    {
        let path = lab.dir.join(&format!("spoiled-{index}"));
        fs::write(&path, spoiled).unwrap();
        let data = lab.dir.join(&format!("half-{index}"));
        let said = Run::new(program("jit-ssh-ca"))
            .arg("restore")
            .arg(&path)
            .arg("--data")
            .arg(&data)
            .arg("--passphrase-file")
            .arg(&lab.ca.passphrase_file)
            .go()
            .failed();
        assert!(!said.stderr.contains("panicked"), "{said}");
        assert!(!data.join("ledger.db").exists(), "half restored");
    }
}
