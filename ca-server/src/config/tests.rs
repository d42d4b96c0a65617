use super::{Config, LogFormat, Tls, reference};

const GOOD: &str = r#"
url = "https://ca.example.com/"
hosts = ["*.prod.example.com"]

[listen]
address = "[::]:443"

[[issuers]]
issuer = "https://acme.okta.com"
label = "Okta"

[[issuers.clients]]
id = "0oa1"

[log]
format = "json"
"#;

fn mistakes(text: &str) -> Vec<String> {
    let mistakes = Config::parse(text).unwrap_err();
    mistakes
        .iter()
        .map(|m| format!("{}: {m}", m.line.unwrap_or(0)))
        .collect()
}

#[test]
fn a_short_file_is_enough() {
    let config = Config::parse(GOOD).unwrap();
    assert_eq!(config.name, "ca.example.com");
    assert_eq!(config.url, "https://ca.example.com");
    assert_eq!(config.log.format, LogFormat::Json);
    assert!(matches!(config.listen.tls, Tls::Files { .. }));
    assert!(
        config.listen.trusted_proxies.is_empty(),
        "no proxy is trusted by default"
    );
    assert_eq!(config.issuers.len(), 1);
    assert_eq!(config.issuers[0].clients.len(), 1);
}

#[test]
fn a_misspelt_key_is_refused_with_its_line_and_a_suggestion() {
    let found = mistakes(&GOOD.replace("address =", "adress ="));
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("6: "), "{found:?}");
    assert!(found[0].ends_with("did you mean `address`?"), "{found:?}");
}

#[test]
fn every_mistake_is_told_at_once() {
    let text = GOOD
        .replace("https://ca", "http://ca")
        .replace("\"json\"", "\"xml\"")
        .replace("*.prod.example.com", "*");
    let found = mistakes(&text);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(
        found
            .iter()
            .any(|m| m.starts_with("2: ") && m.contains("not https")),
        "{found:?}"
    );
    assert!(
        found
            .iter()
            .any(|m| m.starts_with("3: ") && m.contains("host pattern")),
        "{found:?}"
    );
    assert!(
        found
            .iter()
            .any(|m| m.starts_with("16: ") && m.contains("xml")),
        "{found:?}"
    );
}

#[test]
fn plain_http_beyond_loopback_is_refused_unless_said() {
    let text =
        "url = \"https://ca.example.com\"\n[listen]\naddress = \"0.0.0.0:80\"\ntls = \"none\"\n";
    assert!(mistakes(text)[0].contains("in the clear"));
    Config::parse(&format!("{text}plain_http_beyond_loopback = true\n")).unwrap();
    Config::parse(&text.replace("0.0.0.0", "127.0.0.1")).unwrap();
}

#[test]
fn loopback_needs_no_https() {
    let text = "url = \"http://127.0.0.1:1\"\n[listen]\naddress = \"127.0.0.1:0\"\ntls = \"none\"\n\
                [[issuers]]\nissuer = \"http://127.0.0.1:9\"\n[[issuers.clients]]\nid = \"a\"\n";
    Config::parse(text).unwrap();
}

#[test]
fn symmetric_algorithms_cannot_be_configured() {
    let text = GOOD.replace("label = \"Okta\"", "algorithms = [\"RS256\", \"HS256\"]");
    assert!(mistakes(&text)[0].contains("HS256"));
}

#[test]
fn an_issuer_twice_is_refused() {
    let text = format!(
        "{GOOD}\n[[issuers]]\nissuer = \"https://acme.okta.com\"\n[[issuers.clients]]\nid = \"b\"\n"
    );
    assert!(mistakes(&text)[0].contains("twice"));
}

#[test]
fn a_file_of_any_bytes_is_refused_and_never_a_panic() {
    for text in [
        "",
        "=",
        "[",
        "url = 1",
        "url = \"\u{0}\"",
        "[issuers]",
        "[[issuers]]",
        "listen = 3",
    ] {
        assert!(Config::parse(text).is_err(), "{text}");
    }
}

/// `UPDATE=1 cargo test` writes it anew.
#[test]
fn the_reference_in_docs_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
    let now = reference();
    if std::env::var_os("UPDATE").is_some() {
        #[expect(
            clippy::disallowed_methods,
            reason = "a test that writes the checked-in file"
        )]
        std::fs::write(path, &now).unwrap();
    }
    let checked_in = std::fs::read_to_string(path).unwrap();
    assert!(
        checked_in == now,
        "docs/configuration.md is old: run with UPDATE=1"
    );
}

/// Each key that `docs/configuration.md` marks so, and a file in which it alone differs.
#[test]
fn what_the_reference_marks_restart_is_kept_and_named_and_nothing_else() {
    let changes = [
        ("name", "name = \"other\"", "name"),
        (
            "url",
            "url = \"https://other.example.com\"\nname = \"ca.example.com\"",
            "url",
        ),
        ("profile", "profile = \"fips\"", "profile"),
        ("extra_ca", "extra_ca = \"more.pem\"", "extra_ca"),
        (
            "listen.address",
            "[listen]\naddress = \"127.0.0.1:1\"",
            "listen.address",
        ),
        ("listen.tls", "[listen]\ntls = \"none\"", "listen.tls"),
        (
            "listen.certificate",
            "[listen]\ncertificate = \"c.pem\"",
            "listen.tls",
        ),
        ("listen.key", "[listen]\nkey = \"k.pem\"", "listen.tls"),
        (
            "limits.head_time",
            "[limits]\nhead_time = \"1s\"",
            "limits.head_time",
        ),
        ("log.format", "[log]\nformat = \"json\"", "log"),
        ("log.level", "[log]\nlevel = \"debug\"", "log"),
        ("disk.reserve", "[disk]\nreserve = \"1MiB\"", "disk.reserve"),
    ];
    let old = Config::parse("url = \"https://ca.example.com\"").unwrap();
    for (key, text, named) in changes {
        let text = match text.contains("url = ") {
            true => text.to_owned(),
            false => format!("url = \"https://ca.example.com\"\n{text}"),
        };
        let mut new = Config::parse(&text).unwrap();
        assert_ne!(new, old, "{key}");
        assert_eq!(new.keep_fixed(&old), [named], "{key}");
        assert_eq!(new, old, "{key}");
    }
    let mut section = String::new();
    let mut marked = Vec::new();
    for line in reference().lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = match title.strip_prefix("`[") {
                Some(name) => format!("{}.", name.trim_end_matches("]`")),
                None => String::new(),
            };
        } else if line.contains("*Restart.*") {
            marked.push(format!("{section}{}", line.split('`').nth(1).unwrap()));
        }
    }
    // It only allows an address, which is kept.
    marked.retain(|key| key != "listen.plain_http_beyond_loopback");
    let mut told = changes.map(|(key, _, _)| key.to_owned()).to_vec();
    told.sort();
    marked.sort();
    assert_eq!(told, marked);
}

mod laws {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Any text is a configuration or has mistakes that are told.
        #[test]
        fn any_text_is_a_configuration_or_is_refused(text in ".{0,200}") {
            if let Err(mistakes) = Config::parse(&text) {
                prop_assert!(!mistakes.is_empty());
            }
        }

        /// One line of a good file put wrong: nothing panics, and every mistake has words.
        #[test]
        fn a_good_file_with_any_line_changed_is_taken_or_refused(
            at in 0..GOOD.lines().count(),
            key in "[a-z_]{1,12}",
            value in prop_oneof![
                any::<i64>().prop_map(|it| it.to_string()),
                any::<f64>().prop_map(|it| it.to_string()),
                any::<bool>().prop_map(|it| it.to_string()),
                ".{0,20}".prop_map(|it| toml::Value::String(it).to_string()),
                ".{0,20}".prop_map(|it| format!("[{}]", toml::Value::String(it))),
                ".{0,20}",
            ],
            keep_key: bool,
        ) {
            let mut lines: Vec<String> = GOOD.lines().map(str::to_owned).collect();
            let old = lines[at].split(' ').next().unwrap_or_default().to_owned();
            let key = if keep_key && !old.is_empty() { old } else { key };
            lines[at] = format!("{key} = {value}");
            if let Err(mistakes) = Config::parse(&lines.join("\n")) {
                prop_assert!(!mistakes.is_empty());
                prop_assert!(mistakes.iter().all(|it| !it.to_string().is_empty()));
            }
        }
    }
}

/// A49, A50: a client leaves such a pattern out, so plain `ssh` would never ask for these hosts.
#[test]
fn a_host_pattern_that_no_client_acts_by_is_refused_with_the_mend() {
    let with = |pattern: &str| {
        let hosts = format!("hosts = [{pattern:?}]");
        GOOD.replace("hosts = [\"*.prod.example.com\"]", &hosts)
    };
    for own in ["*.corp.example", "10.1.*", "db01", "!*.lab.example.com"] {
        assert!(Config::parse(&with(own)).is_ok(), "{own}");
    }
    for wide in ["*", "*.com", "web-*", "10.*", "a b", "-x.example.com"] {
        let refused = mistakes(&with(wide)).join("\n");
        assert!(refused.contains("clients act by"), "{wide}: {refused}");
        assert!(refused.contains("10.1.*"), "{wide}: {refused}");
    }
}
