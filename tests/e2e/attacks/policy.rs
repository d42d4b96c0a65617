//! A20–A28: from an identity to principals.

use jit_ssh_api::problem::Kind;
use jit_ssh_tests::ca::{self, Ca, POLICY};
use jit_ssh_tests::dir::Dir;
use jit_ssh_tests::idp::{Habit, Idp};
use jit_ssh_tests::lab::Lab;
use jit_ssh_tests::wire::{BindingSalt, Key, Wire};
use serde_json::{Value, json};

/// A policy that names people by their e-mail address.
const BY_EMAIL: &str = r#"
order = ["production-observer"]

[roles.production-observer]
description = "Read-only access to production"
accounts = ["observer"]
max_validity = "15m"
extensions = ["permit-pty"]

[[grants]]
users = [{ email = "alice@example.com" }]
roles = ["production-observer"]
"#;

fn ask(
    wire: &Wire,
    idp: &Idp,
    person: &str,
    change: impl FnOnce(jit_ssh_tests::idp::token::Token) -> jit_ssh_tests::idp::token::Token,
) -> jit_ssh_tests::http::Answer {
    let (key, salt) = (Key::new(), BindingSalt::new());
    let token = change(idp.token(person, &salt.nonce(&key)));
    wire.open_with(&key, &salt, &token.sign())
}

#[test]
fn a20_an_email_address_that_nobody_verified_names_nobody() {
    let lab = Lab::builder()
        .policy(BY_EMAIL)
        .issuer("trust_email = true")
        .start();
    let wire = lab.wire();
    for verified in [
        json!(false),
        json!("true"),
        json!(1),
        json!(null),
        json!([true]),
    ] {
        let answer = ask(&wire, &lab.idp, "alice", |token| {
            token.claim("email_verified", verified.clone())
        });
        assert!(
            [401, 403].contains(&answer.status),
            "{verified}: {answer:?}"
        );
    }
    ask(&wire, &lab.idp, "alice", |token| {
        token.without("email_verified")
    })
    .refused(Kind::Refused);
    ask(&wire, &lab.idp, "bob", |token| token).refused(Kind::Refused);
    ask(&wire, &lab.idp, "alice", |token| token).certificate();
}

#[test]
fn a20_an_email_address_counts_only_from_an_issuer_that_is_trusted_with_it() {
    let lab = Lab::builder()
        .policy(BY_EMAIL)
        .issuer("trust_email = false")
        .prepare();
    let mut lab = lab;
    // A policy that can never be met must not load, or must refuse: never believe the address.
    lab.ca.launch();
    let child = lab.ca.child();
    let serves = jit_ssh_tests::clock::until("the CA to serve or to refuse its policy", || {
        if !child.runs() {
            return Some(false);
        }
        child.log().contains("listening").then_some(true)
    });
    if serves {
        let answer = ask(&lab.wire(), &lab.idp, "alice", |token| token);
        answer.refused(Kind::Refused);
    }
}

#[test]
fn a20_the_same_address_at_another_issuer_is_another_person() {
    let policy = BY_EMAIL.replace("[[grants]]", "[[grants]]\nissuer = \"ISSUER\"");
    let dir = Dir::new();
    let (ours, theirs) = (Idp::start(Habit::Generic), Idp::start(Habit::Generic));
    let plan = ca::Plan {
        policy: policy.replace("ISSUER", &ours.issuer),
        issuer: "trust_email = true".to_owned(),
        ..ca::Plan::default()
    };
    let mut ca = Ca::init(&dir, plan, &ca::issuers(&[&ours, &theirs]));
    ca.serve();
    let wire = ca.wire();
    ask(&wire, &theirs, "alice", |token| token).refused(Kind::Refused);
    ask(&wire, &ours, "alice", |token| token).certificate();
}

#[test]
fn a20_the_same_subject_at_another_issuer_is_another_person() {
    let policy = BY_EMAIL.replace(
        "users = [{ email = \"alice@example.com\" }]",
        "issuer = \"ISSUER\"\nusers = [{ subject = \"sub-of-alice\" }]",
    );
    let dir = Dir::new();
    let (ours, theirs) = (Idp::start(Habit::Generic), Idp::start(Habit::Generic));
    let plan = ca::Plan {
        policy: policy.replace("ISSUER", &ours.issuer),
        ..ca::Plan::default()
    };
    let mut ca = Ca::init(&dir, plan, &ca::issuers(&[&ours, &theirs]));
    ca.serve();
    let wire = ca.wire();
    ask(&wire, &theirs, "alice", |token| token).refused(Kind::Refused);
    ask(&wire, &ours, "alice", |token| token).certificate();
}

#[test]
fn a22_a_username_of_another_issuer_opens_nobodys_account() {
    let dir = Dir::new();
    let (ours, theirs) = (Idp::start(Habit::Generic), Idp::start(Habit::Generic));
    let policy = format!(
        r#"
[roles.dev]
accounts = ["{{username}}"]
max_validity = "15m"
{}"#,
        [&ours, &theirs]
            .map(|idp| format!(
                "\n[[username]]\nissuer = \"{issuer}\"\nclaim = \"preferred_username\"\n\
             [[grants]]\nissuer = \"{issuer}\"\ngroups = [\"Ops\"]\nroles = [\"dev\"]\n",
                issuer = idp.issuer
            ))
            .concat()
    );
    let plan = ca::Plan {
        policy,
        ..ca::Plan::default()
    };
    let mut ca = Ca::init(&dir, plan, &ca::issuers(&[&ours, &theirs]));
    ca.serve();
    let wire = ca.wire();
    let first = ask(&wire, &ours, "alice", |token| token).certificate();
    assert_eq!(first.principals, ["role:dev+alice"]);
    // Another person altogether, whom the partner's provider calls alice.
    let problem = ask(&wire, &theirs, "alice", |token| token).refused(Kind::TokenRefused);
    let said = format!("{problem:?}");
    assert!(
        said.contains("alice") && said.contains("[username]"),
        "{said}"
    );
    // Under a name of her own she is as welcome as anybody, and the first one keeps hers.
    theirs.change("alice", |alice| {
        alice
            .claims
            .insert("preferred_username".into(), json!("alice2"));
    });
    let second = ask(&wire, &theirs, "alice", |token| token).certificate();
    assert_eq!(second.principals, ["role:dev+alice2"]);
    ask(&wire, &ours, "alice", |token| token).certificate();
}

#[test]
fn a21_an_email_address_that_is_nearly_right_names_nobody() {
    let lab = Lab::builder()
        .policy(BY_EMAIL)
        .issuer("trust_email = true")
        .start();
    let wire = lab.wire();
    for address in [
        "alice@example.com.evil.tld",
        "alice@evilexample.com",
        "alice@example.com@evil.tld",
        "\"alice@example.com\"@evil.tld",
        "alice@example.com.",
        " alice@example.com",
        "alice@example.com ",
        "alice@example.com\u{0}",
        "alice@example.com\n",
        "ALICE@example.com.",
        "\u{430}lice@example.com",
        "alice@xn--example.com",
        "alice+x@example.com",
        "<alice@example.com>",
    ] {
        let answer = ask(&wire, &lab.idp, "alice", |token| {
            token.claim("email", address)
        });
        assert!(
            [401, 403].contains(&answer.status),
            "{address:?}: {answer:?}"
        );
    }
    ask(&wire, &lab.idp, "alice", |token| token).certificate();
}

#[test]
fn a22_a_required_claim_keeps_another_tenant_out() {
    let lab = Lab::builder()
        .habit(Habit::Google)
        .policy(BY_EMAIL)
        .issuer("preset = \"google\"\nrequire = { hd = \"example.com\" }")
        .client("secret = \"public\"\nscopes = [\"openid\", \"email\"]")
        .start();
    let wire = lab.wire();
    for hd in [
        json!("example.org"),
        json!("EXAMPLE.com"),
        json!(["example.com"]),
        json!(""),
    ] {
        let answer = ask(&wire, &lab.idp, "alice", |token| {
            token.claim("hd", hd.clone())
        });
        answer.refused(Kind::TokenRefused);
    }
    ask(&wire, &lab.idp, "alice", |token| token.without("hd")).refused(Kind::TokenRefused);
    ask(&wire, &lab.idp, "alice", |token| token).certificate();
}

#[test]
fn a23_a_group_that_is_nearly_right_grants_nothing() {
    let lab = Lab::start();
    let wire = lab.wire();
    for group in [
        "ops",
        "OPS",
        "Op",
        "Opss",
        " Ops",
        "Ops ",
        "/Ops",
        "Ops/",
        "sandbox/Ops",
        "/sandbox/Ops",
        "Ops,Leads",
        "Ops\n",
        "Ops\u{0}",
        "O*",
        ".*",
        "Ops-readonly",
        "role:production-observer",
        "",
        "\u{41e}ps",
    ] {
        let answer = ask(&wire, &lab.idp, "alice", |token| {
            token.claim("groups", json!([group]))
        });
        assert!([401, 403].contains(&answer.status), "{group:?}: {answer:?}");
    }
    ask(&wire, &lab.idp, "alice", |token| token).certificate();
}

#[test]
fn a23_keycloak_paths_are_compared_whole() {
    let policy = POLICY.replace("groups = [\"Ops\"]", "groups = [\"/Ops\"]");
    let lab = Lab::builder()
        .habit(Habit::Keycloak)
        .policy(&policy)
        .start();
    let wire = lab.wire();
    for group in ["/sandbox/Ops", "/Ops-readonly", "/Ops/EU", "Ops", "/Ops/"] {
        let answer = ask(&wire, &lab.idp, "alice", |token| {
            token.claim("groups", json!([group]))
        });
        answer.refused(Kind::Refused);
    }
    ask(&wire, &lab.idp, "alice", |token| token).certificate();
}

#[test]
fn a24_a_policy_with_an_empty_matcher_does_not_load() {
    let dir = Dir::new();
    let check = |text: &str| {
        let path = dir.file("policy.toml", text);
        jit_ssh_tests::process::Run::new(jit_ssh_tests::process::program("jit-ssh-ca"))
            .args(["policy", "check"])
            .arg(path)
            .go()
    };
    check(POLICY).ok();
    let ops = "groups = [\"Ops\"]\nroles = [\"production-observer\", \"jump\"]";
    for matcher in [
        "groups = []",
        "groups = [\"\"]",
        "groups = [\" \"]",
        "users = []",
        "users = [{ email = \"\" }]",
        "users = [{ email = \"@example.com\" }]",
        "users = [{}]",
        "claims = {}",
        "claims = { department = \"\" }",
        "",
        "group = [\"Ops\"]",
        "everyone = true",
        "groups = \"Ops\"",
    ] {
        let spoiled = POLICY.replace(
            ops,
            &format!("{matcher}\nroles = [\"production-observer\"]"),
        );
        assert_ne!(spoiled, POLICY);
        let said = check(&spoiled).failed();
        assert!(!said.stderr.contains("panicked"), "{said}");
    }
    let spoiled = POLICY.replace(ops, "groups = [\"Ops\"]\nroles = []");
    check(&spoiled).failed();
}

#[test]
fn a24_a_misspelt_limit_is_no_limit_and_does_not_load() {
    let dir = Dir::new();
    for (from, to) in [
        ("max_validity = \"15m\"", "max_validty = \"15m\""),
        ("max_validity = \"15m\"", ""),
        ("max_validity = \"15m\"", "max_validity = \"0s\""),
        ("max_validity = \"15m\"", "max_validity = \"10000000h\""),
        ("max_validity = \"15m\"", "max_validity = \"-5m\""),
        ("max_validity = \"15m\"", "max_validity = 15"),
        (
            "extensions = [\"permit-pty\"]",
            "extensions = [\"permit-user-rc\"]",
        ),
        (
            "extensions = [\"permit-pty\"]",
            "extensions = [\"permit-everything\"]",
        ),
        ("extensions = [\"permit-pty\"]", "record = true"),
        ("extensions = [\"permit-pty\"]", "read_only = true"),
        ("extensions = [\"permit-pty\"]", "approval = { steps = [] }"),
        (
            "extensions = [\"permit-pty\"]",
            "hosts = { env = \"Production\" }",
        ),
        (
            "extensions = [\"permit-pty\"]",
            "reason = { required = true }",
        ),
        ("accounts = [\"observer\"]", "accounts = []"),
        ("accounts = [\"observer\"]", "accounts = [\"\"]"),
        ("accounts = [\"observer\"]", "accounts = [\"*\"]"),
        ("accounts = [\"observer\"]", "accounts = [\"ob server\"]"),
        (
            "accounts = [\"observer\"]",
            "accounts = [\"observer#root\"]",
        ),
        (
            "may_not = [\"production-admin\"]",
            "may_not = [\"production-observer\"]",
        ),
        (
            "roles = [\"production-admin\"]",
            "roles = [\"production-admn\"]",
        ),
    ] {
        let spoiled = POLICY.replacen(from, to, 1);
        assert_ne!(spoiled, POLICY, "{from}");
        let path = dir.file("policy.toml", &spoiled);
        let said = jit_ssh_tests::process::Run::new(jit_ssh_tests::process::program("jit-ssh-ca"))
            .args(["policy", "check"])
            .arg(path)
            .go();
        assert_ne!(said.code, Some(0), "{to:?} loads: {said}");
        assert!(!said.stderr.contains("panicked"), "{said}");
    }
}

#[test]
fn a25_groups_of_another_shape_are_refused_and_nothing_is_fetched() {
    let lab = Lab::start();
    let wire = lab.wire();
    let listener = Idp::start(Habit::Generic);
    let sources = json!({ "src1": { "endpoint": format!("{}/groups", listener.issuer) } });
    let spoiled: Vec<(&str, Value)> = vec![
        ("nested", json!([["Ops"]])),
        ("objects", json!([{ "name": "Ops" }])),
        ("an object", json!({ "Ops": true })),
        ("null", json!(null)),
        ("a number", json!(1)),
        ("mixed", json!(["Ops", 1])),
        ("joined by commas", json!("Engineering,Ops")),
        ("joined by spaces", json!("Engineering Ops")),
    ];
    for (what, groups) in spoiled {
        let answer = ask(&wire, &lab.idp, "alice", |token| {
            token.claim("groups", groups)
        });
        assert!([401, 403].contains(&answer.status), "{what}: {answer:?}");
    }
    for (name, value) in [
        ("hasgroups", json!(true)),
        ("_claim_names", json!({ "groups": "src1" })),
    ] {
        let answer = ask(&wire, &lab.idp, "alice", |token| {
            token
                .without("groups")
                .claim(name, value)
                .claim("_claim_sources", sources.clone())
        });
        let problem = answer.refused(Kind::TokenRefused);
        let said = format!("{} {}", problem.detail, problem.next).to_lowercase();
        assert!(
            said.contains("group"),
            "the refusal says what to do: {said}"
        );
    }
    assert!(
        listener.inner().hits.is_empty(),
        "the CA went where a token sent it"
    );
    // One string alone is one group.
    ask(&wire, &lab.idp, "alice", |token| {
        token.claim("groups", "Ops")
    })
    .certificate();
}

#[test]
fn a26_nothing_of_one_request_is_left_for_the_next() {
    let lab = Lab::start();
    let wire = lab.wire();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..25 {
                    let alice = ask(&wire, &lab.idp, "alice", |token| token).certificate();
                    assert_eq!(alice.login.groups, ["Ops"]);
                    ask(&wire, &lab.idp, "bob", |token| token).refused(Kind::Refused);
                    ask(&wire, &lab.idp, "alice", |token| token.without("groups"))
                        .refused(Kind::Refused);
                    let carol = ask(&wire, &lab.idp, "carol", |token| token).certificate();
                    assert_eq!(carol.login.groups, ["Engineering"]);
                    assert_eq!(carol.role, "engineering");
                }
            });
        }
    });
}

#[test]
fn a27_a_username_that_is_no_account_of_a_person_is_refused() {
    let lab = Lab::start();
    let wire = lab.wire();
    for name in [
        "root",
        "daemon",
        "sshd",
        "nobody",
        "-oProxyCommand=x",
        "../x",
        "a b",
        "a#b",
        "a,b",
        "a\nb",
        "a:b",
        "Alice",
        "alice ",
        " alice",
        "",
        "\u{430}lice",
        "alice@example.com",
        "1234",
        "$(id)",
        "%u",
        "observer\u{0}",
        "role:production-admin",
        ".",
        "..",
    ] {
        let answer = ask(&wire, &lab.idp, "carol", |token| {
            token.claim("preferred_username", name)
        });
        assert!([401, 403].contains(&answer.status), "{name:?}: {answer:?}");
    }
    let long = "a".repeat(300);
    for name in [json!(long), json!(["carol"]), json!(1), json!(null)] {
        let answer = ask(&wire, &lab.idp, "carol", |token| {
            token.claim("preferred_username", name.clone())
        });
        assert!([401, 403].contains(&answer.status), "{name}: {answer:?}");
    }
    let carol = ask(&wire, &lab.idp, "carol", |token| token).certificate();
    assert_eq!(carol.accounts, ["carol"]);
}

#[test]
fn a27_one_persons_role_does_not_open_a_colleagues_account() {
    let lab = Lab::start();
    let carol = lab.login("carol").answer;
    assert_eq!(carol.principals, ["role:engineering+carol"]);
}

#[test]
fn a28_a_request_can_only_narrow() {
    let lab = Lab::start();
    let wire = lab.wire();
    let alice = lab.login("alice");
    let shorter = wire
        .ask(&alice.key, &json!({ "validity": 60 }))
        .certificate();
    assert!(shorter.valid_before - jit_ssh_tests::clock::now() <= 60);
    for asked in [
        3600_u64,
        86_400 * 365,
        u64::from(u32::MAX),
        u64::MAX / 1000,
        u64::MAX,
    ] {
        let granted = wire
            .ask(&alice.key, &json!({ "validity": asked }))
            .certificate();
        assert!(
            granted.valid_before - granted.valid_after <= 15 * 60 + 2 * 60 + 1,
            "{asked}"
        );
    }
    let zero = wire.ask(&alice.key, &json!({ "validity": 0 }));
    assert!([400, 403].contains(&zero.status), "{zero:?}");
}
