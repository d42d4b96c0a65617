//! The refresh token in a real Secret Service: GNOME's keyring on a session bus of its own.

use std::fs;

use jit_ssh_tests::ca::POLICY;
use jit_ssh_tests::client::Laptop;
use jit_ssh_tests::clock;
use jit_ssh_tests::lab::Lab;
use jit_ssh_tests::process::{Child, installed};

use crate::scene;
use crate::scene::{Scene, WEB, below};

/// A desktop session without a desktop; ends with the test.
struct Session {
    address: String,
    child: Child,
}

impl Session {
    /// With this line for the keyring daemon.
    fn start(scene: &Scene, laptop: &Laptop<'_>, name: &str, daemon: &str) -> Self {
        let script = format!("{daemon}; echo address=$DBUS_SESSION_BUS_ADDRESS; exec cat");
        let child = laptop
            .run("dbus-run-session")
            .args(["--", "sh", "-c", &script])
            .start(name, &scene.lab.dir);
        let address = clock::until("the session's address", || {
            let log = child.log();
            let mut lines = log.lines();
            lines.find_map(|line| Some(line.strip_prefix("address=")?.to_owned()))
        });
        Session { address, child }
    }

    /// Whose login keyring is open.
    fn unlocked(scene: &Scene, laptop: &Laptop<'_>) -> Self {
        let daemon =
            "printf password | gnome-keyring-daemon --daemonize --unlock --components=secrets";
        Session::start(scene, laptop, "unlocked", daemon)
    }

    /// Whose login keyring waits for a password that nobody will type.
    fn locked(scene: &Scene, laptop: &Laptop<'_>) -> Self {
        let daemon = "gnome-keyring-daemon --daemonize --components=secrets </dev/null";
        Session::start(scene, laptop, "locked", daemon)
    }
}

/// A scene with identities that are stale after three seconds.
fn desktop() -> Option<Scene> {
    let policy = POLICY.replacen("max_validity = \"15m\"", "max_validity = \"6s\"", 1);
    let lab = Lab::builder()
        .issuer("identity_max_age = \"3s\"")
        .policy(&policy);
    Scene::with(lab, &[WEB], |plan| plan)
}

/// What a keyring needs and this machine lacks.
fn missing() -> Option<&'static str> {
    let mut needed = ["dbus-run-session", "gnome-keyring-daemon", "secret-tool"].into_iter();
    needed.find(|program| !installed(program))
}

/// What the keyring keeps for the CA.
fn secret(laptop: &Laptop<'_>) -> Option<String> {
    let asked = laptop
        .run("secret-tool")
        .args(["lookup", "service", "jit-ssh"])
        .args(["username", "refresh token for ca.test"])
        .go();
    match asked.code {
        Some(0) => Some(asked.text().to_owned()),
        Some(1) if asked.stderr.is_empty() => None,
        _ => panic!("{asked}"),
    }
}

/// Files of the laptop that have this text.
fn files_with(laptop: &Laptop<'_>, text: &str) -> Vec<String> {
    let files = below(laptop.home()).into_iter();
    files
        // Sockets of the daemon cannot be read.
        .filter(|path| {
            fs::read(path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(text))
        })
        .map(|path| path.display().to_string())
        .collect()
}

#[test]
fn the_refresh_token_lives_in_the_keyring_and_ends_with_the_logout() {
    if let Some(program) = missing() {
        jit_ssh_tests::skip!("{program} is not installed");
    }
    let scene = scene!(desktop());
    let laptop = scene.laptop("alice");
    let session = Session::unlocked(&scene, &laptop);
    let laptop = laptop.with_bus(&session.address);
    scene.sign_in(&laptop, &[]).ok();
    laptop.jit(&["ssh-config"]).go().ok();
    let first = secret(&laptop).expect("the keyring has the refresh token");
    assert_eq!(files_with(&laptop, &first), [""; 0]);
    // A renewal takes it from there, and puts the next one there.
    let next = clock::until("a refresh", || {
        laptop.ssh(&[&format!("observer@{WEB}"), "true"]).ok();
        secret(&laptop).filter(|next| *next != first)
    });
    assert_eq!(files_with(&laptop, &next), [""; 0]);
    assert_eq!(scene.lab.ca.records_of("login-opened").len(), 1);
    laptop.jit(&["logout"]).go().ok();
    assert_eq!(secret(&laptop), None);
    assert!(scene.lab.idp.inner().revoked() >= 1);
}

#[test]
fn a_locked_keyring_is_done_without_and_the_token_is_in_a_private_file() {
    use std::os::unix::fs::MetadataExt as _;
    if let Some(program) = missing() {
        jit_ssh_tests::skip!("{program} is not installed");
    }
    let scene = scene!(desktop());
    let laptop = scene.laptop("alice");
    // Makes the keyring that is locked afterwards.
    let mut first = Session::unlocked(&scene, &laptop);
    let laptop = laptop.with_bus(&first.address);
    scene.sign_in(&laptop, &[]).ok();
    assert!(secret(&laptop).is_some());
    laptop.jit(&["logout"]).go().ok();
    first.child.kill();
    let session = Session::locked(&scene, &laptop);
    let laptop = laptop.with_bus(&session.address);
    scene.sign_in(&laptop, &[]).ok();
    let file = laptop
        .home()
        .join(".local/state/jit-ssh/ca.test/refresh-token");
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    laptop.jit(&["ssh-config"]).go().ok();
    let before = fs::read_to_string(&file).unwrap();
    clock::until("a refresh", || {
        laptop.ssh(&[&format!("observer@{WEB}"), "true"]).ok();
        (fs::read_to_string(&file).unwrap() != before).then_some(())
    });
}
