//! What systemd is told (sd_notify(3)): that we are ready, how it goes, and that we are alive. Without
//! systemd, nothing.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The way to systemd, if it started us.
#[derive(Debug)]
pub(crate) struct Notify {
    socket: Option<(UnixDatagram, SocketAddr)>,
}

impl Notify {
    /// As the environment says.
    pub(crate) fn from_env() -> Self {
        let socket = std::env::var_os("NOTIFY_SOCKET").and_then(|address| {
            let address = match address.as_bytes() {
                [b'@', name @ ..] => SocketAddr::from_abstract_name(name).ok()?,
                _ => SocketAddr::from_pathname(&address).ok()?,
            };
            Some((UnixDatagram::unbound().ok()?, address))
        });
        Notify { socket }
    }

    /// What is here is in force.
    pub(crate) fn ready(&self) {
        self.say("READY=1");
    }

    /// The main loop goes round.
    pub(crate) fn alive(&self) {
        self.say("WATCHDOG=1");
    }

    /// One line for `systemctl status`.
    pub(crate) fn status(&self, text: &str) {
        self.say(&format!("STATUS={}", text.replace('\n', " ")));
    }

    fn say(&self, text: &str) {
        if let Some((socket, address)) = &self.socket {
            // Who does not listen misses nothing that matters to sshd.
            let _ = socket.send_to_addr(text.as_bytes(), address);
        }
    }
}
