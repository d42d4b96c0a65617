//! Attempts on the ledger and on logins, through their public functions.
