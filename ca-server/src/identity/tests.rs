//! Attempts on the whole verification. The keys are made here; `fetched` has an issuer on loopback.
#![expect(
    clippy::needless_pass_by_value,
    reason = "`json!({…})` reads best as an argument"
)]

use std::sync::LazyLock;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jit_ssh_api::discovery::Flow;
use serde_json::json;

use super::*;

mod fetched;

const ISSUER: &str = "https://idp.example.com";
const CLIENT: &str = "jit-ssh";
const KEY: &[u8] = b"the login key's blob";
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn salt() -> Salt {
    Salt::new([7; 32])
}

fn nonce() -> String {
    jit_ssh_api::binding::nonce(KEY, &salt())
}

/// A key pair of an identity provider.
enum Pair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair, &'static str),
    Ed(Ed25519KeyPair),
}

static RSA: LazyLock<Pair> =
    LazyLock::new(|| Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()));
static OTHER_RSA: LazyLock<Pair> =
    LazyLock::new(|| Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()));
static P256: LazyLock<Pair> =
    LazyLock::new(|| Pair::ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"));
static OTHER_P256: LazyLock<Pair> =
    LazyLock::new(|| Pair::ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"));
static P384: LazyLock<Pair> =
    LazyLock::new(|| Pair::ec(&signature::ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"));
static P521: LazyLock<Pair> =
    LazyLock::new(|| Pair::ec(&signature::ECDSA_P521_SHA512_FIXED_SIGNING, "P-521"));
static ED: LazyLock<Pair> = LazyLock::new(|| Pair::Ed(Ed25519KeyPair::generate().unwrap()));

impl Pair {
    fn ec(algorithm: &'static EcdsaSigningAlgorithm, curve: &'static str) -> Self {
        Pair::Ec(EcdsaKeyPair::generate(algorithm).unwrap(), curve)
    }

    /// The public key as a JWK without `alg`.
    fn jwk(&self, kid: &str) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Pair::Rsa(pair) => {
                let (n, e) = rsa_numbers(pair.public_key().as_ref());
                json!({"kty": "RSA", "kid": kid, "use": "sig", "n": text(&n), "e": text(&e)})
            }
            Pair::Ec(pair, curve) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({"kty": "EC", "kid": kid, "crv": curve, "x": text(x), "y": text(y)})
            }
            Pair::Ed(pair) => {
                let x = text(pair.public_key().as_ref());
                json!({"kty": "OKP", "kid": kid, "crv": "Ed25519", "x": x})
            }
        }
    }

    fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let rng = SystemRandom::new();
        match self {
            Pair::Rsa(pair) => {
                let encoding: &dyn signature::RsaEncoding = match algorithm {
                    "RS384" => &signature::RSA_PKCS1_SHA384,
                    "RS512" => &signature::RSA_PKCS1_SHA512,
                    "PS256" => &signature::RSA_PSS_SHA256,
                    "PS384" => &signature::RSA_PSS_SHA384,
                    "PS512" => &signature::RSA_PSS_SHA512,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut bytes = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &rng, message, &mut bytes).unwrap();
                bytes
            }
            Pair::Ec(pair, _) => pair.sign(&rng, message).unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}

/// Modulus and exponent of an `RSAPublicKey` (RFC 8017 §A.1.1).
fn rsa_numbers(der: &[u8]) -> (Vec<u8>, Vec<u8>) {
    fn element(bytes: &[u8]) -> (&[u8], &[u8]) {
        let (length, start) = match bytes[1] {
            short @ ..0x80 => (usize::from(short), 2),
            long => {
                let count = usize::from(long & 0x7f);
                let length = bytes[2..2 + count]
                    .iter()
                    .fold(0, |sum, byte| sum * 256 + usize::from(*byte));
                (length, 2 + count)
            }
        };
        (&bytes[start..start + length], &bytes[start + length..])
    }
    let plain = |number: &[u8]| {
        number
            .iter()
            .copied()
            .skip_while(|byte| *byte == 0)
            .collect()
    };
    let (n, rest) = element(element(der).0);
    (plain(n), plain(element(rest).0))
}

fn compact(header: &Value, claims: &Value, pair: &Pair) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let input = format!("{}.{}", encode(header), encode(claims));
    let algorithm = header["alg"].as_str().unwrap_or_default();
    let signature = pair.sign(algorithm, input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn rs256(claims: &Value) -> String {
    compact(
        &json!({"alg": "RS256", "kid": "k", "typ": "JWT"}),
        claims,
        &RSA,
    )
}

/// What a good provider says.
fn signed(claims: &Value) -> String {
    compact(
        &json!({"alg": "ES256", "kid": "k", "typ": "JWT"}),
        claims,
        &P256,
    )
}

/// What a good provider says.
fn good() -> Value {
    json!({
        "iss": ISSUER, "sub": "00u1", "aud": CLIENT, "nonce": nonce(), "jti": "j1",
        "iat": NOW.seconds() - 5, "exp": NOW.seconds() + 3600, "groups": ["Ops", "dev"],
        "preferred_username": "alice", "department": "sre",
    })
}

/// [`good`], changed.
fn with(changes: Value) -> Value {
    let mut claims = good();
    for (name, value) in changes.as_object().unwrap() {
        if value == "-" {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

fn config() -> IssuerConfig {
    let mut config = Preset::Generic.defaults(ISSUER);
    config.clients.push(Preset::Generic.client_defaults(CLIENT));
    config.check().unwrap();
    config
}

fn identities(config: IssuerConfig, keys: &[Value]) -> Identities {
    let jwks = json!({ "keys": keys }).to_string();
    Identities::with_keys(vec![(config, &jwks)]).unwrap()
}

fn usual() -> Identities {
    identities(config(), &[P256.jwk("k")])
}

fn opening(id_token: &str) -> Opening<'_> {
    Opening {
        id_token,
        access_token: None,
        salt: salt(),
        login_key: KEY,
        named_key: None,
    }
}

async fn open(identities: &Identities, id_token: &str) -> Result<VerifiedToken, IdentityError> {
    identities.verify_opening(opening(id_token), NOW).await
}

async fn open_claims(claims: &Value) -> Result<VerifiedToken, IdentityError> {
    open(&usual(), &signed(claims)).await
}

async fn claim_refusal(changes: Value) -> ClaimError {
    match open_claims(&with(changes.clone())).await {
        Err(IdentityError::Claim(error)) => error,
        other => panic!("{changes}: {other:?}"),
    }
}

async fn signature_refusal(identities: &Identities, token: &str) -> SignatureError {
    match open(identities, token).await {
        Err(IdentityError::Signature(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_bound_token_says_who_it_is() {
    let verified = open_claims(&good()).await.unwrap();
    assert_eq!(verified.nonce, Some(nonce()));
    assert_eq!(verified.token_id, "j1");
    let identity = verified.identity;
    assert_eq!(identity.issuer.as_ref(), ISSUER);
    assert_eq!(identity.client_id, CLIENT);
    assert_eq!(identity.subject.as_ref(), "00u1");
    assert_eq!(identity.person, r#"["https://idp.example.com","00u1"]"#);
    assert_eq!(identity.email, None);
    assert_eq!(
        identity.groups,
        BTreeSet::from(["Ops", "dev"].map(Group::new))
    );
    assert_eq!(identity.issued_at, NOW.minus(Duration::from_secs(5)));
    assert_eq!(identity.expires, NOW.plus(Duration::from_secs(3600)));
    let claims: Vec<&str> = identity.claims.keys().map(String::as_str).collect();
    assert_eq!(claims, ["department", "preferred_username"]);
}

#[tokio::test]
async fn every_asymmetric_algorithm_is_accepted_with_keys_that_name_none() {
    let pairs: [(&str, &Pair); 11] = [
        ("RS256", &RSA),
        ("RS384", &RSA),
        ("RS512", &RSA),
        ("PS256", &RSA),
        ("PS384", &RSA),
        ("PS512", &RSA),
        ("ES256", &P256),
        ("ES384", &P384),
        ("ES512", &P521),
        ("EdDSA", &ED),
        ("Ed25519", &ED),
    ];
    let keys = [
        RSA.jwk("r"),
        P256.jwk("a"),
        P384.jwk("b"),
        P521.jwk("c"),
        ED.jwk("d"),
    ];
    let identities = identities(config(), &keys);
    for (algorithm, pair) in pairs {
        let token = compact(&json!({ "alg": algorithm }), &good(), pair);
        assert!(open(&identities, &token).await.is_ok(), "{algorithm}");
        // A bit of the payload, the signature, or its length changed.
        let (input, signature) = token.rsplit_once('.').unwrap();
        let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
        bytes[3] ^= 1;
        let changed = format!("{input}.{}", URL_SAFE_NO_PAD.encode(&bytes));
        let cut = format!(
            "{input}.{}",
            URL_SAFE_NO_PAD.encode(&bytes[..bytes.len() - 1])
        );
        let zeros = format!("{input}.{}", URL_SAFE_NO_PAD.encode(vec![0; bytes.len()]));
        let payload = compact(
            &json!({ "alg": algorithm }),
            &with(json!({"sub": "root"})),
            pair,
        );
        let moved = format!("{}.{signature}", payload.rsplit_once('.').unwrap().0);
        for bad in [changed, cut, zeros, moved] {
            assert_eq!(
                signature_refusal(&identities, &bad).await,
                SignatureError::Signature
            );
        }
    }
}

/// A1
#[tokio::test]
async fn a_token_signed_with_the_public_key_as_a_secret_is_refused() {
    let jwk = RSA.jwk("k");
    let input = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(json!({"alg": "HS256", "kid": "k"}).to_string()),
        URL_SAFE_NO_PAD.encode(good().to_string())
    );
    let secrets = [
        jwk.to_string().into_bytes(),
        URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap(),
    ];
    for secret in secrets {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &secret);
        let tag = aws_lc_rs::hmac::sign(&key, input.as_bytes());
        let token = format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag));
        assert!(matches!(
            open(&usual(), &token).await,
            Err(IdentityError::Token(TokenError::Algorithm(_)))
        ));
    }
}

/// A1: r = s = 0, r = n, and the DER form of a good signature.
#[tokio::test]
async fn degenerate_ecdsa_signatures_are_refused() {
    let identities = identities(config(), &[P256.jwk("k")]);
    let token = compact(&json!({"alg": "ES256"}), &good(), &P256);
    let (input, _) = token.rsplit_once('.').unwrap();
    let order = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let der = {
        let pair = EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        pair.sign(&SystemRandom::new(), input.as_bytes())
            .unwrap()
            .as_ref()
            .to_vec()
    };
    for bytes in [
        vec![0; 64],
        [order, order].concat(),
        [[0; 32], order].concat(),
        der,
        vec![0; 63],
    ] {
        let bad = format!("{input}.{}", URL_SAFE_NO_PAD.encode(bytes));
        assert_eq!(
            signature_refusal(&identities, &bad).await,
            SignatureError::Signature
        );
    }
}

/// A1
#[tokio::test]
async fn an_algorithm_that_the_issuer_does_not_use_is_refused() {
    let mut config = config();
    config.algorithms = BTreeSet::from([Algorithm::RS256]);
    let identities = identities(config, &[RSA.jwk("k"), ED.jwk("e")]);
    for (algorithm, pair) in [("PS256", &RSA), ("EdDSA", &ED)] {
        let token = compact(&json!({ "alg": algorithm }), &good(), pair);
        let expected = SignatureError::Algorithm(Algorithm::parse(algorithm).unwrap().name());
        assert_eq!(signature_refusal(&identities, &token).await, expected);
    }
}

/// A1: the header's algorithm must fit type, curve and `alg` of the key.
#[tokio::test]
async fn a_key_verifies_only_what_it_is_for() {
    let mut only_rs256 = RSA.jwk("k");
    only_rs256["alg"] = json!("RS256");
    let identities = identities(config(), &[only_rs256]);
    let token = compact(&json!({"alg": "PS256", "kid": "k"}), &good(), &RSA);
    assert_eq!(
        signature_refusal(&identities, &token).await,
        SignatureError::UnknownKey
    );
    let token = compact(&json!({"alg": "RS256", "kid": "k"}), &good(), &RSA);
    assert!(open(&identities, &token).await.is_ok());
    for algorithm in ["ES256", "EdDSA", "ES384"] {
        let token = compact(&json!({"alg": algorithm, "kid": "k"}), &good(), &P256);
        assert_eq!(
            signature_refusal(&identities, &token).await,
            SignatureError::UnknownKey
        );
    }
    let p256 = self::identities(config(), &[P256.jwk("k")]);
    let token = compact(&json!({"alg": "ES384", "kid": "k"}), &good(), &P384);
    assert_eq!(
        signature_refusal(&p256, &token).await,
        SignatureError::UnknownKey
    );
}

/// A3: a header with a key or an address of its own; nobody is asked.
#[tokio::test]
async fn a_key_that_the_token_brings_along_is_not_used() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = format!("http://{}/jwks", listener.local_addr().unwrap());
    let header = json!({
        "alg": "ES256", "kid": "k", "jwk": OTHER_P256.jwk("k"), "jku": address, "x5u": address,
    });
    let token = compact(&header, &good(), &OTHER_P256);
    assert_eq!(
        signature_refusal(&usual(), &token).await,
        SignatureError::Signature
    );
    assert_eq!(
        listener.accept().unwrap_err().kind(),
        std::io::ErrorKind::WouldBlock
    );
}

/// A3
#[tokio::test]
async fn a_key_name_that_is_a_path_or_a_query_names_no_key() {
    for kid in ["../../dev/null", "' OR 1=1--", "", "K", "k ", "k\0"] {
        let token = compact(&json!({"alg": "ES256", "kid": kid}), &good(), &P256);
        assert_eq!(
            signature_refusal(&usual(), &token).await,
            SignatureError::UnknownKey
        );
    }
}

/// A3
#[tokio::test]
async fn a_token_that_could_mean_two_keys_is_refused() {
    let without_kid = compact(&json!({"alg": "RS256"}), &good(), &RSA);
    let one = identities(config(), &[RSA.jwk("k")]);
    assert!(open(&one, &without_kid).await.is_ok());
    let two = identities(config(), &[RSA.jwk("k"), OTHER_RSA.jwk("l")]);
    assert_eq!(
        signature_refusal(&two, &without_kid).await,
        SignatureError::SeveralKeys
    );
    let twice = identities(config(), &[RSA.jwk("k"), OTHER_RSA.jwk("k")]);
    let token = rs256(&good());
    assert_eq!(
        signature_refusal(&twice, &token).await,
        SignatureError::SeveralKeys
    );
}

/// A3
#[tokio::test]
async fn keys_that_are_not_for_signing_are_not_used() {
    let changed = |name: &str, value: Value| {
        let mut key = RSA.jwk("k");
        key[name] = value;
        key
    };
    let token = rs256(&good());
    for key in [
        changed("use", json!("enc")),
        changed("use", json!(["sig"])),
        changed("alg", json!("RSA-OAEP")),
        changed("alg", json!("HS256")),
        changed("alg", json!("ES256")),
        changed("key_ops", json!(["encrypt"])),
        changed("kty", json!("oct")),
        changed("issuer", json!("https://other.example.com")),
        changed("e", json!("AQ")),
        changed("e", json!("AQAC")),
        changed("n", json!(URL_SAFE_NO_PAD.encode([0xff; 128]))),
        changed("kid", json!(1)),
        json!({"kty": "oct", "kid": "k", "k": "c2VjcmV0"}),
        json!("k"),
    ] {
        let identities = identities(config(), &[key.clone(), ED.jwk("e")]);
        let refusal = signature_refusal(&identities, &token).await;
        assert_eq!(refusal, SignatureError::UnknownKey, "{key}");
    }
    for key in [
        changed("key_ops", json!(["verify"])),
        changed("issuer", json!(ISSUER)),
        changed("x5c", json!(["MIIB", 7])),
    ] {
        assert!(open(&identities(config(), &[key]), &token).await.is_ok());
    }
}

#[tokio::test]
async fn the_key_set_of_a_large_provider_is_read() {
    let mut keys: Vec<Value> = (0..30)
        .map(|at| OTHER_RSA.jwk(&format!("other{at}")))
        .collect();
    for key in &mut keys {
        key["x5c"] = json!(["M".repeat(1200)]);
        key["issuer"] = json!("https://login.microsoftonline.com/{tenantid}/v2.0");
    }
    keys.push(json!({"kty": "RSA", "use": "enc", "kid": "enc", "n": "AQAB", "e": "AQAB"}));
    let tenant = "72f988bf-86f1-41af-91ab-2d7cd011db47";
    let issuer = format!("https://login.microsoftonline.com/{tenant}/v2.0");
    let mut config = Preset::Entra.defaults(&issuer);
    config.clients.push(Preset::Entra.client_defaults(CLIENT));
    config.check().unwrap();
    let mut ours = RSA.jwk("k");
    ours["issuer"] = json!("https://login.microsoftonline.com/{tenantid}/v2.0");
    keys.push(ours);
    let claims =
        with(json!({"iss": issuer, "tid": tenant, "oid": "o1", "iat": NOW.seconds() - 300}));
    let verified = open(&identities(config, &keys), &rs256(&claims))
        .await
        .unwrap();
    assert_eq!(
        verified.identity.person,
        json!([issuer, tenant, "o1"]).to_string()
    );
    assert_eq!(verified.identity.issued_at, NOW);
}

/// A4: a claim of the wrong type is a refusal, not an absence.
#[tokio::test]
async fn a_claim_of_the_wrong_type_is_refused() {
    let times = [
        json!("never"),
        json!("1800003600"),
        json!("2030-01-01T00:00:00Z"),
        json!([]),
        json!({}),
        json!(null),
        json!(-1),
        json!(1_800_003_600.5),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(true),
        json!(1e300),
        json!(253_402_300_800_u64),
    ];
    for name in ["exp", "iat", "nbf", "auth_time"] {
        for value in &times {
            let claims = with(json!({ name: value }));
            assert!(open_claims(&claims).await.is_err(), "{name}: {value}");
        }
    }
    let texts = [
        json!(7),
        json!([]),
        json!({}),
        json!(null),
        json!(true),
        json!(""),
    ];
    for name in ["iss", "sub", "nonce", "azp", "jti", "typ", "acr"] {
        for value in &texts {
            let claims = with(json!({ name: value }));
            assert!(open_claims(&claims).await.is_err(), "{name}: {value}");
        }
    }
    for value in [json!(7), json!([7]), json!({}), json!(null), json!(true)] {
        for name in ["amr", "acrs", "groups"] {
            assert!(
                open_claims(&with(json!({ name: value }))).await.is_err(),
                "{name}: {value}"
            );
        }
    }
    for name in ["iss", "sub", "aud", "exp", "iat", "nonce"] {
        assert!(
            open_claims(&with(json!({ name: "-" }))).await.is_err(),
            "{name}"
        );
    }
}

/// A4
#[tokio::test]
async fn a_number_too_large_for_json_is_refused() {
    let claims = good()
        .to_string()
        .replace(&format!("{}", NOW.seconds() + 3600), "1e400");
    let header = json!({"alg": "ES256", "kid": "k"}).to_string();
    let input = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let signature = URL_SAFE_NO_PAD.encode(P256.sign("ES256", input.as_bytes()));
    let token = format!("{input}.{signature}");
    assert!(matches!(
        open(&usual(), &token).await,
        Err(IdentityError::Token(TokenError::Payload(_)))
    ));
}

/// A4: a `sub` that could break a log line or a name.
#[tokio::test]
async fn a_subject_with_control_characters_is_refused() {
    for sub in ["a\nb", "a\0", "\u{202e}a", &"x".repeat(256)] {
        assert_eq!(
            claim_refusal(json!({ "sub": sub })).await,
            ClaimError::Malformed("sub")
        );
    }
}

/// A5
#[tokio::test]
async fn a_token_for_another_application_is_refused() {
    for aud in [
        json!("wiki"),
        json!(["wiki"]),
        json!([CLIENT, "wiki"]),
        json!(["wiki", CLIENT]),
        json!([CLIENT, CLIENT]),
        json!("jit-ssh "),
        json!("JIT-SSH"),
        json!("jit-ss"),
    ] {
        assert_eq!(
            claim_refusal(json!({ "aud": aud })).await,
            ClaimError::Audience
        );
    }
    for aud in [
        json!([]),
        json!([[CLIENT]]),
        json!([7]),
        json!({}),
        json!(null),
    ] {
        assert_eq!(
            claim_refusal(json!({ "aud": aud })).await,
            ClaimError::Malformed("aud")
        );
    }
    assert!(open_claims(&with(json!({"aud": [CLIENT]}))).await.is_ok());
}

#[tokio::test]
async fn the_audience_tells_the_client() {
    let mut config = config();
    let mut paste = Preset::Generic.client_defaults("jit-ssh-paste");
    paste.flows = vec![Flow::Paste];
    config.clients.push(paste);
    let identities = identities(config, &[P256.jwk("k")]);
    let token = signed(&with(json!({"aud": "jit-ssh-paste"})));
    assert_eq!(
        open(&identities, &token).await.unwrap().identity.client_id,
        "jit-ssh-paste"
    );
}

/// A6
#[tokio::test]
async fn a_token_given_to_another_client_is_refused() {
    for azp in ["evil-client", "jit-ssh ", "JIT-SSH"] {
        assert_eq!(
            claim_refusal(json!({ "azp": azp })).await,
            ClaimError::AuthorizedParty
        );
    }
    assert!(open_claims(&with(json!({"azp": CLIENT}))).await.is_ok());
}

/// A7
#[tokio::test]
async fn an_old_token_is_refused_though_it_is_not_expired() {
    let max = Duration::from_secs(600);
    for age in [600, 601, 86_400] {
        let age_of = Duration::from_secs(age);
        let refusal =
            claim_refusal(json!({"iat": NOW.seconds() - age, "exp": NOW.seconds() + 86_400}));
        assert_eq!(refusal.await, ClaimError::TooOld { age: age_of, max });
    }
    assert!(
        open_claims(&with(json!({"iat": NOW.seconds() - 599})))
            .await
            .is_ok()
    );
}

/// A7
#[tokio::test]
async fn a_token_from_the_future_is_refused() {
    assert_eq!(
        claim_refusal(json!({"iat": NOW.seconds() + 61})).await,
        ClaimError::InTheFuture("iat")
    );
    assert_eq!(
        claim_refusal(json!({"nbf": NOW.seconds() + 61})).await,
        ClaimError::NotYet
    );
    let auth_time = json!({"auth_time": NOW.seconds() + 61});
    assert_eq!(
        claim_refusal(auth_time).await,
        ClaimError::InTheFuture("auth_time")
    );
    let near =
        json!({"iat": NOW.seconds() + 60, "nbf": NOW.seconds() + 60, "auth_time": NOW.seconds()});
    assert!(open_claims(&with(near)).await.is_ok());
}

/// A7
#[tokio::test]
async fn an_expired_token_is_refused() {
    for exp in [0, NOW.seconds() - 3600, NOW.seconds() - 60] {
        let token = signed(&with(json!({ "exp": exp })));
        assert_eq!(
            signature_refusal(&usual(), &token).await,
            SignatureError::Expired
        );
    }
    assert!(
        open_claims(&with(json!({"exp": NOW.seconds() - 59})))
            .await
            .is_ok()
    );
}

/// A7: Entra dates its tokens back by 300 s; their age counts from the real time.
#[tokio::test]
async fn the_age_counts_from_the_issuers_offset() {
    let mut config = config();
    config.clock_offset = Duration::from_secs(300);
    let identities = identities(config, &[P256.jwk("k")]);
    let token = |iat: u64| signed(&with(json!({ "iat": iat, "nbf": iat })));
    let verified = open(&identities, &token(NOW.seconds() - 899))
        .await
        .unwrap();
    assert_eq!(
        verified.identity.issued_at,
        NOW.minus(Duration::from_secs(599))
    );
    assert!(
        open(&identities, &token(NOW.seconds() - 900))
            .await
            .is_err()
    );
    // Dated as if there were no offset: later than now.
    assert!(open(&identities, &token(NOW.seconds())).await.is_err());
}

/// A8
#[tokio::test]
async fn another_kind_of_token_is_refused_by_its_claims() {
    for typ in ["Bearer", "Refresh", "Offline", "Logout", "id", "JWT"] {
        assert_eq!(
            claim_refusal(json!({ "typ": typ })).await,
            ClaimError::Kind(typ.to_owned())
        );
    }
    let events = json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}});
    assert_eq!(
        claim_refusal(events).await,
        ClaimError::Kind("event".to_owned())
    );
    assert!(open_claims(&with(json!({"typ": "ID"}))).await.is_ok());
}

/// A9
#[tokio::test]
async fn an_issuer_that_is_nearly_ours_is_refused() {
    for issuer in [
        "https://idp.example.com/",
        "https://IDP.example.com",
        "https://idp.example.com.evil.tld",
        "http://idp.example.com",
        "https://idp.example.com:443",
        "https://idp.example.com/tenant",
        "https://idp.example.co",
        " https://idp.example.com",
        "https://idp.example.com\u{0}",
        "idp.example.com",
    ] {
        let refusal = open_claims(&with(json!({ "iss": issuer }))).await;
        assert!(
            matches!(refusal, Err(IdentityError::UnknownIssuer)),
            "{issuer:?}"
        );
    }
}

/// A9, A22: a second tenant with the same keys; a Google account outside of the Workspace.
#[tokio::test]
async fn a_claim_that_the_issuer_must_say_is_compared_exactly() {
    let mut config = config();
    config.require = BTreeMap::from([("hd".to_owned(), "example.com".to_owned())]);
    let identities = identities(config, &[P256.jwk("k")]);
    for hd in [
        json!("-"),
        json!("Example.com"),
        json!("evil.example.com"),
        json!("example.com "),
        json!(["example.com"]),
        json!(null),
        json!(true),
    ] {
        let token = signed(&with(json!({ "hd": hd })));
        assert!(
            matches!(
                open(&identities, &token).await,
                Err(IdentityError::Provider(ProviderError::Required { .. }))
            ),
            "{hd}"
        );
    }
    assert!(
        open(&identities, &signed(&with(json!({"hd": "example.com"}))))
            .await
            .is_ok()
    );
}

/// A12
#[tokio::test]
async fn stolen_id_token_without_its_key_is_refused() {
    let token = signed(&good());
    let identities = usual();
    let attempts = [
        Opening {
            login_key: b"the thief's key",
            ..opening(&token)
        },
        Opening {
            salt: Salt::new([8; 32]),
            ..opening(&token)
        },
        Opening {
            named_key: Some(b"the thief's key"),
            ..opening(&token)
        },
        Opening {
            named_key: Some(KEY),
            ..opening(&token)
        },
        Opening {
            login_key: b"",
            ..opening(&token)
        },
    ];
    for attempt in attempts {
        assert!(matches!(
            identities.verify_opening(attempt, NOW).await,
            Err(IdentityError::Claim(ClaimError::OtherNonce))
        ));
    }
}

/// A12
#[tokio::test]
async fn a_token_without_a_nonce_opens_nothing() {
    assert_eq!(
        claim_refusal(json!({"nonce": "-"})).await,
        ClaimError::Missing("nonce")
    );
    for nonce in [json!(null), json!("")] {
        assert_eq!(
            claim_refusal(json!({ "nonce": nonce })).await,
            ClaimError::Malformed("nonce")
        );
    }
    for nonce in [json!([nonce()]), json!(7), json!({})] {
        assert!(open_claims(&with(json!({ "nonce": nonce }))).await.is_err());
    }
    let nearly = format!("{}A", nonce());
    assert_eq!(
        claim_refusal(json!({ "nonce": nearly })).await,
        ClaimError::OtherNonce
    );
}

/// A12: the nonce covers both keys.
#[tokio::test]
async fn a_named_key_is_bound_together_with_the_login_key() {
    let nonce = jit_ssh_api::binding::nonce_with_named_key(KEY, b"named", &salt());
    let token = signed(&with(json!({ "nonce": nonce })));
    let identities = usual();
    let named = Opening {
        named_key: Some(b"named"),
        ..opening(&token)
    };
    assert!(identities.verify_opening(named, NOW).await.is_ok());
    for attempt in [
        opening(&token),
        Opening {
            named_key: Some(b"other"),
            ..opening(&token)
        },
        Opening {
            login_key: b"named",
            named_key: Some(KEY),
            ..opening(&token)
        },
    ] {
        assert!(identities.verify_opening(attempt, NOW).await.is_err());
    }
}

/// A17: two issuers; a token counts only under the keys of the one that it names.
#[tokio::test]
async fn a_token_of_one_issuer_signed_by_another_is_refused() {
    let mut other = config();
    other.issuer = Issuer::new("https://evil.example.com");
    let jwks = |pair: &Pair| json!({"keys": [pair.jwk("k")]}).to_string();
    let (ours, theirs) = (jwks(&P256), jwks(&OTHER_P256));
    let both = Identities::with_keys(vec![(config(), &ours), (other, &theirs)]).unwrap();
    let forged = compact(&json!({"alg": "ES256", "kid": "k"}), &good(), &OTHER_P256);
    assert_eq!(
        signature_refusal(&both, &forged).await,
        SignatureError::Signature
    );
    let theirs = with(json!({"iss": "https://evil.example.com"}));
    let token = compact(&json!({"alg": "ES256", "kid": "k"}), &theirs, &OTHER_P256);
    // The same `sub` at another issuer is another person (A20, A26).
    let person = open(&both, &token).await.unwrap().identity.person.clone();
    assert_eq!(person, r#"["https://evil.example.com","00u1"]"#);
}

/// A20
#[tokio::test]
async fn an_unverified_or_untrusted_email_address_does_not_count() {
    let said =
        |verified: Value| with(json!({"email": "alice@example.com", "email_verified": verified}));
    let untrusted = open_claims(&said(json!(true))).await.unwrap().identity;
    assert_eq!(untrusted.email, None);
    assert!(!untrusted.claims.contains_key("email"));
    let mut config = config();
    config.trust_email = true;
    let identities = identities(config, &[P256.jwk("k")]);
    for verified in [json!("-"), json!(false)] {
        let identity = open(&identities, &signed(&said(verified)))
            .await
            .unwrap()
            .identity;
        assert_eq!(identity.email, None);
    }
    for verified in [json!("true"), json!(1), json!(null)] {
        assert!(open(&identities, &signed(&said(verified))).await.is_err());
    }
    let identity = open(&identities, &signed(&said(json!(true))))
        .await
        .unwrap()
        .identity;
    assert_eq!(
        identity.email.as_ref().map(Email::as_ref),
        Some("alice@example.com")
    );
}

/// A21
#[test]
fn an_email_address_that_reads_in_two_ways_is_none() {
    for text in [
        "",
        "a",
        "@b.c",
        "a@",
        "a@evil.com@corp.com",
        "\"x@corp.com\"@evil.com",
        "a b@corp.com",
        " a@corp.com",
        "a@corp.com ",
        "a@corp.com\0",
        "a@corp.com.",
        "a@.com",
        "a@corp..com",
        "a@cörp.com",
        "а@corp.com",
        "a@corp.com\n",
        "a,b@corp.com",
        "a@[1.2.3.4]",
        "a(c)@corp.com",
        "a@corp.com/x",
    ] {
        assert_eq!(Email::parse(text), None, "{text:?}");
    }
    assert_eq!(Email::parse("a@CORP.com"), Email::parse("a@corp.com"));
    assert_ne!(Email::parse("A@corp.com"), Email::parse("a@corp.com"));
    assert_eq!(
        Email::parse("a@xn--crp-sna.com").unwrap().as_ref(),
        "a@xn--crp-sna.com"
    );
    assert!(serde_json::from_value::<Email>(json!("a@b@c")).is_err());
}

/// A22: the same address with another `sub` is another person.
#[tokio::test]
async fn a_recycled_address_is_another_person() {
    let mut config = config();
    config.trust_email = true;
    let identities = identities(config, &[P256.jwk("k")]);
    let said =
        |sub: &str| with(json!({"sub": sub, "email": "alice@example.com", "email_verified": true}));
    let one = open(&identities, &signed(&said("sub1")))
        .await
        .unwrap()
        .identity;
    let two = open(&identities, &signed(&said("sub2")))
        .await
        .unwrap()
        .identity;
    assert_eq!(one.email, two.email);
    assert_ne!(one.person, two.person);
}

/// A9, A20: Entra without tenant or object, or of another tenant.
#[tokio::test]
async fn a_person_whose_key_is_not_said_is_refused() {
    let mut config = config();
    config.person_key = ["tid", "oid"].map(str::to_owned).to_vec();
    let identities = identities(config, &[P256.jwk("k")]);
    for said in [
        json!({}),
        json!({"tid": "t"}),
        json!({"tid": "t", "oid": ""}),
        json!({"tid": "t", "oid": 7}),
    ] {
        assert!(matches!(
            open(&identities, &signed(&with(said))).await,
            Err(IdentityError::Provider(ProviderError::PersonKey(_)))
        ));
    }
    // No value can pass for two: `["…","a\",\"b","c"]` is not `["…","a","b\",\"c"]`.
    let person = async |tid: &str, oid: &str| {
        let token = signed(&with(json!({"tid": tid, "oid": oid})));
        open(&identities, &token)
            .await
            .unwrap()
            .identity
            .person
            .clone()
    };
    assert_ne!(person("a\",\"b", "c").await, person("a", "b\",\"c").await);
}

async fn groups(path: &str, claims: Value) -> Result<Vec<String>, IdentityError> {
    let mut config = config();
    config.groups = GroupsSource::Claim(path.to_owned());
    let mut said = with(claims);
    if path != "groups" && said["groups"] == good()["groups"] {
        said.as_object_mut().unwrap().remove("groups");
    }
    let verified = open(&identities(config, &[P256.jwk("k")]), &signed(&said)).await?;
    Ok(verified
        .identity
        .groups
        .iter()
        .map(|group| group.as_ref().to_owned())
        .collect())
}

#[tokio::test]
async fn groups_are_found_by_name_or_by_path() {
    let roles = json!({"realm_access": {"roles": ["a", "b"]}});
    assert_eq!(
        groups("realm_access.roles", roles).await.unwrap(),
        ["a", "b"]
    );
    let auth0 = json!({"https://acme.com/groups": ["a"], "https://acme": {"com/groups": ["evil"]}});
    assert_eq!(
        groups("https://acme.com/groups", auth0).await.unwrap(),
        ["a"]
    );
    assert_eq!(
        groups("groups", json!({"groups": "dev,admins"}))
            .await
            .unwrap(),
        ["dev,admins"]
    );
    let client = json!({"resource_access": {"jit.ssh": {"roles": ["a"]}}});
    assert!(
        groups("resource_access.jit.ssh.roles", client)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(groups("roles", json!({})).await.unwrap().is_empty());
    assert!(
        groups("groups", json!({"groups": [""]}))
            .await
            .unwrap()
            .is_empty()
    );
}

/// A25
#[tokio::test]
async fn groups_of_another_shape_are_refused() {
    for shape in [
        json!(7),
        json!([["a"]]),
        json!(["a", null]),
        json!({"a": "b"}),
        json!(null),
        json!(true),
    ] {
        assert!(matches!(
            groups("groups", json!({ "groups": shape })).await,
            Err(IdentityError::Provider(ProviderError::GroupsShape(_)))
        ));
    }
    let many: Vec<String> = (0..1001).map(|at| at.to_string()).collect();
    assert!(matches!(
        groups("groups", json!({ "groups": many })).await,
        Err(IdentityError::Provider(ProviderError::TooManyGroups {
            count: 1001,
            ..
        }))
    ));
}

/// A25: Entra with more than 200 groups names none, but a place to ask; nobody is asked there.
#[tokio::test]
async fn a_pointer_in_place_of_groups_is_refused_and_not_followed() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let endpoint = format!("http://{}/", listener.local_addr().unwrap());
    let sources = json!({"src1": {"endpoint": endpoint}});
    for said in [
        json!({"groups": "-", "_claim_names": {"groups": "src1"}, "_claim_sources": sources}),
        json!({"_claim_names": {"groups": "src1"}, "_claim_sources": sources}),
        json!({"groups": "-", "_claim_names": "src1"}),
        json!({"groups": "-", "hasgroups": true}),
        json!({"groups": "-", "hasgroups": "true"}),
    ] {
        let refusal = groups("groups", said).await.unwrap_err();
        assert!(matches!(
            refusal,
            IdentityError::Provider(ProviderError::GroupsOverage)
        ));
        assert!(refusal.next().contains("app roles"), "{}", refusal.next());
    }
    // App roles are complete, whatever became of the groups.
    let roles = json!({"roles": ["a"], "hasgroups": true, "_claim_names": {"groups": "src1"}});
    assert_eq!(groups("roles", roles).await.unwrap(), ["a"]);
    assert_eq!(
        listener.accept().unwrap_err().kind(),
        std::io::ErrorKind::WouldBlock
    );
}

/// A26
#[tokio::test]
async fn nothing_of_one_token_is_left_for_the_next() {
    let identities = usual();
    let (admin, nobody) = (
        signed(&good()),
        signed(&with(json!({"groups": "-", "department": "-"}))),
    );
    for _ in 0..50 {
        assert_eq!(
            open(&identities, &admin)
                .await
                .unwrap()
                .identity
                .groups
                .len(),
            2
        );
        let identity = open(&identities, &nobody).await.unwrap().identity;
        assert!(identity.groups.is_empty());
        assert!(!identity.claims.contains_key("department"));
    }
}

#[tokio::test]
async fn claims_of_any_size_do_not_fill_the_snapshot() {
    let mut said = json!({"long": "x".repeat(1100), "short": "x"});
    for at in 0..100 {
        said[format!("c{at:03}")] = json!(at);
    }
    let identity = open_claims(&with(said)).await.unwrap().identity;
    assert!(!identity.claims.contains_key("long"));
    assert_eq!(identity.claims.len(), 64);
}

#[tokio::test]
async fn a_token_without_an_id_is_named_by_what_is_signed() {
    let id = async |claims: &Value| open_claims(claims).await.unwrap().token_id;
    let unnamed = id(&with(json!({"jti": "-"}))).await;
    assert_eq!(unnamed.len(), 64);
    assert_ne!(unnamed, id(&with(json!({"jti": "-", "sub": "b"}))).await);
    assert_eq!(id(&with(json!({"jti": "-", "uti": "u1"}))).await, "u1");
    assert_eq!(id(&with(json!({"jti": "x".repeat(500)}))).await.len(), 64);
}

/// What providers put beside is no reason to refuse.
#[tokio::test]
async fn habits_of_providers_do_no_harm() {
    for habit in [
        json!({"updated_at": "2026-11-23T22:00:00.000Z", "picture": "https://x/y.png"}),
        json!({"updated_at": 1_700_000_000, "locale": "de", "zoneinfo": "Europe/Vienna"}),
        json!({"ver": "2.0", "rh": "0.A", "uti": "x", "xms_edov": true, "aio": "A", "sid": "s"}),
        json!({"idp": "00o1", "amr": ["pwd", "mfa"], "auth_time": NOW.seconds() - 100, "at_hash": "x"}),
        json!({"resource_access": {"account": {"roles": ["a"]}}, "email_verified": false, "typ": "ID"}),
        json!({"address": {"street_address": "x"}, "phone_number": "1", "name": "Zoë"}),
        json!({"amr": ["pwd"], "acr": "1", "acrs": ["c1"]}),
        json!({"family_name": null, "email": null, "picture": null, "custom": null}),
    ] {
        assert!(open_claims(&with(habit.clone())).await.is_ok(), "{habit}");
    }
}

fn refresh<'a>(id_token: &'a str, nonce: &'a str) -> Refresh<'a> {
    Refresh {
        id_token,
        access_token: None,
        issuer: ISSUER,
        client_id: CLIENT,
        subject: "00u1",
        person: r#"["https://idp.example.com","00u1"]"#,
        nonce,
        last_issued_at: NOW.minus(Duration::from_secs(6)),
        last_token_id: "j0",
    }
}

#[tokio::test]
async fn a_refreshed_token_goes_on_with_its_login() {
    let nonce = nonce();
    for said in [json!({}), json!({"nonce": "-"})] {
        let token = signed(&with(said));
        assert!(
            usual()
                .verify_refresh(refresh(&token, &nonce), NOW)
                .await
                .is_ok()
        );
    }
}

/// A12, A18
#[tokio::test]
async fn a_refreshed_token_of_another_login_is_refused() {
    let (own, identities) = (nonce(), usual());
    let token = signed(&with(json!({"nonce": "of another login"})));
    assert!(matches!(
        identities.verify_refresh(refresh(&token, &own), NOW).await,
        Err(IdentityError::Claim(ClaimError::OtherNonce))
    ));
    let token = signed(&good());
    let usual = || refresh(&token, &own);
    for (attempt, expected) in [
        (
            Refresh {
                issuer: "https://other.example.com",
                ..usual()
            },
            RefreshError::OtherIssuer,
        ),
        (
            Refresh {
                client_id: "jit-ssh-paste",
                ..usual()
            },
            RefreshError::OtherClient,
        ),
        (
            Refresh {
                subject: "00u2",
                ..usual()
            },
            RefreshError::OtherPerson,
        ),
        (
            Refresh {
                person: r#"["https://idp.example.com","00u2"]"#,
                ..usual()
            },
            RefreshError::OtherPerson,
        ),
    ] {
        match identities.verify_refresh(attempt, NOW).await {
            Err(IdentityError::Refresh(error)) => assert_eq!(error, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
}

/// The first token handed out again is no fresh word.
#[tokio::test]
async fn a_refreshed_token_that_is_not_newer_is_refused() {
    let (own, identities) = (nonce(), usual());
    let token = signed(&good());
    for attempt in [
        Refresh {
            last_issued_at: NOW.minus(Duration::from_secs(5)),
            ..refresh(&token, &own)
        },
        Refresh {
            last_issued_at: NOW,
            ..refresh(&token, &own)
        },
        Refresh {
            last_token_id: "j1",
            ..refresh(&token, &own)
        },
    ] {
        assert!(matches!(
            identities.verify_refresh(attempt, NOW).await,
            Err(IdentityError::Refresh(RefreshError::NotNewer))
        ));
    }
}

/// A7: hoarded tokens do not keep a login alive.
#[tokio::test]
async fn a_refreshed_token_may_be_no_older_than_a_first_one() {
    let own = nonce();
    let token = signed(&with(json!({"iat": NOW.seconds() - 600})));
    let attempt = Refresh {
        last_issued_at: Timestamp::default(),
        ..refresh(&token, &own)
    };
    assert!(matches!(
        usual().verify_refresh(attempt, NOW).await,
        Err(IdentityError::Claim(ClaimError::TooOld { .. }))
    ));
}

mod any_input {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z_]{1,8}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever a signed token says, it is judged, not crashed on.
        #[test]
        fn any_claim_of_any_kind_is_judged(
            name in prop::sample::select(vec![
                "exp", "iat", "nbf", "aud", "azp", "nonce", "sub", "iss", "groups", "amr", "acr",
                "auth_time", "email", "email_verified", "_claim_names", "name", "name#de", "locale",
                "address", "updated_at", "typ", "jti", "birthdate", "phone_number_verified",
            ]),
            value in value(),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let mut claims = good();
            claims[name] = value;
            let token = signed(&claims);
            let verified = runtime.block_on(open(&usual(), &token));
            if let Ok(verified) = verified {
                prop_assert_eq!(verified.nonce, Some(nonce()));
                prop_assert_eq!(verified.identity.client_id.as_str(), CLIENT);
            }
        }

        #[test]
        fn any_key_set_is_read_without_a_panic(jwk in value(), bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = keys::Jwks::parse(&bytes, ISSUER);
            let _ = keys::Jwks::parse(json!({"keys": [jwk]}).to_string().as_bytes(), ISSUER);
            for (kty, curve) in [("RSA", ""), ("EC", "P-256"), ("EC", "P-521"), ("OKP", "Ed25519")] {
                let number = URL_SAFE_NO_PAD.encode(&bytes);
                let jwk = json!({"kty": kty, "crv": curve, "n": number, "e": number, "x": number, "y": number});
                let _ = keys::Jwks::parse(json!({"keys": [jwk]}).to_string().as_bytes(), ISSUER);
            }
        }
    }
}
