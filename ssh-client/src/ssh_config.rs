//! What makes plain `ssh` work: a file of our own that `~/.ssh/config` includes in its first line.
//! For each CA, and only for its hosts:
//!
//! ```text
//! Host db01.prod.example.com        # for shells that complete host names
//! Match originalhost "db01.prod.example.com,db"       # enrolled hosts, and the person's aliases
//!     StrictHostKeyChecking yes   UserKnownHostsFile …/known_hosts   UpdateHostKeys no …
//! Match final host "db01.prod.example.com"
//!     (the same)   User observer      # what the person types or wrote themselves wins
//! Match final host "*.prod.example.com"
//!     User observer
//! Match final host "*.prod.example.com" user "observer,admin" exec "/usr/bin/jit-ssh ensure …"
//!     IdentityFile … CertificateFile … IdentitiesOnly yes
//! ```
//!
//! Enrolled hosts have certificates: our known hosts hold nothing but the CA's `@cert-authority`
//! lines, so that no host key question is asked and who has no certificate is refused (A50). That
//! hangs on no `ensure`, and stands in the first pass, because what the person wrote for `Host *`
//! is read before anything `final`; there a host goes by the name that was typed, so aliases are
//! named too. `final` sees the resolved host and account, so aliases work; the accounts stand before
//! `exec`, so that `git@` the same host does not even start it, and no account of somebody else's
//! choice reaches a command (A49). Whatever comes from the CA is held against a small charset and
//! left out if it does not fit; a name that two CAs claim is the first pinned one's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jit_ssh_api::host_pattern::is_host_pattern;
use jit_ssh_terminal::LineDiff;

pub(crate) mod aliases;
pub(crate) mod known_hosts;

use crate::fleet::Fleet;
use crate::platform;
use crate::state::{CaFiles, KeyPlace, Plain};
use aliases::Aliases;

/// Names that the CA said and that are not written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeftOut(pub(crate) Vec<String>);

impl LeftOut {
    /// Each is told once, however many roles and hosts have it.
    pub(crate) fn add(&mut self, name: &str) {
        if !self.0.iter().any(|told| told == name) {
            self.0.push(name.to_owned());
        }
    }
}

/// A host's name that a CA claims and that is another's, pinned before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claimed {
    /// The name.
    pub(crate) name: String,
    /// Whose it is.
    pub(crate) owner: String,
    /// Who claims it.
    pub(crate) by: String,
}

/// What one CA adds.
pub(crate) struct Part<'a> {
    /// Paths.
    pub(crate) files: &'a CaFiles,
    /// Host patterns, roles, key.
    pub(crate) plain: &'a Plain,
    /// Enrolled hosts.
    pub(crate) fleet: &'a Fleet,
    /// Host CA keys that the pinned identity key vouches for, OpenSSH format.
    pub(crate) host_ca: &'a [String],
}

/// The files, whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rendered {
    /// What `ssh` includes.
    pub(crate) include: String,
    /// Known hosts of each CA.
    pub(crate) known_hosts: Vec<(PathBuf, String)>,
    /// What is not in them: names that do not fit,
    pub(crate) left_out: LeftOut,
    /// and names that are another CA's.
    pub(crate) claimed: Vec<Claimed>,
}

/// Why nothing can be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// A path of ours that ssh would read as something else.
    #[error("the path {} cannot be written into an ssh configuration", .0.display())]
    Path(PathBuf),
}

/// Names that `exec` must not see. OpenSSH before 9.6 takes any host name, from a submodule's URL for
/// example, and puts it into the command as it is (CVE-2023-51385): quotes hold it together, and what
/// would end the quotes is no host of ours.
#[cfg(not(windows))]
const NO_SHELL_WORDS: &str = r"!*'*,!*\*";
#[cfg(windows)]
const NO_SHELL_WORDS: &str = "!*&*,!*|*,!*<*,!*>*,!*^*";

/// A token as one word for the shell that runs `exec`.
fn quoted(token: &str) -> String {
    if cfg!(windows) {
        token.to_owned()
    } else {
        format!("'{token}'")
    }
}

/// The include and the known hosts. The parts come in the order in which the CAs were pinned.
pub(crate) fn render(
    program: &Path,
    parts: &[Part<'_>],
    aliases: &Aliases,
) -> Result<Rendered, ConfigError> {
    let mut rendered = Rendered {
        include: String::from(
            "# Written by `jit-ssh ssh-config` and at each contact with the CA; changes are lost.\n",
        ),
        ..Rendered::default()
    };
    let mut owners = Vec::new();
    for part in parts {
        let owned = Owned::of(part, &owners, &mut rendered);
        render_part(&mut rendered, program, part, &owned, aliases)?;
        owners.push(owned);
    }
    Ok(rendered)
}

/// What is one CA's, after those that were pinned before it.
struct Owned {
    ca: String,
    patterns: Vec<String>,
    /// Enrolled names, each with the account that a plain `ssh` takes there.
    names: BTreeMap<String, Option<String>>,
}

impl Owned {
    fn of(part: &Part<'_>, before: &[Owned], rendered: &mut Rendered) -> Self {
        let ca = part.files.name.clone();
        let mut patterns: Vec<String> = Vec::new();
        for pattern in &part.plain.roles.hosts {
            if !is_host_pattern(pattern) {
                rendered.left_out.add(pattern);
            } else if !patterns.contains(pattern) {
                patterns.push(pattern.clone());
            }
        }
        let mut names = BTreeMap::new();
        for (name, roles) in &part.fleet.hosts {
            if let Some(owner) = before.iter().find(|owned| owned.has(name)) {
                let (name, owner, by) = (name.clone(), owner.ca.clone(), ca.clone());
                rendered.claimed.push(Claimed { name, owner, by });
                continue;
            }
            let usual = roles.iter().find_map(|role| role.accounts.first()).cloned();
            names.insert(name.clone(), usual);
        }
        Owned {
            ca,
            patterns,
            names,
        }
    }

    fn has(&self, name: &str) -> bool {
        self.names.contains_key(name) || fits_list(name, &self.patterns)
    }
}

fn render_part(
    rendered: &mut Rendered,
    program: &Path,
    part: &Part<'_>,
    owned: &Owned,
    aliases: &Aliases,
) -> Result<(), ConfigError> {
    let name = &part.files.name;
    let roles = &part.plain.roles.roles;
    let mut accounts: Vec<&str> = Vec::new();
    for account in roles.iter().flat_map(|role| &role.accounts) {
        if !is_account(account) {
            rendered.left_out.add(account);
        } else if !accounts.contains(&account.as_str()) {
            accounts.push(account);
        }
    }
    let mut text = format!("\n# {name}\n");
    let known_hosts = part.files.known_hosts();
    if !owned.names.is_empty() {
        // Says nothing to ssh: shells complete the names in such lines.
        for list in known_hosts::lists(owned.names.keys().map(String::as_str)) {
            text.push_str(&format!("Host {}\n", list.replace(',', " ")));
        }
        let strict = strict(&known_hosts)?;
        // The person sends the name to some address; what must be there is that host.
        for name in aliases.beside(&owned.names) {
            text.push_str(&format!(
                "Match originalhost \"{name}\"\n    HostKeyAlias {name}\n"
            ));
        }
        let names = owned.names.keys().map(String::as_str);
        for list in known_hosts::lists(names.chain(aliases.of(&owned.names))) {
            text.push_str(&format!("Match originalhost \"{list}\"\n{strict}"));
        }
        let mut by_account: BTreeMap<&Option<String>, Vec<&str>> = BTreeMap::new();
        for (name, usual) in &owned.names {
            by_account.entry(usual).or_default().push(name);
        }
        for (usual, names) in by_account {
            let user = usual.as_ref().map(|usual| format!("    User {usual}\n"));
            let user = user.unwrap_or_default();
            for list in known_hosts::lists(names.into_iter()) {
                text.push_str(&format!("Match final host \"{list}\"\n{strict}{user}"));
            }
        }
    }
    let names = owned.names.keys().map(String::as_str);
    let others = names
        .clone()
        .filter(|name| !fits_list(name, &owned.patterns));
    let patterns = Some(owned.patterns.join(",")).filter(|patterns| !patterns.is_empty());
    let usual = roles
        .iter()
        .filter(|role| role.refused.is_none())
        .find_map(|role| role.accounts.iter().find(|account| is_account(account)));
    if let (Some(usual), Some(patterns)) = (usual, &patterns) {
        text.push_str(&format!(
            "Match final host \"{patterns}\"\n    User {usual}\n"
        ));
    }
    let lists: Vec<String> = patterns
        .into_iter()
        .chain(known_hosts::lists(others))
        .collect();
    if lists.is_empty() || accounts.is_empty() {
        text.push_str("# (no hosts or no accounts yet)\n");
    } else {
        let settings = identity(part)?;
        let (program, accounts) = (command_word(program)?, accounts.join(","));
        let (host, account) = (quoted("%h"), quoted("%r"));
        for list in lists {
            text.push_str(&format!(
                "Match final host \"{list},{NO_SHELL_WORDS}\" user \"{accounts}\" exec \"{program} \
                 ensure --ca {name} --host {host} --account {account}\"\n{settings}"
            ));
        }
    }
    rendered.include.push_str(&text);
    let lines = known_hosts::render(names, part.host_ca);
    rendered.known_hosts.push((known_hosts, lines));
    Ok(())
}

/// Certificates of this CA and nothing else tell who such a host is.
fn strict(known_hosts: &Path) -> Result<String, ConfigError> {
    let path = word(known_hosts)?;
    // Since OpenSSH 8.4 the environment would be read there.
    if path.contains("${") {
        return Err(ConfigError::Path(known_hosts.to_owned()));
    }
    Ok(format!(
        "    StrictHostKeyChecking yes\n    UserKnownHostsFile \"{path}\"\n    \
         GlobalKnownHostsFile /dev/null\n    UpdateHostKeys no\n    VerifyHostKeyDNS no\n"
    ))
}

/// The key and the certificate that `ensure` made sure of.
fn identity(part: &Part<'_>) -> Result<String, ConfigError> {
    let key = part
        .plain
        .named_key
        .as_ref()
        .map_or_else(|| part.files.key(), |named| named.path.clone());
    let certificates = word(&part.files.certificates())?;
    let mut text = format!(
        "    IdentityFile \"{}\"\n    CertificateFile \"{certificates}/%r@%h-cert.pub\"\n    \
         IdentitiesOnly yes\n",
        word(&key)?
    );
    if let KeyPlace::Agent { address } = &part.plain.key
        && part.plain.named_key.is_none()
        && let Ok(address) = word(address)
        && !address.contains('$')
    {
        text.push_str(&format!("    IdentityAgent \"{address}\"\n"));
    }
    Ok(text)
}

/// Whether a host is one of a pattern list, as `ssh` reads it: what is taken out (`!`) is out.
fn fits_list(host: &str, patterns: &[String]) -> bool {
    let fits = |pattern: &str| fits(host.as_bytes(), pattern.to_ascii_lowercase().as_bytes());
    let mut found = false;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(out) if fits(out) => return false,
            Some(_) => {}
            None => found |= fits(pattern),
        }
    }
    found
}

/// `*` for any characters, `?` for one.
pub(crate) fn fits(text: &[u8], pattern: &[u8]) -> bool {
    // How far the last star's guess reaches, and what comes behind that star.
    let (mut text, mut pattern) = (text, pattern);
    let mut guess: Option<(&[u8], &[u8])> = None;
    loop {
        match (text.split_first(), pattern.split_first()) {
            (_, Some((b'*', behind))) => {
                guess = Some((text, behind));
                pattern = behind;
            }
            (Some((first, rest)), Some((wanted, behind))) if wanted == first || *wanted == b'?' => {
                (text, pattern) = (rest, behind);
            }
            (None, None) => return true,
            _ => match guess.and_then(|(from, behind)| Some((from.get(1..)?, behind))) {
                Some((from, behind)) => {
                    guess = Some((from, behind));
                    (text, pattern) = (from, behind);
                }
                None => return false,
            },
        }
    }
}

/// A Unix account name.
pub(crate) fn is_account(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= 64
        && bytes
            .next()
            .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// A path between double quotes, `%` doubled.
fn word(path: &Path) -> Result<String, ConfigError> {
    let refuse = || ConfigError::Path(path.to_owned());
    let text = platform::with_slashes(path.to_str().ok_or_else(refuse)?);
    let safe = path.is_absolute()
        && !text
            .chars()
            .any(|c| c.is_control() || matches!(c, '"' | '\\' | '\'' | '`'));
    if safe {
        Ok(text.replace('%', "%%"))
    } else {
        Err(refuse())
    }
}

/// Our program's path as a word of a shell, within the double quotes of ssh's configuration.
fn command_word(path: &Path) -> Result<String, ConfigError> {
    let text = word(path)?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._+-:".contains(&b);
    if text.bytes().all(plain) {
        Ok(text)
    } else {
        Ok(platform::shell_word(&text))
    }
}

/// The programs that an include of ours starts: what [`command_word`] wrote, read back.
pub(crate) fn programs(include: &str) -> Vec<PathBuf> {
    let command = |line: &str| {
        let (_, command) = line.split_once(" exec \"")?;
        let (program, _) = command.split_once(" ensure --ca ")?;
        let quoted = program.trim_matches(['\'', '\\', '"']);
        Some(PathBuf::from(quoted.replace("%%", "%")))
    };
    let mut programs: Vec<PathBuf> = include.lines().filter_map(command).collect();
    programs.dedup();
    programs
}

/// The line that `~/.ssh/config` begins with.
pub(crate) fn include_line(include: &Path) -> Result<String, ConfigError> {
    let text = word(include)?;
    // Include expands wildcards and, in OpenSSH 9.9 and later, variables.
    if text.contains(['*', '?', '[', '$', '%']) {
        return Err(ConfigError::Path(include.to_owned()));
    }
    // Shells that complete host names follow an Include without quotes alone.
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+@".contains(&b);
    if text.bytes().all(plain) {
        Ok(format!("Include {text}"))
    } else {
        Ok(format!("Include \"{text}\""))
    }
}

/// Whether a line is that one, with quotes or without.
fn is_line(existing: &str, line: &str) -> bool {
    existing.trim().replace('"', "") == line.replace('"', "")
}

/// `~/.ssh/config` with the include in its first line.
pub(crate) fn with_include(config: &str, line: &str) -> String {
    let rest = without_include(config, line);
    let end = if config.contains("\r\n") {
        "\r\n"
    } else {
        "\n"
    };
    format!("{line}{end}{rest}")
}

/// `~/.ssh/config` without it.
pub(crate) fn without_include(config: &str, line: &str) -> String {
    config
        .split_inclusive('\n')
        .filter(|existing| !is_line(existing, line))
        .collect()
}

/// Whether the include is in force: in the first line that says something.
pub(crate) fn has_include(config: &str, line: &str) -> bool {
    config
        .lines()
        .map(str::trim)
        .find(|existing| !existing.is_empty() && !existing.starts_with('#'))
        .is_some_and(|existing| is_line(existing, line))
}

/// Lines removed and added, as `diff` shows them.
pub(crate) fn diff(before: &str, after: &str) -> String {
    let diff = LineDiff::new(before, after);
    let removed = diff.removed().iter().map(|line| format!("- {line}\n"));
    let added = diff.added().iter().map(|line| format!("+ {line}\n"));
    removed.chain(added).collect()
}

#[cfg(unix)]
#[cfg(test)]
pub(crate) mod tests;
