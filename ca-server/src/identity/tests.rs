//! Attempts on the whole verification.
