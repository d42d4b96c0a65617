//! Many shells at once, and those who wait: one browser for all, none after somebody gave up, and
//! nobody who cannot answer waits for somebody else's browser.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jit_ssh_tests::client::Laptop;
use jit_ssh_tests::process::{Child, Output, Run};

use crate::scene;
use crate::scene::{Scene, WEB, certificates};

/// Alice's laptop, with the include written and nobody signed in any more.
fn signed_out(scene: &Scene) -> Laptop<'_> {
    let laptop = scene.signed_in("alice");
    laptop.jit(&["logout"]).go().ok();
    laptop
}

/// A browser in which nobody signs in: it only notes that it was opened.
fn idle_browser(scene: &Scene) -> (PathBuf, impl Fn() -> usize) {
    let opened = scene.lab.dir.join("opened");
    let script = format!("#!/bin/sh\necho opened >> {}\n", opened.display());
    let path = scene.lab.dir.file("idle-browser", &script);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let count = move || fs::read_to_string(&opened).map_or(0, |text| text.lines().count());
    (path, count)
}

fn timed(run: Run) -> (Output, Duration) {
    let started = Instant::now();
    let said = run.go();
    (said, started.elapsed())
}

const AT_ONCE: Duration = Duration::from_secs(2);

/// `ssh` at a terminal of its own, and what types into it.
struct Shell {
    child: Child,
    keys: PathBuf,
}

impl Shell {
    fn open(scene: &Scene, laptop: &Laptop<'_>, name: &str, browser: &std::path::Path) -> Self {
        let keys = scene.lab.dir.join(&format!("{name}.keys"));
        Run::new("mkfifo").arg(&keys).go().ok();
        let command = format!("ssh observer@{WEB} true");
        let child = laptop
            .run("script")
            .env("BROWSER", browser)
            .args(["--quiet", "--return", "--command", &command, "/dev/null"])
            .reading(&keys)
            .start(name, &scene.lab.dir);
        Shell { child, keys }
    }

    fn presses_ctrl_c(&self) {
        fs::write(&self.keys, "\x03").unwrap();
    }
}

#[test]
fn five_shells_without_a_login_open_one_browser_and_one_login() {
    let scene = scene!(Scene::new(&[WEB]));
    let laptop = signed_out(&scene);
    let before = scene.lab.idp.inner().authorizations.len();
    let logins = scene.lab.ca.records_of("login-opened").len();
    let to = format!("observer@{WEB}");
    let said: Vec<Output> = std::thread::scope(|scope| {
        let shells: Vec<_> = (0..5)
            .map(|_| scope.spawn(|| laptop.run("ssh").args([&to, "true"]).go()))
            .collect();
        shells
            .into_iter()
            .map(|shell| shell.join().unwrap())
            .collect()
    });
    for said in said {
        said.ok();
    }
    let browsers = scene.lab.idp.inner().authorizations.len() - before;
    assert_eq!(browsers, 1, "five shells opened {browsers} browsers");
    assert_eq!(scene.lab.ca.records_of("login-opened").len() - logins, 1);
}

#[test]
fn those_who_wait_open_no_browser_after_somebody_gave_up() {
    let scene = scene!(Scene::new(&[WEB]));
    let laptop = signed_out(&scene);
    let (browser, opened) = idle_browser(&scene);
    let mut first = Shell::open(&scene, &laptop, "first", &browser);
    first.child.says("Sign in in the browser");
    let mut others: Vec<Shell> = ["second", "third", "fourth"]
        .into_iter()
        .map(|name| Shell::open(&scene, &laptop, name, &browser))
        .collect();
    for shell in &mut others {
        shell.child.says("Another shell is signing in");
    }
    // Who waits can give up alone: the others go on waiting.
    let mut impatient = others.remove(0);
    impatient.presses_ctrl_c();
    assert_ne!(impatient.child.wait(), 0);
    assert!(first.child.runs());
    first.presses_ctrl_c();
    assert_ne!(first.child.wait(), 0);
    for shell in &mut others {
        shell.child.says("jit-ssh login");
        assert_ne!(shell.child.wait(), 0);
    }
    assert_eq!(opened(), 1);
}

#[test]
fn a_sign_in_that_the_provider_refuses_is_not_tried_by_every_shell() {
    let scene = scene!(Scene::new(&[WEB]));
    let laptop = signed_out(&scene);
    scene
        .lab
        .idp
        .misbehave(|faults| faults.token_error = Some("invalid_grant".to_owned()));
    let (idle, _) = idle_browser(&scene);
    let mut first = Shell::open(&scene, &laptop, "first", &idle);
    first.child.says("/authorize?");
    let url = first
        .child
        .log()
        .split_whitespace()
        .find(|word| word.contains("/authorize?"))
        .unwrap()
        .to_owned();
    let mut second = Shell::open(&scene, &laptop, "second", &idle);
    second.child.says("Another shell is signing in");
    let before = scene.lab.idp.inner().authorizations.len();
    jit_ssh_tests::browser::show("alice", &url);
    assert_ne!(first.child.wait(), 0);
    second.child.says("jit-ssh login");
    assert_ne!(second.child.wait(), 0);
    assert_eq!(scene.lab.idp.inner().authorizations.len() - before, 1);
}

#[test]
fn a_pending_sign_in_holds_up_neither_tools_nor_batch_jobs_nor_a_logout() {
    let scene = scene!(Scene::new(&[WEB]));
    let laptop = signed_out(&scene);
    let (browser, opened) = idle_browser(&scene);
    let mut pending = laptop
        .jit(&["login"])
        .env("BROWSER", &browser)
        .start("pending", &scene.lab.dir);
    pending.says("Sign in in the browser");
    let to = format!("observer@{WEB}");
    let batch = || laptop.run("ssh").args(["-o", "BatchMode=yes", &to, "true"]);
    for (run, expected) in [
        (laptop.run("ssh").args(["-G", &to]), ""),
        (batch(), "jit-ssh login"),
        (laptop.jit(&["roles"]), "jit-ssh login"),
        (laptop.jit(&["logout"]), ""),
    ] {
        let (said, took) = timed(run);
        assert!(took < AT_ONCE, "{took:?}: {said}");
        assert!(said.stderr.contains(expected), "{said}");
        let quiet = !said.stderr.contains("sign");
        assert!(!expected.is_empty() || quiet, "{said}");
    }
    assert!(pending.runs());
    assert_eq!(opened(), 1);
    pending.signal(rustix::process::Signal::INT);
    assert_ne!(pending.wait(), 0);
}

#[test]
fn a_stopped_process_that_holds_the_files_keeps_nobody_signed_in() {
    let scene = scene!(Scene::new(&[WEB]));
    let laptop = scene.signed_in("alice");
    for path in certificates(&laptop) {
        fs::remove_file(path).unwrap();
    }
    let state = laptop.home().join(".local/state/jit-ssh/ca.test");
    let held = File::open(state.join("lock")).unwrap();
    held.lock().unwrap();
    let to = format!("observer@{WEB}");
    let (said, took) = timed(laptop.run("ssh").args(["-G", &to]));
    assert!(took < AT_ONCE, "{took:?}: {said}");
    assert!(!said.ok().stderr.contains("jit-ssh"));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let said = laptop.ssh(&[&to, "true"]).failed();
            assert!(said.stderr.contains("another jit-ssh holds"), "{said}");
        });
        scope.spawn(|| laptop.jit(&["logout"]).go().ok());
    });
    assert!(!state.join("key").exists() && !state.join("login.json").exists());
    assert_eq!(scene.lab.ca.records_of("login-ended").len(), 1);
}

#[test]
fn several_shells_without_a_certificate_renew_it_once() {
    let scene = scene!(Scene::new(&[WEB]));
    let laptop = scene.signed_in("alice");
    // All certificates are gone: each of the shells finds that out at the same moment.
    for path in certificates(&laptop) {
        fs::remove_file(path).unwrap();
    }
    let before = scene.lab.ca.records_of("certificate").len();
    let to = format!("observer@{WEB}");
    std::thread::scope(|scope| {
        let shells: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| laptop.ssh(&[&to, "true"])))
            .collect();
        for shell in shells {
            shell.join().unwrap().ok();
        }
    });
    assert_eq!(scene.lab.ca.records_of("login-opened").len(), 1);
    let issued = scene.lab.ca.records_of("certificate").len() - before;
    assert_eq!(issued, 1, "six shells wanted the same certificate");
}
