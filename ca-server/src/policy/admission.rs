//! A host's labels ──► the principals that open its accounts. What confines a role to some hosts is
//! that no other host lists its principal: sshd itself asks nobody.

use std::collections::BTreeMap;

use jit_ssh_api::host::Labels;

use super::rule::Mode;
use super::{AccountName, Policy, Principal, RoleName};

/// What one host admits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    /// The principals that open each account, by the policy's order.
    pub principals: BTreeMap<AccountName, Vec<Principal>>,
    /// Roles that open everybody's own account.
    pub own_account_roles: Vec<RoleName>,
}

impl Policy {
    /// What a host with these labels admits; none where certificates name accounts, since such a
    /// policy knows no hosts.
    pub fn admits(&self, labels: &Labels) -> Option<Admission> {
        if self.mode == Mode::Accounts {
            return None;
        }
        let mut admission = Admission::default();
        for role in self.roles.iter().filter(|role| role.is_for_host(labels)) {
            for account in role.fixed_accounts() {
                let principals = admission.principals.entry(account.clone()).or_default();
                principals.push(Principal::role(&role.name));
            }
            if role.has_own_account() {
                admission.own_account_roles.push(role.name.clone());
            }
        }
        Some(admission)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::IssuerFacts;

    const POLICY: &str = r#"
order = ["observer", "admin"]
[username]
claim = "preferred_username"
[roles.admin]
accounts = ["admin", "observer"]
max_validity = "5m"
hosts = { env = "production", tier = "db" }
[roles.dev]
accounts = ["{username}"]
max_validity = "5m"
hosts = { env = "staging" }
[roles.observer]
accounts = ["observer"]
max_validity = "15m"
[[grants]]
groups = ["Ops"]
roles = ["admin", "dev", "observer"]
"#;

    fn admitted(labels: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let policy = Policy::parse(POLICY, &IssuerFacts::default()).unwrap();
        let labels = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let admission = policy.admits(&labels).unwrap();
        let lines = admission.principals.iter().map(|(account, principals)| {
            let principals: Vec<_> = principals.iter().map(Principal::as_str).collect();
            format!("{}: {}", account.as_str(), principals.join(" "))
        });
        let own = admission.own_account_roles.iter();
        (
            lines.collect(),
            own.map(|role| role.as_str().to_owned()).collect(),
        )
    }

    #[test]
    fn a_role_is_on_the_hosts_that_have_all_of_its_labels_and_on_no_other() {
        let everywhere = vec!["observer: role:observer".to_owned()];
        let none = Vec::new();
        for labels in [
            &[][..],
            &[("env", "production")],
            &[("tier", "db")],
            &[("env", "Production"), ("tier", "db")],
            &[("env", "production"), ("tier", "db2")],
            &[("ENV", "production"), ("tier", "db")],
            &[("production", "env"), ("db", "tier")],
        ] {
            assert_eq!(
                admitted(labels),
                (everywhere.clone(), none.clone()),
                "{labels:?}"
            );
        }
        assert_eq!(
            admitted(&[("env", "production"), ("tier", "db"), ("more", "x")]).0,
            ["admin: role:admin", "observer: role:observer role:admin"]
        );
        assert_eq!(
            admitted(&[("env", "staging")]),
            (everywhere, vec!["dev".to_owned()])
        );
    }

    #[test]
    fn where_certificates_name_accounts_a_role_cannot_be_confined() {
        let text = POLICY.replacen("order", "principals = \"accounts\"\norder", 1);
        let errors = Policy::parse(&text, &IssuerFacts::default()).unwrap_err();
        assert_eq!(errors.iter().count(), 2, "{errors}");
        let without: String = text
            .lines()
            .filter(|line| !line.starts_with("hosts"))
            .collect::<Vec<_>>()
            .join("\n");
        let policy = Policy::parse(&without, &IssuerFacts::default()).unwrap();
        assert_eq!(policy.admits(&Labels::new()), None);
    }

    #[test]
    fn labels_that_could_be_read_in_two_ways_do_not_load() {
        for hosts in [
            "{}",
            "{ env = \"\" }",
            "{ env = \"Production\" }",
            "{ env = \"a b\" }",
            "{ env = \"*\" }",
            "{ \"\" = \"x\" }",
            "{ \"a=b\" = \"x\" }",
            "{ env = [\"production\"] }",
            "{ env = 1 }",
            "\"production\"",
            "[\"env=production\"]",
        ] {
            let text = POLICY.replace("{ env = \"staging\" }", hosts);
            assert!(
                Policy::parse(&text, &IssuerFacts::default()).is_err(),
                "{hosts}"
            );
        }
    }
}
