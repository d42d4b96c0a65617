//! A84–A87: the HTTP API against callers who do not keep to it.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use jit_ssh_api::problem::Kind;
use jit_ssh_tests::http;
use jit_ssh_tests::lab::Lab;
use jit_ssh_tests::wire::Key;
use serde_json::json;

#[test]
fn a84_forwarded_headers_of_strangers_change_nothing() {
    let policy = jit_ssh_tests::ca::POLICY.replacen(
        "max_validity = \"15m\"",
        "max_validity = \"15m\"\nsource = [\"10.0.0.0/8\"]",
        1,
    );
    let lab = Lab::builder().policy(&policy).start();
    let wire = lab.wire();
    let (key, salt) = (Key::new(), jit_ssh_tests::wire::BindingSalt::new());
    let token = lab.idp.token("alice", &salt.nonce(&key)).sign();
    let mut request = wire.opening(&token, &salt);
    request["role"] = json!("production-observer");
    let body = request.to_string();
    for name in [
        "X-Forwarded-For",
        "X-Real-IP",
        "Forwarded",
        "X_Forwarded_For",
        "True-Client-IP",
        "CF-Connecting-IP",
        "X-Client-IP",
        "X-Forwarded-Host",
        "X-Remote-User",
    ] {
        let value = if name == "Forwarded" {
            "for=10.1.1.1"
        } else {
            "10.1.1.1"
        };
        let proof = wire
            .proof("POST", "/v1/certificates", body.as_bytes())
            .header(&key);
        let headers = [
            ("Authorization", proof.as_str()),
            (name, value),
            (name, "10.2.2.2"),
        ];
        let answer = http::send(
            wire.address,
            "POST",
            "/v1/certificates",
            &headers,
            body.as_bytes(),
        );
        // 127.0.0.1 is not in 10.0.0.0/8, whatever the header says.
        answer.refused(jit_ssh_api::problem::Kind::Refused);
    }
    let forged: Vec<String> = lab
        .ca
        .records()
        .iter()
        .map(|record| json!(record).to_string())
        .collect();
    assert!(!forged.is_empty());
    assert!(
        forged
            .iter()
            .all(|record| !record.contains("10.1.1.1") && !record.contains("10.2.2.2"))
    );
    let discovery = http::send(
        wire.address,
        "GET",
        "/.well-known/jit-ssh",
        &[
            ("X-Forwarded-Host", "evil.example"),
            ("Host", "evil.example"),
        ],
        b"",
    );
    assert!(!discovery.body.contains("evil.example"));
}

#[test]
fn a84_a_proxy_that_is_trusted_names_the_client() {
    let policy = jit_ssh_tests::ca::POLICY.replacen(
        "max_validity = \"15m\"",
        "max_validity = \"15m\"\nsource = [\"10.0.0.0/8\"]",
        1,
    );
    let lab = Lab::builder()
        .policy(&policy)
        .sections("trusted_proxies = [\"127.0.0.1\"]")
        .start();
    let wire = lab.wire();
    let ask = |forwarded: &str| {
        let (key, salt) = (Key::new(), jit_ssh_tests::wire::BindingSalt::new());
        let token = lab.idp.token("alice", &salt.nonce(&key)).sign();
        let mut request = wire.opening(&token, &salt);
        request["role"] = json!("production-observer");
        let body = request.to_string();
        let proof = wire
            .proof("POST", "/v1/certificates", body.as_bytes())
            .header(&key);
        let headers = [
            ("Authorization", proof.as_str()),
            ("X-Forwarded-For", forwarded),
        ];
        http::send(
            wire.address,
            "POST",
            "/v1/certificates",
            &headers,
            body.as_bytes(),
        )
    };
    ask("10.1.1.1").certificate();
    // What the client wrote itself stands left of what the proxy added.
    ask("10.1.1.1, 192.0.2.7").refused(jit_ssh_api::problem::Kind::Refused);
    let junk = ask("10.1.1.1, junk");
    assert!([400, 403].contains(&junk.status), "{junk:?}");
    // The log names whom the proxy names; where that is nothing, the proxy.
    let log = lab.ca.log();
    for peer in ["10.1.1.1", "192.0.2.7", "127.0.0.1"] {
        let line = |line: &str| {
            line.contains("/v1/certificates") && line.contains(&format!("peer={peer} "))
        };
        assert!(
            log.lines().any(|it| line(&format!("{it} "))),
            "{peer} is not in {log}"
        );
    }
}

#[test]
fn a85_every_route_is_closed_to_whom_the_table_does_not_name() {
    let lab = Lab::start();
    let wire = lab.wire();
    let alice = lab.login("alice");
    let open = [
        ("GET", "/.well-known/jit-ssh"),
        ("GET", "/v1/trust/user-ca"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
    ];
    for (method, path) in open {
        assert_eq!(wire.plain(method, path, b"").status, 200, "{method} {path}");
    }
    let signed_in = [("GET", "/v1/logins/self"), ("GET", "/v1/roles")];
    for (method, path) in signed_in {
        assert_eq!(wire.plain(method, path, b"").status, 401, "{method} {path}");
        assert_eq!(
            wire.signed(&Key::new(), method, path, b"").status,
            401,
            "{method} {path}"
        );
        assert_eq!(
            wire.signed(&alice.key, method, path, b"").status,
            200,
            "{method} {path}"
        );
    }
    let admin: [(&str, &str, &[u8]); 6] = [
        ("GET", "/v1/admin/audit", b""),
        ("GET", "/v1/admin/logins", b""),
        ("DELETE", "/v1/admin/logins/aaaaaaaaaaaaaaaaaaaaaaaaaa", b""),
        ("GET", "/v1/admin/policy", b""),
        ("POST", "/v1/admin/policy/explain", b"{}"),
        ("GET", "/v1/admin/keys", b""),
    ];
    lab.idp.change("carol", |carol| {
        carol.groups = vec!["Security".to_owned(), "Engineering".to_owned()];
    });
    let carol = lab.login("carol");
    for (method, path, body) in admin {
        assert_eq!(
            wire.plain(method, path, body).status,
            401,
            "{method} {path} without a proof"
        );
        assert_eq!(
            wire.signed(&Key::new(), method, path, body).status,
            401,
            "{method} {path} of a stranger"
        );
        assert_eq!(
            wire.signed(&alice.key, method, path, body).status,
            403,
            "{method} {path} of a person without the right"
        );
        let allowed = wire.signed(&carol.key, method, path, body).status;
        assert!(
            [200, 404].contains(&allowed),
            "{method} {path} of a person with the right: {allowed}"
        );
        assert!(
            [200, 404].contains(&lab.ca.local(method, path, body).status),
            "{method} {path} of the owner"
        );
    }
    // A backup holds everything: over the socket alone, whatever rights somebody has.
    let backup = json!({ "path": lab.dir.join("stolen") }).to_string();
    for key in [&alice.key, &carol.key] {
        let answer = wire.signed(key, "POST", "/v1/admin/backup", backup.as_bytes());
        assert!([403, 404].contains(&answer.status), "{answer:?}");
    }
    assert!(!lab.dir.join("stolen").exists());
}

#[test]
fn a85_a_path_in_disguise_reaches_nothing() {
    let lab = Lab::start();
    let wire = lab.wire();
    // Whoever may read the audit, so that nothing but the path stands in the way.
    lab.idp.change("carol", |carol| {
        carol.groups = vec!["Security".to_owned(), "Engineering".to_owned()];
    });
    let carol = lab.login("carol");
    let audit = wire.signed(&carol.key, "GET", "/v1/admin/audit", b"");
    assert_eq!(audit.status, 200, "{audit:?}");
    for path in [
        "//v1/admin/audit",
        "/v1//admin/audit",
        "/v1/admin/audit/",
        "/v1/./admin/audit",
        "/v1/roles/../admin/audit",
        "/v1/%61dmin/audit",
        "/v1/admin%2faudit",
        "/V1/ADMIN/AUDIT",
        "/v1/admin/audit;x",
        "/healthz/../v1/admin/audit",
        "/v1/admin/audit%00",
        "/v1/admin/audit.json",
        "/v1/admin/logins/..%2f..%2faudit",
    ] {
        for answer in [
            wire.plain("GET", path, b""),
            wire.signed(&carol.key, "GET", path, b""),
        ] {
            answer.refused(Kind::NotFound);
        }
    }
    for method in [
        "PUT", "PATCH", "TRACE", "CONNECT", "OPTIONS", "HEAD", "QUERY",
    ] {
        let proof = wire
            .proof(method, "/v1/admin/audit", b"")
            .header(&carol.key);
        let answer = http::raw(
            wire.address,
            format!(
                "{method} /v1/admin/audit HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
                 Authorization: {proof}\r\n\r\n"
            )
            .as_bytes(),
        );
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with("HTTP/1.1 405"), "{method}: {answer}");
    }
}

#[test]
fn a85_every_refusal_is_a_problem_with_a_next_step() {
    let lab = Lab::start();
    let wire = lab.wire();
    for (method, path, body) in [
        ("GET", "/nowhere", &b""[..]),
        ("PUT", "/v1/certificates", b"{}"),
        ("POST", "/v1/certificates", b"{}"),
        ("POST", "/v1/certificates", b"{"),
        ("POST", "/v1/sign-ins", b"{}"),
        ("GET", "/v1/roles", b""),
        ("DELETE", "/v1/admin/logins/x", b""),
        ("GET", "/v1/admin/audit?limit=x", b""),
    ] {
        let problem = wire.plain(method, path, body).problem();
        assert!(problem.kind().is_some(), "{problem:?}");
        assert!(!problem.request_id.is_empty());
    }
}

#[test]
fn a87_bodies_without_end_are_refused() {
    let lab = Lab::start();
    let wire = lab.wire();
    let key = Key::new();
    let mut nested = "[".repeat(30_000);
    nested.push_str(&"]".repeat(30_000));
    let deep = wire.signed(&key, "POST", "/v1/certificates", nested.as_bytes());
    assert!([400, 413].contains(&deep.status), "{deep:?}");
    let large = vec![b' '; 2 << 20];
    let large = wire.signed(&key, "POST", "/v1/certificates", &large);
    assert_eq!(large.status, 413, "{large:?}");
    // A gigabyte is promised and never sent: the promise is enough.
    let mut stream = TcpStream::connect(wire.address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(15)))
        .unwrap();
    stream.write_all(b"POST /v1/certificates HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000000000\r\n\r\n{").unwrap();
    let mut answer = [0; 64];
    let read = stream.read(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    // Neither a header without end.
    let long = format!(
        "GET /healthz HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n",
        "x".repeat(2 << 20)
    );
    let answer = http::raw(wire.address, long.as_bytes());
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    lab.login("alice");
}

#[test]
fn a87_slow_callers_do_not_keep_others_waiting() {
    let lab = Lab::start();
    let wire = lab.wire();
    // Below what one address may hold: these are all allowed to be there.
    let slow: Vec<TcpStream> = (0..200)
        .filter_map(|_| {
            let mut stream = TcpStream::connect(wire.address).ok()?;
            stream
                .write_all(b"POST /v1/certificates HTTP/1.1\r\nHost: x\r\nContent-Le")
                .ok()?;
            Some(stream)
        })
        .collect();
    assert!(slow.len() > 150);
    let started = Instant::now();
    lab.login("alice");
    assert!(
        started.elapsed() < Duration::from_secs(1),
        "{:?}",
        started.elapsed()
    );
    drop(slow);
}

#[test]
fn a87_one_address_cannot_take_all_connections() {
    let lab = Lab::builder()
        .sections("[limits]\nconnections_per_peer = 20")
        .start();
    let wire = lab.wire();
    let held: Vec<TcpStream> = (0..100)
        .map(|_| TcpStream::connect(wire.address).unwrap())
        .collect();
    // Those beyond the limit are closed, and no others: an end of the stream is the CA's own.
    let closed = |mut stream: &TcpStream| {
        stream.set_nonblocking(true).unwrap();
        match stream.read(&mut [0; 1]) {
            Ok(read) => read == 0,
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        }
    };
    jit_ssh_tests::clock::until("the connections beyond the limit to be closed", || {
        (held.iter().filter(|stream| closed(stream)).count() >= 80).then_some(())
    });
    let open = held.iter().filter(|stream| !closed(stream));
    assert_eq!(open.count(), 20);
    // The CA lives, and takes callers again once there is room.
    drop(held);
    jit_ssh_tests::clock::until("room for a caller", || {
        let mut stream = TcpStream::connect(wire.address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.starts_with("HTTP/1.1 200").then_some(())
    });
}

/// A connection from that address of this machine.
fn connect_from(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    use rustix::net::{AddressFamily, SocketAddrV4, SocketType, bind, connect, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddrV4::new(from, 0)).unwrap();
    connect(&socket, &to).unwrap();
    let stream = TcpStream::from(socket);
    stream
        .set_read_timeout(Some(Duration::from_secs(15)))
        .unwrap();
    stream
}

/// Asks on a connection that stays open, and reads the answer.
fn ask_on(stream: &mut TcpStream) -> Result<(), std::io::Error> {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")?;
    let (mut answer, mut byte) = (Vec::new(), [0]);
    while !answer.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        answer.push(byte[0]);
    }
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let length = answer
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .unwrap();
    stream.read_exact(&mut vec![0; length.parse().unwrap()])
}

#[test]
fn a87_connections_that_spoke_and_idle_give_way() {
    let lab = Lab::builder()
        .sections(
            "[limits]\nconnections = 32\nconnections_per_peer = 2\nhead_time = \"600s\"\n\
             body_time = \"600s\"\nrequests_per_peer = 0",
        )
        .start();
    let to = lab.ca.address;
    let newcomer = Ipv4Addr::new(127, 0, 9, 9);
    // Once all of them ask again in time, and once all of them have a body under way.
    let body = "POST /v1/certificates HTTP/1.1\r\nHost: x\r\n\
                Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{";
    for (network, more) in [(1, ""), (2, body)] {
        let mut held = Vec::new();
        for address in 1..=16 {
            for _ in 0..2 {
                let mut stream = connect_from(Ipv4Addr::new(127, 0, network, address), to);
                ask_on(&mut stream).unwrap();
                stream.write_all(more.as_bytes()).unwrap();
                held.push(stream);
            }
        }
        assert_eq!(held.len(), 32);
        let mut stream = connect_from(newcomer, to);
        ask_on(&mut stream).unwrap();
        // The one that rested longest made room; those that asked last are there.
        assert!(ask_on(&mut held[0]).is_err());
        if more.is_empty() {
            ask_on(held.last_mut().unwrap()).unwrap();
        }
    }
    lab.login("alice");
}

#[test]
fn a87_a_client_that_never_finishes_its_head_is_dropped() {
    let lab = Lab::builder()
        .sections("[limits]\nhead_time = \"1s\"")
        .start();
    let mut stream = TcpStream::connect(lab.ca.address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(15)))
        .unwrap();
    stream.write_all(b"GET / HT").unwrap();
    let mut rest = Vec::new();
    // Read to the end: the CA closed, with or without a word, and before our own patience ended.
    if let Err(error) = stream.read_to_end(&mut rest) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    assert!(!rest.starts_with(b"HTTP/1.1 200"));
    lab.login("alice");
}

#[test]
fn a87_a_client_that_never_reads_is_dropped() {
    let lab = Lab::builder()
        .sections("[limits]\nwrite_time = \"1s\"\nrequests_per_peer = 0")
        .start();
    let patience = Some(Duration::from_secs(15));
    // Answers with a body, and heads alone.
    for method in ["GET", "HEAD"] {
        let request = format!("{method} /.well-known/jit-ssh HTTP/1.1\r\nHost: x\r\n\r\n");
        let mut stream = TcpStream::connect(lab.ca.address).unwrap();
        stream.set_write_timeout(patience).unwrap();
        let started = Instant::now();
        let error = loop {
            if let Err(error) = stream.write_all(request.repeat(100).as_bytes()) {
                break error;
            }
            assert!(started.elapsed() < Duration::from_secs(60), "{method}");
        };
        let closed = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
        assert!(closed.contains(&error.kind()), "{method}: {error}");
    }
    lab.login("alice");

    // One that reads, if slowly, gets every answer.
    const ASKED: usize = 10_000;
    let mut stream = TcpStream::connect(lab.ca.address).unwrap();
    stream.set_read_timeout(patience).unwrap();
    let mut writes = stream.try_clone().unwrap();
    let started = Instant::now();
    let asking = std::thread::spawn(move || {
        let request = "GET /.well-known/jit-ssh HTTP/1.1\r\nHost: x\r\n\r\n";
        writes.write_all(request.repeat(ASKED - 1).as_bytes())?;
        writes.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    });
    let (mut answers, mut chunk) = (Vec::new(), vec![0; 256 << 10]);
    loop {
        std::thread::sleep(Duration::from_millis(50));
        match stream.read(&mut chunk).unwrap() {
            0 => break,
            read => answers.extend_from_slice(&chunk[..read]),
        }
    }
    asking.join().unwrap().unwrap();
    let answers = String::from_utf8(answers).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200").count(), ASKED);
    assert!(started.elapsed() > Duration::from_secs(1));
}
