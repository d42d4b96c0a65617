//! What makes plain `ssh` work: a file of our own that `~/.ssh/config` includes in its first line.
//! For each CA, and only for its hosts:
//!
//! ```text
//! Match final host "*.prod.example.com"
//!     User observer                     # what the person types or wrote themselves wins
//! Match final host "*.prod.example.com" user "observer,admin" exec "/usr/bin/jit-ssh ensure …"
//!     IdentityFile … CertificateFile … IdentitiesOnly yes
//! ```
//!
//! `final` sees the resolved host and account, so aliases work; the accounts stand before `exec`, so
//! that `git@` the same host does not even start it, and no account of somebody else's choice
//! reaches a command (A49). Whatever comes from the CA is held against a small charset and left out
//! if it does not fit.

use std::path::{Path, PathBuf};

use jit_ssh_api::host_pattern::is_host_pattern;
use jit_ssh_terminal::LineDiff;

use crate::platform;
use crate::state::{CaFiles, KeyPlace, Plain};

/// Names that the CA said and that are not written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeftOut(pub(crate) Vec<String>);

/// What one CA adds.
pub(crate) struct Part<'a> {
    /// Paths.
    pub(crate) files: &'a CaFiles,
    /// Hosts, roles, key.
    pub(crate) plain: &'a Plain,
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

/// The include file.
pub(crate) fn render(program: &Path, parts: &[Part<'_>]) -> Result<(String, LeftOut), ConfigError> {
    let mut text = String::from(
        "# Written by `jit-ssh ssh-config` and at each contact with the CA; changes are lost.\n",
    );
    let mut left_out = LeftOut::default();
    for part in parts {
        render_part(&mut text, program, part, &mut left_out)?;
    }
    Ok((text, left_out))
}

fn render_part(
    text: &mut String,
    program: &Path,
    part: &Part<'_>,
    left_out: &mut LeftOut,
) -> Result<(), ConfigError> {
    let name = &part.files.name;
    let mut pick = |names: Vec<&str>, fits: fn(&str) -> bool| -> Vec<String> {
        let mut picked: Vec<String> = Vec::new();
        for name in names {
            if !fits(name) {
                // Told once, however many roles have it.
                if !left_out.0.iter().any(|told| told == name) {
                    left_out.0.push(name.to_owned());
                }
            } else if !picked.iter().any(|known| known == name) {
                picked.push(name.to_owned());
            }
        }
        picked
    };
    let roles = &part.plain.roles.roles;
    let hosts = part.plain.roles.hosts.iter().map(String::as_str).collect();
    let hosts = pick(hosts, is_host_pattern);
    let accounts = roles.iter().flat_map(|role| &role.accounts);
    let accounts = pick(accounts.map(String::as_str).collect(), is_account);
    text.push_str(&format!("\n# {name}\n"));
    if hosts.is_empty() || accounts.is_empty() {
        text.push_str("# (no hosts or no accounts yet)\n");
        return Ok(());
    }
    let (hosts, all_accounts) = (hosts.join(","), accounts.join(","));
    let usual = roles
        .iter()
        .filter(|role| role.refused.is_none())
        .find_map(|role| role.accounts.iter().find(|account| is_account(account)));
    if let Some(usual) = usual {
        text.push_str(&format!("Match final host \"{hosts}\"\n    User {usual}\n"));
    }
    let program = command_word(program)?;
    text.push_str(&format!(
        "Match final host \"{hosts},{NO_SHELL_WORDS}\" user \"{all_accounts}\" exec \"{program} \
         ensure --ca {name} --host {} --account {}\"\n",
        quoted("%h"),
        quoted("%r"),
    ));
    let key = part
        .plain
        .named_key
        .as_ref()
        .map_or_else(|| part.files.key(), |named| named.path.clone());
    let certificates = word(&part.files.certificates())?;
    text.push_str(&format!("    IdentityFile \"{}\"\n", word(&key)?));
    text.push_str(&format!(
        "    CertificateFile \"{certificates}/%r@%h-cert.pub\"\n    IdentitiesOnly yes\n"
    ));
    if let KeyPlace::Agent { address } = &part.plain.key
        && part.plain.named_key.is_none()
        && let Ok(address) = word(address)
        && !address.contains('$')
    {
        text.push_str(&format!("    IdentityAgent \"{address}\"\n"));
    }
    Ok(())
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
    include.lines().filter_map(command).collect()
}

/// The line that `~/.ssh/config` begins with.
pub(crate) fn include_line(include: &Path) -> Result<String, ConfigError> {
    let text = word(include)?;
    // Include expands wildcards and, in OpenSSH 9.9 and later, variables.
    if text.contains(['*', '?', '[', '$', '%']) {
        return Err(ConfigError::Path(include.to_owned()));
    }
    Ok(format!("Include \"{text}\""))
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
        .filter(|existing| existing.trim() != line)
        .collect()
}

/// Whether the include is in force: in the first line that says something.
pub(crate) fn has_include(config: &str, line: &str) -> bool {
    config
        .lines()
        .map(str::trim)
        .find(|existing| !existing.is_empty() && !existing.starts_with('#'))
        == Some(line)
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
