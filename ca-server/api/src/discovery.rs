//! `GET /.well-known/jit-ssh`: what a client must know before anybody signed in.
//!
//! Nothing here is believed for being here: the key set is signed by the identity key that clients
//! and hosts pin, and everything that decides about access is decided at the CA.

use serde::{Deserialize, Serialize};

use crate::key_set::SignedKeySet;

/// The CA as it introduces itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discovery {
    /// Always [`crate::API_VERSION`] of the serving CA.
    pub api_version: u32,
    /// The CA's name; part of every proof of possession, so that none fits another CA.
    pub name: String,
    /// Public URL of the CA, without a trailing slash.
    pub url: String,
    /// Epoch of the CA's data; part of every proof. A restore starts a new one.
    pub epoch: u64,
    /// The CA's clock, seconds since 1970-01-01 UTC.
    pub time: u64,
    /// Which kind of keys the CA makes and asks for.
    pub profile: Profile,
    /// Where people sign in.
    pub issuers: Vec<Issuer>,
    /// The CA's keys, signed by its identity key.
    pub key_set: SignedKeySet,
}

/// Which algorithms the CA's own keys and the login keys of its clients use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Ed25519 throughout.
    Standard,
    /// ECDSA P-256 throughout.
    Fips,
}

/// One OpenID provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issuer {
    /// Issuer identifier, byte for byte as the ID token's `iss`.
    pub issuer: String,
    /// What a person calls it ("Okta").
    pub label: String,
    /// The clients registered there for jit-ssh.
    pub clients: Vec<Client>,
    /// The CA wants the access token beside the ID token, to ask the userinfo endpoint for groups.
    #[serde(default)]
    pub userinfo: bool,
    /// Seconds that the identity of a token counts as fresh; after that a refreshed token is due.
    pub identity_max_age: u64,
}

/// One OAuth client of an issuer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Client identifier at the issuer.
    pub client_id: String,
    /// Public "secret" that some providers insist on for native clients (Google).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    /// What this client may be used for.
    pub flows: Vec<Flow>,
    /// Redirect address without a port, for [`Flow::Loopback`]: `http://127.0.0.1/callback` or
    /// `http://localhost/callback`.
    pub redirect: String,
    /// Ports registered for the loopback redirect; empty: any free one.
    #[serde(default)]
    pub redirect_ports: Vec<u16>,
    /// Scopes to ask for, `openid` among them.
    pub scopes: Vec<String>,
    /// Further parameters of the authorization request.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub extra: std::collections::BTreeMap<String, String>,
}

/// How a client gets an authorization code to the person's terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flow {
    /// Loopback redirect on the same machine (RFC 8252 §7.3).
    Loopback,
    /// The CA's own page `/sign-in` as redirect address; the person pastes what it shows.
    Paste,
}
