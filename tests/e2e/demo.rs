//! `scripts/demo`: it tells the story that it promises, and when it has ended, by itself or by
//! `--stop`, nothing of it runs and nothing lies about.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jit_ssh_tests::clock;
use jit_ssh_tests::dir::Dir;
use jit_ssh_tests::process::{Run, asset, installed, program};

/// A demo in a folder of its own: one that somebody runs beside the tests is another.
struct Demo {
    dir: Dir,
}

impl Demo {
    /// `None` where there is no node for the OpenID provider.
    fn new() -> Option<Self> {
        installed("node").then(|| Demo { dir: Dir::new() })
    }

    fn run(&self, program: impl AsRef<std::ffi::OsStr>) -> Run {
        Run::new(program)
            .env("TMPDIR", self.dir.path())
            .env("JIT_SSH_DEMO_BIN", program_folder())
            .within(Duration::from_secs(110))
    }

    fn script(&self, mode: Option<&str>) -> Run {
        self.run(asset("../scripts/demo")).args(mode)
    }

    /// What one types after `eval "$(scripts/demo --env)"`.
    fn typed(&self, command: &str) -> Run {
        self.run("bash")
            .args(["-c", "set -e; eval \"$(\"$0\" --env)\"; eval \"$1\""])
            .arg(asset("../scripts/demo"))
            .arg(command)
    }

    fn folder(&self) -> PathBuf {
        let uid = rustix::process::getuid().as_raw();
        self.dir.join(&format!("jit-ssh-demo-{uid}"))
    }

    /// No folder, and no process that was started with one of its paths.
    #[track_caller]
    fn is_gone(&self) {
        assert!(!self.folder().exists(), "the folder is still there");
        let folder = self.folder().display().to_string();
        let left: Vec<String> = command_lines()
            .into_iter()
            .filter(|line| line.contains(&folder))
            .collect();
        assert!(left.is_empty(), "still running: {left:#?}");
    }
}

fn program_folder() -> PathBuf {
    program("jit-ssh-ca").parent().unwrap().to_owned()
}

fn command_lines() -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap();
    let lines: Vec<String> = processes
        .filter_map(|entry| fs::read(entry.unwrap().path().join("cmdline")).ok())
        .map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "))
        .filter(|line| !line.is_empty())
        .collect();
    assert!(!lines.is_empty());
    lines
}

/// Whether a process is there and has not ended; who has to ask how it ended is not ours to say.
fn runs(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
    stat.is_ok_and(|stat| !stat.rsplit(") ").next().unwrap().starts_with('Z'))
}

#[test]
fn the_story_is_told_and_leaves_nothing_behind() {
    let Some(demo) = Demo::new() else {
        jit_ssh_tests::skip!("node is not installed");
    };
    let told = demo.script(None).go().ok();
    let account = if told.stdout.contains("Made the account observer") {
        "observer".to_owned()
    } else {
        Run::new("id").arg("-un").go().ok().text().to_owned()
    };
    for line in [
        format!("\nI am {account} on the server.\n"),
        format!("Accepted publickey for {account} "),
        "role=production-observer (serial ".to_owned(),
        "rule=groups reason=\"Your sign-in came with no groups".to_owned(),
        " certificate alice role=production-observer serial=".to_owned(),
        "\"kind\":\"certificate\"".to_owned(),
        format!("\nI am {account} on the second server.\n"),
        "web01.prod.example.com  ".to_owned(),
        "1 of 1 host".to_owned(),
        "revoked by file".to_owned(),
        "Signed out of ".to_owned(),
        "That was it.".to_owned(),
    ] {
        assert!(told.stdout.contains(&line), "{line}: {told}");
    }
    for line in [
        "remote port forwarding failed",
        "Members of the group \"Ops\" get it",
        "Host key verification failed",
        "why:  nobody is signed in",
        "Permission denied",
    ] {
        assert!(told.stderr.contains(line), "{line}: {told}");
    }
    demo.is_gone();
}

#[test]
fn a_demo_that_stays_ends_whole_when_it_is_told_to_with_whoever_is_logged_in() {
    let Some(demo) = Demo::new() else {
        jit_ssh_tests::skip!("node is not installed");
    };
    let mut stays = demo.script(Some("--stay")).start("stay", &demo.dir);
    stays.says("ends it.");
    demo.script(None).go().failed();
    demo.typed("jit-ssh status && jit-ssh-ca audit list >&2 && ssh web01.prod.example.com true")
        .go()
        .ok();
    let shell = "ssh db01.prod.example.com 'echo \"session $$\"; exec cat'";
    let mut session = demo.typed(shell).start("session", &demo.dir);
    session.says("session ");
    let pid = clock::until("the session's pid", || {
        let log = session.log();
        let line = log.lines().find(|line| line.starts_with("session "))?;
        Some(line.trim_start_matches("session ").to_owned())
    });
    assert!(runs(&pid), "{pid}");

    demo.script(Some("--stop")).go().ok();
    assert_eq!(stays.wait(), 0, "{}", stays.log());
    session.wait();
    assert!(!runs(&pid), "sshd's session outlived the demo");
    assert!(
        !stays.log().contains("Alice signs out"),
        "it went on without its folder: {}",
        stays.log()
    );
    demo.is_gone();
    demo.script(Some("--env")).go().failed();
}

#[test]
fn a_pid_that_belongs_to_another_by_now_is_not_ended() {
    let Some(demo) = Demo::new() else {
        jit_ssh_tests::skip!("node is not installed");
    };
    let mut other = Run::new("sleep").arg("1000").start("other", &demo.dir);
    fs::create_dir(demo.folder()).unwrap();
    for file in ["pids", "story"] {
        fs::write(demo.folder().join(file), format!("{} 1\n", other.pid())).unwrap();
    }
    demo.script(Some("--stop")).go().ok();
    assert!(other.runs(), "a stranger was ended");
    demo.is_gone();
}
