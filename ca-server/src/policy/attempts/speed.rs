//! A decision costs what the person brings, not what the policy has. Counted, not timed: a clock
//! in a test fails on a busy machine. The times are in docs/performance.md.

use std::fmt::Write as _;

use super::*;

fn large() -> Policy {
    let mut text = String::new();
    for role in 0..1_000 {
        let _ = writeln!(
            text,
            "[roles.role-{role}]\naccounts = [\"a{role}\"]\nmax_validity = \"5m\""
        );
    }
    for grant in 0..10_000 {
        let (group, role) = (grant % 5_000, (grant * 7) % 1_000);
        let _ = writeln!(
            text,
            "[[grants]]\ngroups = [\"group-{group}\"]\nroles = [\"role-{role}\"]"
        );
    }
    load(&text)
}

#[test]
fn ten_thousand_grants_are_not_looked_at_for_somebody_with_ten_groups() {
    let policy = large();
    let groups: Vec<String> = (0..10).map(|n| format!("group-{}", n * 10)).collect();
    let mut who = person(&groups.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(gets(&policy, &who, "role-0"));
    assert!(!gets(&policy, &who, "role-1"));
    // Ten groups, each in two grants of the same role.
    assert_eq!(policy.grants.cost(&Who::from(&who)), 10 + 10);
    who.groups = [Group::new("none")].into();
    assert_eq!(policy.grants.cost(&Who::from(&who)), 0);
    who.issuer = Issuer::new(OTHER);
    assert_eq!(policy.grants.cost(&Who::from(&who)), 0);
}
