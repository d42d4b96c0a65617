//! What counts against a person's day.

use crate::server::testing::{CONFIG, Person, TestCa, ca_in, data_folder, put};

/// A CA where one person has so many records a day.
async fn ca_with(certificates_per_day: u32) -> TestCa {
    let folder = data_folder();
    let limit = format!("{CONFIG}\n[limits]\ncertificates_per_day = {certificates_per_day}\n");
    put(folder.path(), "ca.toml", &limit);
    ca_in(folder).await
}

#[tokio::test]
async fn a_record_that_the_ledger_refused_costs_nothing() {
    let ca = ca_with(2).await;
    let alice = Person::new("alice", &["Ops"]);
    ca.sign_in(&alice).await;
    ca.state().ledger.store().pretend_free(0);
    for _ in 0..5 {
        let got = ca.ask(&alice, "POST", "/v1/certificates", "{}").await;
        assert_eq!(got.refusal(), "unavailable");
    }
    ca.state().ledger.store().pretend_free(1 << 40);
    for _ in 0..2 {
        let got = ca.ask(&alice, "POST", "/v1/certificates", "{}").await;
        assert_eq!(got.status(), 200, "{got:?}");
    }
    let got = ca.ask(&alice, "POST", "/v1/certificates", "{}").await;
    assert_eq!(got.refusal(), "too-many");
}

#[tokio::test]
async fn a_refusal_that_writes_nothing_of_a_login_costs_nothing() {
    let ca = ca_with(1).await;
    let alice = Person::new("alice", &["Ops"]);
    ca.sign_in(&alice).await;
    let asked = r#"{"role":"production-admin"}"#;
    for _ in 0..5 {
        let got = ca.ask(&alice, "POST", "/v1/certificates", asked).await;
        assert_eq!(got.refusal(), "refused");
    }
    let got = ca.ask(&alice, "POST", "/v1/certificates", "{}").await;
    assert_eq!(got.status(), 200, "{got:?}");
    let got = ca.ask(&alice, "POST", "/v1/certificates", asked).await;
    assert_eq!(got.refusal(), "refused", "and is still told what it is");
}
