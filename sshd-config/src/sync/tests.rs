//! The power fails before each single write, and a real sshd says what is left.
#![expect(clippy::disallowed_methods, reason = "files and clock of tests")]

use std::fs;
use std::process::{Command, Output, Stdio};

use jit_ssh_api::bundle::Bundle;
use ssh_key::certificate::{Builder, CertType};
use ssh_key::rand_core::OsRng;
use ssh_key::{Algorithm, LineEnding, PrivateKey};

use super::*;
use crate::bundle::tests::{Ca, HOST, bundle};
use crate::files::power_cut;
use crate::sshd::Sshd;
use crate::state::Certificate;

/// A host with an sshd of its own, for the account that runs the test.
struct Machine {
    folder: tempfile::TempDir,
    ca: Ca,
    account: String,
    serial: u64,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        fs::create_dir(at.join("sshd_config.d")).unwrap();
        fs::set_permissions(at, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        for name in ["host_key", "plain", "person"] {
            let key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
            let path = at.join(name);
            key.write_openssh_file(&path, LineEnding::LF).unwrap();
            let public = key.public_key().to_openssh().unwrap();
            fs::write(path.with_extension("pub"), public + "\n").unwrap();
        }
        fs::copy(at.join("plain.pub"), at.join("authorized_keys")).unwrap();
        let config = format!(
            "Include {at}/sshd_config.d/*.conf\nHostKey {at}/host_key\nPidFile none\nUsePAM no\n\
             StrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             AuthorizedKeysFile {at}/authorized_keys\nPermitRootLogin prohibit-password\n",
            at = at.display()
        );
        fs::write(at.join("sshd_config"), config).unwrap();
        let account = Command::new("id").arg("-un").output().unwrap().stdout;
        let account = String::from_utf8(account).unwrap().trim().to_owned();
        let machine = Machine {
            folder,
            ca: Ca::new(),
            account,
            serial: 4711,
        };
        machine.certify();
        machine
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn place(&self) -> Place {
        Place {
            sshd: Sshd::new("/usr/sbin/sshd".into(), self.at("sshd_config")),
            folder: self.at("jit-ssh"),
            state: self.at("state"),
        }
    }

    /// A certificate for the role, beside the person's key.
    fn certify(&self) {
        let key = PrivateKey::read_openssh_file(&self.at("person")).unwrap();
        let now = jit_ssh_connect::now();
        let public = key.public_key().key_data().clone();
        let mut builder =
            Builder::new_with_random_nonce(&mut OsRng, public, now - 60, now + 3600).unwrap();
        builder.cert_type(CertType::User).unwrap();
        builder.serial(self.serial).unwrap();
        builder.valid_principal("role:ops").unwrap();
        let certificate = builder.sign(&self.ca.user_ca).unwrap();
        fs::write(
            self.at("person-cert.pub"),
            certificate.to_openssh().unwrap() + "\n",
        )
        .unwrap();
    }

    fn opening(&self, number: u64) -> Bundle {
        bundle(number, &[(&self.account, &["role:ops"])])
    }

    /// Opens nothing more to that certificate, by the revocation list alone.
    fn revoking(&self, number: u64) -> Bundle {
        let at = |name| self.at(name);
        let user_ca = self.ca.user_ca.public_key().to_openssh().unwrap();
        fs::write(at("ca.pub"), user_ca + "\n").unwrap();
        fs::write(at("spec"), format!("serial: {}\n", self.serial)).unwrap();
        let made = Command::new("ssh-keygen")
            .args(["-q", "-k", "-f"])
            .arg(at("krl"))
            .arg("-s")
            .arg(at("ca.pub"))
            .arg(at("spec"))
            .status()
            .unwrap();
        assert!(made.success());
        let krl = fs::read(at("krl")).unwrap();
        Bundle {
            krl: base64::Engine::encode(&base64::engine::general_purpose::STANDARD, krl),
            ..self.opening(number)
        }
    }

    /// As after `enroll`, up to the first bundle.
    fn enrolled(&self) {
        let host = PrivateKey::read_openssh_file(&self.at("host_key")).unwrap();
        let public = host.public_key().key_data().clone();
        let mut builder =
            Builder::new_with_random_nonce(&mut OsRng, public, 0, u64::from(u32::MAX)).unwrap();
        builder.cert_type(CertType::Host).unwrap();
        builder.valid_principal("web1.example.com").unwrap();
        let certificate = builder.sign(&self.ca.host_ca).unwrap();
        let state = State {
            host: HOST.into(),
            ca: self.ca.known(),
            names: vec!["web1.example.com".into()],
            certificates: vec![Certificate {
                key: self.at("host_key"),
                line: certificate.to_openssh().unwrap(),
            }],
            renewed: jit_ssh_connect::now(),
            seen: bundle(0, &[]).position(),
            unit: None,
        };
        state::write(&self.place(), &state).unwrap();
    }

    fn receive(&self, bundle: &Bundle) -> Result<(), SyncError> {
        let signed = self.ca.signed(bundle);
        Sync::start(self.place())?.receive(&signed, bundle.issued)
    }

    /// A login at an sshd that has just started with what is there.
    fn login(&self, key: &str) -> Output {
        let sshd = format!("/usr/sbin/sshd -i -f {}", self.at("sshd_config").display());
        let known = format!("UserKnownHostsFile={}", self.at("known_hosts").display());
        Command::new("ssh")
            .args([
                "-F",
                "none",
                "-o",
                "BatchMode=yes",
                "-o",
                "IdentitiesOnly=yes",
            ])
            .args(["-o", "IdentityAgent=none", "-o", "StrictHostKeyChecking=no"])
            .args(["-o", &known, "-o", &format!("ProxyCommand={sshd}"), "-i"])
            .arg(self.at(key))
            .args([&format!("{}@web1.example.com", self.account), "true"])
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn enters(&self, key: &str) -> bool {
        let output = self.login(key);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success() || said.contains("Permission denied"),
            "{said}"
        );
        output.status.success()
    }

    /// sshd starts, and whoever has a key of his own gets in.
    #[track_caller]
    fn works(&self, what: &str) {
        self.place()
            .sshd
            .test()
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(self.enters("plain"), "{what}");
    }
}

/// sshd of root wants a folder of its own below /run, which its package makes at the start of a machine.
fn sshd_runs() -> bool {
    !rustix::process::geteuid().is_root() || fs::create_dir_all("/run/sshd").is_ok()
}

#[test]
fn power_that_fails_between_any_two_writes_leaves_sshd_working() {
    if !sshd_runs() {
        return;
    }
    let mut cuts = 0;
    for writes in 0.. {
        let machine = Machine::new();
        machine.enrolled();
        let opened = power_cut::after(writes, || machine.receive(&machine.opening(1)));
        machine.works(&format!("first bundle, {writes} writes"));
        let Some(opened) = opened else {
            cuts += 1;
            // And with power again, the next start does the rest.
            machine.receive(&machine.opening(1)).unwrap();
            assert!(machine.enters("person"), "{writes} writes");
            continue;
        };
        opened.unwrap();
        assert!(machine.enters("person"));
        break;
    }
    assert!(cuts >= 6, "{cuts}");
    let machine = Machine::new();
    machine.enrolled();
    machine.receive(&machine.opening(1)).unwrap();
    for (writes, number) in (0..).zip(2..) {
        let revoked = power_cut::after(writes, || machine.receive(&machine.revoking(number)));
        machine.works(&format!("revocation, {writes} writes"));
        if let Some(revoked) = revoked {
            revoked.unwrap();
            break;
        }
        // Whoever starts next knows the newest bundle or has it from the CA.
        machine.receive(&machine.revoking(number)).unwrap();
        assert!(!machine.enters("person"), "{writes} writes");
        machine
            .receive(&machine.opening(number))
            .unwrap_or_else(|error| {
                panic!("{writes} writes: {error}");
            });
        assert!(machine.enters("person"), "{writes} writes");
    }
    assert!(!machine.enters("person"), "revoked");
}

#[test]
fn a_revocation_is_in_force_although_sshds_configuration_is_broken_meanwhile() {
    if !sshd_runs() {
        return;
    }
    let machine = Machine::new();
    machine.enrolled();
    machine.receive(&machine.opening(1)).unwrap();
    let config = machine.at("sshd_config");
    let good = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{good}NoSuchDirective yes\n")).unwrap();
    let signed = machine.ca.signed(&machine.revoking(2));
    let result = Sync::start(machine.place()).and_then(|mut sync| sync.receive(&signed, 2));
    // Whether it can be told or not, the files are what they shall be.
    drop(result);
    fs::write(&config, good).unwrap();
    assert!(!machine.enters("person"));
    assert!(machine.enters("plain"));
}

#[test]
fn what_was_taken_away_is_not_put_back_while_sshds_configuration_is_broken() {
    assert!(sshd_runs());
    let machine = Machine::new();
    machine.enrolled();
    let mut sync = Sync::start(machine.place()).unwrap();
    sync.receive(&machine.ca.signed(&machine.opening(1)), 1)
        .unwrap();
    assert!(machine.enters("person"));
    let config = machine.at("sshd_config");
    let good = fs::read_to_string(&config).unwrap();
    let enters = || {
        fs::write(&config, &good).unwrap();
        let enters = machine.enters("person");
        fs::write(&config, format!("{good}NoSuchDirective yes\n")).unwrap();
        enters
    };
    assert!(enters());
    sync.receive(&machine.ca.signed(&machine.revoking(2)), 2)
        .unwrap_err();
    for round in 0..3 {
        let _still_broken = sync.mend(3);
        assert!(!enters(), "put back in round {round}");
    }
}

#[test]
fn a54_a_start_puts_down_no_bundle_that_says_less_than_one_seen() {
    assert!(sshd_runs());
    let machine = Machine::new();
    machine.enrolled();
    machine.receive(&machine.opening(1)).unwrap();
    let kept = machine.at("state/bundle.json");
    let older = fs::read(&kept).unwrap();
    machine.receive(&machine.revoking(2)).unwrap();
    assert!(!machine.enters("person"));
    // As if the disk had not taken the second.
    fs::write(&kept, older).unwrap();
    let _sync = Sync::start(machine.place()).unwrap();
    assert!(!machine.enters("person"));
    machine.receive(&machine.opening(3)).unwrap();
    assert!(machine.enters("person"));
}

#[test]
fn what_a_host_says_of_itself_fits_what_the_ca_takes() {
    assert_eq!(told("two\nlines\u{1b}["), "two lines [");
    let long = told(&"ä".repeat(400));
    assert_eq!((long.len(), long.chars().count()), (500, 250));
    let machine = Machine::new();
    machine.enrolled();
    let mut sync = Sync::start(machine.place()).unwrap();
    for number in 0..60 {
        let account = format!("a{number}");
        sync.heard.left_out.push((account, "why\nnot".to_owned()));
    }
    let report = sync.report();
    assert_eq!(report.findings.len(), MOST_FINDINGS);
    for finding in report.findings {
        assert!(jit_ssh_api::host::is_label(&finding.check), "{finding:?}");
        assert!(!finding.detail.contains(char::is_control), "{finding:?}");
    }
}

#[test]
fn a54_an_older_bundle_is_refused_also_by_who_starts_anew() {
    let machine = Machine::new();
    machine.enrolled();
    let read = || fs::read(machine.at("jit-ssh/revoked_keys")).unwrap();
    if !sshd_runs() {
        return;
    }
    machine.receive(&machine.opening(1)).unwrap();
    machine.receive(&machine.revoking(2)).unwrap();
    let before = read();
    let refused = machine.receive(&machine.opening(1)).unwrap_err();
    assert!(matches!(refused, SyncError::Refused(_)), "{refused}");
    // Without the copy of the last bundle as well.
    fs::remove_file(machine.at("state/bundle.json")).unwrap();
    machine.receive(&machine.opening(1)).unwrap_err();
    assert_eq!(read(), before);
    let mut other = machine.opening(3);
    other.host = "zyxwvutsrqponmlkjihgfedcba".into();
    machine.receive(&other).unwrap_err();
    assert_eq!(read(), before);
}

#[test]
fn a62_a_clock_that_is_wrong_is_told() {
    assert_eq!(clock(1000, 1000 + CLOCK_TOLERANCE), None);
    assert!(clock(10_000, 10_000 + 3600).unwrap().contains("1h ahead"));
    assert!(clock(10_000, 10_000 - 3600).unwrap().contains("1h behind"));
}

#[test]
fn who_is_refused_again_and_again_asks_more_and_more_seldom_and_never_in_step() {
    assert_eq!(back_off(0), Duration::ZERO);
    for failures in [1, 2, 5, 17, 40, u32::MAX] {
        let waits: Vec<Duration> = (0..50).map(|_| back_off(failures)).collect();
        let most = FIRST_WAIT * 2u32.saturating_pow((failures - 1).min(16));
        assert!(waits.iter().all(|wait| *wait <= most.min(LONGEST_WAIT)));
        assert!(waits.iter().any(|wait| *wait != waits[0]));
    }
}
