//! What the end-to-end tests stand on: a [`lab::Lab`] starts what a test names (an identity
//! provider, a CA, servers with a stock sshd, a laptop) in a folder of its own, on free ports of
//! loopback, and ends each by its pid. Real parts are the judges: Debian's sshd, `ssh-keygen`,
//! `ssh-agent`, `git`, `rsync`, and npm's oidc-provider.
//!
//! Nothing of the machine is touched: [`world::World`] gives the servers and the laptop a mount
//! namespace with their own `/etc/passwd` and `/etc/hosts`, as root and (where the kernel lets
//! people have namespaces) without. A test that cannot have what it needs fails or [`skip!`]s.
//!
//! Nothing here sleeps to be in step with something: [`clock::until`] waits for a condition, with a
//! deadline.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "support of tests: a panic here is a finding, and tests ask the system's clock"
)]

pub mod agent;
pub mod browser;
pub mod proxy;
pub mod ca;
pub mod client;
pub mod clock;
pub mod dir;
pub mod expect;
pub mod host;
pub mod http;
pub mod idp;
pub mod keygen;
pub mod lab;
pub mod op;
pub mod port;
pub mod process;
pub mod skip;
pub mod sshd;
pub mod wire;
pub mod world;
