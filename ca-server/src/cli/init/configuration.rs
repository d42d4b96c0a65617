//! The first `ca.toml`: what was asked for, and beside it, as comments, what else there is.

use std::fmt::Write as _;

use jit_ssh_api::discovery::Profile;

use crate::identity::Preset;

/// What the person chose.
#[derive(Clone, Debug)]
pub(in crate::cli) struct First {
    pub(in crate::cli) name: String,
    pub(in crate::cli) url: String,
    pub(in crate::cli) profile: Profile,
    pub(in crate::cli) hosts: Vec<String>,
    pub(in crate::cli) extra_ca: Option<String>,
    pub(in crate::cli) listen: String,
    pub(in crate::cli) tls: Tls,
    pub(in crate::cli) issuer: Issuer,
}

/// How the CA speaks TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Tls {
    /// Plain HTTP, on loopback.
    None,
    /// These files.
    Files { certificate: String, key: String },
}

/// The identity provider.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Issuer {
    pub(in crate::cli) issuer: String,
    pub(in crate::cli) preset: Preset,
    pub(in crate::cli) groups_claim: Option<String>,
    pub(in crate::cli) require: Vec<(String, String)>,
    pub(in crate::cli) client_id: String,
    pub(in crate::cli) client_secret: Option<String>,
    pub(in crate::cli) redirect_ports: Vec<u16>,
    /// Empty: the preset's.
    pub(in crate::cli) scopes: Vec<String>,
    /// The provider may send browsers to the CA's own page, for machines without a browser.
    pub(in crate::cli) paste: bool,
}

impl First {
    /// The text of the file.
    pub(in crate::cli) fn text(&self) -> String {
        let mut out = String::from(HEAD);
        // Writing to a string does not fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "name = {}", quoted(&self.name))?;
        writeln!(out, "url = {}", quoted(&self.url))?;
        let profile = match self.profile {
            Profile::Standard => "standard",
            Profile::Fips => "fips",
        };
        writeln!(
            out,
            "profile = {}   # set once: the keys are made for it",
            quoted(profile)
        )?;
        out.write_str("\n# Where a plain `ssh` gets a certificate from `jit-ssh`, as ssh_config writes hosts.\n")?;
        let hosts: Vec<String> = self.hosts.iter().map(|host| quoted(host)).collect();
        let comment = if hosts.is_empty() {
            "   # [\"*.prod.example.com\", \"10.1.*\"]"
        } else {
            ""
        };
        writeln!(out, "hosts = [{}]{comment}", hosts.join(", "))?;
        match &self.extra_ca {
            Some(file) => writeln!(
                out,
                "\n# Signs the TLS certificate of the identity provider.\nextra_ca = {}",
                quoted(file)
            )?,
            None => out.write_str(
                "\n# When a CA of your own signs the identity provider's TLS certificate:\n\
                 # extra_ca = \"issuer-ca.pem\"\n",
            )?,
        }
        writeln!(out, "\n[listen]\naddress = {}", quoted(&self.listen))?;
        match &self.tls {
            Tls::None => {
                out.write_str(
                    "tls = \"none\"   # plain HTTP: loopback only, or behind a proxy that speaks TLS\n",
                )?;
                if self.url.starts_with("https:") {
                    out.write_str(
                        "# The proxy that speaks TLS for this CA. It must set X-Forwarded-For, which is believed from\n\
                         # these alone: else everybody has the proxy's address, in limits, `source` rules and metrics.\n\
                         trusted_proxies = [\"127.0.0.1\", \"::1\"]\n",
                    )?;
                } else {
                    out.write_str(
                        "# trusted_proxies = [\"10.0.0.7\"]   # whose X-Forwarded-For is believed\n",
                    )?;
                }
            }
            Tls::Files { certificate, key } => writeln!(
                out,
                "tls = \"files\"   # read again when they change\ncertificate = {}\nkey = {}",
                quoted(certificate),
                quoted(key)
            )?,
        }
        out.write_str("\n[login]\nmax = \"8h\"   # after that, people sign in again\n")?;
        self.issuer.write(out)
    }
}

impl Issuer {
    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(
            out,
            "\n# Where people sign in; docs/idp says what to click there.\n[[issuers]]\nissuer = {}",
            quoted(&self.issuer)
        )?;
        writeln!(
            out,
            "preset = {}   # sets the defaults of what is left out",
            quoted(self.preset.name())
        )?;
        match &self.groups_claim {
            Some(claim) => writeln!(out, "groups_claim = {}", quoted(claim))?,
            None => out
                .write_str("# groups_claim = \"groups\"   # or a path: \"realm_access.roles\"\n")?,
        }
        if !self.require.is_empty() {
            let pairs: Vec<String> = self
                .require
                .iter()
                .map(|(claim, value)| format!("{} = {}", quoted(claim), quoted(value)))
                .collect();
            writeln!(out, "require = {{ {} }}", pairs.join(", "))?;
        }
        out.write_str("# identity_max_age = \"5m\"   # after that, groups are read afresh\n")?;
        writeln!(
            out,
            "\n[[issuers.clients]]\nid = {}",
            quoted(&self.client_id)
        )?;
        if let Some(secret) = &self.client_secret {
            writeln!(
                out,
                "secret = {}   # public: every client of this CA is told it",
                quoted(secret)
            )?;
        }
        if !self.redirect_ports.is_empty() {
            let ports: Vec<String> = self.redirect_ports.iter().map(u16::to_string).collect();
            writeln!(out, "redirect_ports = [{}]", ports.join(", "))?;
        }
        if !self.scopes.is_empty() {
            let scopes: Vec<String> = self.scopes.iter().map(|scope| quoted(scope)).collect();
            writeln!(out, "scopes = [{}]", scopes.join(", "))?;
        }
        if self.paste {
            out.write_str("flows = [\"loopback\", \"paste\"]\n")?;
        } else {
            out.write_str(
                "# flows = [\"loopback\", \"paste\"]   # paste: with the CA's own page, for `--no-browser`\n",
            )?;
        }
        Ok(())
    }
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

const HEAD: &str = "\
# Configuration of this CA; docs/configuration.md has every key with its default.
# Saving the file (or `systemctl reload jit-ssh-ca`) takes it up as a whole, or says what is wrong
# and goes on with what was. Who may have which role stands beside it, in policy.toml.

";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn first() -> First {
        First {
            name: "ca.example.com".into(),
            url: "https://ca.example.com".into(),
            profile: Profile::Standard,
            hosts: vec!["*.prod.example.com".into()],
            extra_ca: None,
            listen: "[::]:443".into(),
            tls: Tls::Files {
                certificate: "tls/cert.pem".into(),
                key: "tls/key.pem".into(),
            },
            issuer: Issuer {
                issuer: "https://acme.okta.com".into(),
                preset: Preset::Okta,
                groups_claim: None,
                require: Vec::new(),
                client_id: "0oa\"quoted\\".into(),
                client_secret: None,
                redirect_ports: Vec::new(),
                scopes: Vec::new(),
                paste: false,
            },
        }
    }

    #[test]
    fn what_init_writes_is_what_serve_reads() {
        let config = Config::parse(&first().text()).unwrap();
        assert_eq!(config.name, "ca.example.com");
        assert_eq!(config.hosts, ["*.prod.example.com"]);
        assert_eq!(config.issuers.len(), 1);
        assert_eq!(config.issuers[0].clients[0].id, "0oa\"quoted\\");
        assert_eq!(config.issuers[0].preset, Preset::Okta);
    }

    #[test]
    fn behind_a_proxy_the_proxy_is_named_and_without_one_nobody_is() {
        let mut first = first();
        first.listen = "127.0.0.1:8443".into();
        first.tls = Tls::None;
        let config = Config::parse(&first.text()).unwrap();
        let trusts = |config: &Config, address: &str| {
            let address = address.parse().unwrap();
            let mut proxies = config.listen.trusted_proxies.iter();
            proxies.any(|network| network.contains(address))
        };
        assert!(trusts(&config, "127.0.0.1") && trusts(&config, "::1"));
        assert!(!trusts(&config, "127.0.0.2"));
        assert!(!config.has_unknown_proxy());
        first.url = "http://127.0.0.1:8443".into();
        let config = Config::parse(&first.text()).unwrap();
        assert!(config.listen.trusted_proxies.is_empty());
        assert!(!config.has_unknown_proxy());
    }

    #[test]
    fn every_choice_is_read_back() {
        let mut first = first();
        first.profile = Profile::Fips;
        first.extra_ca = Some("issuer-ca.pem".into());
        first.listen = "127.0.0.1:8080".into();
        first.tls = Tls::None;
        first.issuer = Issuer {
            issuer: "https://accounts.google.com".into(),
            preset: Preset::Google,
            groups_claim: None,
            require: vec![("hd".into(), "example.com".into())],
            client_id: "id".into(),
            client_secret: Some("public".into()),
            redirect_ports: vec![10001, 11110],
            scopes: vec!["openid".into(), "groups".into()],
            paste: true,
        };
        let config = Config::parse(&first.text()).unwrap();
        assert_eq!(config.profile, Profile::Fips);
        assert_eq!(config.issuers[0].require["hd"], "example.com");
        assert_eq!(config.issuers[0].clients[0].redirect_ports, [10001, 11110]);
        assert_eq!(config.issuers[0].clients[0].scopes, ["openid", "groups"]);
        assert_eq!(config.issuers[0].clients[0].flows.len(), 2);
        assert_eq!(
            config.issuers[0].clients[0].secret.as_deref(),
            Some("public")
        );
        assert_eq!(config.extra_ca.as_deref(), Some("issuer-ca.pem".as_ref()));
    }
}
