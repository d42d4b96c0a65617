//! `jit-ssh-ca` as a test sees it: a data folder, a serving process, its API and its admin
//! commands.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use crate::clock;
use crate::dir::Dir;
use crate::http::{self, Answer};
use crate::idp::{CLIENT, Idp, PASTE_CLIENT};
use crate::port;
use crate::process::{Child, Output, Run, program};
use crate::wire::Wire;

/// The policy that a lab has if the test names none.
pub const POLICY: &str = r#"
order = ["production-observer", "production-admin", "engineering", "jump"]

[username]
claim = "preferred_username"

[roles.production-observer]
description = "Read-only access to production"
accounts = ["observer"]
max_validity = "15m"
extensions = ["permit-pty"]

[roles.production-admin]
description = "Changes in production"
accounts = ["admin"]
max_validity = "5m"
extensions = ["permit-pty", "permit-port-forwarding"]

[roles.engineering]
description = "One's own account on development machines"
accounts = ["{username}"]
max_validity = "1h"
extensions = ["permit-pty", "permit-port-forwarding", "permit-agent-forwarding"]

[roles.jump]
description = "Through the bastion"
accounts = ["deploy"]
max_validity = "15m"
extensions = ["permit-port-forwarding"]

[[grants]]
groups = ["Ops"]
roles = ["production-observer", "jump"]

[[grants]]
groups = ["Leads"]
roles = ["production-admin"]

[[grants]]
groups = ["Engineering"]
roles = ["engineering"]

[[rights]]
groups = ["Security"]
may = ["audit", "logins", "policy", "keys", "hosts", "revoke"]

[[tests]]
who = { groups = ["Ops"] }
may = ["production-observer"]
may_not = ["production-admin"]
"#;

/// How a CA is set up.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Name of the CA.
    pub name: String,
    /// Policy file.
    pub policy: String,
    /// Host patterns.
    pub hosts: Vec<String>,
    /// Further lines of each `[[issuers]]`.
    pub issuer: String,
    /// Further lines of the loopback client.
    pub client: String,
    /// Sections and keys at the end of the configuration.
    pub sections: String,
    /// `standard` or `fips`.
    pub profile: String,
    /// HTTPS with a certificate that the key set pins.
    pub tls: bool,
    /// Where it listens, if something must know that first; a free port otherwise.
    pub port: Option<u16>,
}

impl Default for Plan {
    fn default() -> Self {
        Plan {
            name: "ca.test".to_owned(),
            policy: POLICY.to_owned(),
            hosts: vec!["*.prod.example.com".to_owned(), "127.0.66.*".to_owned()],
            issuer: String::new(),
            client: String::new(),
            sections: String::new(),
            profile: "standard".to_owned(),
            tls: false,
            port: None,
        }
    }
}

/// A CA: its data, and the process that serves it while it runs.
#[derive(Debug)]
pub struct Ca {
    /// Data folder.
    pub data: PathBuf,
    /// File with the passphrase of its keys.
    pub passphrase_file: PathBuf,
    /// Where clients reach it.
    pub url: String,
    /// Where it listens.
    pub address: SocketAddr,
    plan: Plan,
    issuers: Vec<String>,
    child: Option<Child>,
    log_folder: Dir,
}

impl Ca {
    /// Makes the data folder with `jit-ssh-ca init` and writes configuration and policy.
    pub fn init(dir: &Dir, plan: Plan, issuers: &[String]) -> Self {
        let data = dir.join("ca");
        let port = plan.port.unwrap_or_else(port::free);
        let scheme = if plan.tls { "https" } else { "http" };
        let url = format!("{scheme}://127.0.0.1:{port}");
        let passphrase_file = dir.join("passphrase");
        Run::new(program("jit-ssh-ca"))
            .args(["init", "--issuer", &issuers[0], "--client-id", CLIENT])
            .args([
                "--url",
                &url,
                "--name",
                &plan.name,
                "--profile",
                &plan.profile,
            ])
            .args(["--tls", if plan.tls { "self" } else { "none" }])
            .arg("--data")
            .arg(&data)
            .arg("--generate-passphrase")
            .arg(&passphrase_file)
            .go()
            .ok();
        let ca = Ca {
            data,
            passphrase_file,
            url,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            plan,
            issuers: issuers.to_vec(),
            child: None,
            log_folder: Dir::new(),
        };
        ca.configure();
        ca
    }

    /// Writes configuration and policy as the plan says now.
    pub fn configure(&self) {
        let plan = &self.plan;
        let (tls, port) = (plan.tls, self.address.port());
        let mut text = format!(
            "name = {name:?}\nurl = \"{url}\"\nprofile = \"{profile}\"\nhosts = {hosts:?}\n\n\
             [listen]\naddress = \"127.0.0.1:{port}\"\ntls = \"{tls}\"\n{sections}\n",
            name = plan.name,
            url = self.url,
            profile = plan.profile,
            hosts = plan.hosts,
            tls = if tls { "files" } else { "none" },
            sections = plan.sections,
        );
        for issuer in &self.issuers {
            text += &format!(
                "\n[[issuers]]\nissuer = \"{issuer}\"\nlabel = \"Acme\"\n{issuer_lines}\n\
                 [[issuers.clients]]\nid = \"{CLIENT}\"\nflows = [\"loopback\"]\n\
                 {client}\n\
                 [[issuers.clients]]\nid = \"{PASTE_CLIENT}\"\nflows = [\"paste\"]\n\
                 {client}\n",
                issuer_lines = plan.issuer,
                client = if plan.client.is_empty() {
                    "scopes = [\"openid\", \"email\", \"profile\", \"groups\", \"offline_access\"]"
                } else {
                    &plan.client
                },
            );
        }
        if !plan.sections.contains("[limits]") {
            // Tests ask more often than anybody would.
            text += "\n[limits]\nrequests_per_peer = 0\nrequests_per_person = 0\n";
        }
        replace(&self.data.join("ca.toml"), &text);
        replace(&self.data.join("policy.toml"), &plan.policy);
    }

    /// Changes the plan and writes it; a serving CA sees it at the next reload.
    pub fn change(&mut self, change: impl FnOnce(&mut Plan)) {
        change(&mut self.plan);
        self.configure();
    }

    /// Starts serving, and waits until it is ready.
    pub fn serve(&mut self) {
        self.launch();
        self.wait_ready();
    }

    fn wait_ready(&mut self) {
        let address = self.address;
        let child = self.child.as_mut().unwrap();
        clock::until("the CA to listen", || {
            assert!(child.runs(), "the CA ended:\n{}", child.log());
            port::answers(Ipv4Addr::LOCALHOST, address.port()).then_some(())
        });
        if !self.plan.tls {
            clock::until("the CA to be ready", || {
                let answer = http::send(address, "GET", "/readyz", &[], b"");
                (answer.status == 200).then_some(())
            });
        }
    }

    /// [`Ca::serve`] by a shell whose umask forbids nothing.
    pub fn serve_under_umask_000(&mut self) {
        let script = format!(
            "umask 000; exec {} serve --data {} --passphrase-file {}",
            program("jit-ssh-ca").display(),
            self.data.display(),
            self.passphrase_file.display()
        );
        let child = Run::new("sh")
            .args(["-c", &script])
            .start("jit-ssh-ca", &self.log_folder);
        self.child = Some(child);
        self.wait_ready();
    }

    /// [`Ca::serve`] with the data on a file system of its own of this size, which only the CA's
    /// namespace has; gives the folder as the test can see it. For root.
    pub fn serve_on_a_disk_of(&mut self, size: &str) -> PathBuf {
        let disk = self.data.with_extension("disk");
        fs::create_dir_all(&disk).unwrap();
        let script = format!(
            "set -e; mount -t tmpfs -o size={size},mode=700 tmpfs {disk}; cp -a {data}/. {disk}; \
             exec {program} serve --data {disk} --passphrase-file {passphrase}",
            disk = disk.display(),
            passphrase = self.passphrase_file.display(),
            data = self.data.display(),
            program = program("jit-ssh-ca").display(),
        );
        let child = Run::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", &script])
            .start("jit-ssh-ca", &self.log_folder);
        self.child = Some(child);
        self.wait_ready();
        let root = PathBuf::from(format!("/proc/{}/root", self.pid()));
        root.join(disk.strip_prefix("/").unwrap())
    }

    /// Starts the process without waiting for anything.
    pub fn launch(&mut self) {
        assert!(self.child.is_none(), "it serves already");
        let child = self.serve_command().start("jit-ssh-ca", &self.log_folder);
        self.child = Some(child);
    }

    /// `jit-ssh-ca serve` with the passphrase.
    pub fn serve_command(&self) -> Run {
        Run::new(program("jit-ssh-ca"))
            .arg("serve")
            .arg("--data")
            .arg(&self.data)
            .arg("--passphrase-file")
            .arg(&self.passphrase_file)
    }

    /// Passphrase of the CA's keys: a canary that must never be seen anywhere.
    pub fn passphrase(&self) -> String {
        fs::read_to_string(&self.passphrase_file)
            .unwrap()
            .trim()
            .to_owned()
    }

    /// The process that serves.
    pub fn child(&mut self) -> &mut Child {
        self.child.as_mut().expect("the CA serves")
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the CA serves").pid()
    }

    /// What it logged, over all its runs.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_folder.join("jit-ssh-ca.log")).unwrap_or_default()
    }

    /// Ends it gracefully.
    pub fn stop(&mut self) -> i32 {
        self.child.take().map_or(0, |mut child| child.stop())
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill();
        }
    }

    /// Asks it to read configuration and policy again.
    pub fn reload(&self) {
        self.child.as_ref().unwrap().signal(Signal::HUP);
    }

    /// A client of its API.
    pub fn wire(&self) -> Wire {
        Wire::new(self.address)
    }

    /// A request over the admin socket.
    #[track_caller]
    pub fn local(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        http::send_local(&self.data.join("admin.sock"), method, path, &[], body)
    }

    /// An admin command over the socket, as the data folder's owner.
    pub fn admin(&self, arguments: &[&str]) -> Output {
        self.command(arguments).go()
    }

    /// `jit-ssh-ca ARGUMENTS --data DATA`, not yet started.
    pub fn command(&self, arguments: &[&str]) -> Run {
        Run::new(program("jit-ssh-ca"))
            .args(arguments)
            .arg("--data")
            .arg(&self.data)
            .within(Duration::from_secs(30))
    }

    /// All records of the ledger, oldest first, as the admin socket tells them.
    pub fn records(&self) -> Vec<jit_ssh_api::admin::AuditRecord> {
        let mut records = Vec::new();
        let mut path = "/v1/admin/audit?limit=1000&after=0".to_owned();
        let first = self.local("GET", "/v1/admin/audit?limit=1000&before=1", b"");
        assert_eq!(first.status, 200, "{first:?}");
        let first: jit_ssh_api::admin::AuditPage = first.json();
        records.extend(first.records);
        loop {
            let answer = self.local("GET", &path, b"");
            assert_eq!(answer.status, 200, "{answer:?}");
            let page: jit_ssh_api::admin::AuditPage = answer.json();
            records.extend(page.records);
            if !page.more {
                return records;
            }
            let last = records.last().unwrap().index;
            path = format!("/v1/admin/audit?limit=1000&after={last}");
        }
    }

    /// What was recorded but for our own looking: reading the ledger is a record, too.
    pub fn events(&self) -> Vec<jit_ssh_api::admin::AuditRecord> {
        let all = self.records();
        all.into_iter()
            .filter(|record| {
                record
                    .fields
                    .get("action")
                    .is_none_or(|action| action != "audit")
            })
            .collect()
    }

    /// Records of one kind.
    pub fn records_of(&self, kind: &str) -> Vec<jit_ssh_api::admin::AuditRecord> {
        let all = self.records();
        all.into_iter()
            .filter(|record| record.kind == kind)
            .collect()
    }

    /// `TrustedUserCAKeys` lines.
    pub fn user_ca(&self) -> String {
        let answer = http::send(self.address, "GET", "/v1/trust/user-ca", &[], b"");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    /// `SHA256:…` of the identity key.
    pub fn fingerprint(&self) -> String {
        Run::new("ssh-keygen")
            .args(["-l", "-E", "sha256", "-f"])
            .arg(self.data.join("keys/identity.pub"))
            .go()
            .ok()
            .text()
            .split(' ')
            .nth(1)
            .unwrap()
            .to_owned()
    }
}

/// Issuers of a CA that knows these providers.
pub fn issuers(idps: &[&Idp]) -> Vec<String> {
    idps.iter().map(|idp| idp.issuer.clone()).collect()
}

/// Writes a file whole: a CA that watches it sees the old or the new one.
pub fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(new, path).unwrap();
}
