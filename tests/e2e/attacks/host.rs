//! A54 to A60: what a host, an invitation, or a copy of either cannot have.

use std::thread;

use jit_ssh_api::binding;
use jit_ssh_api::bundle::{BundleError, Position, SignedBundle};
use jit_ssh_api::host::{Enrolment, Host, HostCertificates, HostList, InvitationRequest};
use jit_ssh_api::problem::Kind;
use jit_ssh_tests::ca::Ca;
use jit_ssh_tests::clock;
use jit_ssh_tests::host::{HostWire, invitation, of};
use jit_ssh_tests::keygen::Listed;
use jit_ssh_tests::lab::Lab;
use jit_ssh_tests::process::Run;
use jit_ssh_tests::wire::Key;
use serde_json::json;
use ssh_key::{Algorithm, LineEnding, PrivateKey};

const NAME: &str = "web-1.prod.example.com";

/// An invitation for `web-*.prod.example.com`, as often as anybody likes.
fn any() -> InvitationRequest {
    InvitationRequest {
        uses: None,
        ..invitation(&["web-*.prod.example.com"], &[("env", "production")])
    }
}

fn hosts(ca: &Ca) -> Vec<Host> {
    let list: HostList = ca.local("GET", "/v1/admin/hosts", b"").json();
    list.hosts
}

#[test]
fn a54_an_older_bundle_or_that_of_another_host_is_not_believed() {
    let lab = Lab::start();
    let (one, enrolment) = lab.ca.enrol(&[NAME], &[("env", "production")]);
    let (two, _) = lab.ca.enrol(&["web-2.prod.example.com"], &[]);
    let identity = lab.ca.fingerprint();
    let older: SignedBundle = enrolment.bundle;
    let held = one.bundle().bundle().position();
    older.verify(&identity, &one.id, None).unwrap();
    let error = older.verify(&identity, &two.id, None).unwrap_err();
    assert!(matches!(error, BundleError::OtherHost(_)), "{error}");
    let path = format!("/v1/admin/hosts/{}/labels", one.id);
    let body = json!({ "labels": { "env": "staging" } }).to_string();
    assert_eq!(lab.ca.local("POST", &path, body.as_bytes()).status, 200);
    let newer = one.bundle();
    assert!(newer.bundle().number > held.number);
    let held: Position = newer.bundle().position();
    let error = older.verify(&identity, &one.id, Some(held)).unwrap_err();
    assert!(matches!(error, BundleError::Older { .. }), "{error}");
    // Who changes a letter of it has no signature.
    let mut changed: SignedBundle = one.ask_bundle("").json();
    changed.document = changed.document.replace("staging", "producti");
    let error = changed.verify(&identity, &one.id, None).unwrap_err();
    assert_eq!(error, BundleError::Signature);
}

#[test]
fn a54_a_change_is_with_the_host_within_a_second_whoever_restarts() {
    let mut lab = Lab::start();
    let (host, _) = lab.ca.enrol(&[NAME], &[("env", "production")]);
    let number = host.bundle().bundle().number;
    let waiting = {
        let host = host.clone();
        thread::spawn(move || host.wait(number, 55))
    };
    clock::until("the request to be held", || {
        let page = lab.ca.local("GET", "/metrics", b"").body;
        page.contains("jit_ssh_ca_held_requests 1").then_some(())
    });
    let started = std::time::Instant::now();
    let path = format!("/v1/admin/hosts/{}/labels", host.id);
    let body = json!({ "labels": { "env": "staging" } }).to_string();
    assert_eq!(lab.ca.local("POST", &path, body.as_bytes()).status, 200);
    let newer = waiting.join().unwrap();
    assert!(started.elapsed().as_secs() < 2, "{:?}", started.elapsed());
    assert_eq!(newer.bundle().labels, of(&[("env", "staging")]));
    // A policy that comes into force is in the bundle with the number that says so.
    let number = newer.bundle().number;
    let waiting = {
        let host = host.clone();
        thread::spawn(move || host.wait(number, 55))
    };
    lab.ca.change(|plan| {
        plan.policy = plan.policy.replace(
            "[roles.jump]",
            "[roles.debug]\naccounts = [\"debug\"]\nmax_validity = \"5m\"\n\
             hosts = { env = \"staging\" }\n[roles.jump]",
        );
    });
    let newer = waiting.join().unwrap();
    assert_eq!(newer.bundle().principals["debug"], ["role:debug"]);
    // Numbers go on where they were.
    lab.ca.stop();
    lab.ca.serve();
    assert_eq!(host.bundle().bundle().number, newer.bundle().number);
    // A stop of the CA does not wait for what is held.
    let number = newer.bundle().number;
    let waiting = {
        let host = host.clone();
        thread::spawn(move || host.wait(number, 55))
    };
    clock::until("the request to be held", || {
        let page = lab.ca.local("GET", "/metrics", b"").body;
        page.contains("jit_ssh_ca_held_requests 1").then_some(())
    });
    let started = std::time::Instant::now();
    lab.ca.stop();
    assert_eq!(waiting.join().unwrap().bundle().number, number);
    assert!(started.elapsed().as_secs() < 4, "{:?}", started.elapsed());
}

#[test]
fn a55_a_revoked_host_is_on_every_other_hosts_list_and_gets_nothing() {
    let lab = Lab::start();
    let (gone, enrolment) = lab.ca.enrol(&[NAME], &[]);
    let (stays, _) = lab.ca.enrol(&["web-2.prod.example.com"], &[]);
    let number = stays.bundle().bundle().number;
    let waiting = {
        let gone = gone.clone();
        let query = format!("?epoch=1&number={number}&wait=55");
        thread::spawn(move || gone.ask_bundle(&query))
    };
    clock::until("the request to be held", || {
        let page = lab.ca.local("GET", "/metrics", b"").body;
        page.contains("jit_ssh_ca_held_requests 1").then_some(())
    });
    let path = format!("/v1/admin/hosts/{}", gone.id);
    let revoked = lab.ca.local("DELETE", &path, b"");
    assert_eq!(revoked.status, 200, "{revoked:?}");
    let told: jit_ssh_api::revocation::Revocation = revoked.json();
    let mut serials: Vec<_> = enrolment
        .certificates
        .iter()
        .map(|it| it.serial.clone())
        .collect();
    let mut listed = told.certificates.clone();
    serials.sort();
    listed.sort();
    assert_eq!(listed, serials);
    // What it held ends, and it has nothing more to ask for.
    waiting.join().unwrap().refused(Kind::HostUnknown);
    gone.ask_bundle("").refused(Kind::HostUnknown);
    gone.signed("POST", "/v1/hosts/self/certificates", b"{}")
        .refused(Kind::HostUnknown);
    gone.signed("POST", "/v1/hosts/self/report", b"{}")
        .refused(Kind::HostUnknown);
    // Twice is once.
    lab.ca.local("DELETE", &path, b"").refused(Kind::NotFound);
    // ssh-keygen reads the list that the others get.
    let newer = stays.wait(number, 55);
    assert_eq!(newer.bundle().number, told.bundle);
    let krl = lab.dir.join("krl");
    let bytes = base64::Engine::decode(
        &base64::engine::general_purpose::STANDARD,
        &newer.bundle().krl,
    );
    std::fs::write(&krl, bytes.unwrap()).unwrap();
    let certificate = lab.dir.join("host-cert.pub");
    std::fs::write(&certificate, &enrolment.certificates[0].certificate).unwrap();
    let said = Run::new("ssh-keygen")
        .args(["-Q", "-f"])
        .arg(&krl)
        .arg(&certificate)
        .go();
    assert!(said.stdout.contains("REVOKED"), "{said}");
    // The name and the keys are free, with an invitation.
    let token = lab.ca.invite(&any()).token;
    let (again, _) = HostWire::with(lab.wire(), gone.keys.clone()).enrolled(&token, &[NAME]);
    assert_ne!(again.id, gone.id, "an identifier is never used again");
}

#[test]
fn a56_a_host_sees_and_says_nothing_of_others() {
    let lab = Lab::start();
    let (one, _) = lab.ca.enrol(&[NAME], &[]);
    let (two, _) = lab.ca.enrol(&["web-2.prod.example.com"], &[]);
    for (method, path) in [
        ("GET", "/v1/admin/hosts".to_owned()),
        ("GET", format!("/v1/admin/hosts/{}", two.id)),
        ("GET", format!("/v1/admin/hosts/{}", one.id)),
        ("DELETE", format!("/v1/admin/hosts/{}", two.id)),
        ("GET", "/v1/admin/invitations".to_owned()),
        ("GET", "/v1/admin/audit".to_owned()),
        ("GET", "/v1/admin/logins".to_owned()),
        ("GET", "/v1/hosts".to_owned()),
        ("GET", "/v1/roles".to_owned()),
        ("GET", "/v1/logins/self".to_owned()),
    ] {
        one.signed(method, &path, b"").refused(Kind::LoginEnded);
    }
    let labels = format!("/v1/admin/hosts/{}/labels", one.id);
    one.signed("POST", &labels, b"{\"labels\":{}}")
        .refused(Kind::LoginEnded);
    one.signed("POST", "/v1/certificates", b"{}")
        .refused(Kind::LoginEnded);
    // There is nothing in a request in which another host could be named.
    for path in [
        format!("/v1/hosts/{}/bundle", two.id),
        format!("/v1/hosts/self/bundle/{}", two.id),
    ] {
        one.signed("GET", &path, b"").refused(Kind::NotFound);
    }
    one.ask_bundle(&format!("?host={}", two.id))
        .refused(Kind::BadRequest);
    for (path, body) in [
        ("/v1/hosts/self/report", json!({ "host": two.id })),
        (
            "/v1/hosts/self/certificates",
            json!({ "names": ["web-2.prod.example.com"] }),
        ),
    ] {
        one.signed("POST", path, body.to_string().as_bytes())
            .refused(Kind::BadRequest);
    }
    // A receipt of what there is not yet is none.
    let number = one.bundle().bundle().number;
    for query in [
        format!("?epoch=1&number={}", number + 1),
        format!("?epoch=2&number={number}"),
        format!("?number={number}"),
    ] {
        assert_eq!(one.ask_bundle(&query).status, 200);
        let of_one = hosts(&lab.ca).into_iter().find(|host| host.id == one.id);
        assert_eq!(of_one.unwrap().bundle, None, "{query}");
    }
    one.wait(number, 0);
    let told = hosts(&lab.ca);
    let holds = |id: &str| told.iter().find(|host| host.id == id).unwrap().bundle;
    assert_eq!((holds(&one.id), holds(&two.id)), (Some(number), None));
    // Only the first key is the host.
    let second = HostWire::with(lab.wire(), vec![one.keys[1].clone()]);
    second.ask_bundle("").refused(Kind::HostUnknown);
    // What it may have, it has: certificates for its own names.
    let answer = one.signed("POST", "/v1/hosts/self/certificates", b"{}");
    assert_eq!(answer.status, 200, "{answer:?}");
    let renewed: HostCertificates = answer.json();
    assert_eq!(renewed.certificates.len(), 2);
    let listed = Listed::of(&renewed.certificates[0].certificate);
    assert_eq!(listed.list("Principals"), [NAME]);
}

#[test]
fn a56_a_proof_of_a_host_counts_once_and_for_its_own_request() {
    let lab = Lab::start();
    let (host, _) = lab.ca.enrol(&[NAME], &[]);
    let (wire, key) = (&host.wire, &host.keys[0]);
    let path = "/v1/hosts/self/bundle";
    let header = wire.proof("GET", path, b"").header(key);
    assert_eq!(wire.with(&header, "GET", path, b"").status, 200);
    wire.with(&header, "GET", path, b"")
        .refused(Kind::ProofInvalid);
    // A receipt that was heard on the way is not another receipt.
    let other = format!("{path}?epoch=1&number=1");
    let header = wire.proof("GET", path, b"").header(key);
    wire.with(&header, "GET", &other, b"")
        .refused(Kind::ProofInvalid);
    wire.plain("GET", path, b"").refused(Kind::ProofMissing);
    wire.signed(&Key::new(), "GET", path, b"")
        .refused(Kind::HostUnknown);
    let opened = lab.login("alice");
    wire.signed(&opened.key, "GET", path, b"")
        .refused(Kind::HostUnknown);
}

#[test]
fn a60_of_two_at_once_with_a_one_use_invitation_one_wins() {
    let lab = Lab::start();
    let names = |place: usize| format!("web-{place}.prod.example.com");
    let token = lab
        .ca
        .invite(&InvitationRequest {
            uses: Some(1),
            ..any()
        })
        .token;
    let wire = lab.wire();
    let each: Vec<_> = (0..8)
        .map(|place| {
            let (token, host) = (token.clone(), HostWire::new(wire.clone()));
            thread::spawn(move || (host.clone(), host.enrol(&token, &[&names(place)])))
        })
        .collect();
    let answers: Vec<_> = each.into_iter().map(|it| it.join().unwrap()).collect();
    let (won, lost): (Vec<_>, Vec<_>) = answers
        .into_iter()
        .enumerate()
        .partition(|(_, (_, answer))| answer.status == 200);
    assert_eq!(won.len(), 1, "{won:?}");
    for (_, (_, answer)) in &lost {
        answer.refused(Kind::InvitationRefused);
    }
    assert_eq!(hosts(&lab.ca).len(), 1);
    // Its own host comes again, as the same.
    let (place, (host, first)) = &won[0];
    let first: Enrolment = first.json();
    let answer = host.enrol(&token, &[&names(*place)]);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json::<Enrolment>().host, first.host);
    // But not for more names than it had.
    host.enrol(&token, &[&names(*place), "web-99.prod.example.com"])
        .refused(Kind::InvitationRefused);
}

#[test]
fn a60_an_invitation_that_does_not_count_enrols_nobody() {
    let lab = Lab::start();
    let host = HostWire::new(lab.wire());
    let refused = |token: &str| host.enrol(token, &[NAME]).refused(Kind::InvitationRefused);
    let good = lab.ca.invite(&any());
    for token in [
        "",
        "jit-ssh-invite-",
        "jit-ssh-invite-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        &good.id,
        good.token.trim_start_matches("jit-ssh-invite-"),
        &good.token.to_uppercase(),
    ] {
        refused(token);
    }
    // From another network.
    let elsewhere = InvitationRequest {
        from: vec!["10.0.0.0/8".to_owned()],
        ..any()
    };
    refused(&lab.ca.invite(&elsewhere).token);
    let here = InvitationRequest {
        from: vec!["10.0.0.0/8".to_owned(), "127.0.0.0/8".to_owned()],
        ..any()
    };
    let here = lab.ca.invite(&here);
    // Withdrawn.
    let path = format!("/v1/admin/invitations/{}", good.id);
    assert_eq!(lab.ca.local("DELETE", &path, b"").status, 200);
    refused(&good.token);
    // For another CA, or from another epoch: the keys signed something else.
    let mut other = host.clone();
    other.wire.ca.name = "other.test".to_owned();
    let request = other.request(&here.token, &[NAME]);
    host.send(&request).refused(Kind::KeyRefused);
    assert!(hosts(&lab.ca).is_empty());
    let (_, enrolment) = host.clone().enrolled(&here.token, &[NAME]);
    assert!(!enrolment.certificates.is_empty());
    // The token is in no answer, record or log but the first answer.
    let said = format!(
        "{} {} {}",
        lab.ca.local("GET", "/v1/admin/invitations", b"").body,
        lab.ca.local("GET", "/v1/admin/audit?limit=1000", b"").body,
        lab.ca.log()
    );
    assert!(!said.contains(here.token.trim_start_matches("jit-ssh-invite-")));
}

#[test]
fn a60_a_name_that_the_invitation_does_not_allow_is_not_had() {
    let lab = Lab::start();
    let token = lab.ca.invite(&any()).token;
    let host = HostWire::new(lab.wire());
    for name in [
        "db-1.prod.example.com",
        "web-1.prod.example.com.evil.org",
        "web-1.x.prod.example.com",
        "web-1.prod.example.co",
        "localhost",
        "127.0.0.1",
        "10.1.2.3",
    ] {
        host.enrol(&token, &[name]).refused(Kind::InvitationRefused);
        host.enrol(&token, &[NAME, name])
            .refused(Kind::InvitationRefused);
    }
    for name in [
        "",
        "*",
        "web-*.prod.example.com",
        "web-?.prod.example.com",
        "!web-1.prod.example.com",
        "WEB-1.prod.example.com",
        "web-1.PROD.example.com",
        "web-1.prod.example.com.",
        ".web-1.prod.example.com",
        "web-1..prod.example.com",
        "web-ü.prod.example.com",
        "web-1.prod.example.com,web-2.prod.example.com",
        "web-1.prod.example.com web-2.prod.example.com",
        "web-1.prod.example.com\n",
        "web-1.prod.example.com\0",
        "web_1.prod.example.com",
        "::1",
        "[::1]",
        "fe80::1%eth0",
        "127.1/8",
        "web-1.prod.example.com:22",
        "root@web-1.prod.example.com",
    ] {
        host.enrol(&token, &[name]).refused(Kind::BadRequest);
    }
    host.enrol(&token, &[]).refused(Kind::BadRequest);
    host.enrol(&token, &[NAME, NAME]).refused(Kind::BadRequest);
    assert!(hosts(&lab.ca).is_empty());
    // `xn--…` fits a star no more than what it shows.
    let all = InvitationRequest {
        uses: None,
        ..invitation(&["*.prod.example.com"], &[])
    };
    let token = lab.ca.invite(&all).token;
    host.enrol(&token, &["xn--web-1-bya.prod.example.com"])
        .refused(Kind::InvitationRefused);
    host.enrolled(&token, &[NAME]);
}

#[test]
fn a60_the_name_and_the_keys_of_a_living_host_are_its_own() {
    let lab = Lab::start();
    let token = lab.ca.invite(&any()).token;
    let (host, _) = HostWire::new(lab.wire()).enrolled(&token, &[NAME]);
    // Another key with its name.
    let thief = HostWire::new(lab.wire());
    thief.enrol(&token, &[NAME]).refused(Kind::Conflict);
    thief
        .enrol(&token, &["web-2.prod.example.com", NAME])
        .refused(Kind::Conflict);
    // Its keys under another name: the image was copied.
    host.enrol(&token, &["web-2.prod.example.com"])
        .refused(Kind::Conflict);
    // One of its keys beside another first one, in either place.
    let mixed = HostWire::with(lab.wire(), vec![Key::new(), host.keys[0].clone()]);
    mixed
        .enrol(&token, &["web-2.prod.example.com"])
        .refused(Kind::Conflict);
    let second = HostWire::with(lab.wire(), vec![host.keys[1].clone(), Key::new()]);
    second
        .enrol(&token, &["web-2.prod.example.com"])
        .refused(Kind::Conflict);
    let noticed = lab.ca.records_of("host-clone");
    assert_eq!(noticed.len(), 5, "{noticed:?}");
    for record in &noticed {
        assert_eq!(record.fields["host"], host.id);
    }
    assert_eq!(hosts(&lab.ca).len(), 1);
    thief.enrolled(&token, &["web-2.prod.example.com"]);
}

#[test]
fn a60_a_key_that_cannot_be_a_hosts_is_refused() {
    let lab = Lab::start();
    let token = lab.ca.invite(&any()).token;
    let good = HostWire::new(lab.wire());
    let with = |lines: &[&str]| {
        let mut request = good.request(&token, &[NAME]);
        let mut spare = request.keys[1].clone();
        request.keys.truncate(1);
        for line in lines {
            (*line).clone_into(&mut spare.public_key);
            request.keys.push(spare.clone());
        }
        good.send(&request)
    };
    // Not proven: somebody else's key, or the proof of another occasion.
    let other = Key::new();
    with(&[&other.line()]).refused(Kind::KeyRefused);
    let elsewhere = good.request("jit-ssh-invite-other", &[NAME]);
    let mut request = good.request(&token, &[NAME]);
    request.keys[1]
        .signature
        .clone_from(&elsewhere.keys[1].signature);
    good.send(&request).refused(Kind::KeyRefused);
    request.keys[1].signature.clear();
    good.send(&request).refused(Kind::KeyRefused);
    // Not signed for this: the login proof's namespace.
    let ca = &good.wire.ca;
    let message =
        jit_ssh_api::host::enrolment_message(&ca.name, ca.epoch, &token, &good.keys[0].line());
    let signature = good.keys[1].sign("jit-ssh-proof@v1", message.as_bytes());
    request.keys[1].signature = signature.to_pem(LineEnding::LF).unwrap();
    good.send(&request).refused(Kind::KeyRefused);
    // Of kinds that are not certified.
    let weak = PrivateKey::from(
        ssh_key::private::RsaKeypair::random(&mut rand::rngs::OsRng, 2048).unwrap(),
    );
    let weak = weak.public_key().to_openssh().unwrap();
    let dsa = PrivateKey::random(&mut rand::rngs::OsRng, Algorithm::Dsa);
    let dsa = dsa.map(|key| key.public_key().to_openssh().unwrap());
    let certificate = lab.login("alice").answer.certificate;
    let refused = [Some(weak), dsa.ok(), Some(certificate)];
    for line in refused.iter().flatten() {
        with(&[line]).refused(Kind::KeyRefused);
    }
    // The CA's own keys (A37): without the private half, and with it.
    for purpose in ["user-ca", "host-ca", "bundle", "identity"] {
        let copy = lab.dir.join(purpose);
        std::fs::copy(lab.ca.data.join("keys").join(purpose), &copy).unwrap();
        Run::new("ssh-keygen")
            .args(["-q", "-p", "-N", "", "-P", &lab.ca.passphrase(), "-f"])
            .arg(&copy)
            .go()
            .ok();
        let key = Key(PrivateKey::read_openssh_file(&copy).unwrap());
        for keys in [vec![Key::new(), key.clone()], vec![key]] {
            HostWire::with(lab.wire(), keys)
                .enrol(&token, &[NAME])
                .refused(Kind::KeyRefused);
        }
    }
    for line in [
        lab.ca.user_ca(),
        lab.ca.wire().ca.key_set.identity_key.clone(),
    ] {
        with(&[line.trim()]).refused(Kind::KeyRefused);
    }
    // One key twice; the first one is not who signs; none at all.
    with(&[&good.keys[0].line()]).refused(Kind::BadRequest);
    let mut turned = good.request(&token, &[NAME]);
    turned.keys.reverse();
    good.send(&turned).refused(Kind::BadRequest);
    turned.keys.clear();
    good.send(&turned).refused(Kind::BadRequest);
    assert!(hosts(&lab.ca).is_empty());
    good.enrolled(&token, &[NAME]);
}

#[test]
fn a37_a_key_of_a_host_signs_nobody_in_and_a_login_key_is_no_host() {
    let lab = Lab::start();
    let token = lab.ca.invite(&any()).token;
    let alice = lab.login("alice");
    let as_host = HostWire::with(lab.wire(), vec![alice.key.clone()]);
    as_host.enrol(&token, &[NAME]).refused(Kind::KeyRefused);
    let second = HostWire::with(lab.wire(), vec![Key::new(), alice.key]);
    second.enrol(&token, &[NAME]).refused(Kind::KeyRefused);
    let (host, _) = HostWire::new(lab.wire()).enrolled(&token, &[NAME]);
    for key in &host.keys {
        let salt = jit_ssh_tests::wire::BindingSalt::new();
        let id_token = lab.idp.token("alice", &salt.nonce(key)).sign();
        lab.wire()
            .open_with(key, &salt, &id_token)
            .refused(Kind::KeyRefused);
    }
    // Either of the two keys of a login: the one that signs, and the one that is certified.
    let (own, salt) = (Key::new(), jit_ssh_tests::wire::BindingSalt::new());
    let name = |login: &Key, certified: &Key| {
        let nonce = binding::nonce_with_named_key(
            &login.blob(),
            &certified.blob(),
            &binding::Salt::new(salt.0),
        );
        let signature = certified.sign("jit-ssh-named-key@v1", nonce.as_bytes());
        let request = json!({ "open": {
            "id_token": lab.idp.token("alice", &nonce).sign(),
            "salt": salt.text(),
            "certified_key": {
                "public_key": certified.line(),
                "signature": signature.to_pem(LineEnding::LF).unwrap(),
            },
        }});
        lab.wire().ask(login, &request)
    };
    name(&host.keys[0], &own).refused(Kind::KeyRefused);
    name(&own, &host.keys[0]).refused(Kind::KeyRefused);
    name(&own, &Key::new()).certificate();
}

#[test]
fn a60_two_machines_that_are_one_host_are_noticed() {
    let lab = Lab::start();
    let (host, _) = lab.ca.enrol(&[NAME], &[]);
    let number = host.bundle().bundle().number;
    let query = format!("?epoch=1&number={number}&wait=55");
    let path = format!("/v1/hosts/self/bundle{query}");
    // Three requests that overlap: here, there, and here again.
    let mut threads = Vec::new();
    for source in ["127.0.0.1", "127.0.0.2", "127.0.0.1"] {
        let (wire, key, path) = (host.wire.clone(), host.keys[0].clone(), path.clone());
        let before = held_count(&lab);
        threads.push(thread::spawn(move || {
            let header = wire.proof("GET", &path, b"").header(&key);
            jit_ssh_tests::http::send_from(
                source.parse().unwrap(),
                wire.address,
                "GET",
                &path,
                &[("Authorization", &header)],
                b"",
            )
        }));
        clock::until("the request to arrive", || {
            (held_count(&lab) > before).then_some(())
        });
    }
    clock::until("the clone to be noticed", || {
        (!lab.ca.records_of("host-clone").is_empty()).then_some(())
    });
    let shown = lab
        .ca
        .local("GET", &format!("/v1/admin/hosts/{}", host.id), b"");
    let shown: Host = shown.json();
    assert_eq!(shown.report.findings[0].check, "clone");
    lab.ca
        .local("DELETE", &format!("/v1/admin/hosts/{}", host.id), b"");
    for thread in threads {
        thread.join().unwrap();
    }
}

/// How many requests of hosts were answered or are held.
fn held_count(lab: &Lab) -> u64 {
    let page = lab.ca.local("GET", "/metrics", b"").body;
    let sum = |name: &str| -> u64 {
        page.lines()
            .filter(|line| line.starts_with(name))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .sum()
    };
    sum("jit_ssh_ca_held_requests")
        + sum("jit_ssh_ca_requests_total{method=\"GET\",route=\"/v1/hosts/self/bundle\"")
}
