//! A56: who may take away and give back, and what that does at the one door.

use jit_ssh_api::login::EndedAll;
use jit_ssh_api::revocation::{Locks, Receipts, Revocation};

use ssh_key::PublicKey;

use super::*;
use crate::login::KeyHash;

const REVOKE: &str = "/v1/admin/revocations";
const UNLOCK: &str = "/v1/admin/unlock";

fn of(target: &str, name: &str) -> String {
    format!(r#"{{"target":{{"{target}":"{name}"}},"reason":"a test"}}"#)
}

async fn people(ca: &TestCa) -> (Person, Person) {
    let (alice, sec) = (
        Person::new("alice", &["Ops"]),
        Person::new("sec", &["Security"]),
    );
    ca.sign_in(&alice).await;
    ca.sign_in(&sec).await;
    (alice, sec)
}

async fn certificate(ca: &TestCa, person: &Person) -> Got {
    ca.ask(person, "POST", "/v1/certificates", "{}").await
}

#[tokio::test]
async fn a56_whoever_lacks_the_right_takes_nothing_away_and_gives_nothing_back() {
    let ca = ca().await;
    let (alice, sec) = people(&ca).await;
    let bob = Person::new("bob", &["Ops"]);
    ca.sign_in(&bob).await;
    let host = Person::new("web-1", &[]);
    ca.be_host(&host);
    let given: CertificateAnswer = certificate(&ca, &alice).await.json();
    let got = ca
        .ask(&sec, "POST", REVOKE, &of("role", "production-admin"))
        .await;
    assert_eq!(got.status(), 200, "{got:?}");
    for (path, body) in [
        (REVOKE, of("user", "alice")),
        (REVOKE, of("serial", &given.serial)),
        (REVOKE, of("role", "production-observer")),
        (UNLOCK, of("role", "production-admin")),
    ] {
        assert_eq!(
            ca.ask(&bob, "POST", path, &body).await.refusal(),
            "forbidden"
        );
        let of_host = ca.ask(&host, "POST", path, &body).await;
        assert_eq!(of_host.status(), 401, "{of_host:?}");
    }
    assert_eq!(
        ca.ask(&bob, "GET", "/v1/admin/locks", "").await.refusal(),
        "forbidden"
    );
    assert_eq!(certificate(&ca, &alice).await.status(), 200);
    let locks: Locks = ca.ask(&sec, "GET", "/v1/admin/locks", "").await.json();
    assert_eq!(locks.locks.len(), 1, "still locked");
    let page: AuditPage = ca
        .ask(&sec, "GET", "/v1/admin/audit?kind=refused", "")
        .await
        .json();
    assert_eq!(page.records[0].fields["rule"], "rights");
}

#[tokio::test]
async fn a56_a_serial_of_another_ca_is_not_found() {
    let ca = ca().await;
    let (_, sec) = people(&ca).await;
    for serial in ["1", "0", "-1", "01", "x", "18446744073709551615", ""] {
        let got = ca.ask(&sec, "POST", REVOKE, &of("serial", serial)).await;
        assert_eq!(got.refusal(), "not-found", "{serial:?}");
    }
}

#[tokio::test]
async fn a_locked_person_is_refused_until_somebody_with_the_right_unlocks() {
    let ca = ca().await;
    let (alice, sec) = people(&ca).await;
    let given: CertificateAnswer = certificate(&ca, &alice).await.json();
    let revoked: Revocation = ca
        .ask(&sec, "POST", REVOKE, &of("user", "alice"))
        .await
        .json();
    assert_eq!(revoked.certificates, [given.serial]);
    assert!(revoked.locked);
    assert_eq!(certificate(&ca, &alice).await.refusal(), "login-ended");
    let again = ca.try_sign_in(&alice).await.unwrap_err();
    assert!(matches!(again, LedgerError::Locked { .. }), "{again}");
    let locks: Locks = ca.ask(&sec, "GET", "/v1/admin/locks", "").await.json();
    assert_eq!(locks.locks[0].names, ["alice"]);
    assert_eq!(locks.locks[0].reason, "a test");
    let got = ca.ask(&sec, "POST", UNLOCK, &of("user", "bob")).await;
    assert_eq!(got.refusal(), "not-found");
    let got = ca.ask(&sec, "POST", UNLOCK, &of("user", "alice")).await;
    assert_eq!(got.status(), 200, "{got:?}");
    ca.sign_in(&alice).await;
    assert_eq!(certificate(&ca, &alice).await.status(), 200);
}

#[tokio::test]
async fn a_locked_role_is_refused_at_the_door_and_in_the_audit() {
    let ca = ca().await;
    let (alice, sec) = people(&ca).await;
    let role = of("role", "production-observer");
    assert_eq!(ca.ask(&sec, "POST", REVOKE, &role).await.status(), 200);
    let got = certificate(&ca, &alice).await;
    assert_eq!(got.refusal(), "refused");
    let problem: Problem = got.json();
    assert_eq!(problem.rule.as_deref(), Some("locked"));
    let page: AuditPage = ca
        .ask(&sec, "GET", "/v1/admin/audit?kind=refused", "")
        .await
        .json();
    assert_eq!(page.records[0].fields["rule"], "locked");
    let page: AuditPage = ca
        .ask(&sec, "GET", "/v1/admin/audit?kind=certificate", "")
        .await
        .json();
    assert!(page.records.is_empty(), "nothing was made");
    assert_eq!(ca.ask(&sec, "POST", UNLOCK, &role).await.status(), 200);
    assert_eq!(certificate(&ca, &alice).await.status(), 200);
    let misspelt = of("role", "production-observers");
    let got = ca.ask(&sec, "POST", REVOKE, &misspelt).await;
    assert_eq!(got.refusal(), "not-found", "a lock that holds nobody");
}

#[tokio::test]
async fn nobody_is_unlocked_by_the_name_of_another() {
    let ca = ca().await;
    let (_, sec) = people(&ca).await;
    let mallory = Person::new("mallory", &["Ops"]);
    ca.sign_in(&mallory).await;
    for name in ["alice", "mallory"] {
        let got = ca.ask(&sec, "POST", REVOKE, &of("user", name)).await;
        assert_eq!(got.status(), 200);
    }
    let unlocked: Locks = ca
        .ask(&sec, "POST", UNLOCK, &of("user", "alice"))
        .await
        .json();
    assert_eq!(unlocked.locks.len(), 1);
    ca.try_sign_in(&mallory).await.unwrap_err();
    for wrong in [of("key", "SHA256:x"), of("login", "x"), of("serial", "1")] {
        let got = ca.ask(&sec, "POST", UNLOCK, &wrong).await;
        assert_eq!(got.refusal(), "bad-request", "{wrong}");
    }
}

#[tokio::test]
async fn the_ca_s_own_keys_cannot_be_revoked_away() {
    let ca = ca().await;
    let (_, sec) = people(&ca).await;
    let trusted = ca.state().trusted.load_full();
    assert!(trusted.key_set.set.keys.len() >= 4);
    let keys = trusted.key_set.set.keys.iter().map(|key| &key.public_key);
    for key in keys {
        let key: PublicKey = key.parse().unwrap();
        let body = of("key", &KeyHash::of(&key).to_string());
        assert_eq!(
            ca.ask(&sec, "POST", REVOKE, &body).await.refusal(),
            "conflict"
        );
    }
    let identity = of("key", &trusted.keyring.fingerprint());
    assert_eq!(
        ca.ask(&sec, "POST", REVOKE, &identity).await.refusal(),
        "conflict"
    );
    let stranger = Person::new("x", &[]);
    let body = of("key", &KeyHash::of(stranger.key.public_key()).to_string());
    assert_eq!(ca.ask(&sec, "POST", REVOKE, &body).await.status(), 200);
    let again = ca.try_sign_in(&stranger).await.unwrap_err();
    assert!(matches!(again, LedgerError::Locked { .. }), "{again}");
}

#[tokio::test]
async fn whoever_gives_no_reason_or_names_nobody_is_told_so() {
    let ca = ca().await;
    let (_, sec) = people(&ca).await;
    for (body, refusal) in [
        (
            r#"{"target":{"user":"alice"},"reason":" "}"#.to_owned(),
            "bad-request",
        ),
        (r#"{"target":{"user":"alice"}}"#.to_owned(), "bad-request"),
        (of("everybody", "x"), "bad-request"),
        (of("key", "SHA1:abc"), "bad-request"),
        (of("user", "nobody"), "not-found"),
        (of("login", "aaaaaaaaaaaaaaaaaaaaaaaaaa"), "not-found"),
        (of("login", "../x"), "not-found"),
        (of("host", "web-9"), "not-found"),
    ] {
        let got = ca.ask(&sec, "POST", REVOKE, &body).await;
        assert_eq!(got.refusal(), refusal, "{body}");
    }
}

#[tokio::test]
async fn logging_out_everywhere_ends_what_is_one_s_own_and_nothing_else() {
    let ca = ca().await;
    let (alice, sec) = people(&ca).await;
    let other = Person::new("alice", &["Ops"]);
    let bob = Person::new("bob", &["Ops"]);
    ca.sign_in(&other).await;
    ca.sign_in(&bob).await;
    for person in [&alice, &other, &bob] {
        assert_eq!(certificate(&ca, person).await.status(), 200);
    }
    let ended: EndedAll = ca.ask(&alice, "DELETE", "/v1/logins", "").await.json();
    assert_eq!((ended.logins.len(), ended.certificates.len()), (2, 2));
    assert_eq!(certificate(&ca, &other).await.refusal(), "login-ended");
    assert_eq!(certificate(&ca, &bob).await.status(), 200);
    ca.sign_in(&alice).await;
    let path = format!("/v1/admin/receipts?bundle={}", ended.bundle);
    let receipts: Receipts = ca.ask(&sec, "GET", &path, "").await.json();
    assert_eq!((receipts.hosts, receipts.awaited), (0, 0));
}

#[tokio::test]
async fn receipts_say_who_is_missing_and_a_revoked_host_is_nobody() {
    let ca = ca().await;
    let (alice, sec) = people(&ca).await;
    let host = Person::new("web-1", &[]);
    ca.be_host(&host);
    certificate(&ca, &alice).await;
    let revoked: Revocation = ca
        .ask(&sec, "POST", REVOKE, &of("user", "alice"))
        .await
        .json();
    let path = format!(
        "/v1/admin/receipts?bundle={}&changed_ms={}",
        revoked.bundle, revoked.changed_ms
    );
    let asked = || async { ca.ask(&sec, "GET", &path, "").await.json::<Receipts>() };
    let before = asked().await;
    assert_eq!((before.hosts, before.confirmed, before.awaited), (1, 0, 1));
    assert_eq!(before.silent, ["web-1.prod.example.com"]);
    ca.clock.advance(Duration::from_millis(700));
    let said = format!("/v1/hosts/self/bundle?epoch=1&number={}", revoked.bundle);
    assert_eq!(ca.ask(&host, "GET", &said, "").await.status(), 200);
    let after = asked().await;
    assert_eq!((after.confirmed, after.awaited), (1, 0));
    assert_eq!(after.milliseconds, 700);
    assert!(after.silent.is_empty());
}
