//! A80: what a backup holds, and what a restore must not bring back.

use std::os::unix::fs::PermissionsExt as _;

use std::path::PathBuf;

use super::*;

fn write(path: &Path, text: &str) {
    use std::io::Write as _;
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::File::create(path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
}

fn served(lab: &Lab) {
    write(&lab.folder.path().join("ca.toml"), "name = \"ca\"");
    write(&lab.folder.path().join("policy.toml"), POLICY);
    write(&lab.folder.path().join("keys/user-ca"), "encrypted");
    write(&lab.folder.path().join("lock"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_is_whole_and_a_restore_starts_a_new_epoch() {
    let lab = Lab::new();
    served(&lab);
    let key = key(2);
    let login = lab.open(token("alice", "n1", START), &key, START).unwrap();
    lab.certificate(&login, START).await.unwrap();
    let (ledger, busy) = (Arc::clone(&lab.ledger), login.clone());
    let load = tokio::spawn(async move {
        for _ in 0..200 {
            ledger
                .record(to_sign(&busy, START), context(&busy, START))
                .await
                .unwrap();
        }
    });
    let file = lab.folder.path().join("backup-1");
    let store = lab.ledger.store();
    let backed = backup::backup(store, lab.folder.path().into(), Vec::new(), file.clone())
        .await
        .unwrap();
    load.await.unwrap();
    assert!(backed.records >= 2);
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(backed.bytes, file.metadata().unwrap().len());
    assert_eq!(backed.sha256, Hash::of(&std::fs::read(&file).unwrap()));
    let again = backup::backup(store, lab.folder.path().into(), Vec::new(), file.clone()).await;
    assert!(
        matches!(again, Err(StoreError::Exists(_))),
        "nothing is overwritten"
    );

    // What happened after the backup is not known to it.
    lab.logins
        .end(login.id, &EndedBy::Owner, "request-2", START)
        .await
        .unwrap();
    let new = tempfile::tempdir().unwrap();
    let data = new.path().join("data");
    let now = START.plus(Duration::from_secs(100));
    let restored = backup::restore(&file, &data, None, now).unwrap();
    let epoch = now.millis();
    assert_eq!(
        (restored.epoch, restored.records),
        (epoch, backed.records + 1)
    );
    let files: Vec<_> = restored
        .files
        .iter()
        .map(|file| file.to_str().unwrap())
        .collect();
    assert_eq!(files, ["ca.toml", "keys/user-ca", "policy.toml"]);
    assert_eq!(
        std::fs::read_to_string(data.join("policy.toml")).unwrap(),
        POLICY
    );
    for path in ["", "keys"] {
        assert_eq!(
            data.join(path).metadata().unwrap().permissions().mode() & 0o777,
            0o700
        );
    }
    for path in ["ledger.db", "keys/user-ca"] {
        assert_eq!(
            data.join(path).metadata().unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
    let again = backup::restore(&file, &data, None, now);
    assert!(
        matches!(again, Err(StoreError::Exists(_))),
        "nothing is overwritten"
    );

    let options = StoreOptions::new(data.join("ledger.db"));
    let ledger = Ledger::open(options, entropy::from_system()).unwrap();
    assert_eq!(ledger.epoch(), epoch);
    assert_eq!(ledger.store().epoch_before(), Some(1));
    let logins = Logins::new(Arc::clone(&ledger));
    let recalled = logins.recall(KeyHash::of(&key), now).await;
    assert!(
        matches!(recalled, Err(LoginError::Ended)),
        "a login that ended stays ended"
    );
    let open = |token| OpenLogin {
        token,
        login_key: key.clone(),
        certified_key: AcceptedKey::new(&key).unwrap(),
        longest: HOUR,
        source: None,
        request: "request-3",
    };
    for nonce in ["n1", "never seen"] {
        let old = logins.open(open(token("alice", nonce, START)), now);
        assert!(matches!(old, Err(LoginError::EarlierEpoch)), "{nonce}");
    }
    let fresh = logins.open(open(token("alice", "n2", now)), now).unwrap();
    let recorded = ledger
        .record(to_sign(&fresh, now), context(&fresh, now))
        .await
        .unwrap();
    assert_eq!(recorded.index(), restored.records + 1);
}

#[tokio::test]
async fn no_two_restores_of_a_backup_begin_the_same_epoch() {
    let lab = Lab::new();
    let file = lab.folder.path().join("backup");
    let store = lab.ledger.store();
    backup::backup(store, lab.folder.path().into(), Vec::new(), file.clone())
        .await
        .unwrap();
    let restore = |name: &str, epoch, now| {
        let data = lab.folder.path().join(name);
        backup::restore(&file, &data, epoch, now).map(|restored| restored.epoch)
    };
    let first = restore("first", None, START).unwrap();
    let second = restore("second", None, START.plus(Duration::from_millis(1))).unwrap();
    assert!(second > first && first > 1);
    // A clock of 1970 does not make it an old one.
    assert_eq!(
        restore("third", None, Timestamp::from_millis(0)).unwrap(),
        2
    );
    assert_eq!(restore("fourth", Some(7), START).unwrap(), 7);
    for epoch in [0, 1, 1 << 53, u64::MAX] {
        let refused = restore("fifth", Some(epoch), START);
        assert!(
            matches!(refused, Err(StoreError::Epoch { before: 1, .. })),
            "{epoch}"
        );
        assert!(!lab.folder.path().join("fifth").exists());
    }
}

#[tokio::test]
async fn what_the_ca_needs_goes_along_wherever_it_is_or_the_backup_is_refused() {
    let lab = Lab::new();
    served(&lab);
    let (data, elsewhere) = (lab.folder.path(), tempfile::tempdir().unwrap());
    let link = |from: &str, to: &str| {
        std::os::unix::fs::symlink(elsewhere.path().join(to), data.join(from)).unwrap();
    };
    write(&elsewhere.path().join("policy"), "linked");
    write(&elsewhere.path().join("tls/cert.pem"), "certificate");
    write(&elsewhere.path().join("key.pem"), "key");
    std::fs::remove_file(data.join("policy.toml")).unwrap();
    link("policy.toml", "policy");
    link("tls", "tls");
    link(".#ca.toml", "nobody@nowhere");
    let key = elsewhere.path().join("key.pem");
    let needed = || {
        vec![
            "ca.toml".into(),
            "policy.toml".into(),
            "tls/cert.pem".into(),
            key.clone(),
        ]
    };
    let store = lab.ledger.store();
    let ask = |needed: Vec<PathBuf>, name: &str| {
        backup::backup(store, data.into(), needed, elsewhere.path().join(name))
    };
    ask(needed(), "backup").await.unwrap();
    let restored = elsewhere.path().join("restored");
    backup::restore(&elsewhere.path().join("backup"), &restored, None, START).unwrap();
    let read = |name: &Path| std::fs::read_to_string(restored.join(name)).unwrap();
    assert_eq!(read(Path::new("policy.toml")), "linked");
    assert_eq!(read(Path::new("tls/cert.pem")), "certificate");
    let outside = Path::new("outside").join(key.strip_prefix("/").unwrap());
    assert_eq!(read(&outside), "key");

    std::fs::remove_file(&key).unwrap();
    let refused = ask(needed(), "second").await;
    assert!(matches!(refused, Err(StoreError::Unread { path, .. }) if path == key));
    // A folder that is linked, and of which nothing would go along.
    let refused = ask(vec!["ca.toml".into()], "third").await;
    assert!(matches!(refused, Err(StoreError::LeftOut { path, .. }) if path == data.join("tls")));
    for name in ["second", "second.part", "third", "third.part"] {
        assert!(!elsewhere.path().join(name).exists(), "{name}");
    }
}

#[tokio::test]
async fn a_backup_that_would_fill_the_disk_is_not_begun() {
    let lab = Lab::new();
    served(&lab);
    let file = lab.folder.path().join("backup");
    let store = lab.ledger.store();
    let ask = || backup::backup(store, lab.folder.path().into(), Vec::new(), file.clone());
    lab.free((64 << 20) + 4096);
    let refused = ask().await;
    assert!(
        matches!(refused, Err(StoreError::NoRoom { .. })),
        "{refused:?}"
    );
    assert!(!file.exists() && !beside(&file, ".part").exists());
    lab.free(65 << 20);
    ask().await.unwrap();
}

/// What lies in the folder of that name.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[tokio::test]
async fn a_backup_that_nobody_waits_for_any_more_leaves_nothing() {
    let lab = Lab::new();
    served(&lab);
    let large = std::fs::File::create(lab.folder.path().join("large")).unwrap();
    large.set_len(16 << 20).unwrap();
    let into = tempfile::tempdir().unwrap();
    let (data, store) = (lab.folder.path().to_owned(), lab.ledger.store());
    let make = |name: &str| backup::backup(store, data.clone(), Vec::new(), into.path().join(name));
    let begun = async {
        while names(into.path()).is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        made = make("first") => panic!("{made:?}"),
        () = begun => {}
    }
    // The next one is made when nothing goes on of the first.
    make("second").await.unwrap();
    assert_eq!(names(into.path()), ["second"]);
}

#[tokio::test]
async fn many_backups_at_once_keep_no_reader_waiting() {
    let lab = Lab::new();
    served(&lab);
    let into = tempfile::tempdir().unwrap();
    let store = lab.ledger.store();
    // One that waits for its turn, as all but the first do.
    let turn = store.backing_up.acquire().await.unwrap();
    let mut backups = tokio::task::JoinSet::new();
    for name in ["1", "2", "3", "4", "5", "6", "7", "8", "9"] {
        let (store, data) = (Arc::clone(store), lab.folder.path().to_owned());
        let path = into.path().join(name);
        backups.spawn(async move { backup::backup(&store, data, Vec::new(), path).await });
    }
    tokio::task::yield_now().await;
    store.read(|_| Ok(())).await.unwrap();
    assert!(names(into.path()).is_empty());
    // Nor does a backup wait for readers.
    let reading = store.reading.acquire_many(4).await.unwrap();
    drop(turn);
    while let Some(made) = backups.join_next().await {
        made.unwrap().unwrap();
    }
    drop(reading);
    assert_eq!(names(into.path()).len(), 9);
}

#[test]
fn what_a_backup_left_is_known_by_its_name_alone() {
    let data = tempfile::tempdir().unwrap();
    let left = crate::data::unfinished_backup("0123456789abcdef");
    for name in [left.as_str(), "backup-0123456789abcdef.tmp.part"] {
        write(&data.path().join(name), "half");
    }
    let others = [
        "backup-2026-11-23",
        "backup-old.tmp",
        "backup-0123456789abcdef.tmp.mine",
        "my-backup-0123456789abcdef.tmp",
        "backup-0123456789abcdef",
    ];
    for name in others {
        write(&data.path().join(name), "somebody's");
    }
    backup::remove_left(data.path());
    let mut kept = names(data.path());
    kept.sort();
    let mut expected = others.map(str::to_owned).to_vec();
    expected.sort();
    assert_eq!(kept, expected);
}

#[tokio::test]
async fn a_backup_that_lost_or_changed_anything_is_not_restored() {
    let lab = Lab::new();
    served(&lab);
    for n in 0..30 {
        let nonce = format!("n{n}");
        let login = lab
            .open(token("alice", &nonce, START), &key(n), START)
            .unwrap();
        lab.certificate(&login, START).await.unwrap();
    }
    let file = lab.folder.path().join("backup");
    let store = lab.ledger.store();
    backup::backup(store, lab.folder.path().into(), Vec::new(), file.clone())
        .await
        .unwrap();
    let whole = std::fs::read(&file).unwrap();
    let data = lab.folder.path().join("restored");
    let refuse = |what: &str| {
        let result = backup::restore(&file, &data, None, START);
        assert!(result.is_err(), "{what}");
        assert!(!data.exists(), "{what}");
        assert!(!beside(&data, ".part").exists(), "{what}");
    };
    let spoil = |bytes: &[u8]| {
        use std::io::Write as _;
        std::fs::File::create(&file)
            .unwrap()
            .write_all(bytes)
            .unwrap();
    };
    for keep in [0, 1, 100, whole.len() / 2, whole.len() - 4096] {
        spoil(&whole[..keep]);
        refuse(&format!("{keep} bytes"));
    }
    for sql in [
        "DELETE FROM records WHERE idx = 3",
        "DELETE FROM records WHERE idx = (SELECT max(idx) FROM records)",
        "UPDATE records SET leaf = CAST('{}' AS BLOB) WHERE idx = 4",
        "UPDATE head SET size = size + 1",
        "UPDATE backup_files SET path = '../escaped' WHERE path = 'ca.toml'",
        "UPDATE backup_files SET path = '/tmp/escaped' WHERE path = 'ca.toml'",
        "UPDATE backup_files SET path = 'ledger.db' WHERE path = 'ca.toml'",
        "DROP TABLE backup_files",
        "PRAGMA user_version = 99",
        "PRAGMA application_id = 1",
    ] {
        spoil(&whole);
        rusqlite::Connection::open(&file)
            .unwrap()
            .execute_batch(sql)
            .unwrap();
        refuse(sql);
    }
    assert!(!lab.folder.path().join("escaped").exists());
}
