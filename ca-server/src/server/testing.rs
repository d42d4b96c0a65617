//! A data folder and a CA on it, for tests of this crate: real files, real keys, a clock that a test
//! moves, and people who are signed in without an identity provider.

#![expect(clippy::disallowed_methods, reason = "a test's own files")]

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http_body_util::BodyExt as _;
use hyper::body::Bytes;
use jit_ssh_api::host::HostReport;
use jit_ssh_api::problem::Problem;
use jit_ssh_api::proof::{self, ProofHeader, ProofId};
use ssh_key::{Algorithm, HashAlg, PrivateKey, PublicKey};

use crate::certificate::AcceptedKey;
use crate::data::KEYS;
use crate::entropy;
use crate::http::address::Peer;
use crate::http::{Body, handle};
use crate::identity::{
    Email, Group, IdentityFacts, Issuer, Subject, VerifiedIdentity, VerifiedToken,
};
use crate::ledger::LedgerError;
use crate::login::{KeyHash, OpenLogin};
use crate::server::state::State;
use crate::server::{Running, ServeOptions, start};
use crate::signer::file::{self, Lock};
use crate::signer::{IDENTITY, KeyKind, KeyPair, PURPOSES, file_name, key_set};
use crate::store::hosts::{HostKeyRow, HostRow};
use crate::time::{Clock, Timestamp};

pub(crate) const NAME: &str = "ca.example.com";
pub(crate) const ISSUER: &str = "https://idp.example.com";

pub(crate) const CONFIG: &str = r#"
name = "ca.example.com"
url = "https://ca.example.com"
hosts = ["*.prod.example.com"]

[listen]
address = "127.0.0.1:0"
tls = "none"

[[issuers]]
issuer = "https://idp.example.com"
preset = "generic"

[[issuers.clients]]
id = "jit-ssh"
flows = ["loopback", "paste"]
"#;

pub(crate) const POLICY: &str = r#"
order = ["production-observer", "production-admin"]

[roles.production-observer]
description = "Read-only access to production"
accounts = ["observer"]
max_validity = "15m"
extensions = ["permit-pty"]

[roles.production-admin]
description = "All of production"
accounts = ["admin"]
max_validity = "5m"
extensions = ["permit-pty"]

[[grants]]
groups = ["Ops"]
roles = ["production-observer"]

[[grants]]
groups = ["Admins"]
roles = ["production-admin"]

[[rights]]
groups = ["Security"]
may = ["audit", "logins", "policy", "keys", "hosts", "revoke"]

[[tests]]
who = { groups = ["Ops"] }
may = ["production-observer"]
may_not = ["production-admin"]
"#;

/// Now, when a test begins.
pub(crate) const START: Timestamp = Timestamp::from_seconds(1_795_000_000);

/// A CA that serves a folder of its own.
pub(crate) struct TestCa {
    pub(crate) running: Running,
    pub(crate) clock: Clock,
    pub(crate) folder: tempfile::TempDir,
}

/// A data folder with keys, key set, configuration and policy.
pub(crate) fn data_folder() -> tempfile::TempDir {
    data_folder_of(KeyKind::Ed25519)
}

/// The same with keys of that kind.
pub(crate) fn data_folder_of(kind: KeyKind) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let mut rng = entropy::from_system();
    let keys = data.join(KEYS);
    std::fs::create_dir(&keys).unwrap();
    for path in [data, &keys] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    file::generate(&keys, IDENTITY, kind, Lock::Open, &mut rng).unwrap();
    let keys_of = PURPOSES.map(|purpose| {
        (
            purpose,
            file::generate(&keys, file_name(purpose), kind, Lock::Open, &mut rng).unwrap(),
        )
    });
    let set = key_set::first(key_set::FirstKeySet {
        name: NAME,
        epoch: 1,
        created: START,
        keys: &keys_of,
        tls_pins: Vec::new(),
    });
    let identity = file::unlock(&keys, IDENTITY, None).unwrap();
    let identity = KeyPair::from_private(&identity).unwrap();
    key_set::write(data, &key_set::sign(&identity, &set).unwrap()).unwrap();
    put(data, "ca.toml", CONFIG);
    put(data, "policy.toml", POLICY);
    folder
}

/// Writes a file of the data folder.
pub(crate) fn put(data: &Path, name: &str, text: &str) {
    std::fs::write(data.join(name), text).unwrap();
}

/// Starts a CA.
pub(crate) async fn ca() -> TestCa {
    ca_in(data_folder()).await
}

/// Starts a CA of the profile `fips`.
pub(crate) async fn fips_ca() -> TestCa {
    let folder = data_folder_of(KeyKind::P256);
    let config = format!("profile = \"fips\"\n{CONFIG}");
    put(folder.path(), "ca.toml", &config);
    ca_in(folder).await
}

/// Starts a CA on that folder.
pub(crate) async fn ca_in(folder: tempfile::TempDir) -> TestCa {
    let clock = Clock::manual(START);
    let options = ServeOptions {
        data: folder.path().to_owned(),
        clock: clock.clone(),
        passphrase: None,
        listen: None,
    };
    let running = start(options).await.unwrap();
    TestCa {
        running,
        clock,
        folder,
    }
}

/// A person with a key.
pub(crate) struct Person {
    pub(crate) key: PrivateKey,
    pub(crate) email: Option<&'static str>,
    name: &'static str,
    groups: &'static [&'static str],
}

impl Person {
    pub(crate) fn new(name: &'static str, groups: &'static [&'static str]) -> Self {
        Self::with(Algorithm::Ed25519, name, groups)
    }

    /// With a key of that kind.
    pub(crate) fn with(
        algorithm: Algorithm,
        name: &'static str,
        groups: &'static [&'static str],
    ) -> Self {
        let key = PrivateKey::random(&mut entropy::from_system(), algorithm).unwrap();
        Person {
            key,
            email: None,
            name,
            groups,
        }
    }
}

/// A proof that a test can spoil.
pub(crate) struct Proof {
    pub(crate) time: Timestamp,
    pub(crate) id: ProofId,
    pub(crate) name: &'static str,
    pub(crate) epoch: u64,
    pub(crate) namespace: &'static str,
}

impl TestCa {
    pub(crate) fn state(&self) -> &Arc<State> {
        &self.running.state
    }

    pub(crate) fn proof(&self) -> Proof {
        let id = ProofId(entropy::bytes(&mut entropy::from_system()));
        let time = self.clock.now();
        Proof {
            time,
            id,
            name: NAME,
            epoch: 1,
            namespace: proof::NAMESPACE,
        }
    }

    /// From now on the person's key is the first key of a living host, as far as the memory knows.
    pub(crate) fn be_host(&self, person: &Person) {
        let public = person.key.public_key();
        let row = HostRow {
            number: 1,
            id: "hhhhhhhhhhhhhhhhhhhhhhhhhh".to_owned(),
            names: vec!["web-1.prod.example.com".to_owned()],
            labels: BTreeMap::new(),
            invitation: 1,
            enrolled: START,
            record: 1,
            certificate_ends: START,
            report: HostReport::default(),
            seen: START,
            bundle: None,
            revoked: None,
            keys: vec![HostKeyRow {
                hash: KeyHash::of(public).0,
                blob: public.to_bytes().unwrap(),
            }],
        };
        self.state().ledger.hosts().lives(Arc::new(row));
    }

    /// Signs a request.
    pub(crate) fn sign(
        &self,
        person: &Person,
        proof: &Proof,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> String {
        let request = proof::Request {
            method,
            path_and_query: path,
            ca_name: proof.name,
            epoch: proof.epoch,
            body,
        };
        let message = proof::message(&request, proof.time.seconds(), proof.id);
        let signature = person
            .key
            .sign(proof.namespace, HashAlg::Sha512, message.as_bytes())
            .unwrap();
        ProofHeader::encode(proof.time.seconds(), proof.id, &signature).unwrap()
    }

    /// A login of that person, as if a token had opened it now.
    pub(crate) async fn sign_in(&self, person: &Person) {
        self.try_sign_in(person).await.unwrap();
    }

    /// The same, where the ledger may refuse.
    pub(crate) async fn try_sign_in(&self, person: &Person) -> Result<(), LedgerError> {
        self.try_sign_in_naming(person, person.key.public_key())
            .await
    }

    /// The same, with that key to certify.
    pub(crate) async fn sign_in_naming(&self, person: &Person, certified: &PublicKey) {
        self.try_sign_in_naming(person, certified).await.unwrap();
    }

    async fn try_sign_in_naming(
        &self,
        person: &Person,
        certified: &PublicKey,
    ) -> Result<(), LedgerError> {
        let now = self.clock.now();
        let snapshot = self.state().snapshot.load_full();
        let issuer = Arc::new(snapshot.config.issuers[0].clone());
        let nonce = entropy::bytes::<16>(&mut entropy::from_system());
        let nonce: String = nonce.iter().map(|byte| format!("{byte:02x}")).collect();
        let identity = IdentityFacts {
            issuer: Issuer::new(ISSUER),
            client_id: "jit-ssh".to_owned(),
            subject: Subject::new(person.name),
            person: format!("[\"{ISSUER}\",\"{}\"]", person.name),
            email: person.email.and_then(Email::parse),
            said_email: None,
            groups: person
                .groups
                .iter()
                .map(|name| Group::new(name))
                .collect::<BTreeSet<_>>(),
            acr: None,
            amr: Vec::new(),
            acrs: Vec::new(),
            auth_time: None,
            claims: BTreeMap::new(),
            issued_at: now,
            expires: now.plus(Duration::from_secs(3600)),
        };
        let token = VerifiedToken {
            identity: VerifiedIdentity::recalled(identity),
            token_id: nonce.clone(),
            nonce: Some(nonce),
            issuer,
        };
        let open = OpenLogin {
            token,
            login_key: person.key.public_key().clone(),
            certified_key: AcceptedKey::new(certified).unwrap(),
            longest: Duration::from_secs(8 * 3600),
            source: None,
            request: "test",
        };
        let login = self.state().logins.open(open, now).unwrap();
        self.state().ledger.record_login(&login, now).await
    }

    /// Sends a request as it is.
    pub(crate) async fn send(&self, peer: Peer, request: Request<Body>) -> Got {
        let answer = handle(self.state(), peer, request).await;
        let (head, body) = answer.into_parts();
        Got {
            head,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    /// Sends a request of a person with a good proof, from an ordinary address.
    pub(crate) async fn ask(&self, person: &Person, method: &str, path: &str, body: &str) -> Got {
        let header = self.sign(person, &self.proof(), method, path, body.as_bytes());
        let request = request(method, path, body).header("authorization", header);
        self.send(peer(), request.body(Body::from(body.to_owned())).unwrap())
            .await
    }
}

/// An ordinary address.
pub(crate) fn peer() -> Peer {
    Peer::Tcp("192.0.2.10".parse().unwrap())
}

/// A request without a proof.
pub(crate) fn request(method: &str, path: &str, body: &str) -> http::request::Builder {
    let builder = Request::builder().method(method).uri(path);
    if body.is_empty() {
        builder
    } else {
        builder.header("content-type", "application/json")
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) head: http::response::Parts,
    pub(crate) body: Bytes,
}

impl Got {
    pub(crate) fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The kind of a refusal, by its name.
    pub(crate) fn refusal(&self) -> &'static str {
        let problem: Problem = self.json();
        problem.kind().unwrap().name()
    }
}
