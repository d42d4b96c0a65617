//! What `init` makes, and what it refuses to make.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use jit_ssh_api::key_set::SignedKeySet;
use jit_ssh_terminal::Exit;

use crate::cli::tests::run_captured;
use crate::config::Config;
use crate::secret::Secret;
use crate::signer::{self, KeyFolder, LockedKeyring, file, key_set};

fn init(data: &Path, more: &[&str]) -> Result<String, jit_ssh_terminal::Failure> {
    let data_text = data.display().to_string();
    let passphrase = data.with_extension("passphrase").display().to_string();
    let mut arguments = vec![
        "init",
        "--data",
        &data_text,
        "--url",
        "https://ca.example.com",
        "--issuer",
        "https://acme.okta.com/oauth2/default",
        "--client-id",
        "0oa1",
        "--grant",
        "Ops=production-observer:observer",
        "--generate-passphrase",
        &passphrase,
    ];
    arguments.extend(more);
    let (result, captured) = run_captured(&arguments);
    result.map(|()| captured.out())
}

fn passphrase(data: &Path) -> Secret<String> {
    let text = std::fs::read_to_string(data.with_extension("passphrase")).unwrap();
    Secret::new(text.trim().to_owned())
}

#[test]
fn a_new_folder_is_whole_private_and_serves() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("ca");
    let out = init(&data, &["--hosts", "*.prod.example.com,10.1.*"]).unwrap();
    let config = Config::load(&data).unwrap();
    assert_eq!(config.hosts, ["*.prod.example.com", "10.1.*"]);
    let keys = KeyFolder::read(&data.join("keys")).unwrap();
    let loaded = key_set::load(&data, keys.identity()).unwrap();
    let locked = LockedKeyring::read(&keys, &loaded.set).unwrap();
    let keyring = locked.unlock(Some(&passphrase(&data))).unwrap();
    assert!(out.contains(&keyring.fingerprint()), "{out}");
    assert_eq!(loaded.set.tls_pins.len(), 1);
    assert_eq!((loaded.set.epoch, loaded.set.number), (1, 1));
    for name in [
        "ca.toml",
        "policy.toml",
        "tls/key.pem",
        "keys/user-ca",
        "keys/identity",
    ] {
        let mode = data.join(name).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(data.metadata().unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_second_init_changes_nothing() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("ca");
    init(&data, &[]).unwrap();
    let before = std::fs::read(data.join("key-set.json")).unwrap();
    assert!(init(&data, &[]).is_err());
    assert_eq!(std::fs::read(data.join("key-set.json")).unwrap(), before);
    assert_eq!(
        std::fs::read_dir(parent.path()).unwrap().count(),
        2,
        "folder and passphrase"
    );
}

#[test]
fn what_cannot_be_a_ca_is_refused_before_anything_is_made() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("ca");
    for wrong in [
        vec!["--hosts", "*"],
        vec!["--name", "a b"],
        vec!["--tls", "files"],
        vec!["--issuer-ca", "/nonexistent.pem"],
        vec!["--identity-key", "/etc/passwd"],
        vec!["--preset", "google"],
    ] {
        let failure = init(&data, &wrong).unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage, "{wrong:?}: {failure}");
        assert_eq!(
            std::fs::read_dir(parent.path()).unwrap().count(),
            0,
            "{wrong:?}"
        );
    }
}

#[test]
fn google_names_people_because_it_never_says_groups() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("ca").display().to_string();
    let passphrase = parent.path().join("passphrase").display().to_string();
    let (result, _) = run_captured(&[
        "init",
        "--data",
        &data,
        "--generate-passphrase",
        &passphrase,
        "--url",
        "https://ca.example.com",
        "--issuer",
        "https://accounts.google.com",
        "--client-id",
        "1.apps.googleusercontent.com",
        "--client-secret",
        "public",
        "--require",
        "hd=example.com",
        "--grant",
        "alice@example.com=production-observer:observer",
        "--admins",
        "bob@example.com",
    ]);
    result.unwrap();
    let file = format!("{data}/policy.toml");
    let asked = ["policy", "explain", "--email", "alice@example.com", &file];
    let (result, captured) = run_captured(&asked);
    result.unwrap();
    assert!(
        captured.out().contains("production-observer  yes"),
        "{}",
        captured.out()
    );
    let (result, captured) =
        run_captured(&["policy", "explain", "--email", "bob@example.com", &file]);
    result.unwrap();
    assert!(
        captured.out().contains("Rights at the CA: audit"),
        "{}",
        captured.out()
    );
}

#[test]
fn fips_is_p256_throughout() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("ca");
    init(&data, &["--profile", "fips"]).unwrap();
    let keys = data.join("keys");
    let mut names = vec![signer::IDENTITY];
    names.extend(signer::PURPOSES.map(signer::file_name));
    for name in names {
        let key = file::read_public(&keys, name).unwrap();
        assert_eq!(key.algorithm().as_str(), "ecdsa-sha2-nistp256", "{name}");
    }
}

#[test]
fn an_identity_key_kept_elsewhere_signs_with_ssh_keygen() {
    let parent = tempfile::tempdir().unwrap();
    let identity = parent.path().join("identity");
    let keygen = |arguments: &[&str]| {
        let status = std::process::Command::new("ssh-keygen")
            .args(arguments)
            .output()
            .unwrap();
        assert!(status.status.success(), "{status:?}");
    };
    let identity_text = identity.display().to_string();
    keygen(&["-q", "-t", "ed25519", "-N", "", "-f", &identity_text]);
    let data = parent.path().join("ca");
    let public = format!("{identity_text}.pub");
    let out = init(&data, &["--identity-key", &public]).unwrap();
    assert!(!data.join("keys/identity").exists());
    assert!(!data.join("key-set.json").exists());
    let command = out
        .lines()
        .find(|line| line.contains("ssh-keygen -Y sign"))
        .unwrap();
    assert!(command.contains(&data.display().to_string()), "{command}");
    let key = file::read_public(&data.join("keys"), signer::IDENTITY).unwrap();
    assert!(
        key_set::load(&data, &key).is_err(),
        "it waits for the signature"
    );
    let document = command.split_whitespace().last().unwrap();
    keygen(&[
        "-Y",
        "sign",
        "-n",
        "jit-ssh-key-set@v1",
        "-f",
        &identity_text,
        document,
    ]);
    assert_eq!(key_set::load(&data, &key).unwrap().set.number, 1);
}

#[test]
fn keys_lists_what_everybody_pins_without_a_serving_process() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("ca");
    init(&data, &[]).unwrap();
    let text = std::fs::read_to_string(data.join("key-set.json")).unwrap();
    let signed: SignedKeySet = serde_json::from_str(&text).unwrap();
    let (result, captured) = run_captured(&["key", "list", "--data", &data.display().to_string()]);
    result.unwrap();
    assert!(captured.out().contains(&signed.fingerprint().unwrap()));
}

#[test]
fn an_identity_key_that_does_not_fit_the_profile_is_refused_before_anything_is_made() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("ca");
    let folder = tempfile::tempdir().unwrap();
    let make = |kind: &str, bits: &str| {
        let path = folder.path().join(kind).display().to_string();
        let made = std::process::Command::new("ssh-keygen")
            .args(["-q", "-t", kind, "-b", bits, "-N", "", "-f", &path])
            .status()
            .unwrap();
        assert!(made.success(), "{kind}");
        format!("{path}.pub")
    };
    let (edwards, rsa) = (make("ed25519", "256"), make("rsa", "3072"));
    for (profile, key) in [("fips", &edwards), ("fips", &rsa), ("standard", &rsa)] {
        let failure = init(&data, &["--profile", profile, "--identity-key", key]).unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage, "{profile} {key}: {failure}");
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
    }
    let p384 = make("ecdsa", "384");
    init(&data, &["--profile", "fips", "--identity-key", &p384]).unwrap();
}

#[test]
fn a_profile_that_the_keys_are_not_of_is_told_by_doctor() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("ca");
    init(&data, &[]).unwrap();
    let data_text = data.display().to_string();
    let doctor = || {
        let (_, captured) = run_captured(&["doctor", "--offline", "--data", &data_text]);
        captured.out()
    };
    assert!(!doctor().contains("must be ECDSA"), "{}", doctor());
    let file = data.join(crate::config::FILE);
    let text = std::fs::read_to_string(&file).unwrap();
    let other = text.replace("profile = \"standard\"", "profile = \"fips\"");
    assert_ne!(text, other);
    crate::server::testing::put(&data, crate::config::FILE, &other);
    let out = doctor();
    assert_eq!(out.matches("must be ECDSA").count(), 5, "{out}");
    assert!(
        out.contains("BAD   keys: the key identity is ssh-ed25519"),
        "{out}"
    );
}
