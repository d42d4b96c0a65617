//! docs/policy.md cannot drift from the code: every example is loaded, every key has one.

use super::*;
use crate::policy::file::{GRANT, NAMED_USER, RIGHTS, ROLE, TEST, TOP, USER, USERNAME, WHO};

const DOCS: &str = include_str!("../../../../docs/policy.md");

/// Fenced blocks of that kind, with what comes right after each.
fn blocks(kind: &str) -> Vec<(&'static str, &'static str)> {
    let opening = format!("```{kind}\n");
    DOCS.split(&opening)
        .skip(1)
        .map(|rest| rest.split_once("```").expect("a fence that closes"))
        .collect()
}

/// The roles that examples speak of without repeating them.
fn completed(example: &str) -> String {
    let mut text = format!("{example}\n");
    for (role, rest) in [
        (
            "production-observer",
            "accounts = [\"observer\"]\nmax_validity = \"15m\"",
        ),
        (
            "production-admin",
            "accounts = [\"admin\"]\nmax_validity = \"5m\"",
        ),
    ] {
        if !example.contains(&format!("[roles.{role}]")) {
            text.push_str(&format!("[roles.{role}]\n{rest}\n"));
        }
    }
    if example.contains("{username}") && !example.contains("[username]") {
        text.push_str("[username]\nclaim = \"preferred_username\"\n");
    }
    text
}

fn both(example: &str) -> IssuerFacts {
    if example.contains(OTHER) {
        facts(&[IDP, OTHER])
    } else {
        facts(&[IDP])
    }
}

#[test]
fn every_example_of_the_reference_loads() {
    let blocks = blocks("toml");
    assert!(blocks.len() >= 10, "{}", blocks.len());
    for (example, _) in blocks {
        let text = completed(example);
        if let Err(errors) = Policy::parse(&text, &both(&text)) {
            panic!("{text}\ndoes not load:\n{errors}");
        }
    }
}

const PROVIDERS: [(&str, &str); 4] = [
    ("entra", include_str!("../../../../docs/idp/entra.md")),
    ("google", include_str!("../../../../docs/idp/google.md")),
    ("keycloak", include_str!("../../../../docs/idp/keycloak.md")),
    ("okta", include_str!("../../../../docs/idp/okta.md")),
];

/// Blocks of lines that begin with four blanks, without those.
fn indented(page: &str) -> Vec<String> {
    let mut blocks = vec![String::new()];
    for line in page.lines() {
        match (line.strip_prefix("    "), blocks.last_mut()) {
            (Some(line), Some(block)) => block.push_str(&format!("{line}\n")),
            _ => blocks.push(String::new()),
        }
    }
    blocks.retain(|block| block.starts_with('['));
    blocks
}

/// Each page's configuration is taken, and its policy loads against exactly that.
#[test]
fn every_example_of_a_provider_s_page_loads() {
    let mut policies = 0;
    for (name, page) in PROVIDERS {
        let mut facts = IssuerFacts::default();
        let mut issuers = 0;
        for block in indented(page) {
            if block.starts_with("[[issuers]]") {
                let text = block.replace("TENANT-GUID", "72f988bf-86f1-41af-91ab-2d7cd011db47");
                let text = format!("url = \"https://ca.example.com\"\n{text}");
                match crate::config::Config::parse(&text) {
                    Ok(config) => facts = IssuerFacts::from(config.issuers.as_slice()),
                    Err(mistakes) => panic!("{name}: {text}\nis refused:\n{mistakes:?}"),
                }
                issuers += 1;
            } else {
                let text = completed(&block);
                if let Err(errors) = Policy::parse(&text, &facts) {
                    panic!("{name}: {text}\ndoes not load:\n{errors}");
                }
                policies += 1;
            }
        }
        assert_eq!(issuers, 1, "{name}");
    }
    assert!(policies >= 1);
}

#[test]
fn every_key_has_an_example() {
    let examples: String = blocks("toml")
        .into_iter()
        .map(|(example, _)| example)
        .collect();
    for keys in [
        TOP, USERNAME, ROLE, GRANT, RIGHTS, TEST, WHO, USER, NAMED_USER,
    ] {
        for key in keys.known {
            let there = examples.lines().any(|line| {
                let line = line.trim_start_matches('#').trim_start();
                line.contains(&format!("{key} "))
                    || line.contains(&format!("[{key}"))
                    || line.contains(&format!("[[{key}]]"))
            });
            assert!(there, "docs/policy.md has no example with `{key}`");
        }
    }
    for key in [TOP, ROLE, GRANT, RIGHTS, TEST, WHO]
        .into_iter()
        .flat_map(|keys| keys.later)
    {
        assert!(
            DOCS.contains(&format!("`{key}`")),
            "docs/policy.md does not mention `{key}`"
        );
    }
    for name in Right::ALL
        .iter()
        .map(|it| it.name())
        .chain(Extension::ALL.iter().map(|it| it.name()))
    {
        assert!(
            DOCS.contains(&format!("`{name}`")),
            "docs/policy.md does not mention `{name}`"
        );
    }
}

#[test]
fn every_refused_example_is_refused_in_the_words_of_the_reference() {
    let blocks = blocks("toml refused");
    assert!(blocks.len() >= 3, "{}", blocks.len());
    for (example, after) in blocks {
        let told = after
            .split_once("```text\n")
            .and_then(|(_, rest)| rest.split_once("\n```"))
            .expect("what is told stands below")
            .0;
        let text = completed(example);
        let errors = Policy::parse(&text, &both(&text)).expect_err(example);
        assert_eq!(errors.to_string(), told);
    }
}

#[test]
fn every_fault_says_its_why_in_the_reference_words() {
    for fault in [
        Fault::UnknownKey,
        Fault::NotSupportedYet,
        Fault::Empty,
        Fault::TestFails,
    ] {
        assert!(fault.why().ends_with('.'));
    }
}
