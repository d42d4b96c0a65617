//! Which principals open which account, and the principals files (`AuthorizedPrincipalsFile`,
//! sshd_config(5)) that say so to sshd.
//!
//! In such a file everything after `#` is cut, text before the last space is read as key options,
//! and a line feed adds a principal (A34): so nothing but a [`Principal`], read here although the CA
//! checked it too, gets into one.

use std::str::FromStr;

use jit_ssh_api::principal::{AccountName, Principal, RoleName};

/// One account and the principals that open it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Admission {
    /// The account.
    pub(crate) account: AccountName,
    /// Roles that open it; empty where the policy says `principals = "accounts"`, and then the
    /// account's own name does.
    pub(crate) principals: Vec<Principal>,
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
    /// Not a principal that this account could have.
    #[error("`{0}` is no principal of a role for this account")]
    Principal(String),
    /// An account twice.
    #[error("the account {0} is named twice: write its roles into one --account")]
    Twice(String),
}

/// `ROLE`, or `ROLE+PERSON` for the person's own account.
fn principal(text: &str, account: &AccountName) -> Result<Principal, AdmissionError> {
    let (role, person) = match text.split_once('+') {
        Some((role, person)) => (role, Some(person)),
        None => (text, None),
    };
    let role = RoleName::new(role).map_err(|_| AdmissionError::Role(text.to_owned()))?;
    match person {
        None => Ok(Principal::role(&role)),
        Some(person) if person == account.as_str() => Ok(Principal::role_of(&role, account)),
        Some(person) => Err(AdmissionError::OtherPerson {
            role: text.to_owned(),
            person: person.to_owned(),
            account: account.to_string(),
        }),
    }
}

fn account(text: &str) -> Result<AccountName, AdmissionError> {
    AccountName::new(text).map_err(|_| AdmissionError::Account(text.to_owned()))
}

impl FromStr for Admission {
    type Err = AdmissionError;

    fn from_str(text: &str) -> Result<Self, AdmissionError> {
        let form = || AdmissionError::Form(text.to_owned());
        let Some((name, roles)) = text.split_once('=') else {
            return Ok(Admission {
                account: account(text)?,
                principals: Vec::new(),
            });
        };
        let account = account(name)?;
        let mut principals = Vec::new();
        for role in roles.split(',') {
            if role.is_empty() {
                return Err(form());
            }
            let principal = principal(role, &account)?;
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
    /// One that is kept as names and principals: in the manifest.
    pub(crate) fn of(name: &str, principals: &[String]) -> Result<Self, AdmissionError> {
        let account = account(name)?;
        let read = |text: &String| {
            let read = Principal::parse(text).ok();
            let read = read.filter(|principal| {
                let person = principal.of_username();
                principal.of_role().is_some() && person.is_none_or(|own| own == account.as_str())
            });
            read.ok_or_else(|| AdmissionError::Principal(text.clone()))
        };
        Ok(Admission {
            principals: principals.iter().map(read).collect::<Result<_, _>>()?,
            account,
        })
    }

    /// What the CA says of an account; none where it names nobody. In the policy's simple mode the
    /// account's own name stands there, and only alone.
    pub(crate) fn of_bundle(
        name: &str,
        principals: &[String],
    ) -> Result<Option<Self>, AdmissionError> {
        let account = account(name)?;
        match principals {
            // An empty list of ours means the account's own name: here it means nobody.
            [] => Ok(None),
            [own] if own == account.as_str() => Ok(Some(Admission {
                account,
                principals: Vec::new(),
            })),
            principals => Admission::of(name, principals).map(Some),
        }
    }

    /// One more role on the account's own person.
    pub(crate) fn also_own(&mut self, role: &str) -> Result<(), AdmissionError> {
        let role = RoleName::new(role).map_err(|_| AdmissionError::Role(role.to_owned()))?;
        let principal = Principal::role_of(&role, &self.account);
        if !self.principals.contains(&principal) {
            self.principals.push(principal);
        }
        Ok(())
    }

    /// The file's exact text. With `own_name`, certificates of a CA that was trusted before keep
    /// their way in: there, sshd compared principals with the account's name.
    pub(crate) fn render(&self, own_name: bool) -> String {
        let mut text = format!(
            "# Who may log in as {}. Written by jit-ssh-host: changes are overwritten.\n",
            self.account
        );
        for principal in &self.principals {
            text.push_str(principal.as_str());
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
    fn what_is_kept_is_read_back_and_nothing_else_than_a_role_of_this_account() {
        for text in [
            "observer=production-observer,audit",
            "alice=dev+alice",
            "deploy",
        ] {
            let admission: Admission = text.parse().unwrap();
            let principals: Vec<String> = admission
                .principals
                .iter()
                .map(ToString::to_string)
                .collect();
            let read = Admission::of(admission.account.as_str(), &principals);
            assert_eq!(read, Ok(admission));
        }
        for principal in [
            "root",
            "role:dev+bob",
            "role:a b",
            "role:",
            "role:a,b",
            "dev",
            "role:role:a",
        ] {
            let read = Admission::of("alice", &[principal.to_owned()]);
            assert!(read.is_err(), "{principal:?}");
        }
    }

    #[test]
    fn an_account_that_the_ca_opens_to_nobody_is_not_opened_to_its_own_name() {
        let of = |principals: &[&str]| {
            let principals: Vec<String> = principals.iter().map(ToString::to_string).collect();
            Admission::of_bundle("alice", &principals)
        };
        assert_eq!(of(&[]), Ok(None));
        let simple = of(&["alice"]).unwrap().unwrap();
        assert!(simple.render(false).ends_with("\nalice\n"));
        let roles = of(&["role:ops", "role:dev+alice"]).unwrap().unwrap();
        assert!(
            roles
                .render(false)
                .ends_with("\nrole:ops\nrole:dev+alice\n")
        );
        for bad in [
            &["bob"][..],
            &["alice", "role:ops"],
            &["role:dev+bob"],
            &["#"],
        ] {
            assert!(of(bad).is_err(), "{bad:?}");
        }
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
