//! Google Workspace. No token ever has groups, `amr` or `acr`; `hd` names the
//! Workspace and is required, else everybody with a Google account is in (A22). `offline_access`
//! is an error there (D8), and desktop clients must send their public "secret" (D3).

use std::collections::BTreeSet;

use crate::identity::issuer::{
    Algorithm, ClientConfig, GroupsSource, IssuerConfig, IssuerConfigError,
};

/// The one issuer.
pub(super) const ISSUER: &str = "https://accounts.google.com";

/// RS256, no groups; e-mail addresses count, since `hd` is required.
pub(super) fn defaults(mut config: IssuerConfig) -> IssuerConfig {
    config.label = "Google".to_owned();
    config.algorithms = BTreeSet::from([Algorithm::RS256]);
    config.groups = GroupsSource::Nowhere;
    config.trust_email = true;
    config.can_say.amr = false;
    config.can_say.acr = false;
    config.can_say.acrs = false;
    config.can_say.auth_time = false;
    config.can_say.groups = false;
    config.can_say.email = true;
    config
}

/// Desktop clients always get a refresh token; the scope for it is refused.
pub(super) fn client_defaults(client: ClientConfig) -> ClientConfig {
    client
}

/// `hd` is named, groups are not asked for.
pub(super) fn check(config: &IssuerConfig) -> Vec<IssuerConfigError> {
    let mut errors = Vec::new();
    if !config.require.contains_key("hd") {
        errors.push(IssuerConfigError::GoogleDomain(config.issuer.to_string()));
    }
    if config.groups != GroupsSource::Nowhere {
        errors.push(IssuerConfigError::GoogleGroups(config.issuer.to_string()));
    }
    errors
}
