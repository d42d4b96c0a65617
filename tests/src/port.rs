//! Ports for programs that cannot say which one they got (sshd, and a CA whose URL stands in its
//! configuration): bind 0, read back, close, and start again should another be faster.

use std::net::{Ipv4Addr, TcpListener, TcpStream};

/// A port of `address` that was free a moment ago.
pub fn free_on(address: Ipv4Addr) -> u16 {
    TcpListener::bind((address, 0))
        .and_then(|listener| listener.local_addr())
        .expect("loopback has a free port")
        .port()
}

/// A port of 127.0.0.1 that was free a moment ago.
pub fn free() -> u16 {
    free_on(Ipv4Addr::LOCALHOST)
}

/// Whether somebody listens there.
pub fn answers(address: Ipv4Addr, port: u16) -> bool {
    TcpStream::connect((address, port)).is_ok()
}
