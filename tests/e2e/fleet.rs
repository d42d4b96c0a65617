//! A server that enrols itself, with the real CA and a stock sshd: what it opens, how fast it closes, and
//! what is still true when the CA, the daemon or a file is gone.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jit_ssh_api::host::HostList;
use jit_ssh_tests::clock;
use jit_ssh_tests::dir::Dir;
use jit_ssh_tests::host::invitation;
use jit_ssh_tests::keygen;
use jit_ssh_tests::lab::Lab;
use jit_ssh_tests::port;
use jit_ssh_tests::process::{Child, Output, program};
use jit_ssh_tests::proxy::Proxy;
use jit_ssh_tests::world::World;
use serde_json::{Value, json};

const NAME: &str = "web01.prod.example.com";
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 66, 2);

/// A server with a configuration of its own, as a distribution would have it.
struct Server {
    daemon: Option<Child>,
    sshd: Option<Child>,
    port: u16,
    folder: PathBuf,
    config: PathBuf,
    state: PathBuf,
    world: World,
    lab: Lab,
}

impl Server {
    /// Observers are for production alone.
    fn new() -> Option<Self> {
        let policy = jit_ssh_tests::ca::POLICY.replace(
            "accounts = [\"observer\"]",
            "accounts = [\"observer\"]\nhosts = { env = \"production\" }",
        );
        assert!(policy.contains("hosts ="));
        let lab = Lab::builder().policy(&policy).start();
        let world = lab.world()?;
        let folder = lab.dir.folder("server");
        fs::create_dir_all(folder.join("sshd_config.d")).unwrap();
        keygen::generate(&folder.join("ssh_host_ed25519_key"), &["-t", "ed25519"]);
        keygen::generate(
            &folder.join("ssh_host_rsa_key"),
            &["-t", "rsa", "-b", "3072"],
        );
        let port = port::free_on(ADDRESS);
        let config = folder.join("sshd_config");
        let text = format!(
            "Include {folder}/sshd_config.d/*.conf\nListenAddress {ADDRESS}:{port}\n\
             HostKey {folder}/ssh_host_rsa_key\nHostKey {folder}/ssh_host_ed25519_key\n\
             PidFile {folder}/pid\nUsePAM no\nStrictModes no\nLogLevel VERBOSE\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\n",
            folder = folder.display(),
        );
        fs::write(&config, text).unwrap();
        Some(Server {
            daemon: None,
            sshd: None,
            port,
            state: lab.dir.join("state"),
            folder,
            config,
            world,
            lab,
        })
    }

    /// One that is enrolled, with sshd running.
    fn enrolled() -> Option<Self> {
        let mut server = Server::new()?;
        server.start_sshd();
        server.enroll(&server.lab.ca.url.clone(), &[]).ok();
        Some(server)
    }

    fn command(&self, command: &[&str]) -> jit_ssh_tests::process::Run {
        self.world
            .run(program("jit-ssh-host"))
            .args(command)
            .arg("--sshd-config")
            .arg(&self.config)
            .arg("--folder")
            .arg(self.folder.join("jit-ssh"))
            .arg("--state")
            .arg(&self.state)
    }

    fn host(&self, command: &[&str]) -> Output {
        self.command(command).go()
    }

    /// With an invitation for this host, in a file of its own.
    fn enroll(&self, ca: &str, more: &[&str]) -> Output {
        let token = self
            .lab
            .ca
            .invite(&invitation(&[NAME], &[("env", "production")]));
        self.enroll_with(ca, &token.token, more)
    }

    fn enroll_with(&self, ca: &str, token: &str, more: &[&str]) -> Output {
        let fingerprint = self.lab.ca.fingerprint();
        let mut command = vec!["enroll", "--ca", ca, "--fingerprint", &fingerprint];
        command.extend(["--name", NAME]);
        command.extend(more);
        self.command(&command).input(token).go()
    }

    fn start_sshd(&mut self) {
        let mut sshd = self
            .world
            .run("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(&self.config)
            .start("sshd-server", &self.lab.dir);
        clock::until("sshd to listen", || {
            assert!(sshd.runs(), "{}", sshd.log());
            port::answers(ADDRESS, self.port).then_some(())
        });
        self.sshd = Some(sshd);
    }

    /// `jit-ssh-host sync`, until the CA has its receipt for the newest bundle.
    fn start_daemon(&mut self) {
        let daemon = self.command(&["sync"]).start("sync", &self.lab.dir);
        self.daemon = Some(daemon);
        clock::until("the daemon's receipt", || {
            let host = self.listed();
            (host.bundle == Some(host.newest_bundle)).then_some(())
        });
    }

    /// This host as the CA sees it.
    fn listed(&self) -> jit_ssh_api::host::Host {
        let answer = self.lab.ca.local("GET", "/v1/admin/hosts", b"");
        let mut list: HostList = answer.json();
        assert_eq!(list.hosts.len(), 1);
        list.hosts.remove(0)
    }

    fn label(&self, env: &str) {
        let path = format!("/v1/admin/hosts/{}/labels", self.listed().id);
        let body = json!({ "labels": { "env": env } }).to_string();
        let answer = self.lab.ca.local("POST", &path, body.as_bytes());
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// A key with a certificate for the role of Alice's group.
    fn certified(&self) -> PathBuf {
        let opened = self.lab.login("alice");
        let key = self.lab.dir.join("alice-key");
        let pem = opened.key.0.to_openssh(ssh_key::LineEnding::LF).unwrap();
        private(&key, &pem);
        let certificate = self.lab.dir.join("alice-key-cert.pub");
        fs::write(certificate, opened.answer.certificate).unwrap();
        key
    }

    /// `known_hosts` of a client that believes the host CA and nobody else.
    fn known_hosts(&self) -> PathBuf {
        let host_ca = fs::read_to_string(self.lab.ca.data.join("keys/host-ca.pub")).unwrap();
        let path = self.lab.dir.join("known_hosts");
        fs::write(&path, format!("@cert-authority * {host_ca}")).unwrap();
        path
    }

    /// Plain `ssh`, which asks nobody about a host key.
    fn ssh(&self, account: &str, key: &Path) -> Output {
        // An sshd that is reading its configuration again answers nobody for a moment.
        clock::until("sshd to answer", || {
            let output = self.ssh_once(account, key);
            let silent = [
                "Connection refused",
                "Connection reset",
                "Connection closed",
            ];
            let all = output.all();
            (!silent.iter().any(|words| all.contains(words))).then_some(output)
        })
    }

    fn ssh_once(&self, account: &str, key: &Path) -> Output {
        let known = format!("UserKnownHostsFile={}", self.known_hosts().display());
        self.world
            .run("ssh")
            .args(["-F", "none", "-o", "BatchMode=yes"])
            .args(["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"])
            .args(["-o", "StrictHostKeyChecking=yes", "-o", &known])
            .args(["-p", &self.port.to_string(), "-i"])
            .arg(key)
            .args([&format!("{account}@{NAME}"), "id -un"])
            .go()
    }

    #[track_caller]
    fn enters(&self, account: &str, key: &Path) {
        let output = self.ssh(account, key);
        assert_eq!(output.code, Some(0), "{}", output.all());
        assert_eq!(output.text(), account);
    }

    #[track_caller]
    fn is_refused(&self, account: &str, key: &Path) {
        let output = self.ssh(account, key).failed();
        assert!(
            output.all().contains("Permission denied"),
            "{}",
            output.all()
        );
    }

    fn ours(&self, name: &str) -> PathBuf {
        self.folder.join("jit-ssh").join(name)
    }

    /// Every file below the server's folder.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        let mut folders = vec![self.folder.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.file_name().unwrap() != "pid" {
                    found.push((path.clone(), fs::read(&path).unwrap()));
                }
            }
        }
        found.sort();
        found
    }

    /// Whether the account of the observers names their role. (It has the uid of a person, and stays
    /// open to who has that account as his own.)
    fn admits_observers(&self) -> bool {
        let file = fs::read_to_string(self.ours("principals/observer"));
        file.is_ok_and(|text| text.contains("role:production-observer\n"))
    }

    fn status(&self) -> Value {
        self.host(&["status", "--json"]).json()
    }
}

fn private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Waits for a condition, and says how long it took.
fn after(start: Instant, what: &str, condition: impl FnMut() -> Option<()>) -> Duration {
    clock::until(what, condition);
    start.elapsed()
}

macro_rules! server {
    ($server:expr) => {
        match $server {
            Some(server) => server,
            None => jit_ssh_tests::skip!("no mount namespaces for accounts of a server's own"),
        }
    };
}

#[test]
fn a_server_enrols_and_nobody_is_asked_about_its_host_key() {
    let mut server = server!(Server::new());
    let before = server.files();
    server.start_sshd();
    let key = server.certified();
    let unknown = server.ssh("observer", &key).failed();
    assert!(
        unknown.all().contains("Host key verification failed"),
        "{}",
        unknown.all()
    );

    let url = server.lab.ca.url.clone();
    let token = server
        .lab
        .ca
        .invite(&invitation(&[NAME], &[("env", "production")]))
        .token;
    server.enroll_with(&url, "", &["--dry-run"]).ok();
    assert_eq!(server.files(), before);
    assert!(!server.state.exists());
    let refused = server.enroll_with(&url, &token, &["--name", "db01.prod.example.com"]);
    refused.failed();
    assert_eq!(
        server.files(),
        before,
        "a name that the invitation does not allow"
    );

    let said = server.enroll_with(&url, &token, &["--json"]).ok().json();
    assert_eq!(said["reload"], "done");
    server.enters("observer", &key);
    server.is_refused("admin", &key);
    server.is_refused("bob", &key);
    let host = server.listed();
    assert_eq!(host.names, [NAME]);
    assert_eq!(host.keys.len(), 2, "RSA as well");
    // The same once more changes nothing, and is the same host: the invitation was for one.
    let again = server.enroll_with(&url, &token, &["--json"]).ok().json();
    assert_eq!(again["host"], said["host"]);
    let changed = again["changed"].as_array().unwrap();
    let only_certificates = |path: &Value| {
        let path = path.as_str().unwrap();
        path.ends_with("-cert.pub") || path.ends_with("install.json")
    };
    assert!(changed.iter().all(only_certificates), "{changed:?}");
    server.enters("observer", &key);
    let status = server.status();
    assert_eq!(status["names"], json!([NAME]));
    assert_eq!(status["warnings"], json!([]));
    server.host(&["doctor"]).ok();
    // What a static install would write has another source now.
    let install = [
        "install",
        "--ca",
        &url,
        "--account",
        "observer=x",
        "--fingerprint",
    ];
    let fingerprint = server.lab.ca.fingerprint();
    server
        .host(&[&install[..], &[&fingerprint]].concat())
        .failed();
    server.host(&["uninstall"]).failed();

    server.host(&["unenroll", "--dry-run"]).ok();
    server.enters("observer", &key);
    server.host(&["unenroll"]).ok();
    assert_eq!(server.files(), before);
    assert!(!server.state.exists());
    let gone = server.ssh("observer", &key).failed();
    assert!(
        gone.all().contains("Host key verification failed"),
        "{}",
        gone.all()
    );
}

#[test]
fn an_sshd_that_could_not_be_told_of_the_end_does_not_lock_everybody_out() {
    let server = server!(Server::enrolled());
    let key = server.lab.dir.join("own-key");
    keygen::generate(&key, &["-t", "ed25519"]);
    let authorized = server
        .world
        .home_of("observer")
        .join(".ssh/authorized_keys");
    fs::write(&authorized, keygen::public(&key)).unwrap();
    server.world.give(&authorized, "observer");
    server.enters("observer", &key);
    server.host(&["unenroll", "--no-reload"]).ok();
    assert!(server.ours("revoked_keys").exists());
    // Its certificate is gone, and its lines still name the list.
    let output = server
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
        .args(["-o", "UserKnownHostsFile=/dev/null", "-p"])
        .arg(server.port.to_string())
        .arg("-i")
        .arg(&key)
        .args([&format!("observer@{NAME}"), "id -un"])
        .go();
    assert_eq!(output.ok().text(), "observer");
}

#[test]
fn an_impostor_with_another_host_key_is_refused_without_a_question() {
    let mut server = server!(Server::enrolled());
    let key = server.certified();
    server.enters("observer", &key);
    drop(server.sshd.take());
    for name in ["ssh_host_ed25519_key", "ssh_host_rsa_key"] {
        let path = server.folder.join(name);
        fs::remove_file(&path).unwrap();
        fs::remove_file(path.with_extension("pub")).unwrap();
        keygen::generate(&path, &["-t", "ed25519"]);
    }
    server.start_sshd();
    let output = server.ssh("observer", &key).failed();
    assert!(
        output.all().contains("Host key verification failed"),
        "{}",
        output.all()
    );
}

#[test]
fn labels_that_change_at_the_ca_close_and_open_a_server_within_two_seconds() {
    let mut server = server!(Server::enrolled());
    server.start_daemon();
    let key = server.certified();
    server.enters("observer", &key);
    for (env, open) in [("staging", false), ("production", true)] {
        let start = Instant::now();
        server.label(env);
        let took = after(start, "the label to reach the server", || {
            (server.admits_observers() == open).then_some(())
        });
        assert!(took < Duration::from_secs(2), "{env}: {took:?}");
        let host = clock::until("the receipt", || {
            let host = server.listed();
            (host.bundle == Some(host.newest_bundle)).then_some(host)
        });
        assert_eq!(host.labels["env"], env);
        if open {
            server.enters("observer", &key);
        } else {
            server.is_refused("observer", &key);
        }
    }
}

#[test]
fn a55_what_is_revoked_is_refused_within_two_seconds_and_the_receipt_says_so() {
    let mut server = server!(Server::enrolled());
    server.start_daemon();
    let key = server.certified();
    server.enters("observer", &key);
    let certificate = fs::read_to_string(server.lab.dir.join("alice-key-cert.pub")).unwrap();
    let serial = keygen::Listed::of(&certificate).value("Serial").to_owned();
    let start = Instant::now();
    let said = server
        .lab
        .ca
        .admin(&[
            "--json", "revoke", "--serial", &serial, "--reason", "a test",
        ])
        .ok();
    let took = start.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(said.all().contains("\"confirmed\":1"), "{}", said.all());
    // With the receipt it is in force: nothing is waited for.
    server.is_refused("observer", &key);
    assert_eq!(server.status()["revoked"], 1);
    // A new one opens it.
    let key = server.certified();
    server.enters("observer", &key);
}

#[test]
fn a53_a_file_that_is_emptied_damaged_or_removed_is_mended_within_a_second() {
    let mut server = server!(Server::enrolled());
    server.start_daemon();
    let key = server.certified();
    let drop_in = server.folder.join("sshd_config.d/00-jit-ssh.conf");
    let names = [
        "revoked_keys",
        "user_ca.pub",
        "principals/observer",
        "ssh_host_ed25519_key-cert.pub",
        "install.json",
    ];
    let mut paths: Vec<PathBuf> = names.iter().map(|name| server.ours(name)).collect();
    paths.push(drop_in);
    let elsewhere = server.lab.dir.join("elsewhere");
    fs::write(&elsewhere, "not ours\n").unwrap();
    for path in &paths {
        let good = fs::read(path).unwrap();
        let damages: [&dyn Fn(); 5] = [
            &|| fs::write(path, "").unwrap(),
            &|| fs::remove_file(path).unwrap(),
            &|| fs::write(path, "<html>404</html>").unwrap(),
            &|| fs::write(path, &good[..good.len() / 2]).unwrap(),
            &|| {
                fs::remove_file(path).unwrap();
                std::os::unix::fs::symlink(&elsewhere, path).unwrap();
            },
        ];
        for (index, damage) in damages.iter().enumerate() {
            let start = Instant::now();
            damage();
            let took = after(start, "the file to be mended", || {
                let whole = fs::symlink_metadata(path).is_ok_and(|facts| facts.is_file());
                (whole && fs::read(path).is_ok_and(|now| now == good)).then_some(())
            });
            assert!(
                took < Duration::from_secs(1),
                "{} ({index}): {took:?}",
                path.display()
            );
        }
    }
    assert_eq!(fs::read(&elsewhere).unwrap(), b"not ours\n");
    clock::until_within(Duration::from_secs(2), "sshd to have read it", || {
        (server.ssh("observer", &key).code == Some(0)).then_some(())
    });
    clock::until("the status to say so", || {
        (server.status()["mended"].as_u64()? >= 25).then_some(())
    });
}

#[test]
fn with_the_ca_and_the_daemon_killed_valid_certificates_get_in_all_the_same() {
    let mut server = server!(Server::enrolled());
    server.start_daemon();
    let key = server.certified();
    server.lab.ca.kill();
    clock::until("the daemon to say that the CA is away", || {
        let status = server.status();
        let problem = status["problem"]["what"].as_str()?;
        problem.contains("cannot be reached").then_some(())
    });
    let before = server.files();
    server.enters("observer", &key);
    server.daemon.take().unwrap().kill();
    server.enters("observer", &key);
    drop(server.sshd.take());
    server.start_sshd();
    server.enters("observer", &key);
    // Started again without a CA, the daemon keeps what there is.
    server.daemon = Some(
        server
            .command(&["sync"])
            .start("sync-again", &server.lab.dir),
    );
    let krl = server.ours("revoked_keys");
    let good = fs::read(&krl).unwrap();
    clock::until("the daemon to mend without the CA", || {
        if fs::read(&krl).unwrap_or_default() == good {
            fs::remove_file(&krl).unwrap();
        }
        (server.status()["mended"].as_u64()? > 0).then_some(())
    });
    clock::until("all files", || (server.files() == before).then_some(()));
    server.enters("observer", &key);
}

#[test]
fn a_host_certificate_that_is_older_than_a_day_is_renewed() {
    let mut server = server!(Server::enrolled());
    let path = server.ours("ssh_host_ed25519_key-cert.pub");
    let before = fs::read_to_string(&path).unwrap();
    let shown = keygen::Listed::of(&before);
    assert!(shown.text().contains(NAME), "{}", shown.text());
    let host = server.state.join("host.json");
    let mut state: Value = serde_json::from_slice(&fs::read(&host).unwrap()).unwrap();
    let day = 24 * 60 * 60;
    state["renewed"] = (state["renewed"].as_u64().unwrap() - day + 60).into();
    fs::write(&host, state.to_string()).unwrap();
    server.start_daemon();
    server.label("production");
    server.label("staging");
    server.label("production");
    assert_eq!(fs::read_to_string(&path).unwrap(), before, "not yet a day");
    drop(server.daemon.take());
    state["renewed"] = (state["renewed"].as_u64().unwrap() - 120).into();
    fs::write(&host, state.to_string()).unwrap();
    server.start_daemon();
    clock::until("another certificate", || {
        (fs::read_to_string(&path).unwrap() != before).then_some(())
    });
    // sshd reads host certificates when it is told to.
    server.sshd.as_mut().unwrap().says("Received SIGHUP");
    let key = server.certified();
    clock::until("sshd to listen again", || {
        port::answers(ADDRESS, server.port).then_some(())
    });
    server.enters("observer", &key);
}

#[test]
fn a54_a_bundle_of_yesterday_of_another_host_or_of_nobody_changes_nothing() {
    let server = server!(Server::new());
    let seen: Arc<Mutex<Vec<Value>>> = Arc::default();
    let instead: Arc<Mutex<Option<Value>>> = Arc::default();
    let proxy = {
        let (seen, instead) = (seen.clone(), instead.clone());
        Proxy::start(server.lab.ca.address, move |path, answer| {
            if path.starts_with("/v1/hosts/self/bundle") {
                if let Some(instead) = &*instead.lock().unwrap() {
                    *answer = instead.clone();
                }
                seen.lock().unwrap().push(answer.clone());
            }
        })
    };
    server.enroll(&proxy.url, &[]).ok();
    server.host(&["sync", "--once"]).ok();
    let old = seen.lock().unwrap().last().unwrap().clone();
    server.label("staging");
    server.host(&["sync", "--once"]).ok();
    assert!(!server.admits_observers());
    let newest = seen.lock().unwrap().last().unwrap().clone();

    let (other, enrolment) = server
        .lab
        .ca
        .enrol(&["db01.prod.example.com"], &[("env", "production")]);
    assert_ne!(other.id, "");
    let of_another = json!(enrolment.bundle);
    let mut unsigned = newest.clone();
    unsigned["signature"] = "".into();
    let mut changed = newest.clone();
    let document = newest["document"].as_str().unwrap().to_owned();
    changed["document"] = document.replace("staging", "production").into();
    let mut emptied = newest.clone();
    emptied["document"] = "".into();
    let mut other_key_set = newest.clone();
    other_key_set["key_set"]["document"] = "{}".into();
    let before = server.files();
    for (what, bad) in [
        ("yesterday's", old),
        ("another host's", of_another),
        ("unsigned", unsigned),
        ("changed", changed),
        ("emptied", emptied),
        ("another key set", other_key_set),
        ("nothing", json!({})),
    ] {
        *instead.lock().unwrap() = Some(bad);
        server.host(&["sync", "--once"]).failed();
        assert_eq!(server.files(), before, "{what}");
        assert!(server.status()["problem"]["what"].is_string(), "{what}");
    }
    // The state is gone: nothing is taken from anybody without a new invitation.
    *instead.lock().unwrap() = None;
    server.host(&["sync", "--once"]).ok();
    assert_eq!(server.status()["problem"], Value::Null);
    fs::remove_file(server.state.join("host.json")).unwrap();
    server.host(&["sync", "--once"]).failed();
    assert_eq!(server.files(), before);
}

#[test]
fn an_invitation_on_the_command_line_is_not_understood_and_one_that_others_may_read_is_refused() {
    let lab = Dir::new();
    let run = |arguments: &[&str]| {
        jit_ssh_tests::process::Run::new(program("jit-ssh-host"))
            .args([
                "enroll",
                "--ca",
                "http://127.0.0.1:1",
                "--fingerprint",
                "SHA256:x",
            ])
            .args(["--name", NAME])
            .args(arguments)
            .go()
    };
    run(&["--token", "jit-ssh-invite-x"]).failed_with(2);
    let file = lab.join("token");
    fs::write(&file, "jit-ssh-invite-x\n").unwrap();
    let output = run(&["--token-file", &file.display().to_string()]).failed();
    assert!(output.all().contains("Others may read"), "{}", output.all());
}
