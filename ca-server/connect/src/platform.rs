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

/// Who listens at an agent's address.
#[cfg_attr(
    not(unix),
    expect(dead_code, reason = "nobody asks a pipe whose it is")
)]
pub(crate) enum Listener {
    /// The person, or root, who has everything of theirs anyway.
    Own(Box<dyn Stream>),
    /// Another user, with this uid. A dead agent's socket is in `/tmp`, where anybody may put theirs
    /// in its place.
    Other(u32),
}

#[cfg(unix)]
pub(crate) fn connect_to_agent(address: &Path) -> io::Result<Listener> {
    let stream = std::os::unix::net::UnixStream::connect(address)?;
    let uid = uid_of_peer(&stream)?;
    if uid != 0 && uid != rustix::process::geteuid().as_raw() {
        return Ok(Listener::Other(uid));
    }
    stream.set_read_timeout(Some(AGENT_PATIENCE))?;
    stream.set_write_timeout(Some(AGENT_PATIENCE))?;
    Ok(Listener::Own(Box::new(stream)))
}

#[cfg(not(unix))]
pub(crate) fn connect_to_agent(address: &Path) -> io::Result<Listener> {
    // A named pipe is opened as a file; it knows no time-outs.
    let mut options = std::fs::OpenOptions::new();
    let pipe = options.read(true).write(true).open(address)?;
    Ok(Listener::Own(Box::new(pipe)))
}

/// Who listens, as the kernel noted it: nothing is sent for that.
#[cfg(target_os = "linux")]
fn uid_of_peer(stream: &std::os::unix::net::UnixStream) -> io::Result<u32> {
    Ok(rustix::net::sockopt::socket_peercred(stream)?.uid.as_raw())
}

#[cfg(all(unix, not(target_os = "linux")))]
use by_runtime::uid_of_peer;

/// `getpeereid`, for which a runtime has to be there.
#[cfg(all(unix, any(test, not(target_os = "linux"))))]
mod by_runtime {
    use std::io;
    use std::os::unix::net::UnixStream;

    pub(super) fn uid_of_peer(stream: &UnixStream) -> io::Result<u32> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        // The flag is the socket's, and so that of both descriptors.
        stream.set_nonblocking(true)?;
        let peer = {
            let _entered = runtime.enter();
            tokio::net::UnixStream::from_std(stream.try_clone()?)?.peer_cred()
        };
        stream.set_nonblocking(false)?;
        // The caller may be inside of another runtime, where none may be waited for.
        runtime.shutdown_background();
        Ok(peer?.uid())
    }
}

#[cfg(unix)]
const AGENT_PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_ways_to_ask_who_listens_agree_and_leave_the_socket_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let address = folder.path().join("agent");
        let listener = std::os::unix::net::UnixListener::bind(&address).unwrap();
        let mut stream = std::os::unix::net::UnixStream::connect(&address).unwrap();
        let own = rustix::process::geteuid().as_raw();
        assert_eq!(uid_of_peer(&stream).unwrap(), own);
        assert_eq!(by_runtime::uid_of_peer(&stream).unwrap(), own);
        stream.set_read_timeout(Some(AGENT_PATIENCE)).unwrap();
        let (mut other, _) = listener.accept().unwrap();
        let answer = std::thread::spawn(move || other.write_all(b"x").unwrap());
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        answer.join().unwrap();
    }
}
