//! The key id: `NAME/login=ID/role=ROLE`, of a host `NAME/host=ID`. sshd writes it into its log as it is, so that a line feed
//! in it would forge a log line, and it cuts lines at about 1 kB: a small charset
//! without spaces, and under 200 characters. `/` and `=` stand only between the parts, so that no
//! name can pretend to be another login or role.

use super::CertificateError;

/// Longest key id, in bytes.
pub const MAX_KEY_ID: usize = 199;

/// Longest id of a login or host.
pub(super) const MAX_ID: usize = 64;

/// Longest name that is shown.
const MAX_NAME: usize = 80;

/// The key id of a person's certificate.
pub(super) fn of_login(name: &str, login: &str, role: &str) -> Result<String, CertificateError> {
    if !is_id(login) {
        return Err(CertificateError::LoginId(login.into()));
    }
    compose(name, &format!("/login={login}/role={role}"))
}

/// The key id of a host's certificate.
pub(super) fn of_host(name: &str, host: &str) -> Result<String, CertificateError> {
    if !is_id(host) {
        return Err(CertificateError::HostId(host.into()));
    }
    compose(name, &format!("/host={host}"))
}

fn is_id(id: &str) -> bool {
    (1..=MAX_ID).contains(&id.len()) && id.chars().all(is_safe)
}

fn is_safe(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

/// Puts a key id together. A character of the name that is not safe becomes `_`, a name that is too
/// long ends in `~`: the name is for people, the id is the reference.
fn compose(name: &str, rest: &str) -> Result<String, CertificateError> {
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
        let plain = is_safe(character) || matches!(character, '.' | '@' | '+');
        key_id.push(if plain { character } else { '_' });
    }
    if key_id.is_empty() {
        key_id.push('_');
    }
    key_id.push_str(rest);
    Ok(key_id)
}
