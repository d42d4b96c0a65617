//! `ca.toml` as it is written: every section, key, type and default, defined once. The parser and
//! `docs/configuration.md` are both made from it. Unknown keys are refused: a misspelt limit is no
//! limit. Nothing but `config` and its sections sees these types.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jit_ssh_api::discovery::Flow;
use serde::{Deserialize, Serialize};

use crate::config::units::{Size, Span};

/// Defines a section: a type for serde whose fields have their defaults, and its documentation.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        struct $name:ident, $path:literal {
            $($(#[doc = $doc:literal])+ $field:ident: $type:ty = $default:expr, $effect:ident;)+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(super) struct $name {
            $($(#[doc = $doc])+ pub(super) $field: $type,)+
        }

        impl Default for $name {
            fn default() -> Self {
                $name { $($field: $default,)+ }
            }
        }

        impl $name {
            fn reference(out: &mut String) {
                let about = [$($about),+];
                let keys = [$(Key {
                    name: stringify!($field),
                    default: shown::<$type>(&$default),
                    effect: Effect::$effect,
                    doc: [$($doc),+].iter().map(|line| line.trim()).collect::<Vec<_>>().join(" "),
                }),+];
                section_reference(out, $path, &about, &keys);
            }
        }
    };
}

/// When a change of a key counts.
#[derive(Clone, Copy)]
enum Effect {
    Reload,
    Restart,
}

struct Key {
    name: &'static str,
    default: String,
    effect: Effect,
    doc: String,
}

section! {
    /// The CA as a whole.
    struct Top, "" {
        /// Name of this CA; part of every proof of possession and of every key set. Empty: the
        /// host of `url`.
        name: String = String::new(), Restart;
        /// Where clients reach this CA, without a path: `https://ca.example.com`. Needed.
        url: String = String::new(), Restart;
        /// `standard` (Ed25519) or `fips` (ECDSA P-256 throughout). Chosen once, at `init`.
        profile: String = "standard".to_owned(), Restart;
        /// Host patterns, as `ssh_config` writes them, where `jit-ssh ensure` gets a certificate;
        /// told to people who are signed in.
        hosts: Vec<String> = Vec::new(), Reload;
        /// PEM file with further CA certificates to believe when identity providers are called,
        /// beside the system's; relative to the data folder.
        extra_ca: String = String::new(), Restart;
    }
}

section! {
    /// Where the CA listens.
    struct Listen, "listen" {
        /// Address and port; port 0 takes a free one.
        address: String = "127.0.0.1:8443".to_owned(), Restart;
        /// `files` (HTTPS with the two files below, read again when they change) or `none` (plain
        /// HTTP, for loopback or behind a proxy).
        tls: String = "files".to_owned(), Restart;
        /// Certificate chain, PEM; relative to the data folder.
        certificate: String = "tls/cert.pem".to_owned(), Restart;
        /// Its private key, PEM; relative to the data folder.
        key: String = "tls/key.pem".to_owned(), Restart;
        /// Allows plain HTTP on an address other than loopback: only where a proxy on the same
        /// trusted network speaks TLS.
        plain_http_beyond_loopback: bool = false, Restart;
        /// Addresses (or networks) of proxies whose `X-Forwarded-For` is believed. From all
        /// others the header is ignored.
        trusted_proxies: Vec<String> = Vec::new(), Reload;
        /// Addresses and networks that may read `/metrics`.
        metrics_from: Vec<String> = vec!["127.0.0.1".to_owned(), "::1".to_owned()], Reload;
    }
}

section! {
    /// Logins: sign-ins at the CA.
    struct Login, "login" {
        /// Longest login; after that people sign in again.
        max: Span = Span::hours(8), Reload;
    }
}

section! {
    /// Limits. None of them is there to be felt: each keeps one caller from taking what all need.
    struct Limits, "limits" {
        /// Connections open at once.
        connections: u32 = 16_384, Reload;
        /// Connections open at once from one address (IPv6: one /64).
        connections_per_peer: u32 = 1024, Reload;
        /// Requests a minute from one address (IPv6: one /64); 0: no limit.
        requests_per_peer: u32 = 6000, Reload;
        /// Certificates and logins a minute for one person; 0: no limit.
        requests_per_person: u32 = 300, Reload;
        /// Certificates a day for one person, and openings and refreshes of logins that end in a
        /// refusal: as many may come at once, after that one each time that a day divided by this is
        /// over. Each is kept in the ledger, some 2 KB and what the token said, for ever; 0: no
        /// limit.
        certificates_per_day: u32 = 5000, Reload;
        /// Largest body of a request.
        body: Size = Size::kib(64), Reload;
        /// How long the TLS handshake, the head of a request and an idle connection may take.
        head_time: Span = Span::seconds(20), Restart;
        /// How long the body of a request may take to arrive.
        body_time: Span = Span::seconds(10), Reload;
        /// How long a caller may take nothing of an answer; then the connection is closed. Counts for
        /// connections made from then on.
        write_time: Span = Span::seconds(20), Reload;
        /// How long an answer may take, the identity provider's included.
        answer_time: Span = Span::seconds(30), Reload;
        /// How long a stop waits for requests that are under way.
        stop_time: Span = Span::seconds(20), Reload;
    }
}

section! {
    /// The log, on standard error.
    struct Log, "log" {
        /// `text` or `json` (one object a line).
        format: String = "text".to_owned(), Restart;
        /// `error`, `warn`, `info` or `debug`.
        level: String = "info".to_owned(), Restart;
    }
}

section! {
    /// The disk under the data folder.
    struct Disk, "disk" {
        /// Below this much free space refusals and reads by admins are counted instead of
        /// recorded; below a quarter of it nothing is issued, and only ends of logins are recorded.
        /// `/readyz` says so.
        reserve: Size = Size::mib(64), Restart;
    }
}

section! {
    /// An OpenID provider; `[[issuers]]` may stand there several times.
    struct Issuer, "[issuers]" {
        /// Issuer identifier, byte for byte as in its tokens. Needed.
        issuer: String = String::new(), Reload;
        /// `okta`, `entra`, `google`, `keycloak` or `generic`: sets the defaults of what follows.
        /// Empty: seen from the issuer's address.
        preset: String = String::new(), Reload;
        /// What people call it.
        label: String = String::new(), Reload;
        /// Claim with the groups, by its name or path (`groups`, `realm_access.roles`,
        /// `https://acme.com/groups`). Not set: as the preset says.
        groups_claim: Option<String> = None, Reload;
        /// The groups are only at the userinfo endpoint; clients then send their access token too.
        groups_from_userinfo: Option<bool> = None, Reload;
        /// Algorithms of ID tokens to accept. Not set: all asymmetric ones.
        algorithms: Option<Vec<String>> = None, Reload;
        /// Added to `iat`: Entra dates its tokens back by 300 s.
        clock_offset: Option<Span> = None, Reload;
        /// How long an identity counts as fresh; after that a refreshed ID token is due.
        identity_max_age: Option<Span> = None, Reload;
        /// Oldest token that opens or refreshes a login.
        max_token_age: Option<Span> = None, Reload;
        /// Longest login through this issuer, where shorter than `login.max`.
        max_login: Option<Span> = None, Reload;
        /// Claims that name a person beside the issuer: `["sub"]`; Entra: `["tid", "oid"]`.
        person_key: Option<Vec<String>> = None, Reload;
        /// Verified e-mail addresses of this issuer may name people in the policy.
        trust_email: Option<bool> = None, Reload;
        /// Claims that must have exactly this value, as `{ hd = "example.com" }`.
        require: BTreeMap<String, String> = BTreeMap::new(), Reload;
        /// The clients registered there: `[[issuers.clients]]`, below.
        clients: Vec<Client> = Vec::new(), Reload;
    }
}

section! {
    /// An OAuth client registered at the issuer above it.
    struct Client, "[issuers.clients]" {
        /// Client id. Needed.
        id: String = String::new(), Reload;
        /// `loopback` (a browser on the same machine) and `paste` (`--no-browser`, through the
        /// CA's page). Not set: as the preset says.
        flows: Option<Vec<Flow>> = None, Reload;
        /// `http://127.0.0.1/callback` or `http://localhost/callback`.
        redirect: Option<String> = None, Reload;
        /// Ports registered for it; empty: any free one. Okta and Auth0 compare the port.
        redirect_ports: Option<Vec<u16>> = None, Reload;
        /// Scopes to ask for, `openid` among them.
        scopes: Option<Vec<String>> = None, Reload;
        /// The public "secret" that Google insists on; every client of this CA is told it.
        secret: Option<String> = None, Reload;
        /// Further parameters of the authorization request.
        extra: Option<BTreeMap<String, String>> = None, Reload;
    }
}

/// The whole file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    name: Option<String>,
    url: Option<String>,
    profile: Option<String>,
    hosts: Option<Vec<String>>,
    extra_ca: Option<String>,
    pub(super) listen: Listen,
    pub(super) login: Login,
    pub(super) limits: Limits,
    pub(super) log: Log,
    pub(super) disk: Disk,
    pub(super) issuers: Vec<Issuer>,
}

impl File {
    /// The keys above the first section (serde cannot flatten and refuse unknown keys at once).
    pub(super) fn top(&self) -> Top {
        let default = Top::default();
        Top {
            name: self.name.clone().unwrap_or(default.name),
            url: self.url.clone().unwrap_or(default.url),
            profile: self.profile.clone().unwrap_or(default.profile),
            hosts: self.hosts.clone().unwrap_or(default.hosts),
            extra_ca: self.extra_ca.clone().unwrap_or(default.extra_ca),
        }
    }
}

/// `docs/configuration.md`.
pub fn reference() -> String {
    let mut out = String::from(HEAD);
    Top::reference(&mut out);
    Listen::reference(&mut out);
    Login::reference(&mut out);
    Issuer::reference(&mut out);
    Client::reference(&mut out);
    Limits::reference(&mut out);
    Log::reference(&mut out);
    Disk::reference(&mut out);
    out
}

fn section_reference(out: &mut String, path: &str, about: &[&str], keys: &[Key]) {
    let title = if path.is_empty() {
        "Above the first section".to_owned()
    } else {
        format!("`[{path}]`")
    };
    let about = about
        .iter()
        .map(|line| line.trim())
        .collect::<Vec<_>>()
        .join(" ");
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "\n## {title}\n\n{about}\n\n| key | default | what |\n|---|---|---|"
    );
    for key in keys {
        let restart = match key.effect {
            Effect::Reload => "",
            Effect::Restart => " *Restart.*",
        };
        let default = match key.default.as_str() {
            "" => String::new(),
            default => format!("`{default}`"),
        };
        let doc = key.doc.replace('|', "\\|");
        let _ = writeln!(out, "| `{}` | {default} | {doc}{restart} |", key.name);
    }
}

/// A default as TOML writes it; nothing for "not set" and for lists of tables.
fn shown<T: Serialize>(value: &T) -> String {
    match toml::Value::try_from(value) {
        Ok(toml::Value::Table(table)) if table.is_empty() => String::new(),
        Ok(toml::Value::String(text)) if text.is_empty() => String::new(),
        Ok(value) => value.to_string(),
        Err(_) => String::new(),
    }
}

impl Serialize for Client {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

const HEAD: &str = "# Configuration: `ca.toml`

<!-- Generated from ca-server/src/config/file.rs; a test writes it anew with UPDATE=1. -->

The file lies in the data folder, beside `policy.toml` (docs/policy.md). Both are read at the start,
on SIGHUP and when they change, as one: a file with an error changes nothing, is told in the log and
in `/readyz`, and the CA goes on with what it had. Keys marked *Restart* count from the next start.

Times are written `90s`, `15m`, `8h`, `7d`; sizes `512KiB`, `64MiB`, `1GiB`. Unknown keys are refused.
";
