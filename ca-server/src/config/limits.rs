//! Limits, checked: none is zero where that would stop everything.

use std::time::Duration;

use crate::config::{Wrong, file};

/// What one caller, and all of them together, may take (A87).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one address.
    pub connections_per_peer: usize,
    /// Requests a minute from one address; 0: no limit.
    pub requests_per_peer: u32,
    /// Certificates and logins a minute for one person; 0: no limit.
    pub requests_per_person: u32,
    /// Certificates a day for one person; 0: no limit.
    pub certificates_per_day: u32,
    /// Bytes of a body.
    pub body: usize,
    /// Handshake, head of a request, idle connection.
    pub head_time: Duration,
    /// Arrival of a body.
    pub body_time: Duration,
    /// A write of which nothing is taken.
    pub write_time: Duration,
    /// Work on an answer.
    pub answer_time: Duration,
    /// Grace of a stop.
    pub stop_time: Duration,
}

pub(super) fn check(limits: &file::Limits, wrong: &mut Wrong<'_>) -> Limits {
    let mut positive = |key: &str, zero: bool| {
        if zero {
            let what = format!("limits.{key} of 0 would stop everything");
            wrong.at(&["limits", key], what, "leave the line out for the default");
        }
    };
    positive("connections", limits.connections == 0);
    positive("connections_per_peer", limits.connections_per_peer == 0);
    positive("head_time", limits.head_time.get().is_zero());
    positive("body_time", limits.body_time.get().is_zero());
    positive("write_time", limits.write_time.get().is_zero());
    positive("answer_time", limits.answer_time.get().is_zero());
    let body = usize::try_from(limits.body.bytes()).unwrap_or(usize::MAX);
    if !(40 << 10..=1 << 20).contains(&body) {
        wrong.at(
            &["limits", "body"],
            format!("limits.body of {} is not sensible", limits.body),
            "write between 40KiB (two large tokens) and 1MiB",
        );
    }
    Limits {
        connections: limits.connections as usize,
        connections_per_peer: limits.connections_per_peer as usize,
        requests_per_peer: limits.requests_per_peer,
        requests_per_person: limits.requests_per_person,
        certificates_per_day: limits.certificates_per_day,
        body,
        head_time: limits.head_time.get(),
        body_time: limits.body_time.get(),
        write_time: limits.write_time.get(),
        answer_time: limits.answer_time.get(),
        stop_time: limits.stop_time.get(),
    }
}
