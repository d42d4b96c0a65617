//! Taking access away: what is revoked, until when it matters, and what tells sshd of it.

pub mod krl;
pub mod list;
pub mod lock;
