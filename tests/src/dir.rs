//! Private folders: one for each test, removed with it, kept when `JIT_SSH_TEST_KEEP` is set.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// A folder that goes with the test. Others may pass through it (accounts of servers have their
/// homes inside), none may list it.
#[derive(Debug)]
pub struct Dir {
    path: PathBuf,
    keep: bool,
}

impl Dir {
    /// A new empty one.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("jit-ssh-test-")
            .tempdir()
            .expect("the temporary folder can be written");
        let path = dir.keep();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o711)).unwrap();
        let keep = std::env::var_os("JIT_SSH_TEST_KEEP").is_some();
        Dir { path, keep }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path inside.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A folder inside, made if need be.
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// A file inside, with this text.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }
}

impl Default for Dir {
    fn default() -> Self {
        Dir::new()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        if self.keep {
            eprintln!("kept: {}", self.path.display());
        } else {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
