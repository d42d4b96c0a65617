//! OpenSSH's `ssh-agent`, private to a test.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::clock;
use crate::dir::Dir;
use crate::process::{Child, Run};

/// An agent that runs, and ends with the test.
#[derive(Debug)]
pub struct Agent {
    socket: PathBuf,
    child: Child,
}

impl Agent {
    /// Starts one.
    pub fn start(dir: &Dir) -> Self {
        let socket = dir.join("agent.sock");
        let child = Run::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .start("ssh-agent", dir);
        clock::until("ssh-agent to listen", || UnixStream::connect(&socket).ok());
        Agent { socket, child }
    }

    /// `SSH_AUTH_SOCK`.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// What `ssh-add -L` lists: one line a key, empty when there is none.
    ///
    /// # Panics
    /// When the agent does not say which of the two.
    pub fn keys(&self) -> Vec<String> {
        let listed = Run::new("ssh-add")
            .arg("-L")
            .env("SSH_AUTH_SOCK", &self.socket)
            .go();
        match listed.code {
            Some(0) => listed.stdout.lines().map(str::to_owned).collect(),
            Some(1) if listed.all().contains("no identities") => Vec::new(),
            _ => panic!("{listed}"),
        }
    }

    /// `ssh-add` with these arguments.
    pub fn add(&self, arguments: &[&str]) {
        Run::new("ssh-add")
            .arg("-q")
            .args(arguments)
            .env("SSH_AUTH_SOCK", &self.socket)
            .go()
            .ok();
    }

    /// Its process.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }
}
