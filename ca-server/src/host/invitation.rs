//! Invitations: what a host that comes with the token may become. Pure; the ledger asks once more, in
//! the transaction that enrols.
//!
//! Of the token only its SHA-256 is kept. It is 256 random bits, so that it need not be stretched.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jit_ssh_api::host::{InvitationRequest, Labels, is_label};
use jit_ssh_api::host_pattern::is_host_pattern;
use sha2::{Digest as _, Sha256};

use super::HostRefusal;
use crate::certificate::HostName;
use crate::entropy::{self, Entropy};
use crate::policy::Cidr;
use crate::store::hosts::InvitationRow;
use crate::time::Timestamp;

/// A new secret, as it is shown this once.
pub(crate) fn new_token(rng: &mut impl Entropy) -> String {
    let random: [u8; 32] = entropy::bytes(rng);
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random))
}

/// What a token is found by; none: it is not of the form of one.
pub(crate) fn token_hash(token: &str) -> Option<[u8; 32]> {
    let random = token.strip_prefix(PREFIX)?;
    let is_one = URL_SAFE_NO_PAD
        .decode(random)
        .is_ok_and(|bytes| bytes.len() == 32);
    is_one.then(|| Sha256::digest(token).into())
}

/// What is wrong with an invitation that somebody wants to make; for a person.
pub(crate) fn check(request: &InvitationRequest) -> Result<(), String> {
    if request.names.is_empty() || request.names.len() > MAX_PATTERNS {
        return Err(format!("an invitation has 1 to {MAX_PATTERNS} names"));
    }
    for name in &request.names {
        check_pattern(name)?;
    }
    check_labels(&request.labels)?;
    if request.uses == Some(0) {
        return Err("an invitation counts at least once".to_owned());
    }
    if request.from.len() > MAX_NETWORKS {
        return Err(format!("an invitation has {MAX_NETWORKS} networks at most"));
    }
    for network in &request.from {
        Cidr::new(network).map_err(|error| format!("{network:?} is no network: {error}"))?;
    }
    let longest = LONGEST.as_secs();
    if !(MIN_SECONDS..=longest).contains(&request.valid_seconds) {
        return Err(format!(
            "an invitation counts for {MIN_SECONDS} to {longest} seconds"
        ));
    }
    Ok(())
}

/// What is wrong with a pattern: it must be a host name, or one with `*` in its labels but the last
/// two, so that it cannot be nearly every host there is.
fn check_pattern(pattern: &str) -> Result<(), String> {
    let filled = pattern.replace('*', "a");
    let legal = HostName::parse(&filled).is_ok()
        && (!pattern.contains('*') || is_host_pattern(pattern) && !is_address(pattern));
    if legal {
        return Ok(());
    }
    let shown: String = pattern.chars().take(253).collect();
    Err(format!(
        "{shown:?} is no host name, in lower case, nor one with `*` before a domain of your own"
    ))
}

/// What is wrong with labels.
pub(crate) fn check_labels(labels: &Labels) -> Result<(), String> {
    if labels.len() > MAX_LABELS {
        return Err(format!("a host has {MAX_LABELS} labels at most"));
    }
    let wrong = labels
        .iter()
        .flat_map(|(name, value)| [name, value])
        .find(|text| !is_label(text));
    match wrong {
        None => Ok(()),
        Some(text) => {
            let shown: String = text.chars().take(63).collect();
            Err(format!(
                "{shown:?} is neither name nor value of a label: 1 to 63 of a-z 0-9 . _ -"
            ))
        }
    }
}

/// Whether the invitation counts for a host that comes now, from there, and wants these names. How
/// often it still counts is the ledger's to judge, which knows whether the host came before.
pub(crate) fn judge(
    row: &InvitationRow,
    names: &[String],
    source: Option<IpAddr>,
    now: Timestamp,
) -> Result<(), HostRefusal> {
    if row.withdrawn.is_some() {
        return Err(HostRefusal::Withdrawn);
    }
    if now >= row.expires {
        return Err(HostRefusal::Expired);
    }
    let from_there = |network: &String| {
        source
            .is_some_and(|source| Cidr::new(network).is_ok_and(|network| network.contains(source)))
    };
    if !row.networks.is_empty() && !row.networks.iter().any(from_there) {
        return Err(HostRefusal::Network);
    }
    for name in names {
        if !row.names.iter().any(|pattern| fits(pattern, name)) {
            return Err(HostRefusal::Name(name.clone()));
        }
    }
    Ok(())
}

/// Whether an exact name fits a pattern. `*` stands for letters, digits and hyphens, within one label;
/// never for an internationalised label (`xn--…`) as a whole, which looks like anything.
fn fits(pattern: &str, name: &str) -> bool {
    if !pattern.contains('*') {
        return pattern == name;
    }
    let (patterns, labels) = (pattern.split('.'), name.split('.'));
    patterns.clone().count() == labels.clone().count()
        && !is_address(name)
        && patterns.zip(labels).all(|(pattern, label)| {
            label_fits(pattern.as_bytes(), label.as_bytes())
                && (pattern == label || pattern.starts_with("xn--") || !label.starts_with("xn--"))
        })
}

/// `*` stands for any run of bytes, an empty one too.
fn label_fits(pattern: &[u8], label: &[u8]) -> bool {
    let mut parts = pattern.split(|byte| *byte == b'*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = label.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&[u8]> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        if part.is_empty() {
            continue;
        }
        let found = rest.windows(part.len()).position(|window| window == part);
        let Some(behind) = found.and_then(|at| rest.get(at.saturating_add(part.len())..)) else {
            return false;
        };
        rest = behind;
    }
    rest.ends_with(last)
}

/// An IPv4 address, or what could be taken for one: its last label has no letter.
fn is_address(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    !last.bytes().any(|byte| byte.is_ascii_alphabetic())
}

const PREFIX: &str = "jit-ssh-invite-";
const MAX_PATTERNS: usize = 16;
const MAX_NETWORKS: usize = 16;
const MAX_LABELS: usize = 32;
const MIN_SECONDS: u64 = 60;
/// A golden image lives as long as that; what lives longer is forgotten somewhere.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_within_its_label() {
        for (pattern, name) in [
            ("web-*.prod.example.com", "web-1.prod.example.com"),
            ("web-*.prod.example.com", "web-eu-1.prod.example.com"),
            ("*.prod.example.com", "db.prod.example.com"),
            ("w*b*.prod.example.com", "web1.prod.example.com"),
            ("db.example.com", "db.example.com"),
            ("10.1.2.3", "10.1.2.3"),
            ("db01", "db01"),
        ] {
            assert_eq!(check_pattern(pattern), Ok(()), "{pattern}");
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("web-*.prod.example.com", "db-1.prod.example.com"),
            ("web-*.prod.example.com", "web-1.x.prod.example.com"),
            ("web-*.prod.example.com", "web-1.prod.example.com.evil.org"),
            ("web-*.prod.example.com", "web-1.prod.example.co"),
            ("web-*.prod.example.com", "web-1xprod.example.com"),
            ("*.prod.example.com", "prod.example.com"),
            ("*.prod.example.com", "xn--db-aka.prod.example.com"),
            ("*.prod.example.com", "a.b.prod.example.com"),
            ("a*a.prod.example.com", "a.prod.example.com"),
            ("a*b*c.prod.example.com", "acb.prod.example.com"),
            ("db.example.com", "db2.example.com"),
        ] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_of_nearly_every_host_is_none() {
        for pattern in [
            "",
            "*",
            "*.com",
            "web-*",
            "*.*.com",
            "db.*",
            "10.1.*.*",
            "10.1.*",
            "!*.example.com",
            "?.prod.example.com",
            "Web.example.com",
            "*.PROD.example.com",
            "web.example.com.",
            "*.prod.example.com.",
            "münchen.example.com",
            "a b.example.com",
            "::1",
            "-a.example.com",
            "a..example.com",
        ] {
            assert!(check_pattern(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn an_invitation_counts_until_its_last_moment_and_from_its_networks_alone() {
        let end = Timestamp::from_seconds(2000);
        let row = InvitationRow {
            number: 1,
            id: [0; 16],
            token: [0; 32],
            names: vec!["web-*.prod.example.com".to_owned()],
            labels: Labels::new(),
            networks: vec!["10.0.0.0/8".to_owned(), "2001:db8::/32".to_owned()],
            uses: None,
            made: 1,
            expires: end,
            withdrawn: None,
        };
        let names = ["web-1.prod.example.com".to_owned()];
        let ask = |row: &InvitationRow, from: Option<&str>, now| {
            judge(row, &names, from.map(|it| it.parse().unwrap()), now)
        };
        let before = end.minus(Duration::from_millis(1));
        for good in ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8::1"] {
            assert_eq!(ask(&row, Some(good), before), Ok(()), "{good}");
            assert_eq!(ask(&row, Some(good), end), Err(HostRefusal::Expired));
        }
        for other in [Some("11.0.0.1"), Some("::1"), Some("2001:db9::1"), None] {
            let refused = ask(&row, other, before);
            assert_eq!(refused, Err(HostRefusal::Network), "{other:?}");
        }
        let withdrawn = InvitationRow {
            withdrawn: Some(end),
            ..row.clone()
        };
        let refused = ask(&withdrawn, Some("10.1.2.3"), before);
        assert_eq!(refused, Err(HostRefusal::Withdrawn));
        let anywhere = InvitationRow {
            networks: Vec::new(),
            ..row
        };
        assert_eq!(ask(&anywhere, None, before), Ok(()));
    }

    #[test]
    fn only_a_whole_token_is_looked_up() {
        let mut rng = crate::entropy::seeded(1);
        let token = new_token(&mut rng);
        assert!(token_hash(&token).is_some());
        let short = token.get(..token.len() - 1).unwrap();
        for other in [
            "",
            PREFIX,
            short,
            token.trim_start_matches(PREFIX),
            &format!("{token}A"),
            &format!("{token}="),
            &token.to_uppercase(),
        ] {
            assert_eq!(token_hash(other), None, "{other}");
        }
    }
}
