//! What lies in the data folder, by name; the configuration and flags name all that is elsewhere.

/// The configuration.
pub const CONFIG: &str = "ca.toml";

/// The policy.
pub const POLICY: &str = "policy.toml";

/// The folder of keys.
pub const KEYS: &str = "keys";

/// The database of the ledger.
pub const LEDGER: &str = "ledger.db";

/// Held by the process that serves.
pub const LOCK: &str = "lock";

/// Where the process that serves is spoken to.
pub const SOCKET: &str = "admin.sock";

/// The name of a backup that the serving process makes here for `jit-ssh-ca backup`, which carries it
/// to where it is wanted. `random` makes it nobody else's.
pub(crate) fn unfinished_backup(random: &str) -> String {
    format!("backup-{random}.tmp")
}

/// Whether it is such a name, or of what lies beside such a file while it is written.
pub(crate) fn is_unfinished_backup(name: &str) -> bool {
    let Some((random, beside)) = name
        .strip_prefix("backup-")
        .and_then(|rest| rest.split_once(".tmp"))
    else {
        return false;
    };
    let is_random = random.len() == 16 && random.bytes().all(|it| it.is_ascii_hexdigit());
    is_random && matches!(beside, "" | ".part" | ".part-journal")
}
