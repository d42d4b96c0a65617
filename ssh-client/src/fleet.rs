//! The enrolled hosts that a person may reach, as a CA told them: what the ssh include, the known
//! hosts and the choice of a role are made of. In come names that an evil CA may have chosen; out
//! go only those of a small charset, and a file of lines that is searched without being parsed, so
//! that `ensure` stays fast with thousands of hosts (A44, A49).
//!
//! ```text
//! heard 1764000000
//! db01.prod.example.com production-observer=observer production-admin=admin,root
//! ```

use std::collections::BTreeMap;

use jit_ssh_api::host::{HostRole, Reachable, ReachableHost};

use crate::ssh_config::{LeftOut, is_account};

/// The hosts of one CA, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fleet {
    /// When the CA told them, seconds since 1970-01-01 UTC.
    pub(crate) heard: u64,
    /// By which role as which accounts, in the policy's order.
    pub(crate) hosts: BTreeMap<String, Vec<HostRole>>,
}

impl Fleet {
    /// What of an answer can be kept, and what was left out.
    pub(crate) fn of(answer: &Reachable, heard: u64) -> (Self, LeftOut) {
        let mut fleet = Fleet {
            heard,
            hosts: BTreeMap::new(),
        };
        let mut left_out = LeftOut::default();
        for ReachableHost { names, roles } in &answer.hosts {
            let roles = kept_roles(roles, &mut left_out);
            for name in names {
                let is_kept = is_host_name(name)
                    && (fleet.hosts.len() < MOST_NAMES || fleet.hosts.contains_key(name));
                if is_kept {
                    fleet
                        .hosts
                        .entry(name.clone())
                        .or_insert_with(|| roles.clone());
                } else {
                    left_out.add(name);
                }
            }
        }
        (fleet, left_out)
    }

    /// As the file holds it.
    pub(crate) fn to_text(&self) -> String {
        let mut text = format!("heard {}\n", self.heard);
        for (name, roles) in &self.hosts {
            text.push_str(name);
            for role in roles {
                text.push_str(&format!(" {}={}", role.role, role.accounts.join(",")));
            }
            text.push('\n');
        }
        text
    }

    /// Reads what [`Fleet::to_text`] wrote; lines of anybody else's are no hosts.
    pub(crate) fn from_text(text: &str) -> Self {
        let mut fleet = Fleet::default();
        for line in text.lines() {
            let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
            if name == HEARD {
                fleet.heard = rest.parse().unwrap_or_default();
            } else if is_host_name(name) {
                fleet.hosts.insert(name.to_owned(), roles_of_line(rest));
            }
        }
        fleet
    }
}

/// The roles that a host admits by that file; `None` where it is none of the hosts.
pub(crate) fn roles_in(text: &str, host: &str) -> Option<Vec<HostRole>> {
    if !is_host_name(host) {
        return None;
    }
    // The first line is none of a host, so each host's begins after a line's end.
    let start = format!("\n{host}");
    text.match_indices(&start).find_map(|(at, found)| {
        let rest = text.get(at.checked_add(found.len())?..)?;
        match rest.split('\n').next()? {
            "" => Some(Vec::new()),
            line => line.strip_prefix(' ').map(roles_of_line),
        }
    })
}

fn roles_of_line(line: &str) -> Vec<HostRole> {
    let role = |word: &str| {
        let (role, accounts) = word.split_once('=')?;
        let role = HostRole {
            role: role.to_owned(),
            accounts: accounts.split(',').map(str::to_owned).collect(),
        };
        let fits = is_role(&role.role) && role.accounts.iter().all(|account| is_account(account));
        fits.then_some(role)
    };
    line.split(' ').filter_map(role).collect()
}

fn kept_roles(roles: &[HostRole], left_out: &mut LeftOut) -> Vec<HostRole> {
    let mut kept = Vec::new();
    for role in roles {
        if !is_role(&role.role) {
            left_out.add(&role.role);
            continue;
        }
        let fits = |account: &&String| {
            let fits = is_account(account);
            if !fits {
                left_out.add(account);
            }
            fits
        };
        let accounts: Vec<String> = role.accounts.iter().filter(fits).cloned().collect();
        if !accounts.is_empty() {
            kept.push(HostRole {
                role: role.role.clone(),
                accounts,
            });
        }
    }
    kept
}

/// The exact name or address of a host, lower case: no pattern, and nothing that ssh's files or a
/// shell would read as something else.
pub(crate) fn is_host_name(text: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    text.len() <= 253
        && text != HEARD
        && text.bytes().next().is_some_and(is_plain)
        && text.bytes().next_back().is_some_and(is_plain)
        && text.bytes().all(|b| is_plain(b) || b"-_.:".contains(&b))
}

fn is_role(text: &str) -> bool {
    (1..=200).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// The word of the first line; no host is called so.
const HEARD: &str = "heard";

/// More names than any one CA's fleet that was tried; ssh reads all of them at each start.
const MOST_NAMES: usize = 20_000;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Hosts that all admit these roles, each for one account.
    pub(crate) fn reachable(names: &[&str], roles: &[(&str, &str)]) -> Reachable {
        let role = |(role, account): &(&str, &str)| HostRole {
            role: (*role).to_owned(),
            accounts: vec![(*account).to_owned()],
        };
        let host = |name: &&str| ReachableHost {
            names: vec![(*name).to_owned()],
            roles: roles.iter().map(role).collect(),
        };
        Reachable {
            hosts: names.iter().map(host).collect(),
            host_ca: Vec::new(),
        }
    }

    #[test]
    fn a44_a49_names_of_an_evil_ca_are_not_kept() {
        let evil = [
            "*",
            "*.prod.example.com",
            "db?.example.com",
            "!db01.example.com",
            "a,b",
            "a b",
            "a\nb",
            "a\tb",
            "a\0b",
            "a\"b",
            "a'b",
            "$(id)",
            "`id`",
            "%h",
            "a;b",
            "a\\b",
            "|1|x|y",
            "@revoked",
            "#x",
            "-oProxyCommand=id",
            ".example.com",
            "example.com.",
            "heard",
            "[db01]:22",
            "DB01.example.com",
            "ünï.example.com",
            "",
        ];
        let long = format!("{}.example.com", "a".repeat(253));
        let names: Vec<&str> = evil
            .into_iter()
            .chain([long.as_str(), "db01.example.com"])
            .collect();
        let roles = [
            ("ops", "observer"),
            ("a=b", "root"),
            ("x y", "root"),
            ("ops2", "ro\not"),
        ];
        let (fleet, left_out) = Fleet::of(&reachable(&names, &roles), 7);
        assert_eq!(fleet.hosts.keys().collect::<Vec<_>>(), ["db01.example.com"]);
        assert_eq!(fleet.to_text(), "heard 7\ndb01.example.com ops=observer\n");
        for name in evil.iter().chain(&["a=b", "x y", "ro\not"]) {
            assert!(left_out.0.iter().any(|told| told == name), "{name:?}");
        }
    }

    #[test]
    fn a44_a_ca_that_names_hosts_without_end_fills_no_disk() {
        let names: Vec<String> = (0..MOST_NAMES + 100).map(|n| format!("h{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (fleet, left_out) = Fleet::of(&reachable(&names, &[]), 0);
        assert_eq!(fleet.hosts.len(), MOST_NAMES);
        assert_eq!(left_out.0.len(), 100);
    }

    #[test]
    fn what_was_written_is_found_again_and_no_other_host() {
        let roles = [("ops", "observer"), ("admins", "admin")];
        let answer = reachable(
            &["db01", "db01.example.com", "10.1.2.3", "2001:db8::1"],
            &roles,
        );
        let (fleet, left_out) = Fleet::of(&answer, 7);
        assert_eq!(left_out, LeftOut::default());
        let text = fleet.to_text();
        assert_eq!(Fleet::from_text(&text), fleet);
        for host in &answer.hosts {
            assert_eq!(roles_in(&text, &host.names[0]).unwrap(), host.roles);
        }
        for other in [
            "db0",
            "db01.example",
            "b01",
            "db01.example.com.evil",
            "heard",
            "",
            "7",
            "ops=observer",
        ] {
            assert_eq!(roles_in(&text, other), None, "{other}");
        }
        let (bare, _) = Fleet::of(&reachable(&["db01"], &[]), 7);
        assert_eq!(roles_in(&bare.to_text(), "db01"), Some(Vec::new()));
    }

    proptest::proptest! {
        #[test]
        fn any_file_is_read_without_a_panic(text: String, host in "[a-z0-9.]{0,6}") {
            let fleet = Fleet::from_text(&text);
            for name in fleet.hosts.keys() {
                proptest::prop_assert!(is_host_name(name));
            }
            let _ = roles_in(&text, &host);
        }
    }
}
