//! A33–A44: what may be signed, and what sshd makes of it.

use std::collections::BTreeSet;
use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jit_ssh_api::binding::{self, NAMED_KEY_NAMESPACE, Salt};
use jit_ssh_api::problem::Kind;
use jit_ssh_tests::keygen::{self, Listed};
use jit_ssh_tests::lab::Lab;
use jit_ssh_tests::process::Run;
use jit_ssh_tests::wire::{BindingSalt, Key, Wire};
use serde_json::{Value, json};
use ssh_key::{HashAlg, LineEnding, PrivateKey};

#[test]
fn a33_to_a37_a_certificate_is_exactly_what_its_role_says() {
    let lab = Lab::start();
    let before = jit_ssh_tests::clock::now();
    let alice = lab.login("alice");
    let after = jit_ssh_tests::clock::now();
    let listed = Listed::of(&alice.answer.certificate);
    // A37: the type, and who signed it.
    assert_eq!(
        listed.value("Type"),
        "ssh-ed25519-cert-v01@openssh.com user certificate"
    );
    let host_ca = fs::read_to_string(lab.ca.data.join("keys/host-ca.pub")).unwrap();
    let user_ca = fs::read_to_string(lab.ca.data.join("keys/user-ca.pub")).unwrap();
    let fingerprint = |line: &str| {
        line.parse::<ssh_key::PublicKey>()
            .unwrap()
            .fingerprint(HashAlg::Sha256)
            .to_string()
    };
    assert!(listed.value("Signing CA").contains(&fingerprint(&user_ca)));
    assert_ne!(fingerprint(&user_ca), fingerprint(&host_ca));
    assert!(
        !lab.ca
            .user_ca()
            .contains(host_ca.split(' ').nth(1).unwrap())
    );
    // A33, A34: one principal, of the role.
    assert_eq!(listed.list("Principals"), ["role:production-observer"]);
    // A35: a serial that can be revoked.
    let serial: u64 = listed.value("Serial").parse().unwrap();
    assert!(serial > 0 && serial < 1 << 63);
    assert_eq!(alice.answer.serial, serial.to_string());
    // A36: minutes, counted from now.
    assert!(alice.answer.valid_after + 120 >= before && alice.answer.valid_after + 120 <= after);
    assert!(alice.answer.valid_before <= after + 15 * 60);
    // A42, A43, A65: no critical option, and no extension but the role's and our own.
    assert_eq!(listed.list("Critical Options"), [""; 0]);
    for extension in listed.list("Extensions") {
        let name = extension.split_whitespace().next().unwrap();
        assert!(
            name == "permit-pty" || name.ends_with("@jit-ssh.dev"),
            "{extension}"
        );
    }
    // The key ID stands in sshd's log as it is.
    let id = listed.value("Key ID").trim_matches('"');
    assert!(
        id.len() < 200 && id.bytes().all(|byte| byte.is_ascii_graphic()),
        "{id:?}"
    );
    assert!(
        id.contains("role=production-observer") && id.contains(&alice.answer.login.id),
        "{id}"
    );
}

#[test]
fn a34_a_name_that_sshd_would_read_otherwise_does_not_load() {
    // Principals end in files where `#`, a space, a comma and a line feed mean something.
    let dir = jit_ssh_tests::dir::Dir::new();
    let policy = |name: &str| {
        format!(
            "order = [{name:?}]\n[roles.{name:?}]\ndescription = \"x\"\naccounts = [\"observer\"]\n\
             max_validity = \"5m\"\n[[grants]]\ngroups = [\"Ops\"]\nroles = [{name:?}]\n"
        )
    };
    let check = |name: &str| {
        let path = dir.file("policy.toml", &policy(name));
        Run::new(jit_ssh_tests::process::program("jit-ssh-ca"))
            .args(["policy", "check"])
            .arg(path)
            .go()
    };
    check("ops").ok();
    for bad in [
        "a b", "a,b", "a#b", "a*b", "a?b", "a@b", "a:b", "a+b", "a/b", "a\\\\b", "a%b", "",
        "\u{e4}", "a\u{7f}b", "-a", "!a",
    ] {
        check(bad).failed();
    }
}

#[test]
fn a35_serials_are_never_zero_and_never_the_same() {
    let lab = Lab::start();
    let wire = lab.wire();
    let alice = lab.login("alice");
    let serials: Vec<u64> = (0..100)
        .map(|_| {
            wire.ask(&alice.key, &json!({}))
                .certificate()
                .serial
                .parse()
                .unwrap()
        })
        .collect();
    let distinct: BTreeSet<u64> = serials.iter().copied().collect();
    assert_eq!(distinct.len(), 100);
    assert!(!distinct.contains(&0));
    // Sparse, so that a list of revoked ones needs no bitmap.
    assert!(
        distinct
            .iter()
            .zip(distinct.iter().skip(1))
            .all(|(a, b)| b - a > 1 << 20)
    );
}

/// Asks to certify this key in place of the login key; the nonce covers both, and `sign` signs it.
fn name_key(
    lab: &Lab,
    wire: &Wire,
    line: &str,
    sign: impl FnOnce(&str) -> String,
) -> jit_ssh_tests::http::Answer {
    let (key, salt) = (Key::new(), BindingSalt::new());
    let nonce = binding::nonce_with_named_key(&key.blob(), &blob_of(line), &Salt::new(salt.0));
    let token = lab.idp.token("alice", &nonce).sign();
    let request = json!({ "open": {
        "id_token": token,
        "salt": salt.text(),
        "certified_key": { "public_key": line, "signature": sign(&nonce) },
    }});
    wire.ask(&key, &request)
}

/// Signs a nonce as the holder of a named key does.
fn proof_by(key: &Key) -> impl Fn(&str) -> String + use<> {
    let key = key.clone();
    move |nonce| armoured(&key, NAMED_KEY_NAMESPACE, nonce)
}

fn armoured(key: &Key, namespace: &str, message: &str) -> String {
    let signature = key.sign(namespace, message.as_bytes());
    signature.to_pem(LineEnding::LF).unwrap()
}

/// Names a private key in a file, which signs the nonce itself.
fn name_file(lab: &Lab, wire: &Wire, file: &std::path::Path) -> jit_ssh_tests::http::Answer {
    name_key(lab, wire, &keygen::public(file), |nonce| {
        let message = file.with_extension("nonce");
        fs::write(&message, nonce).unwrap();
        let _ = fs::remove_file(file.with_extension("nonce.sig"));
        Run::new("ssh-keygen")
            .args(["-q", "-Y", "sign", "-n", NAMED_KEY_NAMESPACE, "-f"])
            .arg(file)
            .arg(&message)
            .go()
            .ok();
        fs::read_to_string(file.with_extension("nonce.sig")).unwrap()
    })
}

/// The bytes of a line's key, as far as it has any.
fn blob_of(line: &str) -> Vec<u8> {
    let text = line.split(' ').nth(1).unwrap_or_default();
    STANDARD.decode(text.trim()).unwrap_or_default()
}

/// Refused for the key or its proof, and in these words.
#[track_caller]
fn refused_because(answer: &jit_ssh_tests::http::Answer, why: &str) {
    let problem = answer.refused(Kind::KeyRefused);
    assert!(problem.detail.contains(why), "{problem:?}");
}

const NOT_SIGNED: &str = "did not sign the nonce";

#[test]
fn a38_a_certificate_in_place_of_a_key_is_refused() {
    let lab = Lab::start();
    let wire = lab.wire();
    let alice = lab.login("alice");
    let certificate = alice.answer.certificate.clone();
    let by_alice = proof_by(&alice.key);
    let answer = name_key(&lab, &wire, certificate.trim(), &by_alice);
    refused_because(&answer, "this is a certificate");
    // The control: the key that the certificate was made for, with the very same proof.
    name_key(&lab, &wire, &alice.key.line(), &by_alice).certificate();
}

#[test]
fn a38_the_cas_own_keys_are_not_certified_for_anybody() {
    let lab = Lab::start();
    let wire = lab.wire();
    for name in ["user-ca", "host-ca", "identity", "bundle", "ledger"] {
        let line = fs::read_to_string(lab.ca.data.join(format!("keys/{name}.pub"))).unwrap();
        let thief = proof_by(&Key::new());
        refused_because(&name_key(&lab, &wire, line.trim(), thief), NOT_SIGNED);
    }
}

#[test]
fn a13_a_named_key_that_does_not_prove_itself_is_refused() {
    let lab = Lab::start();
    let wire = lab.wire();
    // Somebody's public key, as GitHub shows it to everybody.
    let (victim, thief) = (Key::new(), Key::new());
    type Forgery<'a> = &'a dyn Fn(&str) -> String;
    let forgeries: [(&str, Forgery<'_>); 6] = [
        ("nothing", &|_| String::new()),
        ("an empty signature", &|_| {
            "-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----\n".to_owned()
        }),
        ("the thief's own", &proof_by(&thief)),
        ("of a commit", &|_| armoured(&victim, "git", "a commit")),
        ("of the nonce, for git", &|nonce| {
            armoured(&victim, "git", nonce)
        }),
        ("of another nonce", &|_| {
            armoured(&victim, NAMED_KEY_NAMESPACE, "another nonce")
        }),
    ];
    for (what, forgery) in forgeries {
        eprintln!("{what}");
        refused_because(&name_key(&lab, &wire, &victim.line(), forgery), NOT_SIGNED);
    }
    name_key(&lab, &wire, &victim.line(), proof_by(&victim)).certificate();
}

#[test]
fn a40_keys_that_are_weak_or_broken_are_refused() {
    let lab = Lab::start();
    let wire = lab.wire();
    let dir = &lab.dir;
    let accepted: &[(&str, &[&str])] = &[
        ("ed25519", &["-t", "ed25519"]),
        ("p256", &["-t", "ecdsa", "-b", "256"]),
        ("p384", &["-t", "ecdsa", "-b", "384"]),
        ("p521", &["-t", "ecdsa", "-b", "521"]),
        ("rsa3072", &["-t", "rsa", "-b", "3072"]),
    ];
    for (name, options) in accepted {
        let file = dir.join(name);
        keygen::generate(&file, options);
        let answer = name_file(&lab, &wire, &file).certificate();
        let listed = Listed::of(&answer.certificate);
        assert!(
            listed.value("Public key").contains(&fingerprint(&file)),
            "{name}"
        );
    }
    for (name, options) in [
        ("rsa1024", &["-t", "rsa", "-b", "1024"]),
        ("rsa2048", &["-t", "rsa", "-b", "2048"]),
    ] {
        let file = dir.join(name);
        keygen::generate(&file, options);
        name_file(&lab, &wire, &file).refused(Kind::KeyRefused);
    }
}

fn fingerprint(file: &std::path::Path) -> String {
    let key: ssh_key::PublicKey = keygen::public(file).parse().unwrap();
    key.fingerprint(HashAlg::Sha256).to_string()
}

#[test]
fn a40_bytes_that_are_no_key_are_refused_at_once() {
    let lab = Lab::start();
    let wire = lab.wire();
    let key = Key::new();
    let valid = key.line();
    let mut lines = vec![
        String::new(),
        "ssh-ed25519".to_owned(),
        "ssh-ed25519 AAAA".to_owned(),
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==".to_owned(),
        "ssh-dss AAAAB3NzaC1kc3MAAAAB".to_owned(),
        valid.replace("ssh-ed25519", "ssh-rsa"),
        format!("{valid}\n{valid}"),
        format!("command=\"id\" {valid}"),
        "x".repeat(20_000),
    ];
    // RSA with e = 1, e = 3 and a modulus of 16,384 bits.
    for (exponent, bits) in [(vec![1_u8], 3072), (vec![3], 3072), (vec![1, 0, 1], 16_384)] {
        let mut modulus = vec![0x55_u8; bits / 8];
        modulus[0] = 0x7f;
        let mut blob = Vec::new();
        for field in [b"ssh-rsa".as_slice(), &exponent, &modulus] {
            blob.extend(u32::try_from(field.len()).unwrap().to_be_bytes());
            blob.extend(field);
        }
        lines.push(format!("ssh-rsa {}", STANDARD.encode(blob)));
    }
    // A point that is not on the curve.
    let mut blob = Vec::new();
    for field in [
        b"ecdsa-sha2-nistp256".as_slice(),
        b"nistp256",
        &[[4_u8].as_slice(), &[1; 64]].concat(),
    ] {
        blob.extend(u32::try_from(field.len()).unwrap().to_be_bytes());
        blob.extend(field);
    }
    lines.push(format!("ecdsa-sha2-nistp256 {}", STANDARD.encode(blob)));
    let started = std::time::Instant::now();
    for line in lines {
        let answer = name_key(&lab, &wire, &line, proof_by(&key));
        let problem = answer.refused(Kind::KeyRefused);
        assert!(
            !problem.detail.contains(NOT_SIGNED),
            "the proof was looked at before the key: {line:?}: {problem:?}"
        );
    }
    assert!(started.elapsed().as_secs() < 5);
    name_key(&lab, &wire, &valid, proof_by(&key)).certificate();
    lab.login("alice");
}

#[test]
fn a41_a_public_key_that_does_not_fit_its_private_one_stops_the_ca() {
    for name in ["user-ca", "identity", "bundle", "ledger", "host-ca"] {
        let mut lab = Lab::builder().prepare();
        keygen::generate(&lab.dir.join("other"), &["-t", "ed25519"]);
        let public = keygen::public(&lab.dir.join("other"));
        fs::write(
            lab.ca.data.join(format!("keys/{name}.pub")),
            format!("{public}\n"),
        )
        .unwrap();
        lab.ca.launch();
        assert_ne!(lab.ca.child().wait(), 0, "{name}");
    }
}

#[test]
fn a41_a_key_set_that_another_identity_signed_stops_the_ca() {
    let mut lab = Lab::builder().prepare();
    let path = lab.ca.data.join("key-set.json");
    let mut set: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let document = set["document"]
        .as_str()
        .unwrap()
        .replace("\"number\": 1", "\"number\": 2");
    assert_ne!(set["document"], document);
    set["document"] = json!(document);
    fs::write(&path, set.to_string()).unwrap();
    lab.ca.launch();
    assert_ne!(lab.ca.child().wait(), 0);
}

#[test]
fn the_private_keys_of_the_ca_are_locked_by_the_passphrase() {
    let lab = Lab::builder().prepare();
    for name in ["identity", "user-ca", "host-ca", "bundle", "ledger"] {
        let text = fs::read_to_string(lab.ca.data.join("keys").join(name)).unwrap();
        let key = PrivateKey::from_openssh(&text).unwrap();
        assert!(key.is_encrypted(), "{name}");
    }
}
