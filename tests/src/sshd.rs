//! Servers: Debian's sshd with a private configuration, on an address of loopback, inside the
//! world. sshd is the judge of every certificate.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::clock;
use crate::dir::Dir;
use crate::keygen;
use crate::port;
use crate::process::{Child, Run};
use crate::world::{HOSTS, World};

/// A server to be.
#[derive(Debug)]
pub struct Plan {
    name: String,
    trusted: Option<String>,
    principals: Vec<(String, String)>,
    lines: Vec<String>,
    port: Option<u16>,
    certificate: Option<HostCertificate>,
}

/// What `ssh-keygen` is to certify a server's host key with.
#[derive(Clone, Debug)]
pub struct HostCertificate {
    /// Private key of the host CA.
    pub ca: PathBuf,
    /// Its passphrase.
    pub passphrase: String,
    /// The names in the certificate, with commas.
    pub names: String,
    /// As `ssh-keygen -V` takes it.
    pub validity: String,
}

impl Plan {
    /// A server with this full name (one of [`HOSTS`]).
    pub fn new(name: &str) -> Self {
        Plan {
            name: name.to_owned(),
            trusted: None,
            principals: Vec::new(),
            lines: Vec::new(),
            port: None,
            certificate: None,
        }
    }

    /// It trusts these user CA keys (`TrustedUserCAKeys` lines).
    #[must_use]
    pub fn trusts(mut self, keys: &str) -> Self {
        self.trusted = Some(keys.to_owned());
        self
    }

    /// An account's `AuthorizedPrincipalsFile` lists this line.
    #[must_use]
    pub fn admits(mut self, account: &str, principal: &str) -> Self {
        self.principals
            .push((account.to_owned(), principal.to_owned()));
        self
    }

    /// A line of `sshd_config`, before all others.
    #[must_use]
    pub fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// The port to listen on; a free one otherwise.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// It has a host certificate.
    #[must_use]
    pub fn certified(mut self, certificate: HostCertificate) -> Self {
        self.certificate = Some(certificate);
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// When sshd does not take its configuration, or does not come up.
    pub fn start(self, world: &World, dir: &Dir) -> Sshd {
        let folder = dir.folder(&format!("servers/{}", self.name));
        let address = HOSTS
            .iter()
            .find(|(name, _)| *name == self.name)
            .map_or(Ipv4Addr::LOCALHOST, |(_, address)| *address);
        keygen::generate(&folder.join("host_key"), &["-t", "ed25519"]);
        let mut lines = self.lines.clone();
        if let Some(HostCertificate {
            ca,
            passphrase,
            names,
            validity,
        }) = &self.certificate
        {
            Run::new("ssh-keygen")
                .args(["-q", "-h", "-s"])
                .arg(ca)
                .args([
                    "-P", passphrase, "-I", &self.name, "-n", names, "-V", validity,
                ])
                .arg(folder.join("host_key.pub"))
                .go()
                .ok();
            let certificate = folder.join("host_key-cert.pub");
            lines.push(format!("HostCertificate {}", certificate.display()));
        }
        let principals = folder.join("principals");
        fs::create_dir_all(&principals).unwrap();
        for (account, line) in &self.principals {
            let path = principals.join(account);
            let mut text = fs::read_to_string(&path).unwrap_or_default();
            text += line;
            text.push('\n');
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        }
        let ca = folder.join("user-ca.pub");
        fs::write(&ca, self.trusted.as_deref().unwrap_or("# nobody yet\n")).unwrap();
        // Another process may have taken the port between our look and sshd's bind.
        for _ in 0..5 {
            let port = self.port.unwrap_or_else(|| port::free_on(address));
            let config = folder.join("sshd_config");
            let mut text = lines.join("\n");
            text += &format!(
                "\nListenAddress {address}:{port}\n\
                 HostKey {host_key}\n\
                 PidFile none\n\
                 UsePAM no\n\
                 StrictModes no\n\
                 LogLevel VERBOSE\n\
                 PasswordAuthentication no\n\
                 KbdInteractiveAuthentication no\n\
                 AuthorizedKeysFile .ssh/authorized_keys\n\
                 TrustedUserCAKeys {ca}\n\
                 AuthorizedPrincipalsFile {principals}/%u\n\
                 Subsystem sftp /usr/lib/openssh/sftp-server\n",
                host_key = folder.join("host_key").display(),
                ca = ca.display(),
                principals = principals.display(),
            );
            fs::write(&config, text).unwrap();
            world
                .run("/usr/sbin/sshd")
                .arg("-t")
                .arg("-f")
                .arg(&config)
                .go()
                .ok();
            let mut child = world
                .run("/usr/sbin/sshd")
                .args(["-D", "-e", "-f"])
                .arg(&config)
                .start(&format!("sshd-{}", self.name), dir);
            let up = clock::until("sshd to listen", || {
                if port::answers(address, port) && child.runs() {
                    Some(true)
                } else if child.runs() {
                    None
                } else {
                    Some(false)
                }
            });
            if up {
                return Sshd {
                    name: self.name,
                    address,
                    port,
                    folder,
                    child,
                };
            }
            assert!(
                child.log().contains("Address already in use") && self.port.is_none(),
                "sshd ended:\n{}",
                child.log()
            );
        }
        panic!("no port for sshd in five tries");
    }
}

/// A server that runs.
#[derive(Debug)]
pub struct Sshd {
    /// Full name.
    pub name: String,
    /// Its address of loopback.
    pub address: Ipv4Addr,
    /// Its port.
    pub port: u16,
    folder: PathBuf,
    child: Child,
}

impl Sshd {
    /// sshd's own log.
    pub fn log(&self) -> String {
        self.child.log()
    }

    /// Waits for a line in sshd's log.
    pub fn says(&mut self, text: &str) {
        self.child.says(text);
    }

    /// Its folder: `host_key.pub`, `user-ca.pub`, `principals/`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Replaces the CA keys that it trusts, whole.
    pub fn trust(&self, keys: &str) {
        let new = self.folder.join("user-ca.new");
        fs::write(&new, keys).unwrap();
        fs::rename(new, self.folder.join("user-ca.pub")).unwrap();
    }

    /// The line that `known_hosts` needs for it.
    pub fn known_host(&self) -> String {
        let key = fs::read_to_string(self.folder.join("host_key.pub")).unwrap();
        format!(
            "[{}]:{},[{}]:{} {key}",
            self.name, self.port, self.address, self.port
        )
    }
}
