//! `backup` while serving, and `restore` into a new epoch.

use std::fs;
use std::path::Path;
use std::time::Duration;

use jit_ssh_api::problem::Kind;
use jit_ssh_connect::{ConnectError, KnownCa, Options, Pin, block_on, discover};
use jit_ssh_tests::lab::Lab;
use jit_ssh_tests::process::{Child, Output, Run, program};
use jit_ssh_tests::wire::Wire;
use jit_ssh_tests::{ca, clock, port};
use rustix::process::Signal;

fn client() -> Options {
    Options {
        ca_files: Vec::new(),
        user_agent: "tests".to_owned(),
        timeout: Duration::from_secs(30),
        max_answer: 1 << 20,
    }
}

fn restore(lab: &Lab, file: &Path, data: &Path) -> Output {
    Run::new(program("jit-ssh-ca"))
        .arg("restore")
        .arg(file)
        .arg("--data")
        .arg(data)
        .arg("--passphrase-file")
        .arg(&lab.ca.passphrase_file)
        .go()
}

/// Serves a restored folder, at another port than the one that was backed up.
fn serve(lab: &Lab, data: &Path) -> (Child, Wire) {
    let (mut serving, port) = launch(lab, data);
    answers(&mut serving, port);
    let wire = Wire::new(std::net::SocketAddr::from(([127, 0, 0, 1], port)));
    (serving, wire)
}

/// A start, which need not lead to one that serves.
fn launch(lab: &Lab, data: &Path) -> (Child, u16) {
    // The times in tokens are whole seconds: one from the second of the restore counts as older.
    let restored = clock::now();
    clock::until("the second after the restore", || {
        (clock::now() > restored).then_some(())
    });
    let port = port::free();
    let old = lab.ca.address.port().to_string();
    let path = data.join("ca.toml");
    let text = fs::read_to_string(&path)
        .unwrap()
        .replace(&format!(":{old}"), &format!(":{port}"));
    ca::replace(&path, &text);
    let name = data.file_name().unwrap().to_str().unwrap();
    let serving = Run::new(program("jit-ssh-ca"))
        .arg("serve")
        .arg("--data")
        .arg(data)
        .arg("--passphrase-file")
        .arg(&lab.ca.passphrase_file)
        .start(name, &lab.dir);
    (serving, port)
}

fn answers(serving: &mut Child, port: u16) {
    clock::until("the restored CA", || {
        assert!(serving.runs(), "{}", serving.log());
        port::answers(std::net::Ipv4Addr::LOCALHOST, port).then_some(())
    });
}

/// Two machines restore one backup: the same keys, and from then on two histories. Who saw one of
/// them is not told by the other that nothing happened.
#[test]
fn a80_two_restores_of_one_backup_are_not_taken_for_one_another() {
    let lab = Lab::start();
    let file = lab.dir.join("backup");
    lab.ca.admin(&["backup", file.to_str().unwrap()]).ok();
    let folders = ["first", "second"].map(|name| lab.dir.join(name));
    for data in &folders {
        restore(&lab, &file, data).ok();
    }
    let [(_one, first), (_two, second)] = folders.map(|data| serve(&lab, &data));
    assert!(second.ca.epoch > first.ca.epoch);

    // A proof for the first is none for the second, and is told which epoch would be.
    let alice = first.open(&lab.idp, "alice");
    let mut lost = second.clone();
    lost.ca.epoch = first.ca.epoch;
    let problem = lost.signed(&alice.key, "GET", "/v1/roles", b"").problem();
    assert_eq!(problem.kind(), Some(Kind::ProofInvalid));
    assert!(problem.detail.contains("epoch"), "{}", problem.detail);
    assert_eq!(problem.expected.unwrap().epoch, second.ca.epoch);

    // Under the pin the later one is taken, and after that the earlier one is not.
    let look = |wire: &Wire, pin: Pin<'_>| {
        let url = format!("http://{}", wire.address);
        block_on(discover(&url, pin, &client())).unwrap()
    };
    let known = |wire: &Wire| -> KnownCa {
        look(wire, Pin::Fingerprint(&lab.ca.fingerprint()))
            .unwrap()
            .known
    };
    let (saw_first, saw_second) = (known(&first), known(&second));
    let taken = look(&second, Pin::Known(&saw_first)).unwrap();
    assert_eq!(taken.known.epoch, second.ca.epoch);
    let refused = look(&first, Pin::Known(&saw_second));
    assert!(
        matches!(refused, Err(ConnectError::Rollback { .. })),
        "{refused:?}"
    );
}

/// The identity key is not on the machine: the restored CA does not serve under the key set of before,
/// which clients would refuse as a rollback, and does not give up either.
#[test]
fn a_restored_ca_whose_identity_key_is_elsewhere_waits_for_its_signature() {
    let lab = Lab::start();
    let offline = lab.dir.join("identity");
    fs::rename(lab.ca.data.join("keys/identity"), &offline).unwrap();
    Run::new("ssh-keygen")
        .args(["-q", "-p", "-P", &lab.ca.passphrase(), "-N", "", "-f"])
        .arg(&offline)
        .go()
        .ok();
    let file = lab.dir.join("backup");
    lab.ca.admin(&["backup", file.to_str().unwrap()]).ok();
    let data = lab.dir.join("restored");
    let said = restore(&lab, &file, &data).ok();
    let document = data.join("key-set.json.tosign");
    let command = format!(
        "ssh-keygen -Y sign -n jit-ssh-key-set@v1 -f IDENTITY_KEY {}",
        document.display()
    );
    assert!(said.stdout.contains(&command), "{said}");

    let (mut serving, port) = launch(&lab, &data);
    serving.says(&command);
    let doctor = || {
        Run::new(program("jit-ssh-ca"))
            .args(["doctor", "--offline", "--data"])
            .arg(&data)
            .go()
    };
    let found = doctor().failed();
    assert!(found.stdout.contains(&command), "{found}");

    Run::new("ssh-keygen")
        .args(["-q", "-Y", "sign", "-n", "jit-ssh-key-set@v1", "-f"])
        .arg(&offline)
        .arg(&document)
        .go()
        .ok();
    answers(&mut serving, port);
    let wire = Wire::new(std::net::SocketAddr::from(([127, 0, 0, 1], port)));
    assert!(wire.ca.epoch > lab.wire().ca.epoch);
    wire.ca.key_set.verify(&lab.ca.fingerprint()).unwrap();
    assert_eq!(wire.plain("GET", "/readyz", b"").status, 200);
    let found = doctor().ok();
    assert!(
        found
            .stdout
            .contains("number 1, signed by the identity key"),
        "{found}"
    );

    // The set of before comes back alone: neither served, nor called good.
    serving.stop();
    fs::copy(lab.ca.data.join("key-set.json"), data.join("key-set.json")).unwrap();
    let (mut again, _) = launch(&lab, &data);
    assert_ne!(again.wait(), 0);
    let found = doctor().failed();
    assert!(found.stdout.contains("brought back alone"), "{found}");
}

#[test]
fn a_policy_that_is_a_link_survives_backup_and_restore() {
    let lab = Lab::start();
    let (policy, kept) = (lab.ca.data.join("policy.toml"), lab.dir.join("in-git.toml"));
    fs::rename(&policy, &kept).unwrap();
    std::os::unix::fs::symlink(&kept, &policy).unwrap();
    let file = lab.dir.join("backup");
    lab.ca.admin(&["backup", file.to_str().unwrap()]).ok();
    let data = lab.dir.join("restored");
    restore(&lab, &file, &data).ok();
    assert!(
        data.join("policy.toml")
            .symlink_metadata()
            .unwrap()
            .is_file()
    );
    let (_serving, wire) = serve(&lab, &data);
    assert_eq!(wire.plain("GET", "/readyz", b"").status, 200);

    fs::remove_file(&kept).unwrap();
    let second = lab.dir.join("second");
    let refused = lab.ca.admin(&["backup", second.to_str().unwrap()]).failed();
    assert!(refused.stderr.contains("policy.toml"), "{refused}");
    assert!(!second.exists());
}

#[test]
fn an_epoch_that_is_not_later_is_not_begun() {
    let lab = Lab::start();
    let file = lab.dir.join("backup");
    lab.ca.admin(&["backup", file.to_str().unwrap()]).ok();
    let data = lab.dir.join("restored");
    let ask = |epoch: &str| {
        Run::new(program("jit-ssh-ca"))
            .args(["restore", file.to_str().unwrap(), "--epoch", epoch])
            .arg("--data")
            .arg(&data)
            .arg("--passphrase-file")
            .arg(&lab.ca.passphrase_file)
            .go()
    };
    let refused = ask("1").failed();
    assert!(refused.stderr.contains("not later"), "{refused}");
    assert!(!data.exists());
    ask("2").ok();
}

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
    restore(&lab, &file, &data).ok();
    let (_serving, wire) = serve(&lab, &data);
    let new = wire.ca.epoch;
    assert!(new > epoch);
    // The identity key vouches for the new epoch too: clients go on by themselves.
    let set = wire.ca.key_set.verify(&lab.ca.fingerprint()).unwrap();
    assert_eq!(set.epoch, new);
    // A proof for the old epoch is refused, and names the new one; every record of then is there.
    let mut old = wire.clone();
    old.ca.epoch = epoch;
    let refused = old.signed(&alice.key, "GET", "/v1/roles", b"");
    let problem = refused.problem();
    assert_eq!(problem.kind(), Some(Kind::ProofContext));
    assert_eq!(problem.expected.unwrap().epoch, new);
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

/// What backups made in the data folder and is still there.
fn left(data: &Path) -> Vec<String> {
    let entries = fs::read_dir(data).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("backup-")).collect()
}

#[test]
fn a_backup_that_is_interrupted_leaves_nothing() {
    let lab = Lab::start();
    // Makes the copy take a while.
    let large = fs::File::create(lab.ca.data.join("large")).unwrap();
    large.set_len(64 << 20).unwrap();
    for ended_by in [Signal::INT, Signal::TERM, Signal::KILL] {
        let file = lab.dir.join("backup");
        let mut command = lab
            .ca
            .command(&["backup", file.to_str().unwrap()])
            .start("backup", &lab.dir);
        clock::until("the CA to make its copy", || {
            (!left(&lab.ca.data).is_empty()).then_some(())
        });
        command.signal(ended_by);
        assert_ne!(command.wait(), 0, "{}", command.log());
        clock::until("the CA to give it up", || {
            left(&lab.ca.data).is_empty().then_some(())
        });
        assert!(!file.exists());
        if ended_by != Signal::KILL {
            assert!(command.log().contains("interrupted"), "{}", command.log());
        }
    }
    let file = lab.dir.join("backup");
    lab.ca.admin(&["backup", file.to_str().unwrap()]).ok();
    assert!(left(&lab.ca.data).is_empty());
}

#[test]
fn a_backup_says_that_its_tls_key_is_not_encrypted() {
    for with_tls in [false, true] {
        let mut builder = Lab::builder();
        if with_tls {
            builder = builder.tls();
        }
        let lab = builder.start();
        let file = lab.dir.join("backup");
        let said = lab.ca.admin(&["backup", file.to_str().unwrap()]).ok();
        assert_eq!(said.stdout.contains("The TLS key"), with_tls, "{said}");
        assert!(said.stdout.contains("The CA's keys in it are encrypted"));
    }
}

#[test]
fn a_backup_that_fails_leaves_nothing() {
    let lab = Lab::start();
    let unwritable = lab.dir.join("not-there/backup");
    lab.ca
        .admin(&["backup", unwritable.to_str().unwrap()])
        .failed();
    assert!(left(&lab.ca.data).is_empty());
}

#[test]
fn a_start_removes_what_a_kill_left_of_a_backup() {
    let mut lab = Lab::start();
    lab.ca.kill();
    for name in [
        "backup-0123456789abcdef.tmp",
        "backup-0123456789abcdef.tmp.part",
        "backup-2026-11-23",
    ] {
        fs::write(lab.ca.data.join(name), "").unwrap();
    }
    lab.ca.serve();
    assert_eq!(left(&lab.ca.data), ["backup-2026-11-23"]);
}

#[test]
fn many_backups_at_once_keep_nobody_waiting() {
    let mut lab = Lab::start();
    let alice = lab.login("alice");
    // No login is remembered after a start: the ledger has to be read for it.
    lab.ca.stop();
    lab.ca.serve();
    let mut backups: Vec<Child> = (0..6)
        .map(|n| {
            let file = lab.dir.join(&format!("backup-{n}"));
            lab.ca
                .command(&["backup", file.to_str().unwrap()])
                .start(&format!("backup-{n}"), &lab.dir)
        })
        .collect();
    lab.wire()
        .ask(&alice.key, &serde_json::json!({}))
        .certificate();
    for backup in &mut backups {
        assert_eq!(backup.wait(), 0, "{}", backup.log());
    }
    assert!(left(&lab.ca.data).is_empty());
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
