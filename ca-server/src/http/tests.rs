use std::time::Duration;

use jit_ssh_api::admin::AuditPage;
use jit_ssh_api::binding::{self, Salt};
use jit_ssh_api::issue::CertificateAnswer;
use jit_ssh_api::problem::{Kind, Problem};
use jit_ssh_api::proof::{self, ProofHeader};
use jit_ssh_api::role::RolesAnswer;
use jit_ssh_api::sign_in::SignInAnswer;
use ssh_key::public::{EcdsaPublicKey, KeyData, SkEcdsaSha2NistP256, SkEd25519};
use ssh_key::{Algorithm, EcdsaCurve, HashAlg, PrivateKey, Signature, SshSig};

use super::Body;
use super::access::{Route, Who};
use super::address::Peer;
use crate::ledger::LedgerError;
use crate::server::testing::{
    CONFIG, Got, POLICY, Person, Proof, TestCa, ca, fips_ca, peer, put, request,
};

const STATE: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

mod revocations;

/// Everybody who could call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    Stranger,
    Key,
    Login,
    RightHolder,
    Host,
    Socket,
}

const CALLERS: [Caller; 6] = [
    Caller::Stranger,
    Caller::Key,
    Caller::Login,
    Caller::RightHolder,
    Caller::Host,
    Caller::Socket,
];

/// Whether the door opens; what lies behind it may still say no.
fn admitted(who: Who, caller: Caller) -> bool {
    use Caller::{Host, Key, Login, RightHolder, Socket, Stranger};
    match who {
        Who::Anyone => true,
        Who::Watcher => caller == Socket,
        Who::KeyProof => matches!(caller, Key | Login | RightHolder | Host),
        Who::LoginProof => matches!(caller, Login | RightHolder),
        Who::Host => caller == Host,
        Who::Right(_) => matches!(caller, RightHolder | Socket),
        Who::SocketOnly => match caller {
            Socket => true,
            Stranger | Key | Login | RightHolder | Host => false,
        },
    }
}

fn body_of(route: Route) -> &'static str {
    match route {
        Route::Certificates
        | Route::Explain
        | Route::Invite
        | Route::EnrolHost
        | Route::HostCertificates
        | Route::HostReport
        | Route::LabelHost => "{}",
        Route::SignIns => {
            r#"{"state":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","issuer":"https://idp.example.com"}"#
        }
        Route::Revocations => r#"{"target":{"user":"nobody"},"reason":"a test"}"#,
        Route::Unlock => r#"{"target":{"role":"nothing"},"reason":"a test"}"#,
        Route::Backup => r#"{"path":"relative"}"#,
        _ => "",
    }
}

#[tokio::test]
async fn every_route_is_open_to_exactly_those_whom_the_table_names() {
    assert!(Route::ALL.len() >= 18);
    for route in Route::ALL {
        for caller in CALLERS {
            // A CA of its own: some routes end the very login that asks.
            let ca = ca().await;
            let got = call(&ca, *route, caller).await;
            let refused = matches!(got, 401 | 403)
                // Behind the door of the exchange: a key without a login is told so by the route.
                && !(*route == Route::Certificates && admitted(route.who(), caller));
            assert_eq!(
                !refused,
                admitted(route.who(), caller),
                "{route:?} by {caller:?}: {got}"
            );
        }
    }
}

/// Invariant 7, over the table itself: a route that is new is walked too.
#[tokio::test]
async fn no_route_but_the_exchange_gives_a_certificate() {
    let mut given = Vec::new();
    for route in Route::ALL {
        for caller in CALLERS {
            let ca = ca().await;
            let got = answer(&ca, *route, caller).await;
            let audit = request("GET", "/v1/admin/audit?kind=certificate", "");
            let audit = audit.body(Body::default()).unwrap();
            let page: AuditPage = ca.send(Peer::Socket { uid: 0 }, audit).await.json();
            let body = String::from_utf8_lossy(&got.body).into_owned();
            let in_answer = body.contains("-cert-v01@openssh.com");
            let recorded = !page.records.is_empty();
            assert_eq!(in_answer, recorded, "{route:?} by {caller:?}: {got:?}");
            if in_answer {
                given.push((*route, caller));
            }
        }
    }
    let door = Route::Certificates;
    assert_eq!(given, [(door, Caller::Login)]);
}

async fn call(ca: &TestCa, route: Route, caller: Caller) -> u16 {
    answer(ca, route, caller).await.status()
}

async fn answer(ca: &TestCa, route: Route, caller: Caller) -> Got {
    let groups: &[&str] = if caller == Caller::RightHolder {
        &["Security"]
    } else {
        &["Ops"]
    };
    let person = Person::new("alice", groups);
    if matches!(caller, Caller::Login | Caller::RightHolder) {
        ca.sign_in(&person).await;
    }
    if caller == Caller::Host {
        ca.be_host(&person);
    }
    let path = route.path().replace("{id}", "aaaaaaaaaaaaaaaaaaaaaaaaaa");
    let (method, body) = (route.method(), body_of(route));
    match caller {
        Caller::Stranger => {
            let request = request(method.as_str(), &path, body)
                .body(Body::from(body))
                .unwrap();
            ca.send(peer(), request).await
        }
        Caller::Socket => {
            let request = request(method.as_str(), &path, body)
                .body(Body::from(body))
                .unwrap();
            ca.send(Peer::Socket { uid: 0 }, request).await
        }
        Caller::Key | Caller::Login | Caller::RightHolder | Caller::Host => {
            ca.ask(&person, method.as_str(), &path, body).await
        }
    }
}

#[tokio::test]
async fn a_login_gets_a_certificate_for_its_role_and_no_other() {
    let ca = ca().await;
    let alice = Person::new("alice", &["Ops"]);
    ca.sign_in(&alice).await;
    let got = ca.ask(&alice, "POST", "/v1/certificates", "{}").await;
    assert_eq!(got.status(), 200, "{got:?}");
    let answer: CertificateAnswer = got.json();
    assert_eq!(answer.role, "production-observer");
    assert_eq!(answer.principals, ["role:production-observer"]);
    assert_eq!(answer.roles.unwrap().hosts, ["*.prod.example.com"]);
    assert!(answer.valid_before <= ca.clock.now().seconds() + 900);

    let got = ca
        .ask(
            &alice,
            "POST",
            "/v1/certificates",
            r#"{"role":"production-admin"}"#,
        )
        .await;
    assert_eq!(got.refusal(), "refused");
    let problem: Problem = got.json();
    assert_eq!(problem.rule.as_deref(), Some("groups"));
    assert!(!problem.next.is_empty() && !problem.request_id.is_empty());
}

/// Roles that the client has are not told again, and whatever changes them tells them anew.
#[tokio::test]
async fn roles_are_told_again_only_when_they_may_have_changed() {
    let ca = ca().await;
    let alice = Person::new("alice", &["Ops"]);
    ca.sign_in(&alice).await;
    let roles = async |person: &Person, seen: &str| {
        let body = serde_json::json!({ "roles_seen": seen }).to_string();
        let got = ca.ask(person, "POST", "/v1/certificates", &body).await;
        got.json::<CertificateAnswer>().roles
    };
    let told = roles(&alice, "").await.unwrap();
    assert_eq!(told.roles.len(), 2);
    assert_eq!(roles(&alice, &told.version).await, None);
    let asked: RolesAnswer = ca.ask(&alice, "GET", "/v1/roles", "").await.json();
    assert_eq!(asked, told);
    // Later, the same.
    ca.clock.advance(Duration::from_secs(60));
    assert_eq!(roles(&alice, &told.version).await, None);
    // Nobody else's answer has that name.
    let bob = Person::new("bob", &["Ops", "Admins"]);
    ca.sign_in(&bob).await;
    assert!(roles(&bob, &told.version).await.is_some());

    let data = ca.folder.path();
    for (file, text) in [
        ("policy.toml", POLICY.replace("Read-only access", "Looking")),
        ("ca.toml", CONFIG.replace("*.prod.", "*.production.")),
    ] {
        let before = roles(&alice, "").await.unwrap();
        put(data, file, &text);
        ca.running.reload().await.unwrap();
        let after = roles(&alice, &before.version).await.unwrap();
        assert_ne!(before.version, after.version, "{file}");
        assert_ne!(
            (before.roles, before.hosts),
            (after.roles, after.hosts),
            "{file}"
        );
    }
}

#[tokio::test]
async fn whoever_asks_for_more_gets_no_more() {
    let ca = ca().await;
    let alice = Person::new("alice", &["Ops"]);
    ca.sign_in(&alice).await;
    let year = r#"{"validity":31536000}"#;
    let answer: CertificateAnswer = ca
        .ask(&alice, "POST", "/v1/certificates", year)
        .await
        .json();
    assert!(answer.valid_before <= ca.clock.now().seconds() + 900);
    for body in [
        r#"{"role":""}"#,
        r#"{"role":"*"}"#,
        r#"{"role":"nobody"}"#,
        r#"{"account":"root"}"#,
        r#"{"account":""}"#,
    ] {
        assert_eq!(
            ca.ask(&alice, "POST", "/v1/certificates", body)
                .await
                .refusal(),
            "refused",
            "{body}"
        );
    }
    for body in [
        r#"{"principals":["root"]}"#,
        r#"{"extensions":["permit-agent-forwarding"]}"#,
        r#"{"validity":0}"#,
        r#"{"validity":-1}"#,
        r#"{"role":["production-admin"]}"#,
        r#"{"open":null,"open":null}"#,
        "[]",
        "",
    ] {
        let got = ca.ask(&alice, "POST", "/v1/certificates", body).await;
        assert!(
            matches!(got.refusal(), "bad-request" | "media-type"),
            "{body}: {got:?}"
        );
    }
}

const P256: Algorithm = Algorithm::Ecdsa {
    curve: EcdsaCurve::NistP256,
};

/// What a CA says to a proof by that key; the signature is none.
async fn proof_by(ca: &TestCa, key: KeyData, signature: Algorithm) -> Problem {
    let (now, id) = (ca.clock.now().seconds(), ca.proof().id);
    // 64 bytes of Ed25519, flags and counter; two numbers of ECDSA, flags and counter.
    let bytes = match signature {
        Algorithm::SkEcdsaSha2NistP256 => [&[0, 0, 0, 1, 7, 0, 0, 0, 1, 7], &[1u8; 5][..]].concat(),
        Algorithm::SkEd25519 => vec![1u8; 69],
        _ => vec![1u8; 64],
    };
    let signature = Signature::new(signature, bytes).unwrap();
    let signature = SshSig::new(key, proof::NAMESPACE, HashAlg::Sha512, signature).unwrap();
    let header = ProofHeader::encode(now, id, &signature).unwrap();
    let request = request("POST", "/v1/certificates", "{}").header("authorization", header);
    let got = ca.send(peer(), request.body(Body::from("{}")).unwrap());
    got.await.json()
}

/// `--profile fips` is NIST curves throughout, also for keys in hardware.
#[tokio::test]
async fn an_edwards_login_key_is_refused_by_a_fips_ca() {
    let (standard, fips) = (ca().await, fips_ca().await);
    let edwards = *Person::new("alice", &[])
        .key
        .public_key()
        .key_data()
        .ed25519()
        .unwrap();
    let point = Person::with(P256, "alice", &[]);
    let Some(EcdsaPublicKey::NistP256(point)) = point.key.public_key().key_data().ecdsa() else {
        panic!("P-256")
    };
    let sk = KeyData::SkEd25519(SkEd25519::new(edwards, "ssh:"));
    let sk_p256 = KeyData::SkEcdsaSha2NistP256(SkEcdsaSha2NistP256::new(*point, "ssh:"));
    for (key, signature, taken_by_fips) in [
        (KeyData::Ed25519(edwards), Algorithm::Ed25519, false),
        (sk, Algorithm::SkEd25519, false),
        (sk_p256, Algorithm::SkEcdsaSha2NistP256, true),
    ] {
        let kind = |problem: Problem| problem.kind().unwrap();
        let found = kind(proof_by(&standard, key.clone(), signature.clone()).await);
        assert_eq!(found, Kind::ProofInvalid, "{signature}");
        let found = proof_by(&fips, key, signature.clone()).await;
        let expected = if taken_by_fips {
            Kind::ProofInvalid
        } else {
            Kind::KeyRefused
        };
        assert_eq!(kind(found), expected, "{signature}");
    }
}

/// The key that a person names is judged as the login key is; also that of a login which began
/// under another profile.
#[tokio::test]
async fn an_edwards_named_key_is_refused_by_a_fips_ca() {
    let fips = fips_ca().await;
    let alice = Person::with(P256, "alice", &["Ops"]);
    let named = Person::new("alice", &[]).key;
    let salt = Salt::new([7; 32]);
    let blob = |key: &PrivateKey| key.public_key().to_bytes().unwrap();
    let nonce = binding::nonce_with_named_key(&blob(&alice.key), &blob(&named), &salt);
    let namespace = binding::NAMED_KEY_NAMESPACE;
    let signature = named
        .sign(namespace, HashAlg::Sha512, nonce.as_bytes())
        .unwrap();
    let body = serde_json::json!({ "open": {
        "id_token": "a.b.c",
        "salt": salt.encode(),
        "certified_key": {
            "public_key": named.public_key().to_openssh().unwrap(),
            "signature": signature.to_pem(ssh_key::LineEnding::LF).unwrap(),
        },
    }});
    let got = fips
        .ask(&alice, "POST", "/v1/certificates", &body.to_string())
        .await;
    assert_eq!(got.refusal(), "key-refused", "{got:?}");
    let standard = ca().await;
    let got = standard
        .ask(&alice, "POST", "/v1/certificates", &body.to_string())
        .await;
    assert_eq!(got.refusal(), "token-refused", "the token is next");

    fips.sign_in_naming(&alice, named.public_key()).await;
    let got = fips.ask(&alice, "POST", "/v1/certificates", "{}").await;
    assert_eq!(got.refusal(), "key-refused", "{got:?}");
}

#[tokio::test]
async fn a_request_without_its_key_is_refused() {
    let ca = ca().await;
    let (alice, mallory) = (Person::new("alice", &["Ops"]), Person::new("mallory", &[]));
    ca.sign_in(&alice).await;
    let path = "/v1/certificates";
    let good = || ca.proof();
    let spoiled: Vec<(&str, String, &str)> = vec![
        (
            "another body",
            ca.sign(&alice, &good(), "POST", path, b"{ }"),
            "proof-invalid",
        ),
        (
            "another method",
            ca.sign(&alice, &good(), "PUT", path, b"{}"),
            "proof-invalid",
        ),
        (
            "another path",
            ca.sign(&alice, &good(), "POST", "/v1/roles", b"{}"),
            "proof-invalid",
        ),
        (
            "another CA",
            ca.sign(
                &alice,
                &Proof {
                    name: "evil.example",
                    ..good()
                },
                "POST",
                path,
                b"{}",
            ),
            "proof-invalid",
        ),
        (
            "another namespace",
            ca.sign(
                &alice,
                &Proof {
                    namespace: "git",
                    ..good()
                },
                "POST",
                path,
                b"{}",
            ),
            "proof-invalid",
        ),
        (
            "too old",
            ca.sign(
                &alice,
                &Proof {
                    time: ca.clock.now().minus(Duration::from_secs(61)),
                    ..good()
                },
                "POST",
                path,
                b"{}",
            ),
            "proof-time",
        ),
        (
            "from the future",
            ca.sign(
                &alice,
                &Proof {
                    time: ca.clock.now().plus(Duration::from_secs(61)),
                    ..good()
                },
                "POST",
                path,
                b"{}",
            ),
            "proof-time",
        ),
        (
            "another key",
            ca.sign(&mallory, &good(), "POST", path, b"{}"),
            "login-ended",
        ),
        ("a bearer token", "Bearer abc".to_owned(), "proof-invalid"),
        ("nothing in it", String::new(), "proof-invalid"),
    ];
    for (what, header, expected) in spoiled {
        let request = request("POST", path, "{}").header("authorization", header);
        let got = ca
            .send(peer(), request.body(Body::from("{}")).unwrap())
            .await;
        assert_eq!(got.refusal(), expected, "{what}");
    }
    let bare = request("POST", path, "{}").body(Body::from("{}")).unwrap();
    assert_eq!(ca.send(peer(), bare).await.refusal(), "proof-missing");
}

#[tokio::test]
async fn a_captured_request_cannot_be_sent_again() {
    let ca = ca().await;
    let alice = Person::new("alice", &["Ops"]);
    ca.sign_in(&alice).await;
    let header = ca.sign(&alice, &ca.proof(), "POST", "/v1/certificates", b"{}");
    let again = || {
        let request = request("POST", "/v1/certificates", "{}").header("authorization", &header);
        request.body(Body::from("{}")).unwrap()
    };
    assert_eq!(ca.send(peer(), again()).await.status(), 200);
    assert_eq!(ca.send(peer(), again()).await.refusal(), "proof-invalid");
    ca.clock.advance(Duration::from_secs(59));
    assert_eq!(ca.send(peer(), again()).await.refusal(), "proof-invalid");
    ca.clock.advance(Duration::from_secs(2));
    assert_eq!(ca.send(peer(), again()).await.refusal(), "proof-time");
}

#[tokio::test]
async fn two_authorization_headers_are_none() {
    let ca = ca().await;
    let alice = Person::new("alice", &["Ops"]);
    ca.sign_in(&alice).await;
    let header = ca.sign(&alice, &ca.proof(), "GET", "/v1/roles", b"");
    let request = request("GET", "/v1/roles", "")
        .header("authorization", &header)
        .header("authorization", "Bearer x");
    let got = ca
        .send(peer(), request.body(Body::default()).unwrap())
        .await;
    assert_eq!(got.refusal(), "proof-missing");
}

#[tokio::test]
async fn an_old_identity_gets_nothing_without_a_fresh_token() {
    let ca = ca().await;
    let (alice, sec) = (
        Person::new("alice", &["Ops"]),
        Person::new("sec", &["Security"]),
    );
    ca.sign_in(&alice).await;
    ca.sign_in(&sec).await;
    ca.clock.advance(Duration::from_secs(301));
    let got = ca.ask(&alice, "POST", "/v1/certificates", "{}").await;
    assert_eq!(got.refusal(), "identity-stale");
    let got = ca.ask(&sec, "GET", "/v1/admin/audit", "").await;
    assert_eq!(got.refusal(), "identity-stale");
    let roles: RolesAnswer = ca.ask(&alice, "GET", "/v1/roles", "").await.json();
    assert_eq!(roles.roles.len(), 2, "what was known may still be read");
}

#[tokio::test]
async fn an_ended_login_stays_ended() {
    let ca = ca().await;
    let alice = Person::new("alice", &["Ops"]);
    ca.sign_in(&alice).await;
    assert_eq!(
        ca.ask(&alice, "DELETE", "/v1/logins/self", "")
            .await
            .status(),
        200
    );
    for (method, path, body) in [
        ("POST", "/v1/certificates", "{}"),
        ("GET", "/v1/logins/self", ""),
        ("GET", "/v1/roles", ""),
        ("DELETE", "/v1/logins/self", ""),
    ] {
        assert_eq!(
            ca.ask(&alice, method, path, body).await.refusal(),
            "login-ended",
            "{path}"
        );
    }
}

#[tokio::test]
async fn an_admin_ends_a_login_and_is_recorded() {
    let ca = ca().await;
    let (alice, sec) = (
        Person::new("alice", &["Ops"]),
        Person::new("sec", &["Security"]),
    );
    ca.sign_in(&alice).await;
    ca.sign_in(&sec).await;
    let login: jit_ssh_api::login::Login =
        ca.ask(&alice, "GET", "/v1/logins/self", "").await.json();
    let path = format!("/v1/admin/logins/{}", login.id);
    assert_eq!(
        ca.ask(&alice, "DELETE", &path, "").await.refusal(),
        "forbidden"
    );
    assert_eq!(ca.ask(&sec, "DELETE", &path, "").await.status(), 200);
    let got = ca.ask(&alice, "POST", "/v1/certificates", "{}").await;
    assert_eq!(got.refusal(), "login-ended");
    let page: jit_ssh_api::admin::AuditPage = ca
        .ask(&sec, "GET", "/v1/admin/audit?kind=login-ended&limit=5", "")
        .await
        .json();
    assert_eq!(page.records.len(), 1);
    let page: jit_ssh_api::admin::AuditPage = ca
        .ask(&sec, "GET", "/v1/admin/audit?kind=admin", "")
        .await
        .json();
    assert!(
        !page.records.is_empty(),
        "who uses a right is in the ledger"
    );
}

#[tokio::test]
async fn on_a_full_disk_an_admin_still_looks_and_still_ends_logins() {
    let ca = ca().await;
    let (alice, sec) = (
        Person::new("alice", &["Ops"]),
        Person::new("sec", &["Security"]),
    );
    ca.sign_in(&alice).await;
    ca.sign_in(&sec).await;
    ca.state().ledger.store().pretend_free(0);
    assert!(!ca.state().readiness().ready);
    let got = ca.ask(&alice, "POST", "/v1/certificates", "{}").await;
    assert_eq!(got.refusal(), "unavailable");
    for path in [
        "/v1/admin/audit",
        "/v1/admin/policy",
        "/v1/admin/keys",
        "/v1/admin/logins?user=alice",
    ] {
        let got = ca.ask(&sec, "GET", path, "").await;
        assert_eq!(got.status(), 200, "{path}: {got:?}");
    }
    let login: jit_ssh_api::login::Login =
        ca.ask(&alice, "GET", "/v1/logins/self", "").await.json();
    let path = format!("/v1/admin/logins/{}", login.id);
    let got = ca.ask(&sec, "DELETE", &path, "").await;
    assert_eq!(got.status(), 200, "{got:?}");
    let got = ca.ask(&alice, "POST", "/v1/certificates", "{}").await;
    assert_eq!(got.refusal(), "login-ended");

    ca.state().ledger.flush(ca.clock.now()).await.unwrap_err();
    ca.state().ledger.store().pretend_free(1 << 40);
    ca.state().ledger.flush(ca.clock.now()).await.unwrap();
    let audit = |kind: &str| format!("/v1/admin/audit?kind={kind}");
    let page: AuditPage = ca.ask(&sec, "GET", &audit("admin"), "").await.json();
    let actions: Vec<_> = page
        .records
        .iter()
        .map(|record| record.fields["action"].clone())
        .collect();
    assert_eq!(actions, ["audit", "login-end"], "who ended it is recorded");
    let page: AuditPage = ca
        .ask(&sec, "GET", &audit("refused-summary"), "")
        .await
        .json();
    assert_eq!(page.records[0].fields["reads"], 4, "who looked is counted");
}

#[tokio::test]
async fn whoever_tries_what_they_have_no_right_to_is_in_the_audit_and_cannot_fill_it() {
    let ca = ca().await;
    let (alice, sec) = (
        Person::new("alice", &["Ops"]),
        Person::new("sec", &["Security"]),
    );
    ca.sign_in(&alice).await;
    ca.sign_in(&sec).await;
    for _ in 0..20 {
        let got = ca.ask(&alice, "GET", "/v1/admin/audit", "").await;
        assert_eq!(got.refusal(), "forbidden");
    }
    let refused = "/v1/admin/audit?kind=refused";
    let page: AuditPage = ca.ask(&sec, "GET", refused, "").await.json();
    assert_eq!(page.records.len(), 5, "the rest is only counted");
    let record = &page.records[0];
    assert_eq!(record.fields["rule"], "rights");
    assert_eq!(record.parts["details"]["asked"]["right"], "audit");
    assert_eq!(record.parts["identity"]["subject"], "alice");
}

#[tokio::test]
async fn a_live_login_with_a_token_that_is_not_its_own_is_in_the_audit() {
    let ca = ca().await;
    let (alice, sec) = (
        Person::new("alice", &["Ops"]),
        Person::new("sec", &["Security"]),
    );
    ca.sign_in(&alice).await;
    ca.sign_in(&sec).await;
    let forged = r#"{"refresh":{"id_token":"e30.e30.e30"}}"#;
    for _ in 0..20 {
        let got = ca.ask(&alice, "POST", "/v1/certificates", forged).await;
        assert_eq!(got.refusal(), "token-refused");
    }
    let refused = "/v1/admin/audit?kind=refused";
    let page: AuditPage = ca.ask(&sec, "GET", refused, "").await.json();
    assert_eq!(page.records.len(), 5, "the rest is only counted");
    assert_eq!(page.records[0].fields["rule"], "token-refused");
    assert_eq!(page.records[0].parts["identity"]["subject"], "alice");
}

#[tokio::test]
async fn a_name_is_freed_by_those_with_the_right_and_then_serves_its_new_owner_alone() {
    let ca = ca().await;
    let (mut old, mut new) = (Person::new("sub1", &["Ops"]), Person::new("sub2", &["Ops"]));
    (old.email, new.email) = (Some("alice@example.com"), Some("alice@example.com"));
    let sec = Person::new("sec", &["Security"]);
    ca.sign_in(&old).await;
    ca.sign_in(&sec).await;
    let refused = ca.try_sign_in(&new).await.unwrap_err();
    assert!(
        matches!(refused, LedgerError::NameTaken { kind: "email", .. }),
        "{refused}"
    );

    let path =
        "/v1/admin/names?issuer=https%3A%2F%2Fidp.example.com&kind=email&name=alice%40EXAMPLE.com";
    for mallory in [&old, &new] {
        let got = ca.ask(mallory, "DELETE", path, "").await;
        assert!(matches!(got.status(), 401 | 403), "{got:?}");
    }
    for wrong in [
        "/v1/admin/names",
        "/v1/admin/names?kind=email&name=alice%40example.com",
        "/v1/admin/names?issuer=x&kind=subject&name=sub1",
        "/v1/admin/names?issuer=x&kind=email&name=x&more=1",
    ] {
        let got = ca.ask(&sec, "DELETE", wrong, "").await;
        assert_eq!(got.refusal(), "bad-request", "{wrong}");
    }
    ca.try_sign_in(&new).await.unwrap_err();

    // While the old account's login lives, it would have the name back with its next certificate.
    let got = ca.ask(&sec, "DELETE", path, "").await;
    assert_eq!((got.status(), got.refusal()), (409, "conflict"));
    let got = ca.ask(&old, "DELETE", "/v1/logins/self", "").await;
    assert_eq!(got.status(), 200, "{got:?}");
    assert_eq!(ca.ask(&sec, "DELETE", path, "").await.status(), 200);
    assert_eq!(
        ca.ask(&sec, "DELETE", path, "").await.refusal(),
        "not-found"
    );
    ca.sign_in(&new).await;
    let got = ca.ask(&new, "POST", "/v1/certificates", "{}").await;
    assert_eq!(got.status(), 200, "{got:?}");
    // The old account signs in again, and the name is no longer its own.
    let refused = ca.try_sign_in(&old).await.unwrap_err();
    assert!(
        matches!(refused, LedgerError::NameTaken { kind: "email", .. }),
        "{refused}"
    );
    let audit = "/v1/admin/audit?kind=admin";
    let page: AuditPage = ca.ask(&sec, "GET", audit, "").await.json();
    let freed: Vec<_> = page
        .records
        .iter()
        .filter(|record| record.fields["action"] == "name-free")
        .collect();
    assert_eq!(freed.len(), 1);
    assert_eq!(freed[0].parts["identity"]["subject"], "sec");
    assert_eq!(
        freed[0].parts["details"]["with"]["name"],
        "alice@example.com"
    );
}

#[tokio::test]
async fn queries_are_as_strict_as_bodies() {
    let ca = ca().await;
    for query in [
        "limit=x",
        "limit=1&limit=2",
        "nonsense=1",
        "after=-1",
        "after=%2b1",
        "kind",
        "kind=certificates",
        "kind=admin",
    ] {
        let request = request("GET", &format!("/v1/admin/audit?{query}"), "");
        let got = ca
            .send(
                Peer::Socket { uid: 0 },
                request.body(Body::default()).unwrap(),
            )
            .await;
        let expected = if query == "kind=admin" { 200 } else { 400 };
        assert_eq!(got.status(), expected, "{query}");
    }
}

#[tokio::test]
async fn bodies_that_are_too_large_or_not_json_are_refused() {
    let ca = ca().await;
    let alice = Person::new("alice", &["Ops"]);
    let large = format!("{{\"role\":\"{}\"}}", "x".repeat(70_000));
    assert_eq!(
        ca.ask(&alice, "POST", "/v1/certificates", &large)
            .await
            .refusal(),
        "too-large"
    );
    let deep = format!("{{\"role\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
    ca.sign_in(&alice).await;
    assert_eq!(
        ca.ask(&alice, "POST", "/v1/certificates", &deep)
            .await
            .refusal(),
        "bad-request"
    );
    let plain = request("POST", "/v1/certificates", "").header("content-type", "text/plain");
    let got = ca.send(peer(), plain.body(Body::from("{}")).unwrap()).await;
    assert_eq!(got.refusal(), "media-type");
    let with_body = request("GET", "/healthz", "")
        .body(Body::from("x"))
        .unwrap();
    assert_eq!(ca.send(peer(), with_body).await.refusal(), "too-large");
}

#[tokio::test]
async fn one_address_that_floods_is_slowed_and_others_are_not() {
    let ca = ca().await;
    let ask = |address: &str| {
        let peer = Peer::Tcp(address.parse().unwrap());
        ca.send(
            peer,
            request("GET", "/healthz", "")
                .body(Body::default())
                .unwrap(),
        )
    };
    for _ in 0..6000 {
        assert_eq!(ask("192.0.2.1").await.status(), 200);
    }
    let got = ask("192.0.2.1").await;
    assert_eq!(got.refusal(), "too-many");
    assert!(got.head.headers.contains_key("retry-after"));
    assert_eq!(ask("192.0.2.2").await.status(), 200);
}

#[tokio::test]
async fn one_person_cannot_keep_the_signer_busy() {
    let ca = ca().await;
    let alice = Person::new("alice", &["Ops"]);
    ca.sign_in(&alice).await;
    for _ in 0..300 {
        assert_eq!(
            ca.ask(&alice, "POST", "/v1/certificates", "{}")
                .await
                .status(),
            200
        );
    }
    assert_eq!(
        ca.ask(&alice, "POST", "/v1/certificates", "{}")
            .await
            .refusal(),
        "too-many"
    );
    let ledger = &ca.state().ledger;
    ledger.flush(ca.clock.now()).await.unwrap();
    let summary = request("GET", "/v1/admin/audit?kind=refused-summary", "");
    let socket = Peer::Socket { uid: 0 };
    let got = ca
        .send(socket, summary.body(Body::default()).unwrap())
        .await;
    let page: AuditPage = got.json();
    assert_eq!(page.records[0].fields["people"], 1, "and it is counted");
}

#[tokio::test]
async fn a_backup_may_take_longer_than_an_answer_and_nothing_else_may() {
    let ca = ca().await;
    let sec = Person::new("sec", &["Security"]);
    ca.sign_in(&sec).await;
    let limits = "[limits]\nanswer_time = \"1s\"\n";
    put(ca.folder.path(), "ca.toml", &format!("{CONFIG}\n{limits}"));
    ca.running.reload().await.unwrap();
    let store = ca.state().ledger.store();
    let (backing_up, reading) = (
        store.backing_up.acquire().await.unwrap(),
        store.reading.acquire_many(4).await.unwrap(),
    );
    let path = ca.folder.path().join("backup");
    let body = serde_json::json!({ "path": path }).to_string();
    let asked = request("POST", "/v1/admin/backup", &body)
        .body(Body::from(body))
        .unwrap();
    let mut backup = Box::pin(ca.send(Peer::Socket { uid: 0 }, asked));
    // Both wait for a turn; the one whose time is up tells us when the other's would be.
    let policy = ca.ask(&sec, "GET", "/v1/admin/audit", "");
    tokio::select! {
        biased;
        got = &mut backup => panic!("{got:?}"),
        got = policy => assert_eq!(got.refusal(), "unavailable"),
    }
    drop((backing_up, reading));
    assert_eq!(backup.await.status(), 200);
    assert!(path.exists());
}

#[tokio::test]
async fn metrics_are_not_for_everybody() {
    let ca = ca().await;
    let ask = |address: &str| {
        let peer = Peer::Tcp(address.parse().unwrap());
        ca.send(
            peer,
            request("GET", "/metrics", "")
                .body(Body::default())
                .unwrap(),
        )
    };
    assert_eq!(ask("192.0.2.1").await.refusal(), "forbidden");
    assert_eq!(ask("127.0.0.1").await.status(), 200);
}

#[tokio::test]
async fn an_announced_sign_in_shows_who_asks_and_its_address_is_from_the_configuration() {
    let ca = ca().await;
    let alice = Person::new("alice", &[]);
    let body = body_of(Route::SignIns);
    let header = ca.sign(&alice, &ca.proof(), "POST", "/v1/sign-ins", body.as_bytes());
    let forged = request("POST", "/v1/sign-ins", body)
        .header("authorization", header)
        .header("host", "evil.example")
        .header("x-forwarded-host", "evil.example")
        .header("x-forwarded-for", "10.0.0.1");
    let got = ca
        .send(peer(), forged.body(Body::from(body)).unwrap())
        .await;
    let answer: SignInAnswer = got.json();
    assert_eq!(answer.redirect_uri, "https://ca.example.com/sign-in");
    let page = |query: String| {
        let request = request("GET", &format!("/sign-in?{query}"), "");
        ca.send(peer(), request.body(Body::default()).unwrap())
    };
    let got = page(format!("code=abc&state={STATE}")).await;
    assert_eq!(got.head.headers["cache-control"], "no-store");
    assert_eq!(got.head.headers["referrer-policy"], "no-referrer");
    let html = String::from_utf8(got.body.to_vec()).unwrap();
    let fingerprint = alice.key.fingerprint(ssh_key::HashAlg::Sha256).to_string();
    assert!(
        html.contains(&fingerprint) && html.contains("192.0.2.10"),
        "{html}"
    );
    assert!(
        !html.contains("10.0.0.1"),
        "the header of a stranger is not believed"
    );
    ca.clock.advance(Duration::from_secs(601));
    assert_eq!(page(format!("code=abc&state={STATE}")).await.status(), 404);
}

#[tokio::test]
async fn the_ca_keys_have_an_etag() {
    let ca = ca().await;
    let ask = |tag: Option<String>| {
        let mut request = request("GET", "/v1/trust/user-ca", "");
        if let Some(tag) = tag {
            request = request.header("if-none-match", tag);
        }
        ca.send(peer(), request.body(Body::default()).unwrap())
    };
    let first = ask(None).await;
    assert!(first.body.starts_with(b"ssh-ed25519 "));
    let tag = first.head.headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(ask(Some(tag)).await.status(), 304);
    assert_eq!(ask(Some("\"other\"".to_owned())).await.status(), 200);
}

#[tokio::test]
async fn nothing_of_a_fault_of_ours_leaves_but_the_request_id() {
    let failure = super::Failure::internal("SECRET at /srv/ca/keys");
    let answer = failure.answer("abc-1");
    let (_, body) = answer.into_parts();
    let body = http_body_util::BodyExt::collect(body)
        .await
        .unwrap()
        .to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert!(text.contains("abc-1") && !text.contains("SECRET") && !text.contains("/srv"));
}
