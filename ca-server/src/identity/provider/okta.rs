//! Okta, org or custom authorization server. Redirect addresses are compared whole, port included,
//! so three ports are registered; the org server gives groups at userinfo only.

use std::collections::BTreeSet;

use crate::identity::issuer::{Algorithm, ClientConfig, GroupsSource, IssuerConfig};

/// RS256 throughout. An issuer without a path is the org server: groups at userinfo.
pub(super) fn defaults(mut config: IssuerConfig) -> IssuerConfig {
    config.label = "Okta".to_owned();
    config.algorithms = BTreeSet::from([Algorithm::RS256]);
    config.can_say.acrs = false;
    if !config.issuer.as_ref().contains("/oauth2/") {
        config.groups = GroupsSource::Userinfo("groups".to_owned());
    }
    config
}

/// Exact redirect addresses; `groups` is a scope of its own here.
pub(super) fn client_defaults(mut client: ClientConfig) -> ClientConfig {
    client.redirect_ports = vec![10001, 11110, 12321];
    client
        .scopes
        .extend(["groups", "offline_access"].map(str::to_owned));
    client
}
