//! The provider that lies: tokens of a thief who has the provider's public keys and no private one,
//! or one genuine token and another key.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::key::SigningKey;
use super::token::{Token, with_signature};

/// `alg: none` in all its spellings, with and without a signature behind the second dot.
pub fn unsigned(token: &Token) -> Vec<(String, String)> {
    let mut forgeries = Vec::new();
    for name in ["none", "None", "nOnE", "NONE", ""] {
        let input = token.clone().header("alg", name).signing_input();
        forgeries.push((
            format!("alg {name:?}, empty signature"),
            format!("{input}."),
        ));
        forgeries.push((format!("alg {name:?}, one byte"), format!("{input}.AA")));
    }
    let input = token.clone().without_header("alg").signing_input();
    forgeries.push(("no alg".to_owned(), format!("{input}.AA")));
    let input = token.clone().header("alg", Value::Null).signing_input();
    forgeries.push(("alg null".to_owned(), format!("{input}.AA")));
    forgeries
}

/// HS256, HS384 and HS512 keyed with what a confused verifier would take: the public key in every
/// encoding, or a client secret.
pub fn symmetric(token: &Token, key: &SigningKey, secret: &str) -> Vec<(String, String)> {
    let der = key.spki();
    let pem = {
        let text = STANDARD.encode(&der);
        let lines: Vec<&str> = text
            .as_bytes()
            .chunks(64)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            lines.join("\n")
        )
    };
    let jwk = key.jwk().to_string();
    let modulus = key.jwk()["n"]
        .as_str()
        .map(|n| URL_SAFE_NO_PAD.decode(n).unwrap())
        .unwrap_or_default();
    let keys: [(&str, &[u8]); 6] = [
        ("the PEM", pem.as_bytes()),
        (
            "the PEM without its last line feed",
            pem.trim_end().as_bytes(),
        ),
        ("the DER", &der),
        ("the JWK", jwk.as_bytes()),
        ("the modulus", &modulus),
        ("the client secret", secret.as_bytes()),
    ];
    let algorithms = [
        ("HS256", hmac::HMAC_SHA256),
        ("HS384", hmac::HMAC_SHA384),
        ("HS512", hmac::HMAC_SHA512),
    ];
    let mut forgeries = Vec::new();
    for (what, key) in keys {
        for (name, algorithm) in algorithms {
            let input = token.clone().header("alg", name).signing_input();
            let tag = hmac::sign(&hmac::Key::new(algorithm, key), input.as_bytes());
            forgeries.push((
                format!("{name} keyed with {what}"),
                with_signature(&input, tag.as_ref()),
            ));
        }
    }
    forgeries
}

/// Signatures that lax libraries accepted: zeros, the group's order, DER, empty, cut, doubled.
pub fn degenerate(token: &Token) -> Vec<(String, String)> {
    let genuine = token.sign();
    let (input, signature) = genuine.rsplit_once('.').unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let zeros = vec![0; bytes.len()];
    let mut one = zeros.clone();
    if let Some(last) = one.last_mut() {
        *last = 1;
    }
    let ones = vec![0xff; bytes.len()];
    // n of P-256, twice: r = s = n, which is 0 in the field of scalars.
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63,
        0x25, 0x51,
    ];
    let order = [ORDER, ORDER].concat();
    let cut = bytes[..bytes.len() / 2].to_vec();
    let long = [bytes.clone(), vec![0]].concat();
    let twice = [bytes.clone(), bytes.clone()].concat();
    [
        ("all zeros", zeros),
        ("one", one),
        ("all ones", ones),
        ("the order of P-256 twice", order),
        ("half", cut),
        ("one byte more", long),
        ("twice", twice),
        ("DER of r = s = 1", vec![0x30, 6, 2, 1, 1, 2, 1, 1]),
        ("nothing", Vec::new()),
    ]
    .into_iter()
    .map(|(what, bytes)| (what.to_owned(), with_signature(input, &bytes)))
    .collect()
}

/// Headers that tell the verifier where to find the attacker's key.
pub fn header_as_instruction(
    token: &Token,
    own: &SigningKey,
    listener: &str,
) -> Vec<(String, String)> {
    let mut key = own.jwk();
    let forged = token.clone().by(own);
    let with = |name: &str, value: Value| forged.clone().header(name, value).sign();
    let mut forgeries = vec![
        ("jwk".to_owned(), with("jwk", key.clone())),
        (
            "jku".to_owned(),
            with("jku", json!(format!("{listener}/evil-jwks"))),
        ),
        (
            "x5u".to_owned(),
            with("x5u", json!(format!("{listener}/evil-cert"))),
        ),
        (
            "x5c".to_owned(),
            with("x5c", json!([STANDARD.encode(own.spki())])),
        ),
        ("own kid".to_owned(), with("kid", json!(own.kid))),
        (
            "kid is a path".to_owned(),
            with("kid", json!("../../../../dev/null")),
        ),
        ("kid is SQL".to_owned(), with("kid", json!("' OR 1=1 --"))),
        ("kid is a number".to_owned(), with("kid", json!(1))),
        ("kid is empty".to_owned(), with("kid", json!(""))),
    ];
    key["kid"] = token.header.get("kid").cloned().unwrap_or_default();
    forgeries.push(("jwk with the real kid".to_owned(), with("jwk", key)));
    forgeries
}

/// Genuine signatures, but headers that nobody may wave through: extensions, other kinds of
/// tokens.
pub fn odd_headers(token: &Token) -> Vec<(String, String)> {
    let with = |name: &str, value: Value| token.clone().header(name, value).sign();
    vec![
        ("crit b64".to_owned(), with("crit", json!(["b64"]))),
        ("crit exp".to_owned(), with("crit", json!(["exp"]))),
        ("crit empty".to_owned(), with("crit", json!([]))),
        ("b64 false".to_owned(), with("b64", json!(false))),
        ("zip".to_owned(), with("zip", json!("DEF"))),
        ("enc".to_owned(), with("enc", json!("A256GCM"))),
        ("an access token".to_owned(), with("typ", json!("at+jwt"))),
        (
            "a full access token".to_owned(),
            with("typ", json!("application/at+jwt")),
        ),
        (
            "a logout token".to_owned(),
            with("typ", json!("logout+jwt")),
        ),
        (
            "a security event".to_owned(),
            with("typ", json!("secevent+jwt")),
        ),
    ]
}
