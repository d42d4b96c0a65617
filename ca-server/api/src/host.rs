//! Servers that enrol themselves: an invitation, a proof by each host key, host certificates, reports.
//!
//! Every request of a host carries a proof ([`crate::proof`]) by the first of its host keys, as a
//! person's does by the login key. A host can ask for what is its own and for nothing else (A56).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::bundle::SignedBundle;

/// SSHSIG namespace of the signatures in [`HostKey`].
pub const ENROLMENT_NAMESPACE: &str = "jit-ssh-enrolment@v1";

/// Labels of a host: what policy asks for (`env` = `production`).
pub type Labels = BTreeMap<String, String>;

/// Whether a text can be the name or the value of a label: `[a-z0-9._-]`, 1 to 63 of them.
pub fn is_label(text: &str) -> bool {
    let legal = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
    (1..=63).contains(&text.len()) && text.bytes().all(legal)
}

/// `POST /v1/admin/invitations`: what a host that comes with the token may become.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InvitationRequest {
    /// Host name patterns; each name that a host asks for must fit one (`web-*.prod.example.com`;
    /// `*` stands for letters, digits and hyphens within one label).
    pub names: Vec<String>,
    /// The labels that such a host gets.
    #[serde(default)]
    pub labels: Labels,
    /// How often it counts; absent: any number of times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
    /// Networks (CIDR) that it counts from; empty: anywhere.
    #[serde(default)]
    pub from: Vec<String>,
    /// Seconds until it no longer counts.
    pub valid_seconds: u64,
}

/// Answer: the token is shown this once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// Identifier, for lists and to take it back.
    pub id: String,
    /// The secret.
    pub token: String,
    /// When it no longer counts, seconds since 1970-01-01 UTC.
    pub expires: u64,
}

/// `GET /v1/admin/invitations`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitationList {
    /// Those that still count, the newest first.
    pub invitations: Vec<InvitationEntry>,
}

/// An invitation as its operator sees it later, without its token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitationEntry {
    /// Identifier.
    pub id: String,
    /// Host name patterns.
    pub names: Vec<String>,
    /// The labels that such a host gets.
    pub labels: Labels,
    /// How often it still counts; absent: any number of times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
    /// Networks that it counts from; empty: anywhere.
    pub from: Vec<String>,
    /// When it no longer counts, seconds since 1970-01-01 UTC.
    pub expires: u64,
}

/// Answer to `DELETE /v1/admin/invitations/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawn {
    /// Identifier.
    pub id: String,
}

/// Query of `GET /v1/admin/hosts`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostQuery {
    /// Revoked ones too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// Only the host of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// `POST /v1/hosts`: a host joins, or joins again with the same keys.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolmentRequest {
    /// The invitation's secret.
    pub token: String,
    /// Exact host names, lower case; what people type after `ssh`.
    pub names: Vec<String>,
    /// The host's keys; the first one signs the request, and is who the host is from then on.
    pub keys: Vec<HostKey>,
    /// What the host says of itself.
    pub report: HostReport,
}

/// A public host key with the proof that the host has the private one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostKey {
    /// OpenSSH format.
    pub public_key: String,
    /// Armoured SSHSIG over [`enrolment_message`].
    pub signature: String,
}

/// What each key of a host signs: this CA, this epoch, this occasion, together with this first key.
///
/// `secret` is the invitation's token at the enrolment, and the host's identifier later.
pub fn enrolment_message(ca_name: &str, epoch: u64, secret: &str, first_key: &str) -> String {
    let secret = crate::hex(Sha256::digest(secret));
    format!("{ENROLMENT_NAMESPACE}\n{ca_name}\n{epoch}\n{secret}\n{first_key}\n")
}

/// Answer to an enrolment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    /// The host's identifier: random, never used again.
    pub host: String,
    /// One for each key.
    pub certificates: Vec<HostCertificate>,
    /// What to trust from now on.
    pub bundle: SignedBundle,
}

/// A host certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostCertificate {
    /// OpenSSH format, one line.
    pub certificate: String,
    /// Serial, decimal.
    pub serial: String,
    /// End, seconds since 1970-01-01 UTC.
    pub valid_before: u64,
}

/// `POST /v1/hosts/self/certificates`: new certificates for the keys and names that are enrolled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostRenewal {}

/// Answer to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostCertificates {
    /// One for each key.
    pub certificates: Vec<HostCertificate>,
}

/// Query of `GET /v1/hosts/self/bundle`. The answer waits for a newer bundle than the one that the
/// host says to have in force, for `wait` seconds at most; then it is the present one, dated anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleQuery {
    /// Epoch of the bundle in force on the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// Its number: this is the receipt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// Seconds to wait at most; the CA may answer sooner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<u64>,
}

/// `POST /v1/hosts/self/report`: a host's own state, by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostReport {
    /// What `sshd -V` says (`OpenSSH_9.2p1`).
    #[serde(default)]
    pub openssh: String,
    /// Version of `jit-ssh-host`.
    #[serde(default)]
    pub version: String,
    /// What is not as it should be; empty: all is well.
    #[serde(default)]
    pub findings: Vec<Finding>,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// Name of the check.
    pub check: String,
    /// What is wrong, for an operator.
    pub detail: String,
}

/// A host as its operator sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Identifier.
    pub id: String,
    /// Its names.
    pub names: Vec<String>,
    /// Its labels.
    pub labels: Labels,
    /// `SHA256:…` of its keys, the first one first.
    pub keys: Vec<String>,
    /// When it enrolled, seconds since 1970-01-01 UTC.
    pub enrolled: u64,
    /// When it was heard of last.
    pub seen: u64,
    /// The bundle that it has in force, if it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<u64>,
    /// The newest bundle that there is.
    pub newest_bundle: u64,
    /// When the first of its certificates ends.
    pub certificate_ends: u64,
    /// What it said of itself.
    pub report: HostReport,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<u64>,
}

/// `GET /v1/admin/hosts`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostList {
    /// By name; revoked ones are left out unless asked for.
    pub hosts: Vec<Host>,
}

/// `POST /v1/admin/hosts/{id}/labels`: the labels from now on, all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelsRequest {
    /// The labels.
    pub labels: Labels,
}

/// `GET /v1/hosts`: the hosts that a person may reach now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reachable {
    /// By name.
    pub hosts: Vec<ReachableHost>,
    /// Host CA keys, OpenSSH format, for `@cert-authority` lines.
    pub host_ca: Vec<String>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReachableHost {
    /// Its names.
    pub names: Vec<String>,
    /// By which role as which accounts, in the policy's order.
    pub roles: Vec<HostRole>,
}

/// A role on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRole {
    /// The role.
    pub role: String,
    /// The accounts there.
    pub accounts: Vec<String>,
}
