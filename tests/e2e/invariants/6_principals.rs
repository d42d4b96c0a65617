//! Invariant 6: nothing from the identity provider is a principal unless policy says so.
//! `attacks/policy.rs` has the near misses; here are names that try to become accounts by themselves.

use jit_ssh_tests::lab::Lab;
use jit_ssh_tests::wire::{BindingSalt, Key};
use serde_json::json;

#[test]
fn no_claim_becomes_a_principal_by_itself() {
    let lab = Lab::start();
    let wire = lab.wire();
    for name in [
        "root",
        "observer",
        "admin",
        "role:production-admin",
        "production-admin",
    ] {
        let (key, salt) = (Key::new(), BindingSalt::new());
        let token = lab
            .idp
            .token("alice", &salt.nonce(&key))
            .claim("preferred_username", name)
            .claim("email", format!("{name}@example.com"))
            .claim("name", name)
            .claim("principals", json!([name]))
            .claim("roles", json!([name]))
            .claim("groups", json!(["Ops", name]));
        let answer = wire.open_with(&key, &salt, &token.sign()).certificate();
        assert_eq!(answer.principals, ["role:production-observer"], "{name}");
        assert_eq!(answer.accounts, ["observer"], "{name}");
    }
}
