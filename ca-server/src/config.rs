//! The configuration of a CA as a checked snapshot. In: `DATA/ca.toml`. Out: [`Config`], in which
//! every value is of its own type and all of them fit together; or every mistake at once, each with
//! its line, what is wrong and what to write instead. Nothing is guessed, unknown keys are refused.
//!
//! The text form with all keys and defaults is `config/file.rs`; `docs/configuration.md` is made
//! from it.

use std::fmt;
use std::path::{Path, PathBuf};

use jit_ssh_api::discovery::Profile;
use jit_ssh_api::host_pattern;

use crate::identity::issuer::IssuerConfig;

mod file;
mod issuers;
pub mod limits;
pub mod listen;
mod place;
pub mod units;

pub use file::reference;
pub use limits::Limits;
pub use listen::{Listen, Tls};

pub use crate::data::CONFIG as FILE;

use place::Places;
use units::Span;

/// A checked configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Name of the CA, part of every proof.
    pub name: String,
    /// Public URL without a trailing slash.
    pub url: String,
    /// Algorithms of the CA's own keys and of login keys.
    pub profile: Profile,
    /// Host patterns for `ensure`.
    pub hosts: Vec<String>,
    /// Further CA certificates for calls to issuers, PEM, relative to the data folder.
    pub extra_ca: Option<PathBuf>,
    /// Where to listen.
    pub listen: Listen,
    /// Longest login.
    pub max_login: Span,
    /// Issuers, at least one once somebody is to sign in.
    pub issuers: Vec<IssuerConfig>,
    /// Limits.
    pub limits: Limits,
    /// Log.
    pub log: Log,
    /// Free space below which only certificates and ends of logins are recorded.
    pub disk_reserve: u64,
}

/// How to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// Lines for people or for machines.
    pub format: LogFormat,
    /// Least level to write.
    pub level: tracing::Level,
}

/// Lines for people or for machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One line of text an event.
    Text,
    /// One JSON object an event.
    Json,
}

/// Why there is no configuration; the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file has mistakes.
    #[error("{}", listed(path, mistakes))]
    Mistakes {
        /// Which file.
        path: PathBuf,
        /// All of them.
        mistakes: Vec<Mistake>,
    },
}

/// One mistake in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Line, from 1; none where a key is missing from the whole file.
    pub line: Option<usize>,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub help: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if !self.help.is_empty() {
            write!(f, "; {}", self.help)?;
        }
        Ok(())
    }
}

fn listed(path: &Path, mistakes: &[Mistake]) -> String {
    let lines: Vec<String> = mistakes
        .iter()
        .map(|mistake| match mistake.line {
            Some(line) => format!("{}:{line}: {mistake}", path.display()),
            None => format!("{}: {mistake}", path.display()),
        })
        .collect();
    lines.join("\n")
}

impl Config {
    /// Reads `DATA/ca.toml`.
    pub fn load(data: &Path) -> Result<Config, ConfigError> {
        let path = data.join(crate::data::CONFIG);
        let text = std::fs::read_to_string(&path).map_err(|source| ConfigError::Unreadable {
            path: path.clone(),
            source,
        })?;
        Config::parse(&text).map_err(|mistakes| ConfigError::Mistakes { path, mistakes })
    }

    /// Checks the text of a configuration.
    pub fn parse(text: &str) -> Result<Config, Vec<Mistake>> {
        let places = Places::of(text)?;
        let file: file::File =
            toml::from_str(text).map_err(|error| vec![place::from_toml(text, &error)])?;
        let mut wrong = Wrong {
            places,
            mistakes: Vec::new(),
        };
        let config = check(&file, &mut wrong);
        if wrong.mistakes.is_empty() {
            Ok(config)
        } else {
            Err(wrong.mistakes)
        }
    }

    /// Somebody else speaks TLS for this CA and is not named: then everybody comes from one address,
    /// in limits, `source` rules and the ledger, and whoever may read metrics there is everybody.
    pub fn has_unknown_proxy(&self) -> bool {
        self.listen.tls == Tls::None
            && self.url.starts_with("https:")
            && self.listen.trusted_proxies.is_empty()
    }

    /// The files that a CA with this configuration does not serve without, the two that are read
    /// together among them; relative to the data folder.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = vec![crate::data::CONFIG.into(), crate::data::POLICY.into()];
        files.extend(self.extra_ca.clone());
        if let Tls::Files { certificate, key } = &self.listen.tls {
            files.extend([certificate.clone(), key.clone()]);
        }
        files
    }

    /// Keeps what counts from the next start only as it was in `old` (a proof's CA name above all),
    /// and names what would have changed.
    pub fn keep_fixed(&mut self, old: &Config) -> Vec<&'static str> {
        let mut kept = Vec::new();
        keep(&mut kept, "name", &mut self.name, &old.name);
        keep(&mut kept, "url", &mut self.url, &old.url);
        keep(&mut kept, "profile", &mut self.profile, &old.profile);
        keep(&mut kept, "extra_ca", &mut self.extra_ca, &old.extra_ca);
        let (listen, limits) = (&mut self.listen, &mut self.limits);
        let address = &mut listen.address;
        keep(&mut kept, "listen.address", address, &old.listen.address);
        keep(&mut kept, "listen.tls", &mut listen.tls, &old.listen.tls);
        let head_time = &mut limits.head_time;
        keep(
            &mut kept,
            "limits.head_time",
            head_time,
            &old.limits.head_time,
        );
        keep(&mut kept, "log", &mut self.log, &old.log);
        let reserve = &mut self.disk_reserve;
        keep(&mut kept, "disk.reserve", reserve, &old.disk_reserve);
        kept
    }
}

fn keep<T: Clone + PartialEq>(
    kept: &mut Vec<&'static str>,
    key: &'static str,
    new: &mut T,
    old: &T,
) {
    if new != old {
        new.clone_from(old);
        kept.push(key);
    }
}

/// Collects mistakes with their lines.
struct Wrong<'a> {
    places: Places<'a>,
    mistakes: Vec<Mistake>,
}

impl Wrong<'_> {
    /// Notes a mistake at a key, `["listen", "address"]` or `["issuers", "0", "clients", "1"]`.
    fn at(&mut self, path: &[&str], what: impl Into<String>, help: impl Into<String>) {
        let line = self.places.line(path);
        self.mistakes.push(Mistake {
            line,
            what: what.into(),
            help: help.into(),
        });
    }
}

fn check(file: &file::File, wrong: &mut Wrong<'_>) -> Config {
    let top = file.top();
    let (url, host) = check_url(&top.url, wrong);
    let name = if top.name.is_empty() { host } else { top.name };
    if !is_name(&name) {
        wrong.at(
            &["name"],
            format!("`{name}` is no name for a CA"),
            "use letters, digits, dots and hyphens, at most 100: name = \"ca.example.com\"",
        );
    }
    let profile = match top.profile.as_str() {
        "standard" => Profile::Standard,
        "fips" => Profile::Fips,
        other => {
            let what = format!("there is no profile `{other}`");
            wrong.at(&["profile"], what, "write \"standard\" or \"fips\"");
            Profile::Standard
        }
    };
    for (index, pattern) in top.hosts.iter().enumerate() {
        if !host_pattern::is_host_pattern(pattern) {
            wrong.at(
                &["hosts", &index.to_string()],
                format!("`{pattern}` is not a host pattern that clients act by"),
                host_pattern::MEND,
            );
        }
    }
    Config {
        name,
        url,
        profile,
        hosts: top.hosts,
        extra_ca: (!top.extra_ca.is_empty()).then(|| PathBuf::from(&top.extra_ca)),
        listen: listen::check(&file.listen, wrong),
        max_login: check_max_login(file.login.max, wrong),
        issuers: issuers::check(&file.issuers, file.login.max, wrong),
        limits: limits::check(&file.limits, wrong),
        log: check_log(&file.log, wrong),
        disk_reserve: file.disk.reserve.bytes(),
    }
}

/// The URL without a trailing slash, and its host.
fn check_url(text: &str, wrong: &mut Wrong<'_>) -> (String, String) {
    const EXAMPLE: &str = "write where clients reach this CA: url = \"https://ca.example.com\"";
    if text.is_empty() {
        wrong.at(&["url"], "`url` is missing", EXAMPLE);
        return (String::new(), "unnamed".to_owned());
    }
    let Ok(url) = url::Url::parse(text) else {
        wrong.at(&["url"], format!("`{text}` is not a URL"), EXAMPLE);
        return (String::new(), "unnamed".to_owned());
    };
    let host = url
        .host_str()
        .unwrap_or_default()
        .trim_matches(['[', ']'])
        .replace(':', "-");
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if !bare || !url.username().is_empty() || url.password().is_some() {
        wrong.at(&["url"], format!("`{text}` must be a host alone"), EXAMPLE);
    }
    let plain = url.scheme() == "http" && jit_ssh_connect::is_loopback(&url);
    if url.scheme() != "https" && !plain {
        wrong.at(
            &["url"],
            format!("`{text}` is not https (http is for loopback only)"),
            EXAMPLE,
        );
    }
    (text.trim_end_matches('/').to_owned(), host)
}

fn is_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    (1..=100).contains(&name.len()) && name.bytes().all(legal)
}

fn check_max_login(max: Span, wrong: &mut Wrong<'_>) -> Span {
    if max.get().is_zero() || max.get() > Span::hours(7 * 24).get() {
        let what = format!("a login of {max} is not sensible");
        wrong.at(
            &["login", "max"],
            what,
            "write between 1m and 7d: max = \"8h\"",
        );
    }
    max
}

fn check_log(log: &file::Log, wrong: &mut Wrong<'_>) -> Log {
    let format = match log.format.as_str() {
        "text" => LogFormat::Text,
        "json" => LogFormat::Json,
        other => {
            let what = format!("there is no log format `{other}`");
            wrong.at(&["log", "format"], what, "write \"text\" or \"json\"");
            LogFormat::Text
        }
    };
    let level = match log.level.as_str() {
        "error" => tracing::Level::ERROR,
        "warn" => tracing::Level::WARN,
        "info" => tracing::Level::INFO,
        "debug" => tracing::Level::DEBUG,
        other => {
            let what = format!("there is no log level `{other}`");
            wrong.at(&["log", "level"], what, "write error, warn, info or debug");
            tracing::Level::INFO
        }
    };
    Log { format, level }
}

#[cfg(test)]
mod tests;
