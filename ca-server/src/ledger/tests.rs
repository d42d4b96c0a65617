//! Attempts on the ledger and on logins, through their public functions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use jit_ssh_api::admin::{AuditQuery, LoginQuery};
use ssh_key::PublicKey;

use super::*;
use crate::certificate::{AcceptedKey, CaPublicKey, LoginFacts, UserCertificate};
use crate::entropy;
use crate::identity::{
    Email, Group, IdentityFacts, Issuer, Preset, Subject, VerifiedIdentity, VerifiedToken,
};
use crate::login::{KeyHash, LoginError, Logins, OpenLogin};
use crate::policy::{Ask, Grant, IssuerFact, IssuerFacts, Policy};
use crate::store::{backup, beside};

mod backups;
mod crash;
mod listing;
mod logins;
mod measure;
mod revocations;

const ISSUER: &str = "https://idp.example.com";
const START: Timestamp = Timestamp::from_seconds(1_795_461_600);
const HOUR: Duration = Duration::from_secs(3600);

const POLICY: &str = r#"
order = ["observer"]
[roles.observer]
description = "Looks"
accounts = ["observer"]
max_validity = "15m"
extensions = ["permit-pty"]
[[grants]]
groups = ["Ops"]
roles = ["observer"]
"#;

/// A CA's ledger in a folder of its own.
struct Lab {
    folder: tempfile::TempDir,
    ledger: Arc<Ledger>,
    logins: Logins,
}

impl Lab {
    fn new() -> Self {
        Lab::within(tempfile::tempdir().unwrap())
    }

    fn within(folder: tempfile::TempDir) -> Self {
        let options = StoreOptions::new(folder.path().join("ledger.db"));
        let ledger = Ledger::open(options, entropy::from_system()).unwrap();
        let logins = Logins::new(Arc::clone(&ledger));
        let lab = Lab {
            folder,
            ledger,
            logins,
        };
        lab.free(1 << 40);
        lab
    }

    /// From now on so many bytes are free.
    fn free(&self, bytes: u64) {
        self.ledger.store().pretend_free(bytes);
    }

    /// As after a restart of the process.
    fn reopened(self) -> Self {
        let Lab {
            folder,
            ledger,
            logins,
            ..
        } = self;
        drop(logins);
        drop(
            Arc::try_unwrap(ledger)
                .map_err(drop)
                .expect("nobody else has the ledger"),
        );
        Lab::within(folder)
    }

    fn open(
        &self,
        token: VerifiedToken,
        key: &PublicKey,
        now: Timestamp,
    ) -> Result<LiveLogin, LoginError> {
        let open = OpenLogin {
            token,
            login_key: key.clone(),
            certified_key: AcceptedKey::new(key).unwrap(),
            longest: 8 * HOUR,
            source: "192.0.2.7".parse().ok(),
            request: "request-1",
        };
        self.logins.open(open, now)
    }

    async fn certificate(
        &self,
        login: &LiveLogin,
        now: Timestamp,
    ) -> Result<Recorded, LedgerError> {
        self.ledger
            .record(to_sign(login, now), context(login, now))
            .await
    }

    async fn kinds(&self) -> Vec<String> {
        let query = AuditQuery {
            after: None,
            limit: Some(1000),
            ..AuditQuery::default()
        };
        let page = list::page(&self.ledger, query).await.unwrap();
        page.records
            .into_iter()
            .rev()
            .map(|record| record.kind)
            .collect()
    }

    /// The newest record of a kind.
    async fn last(&self, kind: &str) -> jit_ssh_api::admin::AuditRecord {
        let query = AuditQuery {
            kind: Some(kind.to_owned()),
            limit: Some(1),
            ..AuditQuery::default()
        };
        let page = list::page(&self.ledger, query).await.unwrap();
        page.records.into_iter().next().unwrap()
    }

    /// SQL of somebody who got at the file.
    fn meddle(&self, sql: &str) {
        let connection = rusqlite::Connection::open(self.ledger.store().path()).unwrap();
        connection.execute_batch(sql).unwrap();
    }
}

fn context(login: &LiveLogin, now: Timestamp) -> Context {
    Context {
        login: login.clone(),
        username: None,
        request: "request-1".into(),
        source: "192.0.2.7".parse().ok(),
        policy: "digest".into(),
        outage: false,
        now,
    }
}

fn snapshot(subject: &str, email: Option<&str>, issued_at: Timestamp) -> IdentityFacts {
    IdentityFacts {
        issuer: Issuer::new(ISSUER),
        client_id: "client".into(),
        subject: Subject::new(subject),
        person: json!([ISSUER, subject]).to_string(),
        email: email.and_then(Email::parse),
        said_email: None,
        groups: BTreeSet::from([Group::new("Ops")]),
        acr: None,
        amr: vec![],
        acrs: vec![],
        auth_time: None,
        claims: BTreeMap::new(),
        issued_at,
        expires: issued_at.plus(HOUR),
    }
}

fn token_of(snapshot: IdentityFacts, nonce: Option<&str>, token_id: &str) -> VerifiedToken {
    VerifiedToken {
        identity: VerifiedIdentity::recalled(snapshot),
        nonce: nonce.map(str::to_owned),
        token_id: token_id.to_owned(),
        issuer: Arc::new(Preset::Generic.defaults(ISSUER)),
    }
}

/// A bound token whose token id is its nonce.
fn token(subject: &str, nonce: &str, issued_at: Timestamp) -> VerifiedToken {
    token_of(snapshot(subject, None, issued_at), Some(nonce), nonce)
}

fn key(seed: u64) -> PublicKey {
    let mut rng = entropy::seeded(seed);
    ssh_key::PrivateKey::random(&mut rng, ssh_key::Algorithm::Ed25519)
        .unwrap()
        .public_key()
        .clone()
}

/// What a member of Ops gets; who that is makes no difference to the ledger.
fn grant() -> Grant {
    let who = &snapshot("alice", None, START);
    let facts = IssuerFacts {
        issuers: vec![IssuerFact {
            issuer: ISSUER.into(),
            ..IssuerFact::default()
        }],
    };
    let policy = Policy::parse(POLICY, &facts).unwrap();
    policy.decide(who, &Ask::default(), START).unwrap()
}

fn to_sign(login: &LiveLogin, now: Timestamp) -> CertificateToSign {
    let certificate = UserCertificate {
        grant: &grant(),
        key: &login.certified_key,
        login: LoginFacts {
            id: &login.id.to_string(),
            name: "alice",
            ends: login.ends,
        },
        ca: &CaPublicKey::new(&key(1)).unwrap(),
        now,
    };
    CertificateToSign::user(&certificate, &mut entropy::from_system()).unwrap()
}

fn refused<'a>(to: RefusedTo<'a>, now: Timestamp) -> Refused<'a> {
    Refused {
        to,
        rule: "groups",
        role: Some("observer"),
        reason: "You are in none of the groups.",
        asked: json!({ "role": "observer" }),
        policy: Some("digest"),
        request: "request-1",
        source: "192.0.2.7".parse().ok(),
        now,
    }
}

#[tokio::test]
async fn the_bytes_to_be_signed_are_on_disk_before_anybody_can_sign_them() {
    let lab = Lab::new();
    let login = lab
        .open(token("alice", "n1", START), &key(2), START)
        .unwrap();
    let recorded = lab.certificate(&login, START).await.unwrap();
    let connection = rusqlite::Connection::open(lab.ledger.store().path()).unwrap();
    let part = records::part(&connection, recorded.index(), PartName::ToBeSigned)
        .unwrap()
        .unwrap();
    assert_eq!(part.bytes, recorded.certificate().to_be_signed());
    let row = records::record(&connection, recorded.index())
        .unwrap()
        .unwrap();
    let leaf = record::Leaf::decode(&row.leaf).unwrap();
    let tbs = Hash::of(recorded.certificate().to_be_signed()).to_string();
    assert_eq!(leaf.facts["tbs_sha256"], Fact::Text(tbs));
    assert_eq!(lab.kinds().await, ["login-opened", "certificate"]);
}

#[tokio::test]
async fn a_serial_that_was_used_is_never_used_again() {
    let lab = Lab::new();
    let login = lab
        .open(token("alice", "n1", START), &key(2), START)
        .unwrap();
    let certificate = to_sign(&login, START);
    lab.meddle(&format!(
        "INSERT INTO certificates (serial, record) VALUES ({}, 0)",
        certificate.serial()
    ));
    let refused = lab
        .ledger
        .record(certificate, context(&login, START))
        .await
        .unwrap_err();
    assert!(matches!(refused, LedgerError::SerialTaken), "{refused}");
    assert!(
        lab.kinds().await.is_empty(),
        "nothing of the refused write is left behind"
    );
}

#[tokio::test]
async fn a_second_process_on_the_same_ledger_is_refused() {
    let lab = Lab::new();
    let options = StoreOptions::new(lab.ledger.store().path());
    assert!(matches!(Store::open(options), Err(StoreError::InUse(_))));
    lab.reopened();
}

#[tokio::test]
async fn files_are_private_whatever_the_umask() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    // A file that somebody left open to everybody is closed again.
    std::fs::File::create(&path)
        .unwrap()
        .set_permissions(std::fs::Permissions::from_mode(0o666))
        .unwrap();
    let lab = Lab::within(folder);
    lab.certificate(
        &lab.open(token("alice", "n1", START), &key(2), START)
            .unwrap(),
        START,
    )
    .await
    .unwrap();
    let mut seen = 0;
    for entry in std::fs::read_dir(lab.folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
        seen += 1;
    }
    assert!(seen >= 4, "database, wal, shm and lock");
}

#[tokio::test]
async fn a_full_disk_refuses_to_issue_and_still_ends_logins() {
    let lab = Lab::new();
    let login = lab
        .open(token("alice", "n1", START), &key(2), START)
        .unwrap();
    lab.certificate(&login, START).await.unwrap();

    lab.free(32 << 20);
    assert_eq!(lab.ledger.disk(), DiskState::Reserve);
    lab.certificate(&login, START)
        .await
        .expect("certificates may use the reserve");
    let before = lab.kinds().await;
    lab.ledger
        .record_refused(refused(RefusedTo::Login(&login), START))
        .await
        .expect("refusals are counted");
    assert_eq!(lab.kinds().await, before, "and not recorded");

    lab.free(1 << 20);
    assert_eq!(lab.ledger.disk(), DiskState::Full);
    let error = lab.certificate(&login, START).await.unwrap_err();
    assert!(matches!(error, LedgerError::DiskFull));
    lab.logins
        .end(login.id, &EndedBy::Owner, "request-2", START)
        .await
        .expect("what ends, ends");

    lab.free(1 << 40);
    let again = lab
        .open(token("alice", "n2", START), &key(2), START)
        .unwrap();
    lab.certificate(&again, START)
        .await
        .expect("with room again it goes on");
    lab.ledger.flush(START).await.unwrap();
    let summary = lab.last("refused-summary").await;
    assert_eq!(summary.fields["people"], 1);
}

#[tokio::test]
async fn groups_lost_while_the_disk_is_nearly_full_stay_lost() {
    let lab = Lab::new();
    let key = key(2);
    let login = lab.open(token("alice", "n1", START), &key, START).unwrap();
    lab.certificate(&login, START).await.unwrap();
    let later = START.plus(Duration::from_secs(300));
    let mut fewer = snapshot("alice", None, later);
    fewer.groups.clear();
    let refreshed = lab
        .logins
        .refresh(&login, token_of(fewer, None, "t2"), "request-2", later)
        .unwrap();
    let refuse = || {
        lab.ledger
            .record_refused(refused(RefusedTo::Login(&refreshed), later))
    };

    lab.free(1 << 20);
    let error = refuse().await;
    assert!(
        matches!(error, Err(LedgerError::DiskFull)),
        "what the token said cannot be written, and that is told"
    );
    lab.free(32 << 20);
    refuse().await.expect("the policy's refusal is told");
    let lab = lab.reopened();
    let recalled = lab.logins.recall(KeyHash::of(&key), later).await.unwrap();
    assert!(recalled.identity.groups.is_empty());

    // A refusal that changes nothing of the login is told on a full disk too.
    lab.free(1 << 20);
    lab.ledger
        .record_refused(refused(RefusedTo::Login(&recalled), later))
        .await
        .expect("nothing had to be written");
}

#[tokio::test]
async fn a_full_disk_takes_what_is_there_already() {
    let lab = Lab::new();
    let start = async |policy: &str, key_set: &str| {
        lab.ledger.record_policy(policy, "text", START).await?;
        lab.ledger.record_key_set(1, 1, key_set, START).await
    };
    start("d1", "{\"signed\":1}").await.unwrap();
    lab.free(0);
    start("d1", "{\"signed\":1}")
        .await
        .expect("a start that changes nothing writes nothing");
    for (policy, key_set) in [("d2", "{\"signed\":1}"), ("d1", "{\"signed\":2}")] {
        let error = start(policy, key_set).await.unwrap_err();
        assert!(matches!(error, LedgerError::DiskFull), "{error}");
    }
}

#[tokio::test]
async fn a_fault_of_the_store_undoes_the_batch_whole_and_nothing_is_issued() {
    let lab = Lab::new();
    let login = lab
        .open(token("alice", "n1", START), &key(2), START)
        .unwrap();
    lab.meddle("ALTER TABLE certificates RENAME TO gone");
    for _ in 0..2 {
        let error = lab.certificate(&login, START).await.unwrap_err();
        assert!(matches!(error, LedgerError::Store(_)), "{error}");
        assert!(!lab.ledger.is_writing());
    }
    lab.meddle("ALTER TABLE gone RENAME TO certificates");
    assert!(lab.kinds().await.is_empty(), "no login, no record");
    lab.certificate(&login, START).await.expect("mended");
    assert!(lab.ledger.is_writing());
}

#[tokio::test]
async fn a_ledger_that_could_not_write_is_ready_again_without_a_caller() {
    let lab = Lab::new();
    let login = lab
        .open(token("alice", "n1", START), &key(2), START)
        .unwrap();
    lab.meddle("ALTER TABLE head RENAME TO gone");
    lab.certificate(&login, START).await.unwrap_err();
    assert!(!lab.ledger.is_writing());
    lab.ledger.tick(START).await.unwrap_err();
    assert!(!lab.ledger.is_writing(), "it still cannot");
    lab.meddle("ALTER TABLE gone RENAME TO head");
    lab.ledger.tick(START).await.unwrap();
    assert!(lab.ledger.is_writing());
    assert!(lab.kinds().await.is_empty(), "and nothing was recorded");
}

#[tokio::test]
async fn refusals_are_recorded_up_to_a_cap_and_then_counted() {
    let lab = Lab::new();
    let login = lab
        .open(token("mallory", "n1", START), &key(2), START)
        .unwrap();
    for _ in 0..50 {
        lab.ledger
            .record_refused(refused(RefusedTo::Login(&login), START))
            .await
            .unwrap();
    }
    for _ in 0..1000 {
        lab.ledger.count_refused("token-refused", START);
    }
    lab.ledger
        .tick(START.plus(Duration::from_secs(30)))
        .await
        .unwrap();
    let mut expected = vec!["login-opened"];
    expected.extend(["refused"; 5]);
    assert_eq!(lab.kinds().await, expected);
    let minute = START.plus(Duration::from_secs(60));
    lab.ledger.tick(minute).await.unwrap();
    lab.ledger.tick(minute).await.unwrap();
    expected.push("refused-summary");
    assert_eq!(lab.kinds().await, expected);
    let query = AuditQuery {
        kind: Some("refused-summary".into()),
        ..AuditQuery::default()
    };
    let page = list::page(&lab.ledger, query).await.unwrap();
    assert_eq!(page.records[0].fields["strangers"], 1000);
    assert_eq!(page.records[0].fields["people"], 45);
}

#[tokio::test]
async fn a_refused_login_is_opened_all_the_same_so_that_its_token_is_used_up() {
    let lab = Lab::new();
    let login = lab
        .open(token("alice", "n1", START), &key(2), START)
        .unwrap();
    lab.ledger
        .record_refused(refused(RefusedTo::Login(&login), START))
        .await
        .unwrap();
    lab.logins
        .end(login.id, &EndedBy::Owner, "request-2", START)
        .await
        .unwrap();
    let again = lab
        .open(token("alice", "n1", START), &key(2), START)
        .unwrap();
    let error = lab.certificate(&again, START).await.unwrap_err();
    assert!(matches!(error, LedgerError::LoginEnded), "{error}");
}

#[tokio::test]
async fn a_policy_or_key_set_that_did_not_change_is_not_recorded_twice() {
    let lab = Lab::new();
    for _ in 0..3 {
        lab.ledger
            .record_policy("d1", "text one", START)
            .await
            .unwrap();
        lab.ledger
            .record_key_set(1, 1, "{\"signed\":1}", START)
            .await
            .unwrap();
    }
    let later = START.plus(HOUR);
    lab.ledger
        .record_policy("d2", "text two", later)
        .await
        .unwrap();
    lab.ledger
        .record_key_set(1, 2, "{\"signed\":2}", later)
        .await
        .unwrap();
    assert_eq!(
        lab.kinds().await,
        ["policy", "key-set", "policy", "key-set"]
    );
    assert_eq!(
        lab.ledger.policy_in_force().await.unwrap(),
        Some(("d2".into(), later))
    );
    let connection = rusqlite::Connection::open(lab.ledger.store().path()).unwrap();
    let old: String = connection
        .query_row("SELECT text FROM policies WHERE digest = 'd1'", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(old, "text one", "old policies are kept");

    // A start on a full disk writes neither again; another policy has no room.
    lab.free(0);
    let ledger = &lab.ledger;
    ledger.record_policy("d2", "text two", later).await.unwrap();
    ledger
        .record_key_set(1, 2, "{\"signed\":2}", later)
        .await
        .unwrap();
    let error = ledger.record_policy("d1", "text one", later).await;
    assert!(matches!(error, Err(LedgerError::DiskFull)));
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_nothing_half_written() {
    let lab = Lab::new();
    let login = lab
        .open(token("alice", "n1", START), &key(2), START)
        .unwrap();
    for _ in 0..20 {
        let ledger = Arc::clone(&lab.ledger);
        let (certificate, context) = (to_sign(&login, START), context(&login, START));
        let task = tokio::spawn(async move { ledger.record(certificate, context).await });
        tokio::task::yield_now().await;
        task.abort();
        let _ = task.await;
    }
    let last = lab.certificate(&login, START).await.unwrap();
    let kinds = lab.kinds().await;
    assert_eq!(u64::try_from(kinds.len()).unwrap(), last.index() + 1);
    let connection = rusqlite::Connection::open(lab.ledger.store().path()).unwrap();
    let serials: u32 = connection
        .query_row("SELECT count(*) FROM certificates", [], |row| row.get(0))
        .unwrap();
    let certificates = kinds.iter().filter(|kind| *kind == "certificate").count();
    assert_eq!(usize::try_from(serials).unwrap(), certificates);
}
