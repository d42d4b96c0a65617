//! Critical options and extensions: exactly what the grant says, and our own three extensions, which
//! sshd ignores and the host's hook reads. A restriction is always a critical option or the absence
//! of an extension: sshd only notes an extension that it does not know, so a restriction written
//! as one would do nothing (A42).

use super::{ACCESS_UNTIL_EXTENSION, LOGIN_EXTENSION, POLICY_EXTENSION};
use crate::policy::Grant;

/// A name and its data; none: a flag.
pub(super) type Entry = (&'static str, Option<String>);

/// Critical options, sorted by name.
pub(super) fn critical(grant: &Grant) -> Vec<Entry> {
    let networks: Vec<String> = grant.source().iter().map(ToString::to_string).collect();
    if networks.is_empty() {
        return Vec::new();
    }
    vec![("source-address", Some(networks.join(",")))]
}

/// Extensions, sorted by name: PROTOCOL.certkeys wants them in lexical order.
pub(super) fn extensions(grant: &Grant, login: &str, access_until: u64) -> Vec<Entry> {
    let mut entries: Vec<Entry> = grant
        .extensions()
        .iter()
        .map(|extension| (extension.name(), None))
        .collect();
    entries.push((ACCESS_UNTIL_EXTENSION, Some(access_until.to_string())));
    entries.push((LOGIN_EXTENSION, Some(login.to_owned())));
    entries.push((POLICY_EXTENSION, Some(grant.policy_digest().to_owned())));
    entries.sort_unstable_by_key(|(name, _)| *name);
    entries
}
