//! Which principals open which account, and the principals files (`AuthorizedPrincipalsFile`,
//! sshd_config(5)) that say so to sshd.
//!
//! In such a file everything after `#` is cut, text before the last space is read as key options,
//! and a line feed adds a principal (A34): so names have one small charset, checked here although
//! the CA checked it too.

use std::fmt;
use std::str::FromStr;

/// A Unix account name: `[a-z_][a-z0-9_-]{0,31}` (A27).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Account(String);

/// A principal that a certificate of the CA can carry: `role:NAME`, `role:NAME+ACCOUNT`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RolePrincipal(String);

/// One account and the principals that open it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Admission {
    /// The account.
    pub(crate) account: Account,
    /// Roles that open it; empty where the policy says `principals = "accounts"`, and then the
    /// account's own name does.
    pub(crate) principals: Vec<RolePrincipal>,
}

/// Why an `--account` is not understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AdmissionError {
    /// Not `ACCOUNT=ROLE[,ROLE…]`, nor `ACCOUNT` alone.
    #[error("`{0}` is not of the form ACCOUNT=ROLE[,ROLE…]")]
    Form(String),
    /// Not an account name.
    #[error(
        "`{0}` is no account name: lower-case letters, digits, `_` and `-`, at most 32 characters"
    )]
    Account(String),
    /// Not a role name.
    #[error("`{0}` is no role name: lower-case letters, digits and `-`, at most 63 characters")]
    Role(String),
    /// A role on people's own accounts, written for the account of another person.
    #[error("`{role}` names the person {person}, but the account is {account}")]
    OtherPerson {
        /// As written.
        role: String,
        /// The person's account.
        person: String,
        /// The account that it was written for.
        account: String,
    },
    /// An account twice.
    #[error("the account {0} is named twice: write its roles into one --account")]
    Twice(String),
}

impl Account {
    /// The name.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Account {
    type Err = AdmissionError;

    fn from_str(text: &str) -> Result<Self, AdmissionError> {
        let first = |c: u8| c.is_ascii_lowercase() || c == b'_';
        let rest = |c: u8| first(c) || c.is_ascii_digit() || c == b'-';
        let mut bytes = text.bytes();
        let ok = bytes.next().is_some_and(first) && bytes.all(rest) && text.len() <= 32;
        if ok {
            Ok(Account(text.to_owned()))
        } else {
            Err(AdmissionError::Account(text.to_owned()))
        }
    }
}

impl fmt::Display for RolePrincipal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl RolePrincipal {
    /// `ROLE`, or `ROLE+PERSON` for the person's own account.
    fn parse(text: &str, account: &Account) -> Result<Self, AdmissionError> {
        let (role, person) = match text.split_once('+') {
            Some((role, person)) => (role, Some(person)),
            None => (text, None),
        };
        let mut bytes = role.bytes();
        let ok = bytes.next().is_some_and(|c| c.is_ascii_lowercase())
            && bytes.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
            && role.len() <= 63;
        if !ok {
            return Err(AdmissionError::Role(text.to_owned()));
        }
        match person {
            None => Ok(RolePrincipal(format!("role:{role}"))),
            Some(person) if person == account.as_str() => {
                Ok(RolePrincipal(format!("role:{role}+{person}")))
            }
            Some(person) => Err(AdmissionError::OtherPerson {
                role: role.to_owned(),
                person: person.to_owned(),
                account: account.to_string(),
            }),
        }
    }
}

impl FromStr for Admission {
    type Err = AdmissionError;

    fn from_str(text: &str) -> Result<Self, AdmissionError> {
        let form = || AdmissionError::Form(text.to_owned());
        let Some((account, roles)) = text.split_once('=') else {
            return Ok(Admission {
                account: text.parse()?,
                principals: Vec::new(),
            });
        };
        let account: Account = account.parse()?;
        let mut principals = Vec::new();
        for role in roles.split(',') {
            if role.is_empty() {
                return Err(form());
            }
            let principal = RolePrincipal::parse(role, &account)?;
            if !principals.contains(&principal) {
                principals.push(principal);
            }
        }
        Ok(Admission {
            account,
            principals,
        })
    }
}

/// Refuses an account that is named twice: the second line would silently win or lose.
pub(crate) fn distinct(admissions: &[Admission]) -> Result<(), AdmissionError> {
    for (index, one) in admissions.iter().enumerate() {
        if admissions
            .iter()
            .take(index)
            .any(|other| other.account == one.account)
        {
            return Err(AdmissionError::Twice(one.account.to_string()));
        }
    }
    Ok(())
}

impl Admission {
    /// The file's exact text. With `own_name`, certificates of a CA that was trusted before keep
    /// their way in: there, sshd compared principals with the account's name.
    pub(crate) fn render(&self, own_name: bool) -> String {
        let mut text = format!(
            "# Who may log in as {}. Written by jit-ssh-host: changes are overwritten.\n",
            self.account
        );
        for principal in &self.principals {
            text.push_str(&principal.0);
            text.push('\n');
        }
        if own_name || self.principals.is_empty() {
            text.push_str(self.account.as_str());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn roles_become_namespaced_principals() {
        let admission: Admission = "observer=production-observer,audit".parse().unwrap();
        let text = admission.render(false);
        assert!(
            text.ends_with("\nrole:production-observer\nrole:audit\n"),
            "{text}"
        );
        let own: Admission = "alice=dev+alice".parse().unwrap();
        assert!(own.render(false).ends_with("\nrole:dev+alice\n"));
    }

    #[test]
    fn an_account_alone_admits_its_own_name_for_simple_mode() {
        let simple: Admission = "deploy".parse().unwrap();
        assert!(simple.render(false).ends_with("\ndeploy\n"));
        assert!("deploy=".parse::<Admission>().is_err());
    }

    #[test]
    fn a_role_on_a_colleagues_account_is_refused() {
        let error = "alice=dev+bob".parse::<Admission>().unwrap_err();
        assert!(matches!(error, AdmissionError::OtherPerson { .. }));
    }

    #[test]
    fn a_role_that_is_longer_than_any_of_the_cas_is_refused() {
        let role = |length: usize| format!("observer={}", "r".repeat(length)).parse::<Admission>();
        assert!(role(63).is_ok());
        assert!(matches!(role(64), Err(AdmissionError::Role(_))));
    }

    #[test]
    fn an_account_named_twice_is_refused() {
        let twice: Vec<Admission> = ["a=x", "b=x", "a=y"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        assert_eq!(distinct(&twice), Err(AdmissionError::Twice("a".into())));
    }

    #[test]
    fn names_that_would_change_the_file_are_refused() {
        let attempts = [
            "",
            "=",
            "observer=",
            "=role",
            "observer=a,,b",
            "observer=root#eu",
            "observer=a b",
            "observer=a\nroot",
            "observer=*",
            "observer=A",
            "Observer=a",
            "../x=a",
            "a/b=a",
            "-o=a",
            "observer=a\u{0}",
            "observer=ä",
            "observer=a,b c",
            "observer=command=\"sh\" a",
        ];
        for attempt in attempts {
            assert!(attempt.parse::<Admission>().is_err(), "{attempt:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_writes_one_safe_line_for_each_principal(text in "\\PC{0,40}") {
            if let Ok(admission) = text.parse::<Admission>() {
                let rendered = admission.render(false);
                prop_assert_eq!(rendered.lines().count(), 1 + admission.principals.len().max(1));
                for line in rendered.lines().skip(1) {
                    let safe = |c: char| c.is_ascii_alphanumeric() || ":+-_".contains(c);
                    prop_assert!(line.chars().all(safe));
                }
            }
        }
    }
}
