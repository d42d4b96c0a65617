//! The parts themselves: a test that stands on a broken part proves nothing.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jit_ssh_tests::agent::Agent;
use jit_ssh_tests::dir::Dir;
use jit_ssh_tests::http;
use jit_ssh_tests::idp::key::{Curve, SigningKey};
use jit_ssh_tests::idp::{Habit, Idp};
use jit_ssh_tests::op::Op;
use jit_ssh_tests::{browser, keygen};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXkxx";

fn authorization(endpoint: &str, client: &str) -> String {
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    url::Url::parse_with_params(
        endpoint,
        [
            ("client_id", client),
            // Port 1: nobody listens there, as on a machine without a browser of its own.
            ("redirect_uri", "http://127.0.0.1:1/callback"),
            ("response_type", "code"),
            ("scope", "openid email profile groups offline_access"),
            ("prompt", "consent"),
            ("nonce", "the-nonce"),
            ("state", "the-state"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ],
    )
    .unwrap()
    .into()
}

/// Signs in and redeems the code; gives the claims of the ID token and the whole answer.
fn sign_in(issuer: &str, person: &str, endpoints: (&str, &str)) -> (Value, Value) {
    let shown = browser::paste(
        person,
        &authorization(&format!("{issuer}{}", endpoints.0), "jit-ssh"),
    );
    let shown = url::Url::parse(&shown).unwrap();
    let answer: BTreeMap<_, _> = shown.query_pairs().into_owned().collect();
    assert_eq!(answer["state"], "the-state");
    assert_eq!(answer["iss"], issuer);
    let tokens = token_request(
        &format!("{issuer}{}", endpoints.1),
        &[
            ("grant_type", "authorization_code"),
            ("code", &answer["code"]),
            ("redirect_uri", "http://127.0.0.1:1/callback"),
            ("code_verifier", VERIFIER),
        ],
    );
    (claims(&tokens), tokens)
}

fn token_request(endpoint: &str, fields: &[(&str, &str)]) -> Value {
    let url = url::Url::parse(endpoint).unwrap();
    let address = url.socket_addrs(|| None).unwrap()[0];
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .append_pair("client_id", "jit-ssh")
        .finish();
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    http::send(address, "POST", url.path(), &headers, body.as_bytes()).json()
}

fn claims(tokens: &Value) -> Value {
    let token = tokens["id_token"]
        .as_str()
        .unwrap_or_else(|| panic!("{tokens}"));
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[test]
fn the_provider_for_tests_signs_in_and_rotates_refresh_tokens() {
    let idp = Idp::start(Habit::Generic);
    let (claims_, tokens) = sign_in(&idp.issuer, "alice", ("/authorize", "/token"));
    assert_eq!(claims_["nonce"], "the-nonce");
    assert_eq!(claims_["groups"], serde_json::json!(["Ops"]));
    let old = tokens["refresh_token"].as_str().unwrap();
    let endpoint = format!("{}/token", idp.issuer);
    let refresh = |token: &str| {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token)];
        token_request(&endpoint, &fields)
    };
    idp.change("alice", |alice| alice.groups.clear());
    let again = refresh(old);
    assert_eq!(claims(&again)["groups"], serde_json::json!([]));
    assert_eq!(claims(&again).get("nonce"), None);
    assert_eq!(
        refresh(old)["error"],
        "invalid_grant",
        "used twice: the grant is dead"
    );
    let new = again["refresh_token"].as_str().unwrap();
    assert_eq!(refresh(new)["error"], "invalid_grant");
}

#[test]
fn the_provider_for_tests_goes_down_and_comes_back() {
    let mut idp = Idp::start(Habit::Generic);
    let look = |idp: &Idp| {
        http::send(
            idp.address,
            "GET",
            "/.well-known/openid-configuration",
            &[],
            b"",
        )
        .status
    };
    assert_eq!(look(&idp), 200);
    idp.down();
    idp.up();
    assert_eq!(look(&idp), 200);
}

#[test]
fn the_real_provider_signs_in_with_every_algorithm() {
    for (algorithm, name) in [("RS256", "RS256"), ("ES256", "ES256"), ("EdDSA", "EdDSA")] {
        let dir = Dir::new();
        let Some(op) = Op::start(&dir, algorithm, "http://127.0.0.1:1/sign-in") else {
            jit_ssh_tests::skip!("node is not installed");
        };
        let (alice, tokens) = sign_in(&op.issuer, "alice", ("/auth", "/token"));
        assert_eq!(alice["groups"], serde_json::json!(["Ops"]));
        assert_eq!(alice["nonce"], "the-nonce");
        assert!(tokens["refresh_token"].is_string());
        let header = tokens["id_token"]
            .as_str()
            .unwrap()
            .split('.')
            .next()
            .unwrap();
        let header: Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
        assert_eq!(header["alg"], name);
        let (bob, _) = sign_in(&op.issuer, "bob", ("/auth", "/token"));
        assert_eq!(bob["groups"], serde_json::json!([]));
    }
}

#[test]
fn tokens_of_every_key_verify_by_their_own_jwk() {
    use aws_lc_rs::signature::{self, UnparsedPublicKey};
    let decode = |value: &Value| URL_SAFE_NO_PAD.decode(value.as_str().unwrap()).unwrap();
    for key in [
        SigningKey::rsa("r"),
        SigningKey::ec("e", Curve::P256),
        SigningKey::ec("e", Curve::P384),
        SigningKey::ec("e", Curve::P521),
        SigningKey::ed("d"),
    ] {
        let signature = key.sign(key.algorithm(), b"message");
        let jwk = key.jwk();
        if key.algorithm() == "RS256" {
            let public = signature::RsaPublicKeyComponents {
                n: decode(&jwk["n"]),
                e: decode(&jwk["e"]),
            };
            public
                .verify(
                    &signature::RSA_PKCS1_2048_8192_SHA256,
                    b"message",
                    &signature,
                )
                .unwrap();
            continue;
        }
        let (algorithm, public): (&dyn signature::VerificationAlgorithm, Vec<u8>) =
            match key.algorithm() {
                "EdDSA" => (&signature::ED25519, decode(&jwk["x"])),
                name => {
                    let point = [vec![4], decode(&jwk["x"]), decode(&jwk["y"])].concat();
                    match name {
                        "ES256" => (&signature::ECDSA_P256_SHA256_FIXED, point),
                        "ES384" => (&signature::ECDSA_P384_SHA384_FIXED, point),
                        _ => (&signature::ECDSA_P521_SHA512_FIXED, point),
                    }
                }
            };
        UnparsedPublicKey::new(algorithm, public)
            .verify(b"message", &signature)
            .unwrap_or_else(|_| panic!("{}", key.algorithm()));
    }
}

#[test]
fn the_agent_holds_keys_for_a_lifetime() {
    let dir = Dir::new();
    let agent = Agent::start(&dir);
    keygen::generate(&dir.join("key"), &["-t", "ed25519"]);
    assert!(agent.keys().is_empty());
    agent.add(&["-t", "600", dir.join("key").to_str().unwrap()]);
    assert_eq!(agent.keys().len(), 1);
}

#[test]
fn a_test_that_cannot_run_does_not_pass_unseen() {
    use std::ffi::OsStr;
    use std::panic::catch_unwind;

    use jit_ssh_tests::skip::skipped;

    for may in [None, Some(OsStr::new("")), Some(OsStr::new("0"))] {
        catch_unwind(|| skipped(&"no moon", may, None)).unwrap_err();
    }
    let dir = Dir::new();
    let list = dir.join("skipped");
    for why in ["no moon", "no sun"] {
        skipped(&why, Some(OsStr::new("1")), Some(&list));
    }
    let listed = std::fs::read_to_string(list).unwrap();
    assert_eq!(listed.lines().count(), 2, "{listed}");
    for line in listed.lines() {
        assert!(line.contains("a_test_that_cannot_run_does"), "{line}");
    }
}
