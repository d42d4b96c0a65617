//! Versions of the schema: a copy before each migration, and no guessing at newer ones.

use std::path::Path;

use rusqlite::Connection;

use super::{StoreError, beside, private_file, sync_folder_of};

/// The schema's steps, from version 1 on. A step that was ever released never changes.
pub(crate) const STEPS: &[&str] = &[
    include_str!("../../migrations/sqlite/0001_first.sql"),
    include_str!("../../migrations/sqlite/0002_in_force.sql"),
    include_str!("../../migrations/sqlite/0003_epoch.sql"),
    include_str!("../../migrations/sqlite/0004_live_logins.sql"),
    include_str!("../../migrations/sqlite/0005_fleet.sql"),
];

/// `PRAGMA application_id`: "jssh".
pub(crate) const APPLICATION: i64 = 0x6a73_7368;

/// Brings the schema to the last of `steps`.
pub(crate) fn migrate(
    connection: &mut Connection,
    path: &Path,
    steps: &[&str],
) -> Result<(), StoreError> {
    let (found, known) = check(connection, path, steps)?;
    if found > 0 && found < known {
        copy_before(connection, path, found)?;
        // Dying here leaves a copy too many, which the next start replaces.
    }
    let from = usize::try_from(found).unwrap_or(usize::MAX);
    for (version, step) in (1_i64..).zip(steps).skip(from) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        if version == 1 {
            transaction.execute("INSERT INTO head VALUES (1, 0, 1, 0)", [])?;
            transaction.pragma_update(None, "application_id", APPLICATION)?;
        }
        transaction.pragma_update(None, "user_version", version)?;
        // Step and version number commit together: dying before this changes nothing, dying after
        // it goes on with the next step.
        transaction.commit()?;
    }
    Ok(())
}

/// The version found and the one known; only reads.
pub(crate) fn check(
    connection: &Connection,
    path: &Path,
    steps: &[&str],
) -> Result<(u32, u32), StoreError> {
    let found = version(connection, path)?;
    let known = u32::try_from(steps.len()).unwrap_or(u32::MAX);
    if found > known {
        return Err(StoreError::Newer {
            path: path.to_owned(),
            found,
            known,
        });
    }
    Ok((found, known))
}

/// The schema's version; 0 for an empty file.
pub(crate) fn version(connection: &Connection, path: &Path) -> Result<u32, StoreError> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let foreign = || StoreError::Foreign(path.to_owned());
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|error| match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase) => foreign(),
            _ => StoreError::Database(error),
        })?;
    let found = number("user_version")?;
    match (tables, number("application_id")?) {
        (0, 0) if found == 0 => Ok(0),
        (1.., APPLICATION) => u32::try_from(found).map_err(|_| foreign()),
        _ => Err(foreign()),
    }
}

/// `NAME.before-vN`: the database as it was, whole and synced before anything changes.
fn copy_before(connection: &Connection, path: &Path, found: u32) -> Result<(), StoreError> {
    let copy = beside(path, &format!(".before-v{}", found.saturating_add(1)));
    let fail = |cause| StoreError::File {
        path: copy.clone(),
        cause,
    };
    match std::fs::remove_file(&copy) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(fail(error)),
    }
    let file = private_file(&copy)?;
    let target = copy.to_str().ok_or(StoreError::Foreign(copy.clone()))?;
    connection.execute("VACUUM INTO ?1", [target])?;
    file.sync_all().map_err(fail)?;
    sync_folder_of(&copy)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::ledger::record::{Draft, Kind};
    use crate::store::ledger::{self as records, Found, InForce};
    use crate::store::{Head, Store, StoreOptions};
    use crate::time::Timestamp;

    const FIRST: &[&str] = &[STEPS[0]];
    const SECOND: &str = "CREATE TABLE more (one INTEGER) STRICT; INSERT INTO more VALUES (7);";

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn an_older_database_is_copied_before_it_is_migrated() {
        let folder = folder();
        let path = folder.path().join("ledger.db");
        let mut connection = Connection::open(&path).unwrap();
        migrate(&mut connection, &path, FIRST).unwrap();
        migrate(&mut connection, &path, &[STEPS[0], SECOND]).unwrap();
        assert_eq!(version(&connection, &path).unwrap(), 2);
        let copy = folder.path().join("ledger.db.before-v2");
        assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let copied = Connection::open(&copy).unwrap();
        assert_eq!(version(&copied, &copy).unwrap(), 1);
        assert!(
            copied
                .query_row("SELECT one FROM more", [], |_| Ok(()))
                .is_err()
        );
    }

    #[test]
    fn a_database_of_a_newer_program_is_refused_and_left_alone() {
        let folder = folder();
        let path = folder.path().join("ledger.db");
        let mut connection = Connection::open(&path).unwrap();
        migrate(&mut connection, &path, &[STEPS[0], SECOND]).unwrap();
        let refused = migrate(&mut connection, &path, FIRST).unwrap_err();
        assert!(
            matches!(
                refused,
                StoreError::Newer {
                    found: 2,
                    known: 1,
                    ..
                }
            ),
            "{refused}"
        );
        assert_eq!(version(&connection, &path).unwrap(), 2);
    }

    #[test]
    fn a_failing_step_leaves_the_old_version_whole() {
        let folder = folder();
        let path = folder.path().join("ledger.db");
        let mut connection = Connection::open(&path).unwrap();
        migrate(&mut connection, &path, FIRST).unwrap();
        let broken = "CREATE TABLE half (one INTEGER) STRICT; CREATE NONSENSE;";
        assert!(migrate(&mut connection, &path, &[STEPS[0], broken]).is_err());
        assert_eq!(version(&connection, &path).unwrap(), 1);
        assert!(
            connection
                .query_row("SELECT one FROM half", [], |_| Ok(()))
                .is_err()
        );
    }

    #[test]
    fn a_ledger_of_version_1_is_copied_and_goes_on() {
        let folder = folder();
        let path = folder.path().join("ledger.db");
        let mut connection = Connection::open(&path).unwrap();
        migrate(&mut connection, &path, FIRST).unwrap();
        for (index, kind) in [(0, Kind::Policy), (1, Kind::KeySet), (2, Kind::Policy)] {
            let entry = Draft::new(kind, 1, Timestamp::from_seconds(index));
            records::append(
                &connection,
                index,
                &entry.finish().unwrap(),
                Found::default(),
            )
            .unwrap();
        }
        connection
            .execute("UPDATE head SET size = 3, epoch = 1", [])
            .unwrap();
        drop(connection);

        let store = Store::open(StoreOptions::new(&path)).unwrap();
        let connection = store.take_writer().unwrap();
        let mut head = Head {
            size: 3,
            epoch: 1,
            ..Head::default()
        };
        head.bundle.number = 1;
        assert_eq!(records::head(&connection).unwrap(), head);
        for (kind, last) in [(InForce::Policy, 2), (InForce::KeySet, 1)] {
            let row = records::last_of(&connection, kind).unwrap().unwrap();
            assert_eq!((row.index, row.kind.as_str()), (last, kind.kind().name()));
        }
        let copy = folder.path().join("ledger.db.before-v2");
        let copied = Connection::open(&copy).unwrap();
        assert_eq!(version(&copied, &copy).unwrap(), 1);
        let size = "SELECT size FROM head";
        let size = copied.query_row(size, [], |row| row.get::<_, u32>(0));
        assert_eq!(size.unwrap(), 3);
    }

    #[test]
    fn a_file_that_is_not_ours_is_refused() {
        let folder = folder();
        let other = folder.path().join("other.db");
        let mut connection = Connection::open(&other).unwrap();
        connection
            .execute_batch("CREATE TABLE theirs (one INTEGER)")
            .unwrap();
        let refused = migrate(&mut connection, &other, STEPS).unwrap_err();
        assert!(matches!(refused, StoreError::Foreign(_)), "{refused}");
    }
}
