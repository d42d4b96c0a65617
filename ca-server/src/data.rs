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
