//! `jit-ssh-host` against a real sshd: what it installs opens exactly what was meant, and nothing
//! that was there before is lost, whatever goes wrong.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use jit_ssh_tests::clock;
use jit_ssh_tests::dir::Dir;
use jit_ssh_tests::keygen;
use jit_ssh_tests::lab::Lab;
use jit_ssh_tests::port;
use jit_ssh_tests::process::{Child, Output, Run, program};
use jit_ssh_tests::world::World;

/// A server with a configuration of its own, and a CA that it may be told to trust.
struct Machine {
    sshd: Option<Child>,
    port: u16,
    config: PathBuf,
    folder: PathBuf,
    world: World,
    lab: Lab,
}

/// How far a login got.
#[derive(Debug, PartialEq, Eq)]
enum Entry {
    As(String),
    Refused,
}

impl Machine {
    /// With a main file that includes drop-ins first, as Debian's does.
    fn new() -> Option<Self> {
        Machine::with_main(|folder| format!("Include {}/sshd_config.d/*.conf\n", folder.display()))
    }

    fn with_main(head: impl FnOnce(&Path) -> String) -> Option<Self> {
        let lab = Lab::start();
        let world = lab.world()?;
        let folder = lab.dir.folder("machine");
        fs::create_dir_all(folder.join("sshd_config.d")).unwrap();
        keygen::generate(&folder.join("host_key"), &["-t", "ed25519"]);
        let port = port::free();
        let config = folder.join("sshd_config");
        let text = format!(
            "{head}ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host_key\nPidFile {folder}/pid\n\
             UsePAM no\nStrictModes no\nLogLevel VERBOSE\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\n",
            head = head(&folder),
            folder = folder.display(),
        );
        fs::write(&config, text).unwrap();
        Some(Machine {
            sshd: None,
            port,
            config,
            folder,
            world,
            lab,
        })
    }

    fn drop_in(&self, name: &str, text: &str) {
        fs::write(self.folder.join("sshd_config.d").join(name), text).unwrap();
    }

    /// `jit-ssh-host COMMAND`, for this machine.
    fn host(&self, command: &[&str]) -> Output {
        self.world
            .run(program("jit-ssh-host"))
            .args(command)
            .arg("--sshd-config")
            .arg(&self.config)
            .arg("--folder")
            .arg(self.folder.join("jit-ssh"))
            .go()
    }

    fn install(&self, more: &[&str]) -> Output {
        let fingerprint = self.lab.ca.fingerprint();
        let mut command = vec![
            "install",
            "--ca",
            &self.lab.ca.url,
            "--fingerprint",
            &fingerprint,
        ];
        command.extend(["--account", "observer=production-observer"]);
        command.extend(more);
        self.host(&command)
    }

    fn start(&mut self) {
        let mut sshd = self
            .world
            .run("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(&self.config)
            .start("sshd-machine", &self.lab.dir);
        clock::until("sshd to listen", || {
            assert!(sshd.runs(), "{}", sshd.log());
            port::answers(Ipv4Addr::LOCALHOST, self.port).then_some(())
        });
        self.sshd = Some(sshd);
    }

    /// Logs in as `account` with this key (and the certificate beside it, if there is one).
    fn enter(&self, account: &str, key: &Path) -> Entry {
        let output = self
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
            .args(["-o", "IdentityAgent=none", "-o", "StrictHostKeyChecking=no"])
            .args([
                "-o",
                "UserKnownHostsFile=/dev/null",
                "-p",
                &self.port.to_string(),
                "-i",
            ])
            .arg(key)
            .args([&format!("{account}@127.0.0.1"), "id -un"])
            .go();
        if output.code == Some(0) {
            Entry::As(output.text().to_owned())
        } else {
            Entry::Refused
        }
    }

    /// A key with a certificate for the role of Alice's group, from the CA.
    fn certified(&self) -> PathBuf {
        let opened = self.lab.login("alice");
        let key = self.lab.dir.join("alice-key");
        let pem = opened.key.0.to_openssh(ssh_key::LineEnding::LF).unwrap();
        private(&key, &pem);
        fs::write(
            self.lab.dir.join("alice-key-cert.pub"),
            opened.answer.certificate,
        )
        .unwrap();
        key
    }

    /// Another CA, as companies have had one before, and a key that it certified.
    fn other_ca(&self, principal: &str) -> (String, PathBuf) {
        let (ca, key) = (
            self.lab.dir.join("other-ca"),
            self.lab.dir.join("other-key"),
        );
        keygen::generate(&ca, &["-t", "ed25519"]);
        keygen::generate(&key, &["-t", "ed25519"]);
        Run::new("ssh-keygen")
            .args(["-q", "-s"])
            .arg(&ca)
            .args(["-I", "old", "-n", principal, "-V", "+1h"])
            .arg(key.with_extension("pub"))
            .go()
            .ok();
        (keygen::public(&ca), key)
    }

    /// What trusts the other CA, as a company's own drop-in does: the file of its key.
    fn trust_other(&self, other: &str) -> PathBuf {
        let trusted = self.folder.join("corp-ca.pub");
        fs::write(&trusted, format!("{other}\n")).unwrap();
        self.drop_in(
            "50-corp.conf",
            &format!("TrustedUserCAKeys {}\n", trusted.display()),
        );
        trusted
    }

    /// Keys that sshd trusts for our accounts, without comments.
    fn trusted_keys(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.join("jit-ssh/user_ca.pub")).unwrap();
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "))
            .collect()
    }

    fn manifest(&self) -> PathBuf {
        self.folder.join("jit-ssh/install.json")
    }

    /// Writes into `install.json` what `change` makes of it.
    fn change_manifest(&self, change: impl FnOnce(&mut serde_json::Value)) {
        let text = fs::read_to_string(self.manifest()).unwrap();
        let mut manifest = serde_json::from_str(&text).unwrap();
        change(&mut manifest);
        fs::write(self.manifest(), manifest.to_string()).unwrap();
    }

    /// The CA has another user CA key, and the one before has this state or is gone from the set.
    /// Gives the public key before.
    fn rotate(&mut self, state: Option<&str>) -> String {
        let ca = &mut self.lab.ca;
        ca.stop();
        let (keys, passphrase) = (ca.data.join("keys"), ca.passphrase());
        let user_ca = keys.join("user-ca");
        let public = |path: &Path| {
            let text = fs::read_to_string(path.with_extension("pub")).unwrap();
            text.split(' ').take(2).collect::<Vec<_>>().join(" ")
        };
        let old = public(&user_ca).trim().to_owned();
        fs::remove_file(&user_ca).unwrap();
        Run::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-C", "", "-N", &passphrase, "-f"])
            .arg(&user_ca)
            .go()
            .ok();
        let new = public(&user_ca).trim().to_owned();

        let signed = fs::read_to_string(ca.data.join("key-set.json")).unwrap();
        let signed: serde_json::Value = serde_json::from_str(&signed).unwrap();
        let mut set: serde_json::Value =
            serde_json::from_str(signed["document"].as_str().unwrap()).unwrap();
        set["number"] = (set["number"].as_u64().unwrap() + 1).into();
        let list = set["keys"].as_array_mut().unwrap();
        let before = list.iter().position(|key| key["public_key"] == old[..]);
        match state {
            Some(state) => list[before.unwrap()]["state"] = state.into(),
            None => drop(list.remove(before.unwrap())),
        }
        list.push(serde_json::json!({
            "purpose": "user-ca", "state": "active", "public_key": new,
        }));
        // As where the identity key is elsewhere: the document waits beside the set to be signed.
        let (identity, document) = (
            self.lab.dir.join("identity"),
            ca.data.join("key-set.json.tosign"),
        );
        fs::copy(keys.join("identity"), &identity).unwrap();
        Run::new("ssh-keygen")
            .args(["-q", "-p", "-P", &passphrase, "-N", "", "-f"])
            .arg(&identity)
            .go()
            .ok();
        fs::write(&document, set.to_string()).unwrap();
        Run::new("ssh-keygen")
            .args(["-q", "-Y", "sign", "-n", "jit-ssh-key-set@v1", "-f"])
            .arg(&identity)
            .arg(&document)
            .go()
            .ok();
        ca.serve();
        old
    }

    /// Every file below the machine's folder with its text.
    fn files(&self) -> Vec<(PathBuf, String)> {
        let mut found = Vec::new();
        let mut folders = vec![self.folder.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.file_name().unwrap() != "pid" {
                    found.push((path.clone(), fs::read_to_string(&path).unwrap()));
                }
            }
        }
        found.sort();
        found
    }
}

fn private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

macro_rules! machine {
    ($machine:expr) => {
        match $machine {
            Some(machine) => machine,
            None => jit_ssh_tests::skip!("no mount namespaces for accounts of a server's own"),
        }
    };
}

#[test]
fn install_opens_the_account_to_the_role_and_uninstall_closes_it_again() {
    let mut machine = machine!(Machine::new());
    let before = machine.files();
    machine.start();
    let key = machine.certified();
    assert_eq!(machine.enter("observer", &key), Entry::Refused);

    let dry = machine.install(&["--dry-run"]).ok();
    assert!(dry.stdout.contains("+     TrustedUserCAKeys "), "{dry}");
    assert_eq!(machine.files(), before, "--dry-run changed something");

    machine.install(&[]).ok();
    clock::until("sshd to have read its configuration again", || {
        (machine.enter("observer", &key) != Entry::Refused).then_some(())
    });
    if machine.world.has_real_accounts() {
        assert_eq!(
            machine.enter("observer", &key),
            Entry::As("observer".into())
        );
    }
    assert_eq!(
        machine.enter("admin", &key),
        Entry::Refused,
        "a role opens its own accounts only"
    );
    machine.host(&["doctor"]).ok();

    let again = machine.install(&[]).ok();
    assert!(again.stdout.contains("Nothing to change"), "{again}");

    machine.host(&["uninstall"]).ok();
    clock::until("sshd to have forgotten the CA", || {
        (machine.enter("observer", &key) == Entry::Refused).then_some(())
    });
    assert_eq!(machine.files(), before, "uninstall gives every file back");
    machine.host(&["uninstall"]).failed();
}

#[test]
fn keys_in_authorized_keys_go_on_working() {
    let mut machine = machine!(Machine::new());
    let key = machine.lab.dir.join("standing");
    keygen::generate(&key, &["-t", "ed25519"]);
    let file = machine
        .world
        .home_of("observer")
        .join(".ssh/authorized_keys");
    fs::write(&file, keygen::public(&key)).unwrap();
    machine.world.give(&file, "observer");
    machine.install(&[]).ok();
    machine.start();
    assert_ne!(
        machine.enter("observer", &key),
        Entry::Refused,
        "A way in was closed"
    );
}

#[test]
fn a_ca_with_another_identity_key_is_refused_and_nothing_is_written() {
    let machine = machine!(Machine::new());
    let before = machine.files();
    let other = machine.lab.dir.join("other-identity");
    keygen::generate(&other, &["-t", "ed25519"]);
    let fingerprint = Run::new("ssh-keygen")
        .args(["-l", "-f"])
        .arg(&other)
        .go()
        .ok();
    let fingerprint = fingerprint.text().split(' ').nth(1).unwrap().to_owned();
    let said = machine
        .host(&[
            "install",
            "--ca",
            &machine.lab.ca.url,
            "--fingerprint",
            &fingerprint,
            "--account",
            "observer=production-observer",
        ])
        .failed();
    assert!(said.stderr.contains("not the CA that is pinned"), "{said}");
    assert_eq!(machine.files(), before);
}

#[test]
fn a_ca_that_was_trusted_before_goes_on_for_everybody() {
    let mut machine = machine!(Machine::new());
    let (other, old_key) = machine.other_ca("observer,admin");
    machine.trust_other(&other);
    let said = machine.install(&[]).ok();
    assert!(
        said.stdout.contains("corp-ca.pub is trusted already"),
        "{said}"
    );
    machine.start();
    let key = machine.certified();
    assert_ne!(machine.enter("observer", &key), Entry::Refused);
    assert_ne!(
        machine.enter("observer", &old_key),
        Entry::Refused,
        "the old CA, our account"
    );
    assert_ne!(
        machine.enter("admin", &old_key),
        Entry::Refused,
        "the old CA, another account"
    );
    assert_eq!(machine.enter("admin", &key), Entry::Refused);
    // Run again, what was kept is still kept.
    machine.install(&[]).ok();
    assert_ne!(machine.enter("observer", &old_key), Entry::Refused);
}

#[test]
fn a_retired_or_compromised_key_of_the_ca_does_not_stay_as_one_that_was_there_before() {
    let mut machine = machine!(Machine::new());
    let (other, _) = machine.other_ca("observer");
    let trusted = machine.trust_other(&other);
    let other = other.split(' ').take(2).collect::<Vec<_>>().join(" ");
    machine.install(&[]).ok();
    fs::remove_file(&trusted).unwrap();
    for state in [None, Some("retiring"), Some("compromised")] {
        let old = machine.rotate(state);
        let said = machine.install(&[]).ok();
        assert!(said.stdout.contains("is missing"), "{said}");
        assert!(said.stdout.contains("--drop-other-cas"), "{said}");
        let keys = machine.trusted_keys();
        assert_eq!(keys.contains(&old), state == Some("retiring"), "{keys:?}");
        assert!(keys.contains(&other), "what was recorded is kept: {keys:?}");
    }
    assert_eq!(machine.trusted_keys().len(), 3, "active, retiring, kept");
    machine.host(&["doctor"]).ok();

    machine.install(&["--drop-other-cas"]).ok();
    assert!(!machine.trusted_keys().contains(&other));
    machine.install(&[]).ok();
    assert!(!machine.trusted_keys().contains(&other), "it came back");
}

#[test]
fn a_key_that_left_the_other_cas_file_is_not_kept_for_ever() {
    let machine = machine!(Machine::new());
    let (other, _) = machine.other_ca("observer");
    let trusted = machine.trust_other(&other);
    machine.install(&[]).ok();
    assert_eq!(machine.trusted_keys().len(), 2);
    fs::write(&trusted, "# none any more\n").unwrap();
    machine.install(&[]).ok();
    assert_eq!(machine.trusted_keys().len(), 1);
}

#[test]
fn dropping_the_other_ca_closes_it_for_our_accounts_and_for_nobody_else() {
    let mut machine = machine!(Machine::new());
    let (other, old_key) = machine.other_ca("observer,admin");
    machine.trust_other(&other);
    machine.install(&["--drop-other-cas"]).ok();
    machine.start();
    let key = machine.certified();
    assert_ne!(machine.enter("observer", &key), Entry::Refused);
    assert_eq!(machine.enter("observer", &old_key), Entry::Refused);
    assert_ne!(machine.enter("admin", &old_key), Entry::Refused);
}

#[test]
fn an_older_key_set_than_this_host_has_seen_is_refused() {
    let mut machine = machine!(Machine::new());
    let data = machine.lab.ca.data.clone();
    let paths = ["key-set.json", "keys/user-ca", "keys/user-ca.pub"].map(|name| data.join(name));
    let stolen = paths.clone().map(|path| fs::read(path).unwrap());
    machine.rotate(Some("compromised"));
    machine.install(&[]).ok();
    let before = machine.files();
    // Whoever has the key that was stolen shows the set in which it was good.
    machine.lab.ca.stop();
    for (path, bytes) in paths.iter().zip(stolen) {
        fs::write(path, bytes).unwrap();
    }
    machine.lab.ca.serve();
    let said = machine.install(&[]).failed();
    assert!(said.stderr.contains("older key set"), "{said}");
    assert_eq!(machine.files(), before);
    let said = machine.host(&["doctor"]).failed();
    assert!(said.stdout.contains("older key set"), "{said}");
}

#[test]
fn another_identity_key_does_not_replace_the_pin_by_the_way() {
    let machine = machine!(Machine::new());
    machine.install(&[]).ok();
    let before = machine.files();
    let other = Lab::start();
    let fingerprint = other.ca.fingerprint();
    let to_other = |machine: &Machine| {
        machine.host(&[
            "install",
            "--ca",
            &other.ca.url,
            "--fingerprint",
            &fingerprint,
            "--account",
            "observer=production-observer",
        ])
    };
    let said = to_other(&machine).failed();
    assert!(
        said.stderr.contains(&machine.lab.ca.fingerprint()),
        "{said}"
    );
    assert!(said.stderr.contains("jit-ssh-host uninstall"), "{said}");
    assert_eq!(machine.files(), before);
    machine.host(&["uninstall"]).ok();
    to_other(&machine).ok();
}

#[test]
fn a_file_of_keys_that_is_missing_is_said_to_be_missing_and_a_link_is_followed() {
    let machine = machine!(Machine::new());
    let (other, _) = machine.other_ca("observer");
    let trusted = machine.trust_other(&other);
    let real = machine.folder.join("real.pub");
    fs::rename(&trusted, &real).unwrap();
    let said = machine.install(&["--dry-run"]).ok();
    assert!(
        said.stdout.contains("corp-ca.pub, which is missing"),
        "{said}"
    );
    assert!(!said.stdout.contains("its keys are kept"), "{said}");
    std::os::unix::fs::symlink(&real, &trusted).unwrap();
    let said = machine.install(&[]).ok();
    assert!(said.stdout.contains("its keys are kept"), "{said}");
    assert_eq!(machine.trusted_keys().len(), 2);
}

#[test]
fn match_blocks_that_ask_for_anything_of_a_connection_do_not_keep_us_out() {
    let machine = machine!(Machine::new());
    machine.drop_in(
        "50-match.conf",
        "Match LocalPort 2222\n    X11Forwarding no\nMatch LocalAddress 192.0.2.1\n    X11Forwarding no\n\
         Match RDomain mgmt\n    X11Forwarding no\nMatch Host a.example.com Address 192.0.2.2\n    \
         X11Forwarding no\nMatch Group nobody\n    X11Forwarding no\nMatch all\n",
    );
    machine.install(&[]).ok();
    machine.host(&["doctor"]).ok();
    machine.host(&["uninstall"]).ok();
}

#[test]
fn principals_that_somebody_else_maps_are_not_overwritten() {
    let machine = machine!(Machine::new());
    machine.drop_in(
        "50-corp.conf",
        "AuthorizedPrincipalsFile /etc/ssh/corp/%u\n",
    );
    let before = machine.files();
    let said = machine.install(&[]).failed();
    assert!(said.stderr.contains("/etc/ssh/corp/%u"), "{said}");
    assert!(said.stderr.contains("jit-ssh-host print"), "{said}");
    assert_eq!(machine.files(), before);
}

#[test]
fn another_ca_that_a_match_block_trusts_goes_on_for_its_account() {
    for conditions in ["User admin", "Address 127.0.0.0/8 User *,!observer"] {
        let mut machine = machine!(Machine::new());
        let (other, old_key) = machine.other_ca("admin");
        let trusted = machine.trust_other(&other);
        machine.drop_in(
            "50-corp.conf",
            &format!(
                "Match {conditions}\n    TrustedUserCAKeys {}\n",
                trusted.display()
            ),
        );
        machine.start();
        assert_ne!(machine.enter("admin", &old_key), Entry::Refused);
        machine.install(&[]).ok();
        let key = machine.certified();
        clock::until("sshd to have read its configuration again", || {
            (machine.enter("observer", &key) != Entry::Refused).then_some(())
        });
        assert_ne!(
            machine.enter("admin", &old_key),
            Entry::Refused,
            "A way in was closed"
        );
        assert_eq!(machine.enter("observer", &old_key), Entry::Refused);
        assert_eq!(machine.enter("admin", &key), Entry::Refused);
        machine.install(&[]).ok();
        machine.host(&["doctor"]).ok();
    }
}

#[test]
fn an_account_that_another_ca_in_a_match_block_could_open_is_refused_and_nothing_is_written() {
    let machine = machine!(Machine::new());
    let more = machine.folder.join("more");
    fs::write(&more, "AuthorizedPrincipalsFile /etc/ssh/corp/%u\n").unwrap();
    let include = format!("Match Host db*\nInclude {}\n", more.display());
    for (text, place) in [
        (
            "Match Group root\n    TrustedUserCAKeys /etc/ssh/old.pub\n",
            "50-corp.conf:2",
        ),
        (
            "# Old\nmatch address 10.0.0.0/8\ntrustedusercakeys=/etc/ssh/old.pub\n",
            "50-corp.conf:3",
        ),
        (
            "Match LocalPort 2222 User bob,obs*\nAuthorizedPrincipalsCommand /bin/false\n\
             AuthorizedPrincipalsCommandUser nobody\n",
            "50-corp.conf:2",
        ),
        (&include, "machine/more:1"),
    ] {
        machine.drop_in("50-corp.conf", text);
        let before = machine.files();
        let said = machine.install(&[]).failed();
        assert!(said.stderr.contains(place), "{text}{said}");
        assert!(said.stderr.contains("could apply to observer"), "{said}");
        assert!(said.stderr.contains("was not changed"), "{said}");
        assert_eq!(machine.files(), before);
    }
    // Also of the main file, where the lines of our own block count for the number.
    let machine = machine!(Machine::with_main(|_| String::new()));
    machine.install(&[]).ok();
    let main = fs::read_to_string(&machine.config).unwrap();
    let main = main + "Match Group root\nTrustedUserCAKeys /etc/ssh/old.pub\n";
    fs::write(&machine.config, &main).unwrap();
    let before = machine.files();
    let said = machine.install(&["--drop-other-cas"]).failed();
    let place = format!("sshd_config:{} sets", main.lines().count());
    assert!(said.stderr.contains(&place), "{said}");
    assert_eq!(machine.files(), before);
    // What it advises serves.
    let main = main.replace("Match Group root\n", "Match Group root User *,!observer\n");
    fs::write(&machine.config, main).unwrap();
    machine.install(&[]).ok();
}

#[test]
fn lines_that_hold_for_everybody_become_lines_for_the_accounts() {
    let machine = machine!(Machine::new());
    machine.install(&[]).ok();
    let drop_in = machine.folder.join("sshd_config.d/00-jit-ssh.conf");
    let lines = fs::read_to_string(&drop_in).unwrap();
    assert!(lines.contains("\nMatch User observer\n"), "{lines}");
    let global = lines
        .replace("Match User observer\n", "")
        .replace("Match all\n", "");
    fs::write(&drop_in, global).unwrap();
    machine.install(&[]).ok();
    assert_eq!(fs::read_to_string(&drop_in).unwrap(), lines);
    machine.host(&["doctor"]).ok();
}

#[test]
fn without_drop_ins_the_lines_stand_at_the_top_and_leave_without_a_trace() {
    let mut machine = machine!(Machine::with_main(|_| String::new()));
    let before = machine.files();
    machine.install(&[]).ok();
    let main = fs::read_to_string(&machine.config).unwrap();
    assert!(main.starts_with("# BEGIN jit-ssh-host\n"), "{main}");
    machine.start();
    let key = machine.certified();
    assert_ne!(machine.enter("observer", &key), Entry::Refused);
    machine.host(&["uninstall"]).ok();
    assert_eq!(machine.files(), before);
}

#[test]
fn lines_that_moved_between_block_and_drop_in_leave_both_places_without_a_trace() {
    let include = |machine: &Machine| {
        format!(
            "Include {}/sshd_config.d/*.conf\n",
            machine.folder.display()
        )
    };
    let drop_in = |machine: &Machine| machine.folder.join("sshd_config.d/00-jit-ssh.conf");
    let block = |machine: &Machine| {
        let main = fs::read_to_string(&machine.config).unwrap();
        main.contains("# BEGIN jit-ssh-host")
    };
    // From the block to the drop-in: the main file gets its `Include`, above the block or below.
    for above in [true, false] {
        let machine = machine!(Machine::with_main(|_| String::new()));
        machine.install(&[]).ok();
        assert!(block(&machine));
        let main = fs::read_to_string(&machine.config).unwrap();
        let main = if above {
            include(&machine) + &main
        } else {
            main.replace(
                "# END jit-ssh-host\n",
                &format!("# END jit-ssh-host\n{}", include(&machine)),
            )
        };
        fs::write(&machine.config, main).unwrap();
        machine.install(&[]).ok();
        assert!(!block(&machine) && drop_in(&machine).exists(), "{above}");
        machine.host(&["doctor"]).ok();
        machine.host(&["uninstall"]).ok();
        assert!(!block(&machine) && !drop_in(&machine).exists(), "{above}");
    }
    // And back.
    let machine = machine!(Machine::new());
    machine.install(&[]).ok();
    let main = fs::read_to_string(&machine.config).unwrap();
    let (with, without) = (include(&machine), main.replace(&include(&machine), ""));
    assert!(main.starts_with(&with));
    fs::write(&machine.config, &without).unwrap();
    machine.install(&[]).ok();
    assert!(block(&machine) && !drop_in(&machine).exists());
    machine.host(&["uninstall"]).ok();
    assert_eq!(fs::read_to_string(&machine.config).unwrap(), without);
    assert!(!drop_in(&machine).exists());
    assert!(!machine.folder.join("jit-ssh").exists());
}

#[test]
fn what_sshd_does_not_see_is_taken_back() {
    let machine = machine!(Machine::new());
    machine.drop_in("00-a-hardening-guide.conf", "PubkeyAuthentication no\n");
    let before = machine.files();
    let said = machine.install(&[]).failed();
    assert!(said.stderr.contains("pubkeyauthentication no"), "{said}");
    assert_eq!(machine.files(), before);
}

#[test]
fn a_broken_configuration_is_told_and_left_alone() {
    let machine = machine!(Machine::new());
    machine.drop_in("90-typo.conf", "PermitRotLogin no\n");
    let before = machine.files();
    let said = machine.install(&[]).failed();
    assert!(said.stderr.contains("PermitRotLogin"), "{said}");
    assert_eq!(machine.files(), before);
}

#[test]
fn doctor_sees_a_line_that_undoes_the_install() {
    let machine = machine!(Machine::new());
    machine.install(&[]).ok();
    machine.host(&["doctor"]).ok();
    machine.drop_in(
        "00-a-later-guide.conf",
        "Match User observer\n    AuthorizedPrincipalsFile none\nMatch all\nDenyUsers observer\n",
    );
    let said = machine.host(&["doctor"]).failed();
    assert!(
        said.stdout.contains("authorizedprincipalsfile none"),
        "{said}"
    );
    assert!(said.stdout.contains("DenyUsers names observer"), "{said}");
}

#[test]
fn doctor_tells_of_a_match_block_that_was_added_after_the_install() {
    let machine = machine!(Machine::new());
    machine.install(&[]).ok();
    let drop_in = |name: &str, text: &str| {
        let text = format!("Match Group nobody-is-in-it\n    {text}\nMatch all\n");
        machine.drop_in(name, &text);
    };
    // None holds for a login from here: `sshd -T` says nothing of any of them.
    for (name, text, expected) in [
        (
            "00-a-guide.conf",
            "TrustedUserCAKeys none",
            "TrustedUserCAKeys in a Match block that could apply to observer, and comes before",
        ),
        (
            "00-a-guide.conf",
            "PubkeyAuthentication no",
            "PubkeyAuthentication is `no`",
        ),
        (
            "90-late.conf",
            "DenyUsers observer",
            "DenyUsers names observer",
        ),
        (
            "90-late.conf",
            "AuthenticationMethods publickey,password",
            "asks for more than a key",
        ),
    ] {
        drop_in(name, text);
        let said = machine.host(&["doctor"]).failed();
        assert!(said.stdout.contains(expected), "{text}: {said}");
        assert!(said.stdout.contains(&format!("{name}:2")), "{said}");
        drop_in(name, "X11Forwarding no");
        machine.host(&["doctor"]).ok();
    }
    // Our lines come first: worth a look, and nobody of ours is kept out.
    drop_in("90-late.conf", "TrustedUserCAKeys none");
    let said = machine.host(&["doctor"]).ok();
    assert!(
        said.stdout.contains("comes after jit-ssh's lines"),
        "{said}"
    );
    // For others than the accounts that are open, it is nobody's concern here.
    machine.drop_in(
        "90-late.conf",
        "Match User *,!observer\n    PubkeyAuthentication no\nMatch all\n",
    );
    let said = machine.host(&["doctor"]).ok();
    assert!(!said.stdout.contains("90-late"), "{said}");
}

#[test]
fn doctor_tells_of_an_account_that_it_does_not_understand() {
    let machine = machine!(Machine::new());
    machine.install(&[]).ok();
    for (account, principals) in [
        ("Observer", serde_json::json!(["role:production-observer"])),
        ("observer", serde_json::json!(["role:a b"])),
        ("observer", serde_json::json!(["root#"])),
    ] {
        machine.change_manifest(|manifest| {
            manifest["accounts"] = serde_json::json!({ account: principals });
        });
        let said = machine.host(&["doctor", "--offline"]).failed();
        let line = format!("BAD   account {account}: what is installed is not understood");
        assert!(said.stdout.contains(&line), "{said}");
    }
}

#[test]
fn print_gives_files_that_a_yaml_reader_and_sshd_take() {
    let machine = machine!(Machine::new());
    let fingerprint = machine.lab.ca.fingerprint();
    let print = |format: &str| {
        machine
            .world
            .run(program("jit-ssh-host"))
            .args([
                "print",
                "--ca",
                &machine.lab.ca.url,
                "--fingerprint",
                &fingerprint,
            ])
            .args([
                "--account",
                "observer=production-observer",
                "--format",
                format,
                "--folder",
            ])
            .arg(machine.folder.join("jit-ssh"))
            .go()
            .ok()
    };
    for format in ["text", "cloud-init", "ansible"] {
        let said = print(format);
        assert!(
            said.stdout.contains("role:production-observer"),
            "{format}: {said}"
        );
        assert!(
            said.stdout.contains("AuthorizedPrincipalsFile"),
            "{format}: {said}"
        );
    }
    let cloud_init = print("cloud-init").stdout;
    assert!(cloud_init.starts_with("#cloud-config\n"));
    let (Some(cloud_init), Some(play)) = (yaml(&cloud_init), yaml(&print("ansible").stdout)) else {
        jit_ssh_tests::skip!("no python here has yaml");
    };
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let written: Vec<(String, String)> = cloud_init["write_files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| (text(&file["path"]), text(&file["content"])))
        .collect();
    let play = &play[0];
    let copied: Vec<(String, String)> = play["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| (task, &task["ansible.builtin.copy"]))
        .filter(|(_, copy)| copy.is_object())
        .map(|(task, copy)| {
            assert_eq!(task["notify"], play["handlers"][0]["name"]);
            (text(&copy["dest"]), text(&copy["content"]))
        })
        .collect();
    assert_eq!(written.len(), 3, "{written:?}");
    assert_eq!(written, copied, "both say the same");
    assert!(text(&play["handlers"][0]["ansible.builtin.shell"]).starts_with("sshd -t"));
    for (path, content) in &written {
        let path = match Path::new(path).strip_prefix("/etc/ssh/sshd_config.d") {
            Ok(name) => machine.folder.join("sshd_config.d").join(name),
            Err(_) => PathBuf::from(path),
        };
        assert!(path.starts_with(&machine.folder), "{}", path.display());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let sshd = |command: &[&str]| {
        let run = machine.world.run("/usr/sbin/sshd").arg("-f");
        run.arg(&machine.config).args(command).go().ok()
    };
    sshd(&["-t"]);
    let in_force = sshd(&["-T", "-C", "user=observer,host=x,addr=127.0.0.1"]);
    let keys = format!("{}/user_ca.pub\n", machine.folder.join("jit-ssh").display());
    assert!(in_force.stdout.contains(&keys), "{in_force}");
}

/// What a YAML reader makes of it.
fn yaml(text: &str) -> Option<serde_json::Value> {
    let script = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)";
    let python = ["python3", "/usr/bin/python3"]
        .into_iter()
        .find(|python| Run::new(python).args(["-c", "import yaml"]).go().code == Some(0))?;
    let read = Run::new(python).args(["-c", script]).input(text);
    Some(read.go().ok().json())
}

/// A command that has /etc and /home of its own, which useradd can write to and nobody else sees.
fn with_own_etc(dir: &Dir, script: &str) -> Run {
    let mounts = r#"
        set -e
        etc=$1; shift
        mount -t tmpfs -o mode=0755 tmpfs "$etc"
        mkdir "$etc/up" "$etc/work"
        mount -t overlay overlay -o "lowerdir=/etc,upperdir=$etc/up,workdir=$etc/work" /etc
        mount -t tmpfs -o mode=0755 tmpfs /home
        mount -t tmpfs -o mode=0755 tmpfs /run
        mkdir /run/sshd
    "#;
    Run::new("unshare")
        .args(["--mount", "--propagation", "private", "bash", "-c"])
        .arg(format!("{mounts}\n{script}"))
        .arg("_")
        .arg(dir.folder("own-etc"))
        .arg(program("jit-ssh-host"))
}

#[test]
fn an_account_is_made_that_opens_to_no_password_and_one_that_is_there_is_left_as_it_is() {
    if !jit_ssh_tests::world::is_root() {
        jit_ssh_tests::skip!("only root can make accounts");
    }
    let machine = machine!(Machine::new());
    let fingerprint = machine.lab.ca.fingerprint();
    let script = r#"
        useradd --no-create-home --shell /usr/sbin/nologin --password '!' standing
        getent passwd standing; getent shadow standing
        "$@" >&2
        getent passwd standing; getent shadow standing
        getent passwd jit-made; getent shadow jit-made
        stat -c 'home %U' /home/jit-made
        "$@" >&2
    "#;
    let said = with_own_etc(&machine.lab.dir, script)
        .args(["install", "--ca", &machine.lab.ca.url])
        .args(["--fingerprint", &fingerprint, "--create-accounts"])
        .args(["--account", "standing=engineering"])
        .args(["--account", "jit-made=production-observer"])
        .arg("--sshd-config")
        .arg(&machine.config)
        .arg("--folder")
        .arg(machine.folder.join("jit-ssh"))
        .go()
        .ok();
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(lines.len(), 7, "{said}");
    assert_eq!(lines[..2], lines[2..4], "it was there, and was changed");
    assert!(lines[4].ends_with(":/home/jit-made:/bin/bash"), "{said}");
    assert!(lines[5].starts_with("jit-made:*:"), "{said}");
    assert_eq!(lines[6], "home jit-made");
    assert!(said.stderr.contains("Made the account jit-made."), "{said}");
    assert!(!said.stderr.contains("account standing"), "{said}");
    assert!(said.stderr.contains("Nothing to change"), "{said}");
}

#[test]
fn accounts_that_were_made_before_a_failure_are_named() {
    if !jit_ssh_tests::world::is_root() {
        jit_ssh_tests::skip!("only root can make accounts");
    }
    let machine = machine!(Machine::new());
    machine.drop_in("00-a-hardening-guide.conf", "PubkeyAuthentication no\n");
    let fingerprint = machine.lab.ca.fingerprint();
    let said = with_own_etc(&machine.lab.dir, "exec \"$@\"")
        .args(["install", "--ca", &machine.lab.ca.url])
        .args(["--fingerprint", &fingerprint, "--create-accounts"])
        .args(["--account", "jit-made=production-observer"])
        .arg("--sshd-config")
        .arg(&machine.config)
        .arg("--folder")
        .arg(machine.folder.join("jit-ssh"))
        .go()
        .failed();
    assert!(said.stderr.contains("pubkeyauthentication no"), "{said}");
    assert!(
        said.stderr.contains("accounts that were made: jit-made"),
        "{said}"
    );
}

#[test]
fn an_account_that_is_not_there_is_not_made_unasked() {
    let machine = machine!(Machine::new());
    let before = machine.files();
    let said = machine
        .install(&["--account", "nobody-of-that-name=engineering"])
        .failed_with(2);
    assert!(said.stderr.contains("--create-accounts"), "{said}");
    assert_eq!(machine.files(), before);
}
