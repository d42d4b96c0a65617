//! A real `ssh-agent`, for tests of this package.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// Ended with the test.
pub(crate) struct RealAgent {
    child: Child,
    folder: tempfile::TempDir,
}

impl RealAgent {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(folder.path().join("agent"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // It prints its address once it listens.
        let mut first = [0];
        let mut output = child.stdout.take().unwrap();
        output.read_exact(&mut first).unwrap();
        RealAgent { child, folder }
    }

    pub(crate) fn address(&self) -> PathBuf {
        self.folder.path().join("agent")
    }
}

impl Drop for RealAgent {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
