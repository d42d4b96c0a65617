//! A55, A56, A57: what is taken away is gone with its last certificate, also against one in flight.

use std::collections::BTreeSet;

use jit_ssh_api::key_set::{Key, KeySet, Purpose, State};
use jit_ssh_api::revocation::Target;

use super::*;

const OWNER: Actor = Actor::Local { uid: 0 };

fn used(now: Timestamp) -> RightUsed<'static> {
    RightUsed {
        actor: &OWNER,
        action: "revoke",
        with: Value::Null,
        request: "request-9",
        source: None,
        now,
    }
}

impl Lab {
    async fn person(&self, name: &str) -> i64 {
        let person = json!([ISSUER, name]).to_string();
        let read = move |connection: &rusqlite::Connection| {
            crate::store::logins::person(connection, &person)
        };
        self.ledger.store().read(read).await.unwrap().unwrap()
    }

    async fn revoke(&self, taken: Taken, now: Timestamp) -> Result<Touched, LedgerError> {
        let target = match &taken {
            Taken::People(_) | Taken::Own(_) => Target::User("alice".into()),
            Taken::Login(id) => Target::Login(id.to_string()),
            Taken::Serial(serial) => Target::Serial(serial.to_string()),
            Taken::Role { name, .. } => Target::Role(name.clone()),
            Taken::Key(key) => Target::Key(key.to_string()),
        };
        let done = self
            .ledger
            .revoke(used(now), taken, &target, "stolen laptop");
        Ok(done.await?.1)
    }

    async fn revoke_person(&self, name: &str, now: Timestamp) -> Touched {
        let person = self.person(name).await;
        self.revoke(Taken::People(vec![person]), now).await.unwrap()
    }

    /// Serials that hosts hear of.
    async fn listed(&self, now: Timestamp) -> BTreeSet<u64> {
        let ca = certificate_ca();
        let set = KeySet {
            name: "ca.example.com".into(),
            epoch: 1,
            number: 1,
            created: 0,
            keys: vec![Key {
                purpose: Purpose::UserCa,
                state: State::Active,
                public_key: ca.to_openssh().unwrap(),
            }],
            tls_pins: Vec::new(),
            emergency: Vec::new(),
        };
        let list = self.ledger.revoked(&set, now).await.unwrap();
        list.serials.into_values().flatten().collect()
    }
}

fn certificate_ca() -> PublicKey {
    key(1)
}

fn observer() -> Taken {
    Taken::Role {
        name: "observer".into(),
        known: true,
    }
}

#[tokio::test]
async fn a55_what_a_person_has_ends_in_one_go_and_hosts_hear_of_it() {
    let lab = Lab::new();
    let alice = lab
        .open(token("alice", "n1", START), &key(2), START)
        .unwrap();
    let bob = lab.open(token("bob", "n2", START), &key(3), START).unwrap();
    let mut hers = BTreeSet::new();
    for _ in 0..3 {
        let recorded = lab.certificate(&alice, START).await.unwrap();
        hers.insert(recorded.certificate().serial());
    }
    let his = lab.certificate(&bob, START).await.unwrap();
    let mut bundles = lab.ledger.bundles();
    let before = bundles.borrow_and_update().number;
    let later = START.plus(Duration::from_secs(60));
    let touched = lab.revoke_person("alice", later).await;
    assert_eq!(touched.certificates, hers);
    assert_eq!(touched.logins, [alice.id]);
    assert!(touched.locked);
    assert_eq!(touched.bundle.number, before + 1);
    assert!(bundles.has_changed().unwrap(), "whoever waits hears of it");
    assert_eq!(lab.listed(later).await, hers);
    lab.certificate(&bob, later).await.unwrap();
    assert_eq!(
        lab.kinds().await[..4],
        ["login-opened", "certificate", "certificate", "certificate"]
    );
    let record = lab.last("revoked").await;
    assert_eq!(record.fields["by"], "local:0");
    assert_eq!(record.fields["certificates"], 3);
    assert_eq!(record.parts["details"]["reason"], "stolen laptop");
    assert!(!hers.contains(&his.certificate().serial()));
    let lab = lab.reopened();
    assert_eq!(lab.listed(later).await, hers, "also after a restart");
    assert_eq!(lab.ledger.bundles().borrow().number, before + 1);
}

#[tokio::test]
async fn a_locked_person_gets_nothing_with_a_new_token_a_refreshed_one_or_another_key() {
    let lab = Lab::new();
    let alice = lab
        .open(token("alice", "n1", START), &key(2), START)
        .unwrap();
    lab.certificate(&alice, START).await.unwrap();
    lab.revoke_person("alice", START).await;
    let mut lab = lab;
    for _ in 0..2 {
        let later = START.plus(Duration::from_secs(60));
        let refreshed = lab
            .logins
            .refresh(
                &alice,
                token_of(snapshot("alice", None, later), Some("n1"), "t2"),
                "r",
                later,
            )
            .unwrap();
        for (login, why) in [
            (alice.clone(), "the login that ended"),
            (refreshed, "a refreshed token"),
            (
                lab.open(token("alice", "n7", later), &key(2), later)
                    .unwrap(),
                "a new token",
            ),
            (
                lab.open(token("alice", "n8", later), &key(7), later)
                    .unwrap(),
                "another key",
            ),
        ] {
            let error = lab.certificate(&login, later).await.unwrap_err();
            let locked = matches!(
                error,
                LedgerError::Locked {
                    kind: LockKind::User
                }
            );
            assert!(locked, "{why}: {error}");
            let asked = lab.ledger.not_locked(&login, None);
            assert!(matches!(asked, Err(LedgerError::Locked { .. })), "{why}");
            // No login either: that would open the CA's own routes.
            let error = lab.ledger.record_login(&login, later).await.unwrap_err();
            assert!(
                matches!(error, LedgerError::Locked { .. }),
                "{why}: {error}"
            );
        }
        let recalled = lab.logins.recall(KeyHash::of(&key(7)), later).await;
        assert!(matches!(recalled, Err(LoginError::Ended)));
        lab = lab.reopened();
    }
}

/// Many rounds: whichever of the two commits first, no certificate is alive that hosts were not told
/// of, and none comes after.
#[tokio::test(flavor = "multi_thread")]
async fn a55_a_lock_that_races_with_a_certificate_wins() {
    let lab = Lab::new();
    for round in 0..200_u32 {
        let name = format!("alice{round}");
        let nonce = format!("n{round}");
        let login = lab
            .open(token(&name, &nonce, START), &key(2), START)
            .unwrap();
        lab.ledger.record_login(&login, START).await.unwrap();
        let person = lab.person(&name).await;
        let (one, has_one) = tokio::sync::oneshot::channel();
        let asks = {
            let ledger = Arc::clone(&lab.ledger);
            let login = login.clone();
            tokio::spawn(async move {
                let mut one = Some(one);
                let mut given = Vec::new();
                while let Ok(recorded) = ledger
                    .record(to_sign(&login, START), context(&login, START))
                    .await
                {
                    given.push(recorded.certificate().serial());
                    if let Some(one) = one.take() {
                        let _ = one.send(());
                    }
                }
                given
            })
        };
        if round % 2 == 0 {
            has_one.await.unwrap();
        }
        let touched = lab
            .revoke(Taken::People(vec![person]), START)
            .await
            .unwrap();
        let given: BTreeSet<u64> = asks.await.unwrap().into_iter().collect();
        assert_eq!(touched.certificates, given, "round {round}");
        assert!(round % 2 == 1 || !given.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a55_a_role_that_is_locked_while_certificates_of_it_are_made_is_gone() {
    let lab = Lab::new();
    let logins: Vec<LiveLogin> = (0..8_u64)
        .map(|n| {
            let nonce = format!("n{n}");
            lab.open(token(&nonce, &nonce, START), &key(n + 10), START)
                .unwrap()
        })
        .collect();
    let asks: Vec<_> = logins
        .into_iter()
        .map(|login| {
            let ledger = Arc::clone(&lab.ledger);
            tokio::spawn(async move {
                let mut given = Vec::new();
                loop {
                    let asked = ledger.record(to_sign(&login, START), context(&login, START));
                    match asked.await {
                        Ok(recorded) => given.push(recorded.certificate().serial()),
                        Err(error) => return (given, error),
                    }
                }
            })
        })
        .collect();
    let touched = lab.revoke(observer(), START).await.unwrap();
    let mut given = BTreeSet::new();
    for asked in asks {
        let (serials, error) = asked.await.unwrap();
        given.extend(serials);
        let locked = matches!(
            error,
            LedgerError::Locked {
                kind: LockKind::Role
            }
        );
        assert!(locked, "{error}");
    }
    assert_eq!(touched.certificates, given);
    assert!(touched.logins.is_empty(), "other roles go on");
}

#[tokio::test]
async fn a_login_that_was_revoked_renews_nothing_and_the_person_may_sign_in_again() {
    let lab = Lab::new();
    let login = lab
        .open(token("alice", "n1", START), &key(2), START)
        .unwrap();
    let serial = lab.certificate(&login, START).await.unwrap();
    let serial = serial.certificate().serial();
    let touched = lab.revoke(Taken::Login(login.id), START).await.unwrap();
    assert_eq!(touched.certificates, BTreeSet::from([serial]));
    assert!(!touched.locked);
    let error = lab.certificate(&login, START).await.unwrap_err();
    assert!(matches!(error, LedgerError::LoginEnded), "{error}");
    let again = lab
        .open(token("alice", "n2", START), &key(2), START)
        .unwrap();
    lab.certificate(&again, START).await.unwrap();
}

#[tokio::test]
async fn a_login_that_ends_takes_its_certificates_along() {
    let lab = Lab::new();
    let login = lab
        .open(token("alice", "n1", START), &key(2), START)
        .unwrap();
    let other = lab
        .open(token("alice", "n2", START), &key(3), START)
        .unwrap();
    let serial = lab.certificate(&login, START).await.unwrap();
    let serial = serial.certificate().serial();
    let kept = lab.certificate(&other, START).await.unwrap();
    let ended = lab
        .logins
        .end(login.id, &EndedBy::Owner, "request-2", START)
        .await
        .unwrap();
    assert_eq!(ended.certificates, [serial.to_string()]);
    assert_eq!(lab.listed(START).await, BTreeSet::from([serial]));
    let all = lab
        .ledger
        .revoke_own(&other, None, "request-3", START)
        .await
        .unwrap();
    assert_eq!(all.logins, [other.id]);
    assert!(!all.locked, "who ends their own may sign in again");
    let both = BTreeSet::from([serial, kept.certificate().serial()]);
    assert_eq!(lab.listed(START).await, both);
}

#[tokio::test]
async fn a56_a_serial_that_this_ca_never_gave_is_not_there() {
    let lab = Lab::new();
    let login = lab
        .open(token("alice", "n1", START), &key(2), START)
        .unwrap();
    let given = lab.certificate(&login, START).await.unwrap();
    let given = given.certificate().serial();
    let size = lab.kinds().await.len();
    let error = lab
        .revoke(Taken::Serial(given ^ 1), START)
        .await
        .unwrap_err();
    assert!(matches!(error, LedgerError::NotThere { .. }), "{error}");
    assert_eq!(lab.kinds().await.len(), size, "nothing is written");
    assert!(lab.listed(START).await.is_empty());
    let first = lab.revoke(Taken::Serial(given), START).await.unwrap();
    assert_eq!(first.certificates, BTreeSet::from([given]));
    let again = lab.revoke(Taken::Serial(given), START).await.unwrap();
    assert_eq!(again.bundle, first.bundle, "hosts know already");
    let over = START.plus(HOUR);
    let late = lab.revoke(Taken::Serial(given), over).await.unwrap();
    assert!(late.certificates.is_empty());
    lab.certificate(&login, START).await.unwrap();
}

#[tokio::test]
async fn a_key_that_was_revoked_is_neither_signed_in_with_nor_certified() {
    let lab = Lab::new();
    let login = lab
        .open(token("alice", "n1", START), &key(2), START)
        .unwrap();
    let serial = lab.certificate(&login, START).await.unwrap();
    let serial = serial.certificate().serial();
    let touched = lab
        .revoke(Taken::Key(KeyHash::of(&key(2))), START)
        .await
        .unwrap();
    assert_eq!(touched.certificates, BTreeSet::from([serial]));
    assert_eq!(touched.logins, [login.id]);
    let again = lab.open(token("bob", "n2", START), &key(2), START).unwrap();
    let error = lab.certificate(&again, START).await.unwrap_err();
    let locked = matches!(
        error,
        LedgerError::Locked {
            kind: LockKind::Key
        }
    );
    assert!(locked, "{error}");
    // One that the CA never saw.
    let stranger = lab.revoke(Taken::Key(KeyHash::of(&key(9))), START);
    let stranger = stranger.await.unwrap();
    assert!(stranger.certificates.is_empty() && stranger.bundle.number > touched.bundle.number);
}

#[tokio::test]
async fn a_full_disk_stops_no_revocation_and_every_unlock() {
    let lab = Lab::new();
    let login = lab
        .open(token("alice", "n1", START), &key(2), START)
        .unwrap();
    lab.certificate(&login, START).await.unwrap();
    lab.free(0);
    let touched = lab.revoke_person("alice", START).await;
    assert_eq!(touched.certificates.len(), 1);
    let person = json!([ISSUER, "alice"]).to_string();
    let target = Target::User("alice".into());
    let unlock = || {
        let which = (LockKind::User, person.clone());
        lab.ledger.unlock(used(START), which, &target, "found it")
    };
    let error = unlock().await.unwrap_err();
    assert!(matches!(error, LedgerError::DiskFull), "{error}");
    lab.free(1 << 40);
    unlock().await.unwrap();
    let again = lab
        .open(token("alice", "n2", START), &key(2), START)
        .unwrap();
    lab.certificate(&again, START).await.unwrap();
    let error = unlock().await.unwrap_err();
    assert!(matches!(error, LedgerError::NotThere { .. }), "{error}");
    assert_eq!(
        lab.listed(START).await.len(),
        1,
        "what was revoked stays so"
    );
}

#[tokio::test]
async fn the_same_subject_at_another_issuer_is_another_person() {
    let lab = Lab::new();
    let login = lab
        .open(token("alice", "n1", START), &key(2), START)
        .unwrap();
    lab.certificate(&login, START).await.unwrap();
    let mut other = snapshot("alice", None, START);
    other.issuer = Issuer::new("https://other.example.com");
    other.person = json!([other.issuer, "alice"]).to_string();
    let other = lab
        .open(token_of(other, Some("n2"), "n2"), &key(3), START)
        .unwrap();
    lab.revoke_person("alice", START).await;
    lab.certificate(&other, START).await.unwrap();
}

/// As a ledger of before has it: no CA key in the record, no end beside the serial.
#[tokio::test]
async fn a57_a_certificate_whose_ca_key_is_not_known_is_listed_all_the_same() {
    let lab = Lab::new();
    let login = lab
        .open(token("alice", "n1", START), &key(2), START)
        .unwrap();
    let serial = lab.certificate(&login, START).await.unwrap();
    let serial = serial.certificate().serial();
    lab.revoke(Taken::Serial(serial), START).await.unwrap();
    lab.meddle("UPDATE revocations SET ca = NULL");
    assert_eq!(lab.listed(START).await, BTreeSet::from([serial]));
}
