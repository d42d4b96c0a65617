//! A host that speaks with the CA's API without any of the daemon's care: keys in memory, and every
//! field of an enrolment can be spoiled.

use std::collections::BTreeMap;

use jit_ssh_api::bundle::{SignedBundle, VerifiedBundle};
use jit_ssh_api::host::{
    ENROLMENT_NAMESPACE, Enrolment, EnrolmentRequest, HostKey, HostReport, Invitation,
    InvitationRequest, enrolment_message,
};
use serde_json::json;
use ssh_key::LineEnding;

use crate::ca::Ca;
use crate::http::Answer;
use crate::wire::{Key, Wire};

/// A host and its keys.
#[derive(Clone, Debug)]
pub struct HostWire {
    /// The CA.
    pub wire: Wire,
    /// The first one is who the host is.
    pub keys: Vec<Key>,
    /// What the CA called it.
    pub id: String,
}

/// An invitation for these names, once, for an hour.
pub fn invitation(names: &[&str], labels: &[(&str, &str)]) -> InvitationRequest {
    InvitationRequest {
        names: names.iter().map(|&name| name.to_owned()).collect(),
        labels: of(labels),
        uses: Some(1),
        from: Vec::new(),
        valid_seconds: 3600,
    }
}

/// Labels.
pub fn of(labels: &[(&str, &str)]) -> BTreeMap<String, String> {
    labels
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

impl Ca {
    /// Invites hosts, at the admin socket.
    #[track_caller]
    pub fn invite(&self, request: &InvitationRequest) -> Invitation {
        let body = json!(request).to_string();
        let answer = self.local("POST", "/v1/admin/invitations", body.as_bytes());
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Invites a host for these names and enrols it.
    #[track_caller]
    pub fn enrol(&self, names: &[&str], labels: &[(&str, &str)]) -> (HostWire, Enrolment) {
        let token = self.invite(&invitation(names, labels)).token;
        HostWire::new(self.wire()).enrolled(&token, names)
    }
}

impl HostWire {
    /// A host with an Ed25519 and a P-256 key, which is not enrolled.
    pub fn new(wire: Wire) -> Self {
        HostWire::with(wire, vec![Key::new(), Key::p256()])
    }

    /// A host with these keys.
    pub fn with(wire: Wire, keys: Vec<Key>) -> Self {
        HostWire {
            wire,
            keys,
            id: String::new(),
        }
    }

    /// A good enrolment, to be spoiled.
    pub fn request(&self, token: &str, names: &[&str]) -> EnrolmentRequest {
        let first = self.keys[0].line();
        let ca = &self.wire.ca;
        let message = enrolment_message(&ca.name, ca.epoch, token, &first);
        let proven = self.keys.iter().map(|key| HostKey {
            public_key: key.line(),
            signature: key
                .sign(ENROLMENT_NAMESPACE, message.as_bytes())
                .to_pem(LineEnding::LF)
                .unwrap(),
        });
        EnrolmentRequest {
            token: token.to_owned(),
            names: names.iter().map(|&name| name.to_owned()).collect(),
            keys: proven.collect(),
            report: HostReport {
                openssh: "OpenSSH_9.2p1".to_owned(),
                version: "0.0.0".to_owned(),
                findings: Vec::new(),
            },
        }
    }

    /// Sends an enrolment, signed by the first key.
    #[track_caller]
    pub fn send(&self, request: &EnrolmentRequest) -> Answer {
        let body = json!(request).to_string();
        self.signed("POST", "/v1/hosts", body.as_bytes())
    }

    /// Enrols with good proofs.
    #[track_caller]
    pub fn enrol(&self, token: &str, names: &[&str]) -> Answer {
        self.send(&self.request(token, names))
    }

    /// Enrols, and is that host from then on.
    #[track_caller]
    pub fn enrolled(mut self, token: &str, names: &[&str]) -> (Self, Enrolment) {
        let answer = self.enrol(token, names);
        assert_eq!(answer.status, 200, "{answer:?}");
        let enrolment: Enrolment = answer.json();
        self.id.clone_from(&enrolment.host);
        (self, enrolment)
    }

    /// A request signed by the first key.
    #[track_caller]
    pub fn signed(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        self.wire.signed(&self.keys[0], method, path, body)
    }

    /// `GET /v1/hosts/self/bundle` with this query.
    #[track_caller]
    pub fn ask_bundle(&self, query: &str) -> Answer {
        self.signed("GET", &format!("/v1/hosts/self/bundle{query}"), b"")
    }

    /// The bundle of now.
    #[track_caller]
    pub fn bundle(&self) -> VerifiedBundle {
        let answer = self.ask_bundle("");
        assert_eq!(answer.status, 200, "{answer:?}");
        self.verified(&answer)
    }

    /// Says to have the bundle of now in force.
    #[track_caller]
    pub fn confirm(&self) {
        let number = self.bundle().bundle().number;
        let epoch = self.wire.ca.epoch;
        let answer = self.ask_bundle(&format!("?epoch={epoch}&number={number}&wait=0"));
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// Says to have that number, and waits for another one.
    #[track_caller]
    pub fn wait(&self, number: u64, seconds: u64) -> VerifiedBundle {
        let epoch = self.wire.ca.epoch;
        let query = format!("?epoch={epoch}&number={number}&wait={seconds}");
        let answer = self.ask_bundle(&query);
        assert_eq!(answer.status, 200, "{answer:?}");
        self.verified(&answer)
    }

    /// An answer as a bundle that the host believes.
    #[track_caller]
    pub fn verified(&self, answer: &Answer) -> VerifiedBundle {
        let bundle: SignedBundle = answer.json();
        let identity = bundle.key_set.identity_key.parse::<ssh_key::PublicKey>();
        let pinned = identity.unwrap().fingerprint(ssh_key::HashAlg::Sha256);
        bundle.verify(&pinned.to_string(), &self.id, None).unwrap()
    }
}
