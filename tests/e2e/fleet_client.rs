//! Enrolled hosts from the laptop's side: no host key question, and no way in for whoever has no
//! certificate of this CA for this name, whatever the person's own configuration allows (A50).

use std::fs;

use jit_ssh_tests::client::Laptop;
use jit_ssh_tests::keygen;
use jit_ssh_tests::lab::{Builder, Lab};
use jit_ssh_tests::sshd::{HostCertificate, Plan, Sshd};
use jit_ssh_tests::world::World;

use crate::scene::{self, BASTION, DB, WEB};

const DB2: &str = "db02.prod.example.com";

/// A certificate of the lab's host CA for these names.
fn certificate(lab: &Lab, names: &str) -> HostCertificate {
    HostCertificate {
        ca: lab.ca.data.join("keys/host-ca"),
        passphrase: lab.ca.passphrase(),
        names: names.to_owned(),
        validity: "-5m:+1h".to_owned(),
    }
}

/// A world in which `WEB` is what it says, and whatever a test makes of the others.
struct Fleet {
    servers: Vec<Sshd>,
    world: World,
    lab: Lab,
}

impl Fleet {
    /// `None` where there are no mount namespaces for us.
    fn new(plans: impl Fn(&Lab, &dyn Fn(&str) -> Plan) -> Vec<Plan>) -> Option<Self> {
        Self::with(Lab::builder(), plans)
    }

    fn with(
        builder: Builder,
        plans: impl Fn(&Lab, &dyn Fn(&str) -> Plan) -> Vec<Plan>,
    ) -> Option<Self> {
        let lab = builder.start();
        let world = lab.world()?;
        let keys = lab.ca.user_ca();
        let servers = plans(&lab, &|name| scene::plan(name, &keys))
            .into_iter()
            .map(|plan| plan.start(&world, &lab.dir))
            .collect();
        Some(Fleet {
            servers,
            world,
            lab,
        })
    }

    /// A laptop that has never seen any of the servers, signed in, with these hosts enrolled.
    fn laptop(&self, enrolled: &[&str]) -> Laptop<'_> {
        self.lab.idp.seat("alice");
        let servers: Vec<&Sshd> = self.servers.iter().collect();
        let laptop = Laptop::new(&self.world, "alice", &servers);
        fs::remove_file(laptop.home().join(".ssh/known_hosts")).unwrap();
        laptop
            .jit(&["login", "--ca", &self.lab.ca.url, "--ssh-config"])
            .args(["--fingerprint", &self.lab.ca.fingerprint()])
            .go()
            .ok();
        self.enrol(&laptop, enrolled);
        laptop
    }

    /// The CA told the laptop of these hosts.
    fn enrol(&self, laptop: &Laptop<'_>, names: &[&str]) {
        let mut text = "heard 9999999999\n".to_owned();
        for name in names {
            text += &format!("{name} production-observer=observer\n");
        }
        let fleet = laptop.home().join(".config/jit-ssh/cas/ca.test/fleet");
        fs::write(fleet, text).unwrap();
        laptop.jit(&["ssh-config"]).go().ok();
    }

    fn server(&self, name: &str) -> &Sshd {
        let found = self.servers.iter().find(|server| server.name == name);
        found.unwrap()
    }
}

/// What a person might have written who is tired of questions.
const WEAK: &str = "Host *\n    StrictHostKeyChecking accept-new\n    UpdateHostKeys yes\n";

fn write_below(laptop: &Laptop<'_>, lines: &str) {
    let config = laptop.home().join(".ssh/config");
    let text = fs::read_to_string(&config).unwrap() + lines;
    fs::write(config, text).unwrap();
}

#[test]
fn no_host_key_question_is_asked_and_nothing_is_learnt_about_an_enrolled_host() {
    let fleet = crate::scene!(Fleet::new(|lab, plan| vec![
        plan(WEB).certified(certificate(lab, WEB)),
        plan(DB),
    ]));
    let laptop = fleet.laptop(&[WEB]);
    let alias = format!(
        "Host web\n    HostName {WEB}\n    Port {}\n",
        fleet.server(WEB).port
    );
    write_below(&laptop, &format!("{alias}{WEAK}"));
    laptop.jit(&["ssh-config"]).go().ok();
    // In batch mode, a question is a refusal.
    for name in [WEB, "web", "WEB01.prod.example.com"] {
        let who = laptop.ssh(&[name, "id -un"]).ok();
        assert_eq!(who.text(), "observer", "{name}");
        assert!(!who.stderr.contains("Warning"), "{who}");
    }
    assert!(!laptop.home().join(".ssh/known_hosts").exists());
    let ours = laptop
        .home()
        .join(".config/jit-ssh/cas/ca.test/known_hosts");
    let before = fs::read_to_string(&ours).unwrap();
    assert_eq!(before.matches("@cert-authority").count(), 1, "{before}");
    // The control: a host that is not enrolled is the person's own matter.
    laptop.ssh(&[DB, "true"]).ok();
    let learnt = fs::read_to_string(laptop.home().join(".ssh/known_hosts")).unwrap();
    assert_eq!(learnt.lines().count(), 1, "{learnt}");
    assert_eq!(fs::read_to_string(&ours).unwrap(), before);
}

#[test]
fn a50_an_impostor_without_this_cas_certificate_for_this_name_is_refused() {
    let fleet = crate::scene!(Fleet::new(|lab, plan| {
        let other = lab.dir.join("other-host-ca");
        keygen::generate(&other, &["-t", "ed25519"]);
        let of_another = HostCertificate {
            ca: other,
            passphrase: String::new(),
            ..certificate(lab, DB2)
        };
        let expired = HostCertificate {
            validity: "-2h:-1h".to_owned(),
            ..certificate(lab, "elsewhere.example.net")
        };
        vec![
            plan(DB),
            plan(DB2).certified(of_another),
            plan(BASTION).certified(certificate(lab, WEB)),
            plan("elsewhere.example.net").certified(expired),
        ]
    }));
    let names = [DB, DB2, BASTION, "elsewhere.example.net"];
    let laptop = fleet.laptop(&names);
    // The person has seen the keys of all of them before, and takes whatever is new.
    let known: String = fleet.servers.iter().map(Sshd::known_host).collect();
    fs::write(laptop.home().join(".ssh/known_hosts"), known).unwrap();
    let db = format!(
        "Host db\n    HostName {DB}\n    Port {}\n",
        fleet.server(DB).port
    );
    write_below(&laptop, &format!("{db}{WEAK}"));
    laptop.jit(&["ssh-config"]).go().ok();
    let refused = |name: &str, what: &str| {
        let said = laptop.ssh(&[name, "true"]).failed_with(255);
        assert!(said.stderr.contains(what), "{name}: {said}");
        assert!(
            said.stderr.contains("verification failed"),
            "{name}: {said}"
        );
    };
    refused(DB, "No ED25519 host key is known");
    refused("db", "No ED25519 host key is known");
    refused(DB2, "No ED25519 host key is known");
    refused(BASTION, "name is not a listed principal");
    refused("elsewhere.example.net", "expired");
    // And so it stays where `ensure` gives no certificate.
    laptop.jit(&["logout"]).go().ok();
    refused(DB, "No ED25519 host key is known");
    for server in &fleet.servers {
        assert!(!server.log().contains("Accepted"), "{}", server.log());
    }
    // The control: without our block, each of them would have been let in or asked about.
    laptop.jit(&["ssh-config", "--remove"]).go().ok();
    for name in names {
        let said = laptop.ssh(&[name, "true"]).failed();
        assert!(!said.stderr.contains("verification failed"), "{said}");
    }
}
