//! The same stories with both providers: the one for tests, and npm's oidc-provider, which we did
//! not write. What only the one allows, the other shows.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use jit_ssh_tests::ca::{Ca, POLICY, Plan};
use jit_ssh_tests::client::Laptop;
use jit_ssh_tests::dir::Dir;
use jit_ssh_tests::idp::{CLIENT, Habit, Idp};
use jit_ssh_tests::op::Op;
use jit_ssh_tests::process::Output;
use jit_ssh_tests::sshd::Sshd;
use jit_ssh_tests::world::World;
use jit_ssh_tests::{browser, clock, http, keygen, port};
use serde_json::json;

use crate::paste::Terminal;
use crate::scene;
use crate::scene::{BASTION, DB, WEB, certificates, plan};

/// Each story once with either provider.
macro_rules! with_both {
    ($($story:ident)*) => {
        mod ours {
            $(#[test] fn $story() { super::$story(super::Which::Ours); })*
        }
        mod real {
            $(#[test] fn $story() { super::$story(super::Which::Real); })*
        }
    };
}

with_both! {
    a_login_in_a_browser_opens_ssh_scp_sftp_rsync_and_two_hops
    a_login_by_pasted_text_opens_ssh
    the_wrong_group_account_key_and_channel_are_refused
    a_certificate_expires_in_real_seconds_and_a_rotated_refresh_token_renews_it
    a_group_that_was_lost_is_gone_at_the_refresh
    a_stolen_old_refresh_token_is_refused_and_ends_the_login
    a_person_who_left_gets_no_further_certificate
}

/// Which provider.
#[derive(Clone, Copy, Debug)]
enum Which {
    Ours,
    Real,
}

/// A provider that runs.
enum Provider {
    Ours(Idp),
    Real(Op),
}

impl Provider {
    fn issuer(&self) -> &str {
        match self {
            Provider::Ours(idp) => &idp.issuer,
            Provider::Real(op) => &op.issuer,
        }
    }

    /// Puts a person into exactly these groups.
    fn regroup(&self, person: &str, groups: &[&str]) {
        match self {
            Provider::Ours(idp) => idp.change(person, |person| {
                person.groups = groups.iter().map(|&group| group.to_owned()).collect();
            }),
            Provider::Real(op) => op.change(person, &json!({ "groups": groups })),
        }
    }

    /// The person leaves the company.
    fn dismiss(&self, person: &str) {
        match self {
            Provider::Ours(idp) => idp.change(person, |person| person.disabled = true),
            Provider::Real(op) => op.remove(person),
        }
    }

    /// Uses a refresh token, as whoever holds it can.
    fn redeem(&self, refresh_token: &str) -> http::Answer {
        let issuer: url::Url = self.issuer().parse().unwrap();
        let address: SocketAddr = issuer.socket_addrs(|| None).unwrap()[0];
        let path = "/.well-known/openid-configuration";
        let metadata: serde_json::Value = http::send(address, "GET", path, &[], b"").json();
        let endpoint: url::Url = metadata["token_endpoint"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "refresh_token")
            .append_pair("client_id", CLIENT)
            .append_pair("refresh_token", refresh_token)
            .finish();
        let kind = ("Content-Type", "application/x-www-form-urlencoded");
        http::send(address, "POST", endpoint.path(), &[kind], form.as_bytes())
    }
}

/// A provider, a CA that trusts it, and servers that trust the CA.
struct Stage {
    servers: Vec<Sshd>,
    world: World,
    ca: Ca,
    provider: Provider,
    dir: Dir,
}

impl Stage {
    /// `None`, loudly, where there is no node or no namespace.
    fn set(which: Which, servers: &[&str], change: impl FnOnce(&mut Plan)) -> Option<Self> {
        let dir = Dir::new();
        let port = port::free();
        let provider = match which {
            Which::Ours => Provider::Ours(Idp::start(Habit::Generic)),
            Which::Real => {
                let page = format!("http://127.0.0.1:{port}/sign-in");
                Provider::Real(Op::start(&dir, "RS256", &page)?)
            }
        };
        let mut plan_ = Plan {
            // The real one gives no refresh token without consent (OpenID Connect Core §11).
            client:
                "scopes = [\"openid\", \"email\", \"profile\", \"groups\", \"offline_access\"]\n\
                 extra = { prompt = \"consent\" }"
                    .to_owned(),
            port: Some(port),
            ..Plan::default()
        };
        change(&mut plan_);
        let mut ca = Ca::init(&dir, plan_, &[provider.issuer().to_owned()]);
        ca.serve();
        let world = World::new(&dir)?;
        let keys = ca.user_ca();
        let servers = servers
            .iter()
            .map(|name| plan(name, &keys).start(&world, &dir))
            .collect();
        Some(Stage {
            servers,
            world,
            ca,
            provider,
            dir,
        })
    }

    /// With certificates of six seconds, and identities that are stale after three.
    fn in_a_hurry(which: Which) -> Option<Self> {
        Stage::set(which, &[WEB], |plan| {
            plan.policy = POLICY.replacen("max_validity = \"15m\"", "max_validity = \"6s\"", 1);
            "identity_max_age = \"3s\"".clone_into(&mut plan.issuer);
        })
    }

    fn laptop(&self, person: &str) -> Laptop<'_> {
        if let Provider::Ours(idp) = &self.provider {
            idp.seat(person);
        }
        Laptop::new(
            &self.world,
            person,
            &self.servers.iter().collect::<Vec<_>>(),
        )
    }

    fn sign_in(&self, laptop: &Laptop<'_>, arguments: &[&str]) -> Output {
        laptop
            .jit(&["login", "--ca", &self.ca.url])
            .args(["--fingerprint", &self.ca.fingerprint()])
            .args(arguments)
            .go()
    }

    fn signed_in(&self, person: &str) -> Laptop<'_> {
        let laptop = self.laptop(person);
        self.sign_in(&laptop, &[]).ok();
        laptop.jit(&["ssh-config"]).go().ok();
        laptop
    }

    fn server(&self, name: &str) -> &Sshd {
        let mut servers = self.servers.iter();
        servers.find(|server| server.name == name).unwrap()
    }

    /// Plain ssh to the observer's account, without the include: this key, this certificate.
    fn bare(&self, laptop: &Laptop<'_>, key: &Path, certificate: &Path) -> Output {
        laptop
            .run("ssh")
            .args(["-F", "none", "-o", "BatchMode=yes"])
            .args(["-o", "IdentitiesOnly=yes", "-i"])
            .arg(key)
            .arg("-o")
            .arg(format!("CertificateFile={}", certificate.display()))
            .args(["-p", &self.server(WEB).port.to_string()])
            .args([&format!("observer@{WEB}"), "true"])
            .go()
    }
}

/// What the client keeps of its login.
fn kept(laptop: &Laptop<'_>, name: &str) -> PathBuf {
    laptop
        .home()
        .join(".local/state/jit-ssh/ca.test")
        .join(name)
}

fn refresh_token(laptop: &Laptop<'_>) -> String {
    fs::read_to_string(kept(laptop, "refresh-token")).unwrap()
}

fn observer() -> String {
    format!("observer@{WEB}")
}

/// Plain ssh, again and again, until the client used its refresh token and keeps the next.
fn until_rotated(laptop: &Laptop<'_>) -> String {
    let first = refresh_token(laptop);
    clock::until("a refresh", || {
        laptop.ssh(&[&observer(), "true"]).ok();
        (refresh_token(laptop) != first).then_some(())
    });
    first
}

/// Plain ssh, again and again, until it is refused.
fn until_refused(laptop: &Laptop<'_>) -> Output {
    clock::until("the door to close", || {
        let said = laptop.ssh(&[&observer(), "true"]);
        (said.code != Some(0)).then_some(said)
    })
    .failed_with(255)
}

fn a_login_in_a_browser_opens_ssh_scp_sftp_rsync_and_two_hops(which: Which) {
    let stage = scene!(Stage::set(which, &[WEB, BASTION, DB], |_| {}));
    let laptop = stage.signed_in("alice");
    let who = laptop.ssh(&[&observer(), "id -un"]).ok();
    assert_eq!(who.text(), "observer");
    let file = laptop.home().join("file");
    fs::write(&file, "canary").unwrap();
    let batch = ["-o", "BatchMode=yes"];
    let to = |name: &str| format!("{}:{name}", observer());
    let copy = laptop.run("scp").args(batch).arg(&file);
    copy.arg(to("by-scp")).go().ok();
    laptop
        .run("sftp")
        .args(batch)
        .args(["-b", "-", &observer()])
        .input(format!("put {} by-sftp\n", file.display()))
        .go()
        .ok();
    let sync = laptop.run("rsync").arg("-a").arg(&file);
    sync.arg(to("by-rsync")).go().ok();
    for name in ["by-scp", "by-sftp", "by-rsync"] {
        let there = stage.world.home_of("observer").join(name);
        assert_eq!(fs::read_to_string(there).unwrap(), "canary", "{name}");
    }
    let (hop, end) = (format!("deploy@{BASTION}"), format!("observer@{DB}"));
    let who = laptop.ssh(&["-J", &hop, &end, "id -un"]).ok();
    assert_eq!(who.text(), "observer");
    assert!(stage.server(BASTION).log().contains("role=jump"));
    assert!(stage.server(DB).log().contains("role=production-observer"));
}

fn a_login_by_pasted_text_opens_ssh(which: Which) {
    let stage = scene!(Stage::set(which, &[WEB], |_| {}));
    let laptop = stage.laptop("alice");
    let (mut terminal, url) = Terminal::at(&stage.dir, &stage.ca, &laptop, &[]);
    let shown = browser::paste("alice", &url);
    assert_eq!(terminal.paste(&shown), 0, "{}", terminal.child.log());
    laptop.ssh(&[&observer(), "true"]).ok();
    let asked = fs::read_to_string(laptop.home().join("browser.log"));
    assert!(asked.is_err(), "no browser was opened here: {asked:?}");
}

fn the_wrong_group_account_key_and_channel_are_refused(which: Which) {
    let stage = scene!(Stage::set(which, &[WEB, BASTION], |_| {}));
    // No group: no certificate.
    let bob = stage.laptop("bob");
    let said = stage.sign_in(&bob, &[]).failed_with(3);
    assert!(said.stderr.to_lowercase().contains("group"), "{said}");
    assert!(certificates(&bob).is_empty());
    // Another group's role and account.
    let laptop = stage.signed_in("alice");
    laptop.ssh(&[&observer(), "true"]).ok();
    for account in ["admin", "carol", "root"] {
        let there = format!("{account}@{WEB}");
        laptop.ssh(&[&there, "true"]).failed_with(255);
    }
    // The certificate with another key than its own.
    let certificate = kept(&laptop, "roles/production-observer-cert.pub");
    let thief = stage.dir.join("thief");
    keygen::generate(&thief, &["-t", "ed25519"]);
    let own = kept(&laptop, "key");
    stage.bare(&laptop, &own, &certificate).ok();
    stage.bare(&laptop, &thief, &certificate).failed_with(255);
    // A forwarded port, where the role has no extension for it; and where it has.
    let forward = format!("0:127.0.0.1:{}", stage.ca.address.port());
    let over = |to: &str| {
        let strict = ["-o", "ExitOnForwardFailure=yes", "-R", &forward];
        laptop.ssh(&[&strict[..], &[to, "true"]].concat())
    };
    over(&observer()).failed_with(255);
    over(&format!("deploy@{BASTION}")).ok();
    let said = stage.sign_in(&laptop, &["--role", "production-admin"]);
    assert!(said.failed_with(3).stderr.contains("Leads"));
}

fn a_certificate_expires_in_real_seconds_and_a_rotated_refresh_token_renews_it(which: Which) {
    let stage = scene!(Stage::in_a_hurry(which));
    let laptop = stage.signed_in("alice");
    let old = stage.dir.join("old-cert.pub");
    fs::copy(kept(&laptop, "roles/production-observer-cert.pub"), &old).unwrap();
    let key = kept(&laptop, "key");
    stage.bare(&laptop, &key, &old).ok();
    clock::until("the certificate to expire", || {
        (stage.bare(&laptop, &key, &old).code != Some(0)).then_some(())
    });
    stage.bare(&laptop, &key, &old).failed_with(255);
    let log = stage.server(WEB).log();
    assert!(log.contains("Certificate invalid: expired"), "{log}");
    // Twice, so that the second refresh stands on the token that the first one brought.
    until_rotated(&laptop);
    until_rotated(&laptop);
    assert_eq!(stage.ca.records_of("login-opened").len(), 1);
}

fn a_group_that_was_lost_is_gone_at_the_refresh(which: Which) {
    let stage = scene!(Stage::in_a_hurry(which));
    let laptop = stage.signed_in("alice");
    until_rotated(&laptop);
    stage.provider.regroup("alice", &["Engineering"]);
    let said = until_refused(&laptop);
    assert!(said.stderr.contains("Ops"), "what would help: {said}");
    // The login goes on for what is left, and the group's return opens the door again.
    stage.provider.regroup("alice", &["Ops"]);
    clock::until("the door to open", || {
        (laptop.ssh(&[&observer(), "true"]).code == Some(0)).then_some(())
    });
    assert_eq!(stage.ca.records_of("login-opened").len(), 1);
}

fn a_stolen_old_refresh_token_is_refused_and_ends_the_login(which: Which) {
    let stage = scene!(Stage::in_a_hurry(which));
    let laptop = stage.signed_in("alice");
    let stolen = until_rotated(&laptop);
    let answer = stage.provider.redeem(&stolen);
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(answer.body.contains("invalid_grant"), "{answer:?}");
    // Providers take the second use for a theft and end both holders' grant: the person is told.
    let said = until_refused(&laptop);
    assert!(said.stderr.contains("jit-ssh login"), "{said}");
    stage.sign_in(&laptop, &[]).ok();
    laptop.ssh(&[&observer(), "true"]).ok();
}

fn a_person_who_left_gets_no_further_certificate(which: Which) {
    let stage = scene!(Stage::in_a_hurry(which));
    let laptop = stage.signed_in("alice");
    until_rotated(&laptop);
    stage.provider.dismiss("alice");
    let said = until_refused(&laptop);
    assert!(said.stderr.contains("jit-ssh login"), "{said}");
}
