//! The nine invariants (`docs/security-model.md`), each with tests that try to break it.

#[path = "invariants/1_record_first.rs"]
mod record_first;
#[path = "invariants/2_certificate_limits.rs"]
mod certificate_limits;
#[path = "invariants/3_token_checks.rs"]
mod token_checks;
#[path = "invariants/4_stolen_token.rs"]
mod stolen_token;
#[path = "invariants/5_possession.rs"]
mod possession;
#[path = "invariants/6_principals.rs"]
mod principals;
#[path = "invariants/7_one_door.rs"]
mod one_door;
#[path = "invariants/8_failure.rs"]
mod failure;
#[path = "invariants/9_secrets.rs"]
mod secrets;
