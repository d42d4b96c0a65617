//! A12, A14, A19, A22, A89: what may open, refresh and use a login.

use jit_ssh_api::admin::NameKind;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn one_token_posted_a_hundred_times_at_once_opens_one_login() {
    let lab = Lab::new();
    let key = key(2);
    let posts: Vec<_> = (0..100)
        .map(|_| {
            let login = lab.open(token("alice", "n1", START), &key, START).unwrap();
            let ledger = Arc::clone(&lab.ledger);
            tokio::spawn(async move {
                ledger
                    .record(to_sign(&login, START), context(&login, START))
                    .await
                    .unwrap()
            })
        })
        .collect();
    assert_eq!(posts.len(), 100);
    for post in posts {
        post.await.unwrap();
    }
    let opened = lab
        .kinds()
        .await
        .into_iter()
        .filter(|kind| kind == "login-opened")
        .count();
    assert_eq!(opened, 1);
    let live = lab
        .logins
        .list(LoginQuery::default(), START, |_| HOUR)
        .await
        .unwrap();
    assert_eq!(live.logins.len(), 1);
}

#[tokio::test]
async fn a_token_whose_login_ended_is_refused_for_ever_also_after_a_restart() {
    let lab = Lab::new();
    let key = key(2);
    let login = lab.open(token("alice", "n1", START), &key, START).unwrap();
    lab.certificate(&login, START).await.unwrap();
    let end = lab
        .logins
        .end(login.id, &EndedBy::Owner, "request-2", START)
        .await
        .unwrap();
    assert_eq!(end.ended, START.seconds());

    let mut lab = lab;
    for _ in 0..2 {
        let again = lab.open(token("alice", "n1", START), &key, START).unwrap();
        let error = lab.certificate(&again, START).await.unwrap_err();
        assert!(matches!(error, LedgerError::LoginEnded), "{error}");
        lab = lab.reopened();
    }
    let recalled = lab.logins.recall(KeyHash::of(&key), START).await;
    assert!(matches!(recalled, Err(LoginError::Ended)));
}

#[tokio::test]
async fn a_token_posted_again_finds_its_login_also_after_a_restart() {
    let lab = Lab::new();
    let key = key(2);
    let first = lab.open(token("alice", "n1", START), &key, START).unwrap();
    lab.certificate(&first, START).await.unwrap();
    let later = START.plus(Duration::from_secs(60));
    let lab = lab.reopened();
    let again = lab.open(token("alice", "n1", START), &key, later).unwrap();
    assert_eq!((again.id, again.ends), (first.id, first.ends));
    lab.certificate(&again, later).await.unwrap();
    assert_eq!(
        lab.kinds().await,
        ["login-opened", "certificate", "certificate"]
    );
}

#[tokio::test]
async fn a_workload_token_serves_the_first_key_alone() {
    let lab = Lab::new();
    let token = || token_of(snapshot("job", None, START), None, "jti-1");
    let first = lab.open(token(), &key(2), START).unwrap();
    let thief = lab.open(token(), &key(3), START).unwrap();
    lab.certificate(&first, START).await.unwrap();
    let error = lab.certificate(&thief, START).await.unwrap_err();
    assert!(matches!(error, LedgerError::TokenUsed), "{error}");
    let lab = lab.reopened();
    let thief = lab.open(token(), &key(3), START).unwrap();
    let error = lab.certificate(&thief, START).await.unwrap_err();
    assert!(matches!(error, LedgerError::TokenUsed), "{error}");
}

#[tokio::test]
async fn the_nonce_of_one_issuer_says_nothing_at_another() {
    let lab = Lab::new();
    let mut other = snapshot("alice", None, START);
    other.issuer = Issuer::new("https://other.example.com");
    other.person = json!([other.issuer, "alice"]).to_string();
    let one = lab
        .open(token("alice", "n1", START), &key(2), START)
        .unwrap();
    let two = lab
        .open(token_of(other, Some("n1"), "n1"), &key(3), START)
        .unwrap();
    assert_ne!(one.id, two.id);
    lab.certificate(&one, START).await.unwrap();
    lab.certificate(&two, START).await.unwrap();
}

#[tokio::test]
async fn a_login_that_ends_between_recall_and_record_gets_no_certificate() {
    let lab = Lab::new();
    let key = key(2);
    let opened = lab.open(token("alice", "n1", START), &key, START).unwrap();
    lab.certificate(&opened, START).await.unwrap();
    let recalled = lab.logins.recall(KeyHash::of(&key), START).await.unwrap();
    let certificate = to_sign(&recalled, START);
    let admin = EndedBy::Admin("local:0".into());
    lab.logins
        .end(recalled.id, &admin, "request-2", START)
        .await
        .unwrap();
    let error = lab
        .ledger
        .record(certificate, context(&recalled, START))
        .await
        .unwrap_err();
    assert!(matches!(error, LedgerError::LoginEnded), "{error}");
    let refused = lab
        .ledger
        .record_refused(refused(RefusedTo::Login(&recalled), START))
        .await;
    assert!(matches!(refused, Err(LedgerError::LoginEnded)));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_certificate_is_recorded_after_the_end_of_its_login_however_they_race() {
    for round in 0..20 {
        let lab = Lab::new();
        let login = lab
            .open(token("alice", "n1", START), &key(round), START)
            .unwrap();
        lab.certificate(&login, START).await.unwrap();
        let issuing: Vec<_> = (0..20)
            .map(|_| {
                let (ledger, login) = (Arc::clone(&lab.ledger), login.clone());
                tokio::spawn(async move {
                    let certificate = to_sign(&login, START);
                    ledger
                        .record(certificate, context(&login, START))
                        .await
                        .is_ok()
                })
            })
            .collect();
        lab.logins
            .end(login.id, &EndedBy::Owner, "request-2", START)
            .await
            .unwrap();
        for task in issuing {
            task.await.unwrap();
        }
        let kinds = lab.kinds().await;
        let end = kinds.iter().position(|kind| kind == "login-ended").unwrap();
        assert_eq!(end + 1, kinds.len(), "{kinds:?}");
        let recalled = lab.logins.recall(login.key, START).await;
        assert!(matches!(recalled, Err(LoginError::Ended)));
    }
}

#[tokio::test]
async fn a_login_is_over_at_its_end_and_not_a_moment_later() {
    let lab = Lab::new();
    let key = key(2);
    let login = lab.open(token("alice", "n1", START), &key, START).unwrap();
    lab.certificate(&login, START).await.unwrap();
    let before = Timestamp::from_millis(login.ends.millis() - 1);
    assert!(lab.logins.recall(KeyHash::of(&key), before).await.is_ok());
    assert!(
        lab.logins
            .recall(KeyHash::of(&key), login.ends)
            .await
            .is_err()
    );
    let certificate = to_sign(&login, START);
    let error = lab
        .ledger
        .record(certificate, context(&login, login.ends))
        .await
        .unwrap_err();
    assert!(matches!(error, LedgerError::LoginEnded), "{error}");
    let old = lab.open(token("alice", "n2", START), &key, login.ends);
    assert!(
        matches!(old, Err(LoginError::Ended)),
        "a login counts from the token's own time"
    );
}

#[tokio::test]
async fn a_newer_login_with_the_same_key_ends_the_older_one() {
    let lab = Lab::new();
    let key = key(2);
    let older = lab.open(token("alice", "n1", START), &key, START).unwrap();
    lab.certificate(&older, START).await.unwrap();
    let newer = lab.open(token("alice", "n2", START), &key, START).unwrap();
    lab.certificate(&newer, START).await.unwrap();
    let error = lab.certificate(&older, START).await.unwrap_err();
    assert!(matches!(error, LedgerError::LoginEnded), "{error}");
    assert_eq!(
        lab.logins
            .recall(KeyHash::of(&key), START)
            .await
            .unwrap()
            .id,
        newer.id
    );
    assert_eq!(
        lab.kinds().await,
        [
            "login-opened",
            "certificate",
            "login-ended",
            "login-opened",
            "certificate"
        ]
    );
}

#[tokio::test]
async fn another_person_with_the_same_key_is_refused_while_its_login_lives() {
    let lab = Lab::new();
    let key = key(2);
    let alice = lab.open(token("alice", "n1", START), &key, START).unwrap();
    lab.certificate(&alice, START).await.unwrap();
    let mallory = lab
        .open(token("mallory", "n2", START), &key, START)
        .unwrap();
    let error = lab.certificate(&mallory, START).await.unwrap_err();
    assert!(matches!(error, LedgerError::KeyInUse), "{error}");
    let after = alice.ends;
    let mallory = lab
        .open(token("mallory", "n3", after), &key, after)
        .unwrap();
    lab.certificate(&mallory, after)
        .await
        .expect("once it is over, the key is free");
}

#[tokio::test]
async fn an_email_address_that_comes_back_with_another_subject_is_refused() {
    let lab = Lab::new();
    let email = Some("alice@example.com");
    let first = token_of(snapshot("sub1", email, START), Some("n1"), "t1");
    let first = lab.open(first, &key(2), START).unwrap();
    lab.certificate(&first, START).await.unwrap();
    lab.logins
        .end(first.id, &EndedBy::Owner, "request-2", START)
        .await
        .unwrap();

    let recycled = || token_of(snapshot("sub2", email, START), Some("n2"), "t2");
    let second = lab.open(recycled(), &key(3), START).unwrap();
    let error = lab.certificate(&second, START).await.unwrap_err();
    assert!(
        matches!(error, LedgerError::NameTaken { kind: "email", .. }),
        "{error}"
    );
    let page = list::page(
        &lab.ledger,
        AuditQuery {
            user: Some("sub2".into()),
            ..AuditQuery::default()
        },
    );
    let page = page.await.unwrap();
    assert_eq!(page.records.len(), 1);
    assert_eq!(
        page.records[0].parts["identity"]["email"],
        "alice@example.com"
    );

    // Until an operator says that it is another person's from now on.
    let name = Name {
        issuer: ISSUER.into(),
        kind: NameKind::Email,
        name: "alice@example.com".into(),
    };
    for freed in [true, false] {
        let used = RightUsed {
            actor: &Actor::Local { uid: 0 },
            action: "name-free",
            with: json!(name),
            request: "request-3",
            source: None,
            now: START,
        };
        assert_eq!(lab.ledger.free_name(used, &name).await.unwrap(), freed);
    }
    let second = lab.open(recycled(), &key(3), START).unwrap();
    lab.certificate(&second, START).await.unwrap();
}

#[tokio::test]
async fn a_freed_name_does_not_go_back_to_a_login_that_lives() {
    let lab = Lab::new();
    let email = Some("alice@example.com");
    let open = |subject, nonce, seed, now| {
        let token = token_of(snapshot(subject, email, now), Some(nonce), nonce);
        lab.open(token, &key(seed), now).unwrap()
    };
    let first = open("sub1", "n1", 2, START);
    lab.certificate(&first, START).await.unwrap();
    let name = Name {
        issuer: ISSUER.into(),
        kind: NameKind::Email,
        name: "alice@example.com".into(),
    };
    let free = |now| {
        let used = RightUsed {
            actor: &Actor::Local { uid: 0 },
            action: "name-free",
            with: json!(name),
            request: "request-3",
            source: None,
            now,
        };
        lab.ledger.free_name(used, &name)
    };
    let refused = free(START).await.unwrap_err();
    assert!(
        matches!(refused, LedgerError::OwnerSignedIn { kind: "email", .. }),
        "{refused}"
    );
    // It is still the first one's, also for whoever comes next.
    let second = open("sub2", "n2", 3, START);
    let refused = lab.certificate(&second, START).await.unwrap_err();
    assert!(
        matches!(refused, LedgerError::NameTaken { .. }),
        "{refused}"
    );
    lab.certificate(&first, START).await.unwrap();
    // A login that is over does not hold it, although nobody ended it.
    assert!(free(first.ends).await.unwrap());
    let second = open("sub2", "n3", 3, first.ends);
    lab.certificate(&second, first.ends).await.unwrap();
}

#[tokio::test]
async fn an_email_address_cannot_be_taken_over_by_a_refresh() {
    let lab = Lab::new();
    let alice = token_of(
        snapshot("alice", Some("alice@example.com"), START),
        Some("n1"),
        "t1",
    );
    let alice = lab.open(alice, &key(2), START).unwrap();
    lab.certificate(&alice, START).await.unwrap();
    let mallory = lab
        .open(token("mallory", "n2", START), &key(3), START)
        .unwrap();
    lab.certificate(&mallory, START).await.unwrap();
    let later = START.plus(Duration::from_secs(300));
    let taken = token_of(
        snapshot("mallory", Some("alice@example.com"), later),
        None,
        "t3",
    );
    let refreshed = lab
        .logins
        .refresh(&mallory, taken, "request-2", later)
        .unwrap();
    let error = lab.certificate(&refreshed, later).await.unwrap_err();
    assert!(
        matches!(error, LedgerError::NameTaken { kind: "email", .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_username_that_comes_back_with_another_subject_gets_no_certificate() {
    let lab = Lab::new();
    let mut outcomes = Vec::new();
    for (subject, nonce, seed) in [("sub1", "n1", 2), ("sub2", "n2", 3), ("sub1", "n3", 4)] {
        let login = lab
            .open(token(subject, nonce, START), &key(seed), START)
            .unwrap();
        let context = Context {
            username: Some("alice".into()),
            ..context(&login, START)
        };
        outcomes.push(lab.ledger.record(to_sign(&login, START), context).await);
    }
    assert!(outcomes[0].is_ok());
    assert!(matches!(
        outcomes[1],
        Err(LedgerError::NameTaken {
            kind: "username",
            ..
        })
    ));
    assert!(outcomes[2].is_ok(), "the same person may come back");
}

/// A22: the servers know accounts, not issuers.
#[tokio::test]
async fn a_username_is_one_persons_whatever_the_issuer() {
    let lab = Lab::new();
    let of = async |issuer: &str, email: &str, seed: u64| {
        let mut said = snapshot("sub1", Some(email), START);
        said.issuer = Issuer::new(issuer);
        said.person = json!([issuer, "sub1"]).to_string();
        let token = token_of(said, Some(&format!("n{seed}")), "t");
        let login = lab.open(token, &key(seed), START).unwrap();
        let context = Context {
            username: Some("alice".into()),
            ..context(&login, START)
        };
        lab.ledger.record(to_sign(&login, START), context).await
    };
    let (ours, theirs) = (ISSUER, "https://partners.example.com");
    of(ours, "a@example.com", 2).await.unwrap();
    let error = of(theirs, "b@example.com", 3).await.unwrap_err();
    assert!(
        matches!(
            error,
            LedgerError::NameTaken {
                kind: "username",
                ..
            }
        ),
        "{error}"
    );
    of(ours, "a@example.com", 4).await.unwrap();
    // An address is its issuer's.
    let mut said = snapshot("sub2", Some("a@example.com"), START);
    said.issuer = Issuer::new(theirs);
    said.person = json!([theirs, "sub2"]).to_string();
    let login = lab
        .open(token_of(said, Some("n5"), "t"), &key(5), START)
        .unwrap();
    lab.certificate(&login, START).await.unwrap();
    // An operator frees it, whichever issuer is named, once the others' logins are over.
    let name = Name {
        issuer: theirs.into(),
        kind: NameKind::Username,
        name: "alice".into(),
    };
    let used = RightUsed {
        actor: &Actor::Local { uid: 0 },
        action: "name-free",
        with: json!(name),
        request: "request-4",
        source: None,
        now: START.plus(Duration::from_secs(24 * 3600)),
    };
    assert!(lab.ledger.free_name(used, &name).await.unwrap());
    of(theirs, "b@example.com", 6).await.unwrap();
}

/// An address that does not count grants nothing and pins nothing, but it is how others call her.
#[tokio::test]
async fn a_person_is_found_by_the_name_that_the_issuer_gives() {
    let lab = Lab::new();
    let mut said = snapshot("00u1a2", None, START);
    said.said_email = Some("Alice@Example.com".into());
    said.claims
        .insert("preferred_username".into(), json!("alice.b"));
    let login = lab
        .open(token_of(said, Some("n1"), "t1"), &key(2), START)
        .unwrap();
    lab.certificate(&login, START).await.unwrap();
    let bob = lab.open(token("bob", "n2", START), &key(3), START).unwrap();
    lab.certificate(&bob, START).await.unwrap();
    let find = async |user: &str, now| {
        let query = LoginQuery {
            all: false,
            user: Some(user.to_owned()),
        };
        let list = lab.logins.list(query, now, |_| HOUR).await.unwrap();
        let query = AuditQuery {
            user: Some(user.to_owned()),
            ..AuditQuery::default()
        };
        let page = list::page(&lab.ledger, query).await.unwrap();
        assert_eq!(page.unknown_user, list.unknown_user);
        (list.logins.len(), page.records.len(), list.unknown_user)
    };
    for name in [
        "alice@example.com",
        "Alice@Example.com",
        "alice.b",
        "00u1a2",
    ] {
        assert_eq!(find(name, START).await, (1, 2, false), "{name}");
    }
    for name in ["alice", "alice@example.co", "", "%", "ALICE.B"] {
        assert_eq!(find(name, START).await, (0, 0, true), "{name}");
    }
    // Whose login is over is not signed in, which is something else than unknown.
    let later = START.plus(9 * HOUR);
    assert_eq!(find("00u1a2", later).await, (0, 2, false));
}

#[tokio::test]
async fn a_login_that_was_ended_while_the_clock_was_ahead_stays_ended() {
    let lab = Lab::new();
    let login = lab
        .open(token("alice", "n1", START), &key(2), START)
        .unwrap();
    lab.certificate(&login, START).await.unwrap();
    let ahead = START.plus(9 * HOUR);
    let ended = lab
        .logins
        .end(login.id, &EndedBy::Owner, "request-2", ahead)
        .await
        .unwrap();
    assert_eq!(ended.ended, login.ends.seconds(), "it was over before");
    // The clock is put right.
    let back = START.plus(Duration::from_secs(60));
    assert!(matches!(
        lab.logins.recall(login.key, back).await,
        Err(LoginError::Ended)
    ));
    let error = lab.certificate(&login, back).await.unwrap_err();
    assert!(matches!(error, LedgerError::LoginEnded), "{error}");
}

#[tokio::test]
async fn a_refreshed_token_must_be_newer_and_another_one() {
    let lab = Lab::new();
    let key = key(2);
    let login = lab.open(token("alice", "n1", START), &key, START).unwrap();
    lab.certificate(&login, START).await.unwrap();
    let later = START.plus(Duration::from_secs(300));
    let at = |issued_at, id: &str| token_of(snapshot("alice", None, issued_at), None, id);
    for bad in [
        at(START, "t2"),
        at(Timestamp::from_millis(START.millis() - 1), "t2"),
        at(later, "n1"),
        token_of(snapshot("mallory", None, later), None, "t2"),
        token_of(snapshot("alice", None, later), Some("another nonce"), "t2"),
    ] {
        let error = lab
            .logins
            .refresh(&login, bad, "request-2", later)
            .unwrap_err();
        assert!(matches!(error, LoginError::NotNewer), "{error}");
    }
    let one = lab
        .logins
        .refresh(&login, at(later, "t2"), "request-2", later)
        .unwrap();
    let two = lab
        .logins
        .refresh(&login, at(later, "t3"), "request-3", later)
        .unwrap();
    lab.certificate(&one, later).await.unwrap();
    let error = lab.certificate(&two, later).await.unwrap_err();
    assert!(
        matches!(error, LedgerError::LoginChanged),
        "as old as what is there now: {error}"
    );
    let recalled = lab.logins.recall(KeyHash::of(&key), later).await.unwrap();
    assert_eq!(
        (recalled.last_issued_at(), recalled.last_token_id.as_str()),
        (later, "t2")
    );
    let lab = lab.reopened();
    let recalled = lab.logins.recall(KeyHash::of(&key), later).await.unwrap();
    assert_eq!(
        (recalled.last_issued_at(), recalled.last_token_id.as_str()),
        (later, "t2")
    );
}

#[tokio::test]
async fn groups_lost_at_a_refresh_do_not_come_back_with_the_first_token() {
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
    // The policy refuses, and what the token said is kept all the same.
    lab.ledger
        .record_refused(refused(RefusedTo::Login(&refreshed), later))
        .await
        .unwrap();
    let again = lab.open(token("alice", "n1", START), &key, later).unwrap();
    assert!(
        again.identity.groups.is_empty(),
        "found with its last identity"
    );
    let lab = lab.reopened();
    let again = lab.open(token("alice", "n1", START), &key, later).unwrap();
    let error = lab.certificate(&again, later).await.unwrap_err();
    assert!(matches!(error, LedgerError::LoginChanged), "{error}");
}

#[tokio::test]
async fn a_row_without_its_record_is_no_login() {
    let lab = Lab::new();
    let key = key(2);
    let login = lab.open(token("alice", "n1", START), &key, START).unwrap();
    lab.certificate(&login, START).await.unwrap();
    // Mallory writes herself into the table: a live login for her key, with Alice's identity.
    let mallory = KeyHash::of(&super::key(3));
    let hex: String = mallory.0.iter().map(|byte| format!("{byte:02x}")).collect();
    lab.meddle(&format!(
        "INSERT INTO logins (id, key, person, opened, identity, token_id, issued_at, ends)
         SELECT randomblob(16), x'{hex}', person, opened, identity, token_id, issued_at, ends
         FROM logins"
    ));
    let recalled = lab.logins.recall(mallory, START).await.unwrap_err();
    assert!(
        matches!(recalled, LoginError::Ledger(LedgerError::Store(_))),
        "{recalled}"
    );
}

#[tokio::test]
async fn a_row_that_says_more_than_its_record_is_no_login() {
    for lie in [
        "UPDATE logins SET ends = ends + 1000000000",
        "UPDATE logins SET issued_at = issued_at + 600000",
        "UPDATE parts SET bytes = replace(CAST(bytes AS TEXT), 'Ops', 'Adm')",
        "UPDATE records SET leaf = CAST(replace(CAST(leaf AS TEXT), 'ends\":1', 'ends\":2') AS BLOB)",
    ] {
        let lab = Lab::new();
        let key = key(2);
        let login = lab.open(token("alice", "n1", START), &key, START).unwrap();
        lab.certificate(&login, START).await.unwrap();
        let lab = lab.reopened();
        lab.logins.recall(KeyHash::of(&key), START).await.unwrap();
        let lab = lab.reopened();
        let lie = if lie.contains("replace(CAST(bytes") {
            "UPDATE parts SET bytes = CAST(replace(CAST(bytes AS TEXT), 'Ops', 'Adm') AS BLOB)
             WHERE number % 8 = 0"
        } else {
            lie
        };
        lab.meddle(lie);
        let recalled = lab.logins.recall(KeyHash::of(&key), START).await;
        assert!(recalled.is_err(), "{lie}");
    }
}

#[tokio::test]
async fn an_erased_identity_ends_what_hung_on_it() {
    let lab = Lab::new();
    let key = key(2);
    let login = lab.open(token("alice", "n1", START), &key, START).unwrap();
    lab.certificate(&login, START).await.unwrap();
    let lab = lab.reopened();
    lab.meddle("DELETE FROM parts WHERE number % 8 = 0");
    assert!(matches!(
        lab.logins.recall(KeyHash::of(&key), START).await,
        Err(LoginError::Ended)
    ));
    let page = list::page(&lab.ledger, AuditQuery::default())
        .await
        .unwrap();
    assert_eq!(page.records.len(), 2, "the records stay");
    assert!(
        page.records
            .iter()
            .all(|record| record.parts["identity"].is_null())
    );
}

#[tokio::test]
async fn many_logins_are_recalled_whether_they_are_remembered_or_not() {
    let lab = Lab::new();
    let keys: Vec<_> = (100..1400).map(key).collect();
    for (n, key) in keys.iter().enumerate() {
        let login = lab
            .open(token(&format!("p{n}"), &format!("n{n}"), START), key, START)
            .unwrap();
        lab.ledger.record_login(&login, START).await.unwrap();
    }
    for (n, key) in keys.iter().enumerate() {
        let login = lab.logins.recall(KeyHash::of(key), START).await.unwrap();
        assert_eq!(login.identity.subject.as_ref(), format!("p{n}"));
    }
    let query = |user: Option<&str>| LoginQuery {
        user: user.map(str::to_owned),
        ..LoginQuery::default()
    };
    let list = lab.logins.list(query(None), START, |_| HOUR).await.unwrap();
    assert_eq!((list.logins.len(), list.more), (1000, true));
    let one = lab.logins.list(query(Some("p7")), START, |_| HOUR).await;
    let one = one.unwrap();
    assert_eq!((one.logins.len(), one.more), (1, false));
}

#[test]
fn a_login_id_is_read_in_one_way_only() {
    for bytes in [[0; 16], [255; 16], [7; 16]] {
        let id = LoginId(bytes);
        let text = id.to_string();
        assert_eq!(text.len(), 26);
        assert_eq!(LoginId::parse(&text), Some(id));
        assert_eq!(LoginId::parse(&text.to_uppercase()), None, "{text}");
    }
    for bad in [
        "",
        "a",
        "zzzzzzzzzzzzzzzzzzzzzzzzzz",
        "aaaaaaaaaaaaaaaaaaaaaaaaa1",
        "' OR 1=1 --",
    ] {
        assert_eq!(LoginId::parse(bad), None, "{bad}");
    }
}
