//! `docs/security-model.md` says which test guards what: each that it names exists, and each attempt of
//! the attack suite stands there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

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
            found.extend(tests_in(&text));
        }
    }
}

/// Names of the functions between whose attributes there is `#[test]` or a runtime's, and which
/// nothing ignores.
fn tests_in(text: &str) -> Vec<String> {
    let (mut found, mut is_test) = (Vec::new(), false);
    for line in text.lines().map(str::trim) {
        if line == "#[test]" || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if line.starts_with("#[ignore") {
            is_test = false;
        } else if let Some(rest) = line.trim_start_matches("async ").strip_prefix("fn ") {
            let end = rest.find(['(', '<']).unwrap_or(rest.len());
            if is_test {
                found.push(rest[..end].to_owned());
            }
            is_test = false;
        } else if !line.is_empty() && !line.starts_with(['#', '/']) {
            is_test = false;
        }
    }
    found
}

#[test]
fn a_function_that_lost_its_attribute_is_no_test() {
    let text = "#[test]\nfn a_b_c() {\n#[tokio::test(flavor = \"x\")]\nasync fn d_e_f() {}\n\
                fn g_h_i() {}\n#[test]\n#[ignore = \"slow\"]\nfn j_k_l() {}\n";
    assert_eq!(tests_in(text), ["a_b_c", "d_e_f"]);
}

/// Files with this ending below a folder.
fn files_below(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, ending, found);
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
}

#[test]
fn every_link_of_the_documentation_leads_to_a_file() {
    let root = asset("..");
    let mut pages = Vec::new();
    for name in ["README.md", "CHANGELOG.md", "SECURITY.md"] {
        pages.push(root.join(name));
    }
    files_below(&root.join("docs"), ".md", &mut pages);
    let (mut links, mut dead) = (0, Vec::new());
    for page in &pages {
        let text = std::fs::read_to_string(page).unwrap();
        for target in text.split("](").skip(1) {
            let target = target.split([')', ' ']).next().unwrap();
            let file = target.split('#').next().unwrap();
            if file.is_empty() || file.contains("://") || file.starts_with("mailto:") {
                continue;
            }
            links += 1;
            if !page.parent().unwrap().join(file).exists() {
                dead.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(links > 20, "{links}");
    assert!(dead.is_empty(), "{dead:#?}");
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
