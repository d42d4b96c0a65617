//! The attack suite: how systems like this one were really broken (`docs/security-model.md` has the
//! list, A1 … A89, and says for each which test tries it here or why it cannot apply yet). Every
//! test makes the attempt and then, as a control, does the same thing honestly: a refusal counts
//! only where the honest way is open.

mod certificate;
mod client;
mod exchange;
mod host;
mod operations;
mod policy;
mod token;
mod web;
