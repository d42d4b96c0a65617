//! A1–A11: what the verifier of ID tokens must refuse.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jit_ssh_api::problem::Kind;
use jit_ssh_tests::expect::all_refused;
use jit_ssh_tests::idp::evil;
use jit_ssh_tests::idp::key::{Curve, SigningKey};
use jit_ssh_tests::idp::token::{Token, with_signature};
use jit_ssh_tests::idp::{Habit, Idp, OTHER_CLIENT, PASTE_CLIENT};
use jit_ssh_tests::lab::Lab;
use jit_ssh_tests::wire::{BindingSalt, Key, Wire};
use jit_ssh_tests::{clock, http};
use serde_json::{Value, json};

/// A lab, a key, and a genuine token for it that was not used yet.
struct Attempt {
    lab: Lab,
    wire: Wire,
    key: Key,
    salt: BindingSalt,
    genuine: Token,
}

impl Attempt {
    fn new() -> Self {
        Attempt::on(Lab::start())
    }

    fn on(lab: Lab) -> Self {
        let wire = lab.wire();
        let (key, salt) = (Key::new(), BindingSalt::new());
        let genuine = lab.idp.token("alice", &salt.nonce(&key));
        Attempt {
            lab,
            wire,
            key,
            salt,
            genuine,
        }
    }

    /// All of these are refused as tokens, and the genuine one is accepted after that.
    #[track_caller]
    fn refused(&self, attempts: impl IntoIterator<Item = (String, String)>) {
        self.refused_as(Kind::TokenRefused, attempts);
    }

    #[track_caller]
    fn refused_as(&self, kind: Kind, attempts: impl IntoIterator<Item = (String, String)>) {
        all_refused(kind, attempts, |token| self.open(token));
        self.control();
    }

    fn open(&self, token: &str) -> http::Answer {
        self.wire.open_with(&self.key, &self.salt, token)
    }

    #[track_caller]
    fn control(&self) {
        self.open(&self.genuine.sign()).certificate();
    }
}

fn named(what: &str, token: String) -> (String, String) {
    (what.to_owned(), token)
}

#[test]
fn a01_unsigned_tokens_are_refused() {
    let attempt = Attempt::new();
    attempt.refused(evil::unsigned(&attempt.genuine));
}

#[test]
fn a01_hmac_keyed_with_the_public_key_or_the_client_secret_is_refused() {
    // With a client secret openidconnect would switch HS256 on: ours must stay off.
    let lab = Lab::builder()
        .client("secret = \"canary-client-secret\"\nscopes = [\"openid\"]")
        .start();
    let attempt = Attempt::on(lab);
    attempt.refused(evil::symmetric(
        &attempt.genuine,
        &attempt.lab.idp.key(),
        "canary-client-secret",
    ));
}

#[test]
fn a01_degenerate_signatures_are_refused() {
    for key in [
        SigningKey::rsa("rsa-1"),
        SigningKey::ec("ec-1", Curve::P256),
        SigningKey::ed("ed-1"),
    ] {
        let lab = Lab::builder().prepare();
        lab.idp.rotate(vec![key]);
        let mut lab = lab;
        lab.ca.serve();
        let attempt = Attempt::on(lab);
        attempt.refused(evil::degenerate(&attempt.genuine));
    }
}

#[test]
fn a01_an_algorithm_that_does_not_fit_the_key_is_refused() {
    let mut lab = Lab::builder().prepare();
    let (rsa, ec) = (
        SigningKey::rsa("rsa-1"),
        SigningKey::ec("ec-1", Curve::P256),
    );
    lab.idp.rotate(vec![rsa, ec.clone()]);
    lab.ca.serve();
    let attempt = Attempt::on(lab);
    let say = |algorithm: &str| {
        named(
            algorithm,
            attempt
                .genuine
                .clone()
                .header("alg", algorithm)
                .by(&ec)
                .sign(),
        )
    };
    let forged = [
        "RS256", "RS512", "PS256", "ES256", "ES384", "EdDSA", "Ed25519",
    ]
    .map(say);
    // `kid` still names the RSA key: neither its type nor its bytes fit.
    attempt.refused(forged);
}

#[test]
fn a01_an_algorithm_outside_of_the_issuers_list_is_refused() {
    let lab = Lab::builder().issuer("algorithms = [\"ES256\"]").prepare();
    let mut lab = lab;
    let (rsa, ec) = (
        SigningKey::rsa("rsa-1"),
        SigningKey::ec("ec-1", Curve::P256),
    );
    lab.idp.rotate(vec![ec, rsa.clone()]);
    lab.ca.serve();
    let attempt = Attempt::on(lab);
    let other = Token::new(&rsa, attempt.genuine.claims.clone());
    attempt.refused([named("RS256", other.sign())]);
}

#[test]
fn a02_anything_but_one_compact_signature_is_refused() {
    let attempt = Attempt::new();
    let token = attempt.genuine.sign();
    let parts: Vec<&str> = token.split('.').collect();
    let (header, claims, signature) = (parts[0], parts[1], parts[2]);
    let flattened =
        json!({ "protected": header, "payload": claims, "signature": signature }).to_string();
    let general = json!({
        "payload": claims,
        "signatures": [
            { "protected": header, "signature": signature },
            { "protected": header, "signature": signature },
        ],
    })
    .to_string();
    // The last character of a base64url text of 256 bytes carries two bits that are not used.
    let last = signature.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let place = alphabet.find(last).unwrap();
    let tail = alphabet.as_bytes()[place ^ 1] as char;
    let other_tail = format!("{}{tail}", &token[..token.len() - 1]);
    attempt.refused([
        named("JSON, flattened", flattened),
        named("JSON, general, two signatures", general),
        named("four segments", format!("{token}.{signature}")),
        named(
            "five segments, as a JWE",
            format!("{token}.{signature}.{signature}"),
        ),
        named("two segments", format!("{header}.{claims}")),
        named("one segment", claims.to_owned()),
        named("nothing", String::new()),
        named("no header", format!(".{claims}.{signature}")),
        named("no claims", format!("{header}..{signature}")),
        named("line feed at the end", format!("{token}\n")),
        named("space in front", format!(" {token}")),
        named("padding", format!("{token}=")),
        named("bits left over", other_tail),
        named(
            "line feed inside",
            format!("{header}.{claims}\n.{signature}"),
        ),
        named("standard alphabet", token.replace(['-', '_'], "+")),
        named("a dot at the end", format!("{token}.")),
    ]);
}

#[test]
fn a02_members_that_stand_there_twice_are_refused() {
    let attempt = Attempt::new();
    let claims = serde_json::to_string(&attempt.genuine.claims).unwrap();
    let open = &claims[..claims.len() - 1];
    let twice = |member: &str| {
        let text = format!("{open},{member}}}");
        (member.to_owned(), attempt.genuine.sign_text(&text))
    };
    let header = serde_json::to_string(&attempt.genuine.header).unwrap();
    let header_twice = |member: &str| {
        let text = format!("{},{member}}}", &header[..header.len() - 1]);
        (member.to_owned(), attempt.genuine.sign_header_text(&text))
    };
    attempt.refused([
        twice(r#""sub":"root""#),
        twice(r#""groups":["Leads"]"#),
        twice(r#""\u0073ub":"root""#),
        twice(r#""aud":"company-wiki""#),
        header_twice(r#""alg":"none""#),
        header_twice(r#""kid":"rsa-1""#),
        named("claims are a list", attempt.genuine.sign_text("[]")),
        named("claims are text", attempt.genuine.sign_text("\"sub\"")),
        named("claims are not JSON", attempt.genuine.sign_text("{")),
        named("claims are not UTF-8", {
            let input = format!(
                "{}.{}",
                URL_SAFE_NO_PAD.encode(&header),
                URL_SAFE_NO_PAD.encode([0xff, 0xfe])
            );
            let signature = attempt.lab.idp.key().sign("RS256", input.as_bytes());
            with_signature(&input, &signature)
        }),
    ]);
}

#[test]
fn a03_a_header_that_brings_its_own_key_is_refused_and_fetches_nothing() {
    let attempt = Attempt::new();
    let listener = Idp::start(Habit::Generic);
    let thief = SigningKey::another_rsa("thief");
    let forged = evil::header_as_instruction(&attempt.genuine, &thief, &listener.issuer);
    attempt.refused(forged);
    assert!(
        listener.inner().hits.is_empty(),
        "the CA went where a token sent it: {:?}",
        listener.inner().hits
    );
}

#[test]
fn a03_extensions_of_the_header_are_refused() {
    let attempt = Attempt::new();
    attempt.refused(evil::odd_headers(&attempt.genuine));
}

#[test]
fn a03_two_keys_that_fit_are_one_too_many() {
    let mut lab = Lab::builder().prepare();
    let (one, two) = (SigningKey::rsa("same"), SigningKey::another_rsa("same"));
    lab.idp.rotate(vec![one, two]);
    lab.ca.serve();
    let attempt = Attempt::on(lab);
    let ambiguous = [
        named("a kid that two keys have", attempt.genuine.sign()),
        named(
            "no kid, two RSA keys",
            attempt.genuine.clone().without_header("kid").sign(),
        ),
    ];
    all_refused(Kind::TokenRefused, ambiguous, |token| attempt.open(token));
}

#[test]
fn a03_an_encryption_key_verifies_nothing() {
    // Keycloak's habit: the same key material published as `use: enc` under another kid.
    let attempt = Attempt::on(
        Lab::builder()
            .habit(Habit::Keycloak)
            .issuer("groups_claim = \"realm_access.roles\"")
            .start(),
    );
    attempt.refused([named(
        "kid of the enc key",
        attempt.genuine.clone().header("kid", "enc-1").sign(),
    )]);
}

#[test]
fn a04_a_claim_of_the_wrong_type_does_not_count_as_absent() {
    let attempt = Attempt::new();
    let now = clock::now();
    let mut forged = Vec::new();
    let odd = [
        json!("never"),
        json!([]),
        json!({}),
        json!(null),
        json!(true),
        json!(-1),
        json!(u64::MAX),
        json!(1e300),
        json!([now]),
    ];
    for claim in ["exp", "iat", "nbf"] {
        for value in &odd {
            let spoiled = attempt.genuine.clone().claim(claim, value.clone());
            if claim == "nbf" && (value == &json!(-1)) {
                continue; // before 1970 and so long over: harmless, either answer will do
            }
            forged.push((format!("{claim} = {value}"), spoiled.sign()));
        }
        // What serde_json would not write.
        let text = serde_json::to_string(&attempt.genuine.clone().without(claim).claims).unwrap();
        let huge = format!("{},\"{claim}\":1e400}}", &text[..text.len() - 1]);
        forged.push((format!("{claim} = 1e400"), attempt.genuine.sign_text(&huge)));
    }
    for claim in ["iss", "sub", "aud", "nonce"] {
        for value in [
            json!(1),
            json!([]),
            json!({}),
            json!(null),
            json!(true),
            json!(""),
        ] {
            let spoiled = attempt.genuine.clone().claim(claim, value.clone());
            forged.push((format!("{claim} = {value}"), spoiled.sign()));
        }
    }
    for claim in ["exp", "iat", "iss", "sub", "aud"] {
        forged.push((
            format!("no {claim}"),
            attempt.genuine.clone().without(claim).sign(),
        ));
    }
    attempt.refused(forged);
}

#[test]
fn a05_a_token_for_another_application_is_refused() {
    let attempt = Attempt::new();
    let with = |value: Value| {
        (
            value.to_string(),
            attempt.genuine.clone().claim("aud", value).sign(),
        )
    };
    attempt.refused([
        with(json!(OTHER_CLIENT)),
        with(json!([OTHER_CLIENT])),
        with(json!(["jit-ssh", OTHER_CLIENT])),
        with(json!([OTHER_CLIENT, "jit-ssh"])),
        with(json!(["jit-ssh", PASTE_CLIENT])),
        with(json!(["jit-ssh", "jit-ssh"])),
        with(json!("jit-ssh ")),
        with(json!("JIT-SSH")),
        with(json!("jit-ssh,company-wiki")),
        with(json!(["jit-ssh", 1])),
        with(json!([["jit-ssh"]])),
    ]);
    // A list of our client alone is ours.
    let (key, salt) = (Key::new(), BindingSalt::new());
    let list = attempt
        .lab
        .idp
        .token("alice", &salt.nonce(&key))
        .claim("aud", json!(["jit-ssh"]));
    attempt
        .wire
        .open_with(&key, &salt, &list.sign())
        .certificate();
}

#[test]
fn a06_a_token_that_another_client_asked_for_is_refused() {
    let attempt = Attempt::new();
    let with = |value: Value| {
        (
            value.to_string(),
            attempt.genuine.clone().claim("azp", value).sign(),
        )
    };
    attempt.refused([
        with(json!(OTHER_CLIENT)),
        with(json!(PASTE_CLIENT)),
        with(json!("")),
        with(json!(null)),
        with(json!(["jit-ssh"])),
    ]);
    let (key, salt) = (Key::new(), BindingSalt::new());
    let ours = attempt
        .lab
        .idp
        .token("alice", &salt.nonce(&key))
        .claim("azp", "jit-ssh");
    attempt
        .wire
        .open_with(&key, &salt, &ours.sign())
        .certificate();
}

#[test]
fn a07_a_token_from_this_morning_is_refused_although_it_has_not_expired() {
    let attempt = Attempt::new();
    let now = clock::now();
    let day = attempt.genuine.clone().claim("exp", now + 86_400);
    let aged = |seconds: u64| {
        (
            format!("{seconds} s old"),
            day.clone().claim("iat", now - seconds).sign(),
        )
    };
    attempt.refused([
        aged(700),
        aged(4 * 3600),
        aged(30 * 86_400),
        named(
            "from the future",
            day.clone().claim("iat", now + 3600).sign(),
        ),
        named(
            "expired",
            attempt.genuine.clone().claim("exp", now - 120).sign(),
        ),
        named(
            "not yet valid",
            attempt.genuine.clone().claim("nbf", now + 600).sign(),
        ),
        named(
            "expires before it begins",
            day.clone().claim("exp", now - 3600).sign(),
        ),
    ]);
}

#[test]
fn a08_other_kinds_of_tokens_are_refused() {
    let attempt = Attempt::new();
    let with = |name: &str, value: Value| {
        (
            format!("{name} = {value}"),
            attempt.genuine.clone().claim(name, value).sign(),
        )
    };
    attempt.refused([
        with("typ", json!("Bearer")),
        with("typ", json!("Refresh")),
        with("typ", json!("Logout")),
        with("typ", json!("Offline")),
        with(
            "events",
            json!({ "http://schemas.openid.net/event/backchannel-logout": {} }),
        ),
        named(
            "an access token",
            attempt.genuine.clone().header("typ", "at+jwt").sign(),
        ),
        named("a JWE", {
            let header = URL_SAFE_NO_PAD.encode(
                r#"{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483647,"p2s":"AAAA"}"#,
            );
            format!("{header}.AAAA.AAAA.AAAA.AAAA")
        }),
    ]);
}

#[test]
fn a08_a_token_of_megabytes_is_refused_at_once() {
    let attempt = Attempt::new();
    let dots = ".".repeat(10 << 20);
    let started = Instant::now();
    let answer = attempt.open(&dots);
    assert!(matches!(answer.status, 400 | 401 | 413), "{}", answer.head);
    let long = attempt
        .genuine
        .clone()
        .claim("padding", "x".repeat(17 * 1024))
        .sign();
    attempt.open(&long).refused(Kind::TokenRefused);
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
    attempt.control();
}

#[test]
fn a08_a_token_of_two_hundred_groups_is_accepted() {
    let attempt = Attempt::new();
    let groups: Vec<String> = (0..200)
        .map(|n| format!("6f9619ff-8b86-d011-b42d-00cf4fc9{n:04}"))
        .chain(["Ops".to_owned()])
        .collect();
    attempt
        .open(&attempt.genuine.clone().claim("groups", groups).sign())
        .certificate();
}

#[test]
fn a09_an_issuer_that_is_nearly_ours_is_refused() {
    let attempt = Attempt::new();
    let ours = attempt.lab.idp.issuer.clone();
    let evil = Idp::start(Habit::Generic);
    let with = |issuer: String| {
        let forged = attempt.genuine.clone().claim("iss", issuer.clone());
        (issuer, forged.sign())
    };
    let mut forged = vec![
        with(format!("{ours}/")),
        with(format!("{ours}.evil.example")),
        with(ours.replace("http://", "https://")),
        with(ours.replace("http://", "HTTP://")),
        with(format!("{ours}#")),
        with(format!("{ours}?")),
        with(ours.replace("127.0.0.1", "localhost")),
        with(ours.trim_start_matches("http://").to_owned()),
    ];
    // A second tenant that shares the keys: the signature is good, the issuer is not ours.
    evil.rotate(vec![attempt.lab.idp.key()]);
    forged.push(named(
        "another tenant with the same keys",
        evil.token("alice", &attempt.salt.nonce(&attempt.key))
            .sign(),
    ));
    attempt.refused(forged);
    assert!(
        evil.inner().hits.is_empty(),
        "nothing is fetched for an issuer that is not ours"
    );
}

#[test]
fn a10_keys_and_discovery_behind_a_redirect_are_not_taken() {
    for spoil in [0, 1] {
        let mut lab = Lab::builder().prepare();
        let elsewhere = Idp::start(Habit::Generic);
        elsewhere.rotate(vec![lab.idp.key()]);
        lab.idp.misbehave(|faults| {
            let to = |path: &str| Some(format!("{}{path}", elsewhere.issuer));
            if spoil == 0 {
                faults.redirect_discovery = to("/.well-known/openid-configuration");
            } else {
                faults.redirect_keys = to("/keys");
            }
        });
        lab.ca.serve();
        let attempt = Attempt::on(lab);
        let answer = attempt.open(&attempt.genuine.sign());
        answer.refused(Kind::IssuerUnavailable);
        assert!(
            elsewhere.inner().hits.is_empty(),
            "the CA followed a redirect"
        );
    }
}

#[test]
fn a10_a_discovery_document_of_another_issuer_is_not_taken() {
    let mut lab = Lab::builder().prepare();
    lab.idp
        .misbehave(|faults| faults.other_issuer = Some("https://evil.example".to_owned()));
    lab.ca.serve();
    let attempt = Attempt::on(lab);
    attempt
        .open(&attempt.genuine.sign())
        .refused(Kind::IssuerUnavailable);
}

#[test]
fn a10_documents_without_end_are_not_read() {
    for keys_only in [false, true] {
        let mut lab = Lab::builder().prepare();
        lab.idp
            .misbehave(|faults| faults.huge = Some(if keys_only { 5 << 20 } else { 50 << 20 }));
        lab.ca.serve();
        let attempt = Attempt::on(lab);
        attempt
            .open(&attempt.genuine.sign())
            .refused(Kind::IssuerUnavailable);
        let memory = resident_kib(attempt.lab.ca.pid());
        assert!(memory < 200 * 1024, "{memory} KiB");
    }
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a10_documents_that_are_none_are_refused_and_the_ca_lives() {
    for text in [
        "",
        "null",
        "[]",
        "{}",
        "{\"keys\":[null]}",
        "<html>",
        "{\"keys\":[{\"kty\":\"RSA\"}]}",
    ] {
        for keys in [false, true] {
            let mut lab = Lab::builder().prepare();
            lab.idp.misbehave(|faults| {
                let place = if keys {
                    &mut faults.keys
                } else {
                    &mut faults.discovery
                };
                *place = Some(text.to_owned());
            });
            lab.ca.serve();
            let mut attempt = Attempt::on(lab);
            let answer = attempt.open(&attempt.genuine.sign());
            assert!(
                [401, 503].contains(&answer.status),
                "{text:?} as {}: {answer:?}",
                if keys { "JWKS" } else { "discovery" }
            );
            assert!(attempt.lab.ca.child().runs());
        }
    }
}

#[test]
fn a11_a_flood_of_unknown_kids_asks_the_provider_twice_at_most() {
    let attempt = Attempt::new();
    attempt.control();
    let before = attempt.lab.idp.hits("/keys");
    let thief = SigningKey::another_rsa("thief");
    let forged: Vec<String> = (0..60)
        .map(|n| {
            attempt
                .genuine
                .clone()
                .by(&thief)
                .header("kid", format!("random-{n}"))
                .sign()
        })
        .collect();
    std::thread::scope(|scope| {
        for part in forged.chunks(15) {
            let attempt = &attempt;
            scope.spawn(move || {
                for token in part {
                    assert!([401, 429, 503].contains(&attempt.open(token).status));
                }
            });
        }
    });
    let fetched = attempt.lab.idp.hits("/keys") - before;
    assert!(fetched <= 2, "{fetched} fetches");
    let (key, salt) = (Key::new(), BindingSalt::new());
    let honest = attempt.lab.idp.token("alice", &salt.nonce(&key)).sign();
    attempt.wire.open_with(&key, &salt, &honest).certificate();
}

#[test]
fn a11_a_new_key_is_found_without_a_restart() {
    let attempt = Attempt::new();
    attempt.control();
    attempt
        .lab
        .idp
        .rotate(vec![SigningKey::another_rsa("rsa-2")]);
    let (key, salt) = (Key::new(), BindingSalt::new());
    let token = attempt.lab.idp.token("alice", &salt.nonce(&key)).sign();
    attempt.wire.open_with(&key, &salt, &token).certificate();
    // The keys were read afresh: the old one is in them no more, and verifies nothing.
    let old = Token::new(&SigningKey::rsa("rsa-1"), attempt.genuine.claims.clone());
    let (key, salt) = (Key::new(), BindingSalt::new());
    let old = old.claim("nonce", salt.nonce(&key)).sign();
    attempt
        .wire
        .open_with(&key, &salt, &old)
        .refused(Kind::TokenRefused);
}
