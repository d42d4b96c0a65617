//! What differs between Linux, macOS and Windows: modes, the terminal, the desktop, how a browser is
//! opened, whether a keyring may answer, how paths stand in ssh's configuration, who called us; the
//! folders and the agent are `jit_ssh_connect::platform`'s. Nothing outside of these two files knows
//! which system it runs on.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

pub(crate) use jit_ssh_connect::platform::{config_dir, home, state_dir};

/// Creates a file that must not exist yet, for its owner alone whatever the umask says (A47).
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).read(true).create_new(true);
    open_private(&options, path)
}

/// Opens a lock file, made if it is not there, for its owner alone.
pub(crate) fn open_lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).read(true).create(true).truncate(false);
    open_private(&options, path)
}

#[cfg(unix)]
fn open_private(options: &OpenOptions, path: &Path) -> io::Result<File> {
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
    let file = options.clone().mode(0o600).open(path)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    Ok(file)
}

#[cfg(not(unix))]
fn open_private(options: &OpenOptions, path: &Path) -> io::Result<File> {
    // Below the profile folder, Windows gives files to their owner (and administrators) alone.
    options.open(path)
}

/// Creates a folder and its parents; the last one is for its owner alone.
pub(crate) fn private_dir(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)?;
        let facts = std::fs::metadata(path)?;
        if facts.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the folder belongs to somebody else",
            ));
        }
        if facts.mode() & 0o777 != 0o700 {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
        }
        Ok(())
    }
    #[cfg(not(unix))]
    std::fs::create_dir_all(path)
}

/// Makes a rename durable.
pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(path)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Where this program is. After an upgrade in the middle of a run Linux says `… (deleted)`, and no
/// file is called so: the new program at the old place is meant then, if there is one.
pub(crate) fn own_program() -> io::Result<PathBuf> {
    at_its_place(std::env::current_exe()?)
}

fn at_its_place(path: PathBuf) -> io::Result<PathBuf> {
    if is_executable(&path) {
        return Ok(path);
    }
    let replaced = path
        .to_str()
        .and_then(|text| text.strip_suffix(" (deleted)"));
    match replaced.map(PathBuf::from) {
        Some(replaced) if is_executable(&replaced) => Ok(replaced),
        _ => Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("{} is not there any more", path.display()),
        )),
    }
}

/// Whether a file is there that can be started.
pub(crate) fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|facts| facts.is_file() && mode(&facts).is_none_or(|mode| mode & 0o111 != 0))
}

/// The mode bits of a file, where there are such.
pub(crate) fn mode(facts: &std::fs::Metadata) -> Option<u32> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        Some(facts.mode() & 0o777)
    }
    #[cfg(not(unix))]
    {
        let _ = facts;
        None
    }
}

/// The person's terminal.
#[derive(Debug)]
pub(crate) struct Keyboard {
    input: File,
    output: File,
}

/// The controlling terminal, even where standard input is something else (`Match exec` gives us
/// `/dev/null`, and `git` the other end of a pipe).
pub(crate) fn terminal() -> io::Result<Keyboard> {
    let open = |path: &str| OpenOptions::new().read(true).write(true).open(path);
    // A console's input and its screen are two things.
    let (input, output) = if cfg!(windows) {
        (open("CONIN$")?, open("CONOUT$")?)
    } else {
        let terminal = open("/dev/tty")?;
        (terminal.try_clone()?, terminal)
    };
    Ok(Keyboard { input, output })
}

impl Read for Keyboard {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.input.read(buffer)
    }
}

impl Write for Keyboard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// While it lives, the terminal hands over bytes at once and without echo: a terminal's own line
/// editor cuts lines at 4096 (macOS: 1024) bytes, and codes can be longer.
pub(crate) struct RawMode {
    #[cfg(unix)]
    terminal: File,
    #[cfg(unix)]
    before: rustix::termios::Termios,
}

impl RawMode {
    /// Switches the terminal; it is as before once this is dropped.
    pub(crate) fn enter(terminal: &Keyboard) -> io::Result<Self> {
        #[cfg(unix)]
        {
            use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
            let terminal = terminal.input.try_clone()?;
            let before = tcgetattr(&terminal)?;
            let mut raw = before.clone();
            raw.local_modes
                .remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG);
            tcsetattr(&terminal, OptionalActions::Flush, &raw)?;
            Ok(RawMode { terminal, before })
        }
        #[cfg(not(unix))]
        {
            // A console keeps lines whole, however long they are; what is pasted is shown there.
            let _ = terminal;
            Ok(RawMode {})
        }
    }
}

#[cfg(unix)]
impl Drop for RawMode {
    fn drop(&mut self) {
        use rustix::termios::{OptionalActions, tcsetattr};
        // Nothing can be done about a terminal that is gone.
        let _ = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }
}

/// Whether there may be a keyring. Without a session bus the answer is known, and looking for one
/// may start things.
pub(crate) fn may_have_keyring() -> bool {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    !cfg!(target_os = "linux")
        || set("DBUS_SESSION_BUS_ADDRESS").is_some()
        || set("XDG_RUNTIME_DIR").is_some_and(|folder| Path::new(&folder).join("bus").exists())
}

/// Starts a program that goes on by itself: what ends us at the terminal does not end it.
pub(crate) fn start_alone(mut command: std::process::Command) {
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt as _;
        command.process_group(0);
    }
    // One that does not start is started by the next who has a reason to.
    let _ = command.spawn();
}

/// A path as ssh's configuration writes it.
pub(crate) fn with_slashes(path: &str) -> String {
    if cfg!(windows) {
        path.replace('\\', "/")
    } else {
        path.to_owned()
    }
}

/// A word of the shell that runs `Match exec`, between the double quotes of ssh's configuration.
pub(crate) fn shell_word(text: &str) -> String {
    if cfg!(windows) {
        format!("\\\"{text}\\\"")
    } else {
        format!("'{text}'")
    }
}

/// Whether a browser can show up: a graphical session of this machine.
pub(crate) fn desktop() -> bool {
    if std::env::var_os("BROWSER").is_some_and(|browser| !browser.is_empty()) {
        return true;
    }
    if cfg!(any(windows, target_os = "macos")) {
        return std::env::var_os("SSH_CONNECTION").is_none();
    }
    ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// Programs that open an address, best first, each with its arguments. No shell is among them, so
/// nothing in the address can become a command (A46).
pub(crate) fn browsers(url: &str) -> Vec<(OsString, Vec<OsString>)> {
    let mut browsers = Vec::new();
    if let Some(named) = std::env::var_os("BROWSER") {
        for program in std::env::split_paths(&named) {
            let text = program.to_string_lossy();
            let mut words = text.split_whitespace();
            let Some(first) = words.next() else { continue };
            let mut arguments: Vec<OsString> = words
                .map(|word| OsString::from(word.replace("%s", url)))
                .collect();
            if !text.contains("%s") {
                arguments.push(url.into());
            }
            browsers.push((first.into(), arguments));
        }
    }
    if cfg!(target_os = "macos") {
        browsers.push(("/usr/bin/open".into(), vec![url.into()]));
    } else if cfg!(windows) {
        let arguments = vec!["url.dll,FileProtocolHandler".into(), url.into()];
        browsers.push(("rundll32".into(), arguments));
    } else {
        browsers.push(("xdg-open".into(), vec![url.into()]));
    }
    browsers
}

/// Arguments of the `ssh` that runs us as `Match exec`, its own name first. `None` where the
/// system does not tell: then nothing is known about `BatchMode` and `-G`.
pub(crate) fn calling_ssh() -> Option<Vec<String>> {
    #[cfg(target_os = "linux")]
    {
        // ssh runs `$SHELL -c COMMAND`; most shells become the command, some stay in between.
        let mut pid = rustix::process::getppid()?.as_raw_nonzero().get();
        for _ in 0..4 {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let arguments: Vec<String> = line
                .split(|byte| *byte == 0)
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .collect();
            let program = arguments.first()?;
            if program.rsplit('/').next() == Some("ssh") {
                return Some(arguments);
            }
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            pid = status
                .lines()
                .find_map(|line| line.strip_prefix("PPid:"))?
                .trim()
                .parse()
                .ok()?;
        }
        None
    }
    #[cfg(not(target_os = "linux"))]
    None
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_program_that_was_replaced_is_found_and_one_that_is_gone_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("jit-ssh");
        let deleted = folder.path().join("jit-ssh (deleted)");
        assert!(at_its_place(deleted.clone()).is_err());
        crate::state::write(&program, b"").unwrap();
        assert!(at_its_place(deleted.clone()).is_err(), "it does not start");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(at_its_place(deleted.clone()).unwrap(), program);
        assert_eq!(at_its_place(program.clone()).unwrap(), program);
        // Whoever calls a program so means it.
        std::fs::rename(&program, &deleted).unwrap();
        assert_eq!(at_its_place(deleted.clone()).unwrap(), deleted);
    }
}
