//! A12–A19: from a verified token to "this key, this person".

use jit_ssh_api::problem::Kind;
use jit_ssh_tests::ca::POLICY;
use jit_ssh_tests::expect::{Outcome, all_refused};
use jit_ssh_tests::idp::Idp;
use jit_ssh_tests::idp::token::Token;
use jit_ssh_tests::lab::Lab;
use jit_ssh_tests::wire::{BindingSalt, Key};
use jit_ssh_tests::{clock, http};
use serde_json::json;

#[test]
fn a12_a_stolen_id_token_without_its_key_is_refused() {
    let lab = Lab::start();
    let wire = lab.wire();
    let alice = lab.login("alice");
    let thief = Key::new();
    // The thief has the token and even the salt: the nonce commits to alice's key.
    wire.open_with(&thief, &alice.salt, &alice.id_token)
        .refused(Kind::TokenRefused);
    wire.open_with(&thief, &BindingSalt::new(), &alice.id_token)
        .refused(Kind::TokenRefused);
    // Nor before alice used it.
    let (key, salt) = (Key::new(), BindingSalt::new());
    let fresh = lab.idp.token("alice", &salt.nonce(&key)).sign();
    wire.open_with(&thief, &salt, &fresh)
        .refused(Kind::TokenRefused);
    wire.open_with(&key, &salt, &fresh).certificate();
}

#[test]
fn a12_a_token_without_a_nonce_is_refused() {
    let lab = Lab::start();
    let wire = lab.wire();
    let (key, salt) = (Key::new(), BindingSalt::new());
    let genuine = lab.idp.token("alice", &salt.nonce(&key));
    let attempts = [
        (
            "no nonce".to_owned(),
            genuine.clone().without("nonce").sign(),
        ),
        (
            "null".to_owned(),
            genuine.clone().claim("nonce", json!(null)).sign(),
        ),
        (
            "empty".to_owned(),
            genuine.clone().claim("nonce", "").sign(),
        ),
        (
            "a number".to_owned(),
            genuine.clone().claim("nonce", 1).sign(),
        ),
        (
            "padded".to_owned(),
            genuine
                .clone()
                .claim("nonce", format!("{}=", salt.nonce(&key)))
                .sign(),
        ),
        (
            "another's".to_owned(),
            genuine
                .clone()
                .claim("nonce", salt.nonce(&Key::new()))
                .sign(),
        ),
    ];
    all_refused(Kind::TokenRefused, attempts, |token| {
        wire.open_with(&key, &salt, token)
    });
    wire.open_with(&key, &salt, &genuine.sign()).certificate();
}

#[test]
fn a12_a_salt_of_another_form_is_refused() {
    let lab = Lab::start();
    let wire = lab.wire();
    let (key, salt) = (Key::new(), BindingSalt::new());
    let token = lab.idp.token("alice", &salt.nonce(&key)).sign();
    for other in [
        String::new(),
        format!("{}=", salt.text()),
        "AA".to_owned(),
        "x".repeat(4096),
        "salt\n".to_owned(),
    ] {
        let answer = wire.ask(
            &key,
            &json!({ "open": { "id_token": token, "salt": other } }),
        );
        assert!([400, 401].contains(&answer.status), "{other:?}: {answer:?}");
    }
    wire.open_with(&key, &salt, &token).certificate();
}

#[test]
fn a13_a_request_without_a_proof_is_refused() {
    let lab = Lab::start();
    let wire = lab.wire();
    let (key, salt) = (Key::new(), BindingSalt::new());
    let token = lab.idp.token("alice", &salt.nonce(&key)).sign();
    let body = wire.opening(&token, &salt).to_string();
    let path = "/v1/certificates";
    wire.plain("POST", path, body.as_bytes())
        .refused(Kind::ProofMissing);
    for header in [
        "Bearer x",
        "JIT-SSH-Proof",
        "JIT-SSH-Proof ",
        "JIT-SSH-Proof time=1",
        "JIT-SSH-Proof time=1,id=00,signature=AAAA",
        "JIT-SSH-Proof time=-1,id=00000000000000000000000000000000,signature=",
        "Basic YWxpY2U6cGFzcw==",
    ] {
        let answer = wire.with(header, "POST", path, body.as_bytes());
        assert!([400, 401].contains(&answer.status), "{header}: {answer:?}");
    }
    wire.ask(&key, &wire.opening(&token, &salt)).certificate();
}

#[test]
fn a13_a_proof_of_anything_else_is_refused() {
    let lab = Lab::start();
    let wire = lab.wire();
    let alice = lab.login("alice");
    let path = "/v1/certificates";
    let body = json!({ "role": "jump" }).to_string();
    let good = wire.proof("POST", path, body.as_bytes());
    let spoil = |change: &dyn Fn(&mut jit_ssh_tests::wire::Proof)| {
        let mut proof = wire.proof("POST", path, body.as_bytes());
        change(&mut proof);
        proof.header(&alice.key)
    };
    let refused = [
        (
            "another method",
            spoil(&|proof| proof.method = "GET".into()),
        ),
        (
            "a method in lower case",
            spoil(&|proof| proof.method = "post".into()),
        ),
        (
            "another path",
            spoil(&|proof| proof.path = "/v1/logins/self".into()),
        ),
        (
            "another query",
            spoil(&|proof| proof.path = format!("{path}?a=b")),
        ),
        ("another body", spoil(&|proof| proof.body = b"{}".to_vec())),
        (
            "another namespace",
            spoil(&|proof| proof.namespace = "git".into()),
        ),
        (
            "the key set's namespace",
            spoil(&|proof| proof.namespace = "jit-ssh-key-set@v1".into()),
        ),
    ];
    for (what, header) in &refused {
        match wire.with(header, "POST", path, body.as_bytes()).outcome() {
            Outcome::Refused(Kind::ProofInvalid, _) => {}
            other => panic!("{what}: {other:?}"),
        }
    }
    let context = [
        (
            "another CA",
            spoil(&|proof| proof.name = "other.example".into()),
        ),
        ("another epoch", spoil(&|proof| proof.epoch += 1)),
    ];
    for (what, header) in &context {
        match wire.with(header, "POST", path, body.as_bytes()).outcome() {
            Outcome::Refused(Kind::ProofContext | Kind::ProofInvalid, _) => {}
            other => panic!("{what}: {other:?}"),
        }
    }
    let time = [
        ("five minutes ago", spoil(&|proof| proof.time -= 300)),
        ("in five minutes", spoil(&|proof| proof.time += 300)),
        ("the beginning of time", spoil(&|proof| proof.time = 0)),
        ("the end of time", spoil(&|proof| proof.time = u64::MAX)),
    ];
    for (what, header) in &time {
        match wire.with(header, "POST", path, body.as_bytes()).outcome() {
            Outcome::Refused(Kind::ProofTime, problem) => {
                let time = problem.time.expect("the refusal tells the CA's time");
                assert!(time.abs_diff(clock::now()) < 5, "{what}");
            }
            other => panic!("{what}: {other:?}"),
        }
    }
    // The proof of a stranger: no login behind it.
    wire.signed(&Key::new(), "POST", path, body.as_bytes())
        .refused(Kind::LoginEnded);
    wire.with(&good.header(&alice.key), "POST", path, body.as_bytes())
        .certificate();
}

#[test]
fn a13_a_signature_by_another_key_than_it_names_is_refused() {
    let lab = Lab::start();
    let wire = lab.wire();
    let alice = lab.login("alice");
    let body = b"{}";
    let proof = wire.proof("POST", "/v1/certificates", body);
    // The thief's signature, with alice's public key written into it.
    let theft = proof.header(&Key::new());
    let (head, signature) = theft.rsplit_once("signature=").unwrap();
    let own = proof.header(&alice.key);
    let (_, genuine) = own.rsplit_once("signature=").unwrap();
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let (mut stolen, genuine) = (
        STANDARD.decode(signature).unwrap(),
        STANDARD.decode(genuine).unwrap(),
    );
    // "SSHSIG", version, then the public key blob behind its length: the same place in both.
    stolen[10..10 + 55].copy_from_slice(&genuine[10..10 + 55]);
    let forged = format!("{head}signature={}", STANDARD.encode(stolen));
    wire.with(&forged, "POST", "/v1/certificates", body)
        .refused(Kind::ProofInvalid);
    wire.with(&own, "POST", "/v1/certificates", body)
        .certificate();
}

#[test]
fn a13_a_request_that_changes_something_is_not_taken_twice() {
    let lab = Lab::start();
    let wire = lab.wire();
    let alice = lab.login("alice");
    let body = b"{\"role\":\"jump\"}";
    let header = wire
        .proof("POST", "/v1/certificates", body)
        .header(&alice.key);
    let send = || wire.with(&header, "POST", "/v1/certificates", body);
    send().certificate();
    send().refused(Kind::ProofInvalid);
}

#[test]
fn a14_a_token_posted_a_hundred_times_at_once_opens_one_login() {
    let lab = Lab::start();
    let wire = lab.wire();
    let (key, salt) = (Key::new(), BindingSalt::new());
    let token = lab.idp.token("alice", &salt.nonce(&key)).sign();
    let logins: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..10)
            .map(|_| {
                scope.spawn(|| {
                    (0..10)
                        .map(|_| wire.open_with(&key, &salt, &token).certificate().login.id)
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(logins.len(), 100);
    assert!(logins.iter().all(|login| *login == logins[0]), "{logins:?}");
    assert_eq!(lab.ca.records_of("login-opened").len(), 1);
}

#[test]
fn a14_a_token_whose_login_ended_is_refused_for_ever() {
    let mut lab = Lab::start();
    let wire = lab.wire();
    let alice = lab.login("alice");
    let open =
        |wire: &jit_ssh_tests::wire::Wire| wire.open_with(&alice.key, &alice.salt, &alice.id_token);
    assert_eq!(open(&wire).certificate().login.id, alice.answer.login.id);
    let ended = wire.signed(&alice.key, "DELETE", "/v1/logins/self", b"");
    assert_eq!(ended.status, 200, "{ended:?}");
    open(&wire).refused(Kind::LoginEnded);
    wire.ask(&alice.key, &json!({})).refused(Kind::LoginEnded);
    // Also by a CA that was killed in between.
    lab.ca.kill();
    lab.ca.serve();
    let wire = lab.wire();
    open(&wire).refused(Kind::LoginEnded);
    // A person signs in anew with a key and a nonce of their own.
    lab.login("alice");
}

#[test]
fn a15_a16_the_page_hands_nothing_to_whoever_waits() {
    let lab = Lab::start();
    let wire = lab.wire();
    // An attacker announces a sign-in and sends the link to the victim.
    let attacker = Key::new();
    let state = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE";
    let body = json!({ "state": state, "issuer": lab.idp.issuer }).to_string();
    let answer = wire.signed(&attacker, "POST", "/v1/sign-ins", body.as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
    // The victim completes it; the page shows the code to the victim's browser alone.
    let page = wire.plain(
        "GET",
        &format!(
            "/sign-in?code=the-code-of-the-victim&state={state}&iss={}",
            lab.idp.issuer
        ),
        b"",
    );
    assert_eq!(page.status, 200, "{page:?}");
    assert!(
        page.body.contains("SHA256:"),
        "the page shows whose key asks: {}",
        page.body
    );
    assert_eq!(page.header("cache-control"), Some("no-store"));
    // Nobody can ask the CA for it: there is no route that answers with what was pasted.
    for (method, path) in [
        ("GET", "/v1/sign-ins".to_owned()),
        ("GET", format!("/v1/sign-ins/{state}")),
        ("POST", format!("/v1/sign-ins/{state}")),
        ("GET", format!("/v1/sign-ins?state={state}")),
    ] {
        let answer = wire.signed(&attacker, method, &path, b"");
        assert!(
            [404, 405].contains(&answer.status),
            "{method} {path}: {answer:?}"
        );
        assert!(!answer.body.contains("the-code-of-the-victim"));
    }
    let again = wire.signed(&attacker, "POST", "/v1/sign-ins", body.as_bytes());
    assert!(!again.body.contains("the-code-of-the-victim"));
}

#[test]
fn a15_a_sign_in_that_nobody_announced_shows_no_code() {
    let lab = Lab::start();
    let page = lab.wire().plain(
        "GET",
        "/sign-in?code=secret-code&state=nobody-announced-this",
        b"",
    );
    assert!(page.status >= 400, "{page:?}");
    assert!(!page.body.contains("secret-code"));
}

#[test]
fn a15_there_is_no_device_flow() {
    let lab = Lab::start();
    let discovery = lab.wire().plain("GET", "/.well-known/jit-ssh", b"");
    assert!(!discovery.body.to_lowercase().contains("device"));
}

#[test]
fn a18_a_renewal_meets_the_same_policy_as_a_login() {
    let lab = Lab::start();
    let wire = lab.wire();
    let alice = lab.login("alice");
    for role in [
        "production-admin",
        "engineering",
        "no-such-role",
        "",
        "root",
    ] {
        let answer = wire.ask(&alice.key, &json!({ "role": role }));
        assert!([400, 403].contains(&answer.status), "{role}: {answer:?}");
    }
    wire.ask(&alice.key, &json!({ "account": "root" }))
        .refused(Kind::Refused);
    wire.ask(&alice.key, &json!({ "account": "admin" }))
        .refused(Kind::Refused);
    let answer = wire
        .ask(&alice.key, &json!({ "role": "jump" }))
        .certificate();
    assert_eq!(answer.role, "jump");
}

#[test]
fn a19_a_person_who_left_the_group_gets_no_further_certificate() {
    let lab = Lab::start();
    let wire = lab.wire();
    let alice = lab.login("alice");
    lab.idp.change("alice", |alice| alice.groups.clear());
    // The refreshed token says so; from then on the proof alone is refused as well.
    let claims = lab.idp.inner().claims("alice", "jit-ssh", None);
    let later = jit_ssh_tests::idp::token::Token::new(&lab.idp.key(), claims)
        .claim("iat", clock::now() + 1);
    let refreshed = json!({ "refresh": { "id_token": later.sign() } });
    wire.ask(&alice.key, &refreshed).refused(Kind::Refused);
    wire.ask(&alice.key, &json!({})).refused(Kind::Refused);
}

/// A CA whose groups are at userinfo only, with a role that has a grace for outages; and alice, who
/// signed in, lost her group, and whose identity is stale.
fn stale_without_the_group() -> (Lab, Key, String) {
    let policy = POLICY.replacen(
        "max_validity = \"15m\"",
        "max_validity = \"15m\"\nissuer_outage_grace = \"1h\"",
        1,
    );
    let lab = Lab::builder()
        .policy(&policy)
        .issuer("groups_from_userinfo = true\nidentity_max_age = \"1s\"")
        .start();
    let wire = lab.wire();
    let (key, salt) = (Key::new(), BindingSalt::new());
    let token = lab.idp.token("alice", &salt.nonce(&key)).sign();
    let access = lab.idp.access_token("alice");
    let opening = json!({ "open": {
        "id_token": token, "salt": salt.text(), "access_token": access,
    }});
    wire.ask(&key, &opening).certificate();
    lab.idp.change("alice", |alice| alice.groups.clear());
    clock::until("the identity to be stale", || {
        (wire.ask(&key, &json!({})).status != 200).then_some(())
    });
    wire.ask(&key, &json!({})).refused(Kind::IdentityStale);
    (lab, key, token)
}

/// The provider is up; whoever signs in makes the CA's question about them fail.
#[test]
fn a19_an_outage_that_the_person_made_is_none() {
    let (lab, alice, old) = stale_without_the_group();
    let wire = lab.wire();
    let refused = |what: &str| {
        let answer = wire.ask(&alice, &json!({ "role": "production-observer" }));
        match answer.outcome() {
            Outcome::Refused(Kind::IdentityStale, _) => {}
            other => panic!("{what}: {other:?}"),
        }
    };
    let claims = lab.idp.inner().claims("alice", "jit-ssh", None);
    let newer = Token::new(&lab.idp.key(), claims).claim("iat", clock::now() + 1);
    let newer = newer.sign();
    let long = "x".repeat(8 * 1024 + 1);
    for access in ["x\ny", "", "=", "a b", "\u{e4}", "a=b", &long] {
        for token in [&old, &newer] {
            let refresh = json!({ "refresh": { "id_token": token, "access_token": access } });
            wire.ask(&alice, &refresh).refused(Kind::TokenRefused);
            refused(access);
        }
    }
    // Somebody who was never in a group opens in the same way, or brings userinfo to fail.
    let asked = lab.idp.hits("/userinfo");
    let bob = |access: &str| {
        let (key, salt) = (Key::new(), BindingSalt::new());
        let token = lab.idp.token("bob", &salt.nonce(&key)).sign();
        let opening = json!({ "open": {
            "id_token": token, "salt": salt.text(), "access_token": access,
        }});
        wire.ask(&key, &opening)
    };
    bob("x\ny").refused(Kind::TokenRefused);
    refused("bob's access token");
    assert_eq!(
        lab.idp.hits("/userinfo"),
        asked,
        "no such token is passed on"
    );
    for status in [429, 500, 503] {
        lab.idp
            .misbehave(|faults| faults.userinfo_status = Some(status));
        let access = lab.idp.access_token("bob");
        bob(&access).refused(Kind::IssuerUnavailable);
        refused(&format!("userinfo answers {status} to bob"));
    }
    lab.idp.misbehave(|faults| faults.userinfo_status = None);
    // The token that opened the login is no news, and nobody is asked about it.
    let asked = lab.idp.hits("/userinfo");
    let access = lab.idp.access_token("alice");
    let again = json!({ "refresh": { "id_token": old, "access_token": access } });
    wire.ask(&alice, &again).refused(Kind::TokenRefused);
    assert_eq!(lab.idp.hits("/userinfo"), asked);
    // As a control: the honest refresh says no for good, and with the group it says yes.
    let honest = json!({ "refresh": { "id_token": newer, "access_token": access } });
    wire.ask(&alice, &honest).refused(Kind::Refused);
    lab.idp
        .change("alice", |alice| alice.groups = vec!["Ops".to_owned()]);
    let claims = lab.idp.inner().claims("alice", "jit-ssh", None);
    let newest = Token::new(&lab.idp.key(), claims).claim("iat", clock::now() + 2);
    let honest = json!({ "refresh": { "id_token": newest.sign(), "access_token": access } });
    wire.ask(&alice, &honest).certificate();
}

#[test]
fn a87_who_asks_too_often_asks_the_provider_nothing() {
    let lab = Lab::builder()
        .issuer("groups_from_userinfo = true")
        .sections("[limits]\nrequests_per_peer = 0\nrequests_per_person = 3")
        .start();
    let wire = lab.wire();
    let open = |person: &str| {
        let (key, salt) = (Key::new(), BindingSalt::new());
        let token = lab.idp.token(person, &salt.nonce(&key)).sign();
        let opening = json!({ "open": {
            "id_token": token, "salt": salt.text(),
            "access_token": lab.idp.access_token(person),
        }});
        wire.ask(&key, &opening)
    };
    for _ in 0..3 {
        open("alice").certificate();
    }
    assert_eq!(lab.idp.hits("/userinfo"), 3);
    open("alice").refused(Kind::TooMany);
    assert_eq!(lab.idp.hits("/userinfo"), 3);
    open("dave").certificate();
}

#[test]
fn a87_one_person_cannot_fill_the_ledger() {
    let lab = Lab::builder()
        .sections(
            "[limits]\nrequests_per_peer = 0\nrequests_per_person = 0\ncertificates_per_day = 5",
        )
        .start();
    let wire = lab.wire();
    let alice = lab.login("alice");
    for _ in 1..5 {
        wire.ask(&alice.key, &json!({})).certificate();
    }
    let problem = wire.ask(&alice.key, &json!({})).refused(Kind::TooMany);
    assert!(format!("{problem:?}").contains("in a day"), "{problem:?}");
    // Nor by another login: it is the person who counts.
    let (key, salt) = (Key::new(), BindingSalt::new());
    let token = lab.idp.token("alice", &salt.nonce(&key)).sign();
    wire.open_with(&key, &salt, &token).refused(Kind::TooMany);
    assert_eq!(lab.ca.records_of("certificate").len(), 5);
    lab.login("dave");
    // Nor by what ends in a refusal: what a token said is written all the same.
    let written = |kind: &str| lab.ca.records_of(kind).len();
    let (opened, refreshed) = (written("login-opened"), written("login-refreshed"));
    for count in 1..=10 {
        let (key, salt) = (Key::new(), BindingSalt::new());
        let token = lab.idp.token("bob", &salt.nonce(&key)).sign();
        let answer = wire.open_with(&key, &salt, &token);
        answer.refused(if count <= 5 {
            Kind::Refused
        } else {
            Kind::TooMany
        });
    }
    assert_eq!(written("login-opened"), opened + 5);
    let carol = lab.login("carol");
    for count in 1..=10 {
        let claims = lab.idp.inner().claims("carol", "jit-ssh", None);
        let token = Token::new(&lab.idp.key(), claims).claim("iat", clock::now() + count);
        let asked = json!({ "role": "nobodys-role", "refresh": { "id_token": token.sign() } });
        let answer = wire.ask(&carol.key, &asked);
        answer.refused(if count <= 4 {
            Kind::Refused
        } else {
            Kind::TooMany
        });
    }
    assert_eq!(written("login-refreshed"), refreshed + 4);
}

#[test]
fn a_token_that_comes_again_after_a_newer_one_is_charged_once() {
    let mut lab = Lab::builder()
        .sections("[limits]\ncertificates_per_day = 1")
        .start();
    let alice = lab.login("alice");
    let wire = lab.wire();
    wire.ask(&alice.key, &json!({})).refused(Kind::TooMany);
    // What was counted is in memory only.
    lab.ca.stop();
    lab.ca.serve();
    let wire = lab.wire();
    let claims = lab.idp.inner().claims("alice", "jit-ssh", None);
    let newer = Token::new(&lab.idp.key(), claims).claim("iat", clock::now() + 1);
    let refresh = json!({ "refresh": { "id_token": newer.sign() } });
    wire.ask(&alice.key, &refresh).certificate();
    lab.ca.stop();
    lab.ca.serve();
    let wire = lab.wire();
    let again = wire.open_with(&alice.key, &alice.salt, &alice.id_token);
    assert_eq!(again.certificate().login.id, alice.answer.login.id);
    wire.ask(&alice.key, &json!({})).refused(Kind::TooMany);
    assert_eq!(lab.ca.records_of("certificate").len(), 3);
}

#[test]
fn a19_a_login_that_an_administrator_ended_gets_no_further_certificate() {
    let lab = Lab::start();
    let wire = lab.wire();
    let alice = lab.login("alice");
    let id = &alice.answer.login.id;
    let ended = lab
        .ca
        .local("DELETE", &format!("/v1/admin/logins/{id}"), b"");
    assert_eq!(ended.status, 200, "{ended:?}");
    wire.ask(&alice.key, &json!({})).refused(Kind::LoginEnded);
}

#[test]
fn a19_a_refreshed_token_of_somebody_else_is_refused() {
    let lab = Lab::start();
    let wire = lab.wire();
    let alice = lab.login("alice");
    let token = |idp: &Idp, person: &str, client: &str| {
        let claims = idp.inner().claims(person, client, None);
        jit_ssh_tests::idp::token::Token::new(&idp.key(), claims).claim("iat", clock::now() + 1)
    };
    let ours = token(&lab.idp, "alice", "jit-ssh");
    let attempts = [
        (
            "carol's".to_owned(),
            token(&lab.idp, "carol", "jit-ssh").sign(),
        ),
        (
            "another client's".to_owned(),
            token(&lab.idp, "alice", "jit-ssh-paste").sign(),
        ),
        (
            "another application's".to_owned(),
            token(&lab.idp, "alice", "company-wiki").sign(),
        ),
        (
            "another nonce".to_owned(),
            ours.clone().claim("nonce", "other").sign(),
        ),
        ("the one that opened it".to_owned(), alice.id_token.clone()),
        (
            "one that is older".to_owned(),
            ours.clone().claim("iat", clock::now() - 60).sign(),
        ),
    ];
    all_refused(Kind::TokenRefused, attempts, |token| {
        wire.ask(&alice.key, &json!({ "refresh": { "id_token": token } }))
    });
    wire.ask(
        &alice.key,
        &json!({ "refresh": { "id_token": ours.sign() } }),
    )
    .certificate();
}

#[test]
fn a19_a_body_that_says_more_than_the_route_takes_is_refused_whole() {
    // Opening and refreshing at once, fields that nobody knows: refused whole, never half.
    let lab = Lab::start();
    let wire = lab.wire();
    let alice = lab.login("alice");
    for body in [
        json!({ "principals": ["root"] }),
        json!({ "role": "jump", "extensions": ["permit-user-rc"] }),
        json!({ "open": { "id_token": "x", "salt": "x", "admin": true } }),
        json!({ "open": { "id_token": "x", "salt": "x" }, "refresh": { "id_token": "x" } }),
        json!({ "role": 1 }),
        json!([]),
        json!("role"),
    ] {
        wire.ask(&alice.key, &body).refused(Kind::BadRequest);
    }
    let answer = http::send(
        wire.address,
        "POST",
        "/v1/certificates",
        &[("Content-Type", "text/plain")],
        b"{}",
    );
    assert!([401, 415].contains(&answer.status), "{answer:?}");
}
