//! Names that are safe as principals (invariant 6). What comes in is text from a policy, a claim, a
//! certificate or a file; what goes out is a name that no part of OpenSSH can read as anything else: no comma (splits
//! `principals="…"`), `#` (cuts a line of a principals file), space, quote, wildcard, control
//! character or letter outside of ASCII (A27, A34).
//!
//! A role's principal is `role:NAME`, for a person's own account `role:NAME+USERNAME`. A colon is
//! in no account name, so that no role can ever equal an account, whatever it is called (A58).
//! The policy makes its principals of these, the host writes no other into a principals file, and the
//! client takes no certificate with others. What the CA signs is checked once more, by code that
//! shares none of this (`certificate/check.rs`).

use std::fmt;
use std::str::FromStr;

/// Name of a role: a lower-case letter, then lower-case letters, digits and hyphens; at most 63.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct RoleName(Box<str>);

/// Name of a Unix account: `[a-z_][a-z0-9_-]{0,31}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct AccountName(Box<str>);

/// One principal of a certificate: of a role, of a role on a person's own account, or an account.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct Principal(Box<str>);

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing at all.
    #[error("a name cannot be empty")]
    Empty,
    /// More characters than the name may have.
    #[error("a name has at most {most} characters, this one has {length}")]
    TooLong {
        /// The limit.
        most: usize,
        /// What there is.
        length: usize,
    },
    /// It begins with something else than it may.
    #[error("a name cannot begin with {0:?}")]
    Start(char),
    /// A character that is outside of the charset.
    #[error("a name cannot contain {0:?}")]
    Character(char),
}

impl RoleName {
    /// Checks and takes a name.
    pub fn new(text: &str) -> Result<Self, NameError> {
        check(text, 63, "", "-").map(|()| RoleName(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Stands for a name that is none, where a file with faults is read to its end.
    pub fn unnamed() -> Self {
        RoleName("unnamed".into())
    }
}

impl AccountName {
    /// Checks and takes a name. Says nothing about whether the account is a system's own.
    pub fn new(text: &str) -> Result<Self, NameError> {
        check(text, 32, "_", "_-").map(|()| AccountName(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Principal {
    /// `role:NAME`: the fixed accounts of a role.
    pub fn role(role: &RoleName) -> Self {
        Principal(format!("{ROLE}{role}").into())
    }

    /// `role:NAME+USERNAME`: a person's own account under a role.
    pub fn role_of(role: &RoleName, username: &AccountName) -> Self {
        Principal(format!("{ROLE}{role}+{username}").into())
    }

    /// The account itself: simple mode.
    pub fn account(account: &AccountName) -> Self {
        Principal(account.0.clone())
    }

    /// Reads one back, as it stands in a certificate or a principals file.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let Some(rest) = text.strip_prefix(ROLE) else {
            return AccountName::new(text).map(|account| Principal::account(&account));
        };
        match rest.split_once('+') {
            None => RoleName::new(rest).map(|role| Principal::role(&role)),
            Some((role, username)) => Ok(Principal::role_of(
                &RoleName::new(role)?,
                &AccountName::new(username)?,
            )),
        }
    }

    /// The role that it is of; none for an account.
    pub fn of_role(&self) -> Option<&str> {
        let rest = self.0.strip_prefix(ROLE)?;
        Some(rest.split_once('+').map_or(rest, |(role, _)| role))
    }

    /// The person's account that it is for; none for a role's fixed accounts.
    pub fn of_username(&self) -> Option<&str> {
        self.0.split_once('+').map(|(_, username)| username)
    }

    /// As it stands in the certificate.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What no account can begin with.
const ROLE: &str = "role:";

fn check(text: &str, most: usize, start: &str, inside: &str) -> Result<(), NameError> {
    for (index, character) in text.chars().enumerate() {
        if index == 0 {
            if !character.is_ascii_lowercase() && !start.contains(character) {
                return Err(NameError::Start(character));
            }
        } else if !character.is_ascii_lowercase()
            && !character.is_ascii_digit()
            && !inside.contains(character)
        {
            return Err(NameError::Character(character));
        }
    }
    match text.len() {
        0 => Err(NameError::Empty),
        length if length > most => Err(NameError::TooLong { most, length }),
        _ => Ok(()),
    }
}

macro_rules! text {
    ($($name:ident),+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )+};
}

text!(RoleName, AccountName, Principal);

impl FromStr for AccountName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        AccountName::new(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_principal_is_read_back_as_what_it_was_made_of() {
        let (role, own) = (
            RoleName::new("ops").unwrap(),
            AccountName::new("bob").unwrap(),
        );
        for (principal, of_role, of_username) in [
            (Principal::role(&role), Some("ops"), None),
            (Principal::role_of(&role, &own), Some("ops"), Some("bob")),
            (Principal::account(&own), None, None),
        ] {
            assert_eq!(Principal::parse(principal.as_str()), Ok(principal.clone()));
            assert_eq!(principal.of_role(), of_role);
            assert_eq!(principal.of_username(), of_username);
        }
    }

    #[test]
    fn what_sshd_could_read_as_something_else_is_no_principal() {
        for text in [
            "",
            "role:",
            "role:+bob",
            "role:ops+",
            "role:ops+bob+root",
            "role:ops,root",
            "Role:ops",
            "role:ops\nroot",
            "role:ops root",
            "role:ops#",
            "role:*",
            "*",
            "ops:role",
            "role:role:ops",
            "role:ops+Bob",
            "root,bob",
            "role:ops@host",
            "-o",
        ] {
            assert!(Principal::parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_a_principal_stays_itself(text in "(role:)?[a-z_+:,\\-@]{0,12}") {
            if let Ok(principal) = Principal::parse(&text) {
                prop_assert_eq!(principal.as_str(), text);
            }
        }
    }
}
