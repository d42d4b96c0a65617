//! People by a name that an administrator types. What is kept of everybody for ever are subjects,
//! addresses that count and accounts that were used; whoever signed in lately is found by what the issuer
//! calls them as well, since somebody who is to be thrown out is called by the name that others know.
//! Nothing is decided by it.

use rusqlite::Connection;

use super::recall::read_any;
use crate::identity::IdentityFacts;
use crate::store::StoreError;
use crate::store::logins;
use crate::time::Timestamp;

/// Everybody who is known by that name, at any issuer: of those who are signed in at `live_at`, or of
/// those who signed in last.
pub(crate) fn people(
    connection: &Connection,
    name: &str,
    live_at: Option<Timestamp>,
) -> Result<Vec<i64>, StoreError> {
    let mut people = logins::people_named(connection, name)?;
    let most = live_at.map_or(LAST, |_| usize::MAX);
    for row in logins::list(connection, live_at, None, most)? {
        if people.contains(&row.person) {
            continue;
        }
        if read_any(connection, &row)?.is_some_and(|login| is_called(&login.identity, name)) {
            people.push(row.person);
        }
    }
    Ok(people)
}

fn is_called(who: &IdentityFacts, name: &str) -> bool {
    let preferred = who.claims.get("preferred_username");
    let said = who
        .said_email
        .as_deref()
        .is_some_and(|email| email.eq_ignore_ascii_case(name));
    said || preferred.and_then(|claim| claim.as_str()) == Some(name)
}

/// Logins that are looked through where it does not matter whether they live.
const LAST: usize = 10_000;
