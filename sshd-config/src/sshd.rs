//! The host's own sshd: its version, its configuration as it takes effect, its test and reload.
//!
//! What counts is never what a file says but what `sshd -T -C user=…` answers (sshd(8)): an
//! earlier line, a `Match` block or a missing `Include` can each undo a file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::trust::AccountName;

/// An sshd and the configuration that it is run with.
#[derive(Clone, Debug)]
pub(crate) struct Sshd {
    program: PathBuf,
    config: PathBuf,
}

/// What went wrong with sshd.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SshdError {
    /// No program.
    #[error("there is no sshd at {}", .0.display())]
    Missing(PathBuf),
    /// It could not be run.
    #[error("{} cannot be run: {source}", program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// `sshd -t` or `sshd -T` refused the configuration.
    #[error("sshd refuses its configuration: {0}")]
    Refused(String),
    /// `ssh-keygen -Q` refused a revocation list.
    #[error("OpenSSH on this host does not read the CA's revocation list: {0}")]
    Krl(String),
    /// The version is not understood.
    #[error("`{0}` is not a version of OpenSSH that jit-ssh-host understands")]
    Version(String),
    /// The reload failed.
    #[error("sshd could not be told to read its configuration again: {0}")]
    Reload(String),
}

/// `major.minor` of OpenSSH.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub(crate) u32, pub(crate) u32);

/// The oldest OpenSSH that is supported.
pub(crate) const OLDEST: Version = Version(8, 0);

/// The configuration as it takes effect for one account.
#[derive(Clone, Debug, Default)]
pub(crate) struct Effective(BTreeMap<String, Vec<String>>);

/// How a reload was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reload {
    /// By systemd.
    Systemd,
    /// By a signal to the process of the pid file.
    Signal,
    /// No sshd runs: the next start reads the files.
    NotRunning,
}

impl Sshd {
    /// An sshd; neither is looked at yet.
    pub(crate) fn new(program: PathBuf, config: PathBuf) -> Self {
        Sshd { program, config }
    }

    /// The main configuration file.
    pub(crate) fn config(&self) -> &Path {
        &self.config
    }

    /// The version, from what `sshd -V` prints (to standard error; older ones refuse the option
    /// and print it all the same).
    pub(crate) fn version(&self) -> Result<Version, SshdError> {
        let output = self.run(&["-V"])?;
        let text = [output.stderr, output.stdout].concat();
        let text = String::from_utf8_lossy(&text);
        parse_version(&text)
            .ok_or_else(|| SshdError::Version(text.lines().next().unwrap_or_default().to_owned()))
    }

    /// `sshd -t`: is the configuration one that sshd would start with?
    pub(crate) fn test(&self) -> Result<(), SshdError> {
        let config = self.config.to_string_lossy();
        checked(&self.run(&["-t", "-f", &config])?).map(drop)
    }

    /// `sshd -T -C user=…`: what holds for this account.
    pub(crate) fn effective(&self, account: Option<&AccountName>) -> Result<Effective, SshdError> {
        let config = self.config.to_string_lossy();
        let user = account.map_or("jit-ssh-nobody", AccountName::as_str);
        // All that a `Match` line can ask of a connection: sshd refuses to answer where one asks for
        // what is not given here, and every version that we take knows these.
        let connection =
            format!("user={user},host=localhost,addr=127.0.0.1,laddr=127.0.0.1,lport=22,rdomain=");
        let output = self.run(&["-T", "-f", &config, "-C", &connection])?;
        Ok(Effective::parse(&checked(&output)?))
    }

    /// Whether OpenSSH on this host reads a revocation list, as `ssh-keygen -Q` says. Beside our own
    /// reader, since what counts in the end is the version that is installed here (A53).
    pub(crate) fn reads_krl(&self, path: &Path) -> Result<(), SshdError> {
        let program = Path::new("ssh-keygen");
        let output = Command::new(program)
            .args(["-Q", "-l", "-f"])
            .arg(path)
            .stdin(Stdio::null())
            .env("LC_ALL", "C")
            .output()
            .map_err(|source| SshdError::Run {
                program: program.to_owned(),
                source,
            })?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(SshdError::Krl(said.trim().replace('\n', "; ")))
    }

    /// What `sshd -V` says of itself, in one word.
    pub(crate) fn version_text(&self) -> Option<String> {
        let output = self.run(&["-V"]).ok()?;
        let text = [output.stderr, output.stdout].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        let at = text.find("OpenSSH_")?;
        let word = text.get(at..)?.split([' ', ',', '\n']).next()?;
        Some(word.to_owned())
    }

    /// Tells the running sshd to read its configuration again. Live sessions go on.
    pub(crate) fn reload(&self) -> Result<Reload, SshdError> {
        if self.config == Path::new(DEFAULT_CONFIG) && Path::new("/run/systemd/system").is_dir() {
            return reload_by_systemd();
        }
        let effective = self.effective(None)?;
        let pid_file = effective.first("pidfile").unwrap_or("/run/sshd.pid");
        let Some(pid) = fs::read_to_string(pid_file)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .and_then(rustix::process::Pid::from_raw)
        else {
            return Ok(Reload::NotRunning);
        };
        // A stale pid file may name a stranger by now.
        let name = fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero()));
        if name.is_ok_and(|name| name.trim() != "sshd") {
            return Ok(Reload::NotRunning);
        }
        match rustix::process::kill_process(pid, rustix::process::Signal::HUP) {
            Ok(()) => Ok(Reload::Signal),
            Err(rustix::io::Errno::SRCH) => Ok(Reload::NotRunning),
            Err(error) => Err(SshdError::Reload(error.to_string())),
        }
    }

    fn run(&self, arguments: &[&str]) -> Result<Output, SshdError> {
        if !self.program.exists() {
            return Err(SshdError::Missing(self.program.clone()));
        }
        Command::new(&self.program)
            .args(arguments)
            .stdin(Stdio::null())
            .env("LC_ALL", "C")
            .output()
            .map_err(|source| SshdError::Run {
                program: self.program.clone(),
                source,
            })
    }
}

/// Where distributions keep the main file.
pub(crate) const DEFAULT_CONFIG: &str = "/etc/ssh/sshd_config";

/// Where distributions keep the program.
pub(crate) fn default_program() -> PathBuf {
    ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"]
        .iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
        .unwrap_or_else(|| PathBuf::from("/usr/sbin/sshd"))
}

impl Effective {
    fn parse(text: &str) -> Self {
        let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in text.lines() {
            // Newer versions print mixed case (A90).
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            values
                .entry(key.to_ascii_lowercase())
                .or_default()
                .push(value.trim().to_owned());
        }
        Effective(values)
    }

    /// First value of a directive, lower-case name.
    pub(crate) fn first(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.first().map(String::as_str)
    }

    /// The value of a directive that names a file; `None` for `none`.
    pub(crate) fn file(&self, key: &str) -> Option<&str> {
        self.first(key)
            .filter(|value| !value.is_empty() && *value != "none")
    }

    /// The values of a directive that may be given several times.
    pub(crate) fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        let lines = self.0.get(key).map(Vec::as_slice).unwrap_or_default();
        lines.iter().map(String::as_str)
    }

    /// All words of a list directive, over all its lines.
    pub(crate) fn words(&self, key: &str) -> Vec<&str> {
        let lines = self.0.get(key).map(Vec::as_slice).unwrap_or_default();
        lines
            .iter()
            .flat_map(|line| line.split_whitespace())
            .collect()
    }
}

/// The folder of drop-ins that the main file includes before anything else takes effect.
pub(crate) fn drop_in_folder(config: &Path, main: &str) -> Option<PathBuf> {
    for line in main.lines() {
        let mut words = line.split_whitespace();
        let Some(key) = words.next() else { continue };
        if key.starts_with('#') {
            continue;
        }
        if !key.eq_ignore_ascii_case("include") {
            // Something takes effect before any drop-in could.
            return None;
        }
        let folder = words.find_map(|pattern| pattern.strip_suffix("/*.conf"))?;
        // Relative patterns are relative to /etc/ssh (sshd_config(5)).
        let base = config.parent().unwrap_or(Path::new("/etc/ssh"));
        return Some(base.join(folder));
    }
    None
}

fn checked(output: &Output) -> Result<String, SshdError> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(SshdError::Refused(said.trim().replace('\n', "; ")))
}

fn parse_version(text: &str) -> Option<Version> {
    let (_, rest) = text.split_once("OpenSSH_")?;
    let (major, rest) = rest.split_once('.')?;
    let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some(Version(major.parse().ok()?, minor.parse().ok()?))
}

fn reload_by_systemd() -> Result<Reload, SshdError> {
    let mut said = String::new();
    for unit in ["ssh.service", "sshd.service"] {
        let output = Command::new("systemctl")
            .args(["try-reload-or-restart", unit])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| SshdError::Reload(error.to_string()))?;
        if output.status.success() {
            return Ok(Reload::Systemd);
        }
        said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    }
    Err(SshdError::Reload(said))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn versions_of_all_distributions_are_read() {
        for (text, version) in [
            (
                "OpenSSH_9.2p1 Debian-2+deb12u10, OpenSSL 3.0.19",
                Version(9, 2),
            ),
            (
                "unknown option -- V\nOpenSSH_8.0p1, OpenSSL 1.1.1k  FIPS",
                Version(8, 0),
            ),
            ("OpenSSH_10.0p2, LibreSSL", Version(10, 0)),
        ] {
            assert_eq!(parse_version(text), Some(version));
        }
        assert_eq!(parse_version("dropbear 2024"), None);
    }

    #[test]
    fn mixed_case_of_newer_sshd_is_read_too() {
        let effective = Effective::parse("TrustedUserCAKeys /a\nusepam yes\nAllowUsers a b\n");
        assert_eq!(effective.file("trustedusercakeys"), Some("/a"));
        assert_eq!(effective.words("allowusers"), ["a", "b"]);
        assert_eq!(
            Effective::parse("TrustedUserCAKeys none").file("trustedusercakeys"),
            None
        );
    }

    #[test]
    fn a_drop_in_counts_only_where_nothing_is_read_before_it() {
        let config = Path::new("/etc/ssh/sshd_config");
        let folder = |main| drop_in_folder(config, main);
        let debian = "# comment\n\nInclude /etc/ssh/sshd_config.d/*.conf\nPort 22\n";
        assert_eq!(folder(debian), Some("/etc/ssh/sshd_config.d".into()));
        assert_eq!(
            folder("include sshd_config.d/*.conf\n"),
            Some("/etc/ssh/sshd_config.d".into())
        );
        assert_eq!(
            folder("Port 22\nInclude /etc/ssh/sshd_config.d/*.conf\n"),
            None
        );
        assert_eq!(folder("Port 22\n"), None);
    }

    proptest! {
        #[test]
        fn nothing_that_sshd_could_say_panics(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            words in "(OpenSSH_|[iI]nclude |[0-9]{0,12}|[./ #=\n\t\"*]|\\PC){0,20}",
        ) {
            for text in [String::from_utf8_lossy(&bytes).into_owned(), words] {
                let _ = parse_version(&text);
                let _ = drop_in_folder(Path::new("/etc/ssh/sshd_config"), &text);
                let _ = drop_in_folder(Path::new("/"), &text);
                let effective = Effective::parse(&text);
                for key in effective.0.keys() {
                    let _ = (effective.first(key), effective.file(key), effective.words(key));
                }
            }
        }
    }
}
