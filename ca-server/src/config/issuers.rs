//! `[[issuers]]`: the preset's values, what the file says on top, and the checks of `identity`.

use crate::config::units::Span;
use crate::config::{Wrong, file};
use crate::identity::issuer::{Algorithm, ClientConfig, GroupsSource, IssuerConfig};
use crate::identity::provider::Preset;

pub(super) fn check(
    issuers: &[file::Issuer],
    max_login: Span,
    wrong: &mut Wrong<'_>,
) -> Vec<IssuerConfig> {
    let mut checked: Vec<IssuerConfig> = Vec::new();
    for (index, written) in issuers.iter().enumerate() {
        let index = index.to_string();
        let at: &[&str] = &["issuers", &index];
        if written.issuer.is_empty() {
            let help = "write its address: issuer = \"https://acme.okta.com\"";
            wrong.at(at, "this issuer has no `issuer`", help);
            continue;
        }
        let config = issuer(written, &index, wrong);
        if let Err(errors) = config.check() {
            for error in errors {
                wrong.at(at, error.to_string(), "");
            }
        }
        if config.max_login.is_some_and(|own| own > max_login.get()) {
            let what = format!("max_login is longer than login.max ({max_login})");
            wrong.at(
                &["issuers", &index, "max_login"],
                what,
                "make it shorter, or login.max longer",
            );
        }
        if checked.iter().any(|other| other.issuer == config.issuer) {
            let what = format!("issuer `{}` stands there twice", written.issuer);
            wrong.at(at, what, "put both clients under one: [[issuers.clients]]");
        }
        checked.push(config);
    }
    checked
}

fn issuer(written: &file::Issuer, index: &str, wrong: &mut Wrong<'_>) -> IssuerConfig {
    let preset = preset(written, index, wrong);
    let mut config = preset.defaults(&written.issuer);
    if !written.label.is_empty() {
        config.label.clone_from(&written.label);
    }
    groups(written, &mut config);
    if let Some(names) = &written.algorithms {
        config.algorithms = names
            .iter()
            .filter_map(|name| {
                let algorithm = Algorithm::parse(name);
                if algorithm.is_none() {
                    wrong.at(
                        &["issuers", index, "algorithms"],
                        format!("`{name}` is no algorithm for ID tokens"),
                        "use RS, PS or ES with 256, 384 or 512, or EdDSA; never HS or none",
                    );
                }
                algorithm
            })
            .collect();
    }
    let set = |target: &mut std::time::Duration, value: Option<Span>| {
        if let Some(value) = value {
            *target = value.get();
        }
    };
    set(&mut config.clock_offset, written.clock_offset);
    set(&mut config.identity_max_age, written.identity_max_age);
    set(&mut config.max_token_age, written.max_token_age);
    config.max_login = written.max_login.map(Span::get).or(config.max_login);
    if let Some(key) = &written.person_key {
        config.person_key.clone_from(key);
    }
    if let Some(trust) = written.trust_email {
        config.trust_email = trust;
        config.can_say.email = trust;
    }
    config.require.extend(written.require.clone());
    for client in &written.clients {
        config.clients.push(self::client(client, preset));
    }
    config
}

fn preset(written: &file::Issuer, index: &str, wrong: &mut Wrong<'_>) -> Preset {
    if written.preset.is_empty() {
        return Preset::detect(&written.issuer);
    }
    let known = Preset::ALL
        .into_iter()
        .find(|preset| preset.name() == written.preset);
    known.unwrap_or_else(|| {
        wrong.at(
            &["issuers", index, "preset"],
            format!("there is no preset `{}`", written.preset),
            "write okta, entra, google, keycloak or generic",
        );
        Preset::Generic
    })
}

fn groups(written: &file::Issuer, config: &mut IssuerConfig) {
    let (claim, userinfo) = match &config.groups {
        GroupsSource::Nowhere => (None, false),
        GroupsSource::Claim(claim) => (Some(claim.clone()), false),
        GroupsSource::Userinfo(claim) => (Some(claim.clone()), true),
    };
    let claim = written.groups_claim.clone().or(claim);
    let userinfo = written.groups_from_userinfo.unwrap_or(userinfo);
    config.groups = match (claim, userinfo) {
        (None, false) => GroupsSource::Nowhere,
        (Some(claim), false) => GroupsSource::Claim(claim),
        (claim, true) => GroupsSource::Userinfo(claim.unwrap_or_else(|| "groups".to_owned())),
    };
    config.can_say.groups = config.groups != GroupsSource::Nowhere;
}

fn client(written: &file::Client, preset: Preset) -> ClientConfig {
    let default = preset.client_defaults(&written.id);
    let written = written.clone();
    ClientConfig {
        id: written.id,
        secret: written.secret.or(default.secret),
        flows: written
            .flows
            .map_or(default.flows, |flows| flows.into_iter().collect()),
        redirect: written.redirect.unwrap_or(default.redirect),
        redirect_ports: written.redirect_ports.unwrap_or(default.redirect_ports),
        scopes: written.scopes.unwrap_or(default.scopes),
        extra: written.extra.unwrap_or(default.extra),
    }
}
