//! Enrolled hosts from the laptop's side: no host key question, and no way in for whoever has no
//! certificate of this CA for this name, whatever the person's own configuration allows (A50).

use std::fs;
use std::path::PathBuf;

use jit_ssh_api::host::Enrolment;
use jit_ssh_tests::ca;
use jit_ssh_tests::client::Laptop;
use jit_ssh_tests::clock;
use jit_ssh_tests::host::{HostWire, invitation};
use jit_ssh_tests::keygen;
use jit_ssh_tests::lab::{Builder, Lab};
use jit_ssh_tests::proxy::Proxy;
use jit_ssh_tests::sshd::{HostCertificate, Plan, Sshd};
use jit_ssh_tests::wire::Key;
use jit_ssh_tests::world::World;
use serde_json::json;
use ssh_key::PrivateKey;

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

/// Servers that are enrolled or not, as a test says, and a laptop that has never seen any of them.
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

    /// A server enrols with its own host key, and shows the certificate from its next connection on.
    fn enrol(&self, name: &str, labels: &[(&str, &str)]) -> Enrolment {
        let folder = self.server(name).folder();
        let key = PrivateKey::read_openssh_file(&folder.join("host_key")).unwrap();
        let token = self.lab.ca.invite(&invitation(&[name], labels)).token;
        let host = HostWire::with(self.lab.wire(), vec![Key(key)]);
        let (host, enrolment) = host.enrolled(&token, &[name]);
        host.confirm();
        let certificate = &enrolment.certificates[0].certificate;
        fs::write(folder.join("host_key-cert.pub"), certificate).unwrap();
        enrolment
    }

    /// A laptop of somebody who signed in, with the include written.
    fn laptop(&self) -> Laptop<'_> {
        self.lab.idp.seat("alice");
        let servers: Vec<&Sshd> = self.servers.iter().collect();
        let laptop = Laptop::new(&self.world, "alice", &servers);
        fs::remove_file(laptop.home().join(".ssh/known_hosts")).unwrap();
        sign_in(&laptop, &self.lab);
        laptop
    }

    fn server(&self, name: &str) -> &Sshd {
        let found = self.servers.iter().find(|server| server.name == name);
        found.unwrap()
    }
}

fn sign_in(laptop: &Laptop<'_>, lab: &Lab) {
    laptop
        .jit(&["login", "--ca", &lab.ca.url, "--ssh-config"])
        .args(["--fingerprint", &lab.ca.fingerprint()])
        .go()
        .ok();
}

/// A server with a place for its certificate.
fn enrolling(lab: &Lab, plan: Plan, name: &str) -> Plan {
    let certificate = lab.dir.join(&format!("servers/{name}/host_key-cert.pub"));
    plan.line(&format!("HostCertificate {}", certificate.display()))
}

fn file_of(laptop: &Laptop<'_>, name: &str) -> PathBuf {
    laptop.home().join(".config/jit-ssh/cas/ca.test").join(name)
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
        enrolling(lab, plan(WEB), WEB),
        plan(DB),
    ]));
    fleet.enrol(WEB, &[("env", "production")]);
    let laptop = fleet.laptop();
    let alias = format!(
        "Host web\n    HostName {WEB}\n    Port {}\n",
        fleet.server(WEB).port
    );
    write_below(&laptop, &format!("{alias}{WEAK}"));
    // An alias is found at the next contact with the CA.
    laptop.jit(&["hosts"]).go().ok();
    // In batch mode, a question is a refusal.
    for name in [WEB, "web", "WEB01.prod.example.com"] {
        let who = laptop.ssh(&[name, "id -un"]).ok();
        assert_eq!(who.text(), "observer", "{name}");
        assert!(!who.stderr.contains("Warning"), "{who}");
    }
    assert!(!laptop.home().join(".ssh/known_hosts").exists());
    let ours = file_of(&laptop, "known_hosts");
    let before = fs::read_to_string(&ours).unwrap();
    let line = format!("@cert-authority {WEB} ssh-ed25519 ");
    assert_eq!(before.matches("@cert-authority").count(), 1, "{before}");
    assert!(before.contains(&line), "{before}");
    // The control: a host that is not enrolled is the person's own matter.
    laptop.ssh(&[DB, "true"]).ok();
    let learnt = fs::read_to_string(laptop.home().join(".ssh/known_hosts")).unwrap();
    assert_eq!(learnt.lines().count(), 1, "{learnt}");
    assert_eq!(fs::read_to_string(&ours).unwrap(), before);
    // Without our file nobody is believed; the doctor says so, and the next contact mends it.
    fs::remove_file(&ours).unwrap();
    laptop.ssh(&[WEB, "true"]).failed_with(255);
    let doctor = laptop.jit(&["doctor"]).go();
    assert!(doctor.stdout.contains("refuses enrolled hosts"), "{doctor}");
    laptop.jit(&["hosts"]).go().ok();
    assert_eq!(fs::read_to_string(&ours).unwrap(), before);
    laptop.ssh(&[WEB, "true"]).ok();
}

#[test]
fn a50_an_impostor_without_this_cas_certificate_for_this_name_is_refused() {
    const EXPIRED: &str = "elsewhere.example.net";
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
            ..certificate(lab, EXPIRED)
        };
        vec![
            plan(DB),
            plan(DB2).certified(of_another),
            plan(BASTION).certified(certificate(lab, WEB)),
            plan(EXPIRED).certified(expired),
        ]
    }));
    // The machines that answer are not the ones that enrolled by these names.
    let names = [DB, DB2, BASTION, EXPIRED];
    for name in names {
        fleet.lab.ca.enrol(&[name], &[]).0.confirm();
    }
    let laptop = fleet.laptop();
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
    refused(EXPIRED, "expired");
    // And so it stays where `ensure` gives no certificate.
    laptop.jit(&["logout"]).go().ok();
    refused(DB, "No ED25519 host key is known");
    for server in &fleet.servers {
        assert!(!server.log().contains("Accepted"), "{}", server.log());
    }
    // The control: without our block, nothing of this is refused.
    laptop.jit(&["ssh-config", "--remove"]).go().ok();
    for name in names {
        let said = laptop.ssh(&[name, "true"]).failed();
        assert!(!said.stderr.contains("verification failed"), "{said}");
    }
}

/// Roles for the same account, each on hosts of its own.
fn policy_by_labels() -> String {
    let labelled = |policy: String, role: &str, label: &str| {
        let head = format!("[roles.{role}]\n");
        assert!(policy.contains(&head));
        policy.replace(&head, &format!("{head}hosts = {{ env = \"{label}\" }}\n"))
    };
    let policy = ca::POLICY.replace("order = [", "order = [\"staging\", ");
    let policy = policy.replace(
        "[roles.jump]",
        "[roles.staging]\naccounts = [\"observer\"]\nmax_validity = \"15m\"\n\n[roles.jump]",
    );
    let policy = policy.replace(
        "\"jump\"]\n\n[[grants]]",
        "\"jump\", \"staging\"]\n\n[[grants]]",
    );
    let policy = labelled(policy, "staging", "staging");
    labelled(policy, "production-observer", "production")
}

#[test]
fn hosts_are_named_with_the_roles_that_they_admit_and_ssh_takes_one_of_these() {
    let fleet = crate::scene!(Fleet::with(
        Lab::builder().policy(&policy_by_labels()),
        |lab, plan| vec![enrolling(lab, plan(WEB), WEB)]
    ));
    let web = fleet.enrol(WEB, &[("env", "production")]);
    fleet.lab.ca.enrol(&[DB], &[("env", "staging")]).0.confirm();
    let laptop = fleet.laptop();
    let said = laptop.jit(&["hosts"]).go().ok();
    let line = |name: &str| {
        let found: Vec<_> = said
            .stdout
            .lines()
            .filter(|line| line.starts_with(name))
            .collect();
        found
            .iter()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        line(WEB),
        [
            format!("{WEB} observer production-observer"),
            format!("{WEB} deploy jump")
        ],
        "{said}"
    );
    assert_eq!(
        line(DB),
        [
            format!("{DB} observer staging"),
            format!("{DB} deploy jump")
        ],
        "{said}"
    );
    let json = laptop.jit(&["hosts", "--json"]).go().ok().json();
    assert_eq!(json["hosts"].as_array().unwrap().len(), 2, "{json}");
    assert_eq!(
        json["hosts"][1]["roles"][0]["role"], "production-observer",
        "{json}"
    );
    // By the policy's order it would be `staging`, which that server does not admit.
    laptop.ssh(&[WEB, "true"]).ok();
    assert!(fleet.server(WEB).log().contains("role=production-observer"));
    // A host that is revoked is no host any more.
    let path = format!("/v1/admin/hosts/{}", web.host);
    assert_eq!(fleet.lab.ca.local("DELETE", &path, b"").status, 200);
    let said = laptop.jit(&["hosts"]).go().ok();
    assert!(!said.stdout.contains(WEB), "{said}");
    let known = fs::read_to_string(file_of(&laptop, "known_hosts")).unwrap();
    assert!(known.contains(DB) && !known.contains(WEB), "{known}");
}

#[test]
fn a_host_that_enrols_is_heard_of_by_the_way_of_a_renewal_and_by_no_valid_certificate() {
    let fleet = crate::scene!(Fleet::new(|lab, plan| vec![enrolling(lab, plan(WEB), WEB)]));
    let laptop = fleet.laptop();
    fleet.enrol(WEB, &[]);
    let list = file_of(&laptop, "fleet");
    let heard = |text: &str| fs::write(&list, text).unwrap();
    let ensure = || {
        laptop
            .jit(&["ensure", "--host", WEB, "--account", "observer"])
            .go()
            .ok();
    };
    let asked = || fleet.lab.ca.log().matches("route=\"/v1/hosts\"").count();
    let before = asked();
    heard("heard 1\n");
    ensure();
    for path in scene::certificates(&laptop) {
        fs::remove_file(path).unwrap();
    }
    // A list that is fresh is not asked for again.
    heard("heard 9999999999\n");
    ensure();
    assert_eq!(asked(), before);
    for path in scene::certificates(&laptop) {
        fs::remove_file(path).unwrap();
    }
    heard("heard 1\n");
    ensure();
    let block = format!("Match originalhost \"{WEB}\"");
    clock::until("the include to name the host", || {
        let include = laptop.home().join(".config/jit-ssh/ssh_config");
        let include = fs::read_to_string(include).unwrap();
        include.contains(&block).then_some(())
    });
    assert_eq!(asked(), before + 1);
    laptop.ssh(&[WEB, "true"]).ok();
}

#[test]
fn a50_a_second_ca_that_names_the_hosts_of_the_first_is_told_of_and_not_believed() {
    let fleet = crate::scene!(Fleet::new(|lab, plan| vec![enrolling(lab, plan(WEB), WEB)]));
    fleet.enrol(WEB, &[]);
    let laptop = fleet.laptop();
    // Its name comes first in the alphabet.
    let other = Lab::builder().name("a.test").start();
    other.ca.enrol(&[WEB], &[]).0.confirm();
    other.ca.enrol(&["db.other.example.org"], &[]).0.confirm();
    sign_in(&laptop, &other);
    let said = laptop.jit(&["ssh-config"]).go().ok();
    assert!(said.stderr.contains("a.test names the host"), "{said}");
    assert!(said.stderr.contains("which is ca.test's"), "{said}");
    laptop.ssh(&[&format!("observer@{WEB}"), "true"]).ok();
    let theirs = file_of(&laptop, "../a.test/known_hosts");
    let theirs = fs::read_to_string(theirs).unwrap();
    assert!(
        theirs.contains("db.other.example.org") && !theirs.contains(WEB),
        "{theirs}"
    );
    assert_eq!(
        laptop.effective(WEB, "userknownhostsfile"),
        [file_of(&laptop, "known_hosts").display().to_string()]
    );
}

#[test]
fn a44_a50_a_list_of_hosts_that_lies_about_keys_and_names_writes_neither() {
    let fleet = crate::scene!(Fleet::new(|lab, plan| {
        let evil = lab.dir.join("evil-host-ca");
        keygen::generate(&evil, &["-t", "ed25519"]);
        let of_evil = HostCertificate {
            ca: evil,
            passphrase: String::new(),
            ..certificate(lab, WEB)
        };
        vec![plan(WEB).certified(of_evil)]
    }));
    fleet.lab.ca.enrol(&[WEB], &[]).0.confirm();
    let evil = keygen::public(&fleet.lab.dir.join("evil-host-ca"));
    let key = evil.clone();
    let names = [
        "*",
        "*.prod.example.com",
        "x\n    ProxyCommand id",
        "x ssh-ed25519 AAAA\n* ssh-ed25519 AAAA",
        "$(id)",
        "a b",
        "!web01",
        "",
    ];
    let proxy = Proxy::start(fleet.lab.ca.address, move |path, answer| {
        if path == "/v1/hosts" {
            answer["host_ca"].as_array_mut().unwrap().push(json!(key));
            let role = json!({ "role": "a=b c\n", "accounts": ["root", "x\nUser root"] });
            let hosts = answer["hosts"].as_array_mut().unwrap();
            hosts.push(json!({ "names": names, "roles": [role] }));
        }
    });
    fleet.lab.idp.seat("alice");
    let servers: Vec<&Sshd> = fleet.servers.iter().collect();
    let laptop = Laptop::new(&fleet.world, "alice", &servers);
    laptop
        .jit(&["login", "--ca", &proxy.url, "--ssh-config"])
        .args(["--fingerprint", &fleet.lab.ca.fingerprint()])
        .go()
        .ok();
    let said = laptop.jit(&["hosts"]).go().ok();
    assert!(said.stderr.contains("left out"), "{said}");
    assert!(proxy.seen().iter().any(|path| path == "/v1/hosts"));
    let known = fs::read_to_string(file_of(&laptop, "known_hosts")).unwrap();
    let lines: Vec<&str> = known
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    assert_eq!(lines.len(), 1, "{known}");
    assert!(
        lines[0].starts_with(&format!("@cert-authority {WEB} ssh-ed25519 ")),
        "{known}"
    );
    assert!(
        !evil.contains(lines[0].rsplit(' ').next().unwrap()),
        "{known}"
    );
    let include = fs::read_to_string(laptop.home().join(".config/jit-ssh/ssh_config")).unwrap();
    for word in [
        "ProxyCommand",
        "$(",
        "Host *",
        "originalhost \"*",
        "User root",
    ] {
        assert!(!include.contains(word), "{word}: {include}");
    }
    let said = laptop.ssh(&[WEB, "true"]).failed_with(255);
    assert!(said.stderr.contains("verification failed"), "{said}");
}
