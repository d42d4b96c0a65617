//! Each step of one exchange alone, and all of them together without HTTP: what the server's time goes
//! into (`cargo bench -p jit-ssh-ca`, `scripts/bench steps`). Keys, tokens and disk are real.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a measurement: what fails here should say so at once"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use divan::Bencher;
use jit_ssh_api::binding::{self, Salt};
use jit_ssh_api::issue::CertificateRequest;
use jit_ssh_api::proof::{self, ProofHeader, ProofId};
use jit_ssh_ca::certificate::{AcceptedKey, CertificateToSign, LoginFacts, UserCertificate};
use jit_ssh_ca::config::Config;
use jit_ssh_ca::entropy;
use jit_ssh_ca::identity::{FetchClient, Identities, IdentityError, Opening, VerifiedToken};
use jit_ssh_ca::ledger::{Context, Ledger};
use jit_ssh_ca::login::{LiveLogin, Logins, OpenLogin};
use jit_ssh_ca::policy::{Ask, Grant, IssuerFacts, Policy};
use jit_ssh_ca::signer::file::{self, Lock};
use jit_ssh_ca::signer::key_set::{self, FirstKeySet};
use jit_ssh_ca::signer::verify::verify_proof;
use jit_ssh_ca::signer::{
    IDENTITY, KeyFolder, KeyKind, Keyring, LockedKeyring, PURPOSES, file_name,
};
use jit_ssh_ca::store::StoreOptions;
use jit_ssh_ca::time::{Clock, Timestamp};
use rand::rngs::StdRng;
use serde_json::json;
use ssh_key::{Algorithm, HashAlg, PrivateKey};

fn main() {
    divan::main();
}

const POLICY: &str = r#"
[roles.production-observer]
accounts = ["observer"]
max_validity = "15m"
extensions = ["permit-pty"]
[[grants]]
groups = ["Ops"]
roles = ["production-observer"]
[[tests]]
who = { groups = ["Ops"] }
may = ["production-observer"]
"#;

/// All that a CA has, on a folder of its own.
struct Parts {
    runtime: tokio::runtime::Runtime,
    identities: Identities,
    policy: Policy,
    keyring: Keyring,
    ledger: Arc<Ledger>,
    logins: Logins,
    issuer: Issuer,
    rng: Mutex<StdRng>,
    now: Timestamp,
    _folder: tempfile::TempDir,
}

/// An issuer that signs RS256 and answers for its keys.
struct Issuer {
    url: String,
    key: RsaKeyPair,
}

/// Somebody who signs in.
struct Person {
    key: PrivateKey,
    salt: [u8; 32],
    token: String,
}

static PARTS: LazyLock<Parts> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    std::fs::create_dir(&keys).unwrap();
    private(folder.path());
    private(&keys);
    let mut rng = entropy::from_system();
    let mut make = |name| {
        let kind = KeyKind::Ed25519;
        file::generate(&keys, name, kind, Lock::Open, &mut rng).unwrap()
    };
    make(IDENTITY);
    let set = key_set::first(FirstKeySet {
        name: "ca.example.com",
        epoch: 1,
        created: Clock::System.now(),
        keys: &PURPOSES.map(|purpose| (purpose, make(file_name(purpose)))),
        tls_pins: Vec::new(),
    });
    let issuer = Issuer::start();
    let config = format!(
        "url = \"http://127.0.0.1:1\"\n[listen]\ntls = \"none\"\n[[issuers]]\nissuer = \"{}\"\n\
         [[issuers.clients]]\nid = \"jit-ssh\"\n",
        issuer.url
    );
    let config = Config::parse(&config).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let now = Clock::System.now();
    let ledger = Ledger::open(
        StoreOptions::new(folder.path().join("ledger.db")),
        entropy::from_system(),
    )
    .unwrap();
    let identities = Identities::new(config.issuers.clone(), FetchClient::new(&[]).unwrap(), None);
    runtime.block_on(identities.warm(now));
    Parts {
        identities,
        policy: Policy::parse(POLICY, &IssuerFacts::from(config.issuers.as_slice())).unwrap(),
        keyring: LockedKeyring::read(&KeyFolder::read(&keys).unwrap(), &set)
            .unwrap()
            .unlock(None)
            .unwrap(),
        logins: Logins::new(Arc::clone(&ledger)),
        ledger,
        runtime,
        issuer,
        rng: Mutex::new(rng),
        now,
        _folder: folder,
    }
});

fn private(folder: &Path) {
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).unwrap();
}

impl Issuer {
    fn start() -> Self {
        let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        // RFC 8017 A.1.1 in DER: two headers of four bytes and a zero, the 256 bytes of the modulus.
        let modulus = &key.public_key().as_ref()[9..265];
        let keys = json!({ "keys": [{
            "kty": "RSA", "kid": "1", "alg": "RS256", "use": "sig",
            "n": text(modulus), "e": "AQAB",
        }]});
        let discovery = json!({
            "issuer": url,
            "authorization_endpoint": format!("{url}/authorize"),
            "token_endpoint": format!("{url}/token"),
            "jwks_uri": format!("{url}/keys"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        });
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let first = lines.next().unwrap().unwrap();
                while lines
                    .next()
                    .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
                {}
                let body = if first.contains("/keys") {
                    &keys
                } else {
                    &discovery
                }
                .to_string();
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
                     connection: close\r\n\r\n{body}",
                    body.len()
                );
            }
        });
        Issuer { url, key }
    }

    fn token(&self, subject: &str, nonce: &str, now: Timestamp) -> String {
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = part(json!({ "alg": "RS256", "kid": "1", "typ": "JWT" }));
        let seconds = now.seconds();
        let claims = part(json!({
            "iss": self.url, "aud": "jit-ssh", "sub": subject, "nonce": nonce,
            "iat": seconds, "exp": seconds + 3600, "groups": ["Ops", "Everyone"],
            "email": "alice@example.com", "email_verified": true, "name": "Alice",
        }));
        let signed = format!("{head}.{claims}");
        let mut signature = vec![0; self.key.public_modulus_len()];
        let random = SystemRandom::new();
        self.key
            .sign(
                &RSA_PKCS1_SHA256,
                &random,
                signed.as_bytes(),
                &mut signature,
            )
            .unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

impl Person {
    fn new() -> Self {
        let mut rng = PARTS.rng.lock().unwrap();
        let key = PrivateKey::random(&mut *rng, Algorithm::Ed25519).unwrap();
        let salt: [u8; 32] = entropy::bytes(&mut *rng);
        let nonce = binding::nonce(&key.public_key().to_bytes().unwrap(), &Salt::new(salt));
        let subject: String = salt
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let token = PARTS.issuer.token(&subject, &nonce, PARTS.now);
        Person { key, salt, token }
    }

    fn proof(&self) -> String {
        let id = ProofId([7; 16]);
        let message = proof::message(&request(b"{}"), 0, id);
        let signature = self
            .key
            .sign(proof::NAMESPACE, HashAlg::Sha512, message.as_bytes())
            .unwrap();
        ProofHeader::encode(0, id, &signature).unwrap()
    }

    fn verified(&self) -> VerifiedToken {
        let blob = self.key.public_key().to_bytes().unwrap();
        let opening = Opening {
            id_token: &self.token,
            access_token: None,
            salt: Salt::new(self.salt),
            login_key: &blob,
            named_key: None,
        };
        PARTS
            .runtime
            .block_on(PARTS.identities.verify_opening_of(
                opening,
                |_| Ok::<_, IdentityError>(()),
                PARTS.now,
            ))
            .unwrap()
    }

    fn login(&self) -> LiveLogin {
        let open = OpenLogin {
            token: self.verified(),
            login_key: self.key.public_key().clone(),
            certified_key: AcceptedKey::new(self.key.public_key()).unwrap(),
            longest: Duration::from_secs(8 * 3600),
            source: None,
            request: "bench",
        };
        PARTS.logins.open(open, PARTS.now).unwrap()
    }
}

fn request(body: &[u8]) -> proof::Request<'_> {
    let (method, path_and_query) = ("POST", "/v1/certificates");
    proof::Request {
        method,
        path_and_query,
        ca_name: "127.0.0.1",
        epoch: 1,
        body,
    }
}

fn decide(login: &LiveLogin) -> Grant {
    PARTS
        .policy
        .decide(&login.identity, &Ask::default(), PARTS.now)
        .unwrap()
}

fn certificate(login: &LiveLogin, grant: &Grant) -> CertificateToSign {
    let id = login.id.to_string();
    let facts = LoginFacts {
        id: &id,
        name: "alice",
        ends: login.ends,
    };
    let ca = PARTS.keyring.user_ca();
    let ask = UserCertificate {
        grant,
        key: &login.certified_key,
        login: facts,
        ca,
        now: PARTS.now,
    };
    CertificateToSign::user(&ask, &mut *PARTS.rng.lock().unwrap()).unwrap()
}

fn context(login: LiveLogin) -> Context {
    Context {
        login,
        username: None,
        request: "bench".to_owned(),
        source: None,
        policy: PARTS.policy.digest().to_owned(),
        outage: false,
        now: PARTS.now,
    }
}

#[divan::bench]
fn a_json(bencher: Bencher) {
    let person = Person::new();
    let salt = Salt::new(person.salt).encode();
    let body = json!({ "open": { "id_token": person.token, "salt": salt } }).to_string();
    bencher.bench(|| serde_json::from_slice::<CertificateRequest>(body.as_bytes()).unwrap());
}

#[divan::bench]
fn b_proof(bencher: Bencher) {
    let header = Person::new().proof();
    bencher.bench(|| {
        let header = ProofHeader::parse(&header).unwrap();
        verify_proof(&header, &request(b"{}")).unwrap();
    });
}

#[divan::bench]
fn c_token_rs256(bencher: Bencher) {
    let person = Person::new();
    bencher.bench(|| person.verified());
}

#[divan::bench]
fn d_policy(bencher: Bencher) {
    let login = Person::new().login();
    bencher.bench(|| decide(&login));
}

#[divan::bench]
fn e_certificate(bencher: Bencher) {
    let login = Person::new().login();
    let grant = decide(&login);
    bencher.bench(|| certificate(&login, &grant));
}

/// One at a time: every commit is waited for.
#[divan::bench(sample_count = 200, sample_size = 1)]
fn f_record(bencher: Bencher) {
    bencher
        .with_inputs(|| {
            let login = Person::new().login();
            let certificate = certificate(&login, &decide(&login));
            (certificate, context(login))
        })
        .bench_values(|(certificate, context)| {
            PARTS
                .runtime
                .block_on(PARTS.ledger.record(certificate, context))
                .unwrap()
        });
}

#[divan::bench(sample_count = 200, sample_size = 1)]
fn g_signature_with_last_look(bencher: Bencher) {
    bencher
        .with_inputs(|| {
            let login = Person::new().login();
            let certificate = certificate(&login, &decide(&login));
            PARTS
                .runtime
                .block_on(PARTS.ledger.record(certificate, context(login)))
                .unwrap()
        })
        .bench_values(|recorded| PARTS.keyring.sign(recorded).unwrap());
}

#[divan::bench(sample_count = 200, sample_size = 1)]
fn h_whole(bencher: Bencher) {
    bencher
        .with_inputs(|| {
            let person = Person::new();
            let proof = person.proof();
            (person, proof)
        })
        .bench_values(|(person, proof)| {
            let header = ProofHeader::parse(&proof).unwrap();
            verify_proof(&header, &request(b"{}")).unwrap();
            let login = person.login();
            let certificate = certificate(&login, &decide(&login));
            let recorded = PARTS
                .runtime
                .block_on(PARTS.ledger.record(certificate, context(login)))
                .unwrap();
            PARTS.keyring.sign(recorded).unwrap()
        });
}
