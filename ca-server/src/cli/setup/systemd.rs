//! The CA under systemd: a user of its own, the unit, the start. Only where systemd runs and root
//! asks; everything else goes without.

use std::path::{Path, PathBuf};
use std::process::Command;

use jit_ssh_terminal::Failure;

use crate::cli::init::folder;

/// systemd is running, and we may tell it what to do.
pub(in crate::cli) struct Systemd {
    /// `/`; a test has its own.
    root: PathBuf,
    /// Where `systemctl`, `useradd` and `id` are; none: on the PATH.
    programs: Option<PathBuf>,
}

/// A unit to install.
pub(super) struct Unit {
    /// None: the package's own unit is exactly right.
    text: Option<String>,
}

impl Systemd {
    /// `None` without systemd, or for anybody but root.
    pub(in crate::cli) fn here() -> Option<Self> {
        // A test must not install a service on the machine that runs it.
        let running = !cfg!(test) && Path::new("/run/systemd/system").is_dir();
        (running && rustix::process::geteuid().is_root()).then(|| Systemd {
            root: PathBuf::from("/"),
            programs: None,
        })
    }

    /// Pretended, below a folder of a test.
    #[cfg(test)]
    pub(in crate::cli) fn pretended(root: &Path, programs: &Path) -> Self {
        Systemd {
            root: root.to_owned(),
            programs: Some(programs.to_owned()),
        }
    }

    fn path(&self, absolute: &str) -> PathBuf {
        self.root.join(absolute.trim_start_matches('/'))
    }

    fn command(&self, name: &str) -> Command {
        match &self.programs {
            Some(folder) => Command::new(folder.join(name)),
            None => Command::new(name),
        }
    }

    /// User and group id.
    fn user(&self) -> Option<(u32, u32)> {
        let id = |flag: &str| -> Option<u32> {
            let output = self.command("id").args([flag, USER]).output().ok()?;
            String::from_utf8(output.stdout).ok()?.trim().parse().ok()
        };
        Some((id("-u")?, id("-g")?))
    }

    /// Decides what unit is needed, and refuses before anything is made if another one is there.
    pub(super) fn unit(&self, data: &Path, passphrase: &Path) -> Result<Unit, Failure> {
        let program = std::env::current_exe()
            .map_err(|error| Failure::failed("This program does not find itself.").why(error))?;
        let text = render(&program, data, passphrase);
        match std::fs::read_to_string(self.path(OWN_UNIT)) {
            Ok(existing) if existing == text => return Ok(Unit { text: None }),
            Ok(_) => {
                return Err(Failure::failed(format_args!(
                    "{OWN_UNIT} is there already and differs."
                ))
                .why("Nothing is ever overwritten.")
                .next("Remove it, or use `jit-ssh-ca init` and a unit of your own."));
            }
            Err(_) => {}
        }
        let packaged = PACKAGED_UNITS
            .iter()
            .any(|path| std::fs::read_to_string(self.path(path)).is_ok_and(|unit| unit == text));
        Ok(Unit {
            text: (!packaged).then_some(text),
        })
    }

    /// Whether a unit of ours is for this folder.
    pub(in crate::cli) fn serves(&self, data: &Path) -> bool {
        let command = format!(" serve --data {}\n", data.display());
        let mut units = PACKAGED_UNITS.into_iter().chain([OWN_UNIT]);
        units.any(|path| {
            std::fs::read_to_string(self.path(path)).is_ok_and(|unit| unit.contains(&command))
        })
    }

    /// Gives the folder to the user that the CA runs as; makes the user if need be.
    pub(in crate::cli) fn give(&self, data: &Path) -> Result<(), Failure> {
        if self.user().is_none() {
            run(self.command("useradd").args([
                "--system",
                "--user-group",
                "--no-create-home",
                "--home-dir",
                "/nonexistent",
                "--shell",
                "/usr/sbin/nologin",
                USER,
            ]))?;
        }
        let (uid, gid) = self.user().ok_or_else(|| {
            Failure::failed(format_args!("The user {USER} cannot be made.")).next(format_args!(
                "Make it: useradd --system --user-group {USER}"
            ))
        })?;
        folder::give_to(data, uid, gid).map_err(|error| {
            Failure::failed(format_args!(
                "{} cannot be given to {USER}.",
                data.display()
            ))
            .why(error)
        })
    }

    /// The folder's owner, the unit.
    pub(super) fn install(&self, unit: &Unit, data: &Path) -> Result<(), Failure> {
        self.give(data)?;
        if let Some(text) = &unit.text {
            folder::new_file(&self.path(OWN_UNIT), text.as_bytes(), 0o644).map_err(|error| {
                Failure::failed(format_args!("{OWN_UNIT} cannot be written.")).why(error)
            })?;
        }
        run(self.command("systemctl").arg("daemon-reload"))
    }

    /// Enables and starts the unit; it is ready when this returns (Type=notify).
    pub(super) fn start(&self) -> Result<(), Failure> {
        run(self
            .command("systemctl")
            .args(["enable", "--now", "--quiet", "jit-ssh-ca.service"]))
        .map_err(|failure| failure.next("Its log says why: journalctl -u jit-ssh-ca -n 20"))
    }
}

/// The packaged unit with this machine's paths.
fn render(program: &Path, data: &Path, passphrase: &Path) -> String {
    include_str!("../../../units/jit-ssh-ca.service")
        .replace("/usr/bin/jit-ssh-ca", &program.display().to_string())
        .replace("/var/lib/jit-ssh-ca", &data.display().to_string())
        .replace(PASSPHRASE, &passphrase.display().to_string())
}

fn run(command: &mut Command) -> Result<(), Failure> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| Failure::failed(format_args!("`{name}` cannot be run.")).why(error))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Failure::failed(format_args!("`{name}` failed."))
        .why(String::from_utf8_lossy(&output.stderr).trim()))
}

const USER: &str = "jit-ssh-ca";
const OWN_UNIT: &str = "/etc/systemd/system/jit-ssh-ca.service";
const PACKAGED_UNITS: [&str; 2] = [
    "/usr/lib/systemd/system/jit-ssh-ca.service",
    "/lib/systemd/system/jit-ssh-ca.service",
];

/// Where the unit reads the passphrase.
pub(super) const PASSPHRASE: &str = "/etc/jit-ssh-ca/passphrase";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_names_this_machine_s_paths_and_no_others() {
        let unit = render(
            Path::new("/opt/bin/jit-ssh-ca"),
            Path::new("/srv/ca"),
            Path::new("/root/secret"),
        );
        assert!(unit.contains("ExecStart=/opt/bin/jit-ssh-ca serve --data /srv/ca\n"));
        assert!(unit.contains("LoadCredential=passphrase:/root/secret\n"));
        assert!(unit.contains("ReadWritePaths=/srv/ca\n"));
        assert!(!unit.contains("/var/lib") && !unit.contains("/usr/bin"));
    }
}
