//! What happens without a browser: certificates that expire and come again, tokens that are
//! refreshed, logins that end, a provider that is away.

use std::time::Duration;

use jit_ssh_api::problem::Kind;
use jit_ssh_tests::ca::POLICY;
use jit_ssh_tests::clock;
use jit_ssh_tests::idp::Habit;
use jit_ssh_tests::idp::token::Token;
use jit_ssh_tests::lab::Lab;
use jit_ssh_tests::wire::Opened;
use serde_json::json;

use crate::scene;
use crate::scene::{Scene, WEB, certificates};

/// The policy with certificates of six seconds.
fn six_seconds() -> String {
    POLICY.replacen("max_validity = \"15m\"", "max_validity = \"6s\"", 1)
}

fn refreshed(lab: &Lab, person: &str) -> Token {
    let claims = lab.idp.inner().claims(person, "jit-ssh", None);
    Token::new(&lab.idp.key(), claims)
}

fn ask_with(lab: &Lab, opened: &Opened, token: &Token) -> jit_ssh_tests::http::Answer {
    lab.wire().ask(
        &opened.key,
        &json!({ "refresh": { "id_token": token.sign() } }),
    )
}

#[test]
fn a_certificate_expires_in_real_seconds_and_plain_ssh_renews_it() {
    let scene = scene!(Scene::with(
        Lab::builder().policy(&six_seconds()),
        &[WEB],
        |plan| plan
    ));
    let laptop = scene.signed_in("alice");
    laptop.ssh(&[&format!("observer@{WEB}"), "true"]).ok();
    let first = certificates(&laptop);
    // The same certificate, shown to sshd without us in between, after its time.
    let old = scene.lab.dir.join("old-cert.pub");
    let path = first
        .iter()
        .find(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            jit_ssh_tests::keygen::Listed::of(&text)
                .text()
                .contains("production-observer")
        })
        .unwrap();
    std::fs::copy(path, &old).unwrap();
    let key = scene::below(laptop.home())
        .into_iter()
        .find(|path| {
            std::fs::read(path)
                .is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains("OPENSSH PRIVATE KEY"))
        })
        .unwrap();
    let port = scene.server(WEB).port.to_string();
    let bare = || {
        laptop
            .run("ssh")
            .args([
                "-F",
                "none",
                "-o",
                "BatchMode=yes",
                "-o",
                "IdentitiesOnly=yes",
                "-p",
                &port,
            ])
            .arg("-o")
            .arg(format!("CertificateFile={}", old.display()))
            .arg("-i")
            .arg(&key)
            .args([&format!("observer@{WEB}"), "true"])
            .go()
    };
    bare().ok();
    clock::until("the certificate to expire", || {
        (bare().code != Some(0)).then_some(())
    });
    assert!(
        scene
            .server(WEB)
            .log()
            .contains("Certificate invalid: expired")
    );
    // Plain ssh: a new one, without a browser.
    laptop.ssh(&[&format!("observer@{WEB}"), "true"]).ok();
    assert_eq!(scene.lab.ca.records_of("login-opened").len(), 1);
    assert!(scene.lab.ca.records_of("certificate").len() >= 2);
}

#[test]
fn a_stale_identity_is_refused_until_a_refreshed_token_comes() {
    let lab = Lab::builder().issuer("identity_max_age = \"1s\"").start();
    let wire = lab.wire();
    let alice = lab.login("alice");
    clock::until("the identity to be stale", || {
        (wire.ask(&alice.key, &json!({})).status != 200).then_some(())
    });
    wire.ask(&alice.key, &json!({}))
        .refused(Kind::IdentityStale);
    // The very token that opened the login is no news.
    let same = json!({ "refresh": { "id_token": alice.id_token } });
    wire.ask(&alice.key, &same).refused(Kind::TokenRefused);
    ask_with(&lab, &alice, &refreshed(&lab, "alice")).certificate();
}

#[test]
fn groups_lost_at_a_refresh_do_not_come_back_with_the_token_that_opened_the_login() {
    let mut lab = Lab::start();
    let (alice, carol) = (lab.login("alice"), lab.login("carol"));
    lab.idp.change("alice", |alice| alice.groups.clear());
    let newer = |person| refreshed(&lab, person).claim("iat", clock::now() + 1);
    ask_with(&lab, &alice, &newer("alice")).refused(Kind::Refused);
    ask_with(&lab, &carol, &newer("carol")).certificate();
    for restarted in [false, true] {
        if restarted {
            lab.ca.stop();
            lab.ca.serve();
        }
        let wire = lab.wire();
        let again = |it: &Opened| wire.open_with(&it.key, &it.salt, &it.id_token);
        again(&alice).refused(Kind::Refused);
        wire.ask(&alice.key, &json!({})).refused(Kind::Refused);
        // The login is found again, as it is now.
        again(&carol).certificate();
    }
    assert_eq!(lab.ca.records_of("login-opened").len(), 2);
}

#[test]
fn groups_lost_at_a_refresh_stay_lost_while_the_disk_is_nearly_full() {
    let mut lab = Lab::builder().prepare();
    let disk = rustix::fs::statvfs(lab.dir.path()).unwrap();
    let reserve = disk.f_bavail.saturating_mul(disk.f_frsize) / 1024 * 2;
    lab.ca
        .change(|plan| plan.sections = format!("[disk]\nreserve = \"{reserve}KiB\""));
    lab.ca.serve();
    let ready = lab.wire().plain("GET", "/readyz", b"");
    assert!(ready.body.contains("below the reserve"), "{ready:?}");
    let alice = lab.login("alice");
    lab.idp.change("alice", |alice| alice.groups.clear());
    let newer = refreshed(&lab, "alice").claim("iat", clock::now() + 1);
    ask_with(&lab, &alice, &newer).refused(Kind::Refused);
    let alone = lab.wire().ask(&alice.key, &json!({}));
    alone.refused(Kind::Refused);
    assert_eq!(lab.ca.records_of("login-refreshed").len(), 1);
    assert!(lab.ca.records_of("refused").is_empty(), "only counted");
}

#[test]
fn the_client_refreshes_by_itself_and_groups_are_read_afresh() {
    let lab = Lab::builder()
        .issuer("identity_max_age = \"1s\"")
        .policy(&six_seconds());
    let scene = scene!(Scene::with(lab, &[WEB], |plan| plan));
    let laptop = scene.signed_in("alice");
    let to = format!("observer@{WEB}");
    laptop.ssh(&[&to, "true"]).ok();
    let opened = scene.lab.idp.inner().authorizations.len();
    // Until a renewal was due and went by the refresh token.
    clock::until("a refresh", || {
        laptop.ssh(&[&to, "true"]).ok();
        let inner = scene.lab.idp.inner();
        let grants = inner.token_requests.iter();
        grants
            .filter(|form| {
                form.get("grant_type")
                    .is_some_and(|kind| kind == "refresh_token")
            })
            .count()
            .ge(&1)
            .then_some(())
    });
    assert_eq!(
        scene.lab.idp.inner().authorizations.len(),
        opened,
        "no browser was opened"
    );
    // She leaves the group: within seconds the door is closed, and the sentence says why.
    scene.lab.idp.change("alice", |alice| alice.groups.clear());
    let said = clock::until("the door to close", || {
        let said = laptop.ssh(&[&to, "true"]);
        (said.code != Some(0)).then_some(said)
    });
    assert!(!said.stderr.is_empty(), "{said}");
}

#[test]
fn a_disabled_person_gets_no_further_certificate() {
    let lab = Lab::builder()
        .issuer("identity_max_age = \"1s\"")
        .policy(&six_seconds());
    let scene = scene!(Scene::with(lab, &[WEB], |plan| plan));
    let laptop = scene.signed_in("alice");
    let to = format!("observer@{WEB}");
    laptop.ssh(&[&to, "true"]).ok();
    scene.lab.idp.change("alice", |alice| alice.disabled = true);
    let said = clock::until("the door to close", || {
        let said = laptop.ssh(&[&to, "true"]);
        (said.code != Some(0)).then_some(said)
    });
    assert!(said.stderr.contains("jit-ssh login"), "{said}");
}

#[test]
fn two_renewals_at_once_do_not_kill_the_refresh_token() {
    // The provider takes two uses of one refresh token for a theft, and ends the grant.
    let lab = Lab::builder()
        .issuer("identity_max_age = \"1s\"")
        .policy(&six_seconds());
    let scene = scene!(Scene::with(lab, &[WEB], |plan| plan));
    let laptop = scene.signed_in("alice");
    let to = format!("observer@{WEB}");
    let refreshes = || {
        let inner = scene.lab.idp.inner();
        let kinds = inner
            .token_requests
            .iter()
            .filter_map(|form| form.get("grant_type"));
        kinds.filter(|kind| *kind == "refresh_token").count()
    };
    for _ in 0..2 {
        for path in certificates(&laptop) {
            std::fs::remove_file(path).unwrap();
        }
        // An identity of one second is always about to be stale.
        let before = refreshes();
        std::thread::scope(|scope| {
            let shells: Vec<_> = (0..5)
                .map(|_| scope.spawn(|| laptop.ssh(&[&to, "true"])))
                .collect();
            for shell in shells {
                shell.join().unwrap().ok();
            }
        });
        assert!(refreshes() > before, "the shells needed no refresh");
    }
    assert_eq!(scene.lab.ca.records_of("login-opened").len(), 1);
}

#[test]
fn a_login_ends_when_it_must() {
    let lab = Lab::builder().sections("[login]\nmax = \"1m\"").start();
    let alice = lab.login("alice").answer;
    let now = clock::now();
    assert!(alice.login.ends <= now + 60);
    assert!(
        alice.valid_before <= alice.login.ends,
        "no certificate outlives its login"
    );
}

#[test]
fn an_issuers_shorter_limit_ends_a_login_in_real_seconds() {
    let lab = Lab::builder().issuer("max_login = \"2s\"").start();
    let wire = lab.wire();
    let alice = lab.login("alice");
    assert!(alice.answer.valid_before <= clock::now() + 2);
    clock::until("the login to end", || {
        (wire.ask(&alice.key, &json!({})).status != 200).then_some(())
    });
    wire.ask(&alice.key, &json!({})).refused(Kind::LoginEnded);
    wire.open_with(&alice.key, &alice.salt, &alice.id_token)
        .refused(Kind::LoginEnded);
}

#[test]
fn while_the_provider_is_away_logins_go_on_only_where_the_role_says_so() {
    let policy = POLICY.replacen(
        "max_validity = \"15m\"",
        "max_validity = \"15m\"\nissuer_outage_grace = \"1h\"",
        1,
    );
    let mut lab = Lab::builder()
        .policy(&policy)
        .issuer("identity_max_age = \"1s\"")
        .start();
    let wire = lab.wire();
    let alice = lab.login("alice");
    clock::until("the identity to be stale", || {
        (wire.ask(&alice.key, &json!({})).status != 200).then_some(())
    });
    // While the provider answers, a stale identity is stale, grace or not.
    wire.ask(&alice.key, &json!({ "role": "production-observer" }))
        .refused(Kind::IdentityStale);
    lab.idp.down();
    let granted = clock::until_within(Duration::from_secs(60), "the CA to see the outage", || {
        let answer = wire.ask(&alice.key, &json!({ "role": "production-observer" }));
        (answer.status == 200).then(|| answer.certificate())
    });
    assert_eq!(granted.role, "production-observer");
    let without = wire.ask(&alice.key, &json!({ "role": "jump" }));
    assert!([401, 503].contains(&without.status), "{without:?}");
    // It is recorded and loud.
    let record = lab.ca.records_of("certificate").pop().unwrap();
    assert!(
        serde_json::to_string(&record).unwrap().contains("outage"),
        "{record:?}"
    );
    lab.idp.up();
    clock::until_within(
        Duration::from_secs(60),
        "the CA to see the provider again",
        || {
            let answer = wire.ask(&alice.key, &json!({ "role": "production-observer" }));
            (answer.status == 401).then_some(())
        },
    );
}

#[test]
fn a_provider_that_refuses_is_no_outage() {
    let policy = POLICY.replacen(
        "max_validity = \"15m\"",
        "max_validity = \"15m\"\nissuer_outage_grace = \"1h\"",
        1,
    );
    let lab = Lab::builder()
        .policy(&policy)
        .issuer("identity_max_age = \"1s\"")
        .start();
    let wire = lab.wire();
    let alice = lab.login("alice");
    lab.idp
        .misbehave(|faults| faults.token_error = Some("invalid_grant".to_owned()));
    clock::until("the identity to be stale", || {
        (wire.ask(&alice.key, &json!({})).status != 200).then_some(())
    });
    wire.ask(&alice.key, &json!({ "role": "production-observer" }))
        .refused(Kind::IdentityStale);
}

#[test]
fn those_who_are_not_in_read_why_while_the_provider_is_down() {
    let mut scene = scene!(Scene::new(&[]));
    scene.lab.idp.down();
    let laptop = scene.laptop("alice");
    let said = scene.sign_in(&laptop, &[]).failed_with(5);
    let issuer = &scene.lab.idp.issuer;
    assert!(
        said.stderr.contains("Acme") || said.stderr.contains(issuer),
        "{said}"
    );
}

#[test]
fn a_provider_that_gives_the_same_token_again_gives_no_fresh_identity() {
    // A habit that was seen: the refreshed ID token is the first one, byte for byte.
    let lab = Lab::builder()
        .issuer("identity_max_age = \"1s\"")
        .policy(&six_seconds());
    let scene = scene!(Scene::with(lab, &[WEB], |plan| plan));
    let laptop = scene.signed_in("alice");
    scene
        .lab
        .idp
        .misbehave(|faults| faults.same_token_at_refresh = true);
    let to = format!("observer@{WEB}");
    let said = clock::until("the door to close", || {
        let said = laptop.ssh(&[&to, "true"]);
        (said.code != Some(0)).then_some(said)
    });
    assert!(!said.stderr.is_empty(), "{said}");
}

#[test]
fn the_habits_of_every_provider_are_met() {
    let cases = [
        (Habit::Generic, "", ""),
        (
            Habit::Okta,
            "preset = \"okta\"\ngroups_from_userinfo = true",
            "scopes = [\"openid\", \"email\", \"profile\", \"groups\", \"offline_access\"]",
        ),
        (
            Habit::Entra,
            "preset = \"entra\"",
            "scopes = [\"openid\", \"profile\", \"email\", \"offline_access\"]",
        ),
        (
            Habit::Keycloak,
            "preset = \"keycloak\"\ngroups_claim = \"realm_access.roles\"",
            "scopes = [\"openid\", \"email\"]",
        ),
        (
            Habit::Auth0,
            "groups_claim = \"https://acme.com/groups\"",
            "scopes = [\"openid\", \"email\", \"offline_access\"]",
        ),
    ];
    for (habit, issuer, client) in cases {
        let lab = Lab::builder().habit(habit).issuer(issuer).client(client);
        let scene = scene!(Scene::with(lab, &[WEB], |plan| plan));
        let laptop = scene.laptop("alice");
        let said = scene.sign_in(&laptop, &[]);
        assert_eq!(said.code, Some(0), "{habit:?}: {said}");
        laptop.jit(&["ssh-config"]).go().ok();
        laptop.ssh(&[&format!("observer@{WEB}"), "true"]).ok();
    }
}

#[test]
fn google_without_groups_lets_people_in_by_their_verified_address() {
    let policy = "
order = [\"production-observer\"]

[roles.production-observer]
accounts = [\"observer\"]
max_validity = \"15m\"

[[grants]]
users = [{ email = \"alice@example.com\" }]
roles = [\"production-observer\"]
";
    let lab = Lab::builder()
        .habit(Habit::Google)
        .policy(policy)
        .issuer("preset = \"google\"\nrequire = { hd = \"example.com\" }\ntrust_email = true")
        .client("secret = \"public-by-design\"\nscopes = [\"openid\", \"email\"]");
    let scene = scene!(Scene::with(lab, &[WEB], |plan| plan));
    let laptop = scene.signed_in("alice");
    laptop.ssh(&[&format!("observer@{WEB}"), "true"]).ok();
}
