//! A83, A89: what an auditor reads is what was recorded, and no filter becomes SQL.

use super::*;

async fn three_people(lab: &Lab) -> Vec<Recorded> {
    let mut recorded = Vec::new();
    for (n, subject) in ["alice", "bob", "carol"].into_iter().enumerate() {
        let n = u64::try_from(n).unwrap();
        let now = START.plus(HOUR * u32::try_from(n).unwrap());
        let email = format!("{subject}@example.com");
        let token = token_of(snapshot(subject, Some(&email), now), Some(subject), subject);
        let login = lab.open(token, &key(n + 10), now).unwrap();
        recorded.push(lab.certificate(&login, now).await.unwrap());
    }
    recorded
}

async fn found(lab: &Lab, query: AuditQuery) -> Vec<u64> {
    let page = list::page(&lab.ledger, query).await.unwrap();
    page.records.iter().map(|record| record.index).collect()
}

#[tokio::test]
async fn each_filter_finds_exactly_what_it_names() {
    let lab = Lab::new();
    let recorded = three_people(&lab).await;
    let all = || AuditQuery::default();
    assert_eq!(found(&lab, all()).await, [5, 4, 3, 2, 1, 0]);
    assert_eq!(
        found(
            &lab,
            AuditQuery {
                after: Some(3),
                ..all()
            }
        )
        .await,
        [4, 5]
    );
    assert_eq!(
        found(
            &lab,
            AuditQuery {
                before: Some(2),
                ..all()
            }
        )
        .await,
        [1, 0]
    );
    let kind = |kind: &str| AuditQuery {
        kind: Some(kind.into()),
        ..all()
    };
    assert_eq!(found(&lab, kind("certificate")).await, [5, 3, 1]);
    assert_eq!(found(&lab, kind("nonsense")).await, [0; 0]);
    let user = |user: &str| AuditQuery {
        user: Some(user.into()),
        ..all()
    };
    assert_eq!(found(&lab, user("bob")).await, [3, 2]);
    assert_eq!(found(&lab, user("Bob@Example.com")).await, [3, 2]);
    assert_eq!(found(&lab, user("b%")).await, [0; 0]);
    let role = |role: &str| AuditQuery {
        role: Some(role.into()),
        ..all()
    };
    assert_eq!(found(&lab, role("observer")).await, [5, 3, 1]);
    assert_eq!(found(&lab, role("admin")).await, [0; 0]);
    let serial = recorded[1].certificate().serial().to_string();
    assert_eq!(
        found(
            &lab,
            AuditQuery {
                serial: Some(serial),
                ..all()
            }
        )
        .await,
        [3]
    );
    let login = lab
        .logins
        .list(LoginQuery::default(), START, |_| HOUR)
        .await
        .unwrap()
        .logins;
    let login = AuditQuery {
        login: Some(login[0].id.clone()),
        ..all()
    };
    assert_eq!(found(&lab, login).await, [5, 4]);
    let hours = AuditQuery {
        since: Some(START.plus(HOUR).seconds()),
        until: Some(START.plus(2 * HOUR).seconds()),
        ..all()
    };
    assert_eq!(found(&lab, hours).await, [3, 2]);
}

#[tokio::test]
async fn paging_loses_and_repeats_nothing() {
    let lab = Lab::new();
    three_people(&lab).await;
    let mut seen = Vec::new();
    let mut before = None;
    loop {
        let query = AuditQuery {
            before,
            limit: Some(4),
            ..AuditQuery::default()
        };
        let page = list::page(&lab.ledger, query).await.unwrap();
        seen.extend(page.records.iter().map(|record| record.index));
        before = page.records.last().map(|record| record.index);
        if !page.more {
            break;
        }
    }
    assert_eq!(seen, [5, 4, 3, 2, 1, 0]);
}

#[tokio::test]
async fn a_filter_is_never_sql() {
    let lab = Lab::new();
    three_people(&lab).await;
    for attempt in [
        "' OR 1=1 --",
        "\"; DROP TABLE records; --",
        "1) OR (1=1",
        "\0",
        "%",
        "$.x') = '' OR ('1'='1",
    ] {
        for set in [
            |query: &mut AuditQuery, text: String| query.kind = Some(text),
            |query: &mut AuditQuery, text: String| query.user = Some(text),
            |query: &mut AuditQuery, text: String| query.role = Some(text),
            |query: &mut AuditQuery, text: String| query.login = Some(text),
            |query: &mut AuditQuery, text: String| query.serial = Some(text),
        ] {
            let mut query = AuditQuery::default();
            set(&mut query, attempt.to_owned());
            assert_eq!(found(&lab, query).await, [0; 0], "{attempt}");
        }
    }
    let query = AuditQuery {
        before: Some(u64::MAX),
        after: Some(u64::MAX),
        limit: Some(u32::MAX),
        since: Some(u64::MAX),
        until: Some(u64::MAX),
        ..AuditQuery::default()
    };
    assert_eq!(found(&lab, query).await, [0; 0]);
    assert_eq!(lab.kinds().await.len(), 6);
}

#[tokio::test]
async fn what_a_stranger_wrote_comes_back_as_exactly_that() {
    let lab = Lab::new();
    let login = lab
        .open(token("alice", "n1", START), &key(2), START)
        .unwrap();
    let forged = "x caller=root\n{\"role\":\"admin\"}\u{202e}\0\u{1b}[31m";
    let refused = Refused {
        asked: json!({ "role": forged, "account": "a".repeat(1 << 20) }),
        reason: forged,
        role: None,
        ..refused(RefusedTo::Login(&login), START)
    };
    lab.ledger.record_refused(refused.clone()).await.unwrap();
    let asked = json!({ "role": forged });
    lab.ledger
        .record_refused(Refused {
            asked: asked.clone(),
            ..refused
        })
        .await
        .unwrap();
    let page = list::page(&lab.ledger, AuditQuery::default())
        .await
        .unwrap();
    assert_eq!(page.records[0].parts["details"]["asked"], asked);
    assert_eq!(page.records[0].parts["details"]["reason"], forged);
    assert_eq!(page.records[0].fields.get("role"), None);
    assert!(page.records[1].parts["details"]["asked"]["too_long"].is_number());
}

#[tokio::test]
async fn a_record_that_was_changed_afterwards_is_not_shown_as_if_it_were_true() {
    for lie in [
        "UPDATE records SET leaf = CAST(replace(CAST(leaf AS TEXT), 'observer', 'admin') AS BLOB)",
        "UPDATE records SET time = time + 1",
        "UPDATE records SET kind = 'admin'",
        "UPDATE parts SET bytes = CAST('{}' AS BLOB)",
        "UPDATE parts SET salt = zeroblob(32)",
    ] {
        let lab = Lab::new();
        three_people(&lab).await;
        lab.meddle(lie);
        assert!(
            list::page(&lab.ledger, AuditQuery::default())
                .await
                .is_err(),
            "{lie}"
        );
    }
}

#[tokio::test]
async fn no_secret_of_the_exchange_is_in_the_database() {
    let lab = Lab::new();
    let login = lab
        .open(token("alice", "n1", START), &key(2), START)
        .unwrap();
    lab.certificate(&login, START).await.unwrap();
    let page = list::page(&lab.ledger, AuditQuery::default())
        .await
        .unwrap();
    let text = serde_json::to_string(&page).unwrap();
    assert!(
        text.contains("192.0.2.7") && text.contains("alice"),
        "{text}"
    );
    let leaves: String = page
        .records
        .iter()
        .map(|record| serde_json::to_string(&record.fields).unwrap())
        .collect();
    for private in ["192.0.2.7", "alice", "Ops", "SHA256:"] {
        assert!(
            !leaves.contains(private),
            "{private} stands in a public leaf: {leaves}"
        );
    }
}
