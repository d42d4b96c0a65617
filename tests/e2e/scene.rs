//! The usual scene: a provider, a CA, a bastion and two servers with a stock sshd, and a laptop.

use std::collections::BTreeSet;
use std::path::PathBuf;

use jit_ssh_tests::client::Laptop;
use jit_ssh_tests::lab::{Builder, Lab};
use jit_ssh_tests::process::Output;
use jit_ssh_tests::sshd::{Plan, Sshd};
use jit_ssh_tests::world::World;

pub(crate) const BASTION: &str = "bastion.prod.example.com";
pub(crate) const WEB: &str = "web01.prod.example.com";
pub(crate) const DB: &str = "db01.prod.example.com";

pub(crate) struct Scene {
    pub(crate) servers: Vec<Sshd>,
    pub(crate) world: World,
    pub(crate) lab: Lab,
}

impl Scene {
    /// With these servers; `None` where there are no mount namespaces for us.
    pub(crate) fn new(servers: &[&str]) -> Option<Self> {
        Scene::with(Lab::builder(), servers, |plan| plan)
    }

    pub(crate) fn with(
        lab: Builder,
        servers: &[&str],
        change: impl Fn(Plan) -> Plan,
    ) -> Option<Self> {
        let lab = lab.start();
        let world = lab.world()?;
        let keys = trusted(&lab);
        let servers = servers
            .iter()
            .map(|name| change(plan(name, &keys)).start(&world, &lab.dir))
            .collect();
        Some(Scene {
            servers,
            world,
            lab,
        })
    }

    /// The laptop of this person, who has not signed in yet.
    pub(crate) fn laptop(&self, person: &str) -> Laptop<'_> {
        self.lab.idp.seat(person);
        let servers: Vec<&Sshd> = self.servers.iter().collect();
        Laptop::new(&self.world, person, &servers)
    }

    /// `jit-ssh login` with a pinned CA, and the ssh include.
    pub(crate) fn sign_in(&self, laptop: &Laptop<'_>, arguments: &[&str]) -> Output {
        laptop
            .jit(&["login", "--ca", &self.lab.ca.url])
            .args(["--fingerprint", &self.lab.ca.fingerprint()])
            .args(arguments)
            .go()
    }

    /// A laptop whose person signed in, with the include written.
    pub(crate) fn signed_in(&self, person: &str) -> Laptop<'_> {
        let laptop = self.laptop(person);
        self.sign_in(&laptop, &[]).ok();
        laptop.jit(&["ssh-config"]).go().ok();
        laptop
    }

    pub(crate) fn server(&self, name: &str) -> &Sshd {
        self.servers
            .iter()
            .find(|server| server.name == name)
            .unwrap()
    }
}

/// A server that admits the roles of the lab's policy.
pub(crate) fn plan(name: &str, keys: &str) -> Plan {
    Plan::new(name)
        .trusts(keys)
        .admits("observer", "role:production-observer")
        .admits("admin", "role:production-admin")
        .admits("deploy", "role:jump")
        .admits("carol", "role:engineering+carol")
        .admits("git", "role:production-observer")
}

fn trusted(lab: &Lab) -> String {
    if lab.ca.url.starts_with("https") {
        std::fs::read_to_string(lab.ca.data.join("keys/user-ca.pub")).unwrap()
    } else {
        lab.ca.user_ca()
    }
}

/// Certificates that a laptop holds.
pub(crate) fn certificates(laptop: &Laptop<'_>) -> Vec<PathBuf> {
    below(laptop.home())
        .into_iter()
        .filter(|path| path.to_string_lossy().ends_with("-cert.pub"))
        .collect()
}

/// All files below a folder, links not followed.
pub(crate) fn below(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(below(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

/// `ssh -G` said the same both times.
#[track_caller]
pub(crate) fn same_settings(before: &str, after: &str) {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (before, after) = (lines(before), lines(after));
    let gone: Vec<_> = before.difference(&after).collect();
    let new: Vec<_> = after.difference(&before).collect();
    assert!(
        gone.is_empty() && new.is_empty(),
        "gone: {gone:#?}, new: {new:#?}"
    );
}

/// A scene, or a loud skip.
#[macro_export]
macro_rules! scene {
    ($scene:expr) => {
        match $scene {
            Some(scene) => scene,
            None => jit_ssh_tests::skip!("no mount namespaces here"),
        }
    };
}
