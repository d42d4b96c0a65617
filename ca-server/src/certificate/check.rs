//! The last look: just before the signature, the encoded bytes are read again, by a reader of their
//! own that shares nothing with the encoder, and each rule of invariant 2 is asked once more: what no
//! certificate of ours may ever be, what one of its kind may not, what this one was agreed to be
//! ([`Terms`]).
//!
//! One small function a rule, its source beside it. A rule that fails is our fault, never the
//! caller's: nothing is signed, and the failure is recorded.

use super::{ACCESS_UNTIL_EXTENSION, BACKDATED, LOGIN_EXTENSION, POLICY_EXTENSION};
use super::{HostTerms, Kind, Terms, UserTerms};

/// sshd: `SSHKEY_CERT_MAX_PRINCIPALS` (sshkey.h); one more, and it refuses the certificate.
pub const MAX_PRINCIPALS: usize = 256;

/// Which rule the bytes break.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// The bytes end early, go on too long, or a length is wrong.
    #[error("the bytes are not a certificate: {0}")]
    Format(&'static str),
    /// Not one of the certificate types that we make.
    #[error("{0:?} is not a certificate type that we sign")]
    CertificateType(String),
    /// The key is not the one that was agreed.
    #[error("the certified key is not the one that was proven")]
    Key,
    /// Too little chance in the nonce.
    #[error("the nonce has {0} bytes")]
    Nonce(usize),
    /// Serial 0 cannot be revoked.
    #[error("the serial is {0}")]
    Serial(u64),
    /// Not a user certificate.
    #[error("the certificate's type is {0}, not user")]
    NotUser(u32),
    /// Not a host certificate.
    #[error("the certificate's type is {0}, not host")]
    NotHost(u32),
    /// A key id that could forge a log line, or not this login's and role's, or not this host's.
    #[error("the key id {0:?} is not of the form NAME/login=ID/role=ROLE or NAME/host=ID")]
    KeyId(String),
    /// None is everybody.
    #[error("the certificate has {0} principals")]
    PrincipalCount(usize),
    /// A name that some reader could read as another.
    #[error("the principal {0:?} has a character that is not allowed")]
    PrincipalCharacter(String),
    /// A name that stands for more than one host, or that no client asks for.
    #[error("{0:?} is not the exact name of a host")]
    HostName(String),
    /// Not the grant's principals, or not the host's names.
    #[error("the principals are not those that were agreed")]
    Principals,
    /// Too early, too late, too long or upside down.
    #[error("valid from {after} to {before}, agreed was {not_before} to {not_after}")]
    Validity {
        /// Start in the bytes.
        after: u64,
        /// End in the bytes.
        before: u64,
        /// Agreed.
        not_before: u64,
        /// Agreed.
        not_after: u64,
    },
    /// Options out of order or twice.
    #[error("the option {0:?} is out of order or there twice")]
    Order(String),
    /// An option that does not come from the role, or misses.
    #[error("the critical options are not those that were agreed: {0:?}")]
    Critical(String),
    /// An extension that does not come from the role, or misses.
    #[error("the extensions are not those that were agreed: {0:?}")]
    Extensions(String),
    /// Bytes where there must be none.
    #[error("the reserved field has {0} bytes")]
    Reserved(usize),
    /// Not the CA of this kind of certificate.
    #[error("the signature key is not the CA's")]
    SignatureKey,
}

/// An option's name and data.
type Pair<'a> = (&'a [u8], &'a [u8]);

/// What the bytes say, as read back.
#[derive(Debug)]
pub struct Read<'a> {
    certificate_type: &'a [u8],
    nonce: &'a [u8],
    key: Vec<&'a [u8]>,
    serial: u64,
    kind: u32,
    key_id: &'a [u8],
    principals: Vec<&'a [u8]>,
    valid_after: u64,
    valid_before: u64,
    critical: Vec<Pair<'a>>,
    extensions: Vec<Pair<'a>>,
    reserved: &'a [u8],
    signature_key: &'a [u8],
}

/// Reads the bytes and asks every rule. `ca` is the key that is about to sign.
pub fn last_look<K: Kind>(bytes: &[u8], terms: &Terms<K>, ca: &[u8]) -> Result<(), CheckError> {
    let read = read(bytes)?;
    key_is_the_proven_one(&read, &terms.key)?;
    nonce_is_long(&read)?;
    serial_is_revocable(&read)?;
    key_id_is_plain(&read)?;
    principals_are_some(&read)?;
    options_are_sorted(&read.critical)?;
    options_are_sorted(&read.extensions)?;
    terms.own.look(&read)?;
    principals_are_the_agreed(&read, &terms.principals)?;
    validity_is_bounded(&read, terms)?;
    reserved_is_empty(&read)?;
    signature_key_is_the_ca(&read, &terms.ca, ca)
}

/// The rules that only one kind of certificate has.
pub trait Rules {
    /// Asks them all.
    fn look(&self, read: &Read<'_>) -> Result<(), CheckError>;
}

impl Rules for UserTerms {
    fn look(&self, read: &Read<'_>) -> Result<(), CheckError> {
        type_is_user(read)?;
        key_id_names_login_and_role(read, self)?;
        principals_are_plain(read)?;
        critical_options_are_the_roles(read, self)?;
        extensions_are_the_roles(read, self)
    }
}

impl Rules for HostTerms {
    fn look(&self, read: &Read<'_>) -> Result<(), CheckError> {
        type_is_host(read)?;
        key_id_names_the_host(read, self)?;
        names_are_exact(read)?;
        there_are_no_options(read)
    }
}

/// PROTOCOL.certkeys, "New public key formats": the type in front decides which fields a key has.
fn read(bytes: &[u8]) -> Result<Read<'_>, CheckError> {
    let mut reader = Reader(bytes);
    let certificate_type = reader.string()?;
    let nonce = reader.string()?;
    let fields = KEY_FIELDS
        .iter()
        .find(|(name, _, _)| name.as_bytes() == certificate_type)
        .map(|(_, _, fields)| *fields)
        .ok_or_else(|| CheckError::CertificateType(shown(certificate_type)))?;
    let key = (0..fields)
        .map(|_| reader.string())
        .collect::<Result<Vec<_>, _>>()?;
    let read = Read {
        certificate_type,
        nonce,
        key,
        serial: reader.u64()?,
        kind: reader.u32()?,
        key_id: reader.string()?,
        principals: Reader(reader.string()?).strings()?,
        valid_after: reader.u64()?,
        valid_before: reader.u64()?,
        critical: Reader(reader.string()?).pairs()?,
        extensions: Reader(reader.string()?).pairs()?,
        reserved: reader.string()?,
        signature_key: reader.string()?,
    };
    if reader.0.is_empty() {
        Ok(read)
    } else {
        Err(CheckError::Format("bytes after the signature key"))
    }
}

/// A38, invariant 5: the certified key is byte by byte the one that proved itself, of the plain type
/// that belongs to the certificate's type, and so never a certificate.
fn key_is_the_proven_one(read: &Read<'_>, key: &[u8]) -> Result<(), CheckError> {
    let mut agreed = Reader(key);
    let name = agreed.string()?;
    let fits = KEY_FIELDS.iter().any(|(certificate, plain, _)| {
        certificate.as_bytes() == read.certificate_type && plain.as_bytes() == name
    });
    if fits && agreed.strings()? == read.key {
        Ok(())
    } else {
        Err(CheckError::Key)
    }
}

/// PROTOCOL.certkeys: the nonce makes collisions in the signature's hash infeasible.
fn nonce_is_long(read: &Read<'_>) -> Result<(), CheckError> {
    match read.nonce.len() {
        32 => Ok(()),
        other => Err(CheckError::Nonce(other)),
    }
}

/// A35: PROTOCOL.krl ignores serial 0. The upper bound keeps it in signed 64 bits.
fn serial_is_revocable(read: &Read<'_>) -> Result<(), CheckError> {
    match read.serial {
        1..=0x7fff_ffff_ffff_ffff => Ok(()),
        other => Err(CheckError::Serial(other)),
    }
}

/// A37: `SSH_CERT_TYPE_USER` is 1, `SSH_CERT_TYPE_HOST` 2.
fn type_is_user(read: &Read<'_>) -> Result<(), CheckError> {
    match read.kind {
        1 => Ok(()),
        other => Err(CheckError::NotUser(other)),
    }
}

/// A37: `SSH_CERT_TYPE_USER` is 1, `SSH_CERT_TYPE_HOST` 2.
fn type_is_host(read: &Read<'_>) -> Result<(), CheckError> {
    match read.kind {
        2 => Ok(()),
        other => Err(CheckError::NotHost(other)),
    }
}

/// sshd logs the key id raw, and cuts its log line at about 1 kB.
fn key_id_is_plain(read: &Read<'_>) -> Result<(), CheckError> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._@+-~/=".contains(byte);
    if (1..200).contains(&read.key_id.len()) && read.key_id.iter().all(plain) {
        Ok(())
    } else {
        Err(CheckError::KeyId(shown(read.key_id)))
    }
}

/// A83: exactly three parts, the last two as agreed; a name cannot forge them.
fn key_id_names_login_and_role(read: &Read<'_>, terms: &UserTerms) -> Result<(), CheckError> {
    let refused = || CheckError::KeyId(shown(read.key_id));
    let text = std::str::from_utf8(read.key_id).map_err(|_| refused())?;
    let parts: Vec<&str> = text.split('/').collect();
    match parts.as_slice() {
        [name, login, role]
            if !name.is_empty()
                && !name.contains('=')
                && login.strip_prefix("login=") == Some(&terms.login)
                && role.strip_prefix("role=") == Some(&terms.role) =>
        {
            Ok(())
        }
        _ => Err(refused()),
    }
}

/// A83: exactly two parts, the last as agreed.
fn key_id_names_the_host(read: &Read<'_>, terms: &HostTerms) -> Result<(), CheckError> {
    let host = [b"host=", terms.id.as_bytes()].concat();
    let parts: Vec<&[u8]> = read.key_id.split(|byte| *byte == b'/').collect();
    match parts.as_slice() {
        [name, last] if !name.is_empty() && !name.contains(&b'=') && *last == host => Ok(()),
        _ => Err(CheckError::KeyId(shown(read.key_id))),
    }
}

/// A33, CVE-2024-7594: no principal at all means every principal, and every host.
fn principals_are_some(read: &Read<'_>) -> Result<(), CheckError> {
    match read.principals.len() {
        1..=MAX_PRINCIPALS => Ok(()),
        other => Err(CheckError::PrincipalCount(other)),
    }
}

/// A34, CVE-2026-35414: no comma, `#`, space, wildcard, quote or control character, for any reader
/// of `principals="…"` and of `AuthorizedPrincipalsFile`; `:` and `+` only where our own forms
/// `role:NAME` and `role:NAME+ACCOUNT` have them.
fn principals_are_plain(read: &Read<'_>) -> Result<(), CheckError> {
    let name = |text: &[u8], most: usize, first: &[u8]| {
        let start = text.first().copied().unwrap_or_default();
        (1..=most).contains(&text.len())
            && (start.is_ascii_lowercase() || first.contains(&start))
            && text.iter().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(byte)
            })
    };
    let plain = |principal: &[u8]| match principal.strip_prefix(b"role:") {
        None => name(principal, 32, b"_"),
        Some(rest) => {
            let mut parts = rest.splitn(2, |byte| *byte == b'+');
            parts.next().is_some_and(|role| name(role, 63, b""))
                && parts.next().is_none_or(|account| name(account, 32, b"_"))
        }
    };
    match read.principals.iter().find(|principal| !plain(principal)) {
        None => Ok(()),
        Some(principal) => Err(CheckError::PrincipalCharacter(shown(principal))),
    }
}

/// A33, sshkey.c `sshkey_cert_check_host`: `ssh` takes `*` and `?` of a name for patterns, and asks for
/// names in lower case. RFC 1123 §2.1: letters, digits and hyphens between dots.
fn names_are_exact(read: &Read<'_>) -> Result<(), CheckError> {
    let exact = |name: &[u8]| {
        name.len() <= 253
            && name.split(|byte| *byte == b'.').all(|label| {
                (1..=63).contains(&label.len())
                    && label.first() != Some(&b'-')
                    && label.last() != Some(&b'-')
                    && label.iter().all(|byte| {
                        byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-'
                    })
            })
    };
    match read.principals.iter().find(|name| !exact(name)) {
        None => Ok(()),
        Some(name) => Err(CheckError::HostName(shown(name))),
    }
}

/// Invariant 2, A28: the grant's principals (the host's names), all of them, no other.
fn principals_are_the_agreed(read: &Read<'_>, agreed: &[String]) -> Result<(), CheckError> {
    let agreed = agreed.iter().map(String::as_bytes);
    if read.principals.iter().copied().eq(agreed) {
        Ok(())
    } else {
        Err(CheckError::Principals)
    }
}

/// A36: `valid after <= now < valid before` (PROTOCOL.certkeys), within what was agreed, and never
/// longer than [`Kind::LONGEST`], whatever was agreed.
fn validity_is_bounded<K: Kind>(read: &Read<'_>, terms: &Terms<K>) -> Result<(), CheckError> {
    let (after, before) = (read.valid_after, read.valid_before);
    let longest = K::LONGEST.as_secs().saturating_add(BACKDATED.as_secs());
    let bounded = before
        .checked_sub(after)
        .is_some_and(|length| (1..=longest).contains(&length));
    if bounded && after >= terms.not_before && before <= terms.not_after {
        Ok(())
    } else {
        Err(CheckError::Validity {
            after,
            before,
            not_before: terms.not_before,
            not_after: terms.not_after,
        })
    }
}

/// PROTOCOL.certkeys: "lexically ordered by name", each at most once; sshd refuses a second
/// `force-command` or `source-address` (A42).
fn options_are_sorted(options: &[Pair<'_>]) -> Result<(), CheckError> {
    let pairs = options.iter().zip(options.iter().skip(1));
    match pairs.into_iter().find(|(one, next)| one.0 >= next.0) {
        None => Ok(()),
        Some((_, next)) => Err(CheckError::Order(shown(next.0))),
    }
}

/// Invariant 2, A42: `source-address` exactly as in the role, and no other critical option.
fn critical_options_are_the_roles(read: &Read<'_>, terms: &UserTerms) -> Result<(), CheckError> {
    let agreed = terms.source.join(",");
    let fits = match read.critical.as_slice() {
        [] => terms.source.is_empty(),
        [(b"source-address", data)] => {
            !terms.source.is_empty() && wrapped(data)? == agreed.as_bytes()
        }
        _ => false,
    };
    if fits {
        Ok(())
    } else {
        Err(CheckError::Critical(names(&read.critical)))
    }
}

/// Invariant 2: the role's permissions as flags without data, our three extensions with theirs, and
/// nothing else: never `permit-user-rc`, and no `no-touch-required`.
fn extensions_are_the_roles(read: &Read<'_>, terms: &UserTerms) -> Result<(), CheckError> {
    let refused = || CheckError::Extensions(names(&read.extensions));
    let until = terms.access_until.to_string();
    let mut permits = 0usize;
    let mut ours = 0usize;
    for (name, data) in &read.extensions {
        let name = std::str::from_utf8(name).map_err(|_| refused())?;
        let agreed = match name {
            LOGIN_EXTENSION => terms.login.as_bytes(),
            POLICY_EXTENSION => terms.policy.as_bytes(),
            ACCESS_UNTIL_EXTENSION => until.as_bytes(),
            permit if EVER_PERMITTED.contains(&permit) && terms.permits.contains(permit) => {
                if !data.is_empty() {
                    return Err(refused());
                }
                permits = permits.saturating_add(1);
                continue;
            }
            _ => return Err(refused()),
        };
        if wrapped(data)? != agreed {
            return Err(refused());
        }
        ours = ours.saturating_add(1);
    }
    // Sorted without repetition, so the counts say that none is missing.
    if permits == terms.permits.len() && ours == 3 {
        Ok(())
    } else {
        Err(refused())
    }
}

/// PROTOCOL.certkeys: no option of either sort is defined for hosts, and a critical one that a client
/// does not know makes it refuse the host.
fn there_are_no_options(read: &Read<'_>) -> Result<(), CheckError> {
    if !read.critical.is_empty() {
        return Err(CheckError::Critical(names(&read.critical)));
    }
    if !read.extensions.is_empty() {
        return Err(CheckError::Extensions(names(&read.extensions)));
    }
    Ok(())
}

/// PROTOCOL.certkeys: "currently unused"; what is not used is not signed.
fn reserved_is_empty(read: &Read<'_>) -> Result<(), CheckError> {
    match read.reserved.len() {
        0 => Ok(()),
        other => Err(CheckError::Reserved(other)),
    }
}

/// A37, A38, A40, A41: the key that signs, which is the one that was recorded; Ed25519 or ECDSA
/// P-256, and so never a certificate.
fn signature_key_is_the_ca(read: &Read<'_>, agreed: &[u8], ca: &[u8]) -> Result<(), CheckError> {
    let name = Reader(read.signature_key).string()?;
    let kind = [b"ssh-ed25519".as_slice(), b"ecdsa-sha2-nistp256"].contains(&name);
    if kind && read.signature_key == ca && agreed == ca {
        Ok(())
    } else {
        Err(CheckError::SignatureKey)
    }
}

/// Data that holds exactly one string.
fn wrapped(data: &[u8]) -> Result<&[u8], CheckError> {
    let mut reader = Reader(data);
    let inner = reader.string()?;
    if reader.0.is_empty() {
        Ok(inner)
    } else {
        Err(CheckError::Format("bytes after an option's string"))
    }
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(256).collect()
}

fn names(options: &[Pair<'_>]) -> String {
    let names: Vec<String> = options.iter().map(|(name, _)| shown(name)).collect();
    names.join(" ")
}

/// Reads RFC 4251 §5 types from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], CheckError> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(CheckError::Format("it ends early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn u32(&mut self) -> Result<u32, CheckError> {
        let bytes = self.take(4)?;
        Ok(bytes.iter().fold(0, |n, byte| (n << 8) | u32::from(*byte)))
    }

    fn u64(&mut self) -> Result<u64, CheckError> {
        let bytes = self.take(8)?;
        Ok(bytes.iter().fold(0, |n, byte| (n << 8) | u64::from(*byte)))
    }

    fn string(&mut self) -> Result<&'a [u8], CheckError> {
        let length = self.u32()?;
        self.take(usize::try_from(length).map_err(|_| CheckError::Format("a length"))?)
    }

    fn strings(mut self) -> Result<Vec<&'a [u8]>, CheckError> {
        let mut all = Vec::new();
        while !self.0.is_empty() {
            all.push(self.string()?);
        }
        Ok(all)
    }

    fn pairs(mut self) -> Result<Vec<Pair<'a>>, CheckError> {
        let mut all = Vec::new();
        while !self.0.is_empty() {
            all.push((self.string()?, self.string()?));
        }
        Ok(all)
    }
}

/// Certificate type, the plain type that belongs to it, and how many fields such a key has.
const KEY_FIELDS: &[(&str, &str, usize)] = &[
    ("ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519", 1),
    (
        "ecdsa-sha2-nistp256-cert-v01@openssh.com",
        "ecdsa-sha2-nistp256",
        2,
    ),
    (
        "ecdsa-sha2-nistp384-cert-v01@openssh.com",
        "ecdsa-sha2-nistp384",
        2,
    ),
    (
        "ecdsa-sha2-nistp521-cert-v01@openssh.com",
        "ecdsa-sha2-nistp521",
        2,
    ),
    ("ssh-rsa-cert-v01@openssh.com", "ssh-rsa", 2),
    (
        "sk-ssh-ed25519-cert-v01@openssh.com",
        "sk-ssh-ed25519@openssh.com",
        2,
    ),
    (
        "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
        3,
    ),
];

/// All that a role may ever permit.
const EVER_PERMITTED: &[&str] = &[
    "permit-X11-forwarding",
    "permit-agent-forwarding",
    "permit-port-forwarding",
    "permit-pty",
];

#[cfg(test)]
mod tests;
