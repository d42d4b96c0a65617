//! Invariant 7: one door. Whatever way leads to a certificate goes through the same numbered function.

use jit_ssh_tests::lab::Lab;
use serde_json::json;

#[test]
fn no_other_route_gives_a_certificate() {
    let lab = Lab::start();
    let wire = lab.wire();
    let alice = lab.login("alice");
    let routes = [
        ("GET", "/.well-known/jit-ssh"),
        ("GET", "/v1/trust/user-ca"),
        ("GET", "/v1/logins/self"),
        ("POST", "/v1/sign-ins"),
        ("GET", "/v1/roles"),
        ("GET", "/v1/admin/audit"),
        ("GET", "/v1/admin/logins"),
        ("GET", "/v1/admin/policy"),
        ("POST", "/v1/admin/policy/explain"),
        ("GET", "/v1/admin/keys"),
        ("POST", "/v1/renew"),
        ("POST", "/v1/certificates/renew"),
        ("POST", "/v1/tokens"),
        ("POST", "/sign-in"),
        ("GET", "/sign-in"),
        ("GET", "/v1/certificates"),
    ];
    let before = lab.ca.records_of("certificate").len();
    for (method, path) in routes {
        let body = if method == "POST" { &b"{}"[..] } else { b"" };
        for answer in [
            wire.signed(&alice.key, method, path, body),
            lab.ca.local(method, path, body),
        ] {
            assert!(
                !answer.body.contains("-cert-v01@openssh.com"),
                "{method} {path}: {answer:?}"
            );
        }
    }
    assert_eq!(lab.ca.records_of("certificate").len(), before);
    // The owner of the data folder has no key in a login: the socket issues nothing.
    let answer = lab
        .ca
        .local("POST", "/v1/certificates", json!({}).to_string().as_bytes());
    assert_ne!(answer.status, 200, "{answer:?}");
}

#[test]
fn the_door_asks_again_every_time() {
    // What was good a moment ago is asked again: here the login ends between two renewals.
    let lab = Lab::start();
    let wire = lab.wire();
    let alice = lab.login("alice");
    for _ in 0..3 {
        wire.ask(&alice.key, &json!({})).certificate();
    }
    let id = &alice.answer.login.id;
    lab.ca
        .local("DELETE", &format!("/v1/admin/logins/{id}"), b"");
    for ask in [
        json!({}),
        json!({ "role": "jump" }),
        wire.opening(&alice.id_token, &alice.salt),
    ] {
        wire.ask(&alice.key, &ask)
            .refused(jit_ssh_api::problem::Kind::LoginEnded);
    }
}
