//! What differs between Linux, macOS and Windows for whoever calls the CA: the person's folders, and
//! where an agent listens. Nothing else in this crate asks which system it runs on; that a Unix
//! socket is there or not (`#[cfg(unix)]`) is all that its neighbours know.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The person's home folder.
pub fn home() -> Option<PathBuf> {
    let name = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
    absolute(std::env::var_os(name))
}

/// Folder of what the person decided (pins): `$XDG_CONFIG_HOME/jit-ssh`.
pub fn config_dir() -> Option<PathBuf> {
    folder("XDG_CONFIG_HOME", "APPDATA", ".config")
}

/// Folder of what the client keeps (keys, certificates): `$XDG_STATE_HOME/jit-ssh`.
pub fn state_dir() -> Option<PathBuf> {
    folder("XDG_STATE_HOME", "LOCALAPPDATA", ".local/state")
}

fn folder(xdg: &str, windows: &str, below_home: &str) -> Option<PathBuf> {
    let named = absolute(std::env::var_os(xdg));
    let base = if cfg!(windows) {
        named.or_else(|| absolute(std::env::var_os(windows)))
    } else {
        named
    };
    base.or_else(|| home().map(|home| home.join(below_home)))
        .map(|base| base.join("jit-ssh"))
}

fn absolute(value: Option<OsString>) -> Option<PathBuf> {
    value.map(PathBuf::from).filter(|path| path.is_absolute())
}

/// `SSH_AUTH_SOCK`, on Windows also OpenSSH's own pipe.
pub(crate) fn agent_address() -> Option<PathBuf> {
    let named = std::env::var_os("SSH_AUTH_SOCK").filter(|value| !value.is_empty());
    if cfg!(windows) && named.is_none() {
        return Some(PathBuf::from(r"\\.\pipe\openssh-ssh-agent"));
    }
    named.map(PathBuf::from)
}

/// A connection to an agent.
pub(crate) trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

#[cfg(unix)]
pub(crate) fn connect_to_agent(address: &Path) -> io::Result<Box<dyn Stream>> {
    let stream = std::os::unix::net::UnixStream::connect(address)?;
    stream.set_read_timeout(Some(AGENT_PATIENCE))?;
    stream.set_write_timeout(Some(AGENT_PATIENCE))?;
    Ok(Box::new(stream))
}

#[cfg(not(unix))]
pub(crate) fn connect_to_agent(address: &Path) -> io::Result<Box<dyn Stream>> {
    // A named pipe is opened as a file; it knows no time-outs.
    let mut options = std::fs::OpenOptions::new();
    Ok(Box::new(options.read(true).write(true).open(address)?))
}

#[cfg(unix)]
const AGENT_PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);
