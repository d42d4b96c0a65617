//! The issuers that this CA believes, as the configuration names them: checked, never a pattern.
//!
//! In: what `config/issuers.rs` read. Out: one [`IssuerConfig`] each, found by the byte-equal `iss`
//! of a token (A9); its clients decide the audience, and the audience decides the flow (A5).
//! Invariant 3 lives on these values: algorithms, clock offset, ages. Facts about what an issuer can
//! never say (docs/idp) are here too, so that policy refuses at load what could never come true.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jit_ssh_api::discovery::Flow;
use serde::{Deserialize, Serialize};

use crate::identity::Issuer;
use crate::identity::provider::Preset;

/// One OpenID provider, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerConfig {
    /// Issuer identifier, byte for byte as the ID token's `iss`.
    pub issuer: Issuer,
    /// What a person calls it ("Okta").
    pub label: String,
    /// Which provider it is: its habits.
    pub preset: Preset,
    /// The clients registered there; a token's audience is exactly one of them.
    pub clients: Vec<ClientConfig>,
    /// Signature algorithms taken from this issuer, asymmetric ones only.
    pub algorithms: BTreeSet<Algorithm>,
    /// Added to `iat`, which ages count from: Entra dates its tokens back by 300 s. `nbf` needs
    /// nothing: dated back, it only opens earlier.
    pub clock_offset: Duration,
    /// How long the identity of a token counts as fresh; after that a refreshed token is due.
    pub identity_max_age: Duration,
    /// The oldest token, counted from `iat` + [`IssuerConfig::clock_offset`], that opens or
    /// refreshes a login.
    pub max_token_age: Duration,
    /// Shorter limit for logins through this issuer than the CA's own.
    pub max_login: Option<Duration>,
    /// Where groups come from.
    pub groups: GroupsSource,
    /// Claims that name a person for ever, beside `iss`: `["sub"]`, Entra: `["tid", "oid"]`.
    pub person_key: Vec<String>,
    /// E-mail addresses of this issuer count, where `email_verified` is true (A20).
    pub trust_email: bool,
    /// Claims that every token must have with exactly this value: `hd`, `tid` (A22).
    pub require: BTreeMap<String, String>,
    /// What tokens of this issuer can say at all.
    pub can_say: CanSay,
}

/// One OAuth client registered at an issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConfig {
    /// Client identifier: the audience of its tokens.
    pub id: String,
    /// Public "secret" that some providers insist on for native clients (Google); told to every
    /// `jit-ssh`, so no secret of ours.
    pub secret: Option<String>,
    /// What this client may be used for.
    pub flows: Vec<Flow>,
    /// Loopback redirect address without a port.
    pub redirect: String,
    /// Ports registered for it; empty: any free one.
    pub redirect_ports: Vec<u16>,
    /// Scopes to ask for, `openid` among them.
    pub scopes: Vec<String>,
    /// Further parameters of the authorization request.
    pub extra: BTreeMap<String, String>,
}

/// Where an issuer says which groups a person is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupsSource {
    /// It does not (Google).
    Nowhere,
    /// A claim of the ID token, by its literal name, else by a path of names (`realm_access.roles`).
    Claim(String),
    /// The same, but at the userinfo endpoint (Okta's org authorization server).
    Userinfo(String),
}

impl GroupsSource {
    /// Whether the CA needs the access token beside the ID token.
    pub fn is_userinfo(&self) -> bool {
        matches!(self, GroupsSource::Userinfo(_))
    }
}

/// What tokens of an issuer can say; a policy that asks for the rest does not load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CanSay {
    /// How the person signed in (`amr`).
    pub amr: bool,
    /// Authentication context class (`acr`).
    pub acr: bool,
    /// Entra's authentication contexts (`acrs`).
    pub acrs: bool,
    /// When the person signed in (`auth_time`).
    pub auth_time: bool,
    /// Groups.
    pub groups: bool,
    /// An e-mail address that counts: trusted and verified.
    pub email: bool,
}

/// Signature algorithms of ID tokens (RFC 7518 §3.1, RFC 8037, RFC 9864); none is symmetric (A1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of RFC 7518 §3.1")]
pub enum Algorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    ES512,
    /// Ed25519 under either name: `EdDSA` (RFC 8037) or `Ed25519` (RFC 9864).
    #[serde(alias = "Ed25519")]
    EdDSA,
}

impl Algorithm {
    /// Every algorithm that can be configured.
    pub const ALL: [Algorithm; 10] = [
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::ES512,
        Algorithm::EdDSA,
    ];

    /// Reads the name exactly as a header or a configuration writes it.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "Ed25519" => Some(Algorithm::EdDSA),
            _ => Self::ALL
                .into_iter()
                .find(|algorithm| algorithm.name() == name),
        }
    }

    /// The registered name.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::RS256 => "RS256",
            Algorithm::RS384 => "RS384",
            Algorithm::RS512 => "RS512",
            Algorithm::PS256 => "PS256",
            Algorithm::PS384 => "PS384",
            Algorithm::PS512 => "PS512",
            Algorithm::ES256 => "ES256",
            Algorithm::ES384 => "ES384",
            Algorithm::ES512 => "ES512",
            Algorithm::EdDSA => "EdDSA",
        }
    }
}

impl IssuerConfig {
    /// The client that a token's audience names, if it is exactly one of ours (A5).
    pub fn client(&self, id: &str) -> Option<&ClientConfig> {
        self.clients.iter().find(|client| client.id == id)
    }

    /// What stands against these values, each as a sentence for the operator.
    pub fn check(&self) -> Result<(), Vec<IssuerConfigError>> {
        use IssuerConfigError as E;
        let mut errors = Vec::new();
        let issuer = self.issuer.as_ref();
        match url::Url::parse(issuer) {
            Ok(url) if crate::identity::fetch::is_allowed(&url) => {
                if url.query().is_some() || url.fragment().is_some() {
                    errors.push(E::IssuerUrl(issuer.to_owned()));
                }
            }
            Ok(_) => errors.push(E::NotHttps(issuer.to_owned())),
            Err(_) => errors.push(E::IssuerUrl(issuer.to_owned())),
        }
        if self.clients.is_empty() {
            errors.push(E::NoClient(issuer.to_owned()));
        }
        let mut ids = BTreeSet::new();
        for client in &self.clients {
            if client.id.trim().is_empty() || !ids.insert(client.id.as_str()) {
                errors.push(E::ClientId(client.id.clone()));
            }
            if client.flows.is_empty() {
                errors.push(E::NoFlow(client.id.clone()));
            }
            if !client.scopes.iter().any(|scope| scope == "openid") {
                errors.push(E::NoOpenidScope(client.id.clone()));
            }
            if !matches!(
                client.redirect.as_str(),
                "http://127.0.0.1/callback" | "http://localhost/callback"
            ) {
                errors.push(E::Redirect(client.redirect.clone()));
            }
        }
        if self.algorithms.is_empty() {
            errors.push(E::NoAlgorithm(issuer.to_owned()));
        }
        if self.person_key.is_empty() || self.person_key.iter().any(String::is_empty) {
            errors.push(E::PersonKey(issuer.to_owned()));
        }
        if let GroupsSource::Claim(path) | GroupsSource::Userinfo(path) = &self.groups
            && path.split('.').any(str::is_empty)
        {
            errors.push(E::GroupsPath(path.clone()));
        }
        if self
            .require
            .iter()
            .any(|(name, value)| name.is_empty() || value.is_empty())
        {
            errors.push(E::Require(issuer.to_owned()));
        }
        if self.clock_offset > Duration::from_secs(15 * 60) {
            errors.push(E::ClockOffset(self.clock_offset));
        }
        if self.identity_max_age.is_zero() || self.max_token_age.is_zero() {
            errors.push(E::ZeroAge(issuer.to_owned()));
        }
        errors.extend(self.preset.check(self));
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors)
        }
    }
}

/// Why an issuer cannot be configured so; every case is the operator's to mend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant is its sentence")]
pub enum IssuerConfigError {
    #[error("`{0}` is not an issuer URL (https, no query, no fragment)")]
    IssuerUrl(String),
    #[error("issuer `{0}` must be https (http is for loopback only)")]
    NotHttps(String),
    #[error(
        "issuer `{0}` has no client: add [[issuers.clients]] with the client id registered there"
    )]
    NoClient(String),
    #[error("client id `{0}` is empty or stands there twice")]
    ClientId(String),
    #[error("client `{0}` has no flow: add flows = [\"loopback\"] or [\"paste\"]")]
    NoFlow(String),
    #[error("client `{0}` must ask for the scope `openid`")]
    NoOpenidScope(String),
    #[error("redirect `{0}` must be http://127.0.0.1/callback or http://localhost/callback")]
    Redirect(String),
    #[error("issuer `{0}` has no signature algorithm")]
    NoAlgorithm(String),
    #[error(
        "issuer `{0}` needs a person_key: [\"sub\"], or the claims that name a person for ever"
    )]
    PersonKey(String),
    #[error("groups claim `{0}` has an empty name in it")]
    GroupsPath(String),
    #[error("issuer `{0}` requires a claim without a name or without a value")]
    Require(String),
    #[error("a clock_offset of {0:?} is more than fifteen minutes")]
    ClockOffset(Duration),
    #[error("identity_max_age and max_token_age of issuer `{0}` must be more than zero")]
    ZeroAge(String),
    #[error(
        "issuer `{0}`: an Entra ID issuer names its tenant, https://login.microsoftonline.com/\
         TENANT-GUID/v2.0; not `common`, `organizations` or a domain"
    )]
    EntraTenant(String),
    #[error(
        "issuer `{0}`: Entra ID never says that an e-mail address is verified; remove trust_email"
    )]
    EntraEmail(String),
    #[error(
        "issuer `{0}`: name your Google Workspace domain, require = {{ hd = \"example.com\" }}; \
         without it everybody with a Google account could sign in"
    )]
    GoogleDomain(String),
    #[error(
        "issuer `{0}`: no token of Google ever has groups; grant to users, or put a broker in front"
    )]
    GoogleGroups(String),
}
