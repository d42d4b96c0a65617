//! What the installed sshd makes of certificates: one line a case, certificate × server → outcome.
//! The certificates are `ssh-keygen`'s, so that a surprise here is OpenSSH's and not ours. The
//! design stands on these answers.

use std::fs;
use std::path::PathBuf;

use jit_ssh_tests::client::Laptop;
use jit_ssh_tests::dir::Dir;
use jit_ssh_tests::keygen;
use jit_ssh_tests::process::Run;
use jit_ssh_tests::sshd::{Plan, Sshd};
use jit_ssh_tests::world::World;

const SERVER: &str = "web01.prod.example.com";

/// Who gets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    In,
    Refused,
}
use Outcome::{In, Refused};

struct Ground {
    server: Sshd,
    world: World,
    dir: Dir,
}

impl Ground {
    fn new(plan: impl FnOnce(Plan) -> Plan) -> Option<Self> {
        let dir = Dir::new();
        let world = World::new(&dir)?;
        for name in ["ca", "other", "key"] {
            keygen::generate(&dir.join(name), &["-t", "ed25519"]);
        }
        let ca = keygen::public(&dir.join("ca"));
        let server = plan(Plan::new(SERVER).trusts(&format!("{ca}\n"))).start(&world, &dir);
        Some(Ground { server, world, dir })
    }

    /// Signs the key with these options of `ssh-keygen`.
    fn certify(&self, ca: &str, options: &[&str]) -> PathBuf {
        Run::new("ssh-keygen")
            .args(["-q", "-I", "matrix", "-z", "7", "-s"])
            .arg(self.dir.join(ca))
            .args(options)
            .arg(self.dir.join("key.pub"))
            .go()
            .ok();
        self.dir.join("key-cert.pub")
    }

    fn login(&self, account: &str, arguments: &[&str]) -> Outcome {
        let laptop = Laptop::new(&self.world, "nobody", &[&self.server]);
        let key = self.dir.join("key");
        let said = laptop
            .run("ssh")
            .args(["-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-i"])
            .arg(&key)
            .args(arguments)
            .args(["-l", account, SERVER, "echo in"])
            .go();
        if said.text() == "in" { In } else { Refused }
    }
}

#[test]
fn certificates_against_the_installed_sshd() {
    // name, CA, options of ssh-keygen, account, outcome
    #[rustfmt::skip]
    let cases: &[(&str, &str, &[&str], &str, Outcome)] = &[
        ("a role principal, listed for the account", "ca", &["-n", "role:ops", "-V", "-2m:+5m"], "observer", In),
        ("the same at another account", "ca", &["-n", "role:ops", "-V", "-2m:+5m"], "admin", Refused),
        ("a role principal that is not listed", "ca", &["-n", "role:dev", "-V", "-2m:+5m"], "observer", Refused),
        ("one of two principals is listed", "ca", &["-n", "role:dev,role:ops", "-V", "-2m:+5m"], "observer", In),
        ("no principals at all, although a file lists some", "ca", &["-V", "-2m:+5m"], "observer", Refused),
        ("the account's name, which the file does not list", "ca", &["-n", "observer", "-V", "-2m:+5m"], "observer", Refused),
        ("expired a minute ago", "ca", &["-n", "role:ops", "-V", "-5m:-1m"], "observer", Refused),
        ("valid in a minute", "ca", &["-n", "role:ops", "-V", "+1m:+5m"], "observer", Refused),
        ("another CA", "other", &["-n", "role:ops", "-V", "-2m:+5m"], "observer", Refused),
        ("a host certificate", "ca", &["-h", "-n", "role:ops", "-V", "-2m:+5m"], "observer", Refused),
        ("from an address that it allows", "ca", &["-n", "role:ops", "-O", "source-address=127.0.0.0/8", "-V", "-2m:+5m"], "observer", In),
        ("from an address that it does not allow", "ca", &["-n", "role:ops", "-O", "source-address=10.0.0.0/8", "-V", "-2m:+5m"], "observer", Refused),
        ("a critical option that sshd does not know", "ca", &["-n", "role:ops", "-O", "critical:limit@jit-ssh.dev=1", "-V", "-2m:+5m"], "observer", Refused),
        ("an extension that sshd does not know", "ca", &["-n", "role:ops", "-O", "extension:login@jit-ssh.dev=1", "-V", "-2m:+5m"], "observer", In),
        ("`root#eu` listed: sshd cuts the comment off", "ca", &["-n", "root", "-V", "-2m:+5m"], "deploy", In),
    ];
    let Some(ground) = Ground::new(|plan| {
        plan.admits("observer", "role:ops")
            .admits("deploy", "root#eu")
    }) else {
        jit_ssh_tests::skip!("no mount namespaces here");
    };
    assert!(!cases.is_empty());
    for (name, ca, options, account, outcome) in cases {
        ground.certify(ca, options);
        assert_eq!(
            ground.login(account, &[]),
            *outcome,
            "{name}\n{}",
            ground.server.log()
        );
    }
}

#[test]
fn a_certificate_without_its_key_is_worth_nothing() {
    let Some(ground) = Ground::new(|plan| plan.admits("observer", "role:ops")) else {
        jit_ssh_tests::skip!("no mount namespaces here");
    };
    ground.certify("ca", &["-n", "role:ops", "-V", "-2m:+5m"]);
    assert_eq!(ground.login("observer", &[]), In);
    keygen::generate(&ground.dir.join("thief"), &["-t", "ed25519"]);
    fs::rename(ground.dir.join("thief"), ground.dir.join("key")).unwrap();
    fs::rename(ground.dir.join("thief.pub"), ground.dir.join("key.pub")).unwrap();
    assert_eq!(ground.login("observer", &[]), Refused);
}

#[test]
fn a_certificate_really_expires() {
    let Some(ground) = Ground::new(|plan| plan.admits("observer", "role:ops")) else {
        jit_ssh_tests::skip!("no mount namespaces here");
    };
    ground.certify("ca", &["-n", "role:ops", "-V", "-2m:+4s"]);
    assert_eq!(ground.login("observer", &[]), In);
    jit_ssh_tests::clock::until("the certificate to expire", || {
        (ground.login("observer", &[]) == Refused).then_some(())
    });
    assert!(ground.server.log().contains("Certificate invalid: expired"));
}

#[test]
fn a_junk_line_before_the_ca_keys_hides_them_all() {
    // Why nothing but a parsed, whole file may ever become TrustedUserCAKeys.
    let Some(ground) = Ground::new(|plan| plan.admits("observer", "role:ops")) else {
        jit_ssh_tests::skip!("no mount namespaces here");
    };
    ground.certify("ca", &["-n", "role:ops", "-V", "-2m:+5m"]);
    let ca = keygen::public(&ground.dir.join("ca"));
    ground.server.trust(&format!("ssh-unheard-of AAAA\n{ca}\n"));
    assert_eq!(ground.login("observer", &[]), Refused);
    ground.server.trust(&format!("# a comment\n\n{ca}\n"));
    assert_eq!(ground.login("observer", &[]), In);
}

#[test]
fn two_user_cas_stand_side_by_side() {
    let Some(ground) = Ground::new(|plan| plan.admits("observer", "role:ops")) else {
        jit_ssh_tests::skip!("no mount namespaces here");
    };
    let both: String = ["ca", "other"]
        .iter()
        .map(|name| keygen::public(&ground.dir.join(name)) + "\n")
        .collect();
    ground.server.trust(&both);
    for name in ["ca", "other"] {
        ground.certify(name, &["-n", "role:ops", "-V", "-2m:+5m"]);
        assert_eq!(ground.login("observer", &[]), In, "{name}");
    }
}
