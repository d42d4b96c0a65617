//! What the person calls hosts in their own configuration (`Host db` with `HostName db01…`), as
//! `ssh -G` resolves it. The names are taken from `Host` lines without wildcards, in `~/.ssh/config`
//! and what it includes; `ssh` is asked anew only when one of these files changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::fits;
use crate::platform;
use crate::state;

/// Names from the person's configuration, each with the host that it leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Aliases {
    /// Digest of the files that they were found in.
    files: String,
    hosts: BTreeMap<String, String>,
}

impl Aliases {
    /// Finds them below `config`, without our own `include`; `known` is what was found before, and
    /// `resolve` asks ssh.
    pub(crate) fn find(
        config: &Path,
        include: &Path,
        known: Option<Aliases>,
        mut resolve: impl FnMut(&str) -> Option<String>,
    ) -> Self {
        let mut texts = Vec::new();
        read(config, include, 0, &mut texts);
        let files = jit_ssh_api::hex(Sha256::digest(texts.concat()));
        if let Some(known) = known
            && known.files == files
        {
            return known;
        }
        let mut hosts = BTreeMap::new();
        for name in texts.iter().flat_map(|text| names(text)) {
            if hosts.len() < MOST
                && !hosts.contains_key(&name)
                && let Some(host) = resolve(&name)
            {
                hosts.insert(name, host);
            }
        }
        Aliases { files, hosts }
    }

    /// Those that lead to one of these hosts, and are none of them.
    pub(crate) fn of<'a, V>(
        &'a self,
        names: &BTreeMap<String, V>,
    ) -> impl Iterator<Item = &'a str> {
        self.hosts
            .iter()
            .filter(|(alias, host)| names.contains_key(*host) && !names.contains_key(*alias))
            .map(|(alias, _)| alias.as_str())
    }

    /// Enrolled names that the person sends somewhere else (`Host db01…` with `HostName 10.1.2.3`).
    pub(crate) fn beside<'a, V>(
        &'a self,
        names: &BTreeMap<String, V>,
    ) -> impl Iterator<Item = &'a str> {
        self.hosts
            .iter()
            .filter(|(alias, host)| names.contains_key(*alias) && !names.contains_key(*host))
            .map(|(alias, _)| alias.as_str())
    }
}

/// Texts of a configuration file and of what it includes.
fn read(path: &Path, skip: &Path, depth: u32, texts: &mut Vec<String>) {
    if depth > DEEPEST || texts.len() > MOST || path == skip {
        return;
    }
    let Ok(Some(text)) = state::read_to_string(path) else {
        return;
    };
    let included: Vec<PathBuf> = words_of(&text, "include")
        .flat_map(|word| glob(&word))
        .collect();
    texts.push(text);
    for path in included {
        read(&path, skip, depth + 1, texts);
    }
}

/// `Include` takes `~`, paths relative to `~/.ssh`, and wildcards; those in folders are left alone.
fn glob(word: &str) -> Vec<PathBuf> {
    let Some(home) = platform::home() else {
        return Vec::new();
    };
    let path = match word.strip_prefix("~/") {
        Some(rest) => home.join(rest),
        None => home.join(".ssh").join(word),
    };
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return Vec::new();
    };
    if !name.contains(['*', '?']) {
        return vec![path];
    }
    let entries = path
        .parent()
        .and_then(|folder| std::fs::read_dir(folder).ok());
    let mut found: Vec<PathBuf> = entries
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let fits = fits(entry.file_name().as_encoded_bytes(), name.as_bytes());
            fits.then(|| entry.path())
        })
        .collect();
    found.sort();
    found
}

/// Names in `Host` lines that are no patterns.
fn names(text: &str) -> impl Iterator<Item = String> {
    let is_plain = |name: &String| {
        !name.starts_with('-')
            && name.len() <= 253
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
    };
    words_of(text, "host")
        .filter(is_plain)
        .map(|name| name.to_ascii_lowercase())
}

/// Arguments of a keyword, without their quotes.
fn words_of<'a>(text: &'a str, keyword: &'static str) -> impl Iterator<Item = String> + 'a {
    text.lines().flat_map(move |line| {
        let line = line.trim();
        let end = line.find([' ', '\t', '=', '"']).unwrap_or(line.len());
        let (word, rest) = line.split_at(end);
        let rest = if word.eq_ignore_ascii_case(keyword) {
            rest.trim_start_matches([' ', '\t', '='])
        } else {
            ""
        };
        let mut words = Vec::new();
        for (at, part) in rest.split('"').enumerate() {
            if at % 2 == 1 {
                words.push(part.to_owned());
            } else {
                words.extend(part.split_whitespace().map(str::to_owned));
            }
        }
        words
    })
}

/// Names that are asked about, and files that are read; nobody writes so many by hand.
const MOST: usize = 500;

/// As deep as ssh itself goes.
const DEEPEST: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_from_host_lines_alone_and_asked_about_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let more = format!("Include \"{0}/*.conf\" {0}/ours\n", folder.path().display());
        let text = "Host db \"Web 1\" web\n  HostName x\nhost=Old\n# Host no\nHost * !a c?\nHostName n\n\
                    Match host m\nHost -x $(id)\n";
        state::write(&at("config"), format!("{more}{text}").as_bytes()).unwrap();
        state::write(&at("a.conf"), b"Host a\n").unwrap();
        state::write(&at("a.other"), b"Host other\n").unwrap();
        state::write(&at("ours"), b"Host ours\n").unwrap();
        let mut asked = Vec::new();
        let mut find = |known| {
            Aliases::find(&at("config"), &at("ours"), known, |name| {
                asked.push(name.to_owned());
                Some(format!("{name}.example.com"))
            })
        };
        let found = find(None);
        assert_eq!(find(Some(found.clone())), found);
        let names = BTreeMap::from([("db.example.com".to_owned(), ()), ("web".to_owned(), ())]);
        assert_eq!(found.of(&names).collect::<Vec<_>>(), ["db"]);
        assert_eq!(found.beside(&names).collect::<Vec<_>>(), ["web"]);
        state::write(&at("a.conf"), b"Host b\n").unwrap();
        assert_ne!(find(Some(found.clone())), found);
        assert_eq!(asked, ["db", "web", "old", "a", "db", "web", "old", "b"]);
    }
}
