//! Against signatures that `ssh-keygen -Y sign -n jit-ssh@v1` (OpenSSH 9.2) made of
//! `vectors/message`, and against the reference, on all that can be made of them.

use proptest::prelude::*;
use ssh_encoding::Encode as _;
use ssh_key::public::Ed25519PublicKey;
use ssh_key::{LineEnding, Signature};

use super::*;
use crate::certificate::AcceptedKey;
use crate::certificate::tests::user_ca;
use crate::signer::KeyKind;

const MESSAGE: &[u8] = include_bytes!("vectors/message");
const VECTORS: &[(&str, &str)] = &[
    ("ed25519", include_str!("vectors/ed25519.sig")),
    ("ed25519-sha256", include_str!("vectors/ed25519-sha256.sig")),
    ("p256", include_str!("vectors/p256.sig")),
    ("p384", include_str!("vectors/p384.sig")),
    ("p521", include_str!("vectors/p521.sig")),
    ("rsa-3072", include_str!("vectors/rsa-3072.sig")),
    (
        "rsa-3072-sha256",
        include_str!("vectors/rsa-3072-sha256.sig"),
    ),
];
const RSA_8192: &str = include_str!("vectors/rsa-8192.sig");

fn read(text: &str) -> SshSig {
    SshSig::from_pem(text).unwrap()
}

fn claimed(signature: &SshSig) -> PublicKey {
    PublicKey::from(signature.public_key().clone())
}

#[test]
fn every_signature_of_ssh_keygen_verifies_here_and_at_the_reference() {
    for (name, text) in VECTORS {
        let signature = read(text);
        let key = claimed(&signature);
        AcceptedKey::new(&key).unwrap();
        let fast = verify_sshsig(&key, proof::NAMESPACE, MESSAGE, &signature);
        assert_eq!(fast, Ok(()), "{name}");
        let reference = proof::verify_sshsig(&key, proof::NAMESPACE, MESSAGE, &signature);
        assert_eq!(reference, Ok(()), "{name}");
    }
}

#[test]
fn an_rsa_8192_key_verifies_though_the_reference_stops_at_4096() {
    let signature = read(RSA_8192);
    let key = claimed(&signature);
    AcceptedKey::new(&key).unwrap();
    let fast = verify_sshsig(&key, proof::NAMESPACE, MESSAGE, &signature);
    assert_eq!(fast, Ok(()));
    let other = verify_sshsig(&key, proof::NAMESPACE, b"other", &signature);
    assert_eq!(other, Err(ProofError::Mismatch));
    assert!(proof::verify_sshsig(&key, proof::NAMESPACE, MESSAGE, &signature).is_err());
}

#[test]
fn a_signature_for_another_namespace_message_or_key_is_refused() {
    for (name, text) in VECTORS {
        let signature = read(text);
        let key = claimed(&signature);
        let refused = Err(ProofError::Mismatch);
        assert_eq!(
            verify_sshsig(&key, "file", MESSAGE, &signature),
            refused,
            "{name}"
        );
        assert_eq!(verify_sshsig(&key, "", MESSAGE, &signature), refused);
        let longer = [MESSAGE, b"\n"].concat();
        assert_eq!(
            verify_sshsig(&key, proof::NAMESPACE, &longer, &signature),
            refused
        );
        let other = user_ca(KeyKind::Ed25519);
        let other = verify_sshsig(other.public_key(), proof::NAMESPACE, MESSAGE, &signature);
        assert_eq!(other, refused);
    }
}

#[test]
fn a_proof_of_ssh_keygen_verifies_for_its_request_and_no_other() {
    let request = Request {
        method: "POST",
        path_and_query: "/v1/certificates?x=1",
        ca_name: "ca.example.com",
        epoch: 1,
        body: br#"{"role":"production-observer"}"#,
    };
    let id = proof::ProofId(std::array::from_fn(|n| u8::try_from(n).unwrap()));
    let header = ProofHeader::encode(1_700_000_000, id, &read(VECTORS[0].1)).unwrap();
    let header = ProofHeader::parse(&header).unwrap();
    assert_eq!(verify_proof(&header, &request), Ok(()));
    let others = [
        Request {
            method: "PUT",
            ..request
        },
        Request {
            path_and_query: "/v1/certificates",
            ..request
        },
        Request {
            ca_name: "ca2.example.com",
            ..request
        },
        Request {
            epoch: 2,
            ..request
        },
        Request {
            body: b"{}",
            ..request
        },
    ];
    for other in &others {
        assert_eq!(
            verify_proof(&header, other),
            Err(ProofError::Mismatch),
            "{other:?}"
        );
    }
    let later = ProofHeader {
        time: header.time + 1,
        ..header
    };
    assert_eq!(verify_proof(&later, &request), Err(ProofError::Mismatch));
}

#[test]
fn our_own_signatures_verify_at_the_reference_and_at_ssh_keygen() {
    for kind in [KeyKind::Ed25519, KeyKind::P256] {
        let pair = user_ca(kind);
        // Several, because the length of ECDSA's numbers differs.
        for round in 0..20u8 {
            let message = [round; 40];
            let signature = pair.sign_sshsig("test@v1", &message).unwrap();
            let key = pair.public_key();
            assert_eq!(
                proof::verify_sshsig(key, "test@v1", &message, &signature),
                Ok(())
            );
            assert_eq!(verify_sshsig(key, "test@v1", &message, &signature), Ok(()));
            if round == 0 {
                assert!(keygen_says(key, "test@v1", &message, &signature));
                assert!(!keygen_says(key, "test@v1", b"other", &signature));
            }
        }
    }
}

/// `ssh-keygen -Y verify` with only this key allowed.
pub(crate) fn keygen_says(
    key: &PublicKey,
    namespace: &str,
    message: &[u8],
    signature: &SshSig,
) -> bool {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().unwrap();
    let allowed = folder.path().join("allowed");
    let path = folder.path().join("sig");
    let line = format!("us {}\n", key.to_openssh().unwrap());
    crate::signer::file::create(&allowed, line.as_bytes(), 0o644).unwrap();
    let text = signature.to_pem(LineEnding::LF).unwrap();
    crate::signer::file::create(&path, text.as_bytes(), 0o644).unwrap();
    let mut child = Command::new("ssh-keygen")
        .args(["-Y", "verify", "-I", "us", "-n", namespace, "-f"])
        .arg(&allowed)
        .arg("-s")
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(message).unwrap();
    child.wait().unwrap().success()
}

/// For a key of small order a signature fits every message. The reference takes some of them; none
/// gets as far, because no such key is accepted.
#[test]
fn a_signature_that_fits_every_message_is_of_no_use() {
    let mut identity = [0u8; 32];
    identity[0] = 1;
    let mut beyond = [0xffu8; 32];
    beyond[0] = 0xee;
    beyond[31] = 0x7f;
    for point in [identity, beyond, [0; 32]] {
        let key = PublicKey::from(KeyData::Ed25519(Ed25519PublicKey(point)));
        assert!(AcceptedKey::new(&key).is_err());
        let forged = [identity, [0; 32]].concat();
        let forged = Signature::new(Algorithm::Ed25519, forged).unwrap();
        let data = key.key_data().clone();
        let signature = SshSig::new(data, "test@v1", HashAlg::Sha512, forged).unwrap();
        let fast = verify_sshsig(&key, "test@v1", b"any", &signature);
        let reference = proof::verify_sshsig(&key, "test@v1", b"any", &signature);
        assert!(fast.is_err() || reference.is_ok());
        if point == beyond {
            assert_eq!((fast, reference), (Err(ProofError::Mismatch), Ok(())));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Changed at random: the same answer as the reference, whatever it is.
    #[test]
    fn a_changed_signature_gets_the_answer_of_the_reference(
        which in 0..VECTORS.len(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        message_changed in any::<bool>(),
    ) {
        let signature = read(VECTORS[which].1);
        let mut bytes = Vec::new();
        signature.encode(&mut bytes).unwrap();
        for (at, to) in changes {
            let at = at.index(bytes.len());
            bytes[at] = to;
        }
        let message = if message_changed { b"other".as_slice() } else { MESSAGE };
        if let Ok(signature) = SshSig::decode(&mut bytes.as_slice()) {
            for key in [claimed(&signature), claimed(&read(VECTORS[which].1))] {
                let fast = verify_sshsig(&key, proof::NAMESPACE, message, &signature);
                let reference = proof::verify_sshsig(&key, proof::NAMESPACE, message, &signature);
                prop_assert_eq!(fast, reference);
            }
        }
    }

    #[test]
    fn any_numbers_as_an_ecdsa_signature_get_the_answer_of_the_reference(
        r in proptest::collection::vec(any::<u8>(), 0..40),
        s in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let key = claimed(&read(VECTORS[2].1));
        let mut bytes = Vec::new();
        for number in [&r, &s] {
            Mpint::from_positive_bytes(number).unwrap().encode(&mut bytes).unwrap();
        }
        let algorithm = Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 };
        if let Ok(signature) = Signature::new(algorithm, bytes) {
            let data = key.key_data().clone();
            let signature = SshSig::new(data, "test@v1", HashAlg::Sha512, signature).unwrap();
            let fast = verify_sshsig(&key, "test@v1", MESSAGE, &signature);
            let reference = proof::verify_sshsig(&key, "test@v1", MESSAGE, &signature);
            prop_assert_eq!(fast, reference);
        }
    }
}
