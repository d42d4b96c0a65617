//! How fast the ledger is: a login and a certificate for each of distinct tokens, durable.
//!
//! `cargo test --release -p jit-ssh-ca ledger::tests::measure -- --ignored --nocapture`

use std::time::Instant;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, not a test"]
async fn logins_with_certificates_per_second() {
    for callers in [16, 64, 16] {
        let folder = tempfile::tempdir_in(".").unwrap();
        let path = folder.path().join("ledger.db");
        let ledger = Ledger::open(StoreOptions::new(&path), entropy::from_system()).unwrap();
        let logins = Logins::new(Arc::clone(&ledger));
        let (started, cpu) = (Instant::now(), cpu());
        let until = started + Duration::from_secs(10);
        let tasks: Vec<_> = (0..callers)
            .map(|_| {
                let (ledger, logins) = (Arc::clone(&ledger), logins.clone());
                tokio::spawn(async move {
                    let mut rng = entropy::from_system();
                    let grant = grant();
                    let certified = AcceptedKey::new(&key(2)).unwrap();
                    let ca = CaPublicKey::new(&key(1)).unwrap();
                    let mut latencies = Vec::new();
                    while Instant::now() < until {
                        let began = Instant::now();
                        one(&ledger, &logins, &grant, &certified, &ca, &mut rng).await;
                        latencies.push(began.elapsed());
                    }
                    latencies
                })
            })
            .collect();
        let mut latencies = Vec::new();
        for task in tasks {
            latencies.extend(task.await.unwrap());
        }
        let seconds = started.elapsed().as_secs_f64();
        latencies.sort();
        let count = latencies.len();
        println!(
            "{callers:3} callers: {:6.0}/s  p50 {:?}  p99 {:?}  p99.9 {:?}  max {:?}  \
             {:.0} µs CPU each  {} MiB file  {}",
            count as f64 / seconds,
            latencies[count / 2],
            latencies[count * 99 / 100],
            latencies[count * 999 / 1000],
            latencies[count - 1],
            (self::cpu() - cpu) * 1e6 / count as f64,
            path.metadata().unwrap().len() >> 20,
            memory(),
        );
    }
}

async fn one(
    ledger: &Ledger,
    logins: &Logins,
    grant: &Grant,
    certified: &AcceptedKey,
    ca: &CaPublicKey,
    rng: &mut StdRng,
) {
    let nonce = Hash(entropy::bytes(rng)).to_string();
    let key = ssh_key::public::Ed25519PublicKey(entropy::bytes(rng));
    let key = PublicKey::new(ssh_key::public::KeyData::Ed25519(key), "");
    let person = nonce.get(..12).unwrap();
    let email = format!("{person}@example.com");
    let token = token_of(snapshot(person, Some(&email), START), Some(&nonce), &nonce);
    let open = OpenLogin {
        token,
        login_key: key,
        certified_key: certified.clone(),
        longest: HOUR,
        source: "192.0.2.7".parse().ok(),
        request: "request-1",
    };
    let login = logins.open(open, START).unwrap();
    let certificate = UserCertificate {
        grant,
        key: certified,
        login: LoginFacts {
            id: &login.id.to_string(),
            name: "alice",
            ends: login.ends,
        },
        ca,
        now: START,
    };
    let certificate = CertificateToSign::user(&certificate, rng).unwrap();
    ledger
        .record(certificate, context(&login, START))
        .await
        .unwrap();
}

/// Seconds of CPU of this process.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit_once(") ").unwrap().1;
    let ticks: f64 = after_name
        .split(' ')
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<f64>().unwrap())
        .sum();
    ticks / 100.0
}

fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status
        .lines()
        .filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM"))
        .collect()
}
