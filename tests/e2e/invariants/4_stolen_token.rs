//! Invariant 4: a stolen ID token alone is worth nothing. The thief has everything that lies on disks
//! and wires: the token, the salt, the nonce, the answer, the certificate. He lacks the key.

use jit_ssh_api::problem::Kind;
use jit_ssh_tests::lab::Lab;
use jit_ssh_tests::wire::Key;
use serde_json::json;

#[test]
fn everything_but_the_key_opens_nothing() {
    let lab = Lab::start();
    let wire = lab.wire();
    let alice = lab.login("alice");
    let thief = Key::new();
    wire.open_with(&thief, &alice.salt, &alice.id_token)
        .refused(Kind::TokenRefused);
    let named = json!({ "open": {
        "id_token": alice.id_token,
        "salt": alice.salt.text(),
        "certified_key": {
            "public_key": alice.key.line(),
            "signature": thief.sign("jit-ssh-named-key@v1", b"x").to_pem(ssh_key::LineEnding::LF).unwrap(),
        },
    }});
    let answer = wire.ask(&thief, &named);
    assert!([400, 401].contains(&answer.status), "{answer:?}");
    wire.ask(
        &thief,
        &json!({ "refresh": { "id_token": alice.id_token } }),
    )
    .refused(Kind::LoginEnded);
    wire.signed(&thief, "GET", "/v1/logins/self", b"")
        .refused(Kind::LoginEnded);
    wire.signed(&thief, "DELETE", "/v1/logins/self", b"")
        .refused(Kind::LoginEnded);
    wire.ask(&alice.key, &json!({})).certificate();
}

#[test]
fn a_nonce_opens_one_login_and_a_colleagues_token_changes_nothing_about_it() {
    let lab = Lab::start();
    let wire = lab.wire();
    let first = lab.login("alice");
    // A second token with the same nonce from the same issuer finds the same login or is refused,
    // never opens another.
    let nonce = first.salt.nonce(&first.key);
    let again = lab
        .idp
        .token("alice", &nonce)
        .claim("jti", "another")
        .sign();
    let answer = wire.open_with(&first.key, &first.salt, &again);
    assert_eq!(answer.certificate().login.id, first.answer.login.id);
    // Nor does a colleague's token with that nonce: who holds the key has the login that the nonce
    // opened, and nothing of the colleague's.
    let carols = lab.idp.token("carol", &nonce).sign();
    let answer = wire.open_with(&first.key, &first.salt, &carols);
    let answer = answer.certificate();
    assert_eq!(answer.login.id, first.answer.login.id);
    assert_eq!(answer.login.subject, first.answer.login.subject);
    assert_eq!(answer.role, first.answer.role);
    assert_eq!(lab.ca.records_of("login-opened").len(), 1);
}
