//! The rules of a decision.

pub mod source;
