//! `scripts/bench exchange`: how fast the CA opens logins and signs certificates, measured from
//! outside, on real parts: HTTPS, a distinct RS256 token and login key each, every record durable
//! before its answer. The load generator runs beside the server on the same machine; tokens and
//! proofs are made before the clock starts.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement: what fails here should say so at once"
)]

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jit_ssh_api::proof::NAMESPACE;
use jit_ssh_connect::{Options, Pin};
use jit_ssh_tests::ca::Ca;
use jit_ssh_tests::idp::Person;
use jit_ssh_tests::lab::Lab;
use jit_ssh_tests::load::{
    connect, connector, cpu_seconds, exchange, median, percentile, resident_mb, round,
};
use jit_ssh_tests::process::program;
use jit_ssh_tests::wire::{BindingSalt, Key, Proof};
use jit_ssh_tests::{browser, clock};
use rand::RngCore as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How much is measured.
struct Size {
    certificates: usize,
    new_connections: usize,
    processes: usize,
}

fn main() {
    let smoke = std::env::args().any(|argument| argument == "--smoke");
    let json = std::env::args().any(|argument| argument == "--json");
    let size = if smoke {
        Size {
            certificates: 200,
            new_connections: 50,
            processes: 5,
        }
    } else {
        Size {
            certificates: 20_000,
            new_connections: 4_000,
            processes: 50,
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();

    // Limits for each person and address are not what is measured here.
    let mut lab = Lab::builder().tls().sections(&unlimited()).prepare();
    let start_up = start_up(&mut lab.ca, size.processes.min(9));
    lab.ca.serve();
    let contact = runtime.block_on(async {
        let fingerprint = lab.ca.fingerprint();
        let options = Options::from_env("bench");
        jit_ssh_connect::discover(&lab.ca.url, Pin::Fingerprint(&fingerprint), &options).await
    });
    let contact = contact.unwrap();
    let target = Arc::new(Target {
        address: lab.ca.address,
        tls: connector(&lab.ca.data.join("tls/cert.pem")),
        name: contact.known.name,
        epoch: contact.known.epoch,
    });
    let pid = lab.ca.child().pid();

    runtime.block_on(run(
        &target,
        prepare(&lab, &target, size.certificates / 10),
        16,
        false,
    ));
    let cpu = cpu_seconds(pid);
    let at_16 = runtime.block_on(run(
        &target,
        prepare(&lab, &target, size.certificates),
        16,
        false,
    ));
    let cpu = (cpu_seconds(pid) - cpu) / size.certificates as f64;
    let rss_16 = resident_mb(pid);
    let at_64 = runtime.block_on(run(
        &target,
        prepare(&lab, &target, size.certificates),
        64,
        false,
    ));
    let fresh = runtime.block_on(run(
        &target,
        prepare(&lab, &target, size.new_connections),
        16,
        true,
    ));
    let rss = resident_mb(pid);
    let client = client(&lab, size.processes);

    let figures = serde_json::json!({
        "certificates_per_second": at_16.per_second.round(),
        "p50_ms": round(at_16.percentile(50)),
        "p99_ms": round(at_16.percentile(99)),
        "certificates_per_second_64": at_64.per_second.round(),
        "p50_ms_64": round(at_64.percentile(50)),
        "p99_ms_64": round(at_64.percentile(99)),
        "certificates_per_second_new_tls": fresh.per_second.round(),
        "p50_ms_new_tls": round(fresh.percentile(50)),
        "p99_ms_new_tls": round(fresh.percentile(99)),
        "rss_mb": round(rss),
        "rss_mb_16": round(rss_16),
        "cpu_us_per_certificate": round(cpu * 1e6),
        "ensure_ms": round(client.ensure),
        "ensure_5000_hosts_ms": round(client.ensure_fleet),
        "status_short_ms": round(client.status),
        "startup_ms": round(start_up),
        "certificates": size.certificates,
    });
    if json {
        println!("{figures}");
        return;
    }
    println!("certificates, a distinct token and login each, HTTPS, durable before the answer");
    for (what, load) in [
        ("16 connections", &at_16),
        ("64 connections", &at_64),
        ("a new TLS connection each", &fresh),
    ] {
        println!(
            "  {what:<26} {:>7.0}/s   p50 {:>6.2} ms   p99 {:>6.2} ms",
            load.per_second,
            load.percentile(50),
            load.percentile(99)
        );
    }
    println!(
        "  server's CPU               {:>7.0} µs a certificate (16 connections)",
        cpu * 1e6
    );
    println!(
        "  server's memory            {rss:>7.1} MB resident at the end ({rss_16:.1} MB after 16 connections)"
    );
    println!(
        "  server's start             {start_up:>7.1} ms from exec to the first answer over TLS"
    );
    println!("whole processes, median");
    println!(
        "  jit-ssh ensure             {:>7.2} ms with a valid certificate",
        client.ensure
    );
    println!(
        "  the same                   {:>7.2} ms with 5,000 enrolled hosts",
        client.ensure_fleet
    );
    println!("  jit-ssh status --short     {:>7.2} ms", client.status);
}

fn unlimited() -> String {
    "[limits]\nrequests_per_peer = 0\nrequests_per_person = 0\n".to_owned()
}

struct Target {
    address: SocketAddr,
    tls: TlsConnector,
    name: String,
    epoch: u64,
}

/// A whole HTTP request, ready to be written.
type Prepared = Vec<u8>;

/// Makes requests: each a new person, a new key, a token bound to it, and a proof.
fn prepare(lab: &Lab, target: &Target, count: usize) -> Vec<Prepared> {
    static SERIAL: AtomicUsize = AtomicUsize::new(0);
    let host = target.address;
    (0..count)
        .map(|_| {
            let number = SERIAL.fetch_add(1, Ordering::Relaxed);
            let (key, salt) = (Key::new(), BindingSalt::new());
            let token = lab
                .idp
                .token("alice", &salt.nonce(&key))
                .claim("sub", format!("load-{number}"))
                .claim("email", format!("load-{number}@example.com"))
                .claim("preferred_username", format!("load{number}"));
            let body = serde_json::json!({
                "open": { "id_token": token.sign(), "salt": salt.text() },
                "role": "production-observer",
            });
            let body = serde_json::to_vec(&body).unwrap();
            let mut id = [0; 16];
            rand::rngs::OsRng.fill_bytes(&mut id);
            let proof = Proof {
                method: "POST".into(),
                path: "/v1/certificates".into(),
                name: target.name.clone(),
                epoch: target.epoch,
                body: body.clone(),
                time: clock::now(),
                id,
                namespace: NAMESPACE.into(),
            };
            let mut request = String::new();
            let _ = write!(
                request,
                "POST /v1/certificates HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\nAuthorization: {}\r\n\r\n",
                body.len(),
                proof.header(&key),
            );
            let mut request = request.into_bytes();
            request.extend_from_slice(&body);
            request
        })
        .collect()
}

/// What a load came to.
struct Load {
    per_second: f64,
    /// Milliseconds, sorted.
    latencies: Vec<f64>,
}

impl Load {
    fn percentile(&self, percent: usize) -> f64 {
        percentile(&self.latencies, percent)
    }
}

async fn run(
    target: &Arc<Target>,
    requests: Vec<Prepared>,
    connections: usize,
    fresh: bool,
) -> Load {
    let count = requests.len();
    let requests = Arc::new(requests);
    let next = Arc::new(AtomicUsize::new(0));
    let mut open = Vec::new();
    if !fresh {
        for _ in 0..connections {
            open.push(connect(target.address, &target.tls).await);
        }
    }
    let start = Instant::now();
    let mut workers = Vec::new();
    for _ in 0..connections {
        let (target, requests, next) = (target.clone(), requests.clone(), next.clone());
        let mut connection = open.pop();
        workers.push(tokio::spawn(async move {
            let mut latencies = Vec::new();
            while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                let begin = Instant::now();
                let stream = match &mut connection {
                    Some(stream) if !fresh => stream,
                    slot => slot.insert(connect(target.address, &target.tls).await),
                };
                let _ = exchange(stream, request).await;
                latencies.push(begin.elapsed().as_secs_f64() * 1e3);
            }
            latencies
        }));
    }
    let mut latencies = Vec::with_capacity(count);
    for worker in workers {
        latencies.extend(worker.await.unwrap());
    }
    let per_second = count as f64 / start.elapsed().as_secs_f64();
    latencies.sort_by(f64::total_cmp);
    Load {
        per_second,
        latencies,
    }
}

/// Median time from starting the process to its first answer.
fn start_up(ca: &mut Ca, runs: usize) -> f64 {
    let connector = connector(&ca.data.join("tls/cert.pem"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let address = ca.address;
    let mut times: Vec<f64> = (0..runs)
        .map(|_| {
            let begin = Instant::now();
            ca.launch();
            runtime.block_on(async {
                let tcp = loop {
                    match TcpStream::connect(address).await {
                        Ok(tcp) => break tcp,
                        Err(_) => tokio::time::sleep(Duration::from_micros(500)).await,
                    }
                };
                let mut stream = connector.connect(address.ip().into(), tcp).await.unwrap();
                let request = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\n\r\n");
                let _ = exchange(&mut stream, request.as_bytes()).await;
            });
            let time = begin.elapsed().as_secs_f64() * 1e3;
            ca.stop();
            time
        })
        .collect();
    median(&mut times)
}

struct Client {
    ensure: f64,
    /// With 5,000 enrolled hosts.
    ensure_fleet: f64,
    status: f64,
}

/// Logs a person in for real and times the commands that run dozens of times a day.
fn client(lab: &Lab, runs: usize) -> Client {
    let home = lab.dir.folder("laptop");
    let command = |arguments: &[&str]| {
        let mut command = Command::new(program("jit-ssh"));
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &home)
            .env("BROWSER", browser::script())
            .env("JIT_SSH_TEST_USER", "alice")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    };
    lab.idp
        .change("alice", |person: &mut Person| person.disabled = false);
    let fingerprint = lab.ca.fingerprint();
    let login = [
        "login",
        "--ca",
        &lab.ca.url,
        "--fingerprint",
        &fingerprint,
        "--no-agent",
    ];
    assert!(
        command(&login).status().unwrap().success(),
        "the login failed"
    );
    let ensure = [
        "ensure",
        "--host",
        "db01.prod.example.com",
        "--account",
        "observer",
    ];
    assert!(
        command(&ensure).status().unwrap().success(),
        "ensure failed"
    );
    let time = |arguments: &[&str]| {
        let mut times: Vec<f64> = (0..runs)
            .map(|_| {
                let begin = Instant::now();
                assert!(command(arguments).status().unwrap().success());
                begin.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        median(&mut times)
    };
    let without = time(&ensure);
    let list = home.join(".config/jit-ssh/cas/ca.test/fleet");
    let mut hosts = "heard 1\n".to_owned();
    for number in 1..5000 {
        hosts +=
            &format!("web-{number:04}.prod.example.com production-observer=observer jump=deploy\n");
    }
    hosts += "db01.prod.example.com production-observer=observer jump=deploy\n";
    jit_ssh_tests::ca::replace(&list, &hosts);
    Client {
        ensure: without,
        ensure_fleet: time(&ensure),
        status: time(&["status", "--short"]),
    }
}
