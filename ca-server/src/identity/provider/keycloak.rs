//! Keycloak. Groups come from a Group Membership mapper, `/Ops` with its default full paths; roles
//! from `realm_access.roles` once that mapper says ID token. Its access, refresh and logout tokens
//! are told by the payload's `typ` (A8), as everywhere. `amr` needs a mapper.

use crate::identity::issuer::{ClientConfig, IssuerConfig};

/// The common defaults, with its name.
pub(super) fn defaults(mut config: IssuerConfig) -> IssuerConfig {
    config.label = "Keycloak".to_owned();
    config.can_say.acrs = false;
    config
}

/// Refresh tokens live with the SSO session; `offline_access` would need a role of the realm.
pub(super) fn client_defaults(client: ClientConfig) -> ClientConfig {
    client
}
