//! The presets keep what docs/idp says of each provider, and refuse what cannot work there.

use super::*;

const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";

fn configured(preset: Preset, issuer: &str) -> IssuerConfig {
    let mut config = preset.defaults(issuer);
    config.clients.push(preset.client_defaults("client"));
    config
}

#[test]
fn an_issuer_is_known_by_its_address() {
    let entra = format!("https://login.microsoftonline.com/{TENANT}/v2.0");
    for (issuer, preset) in [
        ("https://acme.okta.com", Preset::Okta),
        ("https://acme.okta.com/oauth2/default", Preset::Okta),
        ("https://acme.oktapreview.com", Preset::Okta),
        (entra.as_str(), Preset::Entra),
        ("https://accounts.google.com", Preset::Google),
        ("https://sso.acme.com/realms/acme", Preset::Keycloak),
        ("https://sso.acme.com/auth/realms/acme", Preset::Keycloak),
        ("https://okta.com.evil.tld", Preset::Generic),
        ("https://notokta.com", Preset::Generic),
        ("https://okta.com", Preset::Generic),
        ("https://accounts.google.com.evil.tld", Preset::Generic),
        ("https://acme.eu.auth0.com/", Preset::Generic),
        ("nonsense", Preset::Generic),
    ] {
        assert_eq!(Preset::detect(issuer), preset, "{issuer}");
    }
    for preset in Preset::ALL {
        let name = serde_json::to_value(preset).unwrap();
        assert_eq!(name, preset.name());
    }
}

#[test]
fn every_preset_is_complete_but_for_what_only_the_operator_knows() {
    let entra = format!("https://login.microsoftonline.com/{TENANT}/v2.0");
    for (preset, issuer) in [
        (Preset::Okta, "https://acme.okta.com"),
        (Preset::Entra, entra.as_str()),
        (Preset::Keycloak, "https://sso.acme.com/realms/acme"),
        (Preset::Generic, "https://idp.acme.com"),
    ] {
        configured(preset, issuer).check().unwrap();
    }
    let mut google = configured(Preset::Google, google::ISSUER);
    let errors = google.check().unwrap_err();
    assert_eq!(
        errors,
        [IssuerConfigError::GoogleDomain(google::ISSUER.to_owned())]
    );
    google
        .require
        .insert("hd".to_owned(), "acme.com".to_owned());
    google.check().unwrap();
}

/// A20: nOAuth. A22: without `hd`, everybody with an account.
#[test]
fn what_cannot_work_with_a_provider_is_refused() {
    let issuer = format!("https://login.microsoftonline.com/{TENANT}/v2.0");
    let mut entra = configured(Preset::Entra, &issuer);
    assert_eq!(entra.require["tid"], TENANT);
    entra.trust_email = true;
    assert_eq!(
        entra.check().unwrap_err(),
        [IssuerConfigError::EntraEmail(issuer)]
    );
    for shared in [
        "common",
        "organizations",
        "consumers",
        "acme.onmicrosoft.com",
        "{tenantid}",
    ] {
        let issuer = format!("https://login.microsoftonline.com/{shared}/v2.0");
        let errors = configured(Preset::Entra, &issuer).check().unwrap_err();
        assert!(
            errors.contains(&IssuerConfigError::EntraTenant(issuer.clone())),
            "{issuer}"
        );
    }
    let mut google = configured(Preset::Google, google::ISSUER);
    google
        .require
        .insert("hd".to_owned(), "acme.com".to_owned());
    google.groups = GroupsSource::Claim("groups".to_owned());
    let errors = google.check().unwrap_err();
    assert_eq!(
        errors,
        [IssuerConfigError::GoogleGroups(google::ISSUER.to_owned())]
    );
}

#[test]
fn what_a_provider_can_never_say_is_known() {
    let google = Preset::Google.defaults(google::ISSUER).can_say;
    assert!(!google.groups && !google.amr && !google.acr && !google.auth_time && google.email);
    let entra = Preset::Entra
        .defaults("https://login.microsoftonline.com/x/v2.0")
        .can_say;
    assert!(entra.groups && entra.acrs && !entra.amr && !entra.acr && !entra.email);
    let okta = Preset::Okta.defaults("https://acme.okta.com").can_say;
    assert!(okta.groups && okta.amr && okta.acr && okta.auth_time && !okta.acrs);
}

#[test]
fn habits_are_in_the_presets() {
    let okta = configured(Preset::Okta, "https://acme.okta.com");
    assert!(okta.groups.is_userinfo());
    assert!(!okta.clients[0].redirect_ports.is_empty());
    let custom = Preset::Okta.defaults("https://acme.okta.com/oauth2/default");
    assert_eq!(custom.groups, GroupsSource::Claim("groups".to_owned()));
    let entra = configured(Preset::Entra, "https://login.microsoftonline.com/x/v2.0");
    assert_eq!(entra.clock_offset, Duration::from_secs(300));
    assert_eq!(entra.groups, GroupsSource::Claim("roles".to_owned()));
    assert_eq!(entra.person_key, ["tid", "oid"]);
    assert!(
        entra.clients[0]
            .scopes
            .iter()
            .any(|scope| scope == "offline_access")
    );
    let google = configured(Preset::Google, google::ISSUER);
    assert!(
        !google.clients[0]
            .scopes
            .iter()
            .any(|scope| scope == "offline_access")
    );
    for preset in [Preset::Okta, Preset::Entra, Preset::Google] {
        let config = preset.defaults("https://x.example.com");
        assert_eq!(config.algorithms, BTreeSet::from([Algorithm::RS256]));
    }
}

/// A9, A10, A24
#[test]
fn a_careless_issuer_is_not_configured() {
    let good = || configured(Preset::Generic, "https://idp.acme.com");
    let refused = |change: fn(&mut IssuerConfig)| {
        let mut config = good();
        change(&mut config);
        config.check().unwrap_err()
    };
    good().check().unwrap();
    for issuer in [
        "http://idp.acme.com",
        "http://10.0.0.1",
        "ftp://idp.acme.com",
    ] {
        let errors = configured(Preset::Generic, issuer).check().unwrap_err();
        assert_eq!(errors, [IssuerConfigError::NotHttps(issuer.to_owned())]);
    }
    for issuer in [
        "",
        "idp.acme.com",
        "https://idp.acme.com?x=y",
        "https://idp.acme.com#x",
        "https://",
    ] {
        assert!(
            configured(Preset::Generic, issuer).check().is_err(),
            "{issuer}"
        );
    }
    for issuer in [
        "http://127.0.0.1:9",
        "http://[::1]:9",
        "http://localhost:9",
        "https://a/b/",
    ] {
        configured(Preset::Generic, issuer).check().unwrap();
    }
    use IssuerConfigError as E;
    let name = || "https://idp.acme.com".to_owned();
    assert_eq!(refused(|it| it.clients.clear()), [E::NoClient(name())]);
    assert_eq!(
        refused(|it| it.clients.push(it.clients[0].clone())),
        [E::ClientId("client".into())]
    );
    assert_eq!(
        refused(|it| it.clients[0].id = " ".into()),
        [E::ClientId(" ".into())]
    );
    assert_eq!(
        refused(|it| it.clients[0].flows.clear()),
        [E::NoFlow("client".into())]
    );
    assert_eq!(
        refused(|it| it.clients[0].scopes.clear()),
        [E::NoOpenidScope("client".into())]
    );
    for redirect in [
        "https://evil.tld/callback",
        "http://127.0.0.1:1/callback",
        "http://127.0.0.1/",
    ] {
        let mut config = good();
        config.clients[0].redirect = redirect.to_owned();
        assert_eq!(
            config.check().unwrap_err(),
            [E::Redirect(redirect.to_owned())]
        );
    }
    assert_eq!(
        refused(|it| it.algorithms.clear()),
        [E::NoAlgorithm(name())]
    );
    assert_eq!(refused(|it| it.person_key.clear()), [E::PersonKey(name())]);
    assert_eq!(
        refused(|it| it.person_key.push(String::new())),
        [E::PersonKey(name())]
    );
    assert_eq!(
        refused(|it| it.groups = GroupsSource::Claim("a..b".into())),
        [E::GroupsPath("a..b".into())]
    );
    assert_eq!(
        refused(|it| {
            it.require.insert("hd".into(), String::new());
        }),
        [E::Require(name())]
    );
    assert_eq!(
        refused(|it| it.clock_offset = Duration::from_secs(901)),
        [E::ClockOffset(Duration::from_secs(901))]
    );
    assert_eq!(
        refused(|it| it.max_token_age = Duration::ZERO),
        [E::ZeroAge(name())]
    );
    assert_eq!(
        refused(|it| it.identity_max_age = Duration::ZERO),
        [E::ZeroAge(name())]
    );
}

/// A1
#[test]
fn no_symmetric_algorithm_can_be_configured() {
    for name in [
        "HS256", "HS384", "HS512", "none", "", "rs256", "ES256K", "RSA-OAEP", "dir",
    ] {
        assert_eq!(Algorithm::parse(name), None);
    }
    for algorithm in Algorithm::ALL {
        assert_eq!(Algorithm::parse(algorithm.name()), Some(algorithm));
    }
    assert_eq!(Algorithm::parse("Ed25519"), Some(Algorithm::EdDSA));
}
