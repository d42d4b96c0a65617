//! Proofs made by `ssh-keygen -Y sign -n jit-ssh@v1` (OpenSSH 9.2), and attempts with them.

use proptest::prelude::*;
use ssh_key::public::{Ed25519PublicKey, KeyData, SkEd25519};
use ssh_key::{Algorithm, HashAlg, Signature};

use super::*;

/// By an Ed25519 key, over [`request`] at [`TIME`] with id 0, 1 … 15.
const ED25519: &str = include_str!("ed25519.sig.base64");
/// The same by a P-256 key.
const P256: &str = include_str!("p256.sig.base64");
const TIME: u64 = 1_700_000_000;

fn id() -> ProofId {
    ProofId(std::array::from_fn(|n| u8::try_from(n).unwrap()))
}

fn request() -> Request<'static> {
    Request {
        method: "POST",
        path_and_query: "/v1/certificates?x=1",
        ca_name: "ca.example.com",
        epoch: 1,
        body: br#"{"role":"production-observer"}"#,
    }
}

fn header(signature: &str) -> String {
    let signature = signature.trim();
    format!(
        "JIT-SSH-Proof time={TIME},id={},signature={signature}",
        id()
    )
}

fn parse(value: &str) -> Result<ProofHeader, ProofError> {
    ProofHeader::parse(value)
}

#[test]
fn the_signed_text_is_exactly_this() {
    let expected = "jit-ssh proof v1\n\
        POST\n\
        /v1/certificates?x=1\n\
        ca.example.com\n\
        1\n\
        665468a1bea8c897ab2a93682d763ca93bc41e9662bd1e6a2d3a4670816e6f1e\n\
        1700000000\n\
        000102030405060708090a0b0c0d0e0f\n";
    assert_eq!(message(&request(), TIME, id()), expected);
}

#[test]
fn proofs_made_by_ssh_keygen_verify() {
    for signature in [ED25519, P256] {
        let header = parse(&header(signature)).unwrap();
        assert_eq!(header.time, TIME);
        assert_eq!(header.id, id());
        assert_eq!(header.verify(&request()), Ok(()));
        // Written again, it is the same header.
        let again = ProofHeader::encode(header.time, header.id, &header.signature).unwrap();
        assert_eq!(again, super::tests::header(signature));
    }
}

#[test]
fn a_proof_for_one_request_is_none_for_another() {
    let header = parse(&header(ED25519)).unwrap();
    let base = request();
    let others = [
        Request {
            method: "GET",
            ..base
        },
        Request {
            method: "post",
            ..base
        },
        Request {
            path_and_query: "/v1/certificates",
            ..base
        },
        Request {
            path_and_query: "/v1/certificates?x=1&y=2",
            ..base
        },
        Request {
            ca_name: "ca.example.org",
            ..base
        },
        Request { epoch: 0, ..base },
        Request { epoch: 2, ..base },
        Request { body: b"", ..base },
        Request {
            body: br#"{"role":"production-admin"}"#,
            ..base
        },
    ];
    for other in &others {
        assert_eq!(header.verify(other), Err(ProofError::Mismatch), "{other:?}");
    }
    let moved = ProofHeader {
        time: TIME + 1,
        ..header.clone()
    };
    assert_eq!(moved.verify(&base), Err(ProofError::Mismatch));
    let renamed = ProofHeader {
        id: ProofId([0; 16]),
        ..header
    };
    assert_eq!(renamed.verify(&base), Err(ProofError::Mismatch));
}

/// No field can hold a line feed where it is checked, so no two requests have one text; and the
/// text of a proof begins like no other text that is signed under this namespace.
#[test]
fn a_line_feed_in_a_path_moves_no_field() {
    let split = Request {
        method: "POST",
        path_and_query: "/v1/certificates?x=1\nca.example.com",
        ca_name: "1",
        ..request()
    };
    assert_ne!(
        message(&split, TIME, id()).lines().count(),
        message(&request(), TIME, id()).lines().count()
    );
}

#[test]
fn headers_of_another_form_are_refused() {
    let good = header(ED25519);
    parse(&good).unwrap();
    parse(&good.replacen("JIT-SSH-Proof", "jit-ssh-proof", 1)).unwrap();
    let forms = [
        String::new(),
        "JIT-SSH-Proof".into(),
        good.replacen("JIT-SSH-Proof", "Bearer", 1),
        good.replacen("time=", "t=", 1),
        good.replacen("time=1700000000,", "", 1),
        good.replacen("time=", "time=+", 1),
        good.replacen("time=", "time=-", 1),
        good.replacen("time=", "time= ", 1),
        good.replacen("1700000000", "18446744073709551616", 1),
        good.replacen("000102", "00010", 1),
        good.replacen("000102", "0001020", 1),
        good.replacen("0a0b", "0A0B", 1),
        good.replacen("000102", "+00102", 1),
        format!("{good},id=1"),
        format!("{good},"),
        format!("JIT-SSH-Proof id={},time={TIME},signature={ED25519}", id()),
    ];
    for form in forms {
        assert_eq!(parse(&form).unwrap_err(), ProofError::Form, "{form}");
    }
    let huge = format!("{good}{}", "A".repeat(MAX_HEADER_BYTES));
    assert_eq!(parse(&huge).unwrap_err(), ProofError::Form);
}

#[test]
fn signatures_that_are_cut_longer_or_of_another_format_are_refused() {
    let blob = STANDARD.decode(ED25519.trim()).unwrap();
    for end in 0..blob.len() {
        let cut = header(&STANDARD.encode(&blob[..end]));
        assert_eq!(parse(&cut).unwrap_err(), ProofError::Signature, "{end}");
    }
    let longer = header(&STANDARD.encode([blob.as_slice(), &[0]].concat()));
    assert_eq!(parse(&longer).unwrap_err(), ProofError::Signature);
    for text in ["", "!", "U1NIU0lH", "AAAA", "U1NIU0lHAAAAAg=="] {
        assert_eq!(parse(&header(text)).unwrap_err(), ProofError::Signature);
    }
}

#[test]
fn a_signature_for_another_namespace_is_no_proof() {
    let header = parse(&header(ED25519)).unwrap();
    let text = message(&request(), TIME, id());
    let key = header.public_key();
    for namespace in ["file", "git", "jit-ssh@v2", "jit-ssh@v", ""] {
        let found = verify_sshsig(&key, namespace, text.as_bytes(), &header.signature);
        assert_eq!(found, Err(ProofError::Mismatch), "{namespace}");
    }
}

#[test]
fn a_signature_by_another_key_than_it_claims_is_refused() {
    let ed25519 = parse(&header(ED25519)).unwrap();
    let p256 = parse(&header(P256)).unwrap();
    let text = message(&request(), TIME, id());
    let found = verify_sshsig(
        &p256.public_key(),
        NAMESPACE,
        text.as_bytes(),
        &ed25519.signature,
    );
    assert_eq!(found, Err(ProofError::Mismatch));
    let data = p256.signature.public_key().clone();
    let swapped = ed25519.signature.signature().clone();
    let swapped = SshSig::new(data, NAMESPACE, HashAlg::Sha512, swapped).unwrap();
    let found = verify_sshsig(&p256.public_key(), NAMESPACE, text.as_bytes(), &swapped);
    assert_eq!(found, Err(ProofError::Mismatch));
}

/// Tried: `ssh-key` and `ssh-keygen -Y verify` both accept a signature without a touch.
#[test]
fn a_security_key_that_nobody_touched_proves_nothing() {
    use ssh_key::private::Ed25519Keypair;
    let pair = Ed25519Keypair::from_seed(&[7; 32]);
    let public = PublicKey::from(KeyData::SkEd25519(SkEd25519::new(
        Ed25519PublicKey(pair.public.0),
        "ssh:",
    )));
    for (flags, expected) in [
        (0x01, Ok(())),
        (0x05, Ok(())),
        (0x00, Err(ProofError::NoTouch)),
        (0x04, Err(ProofError::NoTouch)),
    ] {
        let signature = sk_signature(&pair, flags);
        let data = public.key_data().clone();
        let signature = SshSig::new(data, NAMESPACE, HashAlg::Sha512, signature).unwrap();
        let found = verify_sshsig(&public, NAMESPACE, b"message", &signature);
        assert_eq!(found, expected, "{flags}");
    }
}

/// As an authenticator signs (PROTOCOL.u2f): SHA-256(application), flags, counter, SHA-256(data).
fn sk_signature(pair: &ssh_key::private::Ed25519Keypair, flags: u8) -> Signature {
    use ssh_key::private::KeypairData;
    let covered = SshSig::signed_data(NAMESPACE, HashAlg::Sha512, b"message").unwrap();
    let counter = 9u32.to_be_bytes();
    let mut signed = Sha256::digest(b"ssh:").to_vec();
    signed.push(flags);
    signed.extend(counter);
    signed.extend(Sha256::digest(&covered));
    let key = ssh_key::PrivateKey::new(KeypairData::Ed25519(pair.clone()), "").unwrap();
    let signature = sign(&key, &signed);
    let bytes = [signature.as_slice(), &[flags], &counter].concat();
    Signature::new(Algorithm::SkEd25519, bytes).unwrap()
}

/// A bare signature: `ssh-key` offers it through its own re-exported trait only.
fn sign(key: &ssh_key::PrivateKey, message: &[u8]) -> Vec<u8> {
    let ed25519 = key.key_data().ed25519().unwrap();
    let seed = ed25519.private.to_bytes();
    use ed25519_dalek::Signer as _;
    ed25519_dalek::SigningKey::from_bytes(&seed)
        .sign(message)
        .to_bytes()
        .to_vec()
}

proptest! {
    #[test]
    fn any_header_is_read_without_a_panic(text in any::<String>(), bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&text);
        let _ = parse(&format!("JIT-SSH-Proof {text}"));
        let _ = parse(&header(&text));
        let _ = parse(&header(&STANDARD.encode(&bytes)));
        let _ = parse(&header(&STANDARD.encode([b"SSHSIG\0\0\0\x01".as_slice(), &bytes].concat())));
    }

    /// A changed header is refused, or still is the same signature of the same key: `ssh-key` reads
    /// some lengths and the version more freely than it writes them.
    #[test]
    fn a_changed_signature_proves_nothing(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut blob = STANDARD.decode(ED25519.trim()).unwrap();
        let at = at.index(blob.len());
        blob[at] ^= 1 << bit;
        if let Ok(changed) = parse(&header(&STANDARD.encode(&blob)))
            && changed.verify(&request()).is_ok()
        {
            let good = parse(&header(ED25519)).unwrap();
            prop_assert_eq!(changed.public_key(), good.public_key());
            prop_assert_eq!(changed.signature.signature(), good.signature.signature());
        }
    }

    #[test]
    fn two_requests_never_share_a_text(
        one in ("[A-Z]{1,5}", "/[!-~]{0,20}", "[a-z.]{1,10}", any::<u64>()),
        other in ("[A-Z]{1,5}", "/[!-~]{0,20}", "[a-z.]{1,10}", any::<u64>()),
    ) {
        fn text((method, path, name, epoch): &(String, String, String, u64)) -> String {
            let request = Request {
                method,
                path_and_query: path,
                ca_name: name,
                epoch: *epoch,
                body: b"",
            };
            message(&request, TIME, id())
        }
        prop_assert_eq!(text(&one) == text(&other), one == other);
    }
}
