//! Tells systemd how far the service is (sd_notify(3)): one datagram, where it asked for one.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// `READY=1`, `STATUS=…`, `STOPPING=1`. Without systemd, or when it does not listen, nothing happens.
pub(super) fn notify(state: &str) {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let address = match name.as_bytes().split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(&name),
    };
    if let (Ok(address), Ok(socket)) = (address, UnixDatagram::unbound()) {
        // Not being heard is no reason to stop serving.
        let _ = socket.send_to_addr(state.as_bytes(), &address);
    }
}
