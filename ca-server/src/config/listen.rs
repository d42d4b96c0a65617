//! Where the CA listens, whether it speaks TLS there, and whose `X-Forwarded-For` it believes (A84).

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crate::config::{Wrong, file};
use crate::policy::Cidr;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Address and port.
    pub address: SocketAddr,
    /// How.
    pub tls: Tls,
    /// Proxies that are believed.
    pub trusted_proxies: Vec<Cidr>,
    /// Who may read metrics.
    pub metrics_from: Vec<Cidr>,
}

/// TLS or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Plain HTTP.
    None,
    /// HTTPS with these files, relative to the data folder.
    Files {
        /// Chain, PEM.
        certificate: PathBuf,
        /// Private key, PEM.
        key: PathBuf,
    },
}

/// An address or a network.
fn network(text: &str) -> Option<Cidr> {
    match text.parse::<IpAddr>() {
        Ok(address) if address.is_ipv4() => Cidr::new(&format!("{text}/32")).ok(),
        Ok(_) => Cidr::new(&format!("{text}/128")).ok(),
        Err(_) => Cidr::new(text).ok(),
    }
}

pub(super) fn check(listen: &file::Listen, wrong: &mut Wrong<'_>) -> Listen {
    let address = listen.address.parse::<SocketAddr>().unwrap_or_else(|_| {
        wrong.at(
            &["listen", "address"],
            format!("`{}` is not an address and port", listen.address),
            "write address = \"127.0.0.1:8443\" or \"[::]:443\"",
        );
        SocketAddr::from(([127, 0, 0, 1], 0))
    });
    let tls = match listen.tls.as_str() {
        "files" => Tls::Files {
            certificate: PathBuf::from(&listen.certificate),
            key: PathBuf::from(&listen.key),
        },
        "none" => Tls::None,
        other => {
            let what = format!("`{other}` is no kind of TLS");
            wrong.at(&["listen", "tls"], what, "write \"files\" or \"none\"");
            Tls::None
        }
    };
    if tls == Tls::None && !address.ip().is_loopback() && !listen.plain_http_beyond_loopback {
        wrong.at(
            &["listen", "address"],
            format!("plain HTTP on {address} would carry ID tokens in the clear"),
            "set tls = \"files\", listen on 127.0.0.1, or, behind a proxy that speaks TLS, \
             plain_http_beyond_loopback = true",
        );
    }
    let trusted_proxies = networks("trusted_proxies", &listen.trusted_proxies, wrong);
    let metrics_from = networks("metrics_from", &listen.metrics_from, wrong);
    Listen {
        address,
        tls,
        trusted_proxies,
        metrics_from,
    }
}

fn networks(key: &str, texts: &[String], wrong: &mut Wrong<'_>) -> Vec<Cidr> {
    let mut networks = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        match network(text) {
            Some(network) => networks.push(network),
            None => wrong.at(
                &["listen", key, &index.to_string()],
                format!("`{text}` is no address or network"),
                "write \"10.0.0.7\" or \"10.0.0.0/24\" (no bits behind the prefix, never /0)",
            ),
        }
    }
    networks
}

#[cfg(test)]
mod tests {
    use super::network;

    #[test]
    fn the_whole_world_and_sloppy_networks_are_no_proxies() {
        for text in [
            "0.0.0.0/0",
            "::/0",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "*",
            "",
            "a/8",
        ] {
            assert_eq!(network(text), None, "{text}");
        }
        for text in ["10.0.0.7", "10.0.0.0/24", "2001:db8::1", "2001:db8::/32"] {
            assert!(network(text).is_some(), "{text}");
        }
    }
}
