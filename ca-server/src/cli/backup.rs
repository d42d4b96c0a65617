//! `backup`: one file with everything, made while the CA serves. The serving process may write only
//! its own folder (systemd sees to that), so it writes there, and this command, which runs with the
//! caller's rights, carries the file to where it is wanted.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use jit_ssh_api::admin::{BackupAnswer, BackupRequest};
use jit_ssh_api::hex;
use jit_ssh_connect::Request;
use jit_ssh_terminal::{Failure, Terminal};
use rustix::fs::{Mode, OFlags};
use sha2::{Digest as _, Sha256};

use super::access::Access;
use super::init::folder;
use super::interrupted::Interrupted;
use crate::config::{Config, Tls};
use crate::data;

/// `backup`.
#[derive(Debug, Args)]
#[command(after_help = "\
The file holds the ledger, configuration, policy and the CA's keys, encrypted with their passphrase:
keep that elsewhere. The key of the TLS certificate is in it as it is: keep the file as you keep
that key. Only over the local socket, as root or the owner of the data.

Example:
  jit-ssh-ca backup /var/backups/jit-ssh-ca-$(date +%F)")]
pub(super) struct Backup {
    /// File to make; nothing is overwritten
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl Backup {
    pub(super) fn run(self, data: &Path, terminal: &mut Terminal) -> Result<(), Failure> {
        let file = std::path::absolute(&self.file)
            .map_err(|error| Failure::usage("FILE is no path.").why(error))?;
        if file.symlink_metadata().is_ok() {
            return Err(
                Failure::usage(format_args!("{} is there already.", file.display()))
                    .next("Give another name: nothing is overwritten."),
            );
        }
        let mut caller = Access::default().open(data)?;
        let mut interrupted = Interrupted::listen()?;

        // By the name that is chosen here: the serving process has fewer rights than this command,
        // so nothing that it says is opened or removed.
        let made = Made(data.join(data::unfinished_backup(&folder::random_suffix())));
        let request = BackupRequest {
            path: made.0.display().to_string(),
        };
        let request = Request::post("/v1/admin/backup", &request)?;
        let answer: BackupAnswer = caller
            .call_patiently(request, &mut interrupted, terminal)?
            .ok_or_else(ended)?;
        let carried = room(data, &file, answer.bytes)
            .and_then(|()| theirs(data, &made.0))
            .and_then(|from| {
                drop(made);
                carry(&from, &file, &interrupted)
            });
        let sha256 = carried.map_err(|error| {
            if error.kind() == std::io::ErrorKind::Interrupted {
                return ended();
            }
            Failure::failed(format_args!("{} cannot be written.", file.display()))
                .why(error)
                .next("Give a folder that you may write and that has room.")
        })?;
        if sha256 != answer.sha256 {
            let _ = std::fs::remove_file(&file);
            return Err(Failure::failed("The backup changed on its way.")
                .why("Its SHA-256 is not the one that the CA told.")
                .next("Look at the disk; then try again."));
        }
        let answer = BackupAnswer {
            path: file.display().to_string(),
            ..answer
        };
        let tls = match Config::load(data).map(|config| config.listen.tls) {
            Ok(Tls::Files { key, .. }) => format!(
                " The TLS key ({}) is not: keep the\nfile where nobody else reads it.",
                key.display()
            ),
            _ => String::new(),
        };
        terminal.answer(&answer, |answer| {
            format!(
                "{}: {} records, {} bytes, SHA-256 {}.\n\
                 The CA's keys in it are encrypted: keep their passphrase elsewhere.{tls}",
                answer.path, answer.records, answer.bytes, answer.sha256
            )
        })
    }
}

/// The serving process's copy. It is open or of no use when this is dropped, and not left behind.
struct Made(PathBuf);

impl Drop for Made {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn ended() -> Failure {
    Failure::failed("The backup was interrupted; nothing of it is left.")
}

/// The file that the serving process made: no link, no pipe, and nobody's but that of the data
/// folder's owner under no other name. That process could put anything in its place.
fn theirs(data: &Path, made: &Path) -> std::io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(made, flags, Mode::empty())?);
    let (found, owner) = (file.metadata()?, data.metadata()?.uid());
    if found.is_file() && found.uid() == owner && found.nlink() == 1 {
        return Ok(file);
    }
    Err(std::io::Error::other(format!(
        "{} is not the file of the CA that it must be",
        made.display()
    )))
}

/// A second copy on the CA's own disk must leave it its reserve.
fn room(data: &Path, file: &Path, bytes: u64) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("/"));
    let disk = rustix::fs::statvfs(folder)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let same = folder.metadata()?.dev() == data.metadata()?.dev();
    let reserve = match Config::load(data) {
        Ok(config) if same => config.disk_reserve,
        // The serving process has its configuration from when it could be read.
        _ => 0,
    };
    if free < bytes.saturating_add(reserve) {
        return Err(std::io::Error::new(
            std::io::ErrorKind::StorageFull,
            format!(
                "{bytes} bytes and a reserve of {reserve} are more than the {free} that are free"
            ),
        ));
    }
    Ok(())
}

/// Copies into a new file that only its owner reads; gives its SHA-256.
fn carry(from: &File, to: &Path, interrupted: &Interrupted) -> std::io::Result<String> {
    let mut file = folder::create_new(to, 0o600)?;
    let copied = copy(from, &mut file, interrupted).and_then(|()| file.sync_all());
    let digest = copied.and_then(|()| {
        let mut sha256 = Sha256::new();
        std::io::copy(&mut File::open(to)?, &mut sha256)?;
        Ok(hex(sha256.finalize()))
    });
    if digest.is_err() {
        // Half a backup is none.
        let _ = std::fs::remove_file(to);
    }
    digest
}

/// All of it, unless the person ends it before.
fn copy(from: &File, to: &mut File, interrupted: &Interrupted) -> std::io::Result<()> {
    loop {
        if interrupted.is_true() {
            return Err(std::io::ErrorKind::Interrupted.into());
        }
        if std::io::copy(&mut from.take(PIECE), to)? == 0 {
            return Ok(());
        }
    }
}

/// Bytes between two looks whether the person ends it.
const PIECE: u64 = 8 << 20;

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test's own files")]
mod tests {
    use std::os::unix::fs::symlink;

    use super::theirs;

    #[test]
    fn what_the_ca_puts_in_the_place_of_its_backup_is_not_read() {
        let (data, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let secret = other.path().join("shadow");
        std::fs::write(&secret, "root's").unwrap();
        let (link, name) = (data.path().join("link"), data.path().join("name"));
        symlink(&secret, &link).unwrap();
        std::fs::hard_link(&secret, &name).unwrap();
        let pipe = data.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        for attempt in [link, name, pipe, data.path().to_owned()] {
            assert!(theirs(data.path(), &attempt).is_err(), "{attempt:?}");
        }
        let made = data.path().join("made");
        std::fs::write(&made, "backup").unwrap();
        theirs(data.path(), &made).unwrap();
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&made, Some(12345), None).unwrap();
            assert!(theirs(data.path(), &made).is_err(), "another user's");
        }
    }
}
