//! A mount namespace with its own `/etc/passwd`, `/etc/shadow`, `/etc/group` and `/etc/hosts`:
//! servers have the accounts that a test names, `ssh db01.prod.example.com` finds its way, and the
//! machine is left as it was, even by a test that is killed.
//!
//! As root each account has a uid of its own. Without root (where people may make namespaces) all
//! accounts are names of one's own uid: enough for everything but the kernel's borders between
//! them. Where neither can be had, [`World::new`] gives `None` and the test [skips](crate::skip!).

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::dir::Dir;
use crate::process::{Child, Run};

/// Accounts that every world has besides one's own.
pub const ACCOUNTS: &[&str] = &[
    "observer", "admin", "deploy", "alice", "bob", "carol", "git",
];

/// Names that every world resolves.
pub const HOSTS: &[(&str, Ipv4Addr)] = &[
    ("bastion.prod.example.com", Ipv4Addr::new(127, 0, 66, 1)),
    ("web01.prod.example.com", Ipv4Addr::new(127, 0, 66, 2)),
    ("db01.prod.example.com", Ipv4Addr::new(127, 0, 66, 3)),
    ("db02.prod.example.com", Ipv4Addr::new(127, 0, 66, 4)),
    ("elsewhere.example.net", Ipv4Addr::new(127, 0, 66, 9)),
];

/// Accounts, names, and a home for the person at the laptop.
#[derive(Debug)]
pub struct World {
    holder: Child,
    root: bool,
    own: String,
    home: PathBuf,
    accounts: PathBuf,
}

impl World {
    /// Makes one with all of [`ACCOUNTS`] and [`HOSTS`] in `dir`; `None` where the kernel does not
    /// let us.
    pub fn new(dir: &Dir) -> Option<Self> {
        let root = is_root();
        let uid = rustix::process::getuid().as_raw();
        let own = own_name();
        let etc = dir.folder("world");
        let home = dir.folder("home");
        fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).unwrap();
        let accounts = dir.folder("accounts");
        fs::set_permissions(&accounts, fs::Permissions::from_mode(0o755)).unwrap();

        let mut passwd = format!("{own}:x:{uid}:{uid}:tester:{}:/bin/bash\n", home.display());
        let mut shadow = format!("{own}:*:19000:0:99999:7:::\n");
        let mut group = format!("{own}:x:{uid}:\n");
        for (name, id) in ACCOUNTS.iter().zip(61_000u32..) {
            let id = if root { id } else { uid };
            let folder = accounts.join(name);
            fs::create_dir_all(folder.join(".ssh")).unwrap();
            for path in [&folder, &folder.join(".ssh")] {
                fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
                chown(path, Some(id), Some(id)).unwrap();
            }
            passwd += &format!("{name}:x:{id}:{id}::{}:/bin/bash\n", folder.display());
            shadow += &format!("{name}:*:19000:0:99999:7:::\n");
            if root {
                group += &format!("{name}:x:{id}:\n");
            }
        }
        for name in ["sshd", "nobody"] {
            // sshd's own unprivileged half needs them, as the machine has them.
            passwd += &line_of("/etc/passwd", name);
        }
        group += &line_of("/etc/group", "nogroup");
        let mut hosts = "127.0.0.1 localhost\n".to_owned();
        for (name, address) in HOSTS {
            // With the dot, as ssh asks where CanonicalizeHostname is on.
            hosts += &format!("{address} {name} {name}.\n");
        }
        for (name, text) in [
            ("passwd", &passwd),
            ("shadow", &shadow),
            ("group", &group),
            ("hosts", &hosts),
        ] {
            fs::write(etc.join(name), text).unwrap();
        }

        let mut command = Run::new("unshare").args(["--mount", "--propagation", "private"]);
        if !root {
            command = command.args(["--map-current-user", "--keep-caps"]);
        }
        let holder = command
            .args(["python3", "-c", HOLDER])
            .arg(&etc)
            .arg(if root { "root" } else { "own" })
            .start("world", dir);
        let mut world = World {
            holder,
            root,
            own,
            home,
            accounts,
        };
        crate::clock::until("the world to be there or not", || {
            if world.holder.log().contains("ready") {
                Some(true)
            } else if world.holder.runs() {
                None
            } else {
                Some(false)
            }
        })
        .then_some(world)
    }

    /// Whether each account has a uid of its own.
    pub fn has_real_accounts(&self) -> bool {
        self.root
    }

    /// Name of the account at the laptop.
    pub fn own(&self) -> &str {
        &self.own
    }

    /// Home of the person at the laptop; `getpwuid` says the same inside.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Home of an account of the servers.
    pub fn home_of(&self, account: &str) -> PathBuf {
        self.accounts.join(account)
    }

    /// A command that runs inside.
    pub fn run(&self, program: impl AsRef<std::ffi::OsStr>) -> Run {
        let mut enter = Command::new("nsenter");
        let pid = self.holder.pid().to_string();
        enter.args(["--target", &pid, "--mount"]);
        if !self.root {
            enter.args(["--user", "--preserve-credentials"]);
        }
        let here = std::env::current_dir().unwrap();
        enter
            .arg(format!("--wd={}", here.display()))
            .arg("--")
            .arg(program)
            .stdin(Stdio::null());
        Run::from(enter)
    }

    /// Gives a file to an account.
    pub fn give(&self, path: &Path, account: &str) {
        if let (true, Some(index)) = (self.root, ACCOUNTS.iter().position(|name| *name == account))
        {
            let id = 61_000 + u32::try_from(index).unwrap();
            chown(path, Some(id), Some(id)).unwrap();
        }
    }
}

/// Whether the test runs as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn own_name() -> String {
    Run::new("id").arg("-un").go().ok().text().to_owned()
}

fn line_of(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap();
    let start = format!("{name}:");
    text.lines()
        .find(|line| line.starts_with(&start))
        .map(|line| format!("{line}\n"))
        .unwrap_or_default()
}

/// Binds the files over the machine's, gives sshd its empty `/run/sshd`, and lives until its
/// standard input ends with the test. (`mount` of util-linux refuses to work for other uids than 0.)
const HOLDER: &str = r#"
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def mount(source, target, kind, flags, data=None):
    if libc.mount(source.encode(), target.encode(), kind, flags, data) != 0:
        sys.exit(f"mount {target}: {os.strerror(ctypes.get_errno())}")
BIND = 4096
for name in ("passwd", "shadow", "group", "hosts"):
    if sys.argv[2] == "root" or name != "shadow":
        mount(f"{sys.argv[1]}/{name}", f"/etc/{name}", None, BIND)
if sys.argv[2] == "root":
    mount("tmpfs", "/run", b"tmpfs", 0, b"mode=755")
    os.mkdir("/run/sshd", 0o755)
print("ready", flush=True)
sys.stdin.read()
"#;
