//! A82: a process killed at any moment loses nothing that it acknowledged. The child is this test
//! binary again, with a folder in its environment.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use super::*;

const FOLDER: &str = "JIT_SSH_LEDGER_CRASH_FOLDER";
const CHILD: &str = "ledger::tests::crash::child_that_records_until_it_is_killed";

/// Not a test of its own: without the folder it does nothing.
#[tokio::test(flavor = "multi_thread")]
async fn child_that_records_until_it_is_killed() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let options = StoreOptions::new(Path::new(&folder).join("ledger.db"));
    let ledger = Ledger::open(options, entropy::from_system()).unwrap();
    let logins = Logins::new(Arc::clone(&ledger));
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (ledger, logins) = (Arc::clone(&ledger), logins.clone());
            tokio::spawn(async move {
                loop {
                    let nonce = format!("{:x?}", entropy::bytes::<16>(&mut entropy::from_system()));
                    let mut rng = entropy::from_system();
                    let key = ssh_key::PrivateKey::random(&mut rng, ssh_key::Algorithm::Ed25519);
                    let key = key.unwrap().public_key().clone();
                    let open = OpenLogin {
                        token: token("alice", &nonce, START),
                        certified_key: AcceptedKey::new(&key).unwrap(),
                        login_key: key,
                        longest: HOUR,
                        source: None,
                        request: "request-1",
                    };
                    let login = logins.open(open, START).unwrap();
                    let certificate = to_sign(&login, START);
                    let recorded = ledger
                        .record(certificate, context(&login, START))
                        .await
                        .unwrap();
                    let tbs = Hash::of(recorded.certificate().to_be_signed());
                    // One write: whoever reads a whole line reads what was acknowledged.
                    let line = format!("acknowledged {} {tbs} {}\n", recorded.index(), login.id);
                    if std::io::stdout().write_all(line.as_bytes()).is_err() {
                        break;
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn whatever_was_acknowledged_is_there_after_a_kill_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged: Vec<(u64, String, String)> = Vec::new();
    for round in 0..8_usize {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([CHILD, "--exact", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut line = || lines.next().transpose().unwrap();
        let read = |line: &str| -> Option<(u64, String, String)> {
            let mut words = line.strip_prefix("acknowledged ")?.split(' ');
            let index = words.next()?.parse().ok()?;
            Some((index, words.next()?.to_owned(), words.next()?.to_owned()))
        };
        // Killed in the middle of its work, each time after another number of answers.
        let mut answers = 0;
        while answers < 1 + round * 37 {
            let text = line().expect("the child died by itself");
            if let Some(answer) = read(&text) {
                acknowledged.push(answer);
                answers += 1;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        while let Some(text) = line() {
            acknowledged.extend(read(&text));
        }
    }
    assert!(acknowledged.len() > 500);

    let options = StoreOptions::new(folder.path().join("ledger.db"));
    let ledger = Ledger::open(options, entropy::from_system()).unwrap();
    let connection = rusqlite::Connection::open(ledger.store().path()).unwrap();
    let head = records::head(&connection).unwrap();
    for (index, tbs, login) in &acknowledged {
        let row = records::record(&connection, *index)
            .unwrap()
            .expect("acknowledged, and lost");
        assert_eq!(Hash::of_leaf(&row.leaf), row.hash);
        let leaf = record::Leaf::decode(&row.leaf).unwrap();
        assert_eq!(leaf.facts["tbs_sha256"], Fact::Text(tbs.clone()));
        let part = records::part(&connection, *index, PartName::ToBeSigned)
            .unwrap()
            .unwrap();
        assert_eq!(&Hash::of(&part.bytes).to_string(), tbs);
        let id = LoginId::parse(login).unwrap();
        assert!(
            crate::store::logins::by_id(&connection, &id.0)
                .unwrap()
                .is_some()
        );
    }
    // And nothing else is torn: indices without gaps, a login for each opening.
    let (count, last): (u64, u64) = connection
        .query_row("SELECT count(*), max(idx) FROM records", [], |row| {
            Ok((
                row.get::<_, i64>(0)?.unsigned_abs(),
                row.get::<_, i64>(1)?.unsigned_abs(),
            ))
        })
        .unwrap();
    assert_eq!((count, last + 1), (head.size, head.size));
    let whole: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(whole, "ok");
}
