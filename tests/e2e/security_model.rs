//! `docs/security-model.md` says which test guards what: each that it names exists, and each attempt of
//! the attack suite stands there.

use std::collections::BTreeSet;
use std::path::Path;

use jit_ssh_tests::process::asset;

/// Names of all functions behind `#[test]` and inside `proptest!` below a folder.
fn tests_below(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && name != "node_modules" {
                tests_below(&path, found);
            }
        } else if name.ends_with(".rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            for line in text.lines() {
                let line = line.trim().trim_start_matches("async ");
                if let Some(rest) = line.strip_prefix("fn ") {
                    let end = rest.find('(').unwrap_or(rest.len());
                    found.insert(rest[..end].to_owned());
                }
            }
        }
    }
}

fn named() -> BTreeSet<String> {
    let page = std::fs::read_to_string(asset("../docs/security-model.md")).unwrap();
    page.split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| word.contains('_') && !word.contains(['.', '/', ' ', ':']))
        .filter(|word| {
            word.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        })
        .filter(|word| word.matches('_').count() > 1)
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_test_that_the_security_model_names_exists() {
    let mut found = BTreeSet::new();
    for folder in ["../ca-server", "../ssh-client", "../sshd-config", "."] {
        tests_below(&asset(folder), &mut found);
    }
    let named = named();
    assert!(named.len() > 80, "{}", named.len());
    let missing: Vec<_> = named.difference(&found).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_attempt_of_the_attack_suite_stands_in_the_security_model() {
    let mut found = BTreeSet::new();
    tests_below(&asset("e2e/attacks"), &mut found);
    let numbered = |name: &&String| {
        let mut bytes = name.bytes();
        bytes.next() == Some(b'a') && bytes.next().is_some_and(|byte| byte.is_ascii_digit())
    };
    let named = named();
    let attempts: Vec<_> = found.iter().filter(numbered).collect();
    assert!(attempts.len() > 60, "{}", attempts.len());
    // Controls of a refusal (what must be accepted) need not be told.
    let controls = ["a08_a_token_of_two_hundred_groups_is_accepted"];
    let missing: Vec<_> = attempts
        .into_iter()
        .filter(|name| !named.contains(*name) && !controls.contains(&name.as_str()))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
