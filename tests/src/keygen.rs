//! `ssh-keygen` as a judge, and as a maker of keys of every kind.

use std::fs;
use std::path::Path;

use crate::dir::Dir;
use crate::process::Run;

/// Makes a key pair without a passphrase; `options` such as `["-t", "rsa", "-b", "2048"]`.
pub fn generate(path: &Path, options: &[&str]) {
    Run::new("ssh-keygen")
        .args(["-q", "-N", "", "-C", "test", "-f"])
        .arg(path)
        .args(options)
        .go()
        .ok();
}

/// A certificate in the words of `ssh-keygen -L`.
#[derive(Clone, Debug)]
pub struct Listed {
    text: String,
}

impl Listed {
    /// Lists a certificate line.
    ///
    /// # Panics
    /// When `ssh-keygen` cannot read it.
    pub fn of(certificate: &str) -> Self {
        let dir = Dir::new();
        let path = dir.file("listed-cert.pub", certificate);
        let text = Run::new("ssh-keygen")
            .args(["-L", "-f"])
            .arg(path)
            .env("TZ", "UTC")
            .go()
            .ok()
            .stdout;
        Listed { text }
    }

    /// The value behind `NAME:`.
    ///
    /// # Panics
    /// When there is no such line.
    pub fn value(&self, name: &str) -> &str {
        let start = format!("{name}:");
        self.text
            .lines()
            .find_map(|line| line.trim().strip_prefix(&start))
            .unwrap_or_else(|| panic!("no {name} in\n{}", self.text))
            .trim()
    }

    /// The lines below `NAME:`.
    pub fn list(&self, name: &str) -> Vec<String> {
        let start = format!("{name}:");
        let mut lines = self.text.lines().skip_while(|line| line.trim() != start);
        let Some(head) = lines.next() else {
            return Vec::new();
        };
        let depth = |line: &str| line.len() - line.trim_start().len();
        lines
            .take_while(|line| depth(line) > depth(head))
            .map(|line| line.trim().to_owned())
            .collect()
    }

    /// Everything that `ssh-keygen` said.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Verifies an SSHSIG as `ssh-keygen -Y verify` does.
pub fn verifies(public_key: &str, namespace: &str, message: &[u8], signature: &str) -> bool {
    let dir = Dir::new();
    let allowed = dir.file("allowed", &format!("somebody {public_key}\n"));
    let signature = dir.file("signature", signature);
    let message = String::from_utf8(message.to_vec()).unwrap();
    Run::new("ssh-keygen")
        .args(["-Y", "verify", "-I", "somebody", "-n", namespace, "-f"])
        .arg(allowed)
        .arg("-s")
        .arg(signature)
        .input(message)
        .go()
        .code
        == Some(0)
}

/// The public half of a key file.
pub fn public(path: &Path) -> String {
    let mut path = path.as_os_str().to_owned();
    path.push(".pub");
    fs::read_to_string(path).unwrap().trim().to_owned()
}
