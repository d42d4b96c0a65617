//! The end-to-end tests: one binary, one link. Each test starts its own parts and ends them.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "tests: a panic is a finding"
)]

mod matrix;
mod parts;
