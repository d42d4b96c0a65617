//! `jit-ssh-host` against a real sshd: what it installs opens exactly what was meant, and nothing
//! that was there before is lost, whatever goes wrong.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use jit_ssh_tests::clock;
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
    assert!(dry.stdout.contains("+ TrustedUserCAKeys "), "{dry}");
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
    let trusted = machine.folder.join("corp-ca.pub");
    fs::write(&trusted, format!("{other}\n")).unwrap();
    machine.drop_in(
        "50-corp.conf",
        &format!("TrustedUserCAKeys {}\n", trusted.display()),
    );
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
            ])
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
    assert!(print("cloud-init").stdout.starts_with("#cloud-config\n"));
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
