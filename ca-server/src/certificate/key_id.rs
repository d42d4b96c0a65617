//! The key id: `NAME/login=ID/role=ROLE`. sshd writes it into its log as it is, so that a line feed
//! in it would forge a log line, and it cuts lines at about 1 kB: a small charset
//! without spaces, and under 200 characters. `/` and `=` stand only between the parts, so that no
//! name can pretend to be another login or role.

use super::CertificateError;

/// Longest key id, in bytes.
pub const MAX_KEY_ID: usize = 199;

/// Longest id of a login.
pub(super) const MAX_LOGIN_ID: usize = 64;

/// Longest name that is shown.
const MAX_NAME: usize = 80;

/// Puts a key id together. A character of the name that is not safe becomes `_`, a name that is too
/// long ends in `~`: the name is for people, the login's id is the reference.
pub(super) fn compose(name: &str, login: &str, role: &str) -> Result<String, CertificateError> {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if login.is_empty() || login.len() > MAX_LOGIN_ID || !login.chars().all(safe) {
        return Err(CertificateError::LoginId(login.into()));
    }
    let rest = format!("/login={login}/role={role}");
    let room = MAX_KEY_ID
        .checked_sub(rest.len())
        .filter(|room| *room > 0)
        .ok_or(CertificateError::TooLong(rest.len()))?
        .min(MAX_NAME);
    let mut key_id = String::with_capacity(room.saturating_add(rest.len()));
    for (count, character) in name.chars().enumerate() {
        if count >= room {
            key_id.pop();
            key_id.push('~');
            break;
        }
        let plain = safe(character) || matches!(character, '.' | '@' | '+');
        key_id.push(if plain { character } else { '_' });
    }
    if key_id.is_empty() {
        key_id.push('_');
    }
    key_id.push_str(&rest);
    Ok(key_id)
}
