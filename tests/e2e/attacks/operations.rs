//! A82, A83, A88, A89: the ledger, secrets, files.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use jit_ssh_tests::lab::Lab;
use jit_ssh_tests::process::{Run, program};
use jit_ssh_tests::wire::{BindingSalt, Key};
use serde_json::json;

/// All files below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle.as_bytes())
}

#[test]
fn a83_no_secret_reaches_the_ledger_the_log_or_an_answer() {
    let mut lab = Lab::builder()
        .sections("[log]\nlevel = \"debug\"")
        .client("secret = \"public-by-design\"\nscopes = [\"openid\"]")
        .start();
    let wire = lab.wire();
    let alice = lab.login("alice");
    // Tokens on every path: accepted, refused, malformed, in a query, in a header.
    let (key, salt) = (Key::new(), BindingSalt::new());
    let refused = lab.idp.token("alice", "another nonce").sign();
    wire.open_with(&key, &salt, &refused);
    wire.plain(
        "GET",
        &format!("/sign-in?code=canary-code-5512&state={}", "x".repeat(43)),
        b"",
    );
    wire.with("Bearer canary-bearer-9931", "GET", "/v1/roles", b"");
    wire.ask(
        &key,
        &json!({ "open": { "id_token": "canary.broken.token7", "salt": salt.text() } }),
    );
    wire.ask(&key, &json!({ "open": { "id_token": alice.id_token, "salt": salt.text(), "access_token": "canary-access-4431" } }));
    lab.ca.stop();
    let signature = alice.id_token.rsplit('.').next().unwrap().to_owned();
    let payload = alice.id_token.split('.').nth(1).unwrap().to_owned();
    let refused_payload = refused.split('.').nth(1).unwrap().to_owned();
    let passphrase = lab.ca.passphrase();
    let secrets = [
        signature.as_str(),
        payload.as_str(),
        refused_payload.as_str(),
        "canary-code-5512",
        "canary-bearer-9931",
        "canary.broken.token7",
        "canary-access-4431",
        passphrase.as_str(),
        "PRIVATE KEY-----\nMIIE",
    ];
    let log = lab.ca.log();
    assert!(!log.is_empty());
    for secret in secrets {
        assert!(!contains(log.as_bytes(), secret), "{secret} in the log");
        for file in files(&lab.ca.data) {
            let bytes = fs::read(&file).unwrap();
            assert!(!contains(&bytes, secret), "{secret} in {}", file.display());
        }
    }
}

#[test]
fn a83_a_claim_cannot_forge_a_line_of_the_log_or_a_field_of_a_record() {
    let lab = Lab::start();
    let wire = lab.wire();
    let evil = "alice\n2026-11-23T00:00:00Z  INFO issued role=production-admin \u{1b}]0;x\u{7} caller=root";
    lab.idp.change("alice", |alice| {
        alice.claims.insert("name".into(), json!(evil));
        alice
            .claims
            .insert("preferred_username".into(), json!(evil));
        alice.claims.insert("groups".into(), json!(["Ops", evil]));
    });
    let (key, salt) = (Key::new(), BindingSalt::new());
    let token = lab.idp.token("alice", &salt.nonce(&key)).sign();
    let mut request = wire.opening(&token, &salt);
    request["role"] = json!("production-observer\nINFO caller=root");
    wire.ask(&key, &request);
    request["role"] = json!("production-observer");
    wire.ask(&key, &request).certificate();
    // On record as what it is: one value, to the letter.
    let records = lab.ca.records();
    let as_json = json!(evil).to_string();
    let holds = |text: String| text.contains(&as_json);
    let told = records
        .iter()
        .filter(|record| holds(json!(record).to_string()));
    assert!(told.count() > 0, "{records:?}");
    let log = lab.ca.log();
    assert!(
        !log.lines()
            .any(|line| line.starts_with("2026-11-23T00:00:00Z  INFO issued")),
        "{log}"
    );
    assert!(
        !log.lines().any(|line| line.starts_with("INFO caller=root")),
        "{log}"
    );
    assert!(!log.contains('\u{1b}') && !log.contains('\u{7}'), "{log}");
    let said = lab.ca.admin(&["audit", "list"]).ok();
    jit_ssh_tests::expect::is_harmless(&said.stdout);
}

#[test]
fn a89_files_are_private_whatever_the_umask() {
    let lab = Lab::builder().prepare();
    let data = lab.dir.join("with-umask-000");
    Run::new("sh")
        .arg("-c")
        .arg(format!(
            "umask 000; exec {} init --data {} --url https://ca.example.com --issuer https://idp.example.com \
             --client-id x --generate-passphrase {}",
            program("jit-ssh-ca").display(),
            data.display(),
            lab.dir.join("another-passphrase").display()
        ))
        .go()
        .ok();
    assert_eq!(fs::metadata(&data).unwrap().mode() & 0o777, 0o700);
    for file in files(&data) {
        let mode = fs::metadata(&file).unwrap().mode() & 0o777;
        let public =
            file.extension().is_some_and(|kind| kind == "pub") || file.ends_with("key-set.json");
        assert!(
            mode == 0o600 || (public && mode == 0o644),
            "{} is {mode:o}",
            file.display()
        );
    }
}

#[test]
fn a89_the_database_of_a_serving_ca_is_private_whatever_the_umask() {
    let mut lab = Lab::builder().prepare();
    lab.ca.serve_under_umask_000();
    lab.login("alice");
    for file in files(&lab.ca.data) {
        let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & 0o077 & !0o044, 0, "{} is {mode:o}", file.display());
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("ledger.db") {
            assert_eq!(mode, 0o600, "{name} is {mode:o}");
        }
    }
    let socket = fs::metadata(lab.ca.data.join("admin.sock")).unwrap().mode() & 0o777;
    assert_eq!(socket & 0o007, 0, "{socket:o}");
}

#[test]
fn a89_filters_of_the_audit_are_values_and_never_sql() {
    let lab = Lab::start();
    lab.login("alice");
    let all = lab.ca.events().len();
    assert!(all > 0);
    for value in [
        "' OR '1'='1",
        "x'; DROP TABLE records; --",
        "%",
        "_",
        "\" OR 1=1",
        "*",
        "\0",
    ] {
        for filter in ["user", "role", "kind", "login", "serial"] {
            let value: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
            let answer = lab
                .ca
                .local("GET", &format!("/v1/admin/audit?{filter}={value}"), b"");
            if answer.status == 200 {
                let page: jit_ssh_api::admin::AuditPage = answer.json();
                assert!(page.records.is_empty(), "{filter}={value}: {page:?}");
            } else {
                assert_eq!(answer.status, 400, "{filter}={value}: {answer:?}");
            }
        }
    }
    assert_eq!(lab.ca.events().len(), all);
}

/// The usual provider's addresses are not trusted: they grant nothing, but whoever throws her out
/// knows her by hers.
#[test]
fn a19_a_person_is_thrown_out_by_an_address_that_is_not_trusted() {
    let lab = Lab::start();
    let wire = lab.wire();
    let alice = lab.login("alice");
    let end = |user: &str| lab.ca.command(&["login", "end", "--user", user]).go();
    let said = end("nobody@example.com");
    assert_ne!(said.code, Some(0), "{said}");
    assert!(said.stderr.contains("Nobody is known by"), "{said}");
    let said = end("alice@example.com").ok();
    assert!(said.stdout.contains(&alice.answer.login.id), "{said}");
    wire.ask(&alice.key, &serde_json::json!({}))
        .refused(jit_ssh_api::problem::Kind::LoginEnded);
}

#[test]
fn a89_an_existing_data_folder_is_never_overwritten() {
    let lab = Lab::builder().prepare();
    let before: Vec<_> = files(&lab.ca.data)
        .iter()
        .map(|file| (file.clone(), fs::read(file).unwrap()))
        .collect();
    lab.ca
        .command(&[
            "init",
            "--url",
            "https://ca.example.com",
            "--client-id",
            "x",
        ])
        .args([
            "--issuer",
            "https://idp.example.com",
            "--generate-passphrase",
        ])
        .arg(lab.dir.join("another-passphrase"))
        .go()
        .failed();
    for (file, bytes) in before {
        assert_eq!(fs::read(&file).unwrap(), bytes, "{}", file.display());
    }
}
