//! Killed at any moment, as by a power cut: no answered certificate is missing from the ledger, and
//! the CA starts again (invariant 1, A82).

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use jit_ssh_tests::lab::Lab;
use jit_ssh_tests::wire::{Key, Wire};
use serde_json::json;

#[test]
fn a_ca_killed_under_load_lost_no_certificate_that_it_had_answered() {
    let mut lab = Lab::start();
    let keys: Vec<Key> = ["alice", "carol", "alice", "carol"]
        .iter()
        .map(|person| lab.login(person).key)
        .collect();
    let answered = Mutex::new(BTreeSet::new());
    for round in 0..4 {
        let wire = lab.wire();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for key in &keys {
                let (wire, stop, answered) = (&wire, &stop, &answered);
                scope.spawn(move || {
                    while !stop.load(Ordering::SeqCst) {
                        if let Some(serial) = try_ask(wire, key) {
                            answered.lock().unwrap().insert(serial);
                        }
                    }
                });
            }
            // Another number of certificates in each round, so that the blow falls elsewhere.
            let enough = answered.lock().unwrap().len() + 20 + round * 7;
            jit_ssh_tests::clock::until("load", || {
                (answered.lock().unwrap().len() >= enough).then_some(())
            });
            lab.ca.kill();
            stop.store(true, Ordering::SeqCst);
        });
        lab.ca.serve();
    }
    let recorded: BTreeSet<String> = lab
        .ca
        .records_of("certificate")
        .iter()
        .map(|record| {
            record.fields["serial"]
                .as_str()
                .map_or_else(|| record.fields["serial"].to_string(), str::to_owned)
        })
        .collect();
    let answered = answered.into_inner().unwrap();
    assert!(answered.len() >= 80);
    let missing: Vec<_> = answered.difference(&recorded).collect();
    assert!(
        missing.is_empty(),
        "answered, but not in the ledger: {missing:?}"
    );
    // Places without a gap.
    let indices: Vec<u64> = lab.ca.records().iter().map(|record| record.index).collect();
    assert!(
        indices
            .iter()
            .zip(0..)
            .all(|(index, expected)| *index == expected),
        "{indices:?}"
    );
    lab.login("alice");
}

/// A certificate's serial, or nothing when the CA went away in the middle.
fn try_ask(wire: &Wire, key: &Key) -> Option<String> {
    use std::io::{Read as _, Write as _};
    let body = json!({}).to_string();
    let header = wire
        .proof("POST", "/v1/certificates", body.as_bytes())
        .header(key);
    let mut stream = std::net::TcpStream::connect(wire.address).ok()?;
    let request = format!(
        "POST /v1/certificates HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Authorization: {header}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    if !head.starts_with("HTTP/1.1 200") {
        return None;
    }
    let answer: serde_json::Value = serde_json::from_str(body).ok()?;
    Some(answer["serial"].as_str()?.to_owned())
}

#[test]
fn a_full_disk_refuses_to_issue_and_says_so() {
    // A small file system of its own: needs root.
    if !jit_ssh_tests::world::is_root() {
        jit_ssh_tests::skip!("a file system of 24 MiB can be mounted by root alone");
    }
    let mut lab = Lab::builder()
        .sections("[disk]\nreserve = \"1MiB\"")
        .prepare();
    let disk = lab.ca.serve_on_a_disk_of("24m");
    let wire = lab.wire();
    let alice = lab.login("alice");
    fill(&disk.join("fill"));
    let refused = wire.ask(&alice.key, &json!({}));
    assert_eq!(refused.status, 503, "{refused:?}");
    refused.refused(jit_ssh_api::problem::Kind::Unavailable);
    let ready = jit_ssh_tests::http::send(lab.ca.address, "GET", "/readyz", &[], b"");
    assert_eq!(ready.status, 503, "{ready:?}");
    assert!(
        ready.body.contains("disk") || ready.body.contains("space"),
        "{ready:?}"
    );
    assert_eq!(
        jit_ssh_tests::http::send(lab.ca.address, "GET", "/healthz", &[], b"").status,
        200
    );
    // Room again: it goes on by itself.
    std::fs::remove_file(disk.join("fill")).unwrap();
    jit_ssh_tests::clock::until("certificates again", || {
        (wire.ask(&alice.key, &json!({})).status == 200).then_some(())
    });
}

/// Writes until nothing fits any more.
fn fill(path: &std::path::Path) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path).unwrap();
    for size in [1 << 16, 1 << 10, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}
