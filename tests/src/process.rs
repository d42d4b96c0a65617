//! Children: started with their output in files, ended by pid with all that they started.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::clock::{self, PATIENCE};
use crate::dir::Dir;

/// A program of this workspace, found beside the test's own executable.
///
/// # Panics
/// When it was not built, with what to type.
pub fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let target = own.parent().and_then(Path::parent).unwrap();
    let path = target.join(name);
    assert!(
        path.exists(),
        "{} is not there: run `cargo build --workspace` first",
        path.display()
    );
    path
}

/// A file of `tests/`.
pub fn asset(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Whether a program of the system is installed.
pub fn installed(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|folder| folder.join(name).exists())
}

/// What a program did.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its command line.
    pub command: String,
    /// How it ended; `None` for a signal.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Output {
    /// It succeeded.
    ///
    /// # Panics
    /// When it did not, with all that it said.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self}");
        self
    }

    /// It refused, with a code that programs of ours refuse with, or with ssh's 255: neither a
    /// panic nor a signal is a refusal.
    ///
    /// # Panics
    /// When it succeeded, or broke.
    #[track_caller]
    pub fn failed(self) -> Self {
        assert!(
            matches!(self.code, Some(1..=5 | 255)) && !self.all().contains("panicked"),
            "should have refused: {self}"
        );
        self
    }

    /// It failed with this code.
    ///
    /// # Panics
    /// When it ended otherwise.
    #[track_caller]
    pub fn failed_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        assert!(!self.all().contains("panicked"), "{self}");
        self
    }

    /// What it printed, without the white space around.
    pub fn text(&self) -> &str {
        self.stdout.trim()
    }

    /// What it printed, as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(self.text()).unwrap_or_else(|error| panic!("{error} in {self}"))
    }

    /// Both streams, for what must or must not stand in either.
    pub fn all(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "`{}` ended with {:?}\n--- stdout\n{}\n--- stderr\n{}",
            self.command, self.code, self.stdout, self.stderr
        )
    }
}

/// A command with a deadline, whose output is read whole.
#[derive(Debug)]
pub struct Run {
    command: Command,
    input: Option<String>,
    stdin: Option<File>,
    patience: Duration,
}

impl Run {
    /// `program arguments…`
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Run::from(Command::new(program))
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.command.args(arguments);
        self
    }

    /// An environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Without this environment variable.
    #[must_use]
    pub fn env_remove(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Working folder.
    #[must_use]
    pub fn at(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// What it reads.
    #[must_use]
    pub fn input(mut self, text: impl Into<String>) -> Self {
        self.input = Some(text.into());
        self
    }

    /// Reads from this file or pipe (opened for both, so that a pipe waits for no writer).
    ///
    /// # Panics
    /// When it cannot be opened.
    #[must_use]
    pub fn reading(mut self, path: &Path) -> Self {
        let options = fs::OpenOptions::new().read(true).write(true).open(path);
        self.stdin = Some(options.unwrap());
        self
    }

    /// Another deadline than [`PATIENCE`].
    #[must_use]
    pub fn within(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Starts it and waits for its end.
    ///
    /// # Panics
    /// When it cannot be started, or does not end in time (it is ended then).
    #[track_caller]
    pub fn go(mut self) -> Output {
        let line = line(&self.command);
        // Files, not pipes: a grandchild that keeps a pipe open must not hold up the test.
        let folder = tempfile::tempdir().unwrap();
        let (out, err) = (folder.path().join("out"), folder.path().join("err"));
        self.command
            .stdin(if self.input.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&err).unwrap())
            .process_group(0);
        let mut child = self
            .command
            .spawn()
            .unwrap_or_else(|error| panic!("`{line}` does not start: {error}"));
        if let (Some(input), Some(mut stdin)) = (&self.input, child.stdin.take()) {
            let _ = stdin.write_all(input.as_bytes());
        }
        let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        let deadline = Instant::now() + self.patience;
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                signal_group(child.id(), Signal::KILL);
                let _ = child.wait();
                panic!(
                    "`{line}` did not end within {:?}\n{}\n{}",
                    self.patience,
                    read(&out),
                    read(&err)
                );
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        Output {
            command: line,
            code: status.code(),
            stdout: read(&out),
            stderr: read(&err),
        }
    }

    /// Starts it as a child that goes on, its output in `NAME.log` of the folder.
    pub fn start(self, name: &str, folder: &Dir) -> Child {
        Child::start(&self.command, self.stdin, name, folder)
    }
}

impl From<Command> for Run {
    fn from(command: Command) -> Self {
        Run {
            command,
            input: None,
            stdin: None,
            patience: PATIENCE,
        }
    }
}

/// A program that runs beside the test, and ends with it.
#[derive(Debug)]
pub struct Child {
    child: std::process::Child,
    name: String,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

impl Child {
    fn start(command: &Command, stdin: Option<File>, name: &str, folder: &Dir) -> Self {
        let log = folder.join(&format!("{name}.log"));
        let file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        // Should the test itself be killed, the kernel ends the child.
        let mut guarded = Command::new("setpriv");
        guarded
            .args(["--pdeathsig", "KILL", "--"])
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => guarded.env(name, value),
                None => guarded.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            guarded.current_dir(folder);
        }
        let child = guarded
            .stdin(stdin.map_or_else(Stdio::piped, Stdio::from))
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Child {
            child,
            name: name.to_owned(),
            log,
            ended: None,
        }
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().unwrap();
        }
        self.ended.is_none()
    }

    /// Waits until its log has `text`.
    ///
    /// # Panics
    /// When it ends before, or never says so.
    pub fn says(&mut self, text: &str) {
        let what = format!("{} to say {text:?}", self.name);
        clock::until(&what, || {
            if self.log().contains(text) {
                return Some(());
            }
            assert!(self.runs(), "{} ended:\n{}", self.name, self.log());
            None
        });
    }

    /// Sends a signal to it alone.
    pub fn signal(&self, signal: Signal) {
        let _ = rustix::process::kill_process(pid(self.child.id()), signal);
    }

    /// Waits for its end and gives its exit code, or minus the signal.
    ///
    /// # Panics
    /// When it does not end.
    pub fn wait(&mut self) -> i32 {
        let what = format!("the end of {}", self.name);
        clock::until(&what, || (!self.runs()).then_some(()));
        let status = self.ended.unwrap();
        status
            .code()
            .unwrap_or_else(|| -status.signal().unwrap_or_default())
    }

    /// Asks it to end, and waits.
    pub fn stop(&mut self) -> i32 {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        signal_group(self.child.id(), Signal::KILL);
        self.wait();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.runs() {
            signal_group(self.child.id(), Signal::KILL);
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- log of {}\n{}", self.name, self.log());
        }
    }
}

fn signal_group(id: u32, signal: Signal) {
    let _ = rustix::process::kill_process_group(pid(id), signal);
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(i32::try_from(id).unwrap()).unwrap()
}

fn line(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
