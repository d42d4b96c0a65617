//! Any OpenID provider: the rules of OpenID Connect Core 1.0 and nothing beside.

use crate::identity::issuer::{ClientConfig, IssuerConfig};

/// The common defaults as they are.
pub(super) fn defaults(config: IssuerConfig) -> IssuerConfig {
    config
}

/// `offline_access` gets a refresh token where it is known and is ignored where it is not.
pub(super) fn client_defaults(mut client: ClientConfig) -> ClientConfig {
    client.scopes.push("offline_access".to_owned());
    client
}
