//! Which habits apply to which issuer: one file a provider, all of one shape.
//!
//! In: the name of a preset. Out: defaults for its configuration, and what its tokens need beside
//! the rules that hold for every provider (docs/idp). No provider can loosen a rule of invariant 3.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jit_ssh_api::discovery::Flow;
use serde::{Deserialize, Serialize};

use crate::identity::Issuer;
use crate::identity::issuer::{
    Algorithm, CanSay, ClientConfig, GroupsSource, IssuerConfig, IssuerConfigError,
};

pub mod entra;
pub mod generic;
pub mod google;
pub mod keycloak;
pub mod okta;
mod profile;

pub(crate) use profile::PROTOCOL;
pub(super) use profile::Profile;
pub use profile::ProviderError;

/// A provider whose habits are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Okta, org or custom authorization server.
    Okta,
    /// Microsoft Entra ID.
    Entra,
    /// Google Workspace.
    Google,
    /// Keycloak.
    Keycloak,
    /// Any other OpenID provider.
    #[default]
    Generic,
}

impl Preset {
    /// Every preset, by name.
    pub const ALL: [Preset; 5] = [
        Preset::Okta,
        Preset::Entra,
        Preset::Google,
        Preset::Keycloak,
        Preset::Generic,
    ];

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Preset::Okta => "okta",
            Preset::Entra => "entra",
            Preset::Google => "google",
            Preset::Keycloak => "keycloak",
            Preset::Generic => "generic",
        }
    }

    /// What an issuer URL looks like; [`Preset::Generic`] where it says nothing.
    pub fn detect(issuer: &str) -> Self {
        let Ok(url) = url::Url::parse(issuer) else {
            return Preset::Generic;
        };
        let host = url.host_str().unwrap_or_default();
        let under = |domain: &str| {
            host.strip_suffix(domain)
                .is_some_and(|rest| rest.ends_with('.'))
        };
        if ["okta.com", "okta-emea.com", "oktapreview.com"]
            .into_iter()
            .any(under)
        {
            Preset::Okta
        } else if entra::HOSTS.contains(&host) {
            Preset::Entra
        } else if issuer == google::ISSUER {
            Preset::Google
        } else if url.path().contains("/realms/") {
            Preset::Keycloak
        } else {
            Preset::Generic
        }
    }

    /// The configuration of such an issuer before anything is said about it; clients are empty.
    pub fn defaults(self, issuer: &str) -> IssuerConfig {
        let config = base(self, issuer);
        match self {
            Preset::Okta => okta::defaults(config),
            Preset::Entra => entra::defaults(config),
            Preset::Google => google::defaults(config),
            Preset::Keycloak => keycloak::defaults(config),
            Preset::Generic => generic::defaults(config),
        }
    }

    /// A client of such an issuer before anything but its id is said about it.
    pub fn client_defaults(self, id: &str) -> ClientConfig {
        let client = base_client(id);
        match self {
            Preset::Okta => okta::client_defaults(client),
            Preset::Entra => entra::client_defaults(client),
            Preset::Google => google::client_defaults(client),
            Preset::Keycloak => keycloak::client_defaults(client),
            Preset::Generic => generic::client_defaults(client),
        }
    }

    /// What stands against a configuration beside the rules for every issuer.
    pub(crate) fn check(self, config: &IssuerConfig) -> Vec<IssuerConfigError> {
        match self {
            Preset::Entra => entra::check(config),
            Preset::Google => google::check(config),
            Preset::Okta | Preset::Keycloak | Preset::Generic => Vec::new(),
        }
    }
}

fn base(preset: Preset, issuer: &str) -> IssuerConfig {
    let label = url::Url::parse(issuer)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned))
        .unwrap_or_else(|| issuer.to_owned());
    IssuerConfig {
        issuer: Issuer::new(issuer),
        label,
        preset,
        clients: Vec::new(),
        algorithms: BTreeSet::from(Algorithm::ALL),
        clock_offset: Duration::ZERO,
        identity_max_age: Duration::from_secs(5 * 60),
        max_token_age: Duration::from_secs(10 * 60),
        max_login: None,
        groups: GroupsSource::Claim("groups".to_owned()),
        person_key: vec!["sub".to_owned()],
        trust_email: false,
        require: BTreeMap::new(),
        can_say: CanSay {
            amr: true,
            acr: true,
            acrs: true,
            auth_time: true,
            groups: true,
            email: false,
        },
    }
}

fn base_client(id: &str) -> ClientConfig {
    ClientConfig {
        id: id.to_owned(),
        secret: None,
        flows: vec![Flow::Loopback],
        redirect: "http://127.0.0.1/callback".to_owned(),
        redirect_ports: Vec::new(),
        scopes: ["openid", "profile", "email"].map(str::to_owned).to_vec(),
        extra: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests;
