//! `scripts/bench fleet`: how fast a whole fleet hears of a change, measured from outside: each host
//! has an address, a key, a TLS connection and a held request of its own; the receipt is its next
//! request, which says what it holds. Then what a list of ten thousand revoked certificates costs a
//! real sshd. The hosts are simulated in this process, beside the CA on the same machine.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement: what fails here should say so at once"
)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jit_ssh_api::bundle::{Bundle, SignedBundle};
use jit_ssh_api::discovery::Discovery;
use jit_ssh_api::host::{Enrolment, InvitationRequest};
use jit_ssh_api::proof::NAMESPACE;
use jit_ssh_tests::clock;
use jit_ssh_tests::dir::Dir;
use jit_ssh_tests::host::HostWire;
use jit_ssh_tests::lab::Lab;
use jit_ssh_tests::load::{
    connect, connector, exchange, median, percentile, resident_mb, round, try_connect_from,
    try_exchange,
};
use jit_ssh_tests::process::Run;
use jit_ssh_tests::sshd::Plan;
use jit_ssh_tests::wire::{Key, Proof, Wire};
use jit_ssh_tests::world::World;
use jit_ssh_tests::{client::Laptop, keygen};
use rand::{Rng as _, RngCore as _};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How much is measured.
struct Size {
    hosts: usize,
    changes: usize,
    revoked: usize,
    logins: usize,
}

fn main() -> ExitCode {
    let smoke = std::env::args().any(|argument| argument == "--smoke");
    let json = std::env::args().any(|argument| argument == "--json");
    let size = if smoke {
        Size {
            hosts: 50,
            changes: 2,
            revoked: 100,
            logins: 2,
        }
    } else {
        Size {
            hosts: 5_000,
            changes: 5,
            revoked: 10_000,
            logins: 20,
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    // All of the fleet asks from this machine: limits for each address are not what is measured.
    let sections = "[limits]\nrequests_per_peer = 0\n";
    let mut lab = Lab::builder().tls().sections(sections).prepare();
    lab.ca.serve();
    let fleet = runtime.block_on(Fleet::enrol(&lab, size.hosts));
    fleet.start(&runtime);
    fleet.wait("every host to hold a request", |fleet| {
        fleet.holding.load(Ordering::SeqCst) == size.hosts
    });

    let mut latencies = Vec::new();
    for change in 0..size.changes {
        latencies.extend(fleet.revoke(&lab, change));
    }
    latencies.sort_by(f64::total_cmp);
    let rss = resident_mb(lab.ca.child().pid());

    fleet.restarted();
    lab.ca.stop();
    let begin = Instant::now();
    lab.ca.serve();
    fleet.wait("every host to be back", |fleet| {
        fleet.holding.load(Ordering::SeqCst) == size.hosts
    });
    let back = begin.elapsed().as_secs_f64();
    drop(lab);

    let (without, with) = logins(size.revoked, size.logins);
    let figures = json!({
        "hosts": size.hosts,
        "revocation_p50_ms": round(percentile(&latencies, 50)),
        "revocation_p99_ms": round(percentile(&latencies, 99)),
        "rss_mb": round(rss),
        "back_after_restart_s": round(back),
        "login_ms_no_krl": round(without),
        format!("login_ms_krl_{}", size.revoked): round(with),
    });
    if json {
        println!("{figures}");
        return ExitCode::SUCCESS;
    }
    println!("{} hosts, a held request each", size.hosts);
    println!(
        "  a revocation is at every host, with receipt: p50 {:.0} ms, p99 {:.0} ms",
        percentile(&latencies, 50),
        percentile(&latencies, 99)
    );
    println!("  server's memory            {rss:>7.1} MB resident");
    println!("  all back after a restart   {back:>7.1} s");
    println!("a login at a real sshd, median");
    println!("  without a revocation list  {without:>7.0} ms");
    println!("  {:>6} revoked serials      {with:>7.0} ms", size.revoked);
    ExitCode::SUCCESS
}

/// A host as far as the CA can tell.
struct Simulated {
    key: Key,
    address: Ipv4Addr,
    /// The bundle that it holds.
    number: AtomicU64,
}

struct Fleet {
    hosts: Vec<Simulated>,
    address: SocketAddr,
    tls: TlsConnector,
    name: String,
    epoch: u64,
    /// Hosts whose request is on its way or held, since the last restart.
    holding: AtomicUsize,
    /// Counts restarts.
    generation: AtomicUsize,
    /// When each host said to hold which number.
    receipts: Mutex<Vec<(u64, Instant)>>,
}

impl Fleet {
    async fn enrol(lab: &Lab, count: usize) -> Arc<Self> {
        let invitation = lab.ca.invite(&InvitationRequest {
            names: vec!["*.fleet.example.com".to_owned()],
            labels: jit_ssh_tests::host::of(&[("env", "production")]),
            uses: None,
            from: Vec::new(),
            valid_seconds: 3600,
        });
        let tls = connector(&lab.ca.data.join("tls/cert.pem"));
        let address = lab.ca.address;
        let mut stream = connect(address, &tls).await;
        let ask = format!("GET /.well-known/jit-ssh HTTP/1.1\r\nHost: {address}\r\n\r\n");
        let ca: Discovery =
            serde_json::from_slice(&exchange(&mut stream, ask.as_bytes()).await).unwrap();
        let key_set: jit_ssh_api::key_set::KeySet =
            serde_json::from_str(&ca.key_set.document).unwrap();
        let wire = Wire { address, ca };
        let mut hosts = Vec::with_capacity(count);
        for index in 0..count {
            let key = Key::new();
            let host = HostWire::with(wire.clone(), vec![key.clone()]);
            let name = format!("h{index}.fleet.example.com");
            let body = json!(host.request(&invitation.token, &[&name])).to_string();
            let request = signed(
                &key,
                (&key_set.name, key_set.epoch),
                ("POST", "/v1/hosts"),
                body.as_bytes(),
            );
            let answer = exchange(&mut stream, &request).await;
            let enrolment: Enrolment = serde_json::from_slice(&answer).unwrap();
            let [high, low] = u16::try_from(index + 1).unwrap().to_be_bytes();
            hosts.push(Simulated {
                key,
                address: Ipv4Addr::new(127, 1, high, low),
                number: AtomicU64::new(number(&enrolment.bundle)),
            });
        }
        Arc::new(Fleet {
            hosts,
            address,
            tls,
            name: key_set.name,
            epoch: key_set.epoch,
            holding: AtomicUsize::new(0),
            generation: AtomicUsize::new(0),
            receipts: Mutex::default(),
        })
    }

    /// Every host connects and holds a request from then on.
    fn start(self: &Arc<Self>, runtime: &tokio::runtime::Runtime) {
        for index in 0..self.hosts.len() {
            let fleet = Arc::clone(self);
            runtime.spawn(async move { fleet.run(index).await });
        }
    }

    async fn run(&self, index: usize) {
        let Some(host) = self.hosts.get(index) else {
            return;
        };
        let mut counted = None;
        let mut patience = Duration::from_millis(500);
        loop {
            // Full jitter, as the daemon has it.
            let wait = rand::rngs::OsRng.gen_range(Duration::ZERO..patience);
            tokio::time::sleep(wait).await;
            let from = SocketAddr::new(IpAddr::V4(host.address), 0);
            let connected = try_connect_from(from, self.address, &self.tls).await;
            let Ok(mut stream) = connected else {
                patience = (patience * 2).min(Duration::from_secs(8));
                continue;
            };
            patience = Duration::from_millis(500);
            while self.hold(host, &mut stream, &mut counted).await.is_ok() {}
        }
    }

    /// One held request, from the receipt that it is to its answer.
    async fn hold(
        &self,
        host: &Simulated,
        stream: &mut TlsStream<TcpStream>,
        counted: &mut Option<usize>,
    ) -> std::io::Result<()> {
        let held = host.number.load(Ordering::SeqCst);
        let path = format!(
            "/v1/hosts/self/bundle?epoch={}&number={held}&wait=50",
            self.epoch
        );
        let request = signed(&host.key, (&self.name, self.epoch), ("GET", &path), b"");
        let asking = try_exchange(stream, &request);
        tokio::pin!(asking);
        // Once it is written, the CA has the receipt.
        let sent = Instant::now();
        let generation = self.generation.load(Ordering::SeqCst);
        let answer = tokio::select! {
            biased;
            answer = &mut asking => Some(answer),
            () = tokio::task::yield_now() => None,
        };
        self.receipts.lock().unwrap().push((held, sent));
        if *counted != Some(generation) {
            *counted = Some(generation);
            self.holding.fetch_add(1, Ordering::SeqCst);
        }
        let answer = match answer {
            Some(answer) => answer?,
            None => asking.await?,
        };
        let bundle: SignedBundle = serde_json::from_slice(&answer).unwrap();
        host.number.store(number(&bundle), Ordering::SeqCst);
        Ok(())
    }

    /// Revokes a key, and gives the milliseconds until each host said to hold the list with it.
    fn revoke(&self, lab: &Lab, change: usize) -> Vec<f64> {
        self.receipts.lock().unwrap().clear();
        let fingerprint = Key::new().0.fingerprint(ssh_key::HashAlg::Sha256);
        let body = json!({
            "target": { "key": fingerprint.to_string() },
            "reason": format!("measurement {change}"),
        });
        let begin = Instant::now();
        let body = body.to_string();
        let answer = lab
            .ca
            .local("POST", "/v1/admin/revocations", body.as_bytes());
        let revocation: jit_ssh_api::revocation::Revocation = answer.json();
        let told = |receipts: &[(u64, Instant)]| -> Vec<f64> {
            receipts
                .iter()
                .filter(|(number, _)| *number >= revocation.bundle)
                .map(|(_, at)| at.duration_since(begin).as_secs_f64() * 1e3)
                .collect()
        };
        self.wait("every host to hear of it", |fleet| {
            told(&fleet.receipts.lock().unwrap()).len() >= fleet.hosts.len()
        });
        told(&self.receipts.lock().unwrap())
    }

    /// From now on hosts are counted anew as they come back.
    fn restarted(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.holding.store(0, Ordering::SeqCst);
    }

    fn wait(&self, what: &str, until: impl Fn(&Fleet) -> bool) {
        let begin = Instant::now();
        while !until(self) {
            assert!(
                begin.elapsed() < Duration::from_secs(120),
                "waited too long for {what}"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// A request with its proof, ready to be written.
fn signed(key: &Key, ca: (&str, u64), (method, path): (&str, &str), body: &[u8]) -> Vec<u8> {
    let mut id = [0; 16];
    rand::rngs::OsRng.fill_bytes(&mut id);
    let proof = Proof {
        method: method.to_owned(),
        path: path.to_owned(),
        name: ca.0.to_owned(),
        epoch: ca.1,
        body: body.to_vec(),
        time: clock::now(),
        id,
        namespace: NAMESPACE.into(),
    };
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nHost: ca\r\nAuthorization: {}\r\n",
        proof.header(key)
    );
    if method == "POST" {
        request += &format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
    }
    request += "\r\n";
    let mut request = request.into_bytes();
    request.extend_from_slice(body);
    request
}

fn number(signed: &SignedBundle) -> u64 {
    let bundle: Bundle = serde_json::from_str(&signed.document).unwrap();
    bundle.number
}

/// Median of whole logins (`ssh` to `true` and back), without a list and with one of so many serials,
/// milliseconds; none where there are no mount namespaces.
fn logins(revoked: usize, count: usize) -> (f64, f64) {
    let dir = Dir::new();
    let Some(world) = World::new(&dir) else {
        return (f64::NAN, f64::NAN);
    };
    const SERVER: &str = "web01.prod.example.com";
    for name in ["ca", "key"] {
        keygen::generate(&dir.join(name), &["-t", "ed25519"]);
    }
    let sign = [
        "-q", "-I", "bench", "-z", "7", "-n", "role:ops", "-V", "-2m:+1h",
    ];
    Run::new("ssh-keygen")
        .args(sign)
        .arg("-s")
        .arg(dir.join("ca"))
        .arg(dir.join("key.pub"))
        .go()
        .ok();
    let mut serials = String::new();
    for _ in 0..revoked {
        let serial = rand::rngs::OsRng.gen_range(1_000..u64::MAX >> 1);
        serials += &format!("serial: {serial}\n");
    }
    let spec = dir.file("revoked", &serials);
    let krl = dir.join("krl");
    Run::new("ssh-keygen")
        .args(["-q", "-k", "-s"])
        .arg(dir.join("ca.pub"))
        .arg("-f")
        .arg(&krl)
        .arg(&spec)
        .go()
        .ok();
    let time = |line: Option<String>| {
        let mut plan = Plan::new(SERVER)
            .trusts(&format!("{}\n", keygen::public(&dir.join("ca"))))
            .admits("observer", "role:ops");
        if let Some(line) = line {
            plan = plan.line(&line);
        }
        let folder = Dir::new();
        let server = plan.start(&world, &folder);
        let laptop = Laptop::new(&world, "nobody", &[&server]);
        let mut times: Vec<f64> = (0..count)
            .map(|_| {
                let begin = Instant::now();
                laptop
                    .run("ssh")
                    .args(["-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-i"])
                    .arg(dir.join("key"))
                    .args(["-l", "observer", SERVER, "true"])
                    .go()
                    .ok();
                begin.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        median(&mut times)
    };
    let without = time(None);
    (
        without,
        time(Some(format!("RevokedKeys {}", krl.display()))),
    )
}
