//! Names that are safe as principals (invariant 6). What comes in is text from a policy or a claim;
//! what goes out is a name that no part of OpenSSH can read as anything else: no comma (splits
//! `principals="…"`), `#` (cuts a line of a principals file), space, quote, wildcard, control
//! character or letter outside of ASCII (A27, A34).
//!
//! A role's principal is `role:NAME`, for a person's own account `role:NAME+USERNAME`. A colon is
//! in no account name, so that no role can ever equal an account, whatever it is called (A58).
//! This is the first of three layers: the signer and the host check the same charset again.

use std::fmt;

/// Name of a role: a lower-case letter, then lower-case letters, digits and hyphens; at most 63.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct RoleName(Box<str>);

/// Name of a Unix account: `[a-z_][a-z0-9_-]{0,31}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct AccountName(Box<str>);

/// One principal of a certificate. Made from a role or an account, never from text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct Principal(Box<str>);

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing at all.
    #[error("a name cannot be empty")]
    Empty,
    /// More characters than the name may have.
    #[error("a name has at most {most} characters, this one has {length}")]
    TooLong {
        /// The limit.
        most: usize,
        /// What there is.
        length: usize,
    },
    /// It begins with something else than it may.
    #[error("a name cannot begin with {0:?}")]
    Start(char),
    /// A character that is outside of the charset.
    #[error("a name cannot contain {0:?}")]
    Character(char),
}

impl RoleName {
    /// Checks and takes a name.
    pub fn new(text: &str) -> Result<Self, NameError> {
        check(text, 63, "", "-").map(|()| RoleName(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Stands for a name that is none, in a policy that will not load.
    pub(super) fn placeholder() -> Self {
        RoleName("unnamed".into())
    }
}

impl AccountName {
    /// Checks and takes a name. Says nothing about whether the account is a system's own: see
    /// [`AccountName::is_reserved`].
    pub fn new(text: &str) -> Result<Self, NameError> {
        check(text, 32, "_", "_-").map(|()| AccountName(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Accounts that a system, a service or an image owns: nobody gets one because a claim says so,
    /// only because the policy names it literally (A27).
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with('_')
            || self.0.starts_with("systemd-")
            || RESERVED.binary_search(&self.as_str()).is_ok()
    }
}

impl Principal {
    /// `role:NAME`: the fixed accounts of a role.
    pub fn role(role: &RoleName) -> Self {
        Principal(format!("role:{role}").into())
    }

    /// `role:NAME+USERNAME`: a person's own account under a role.
    pub fn role_of(role: &RoleName, username: &AccountName) -> Self {
        Principal(format!("role:{role}+{username}").into())
    }

    /// The account itself: simple mode.
    pub fn account(account: &AccountName) -> Self {
        Principal(account.0.clone())
    }

    /// As it stands in the certificate.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check(text: &str, most: usize, start: &str, inside: &str) -> Result<(), NameError> {
    for (index, character) in text.chars().enumerate() {
        if index == 0 {
            if !character.is_ascii_lowercase() && !start.contains(character) {
                return Err(NameError::Start(character));
            }
        } else if !character.is_ascii_lowercase()
            && !character.is_ascii_digit()
            && !inside.contains(character)
        {
            return Err(NameError::Character(character));
        }
    }
    match text.len() {
        0 => Err(NameError::Empty),
        length if length > most => Err(NameError::TooLong { most, length }),
        _ => Ok(()),
    }
}

macro_rules! text {
    ($($name:ident),+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )+};
}

text!(RoleName, AccountName, Principal);

/// Sorted. Debian's and Red Hat's base systems, usual services, and the first accounts of images.
pub(super) const RESERVED: &[&str] = &[
    "abrt",
    "adm",
    "admin",
    "administrator",
    "almalinux",
    "ansible",
    "apache",
    "arch",
    "audio",
    "avahi",
    "azureuser",
    "backup",
    "bin",
    "bind",
    "bitnami",
    "caddy",
    "cassandra",
    "centos",
    "chrony",
    "clamav",
    "clickhouse",
    "cloud-user",
    "consul",
    "core",
    "couchdb",
    "cron",
    "daemon",
    "dbus",
    "debian",
    "debian-tor",
    "deploy",
    "dhcpd",
    "dnsmasq",
    "docker",
    "dovecot",
    "ec2-user",
    "elasticsearch",
    "etcd",
    "exim",
    "fedora",
    "ftp",
    "games",
    "geoclue",
    "gerrit",
    "git",
    "gitlab",
    "gitlab-runner",
    "gnats",
    "grafana",
    "guest",
    "halt",
    "haproxy",
    "httpd",
    "influxdb",
    "irc",
    "jenkins",
    "kafka",
    "kmem",
    "kube",
    "kubernetes",
    "landscape",
    "list",
    "lp",
    "lxd",
    "mail",
    "man",
    "memcache",
    "memcached",
    "messagebus",
    "minio",
    "mongo",
    "mongod",
    "mongodb",
    "munin",
    "mysql",
    "nagios",
    "named",
    "news",
    "nfsnobody",
    "nginx",
    "nobody",
    "nogroup",
    "nomad",
    "ntp",
    "opc",
    "operator",
    "oracle",
    "pi",
    "podman",
    "polkitd",
    "pollinate",
    "postfix",
    "postgres",
    "prometheus",
    "proxy",
    "rabbitmq",
    "redis",
    "rocky",
    "root",
    "rpc",
    "rpcuser",
    "rpm",
    "rtkit",
    "saned",
    "shadow",
    "shutdown",
    "smmsp",
    "snmp",
    "squid",
    "sshd",
    "sssd",
    "staff",
    "stunnel",
    "sudo",
    "sync",
    "sys",
    "syslog",
    "tcpdump",
    "tomcat",
    "toor",
    "tss",
    "tty",
    "ubuntu",
    "unbound",
    "users",
    "uucp",
    "uuidd",
    "vagrant",
    "vault",
    "video",
    "wheel",
    "www",
    "www-data",
    "zabbix",
    "zookeeper",
];
