//! Invariant 5: whoever asks holds the private key, on every route that is not open to all.
//! `attacks/exchange.rs` spoils each field of a proof; here OpenSSH's own tools make and judge them.

use jit_ssh_api::proof;
use jit_ssh_tests::keygen;
use jit_ssh_tests::lab::Lab;
use jit_ssh_tests::wire::Key;

#[test]
fn ssh_keygen_agrees_that_a_proof_is_one() {
    let lab = Lab::start();
    let wire = lab.wire();
    let key = Key::new();
    let good = wire.proof("GET", "/v1/roles", b"");
    let request = proof::Request {
        method: "GET",
        path_and_query: "/v1/roles",
        ca_name: &wire.ca.name,
        epoch: wire.ca.epoch,
        body: b"",
    };
    let message = proof::message(&request, good.time, proof::ProofId(good.id));
    let signature = key.sign(proof::NAMESPACE, message.as_bytes());
    let armoured = signature.to_pem(ssh_key::LineEnding::LF).unwrap();
    assert!(keygen::verifies(
        &key.line(),
        proof::NAMESPACE,
        message.as_bytes(),
        &armoured
    ));
    assert!(!keygen::verifies(
        &Key::new().line(),
        proof::NAMESPACE,
        message.as_bytes(),
        &armoured
    ));
}

#[test]
fn keys_of_both_profiles_prove_themselves() {
    for (fips, key) in [(false, Key::new()), (true, Key::p256())] {
        let builder = Lab::builder();
        let lab = if fips { builder.fips() } else { builder }.start();
        let wire = lab.wire();
        let salt = jit_ssh_tests::wire::BindingSalt::new();
        let token = lab.idp.token("alice", &salt.nonce(&key)).sign();
        wire.open_with(&key, &salt, &token).certificate();
        assert_eq!(wire.signed(&key, "GET", "/v1/roles", b"").status, 200);
    }
}
