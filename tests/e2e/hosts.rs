//! Hosts enrol themselves: what the CA gives them, and what a host, an invitation or a copy of either
//! cannot have.

use jit_ssh_api::host::HostList;
use jit_ssh_tests::host::invitation;
use jit_ssh_tests::keygen;
use jit_ssh_tests::lab::Lab;

#[test]
fn a_host_enrols_itself_and_is_told_what_to_trust() {
    let lab = Lab::start();
    let names = ["web-1.prod.example.com", "web.prod.example.com"];
    let token = lab.ca.invite(&invitation(
        &["web-*.prod.example.com", "web.prod.example.com"],
        &[("env", "production")],
    ));
    let (host, enrolment) =
        jit_ssh_tests::host::HostWire::new(lab.wire()).enrolled(&token.token, &names);
    assert_eq!(enrolment.certificates.len(), 2, "one for each key");
    for certificate in &enrolment.certificates {
        let shown = keygen::Listed::of(&certificate.certificate);
        let shown = shown.text();
        assert!(shown.contains("host certificate"), "{shown}");
        for name in names {
            assert!(shown.contains(name), "{shown}");
        }
        assert!(
            shown.contains(&format!("Key ID: \"{}/host={}\"", names[0], host.id)),
            "{shown}"
        );
    }
    let bundle = host.bundle();
    let bundle = bundle.bundle();
    assert_eq!(bundle.principals["observer"], ["role:production-observer"]);
    assert_eq!(bundle.own_account_roles, ["engineering"]);
    assert_eq!(bundle.labels["env"], "production");
    assert!(!bundle.krl.is_empty());
    // Held until its time is up, and then dated anew.
    let again = host.wait(bundle.number, 1);
    assert_eq!(again.bundle().number, bundle.number);
    assert!(again.bundle().issued > bundle.issued);
    let list: HostList = lab.ca.local("GET", "/v1/admin/hosts", b"").json();
    assert_eq!(list.hosts.len(), 1);
    assert_eq!(list.hosts[0].names, names);
    assert_eq!(list.hosts[0].bundle, Some(bundle.number), "the receipt");
}
