//! A client of the CA's API without any of the client's care: makes keys and proofs, and every
//! field of a proof can be spoiled. What the attack suite speaks.

use std::net::SocketAddr;

use jit_ssh_api::binding::{self, Salt};
use jit_ssh_api::discovery::Discovery;
use jit_ssh_api::issue::CertificateAnswer;
use jit_ssh_api::proof::{self, ProofHeader, ProofId, Request};
use rand::RngCore as _;
use rand::rngs::OsRng;
use serde_json::{Value, json};
use ssh_key::{Algorithm, EcdsaCurve, HashAlg, PrivateKey};

use crate::clock;
use crate::http::{self, Answer};
use crate::idp::Idp;

/// A login key, in memory.
#[derive(Clone, Debug)]
pub struct Key(pub PrivateKey);

impl Key {
    /// Ed25519.
    pub fn new() -> Self {
        Key(PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap())
    }

    /// ECDSA P-256.
    pub fn p256() -> Self {
        let curve = EcdsaCurve::NistP256;
        Key(PrivateKey::random(&mut OsRng, Algorithm::Ecdsa { curve }).unwrap())
    }

    /// Public key line, without a comment.
    pub fn line(&self) -> String {
        let mut public = self.0.public_key().clone();
        public.set_comment("");
        public.to_openssh().unwrap().trim().to_owned()
    }

    /// Wire format of the public key.
    pub fn blob(&self) -> Vec<u8> {
        self.0.public_key().to_bytes().unwrap()
    }

    /// Armoured SSHSIG.
    pub fn sign(&self, namespace: &str, message: &[u8]) -> ssh_key::SshSig {
        self.0.sign(namespace, HashAlg::Sha512, message).unwrap()
    }
}

impl Default for Key {
    fn default() -> Self {
        Key::new()
    }
}

/// Everything that a proof is made of, to be spoiled.
#[derive(Clone, Debug)]
pub struct Proof {
    /// Method that it signs.
    pub method: String,
    /// Path and query that it signs.
    pub path: String,
    /// CA's name that it signs.
    pub name: String,
    /// Epoch that it signs.
    pub epoch: u64,
    /// Body that it signs.
    pub body: Vec<u8>,
    /// Time.
    pub time: u64,
    /// Id.
    pub id: [u8; 16],
    /// SSHSIG namespace.
    pub namespace: String,
}

impl Proof {
    /// The header value, by this key.
    pub fn header(&self, key: &Key) -> String {
        let request = Request {
            method: &self.method,
            path_and_query: &self.path,
            ca_name: &self.name,
            epoch: self.epoch,
            body: &self.body,
        };
        let id = ProofId(self.id);
        let message = proof::message(&request, self.time, id);
        let signature = key.sign(&self.namespace, message.as_bytes());
        ProofHeader::encode(self.time, id, &signature).unwrap()
    }
}

/// A CA at the other end of the wire.
#[derive(Clone, Debug)]
pub struct Wire {
    /// Where it listens, in plain HTTP.
    pub address: SocketAddr,
    /// What it says of itself.
    pub ca: Discovery,
}

/// A login as the test opened it: the key, what bound it, and the token.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Login key.
    pub key: Key,
    /// Salt of the binding.
    pub salt: BindingSalt,
    /// The ID token that opened it.
    pub id_token: String,
    /// What the CA answered.
    pub answer: CertificateAnswer,
}

/// A salt that can be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingSalt(pub [u8; 32]);

impl BindingSalt {
    /// Random.
    pub fn new() -> Self {
        let mut bytes = [0; 32];
        OsRng.fill_bytes(&mut bytes);
        BindingSalt(bytes)
    }

    /// As the API takes it.
    pub fn text(&self) -> String {
        Salt::new(self.0).encode()
    }

    /// The nonce that binds a token to this key.
    pub fn nonce(&self, key: &Key) -> String {
        binding::nonce(&key.blob(), &Salt::new(self.0))
    }
}

impl Default for BindingSalt {
    fn default() -> Self {
        BindingSalt::new()
    }
}

impl Wire {
    /// Asks a CA who it is.
    pub fn new(address: SocketAddr) -> Self {
        let answer = http::send(address, "GET", "/.well-known/jit-ssh", &[], b"");
        assert_eq!(answer.status, 200, "{answer:?}");
        Wire {
            address,
            ca: answer.json(),
        }
    }

    /// A request as it is, without a proof.
    #[track_caller]
    pub fn plain(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        http::send(self.address, method, path, &[], body)
    }

    /// A good proof for a request, to be spoiled.
    pub fn proof(&self, method: &str, path: &str, body: &[u8]) -> Proof {
        let mut id = [0; 16];
        OsRng.fill_bytes(&mut id);
        Proof {
            method: method.to_owned(),
            path: path.to_owned(),
            name: self.ca.name.clone(),
            epoch: self.ca.epoch,
            body: body.to_vec(),
            time: clock::now(),
            id,
            namespace: proof::NAMESPACE.to_owned(),
        }
    }

    /// A request with this `Authorization` header.
    #[track_caller]
    pub fn with(&self, authorization: &str, method: &str, path: &str, body: &[u8]) -> Answer {
        let headers = [("Authorization", authorization)];
        http::send(self.address, method, path, &headers, body)
    }

    /// A request with a good proof.
    #[track_caller]
    pub fn signed(&self, key: &Key, method: &str, path: &str, body: &[u8]) -> Answer {
        let header = self.proof(method, path, body).header(key);
        self.with(&header, method, path, body)
    }

    /// `POST /v1/certificates` with a good proof.
    #[track_caller]
    pub fn ask(&self, key: &Key, request: &Value) -> Answer {
        let body = request.to_string();
        self.signed(key, "POST", "/v1/certificates", body.as_bytes())
    }

    /// The request that opens a login with this token.
    pub fn opening(&self, id_token: &str, salt: &BindingSalt) -> Value {
        json!({ "open": { "id_token": id_token, "salt": salt.text() } })
    }

    /// Opens a login with a token of our making.
    #[track_caller]
    pub fn open_with(&self, key: &Key, salt: &BindingSalt, id_token: &str) -> Answer {
        self.ask(key, &self.opening(id_token, salt))
    }

    /// Opens a login for a person, and gets a certificate.
    #[track_caller]
    pub fn open(&self, idp: &Idp, person: &str) -> Opened {
        let (key, salt) = (Key::new(), BindingSalt::new());
        let id_token = idp.token(person, &salt.nonce(&key)).sign();
        let answer = self.open_with(&key, &salt, &id_token).certificate();
        Opened {
            key,
            salt,
            id_token,
            answer,
        }
    }
}
