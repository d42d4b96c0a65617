//! Microsoft Entra ID. Tokens are dated back by 300 s, say nothing of `amr` and `acr`
//! (D10) and never that an e-mail address is verified (A20: nOAuth). `sub` is another one for each
//! app registration: a person is tenant and object. App roles are the better groups (claim `roles`);
//! beyond 200 groups the token has none but a pointer, which is refused and never followed (A25).

use std::collections::BTreeSet;
use std::time::Duration;

use crate::identity::issuer::{
    Algorithm, ClientConfig, GroupsSource, IssuerConfig, IssuerConfigError,
};

/// Hosts of the world-wide, the US government's and China's cloud.
pub(super) const HOSTS: [&str; 3] = [
    "login.microsoftonline.com",
    "login.microsoftonline.us",
    "login.partner.microsoftonline.cn",
];

/// App roles, tenant and object, 300 s; the tenant of the issuer is required in each token.
pub(super) fn defaults(mut config: IssuerConfig) -> IssuerConfig {
    config.label = "Entra ID".to_owned();
    config.algorithms = BTreeSet::from([Algorithm::RS256]);
    config.clock_offset = Duration::from_secs(300);
    config.groups = GroupsSource::Claim("roles".to_owned());
    config.person_key = ["tid", "oid"].map(str::to_owned).to_vec();
    config.can_say.amr = false;
    config.can_say.acr = false;
    if let Some(tenant) = tenant(config.issuer.as_ref()) {
        config.require.insert("tid".to_owned(), tenant.to_owned());
    }
    config
}

/// `localhost`, since the portal takes no `127.0.0.1`; a refresh gives an ID token only when asked
/// for with `openid`, which the client sends each time.
pub(super) fn client_defaults(mut client: ClientConfig) -> ClientConfig {
    client.redirect = "http://localhost/callback".to_owned();
    client.scopes.push("offline_access".to_owned());
    client
}

/// The issuer names a tenant by its GUID; no e-mail address is trusted.
pub(super) fn check(config: &IssuerConfig) -> Vec<IssuerConfigError> {
    let mut errors = Vec::new();
    let issuer = config.issuer.to_string();
    if HOSTS.iter().any(|host| issuer.contains(host)) && tenant(&issuer).is_none() {
        errors.push(IssuerConfigError::EntraTenant(issuer.clone()));
    }
    if config.trust_email {
        errors.push(IssuerConfigError::EntraEmail(issuer));
    }
    errors
}

/// The tenant's GUID in an issuer `https://HOST/GUID/v2.0`.
pub(super) fn tenant(issuer: &str) -> Option<&str> {
    let tenant = issuer.strip_suffix("/v2.0")?.rsplit('/').next()?;
    let dashes = [8, 13, 18, 23];
    let is_guid = tenant.len() == 36
        && tenant.bytes().enumerate().all(|(at, byte)| {
            if dashes.contains(&at) {
                byte == b'-'
            } else {
                byte.is_ascii_hexdigit()
            }
        });
    is_guid.then_some(tenant)
}
