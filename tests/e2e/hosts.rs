//! Hosts enrol themselves: what the CA gives them, and what a host, an invitation or a copy of either
//! cannot have.

use std::thread;

use jit_ssh_api::host::{Host, HostList, InvitationList, InvitationRequest, Reachable};
use jit_ssh_api::problem::Kind;
use jit_ssh_api::revocation::Revocation;
use jit_ssh_tests::ca::POLICY;
use jit_ssh_tests::clock;
use jit_ssh_tests::host::{HostWire, invitation};
use jit_ssh_tests::keygen;
use jit_ssh_tests::lab::Lab;
use jit_ssh_tests::wire::Key;
use serde_json::json;

#[test]
fn a_host_enrols_itself_and_is_told_what_to_trust() {
    let lab = Lab::start();
    let names = ["web-1.prod.example.com", "web.prod.example.com"];
    let token = lab.ca.invite(&invitation(
        &["web-*.prod.example.com", "web.prod.example.com"],
        &[("env", "production")],
    ));
    let (host, enrolment) = HostWire::new(lab.wire()).enrolled(&token.token, &names);
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

#[test]
fn an_operator_invites_labels_and_revokes_hosts_from_the_command_line() {
    let lab = Lab::start();
    let said = lab
        .ca
        .admin(&["host", "invite", "--name", "web-*.prod.example.com"])
        .ok();
    let token = said.stdout.trim();
    assert!(token.starts_with("jit-ssh-invite-"), "{said}");
    assert!(said.stderr.contains("shown once"), "{said}");
    let name = "web-1.prod.example.com";
    let (host, _) = HostWire::new(lab.wire()).enrolled(token, &[name]);
    let left = lab.ca.admin(&["host", "invitations"]).ok();
    assert!(left.stdout.contains("no invitation"), "used up: {left}");
    let labelled = lab
        .ca
        .admin(&["host", "label", name, "env=production", "tier=web"])
        .ok();
    assert!(
        labelled.stdout.contains("env=production tier=web"),
        "{labelled}"
    );
    lab.ca
        .admin(&["host", "label", name, "--remove", "tier"])
        .ok();
    let missing = lab.ca.admin(&["host", "label", name, "--remove", "tier"]);
    assert!(missing.stderr.contains("no label tier"), "{missing}");
    let shown = lab.ca.admin(&["host", "show", name, "--json"]).ok();
    let shown: Host = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(shown.id, host.id);
    assert_eq!(
        shown.labels,
        jit_ssh_tests::host::of(&[("env", "production")])
    );
    let all = lab
        .ca
        .admin(&["host", "list", "--label", "env=production"])
        .ok();
    assert!(all.stdout.contains(name), "{all}");
    let none = lab
        .ca
        .admin(&["host", "list", "--label", "env=staging"])
        .ok();
    assert!(!none.stdout.contains(name), "{none}");
    let revoked = lab.ca.admin(&["host", "revoke", name, "--json"]).ok();
    let revoked: Revocation = serde_json::from_str(&revoked.stdout).unwrap();
    assert_eq!(revoked.certificates.len(), 2);
    let again = lab.ca.admin(&["host", "revoke", name]);
    assert!(again.stderr.contains("There is no host"), "{again}");
    let again = lab.ca.admin(&["host", "revoke", &host.id]);
    assert!(again.stderr.contains("was revoked"), "{again}");
    let kept = lab.ca.admin(&["host", "list", "--all"]).ok();
    assert!(kept.stdout.contains("revoked"), "{kept}");
    // Who did what is in the ledger, each with its own kind.
    for kind in [
        "host-invited",
        "host-enrolled",
        "host-labels",
        "host-revoked",
    ] {
        assert!(!lab.ca.records_of(kind).is_empty(), "{kind}");
    }
    assert_eq!(lab.ca.records_of("host-certificate").len(), 2);
    // An invitation is withdrawn by its identifier.
    lab.ca
        .admin(&["host", "invite", "--name", "db.example.com"])
        .ok();
    let list: InvitationList = lab.ca.local("GET", "/v1/admin/invitations", b"").json();
    lab.ca
        .admin(&["host", "withdraw", &list.invitations[0].id])
        .ok();
    let list: InvitationList = lab.ca.local("GET", "/v1/admin/invitations", b"").json();
    assert!(list.invitations.is_empty());
}

#[test]
fn an_invitation_that_is_none_is_not_made() {
    let lab = Lab::start();
    let good = invitation(&["web-*.prod.example.com"], &[("env", "production")]);
    let mut wrong: Vec<InvitationRequest> = ["*", "*.com", "10.1.*", "WEB.example.com", "a b", ""]
        .iter()
        .map(|name| InvitationRequest {
            names: vec![(*name).to_owned()],
            ..good.clone()
        })
        .collect();
    wrong.extend([
        InvitationRequest {
            names: Vec::new(),
            ..good.clone()
        },
        InvitationRequest {
            labels: jit_ssh_tests::host::of(&[("Env", "x")]),
            ..good.clone()
        },
        InvitationRequest {
            uses: Some(0),
            ..good.clone()
        },
        InvitationRequest {
            from: vec!["10.0.0.1/8".to_owned()],
            ..good.clone()
        },
        InvitationRequest {
            valid_seconds: 0,
            ..good.clone()
        },
        InvitationRequest {
            valid_seconds: u64::MAX,
            ..good.clone()
        },
    ]);
    for request in wrong {
        let body = json!(request).to_string();
        lab.ca
            .local("POST", "/v1/admin/invitations", body.as_bytes())
            .refused(Kind::BadRequest);
    }
    // The right to see logins is none to let hosts in.
    let body = json!(good).to_string();
    let alice = lab.login("alice");
    lab.wire()
        .signed(&alice.key, "POST", "/v1/admin/invitations", body.as_bytes())
        .refused(Kind::Forbidden);
    assert!(lab.ca.records_of("host-invited").is_empty());
    lab.ca.invite(&good);
}

#[test]
fn a_person_sees_the_hosts_that_their_roles_open_and_no_others() {
    let policy = POLICY.replace(
        "accounts = [\"observer\"]",
        "accounts = [\"observer\"]\nhosts = { env = \"production\" }",
    );
    let lab = Lab::builder().policy(&policy).start();
    lab.ca
        .enrol(&["web-1.prod.example.com"], &[("env", "production")])
        .0
        .confirm();
    lab.ca
        .enrol(&["lab-1.prod.example.com"], &[("env", "staging")])
        .0
        .confirm();
    // Enrolled, and then nothing was put down: nobody can know that it shows a certificate.
    let failed = ["web-2.prod.example.com"];
    let token = lab.ca.invite(&invitation(&failed, &[])).token;
    let (failed, _) = HostWire::new(lab.wire()).enrolled(&token, &failed);
    let alice = lab.login("alice");
    let reach: Reachable = lab
        .wire()
        .signed(&alice.key, "GET", "/v1/hosts", b"")
        .json();
    let roles = |name: &str| -> Vec<String> {
        let host = reach.hosts.iter().find(|host| host.names[0] == name);
        let roles = &host.unwrap().roles;
        roles.iter().map(|role| role.role.clone()).collect()
    };
    assert_eq!(
        roles("web-1.prod.example.com"),
        ["production-observer", "jump"]
    );
    assert_eq!(roles("lab-1.prod.example.com"), ["jump"]);
    assert_eq!(reach.host_ca.len(), 1);
    assert_eq!(reach.hosts.len(), 2, "{reach:?}");
    failed.confirm();
    let reach: Reachable = lab
        .wire()
        .signed(&alice.key, "GET", "/v1/hosts", b"")
        .json();
    assert_eq!(reach.hosts.len(), 3, "{reach:?}");
    lab.wire()
        .signed(&Key::new(), "GET", "/v1/hosts", b"")
        .refused(Kind::LoginEnded);
}

#[test]
fn where_certificates_name_accounts_each_account_opens_for_its_name() {
    let policy = POLICY.replacen("order", "principals = \"accounts\"\norder", 1);
    let lab = Lab::builder().policy(&policy).start();
    let (host, _) = lab.ca.enrol(&["web-1.prod.example.com"], &[]);
    let bundle = host.bundle();
    assert_eq!(bundle.bundle().principals["observer"], ["observer"]);
    assert!(bundle.bundle().own_account_roles.is_empty());
}

#[test]
fn more_hosts_behind_one_address_than_it_may_have_connections_hold_their_requests() {
    let lab = Lab::builder()
        .sections("[limits]\nconnections_per_peer = 10")
        .start();
    let token = lab
        .ca
        .invite(&InvitationRequest {
            uses: None,
            ..invitation(&["web-*.prod.example.com"], &[])
        })
        .token;
    let wire = lab.wire();
    let hosts: Vec<HostWire> = (0..30)
        .map(|place| {
            let name = format!("web-{place}.prod.example.com");
            HostWire::new(wire.clone()).enrolled(&token, &[&name]).0
        })
        .collect();
    let number = hosts[0].bundle().bundle().number;
    let mut waiting = Vec::new();
    for (place, host) in hosts.iter().cloned().enumerate() {
        waiting.push(thread::spawn(move || host.wait(number, 55)));
        clock::until("the request to be held", || {
            let page = lab.ca.local("GET", "/metrics", b"").body;
            page.contains(&format!("jit_ssh_ca_held_requests {}\n", place + 1))
                .then_some(())
        });
    }
    lab.ca
        .admin(&["host", "label", "web-3.prod.example.com", "env=production"])
        .ok();
    for thread in waiting {
        assert_eq!(thread.join().unwrap().bundle().number, number + 1);
    }
}

#[test]
fn a_revoked_key_is_no_hosts_key_either() {
    let lab = Lab::start();
    let (host, _) = lab.ca.enrol(&["web01.prod.example.com"], &[]);
    let renew = || host.signed("POST", "/v1/hosts/self/certificates", b"{}");
    assert_eq!(renew().status, 200);
    let stolen = &host.keys[1];
    let fingerprint = stolen.0.fingerprint(ssh_key::HashAlg::Sha256);
    let body = json!({ "target": { "key": fingerprint.to_string() }, "reason": "stolen" });
    let answer = lab
        .ca
        .local("POST", "/v1/admin/revocations", body.to_string().as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
    renew().refused(Kind::Refused);
    // Nor does it come in again beside another first key.
    let other = HostWire::with(lab.wire(), vec![Key::new(), stolen.clone()]);
    let names = ["db01.prod.example.com"];
    let token = lab.ca.invite(&invitation(&names, &[])).token;
    other.enrol(&token, &names).refused(Kind::Refused);
    let clean = HostWire::new(lab.wire());
    assert_eq!(
        clean.enrol(&token, &names).status,
        200,
        "the use is not lost"
    );
}
