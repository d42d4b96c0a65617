//! `[[tests]]`: what a policy says of itself. They live in the file, run whenever it is read, and a
//! policy that fails one does not load.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::AccountName;
use super::Policy;
use super::decision::Ask;
use super::explain::Person;
use super::right::Right;
use super::rule::source::Cidr;

/// One `[[tests]]`.
#[derive(Debug)]
pub(super) struct Test {
    pub(super) at: usize,
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) person: Person,
    pub(super) source: Option<IpAddr>,
    pub(super) may: Vec<usize>,
    pub(super) may_not: Vec<usize>,
    pub(super) accounts: Option<BTreeSet<AccountName>>,
    pub(super) rights: Option<BTreeSet<Right>>,
}

/// A test of the policy that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestFailure {
    /// Line of the test, from 1.
    pub line: usize,
    /// Column of the test, from 1.
    pub column: usize,
    /// What it expects and what the policy does instead.
    pub message: String,
    pub(super) at: usize,
}

impl std::fmt::Display for TestFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "line {}, column {}: {}",
            self.line, self.column, self.message
        )
    }
}

impl Policy {
    /// Runs the policy's own tests. None fail in a policy that was parsed: parsing ran them.
    pub fn run_tests(&self) -> Vec<TestFailure> {
        self.failing_tests()
    }

    /// How many tests there are.
    pub fn test_count(&self) -> usize {
        self.tests.len()
    }

    pub(super) fn failing_tests(&self) -> Vec<TestFailure> {
        self.tests
            .iter()
            .flat_map(|test| self.failures(test))
            .collect()
    }

    fn failures(&self, test: &Test) -> Vec<TestFailure> {
        let who = test.person.who();
        let mut messages = Vec::new();
        let mut accounts = BTreeSet::new();
        for (place, role) in self.roles.iter().enumerate() {
            // A test that names no address stands where the role may be asked for.
            let source = test
                .source
                .or_else(|| role.source.first().map(Cidr::address));
            let ask = Ask {
                role: Some(role.name.to_string()),
                source,
                ..Ask::default()
            };
            let decision = self.decide_for(&who, &ask);
            match &decision {
                Ok(grant) => accounts.extend(grant.accounts().iter().cloned()),
                Err(refusal) if test.may.contains(&place) => messages.push(format!(
                    "This test expects the role {}, and the policy refuses it ({}): {}",
                    role.name, refusal.rule, refusal.reason
                )),
                Err(_) => {}
            }
            if decision.is_ok() && test.may_not.contains(&place) {
                let name = &role.name;
                messages.push(format!(
                    "This test expects no role {name}, and the policy gives it."
                ));
            }
        }
        if let Some(expected) = &test.accounts
            && *expected != accounts
        {
            let (expected, there) = (names(expected), names(&accounts));
            messages.push(format!(
                "This test expects exactly the accounts {expected}, and the policy opens {there}."
            ));
        }
        if let Some(expected) = &test.rights {
            let there = self.rights_of(&who).0;
            if *expected != there {
                let (expected, there) = (names(expected), names(&there));
                messages.push(format!(
                    "This test expects exactly the rights {expected}, and the policy gives {there}."
                ));
            }
        }
        let failure = |message| TestFailure {
            line: test.line,
            column: test.column,
            message,
            at: test.at,
        };
        messages.into_iter().map(failure).collect()
    }
}

fn names<T: std::fmt::Display>(set: &BTreeSet<T>) -> String {
    let names: Vec<String> = set.iter().map(ToString::to_string).collect();
    format!("[{}]", names.join(", "))
}
