//! A real set-up in six commands and no edited file: `setup`, the lines that it prints for a server
//! and a laptop, run as they stand, and plain `ssh`.

use std::fs;
use std::net::Ipv4Addr;

use jit_ssh_tests::client::Laptop;
use jit_ssh_tests::dir::Dir;
use jit_ssh_tests::idp::{CLIENT, Habit, Idp};
use jit_ssh_tests::process::{Child, Run, program};
use jit_ssh_tests::world::World;
use jit_ssh_tests::{clock, keygen, port};

use crate::paste::Terminal;
use crate::scene::WEB;

#[test]
fn the_lines_that_setup_prints_lead_to_plain_ssh_without_an_edited_file() {
    let dir = Dir::new();
    let Some(world) = World::new(&dir).filter(World::has_real_accounts) else {
        jit_ssh_tests::skip!("needs root: an /etc/ssh and accounts of the server's own");
    };
    let idp = Idp::start(Habit::Generic);
    let (data, port) = (dir.join("ca"), port::free());
    // 1, 2: the CA.
    let said = Run::new(program("jit-ssh-ca"))
        .args(["setup", "--json", "--no-systemd", "--paste-page"])
        .args(["--url", &format!("https://127.0.0.1:{port}")])
        .args(["--listen", &format!("127.0.0.1:{port}")])
        .args(["--issuer", &idp.issuer, "--client-id", CLIENT])
        .args(["--grant", "Ops=production-observer:observer"])
        .args(["--hosts", "*.prod.example.com"])
        .arg("--data")
        .arg(&data)
        .arg("--passphrase-file")
        .arg(dir.join("passphrase"))
        .go()
        .ok()
        .json();
    let line = |name: &str| said[name].as_str().unwrap().to_owned();
    assert!(
        idp.hits("/openid-configuration") >= 1,
        "it read the issuer's discovery"
    );
    let redirects = said["redirects"].to_string();
    assert!(redirects.contains("/callback") && redirects.contains("/sign-in"));
    let mut serving = Run::new(program("jit-ssh-ca"))
        .args(["serve", "--passphrase-file"])
        .arg(line("passphrase_file"))
        .arg("--data")
        .arg(line("data"))
        .start("serve", &dir);
    clock::until("the CA to listen", || {
        assert!(serving.runs(), "{}", serving.log());
        port::answers(Ipv4Addr::LOCALHOST, port).then_some(())
    });
    let target = program("jit-ssh").parent().unwrap().to_owned();
    let path = format!("{}:{}", target.display(), std::env::var("PATH").unwrap());

    // 3: the server's line, typed there.
    let server = Server::start(&world, &dir);
    let command = line("server_command");
    let command = command.strip_prefix("sudo ").unwrap();
    let shell = world.run("sh").env("PATH", &path).args(["-c", command]);
    shell.go().ok();

    // 4, 5: the laptop's line, typed there, and yes to the ssh configuration.
    idp.seat("alice");
    let laptop = Laptop::new(&world, "alice", &[]);
    server.introduce(&laptop);
    let script = laptop.run("script").env("PATH", &path);
    let mut login = Terminal::typing(&dir, script, &line("laptop_command"));
    assert_eq!(login.say_yes(), 0, "{}", login.child.log());

    // 6: plain ssh.
    let who = laptop.ssh(&[&format!("observer@{WEB}"), "id -un"]).ok();
    assert_eq!(who.text(), "observer");
    laptop
        .ssh(&[&format!("admin@{WEB}"), "true"])
        .failed_with(255);
}

/// A server as a distribution leaves it, with an `/etc/ssh` of its own inside the world.
struct Server {
    port: u16,
    host_key: String,
    #[expect(dead_code, reason = "ends with the test")]
    sshd: Child,
}

impl Server {
    fn start(world: &World, dir: &Dir) -> Self {
        let address = Ipv4Addr::new(127, 0, 66, 2);
        let port = port::free_on(address);
        let etc = dir.folder("etc-ssh");
        fs::create_dir_all(etc.join("sshd_config.d")).unwrap();
        keygen::generate(&etc.join("host_key"), &["-t", "ed25519"]);
        let config = format!(
            "Include /etc/ssh/sshd_config.d/*.conf\nListenAddress {address}:{port}\n\
             HostKey /etc/ssh/host_key\nPidFile /run/sshd.pid\nUsePAM no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        );
        fs::write(etc.join("sshd_config"), config).unwrap();
        let bind = world.run("mount").arg("--bind").arg(&etc);
        bind.arg("/etc/ssh").go().ok();
        let mut sshd = world
            .run("/usr/sbin/sshd")
            .args(["-D", "-e"])
            .start("sshd", dir);
        clock::until("sshd to listen", || {
            assert!(sshd.runs(), "{}", sshd.log());
            port::answers(address, port).then_some(())
        });
        Server {
            port,
            host_key: keygen::public(&etc.join("host_key")),
            sshd,
        }
    }

    /// What a laptop knows of a server before: its port and its host key.
    fn introduce(&self, laptop: &Laptop<'_>) {
        let (port, ssh) = (self.port, laptop.home().join(".ssh"));
        fs::write(ssh.join("config"), format!("Host {WEB}\n    Port {port}\n")).unwrap();
        let known = format!("[{WEB}]:{port} {}\n", self.host_key);
        fs::write(ssh.join("known_hosts"), known).unwrap();
    }
}

#[test]
fn setup_says_what_to_register_and_to_paste() {
    let dir = Dir::new();
    let idp = Idp::start(Habit::Generic);
    let said = Run::new(program("jit-ssh-ca"))
        .args(["setup", "--no-systemd", "--paste-page"])
        .args(["--url", "https://ca.example.com"])
        .args(["--issuer", &idp.issuer, "--client-id", CLIENT])
        .args(["--grant", "Ops=production-observer:observer"])
        .arg("--data")
        .arg(dir.join("ca"))
        .arg("--passphrase-file")
        .arg(dir.join("passphrase"))
        .go()
        .ok();
    for line in [
        "http://127.0.0.1/callback",
        "https://ca.example.com/sign-in",
        "sudo jit-ssh-host install --ca https://ca.example.com --fingerprint SHA256:",
        "jit-ssh login --ca https://ca.example.com --fingerprint SHA256:",
        "jit-ssh-ca serve --data",
    ] {
        assert!(said.stdout.contains(line), "{line}: {said}");
    }
    let policy = fs::read_to_string(dir.join("ca/policy.toml")).unwrap();
    assert!(policy.contains("Ops"));
}

#[test]
fn an_identity_key_that_is_kept_elsewhere_signs_the_key_set_with_ssh_keygen() {
    let dir = Dir::new();
    let (data, port) = (dir.join("ca"), port::free());
    jit_ssh_tests::keygen::generate(&dir.join("offline"), &["-t", "ed25519"]);
    let said = Run::new(program("jit-ssh-ca"))
        .args([
            "init",
            "--json",
            "--url",
            &format!("http://127.0.0.1:{port}"),
            "--tls",
            "none",
        ])
        .args(["--listen", &format!("127.0.0.1:{port}")])
        .args([
            "--issuer",
            "https://idp.example.com",
            "--client-id",
            "x",
            "--identity-key",
        ])
        .arg(dir.join("offline.pub"))
        .arg("--data")
        .arg(&data)
        .arg("--generate-passphrase")
        .arg(dir.join("passphrase"))
        .go()
        .ok();
    let serve = || {
        Run::new(program("jit-ssh-ca"))
            .args(["serve", "--passphrase-file"])
            .arg(dir.join("passphrase"))
            .arg("--data")
            .arg(&data)
    };
    let sign = said.json()["sign_key_set"].as_str().unwrap().to_owned();
    assert!(sign.contains("ssh-keygen -Y sign"), "{sign}");
    // What it says to type, at the place where the identity key is.
    let document = clock::until("the document to sign", || {
        fs::read_dir(&data)
            .unwrap()
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|kind| kind == "tosign"))
    });
    Run::new("ssh-keygen")
        .args(["-q", "-Y", "sign", "-n", "jit-ssh-key-set@v1", "-f"])
        .arg(dir.join("offline"))
        .arg(&document)
        .go()
        .ok();
    let mut serving = serve().start("serve", &dir);
    clock::until("the CA to listen", || {
        assert!(serving.runs(), "{}", serving.log());
        port::answers(std::net::Ipv4Addr::LOCALHOST, port).then_some(())
    });
    let wire = jit_ssh_tests::wire::Wire::new(([127, 0, 0, 1], port).into());
    let offline: ssh_key::PublicKey = jit_ssh_tests::keygen::public(&dir.join("offline"))
        .parse()
        .unwrap();
    let pin = offline.fingerprint(ssh_key::HashAlg::Sha256).to_string();
    wire.ca.key_set.verify(&pin).unwrap();
}

#[test]
fn help_of_every_command_of_all_programs_says_what_it_is_for() {
    for (name, commands) in [
        (
            "jit-ssh-ca",
            &[
                "setup",
                "init",
                "serve",
                "policy",
                "login",
                "audit",
                "key",
                "backup",
                "restore",
                "doctor",
                "completions",
            ][..],
        ),
        (
            "jit-ssh",
            &[
                "login",
                "logout",
                "status",
                "roles",
                "ensure",
                "ssh-config",
                "inspect",
                "doctor",
                "completions",
            ],
        ),
        ("jit-ssh-host", &["install", "uninstall", "print", "doctor"]),
    ] {
        Run::new(program(name)).arg("--version").go().ok();
        for command in commands {
            let said = Run::new(program(name)).args([command, "--help"]).go().ok();
            assert!(said.stdout.contains("Usage:"), "{name} {command}: {said}");
        }
        Run::new(program(name))
            .arg("no-such-command")
            .go()
            .failed_with(2);
    }
}

#[test]
fn a_provider_whose_documents_the_ca_would_not_take_is_told_by_setup() {
    let dir = Dir::new();
    let idp = Idp::start(Habit::Generic);
    let ask = || {
        Run::new(program("jit-ssh-ca"))
            .args(["setup", "--no-start", "--url", "https://ca.example.com"])
            .args(["--issuer", &idp.issuer, "--client-id", CLIENT])
            .arg("--data")
            .arg(dir.join("ca"))
            .arg("--passphrase-file")
            .arg(dir.join("passphrase"))
            .go()
    };
    for broken in [r#"{"keys":[]}"#, "not a key set"] {
        idp.misbehave(|faults| faults.keys = Some(broken.to_owned()));
        let refused = ask().failed();
        assert!(refused.stderr.contains("would not take"), "{refused}");
        assert!(!dir.join("ca").exists());
    }
    idp.misbehave(|faults| faults.keys = None);
    ask().ok();
}
