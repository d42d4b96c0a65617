//! A decision costs what the person brings, not what the policy has.

use std::fmt::Write as _;
use std::time::Instant;

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
fn thousand_roles_and_ten_thousand_grants_do_not_slow_a_decision() {
    let policy = large();
    let groups: Vec<String> = (0..500).map(|n| format!("group-{}", n * 10)).collect();
    let who = person(&groups.iter().map(String::as_str).collect::<Vec<_>>());
    let (held, first) = (ask("role-0"), Ask::default());
    let not_held = ask("role-1");
    assert!(policy.decide(&who, &held, NOW).is_ok());
    assert!(policy.decide(&who, &not_held, NOW).is_err());
    for (name, ask) in [("held", held), ("not held", not_held), ("first", first)] {
        let start = Instant::now();
        for _ in 0..100 {
            let _ = std::hint::black_box(policy.decide(&who, &ask, NOW));
        }
        let each = start.elapsed() / 100;
        println!("{name}: {each:?} (unoptimised)");
        // Less than 50 µs in a release build (docs/performance.md); this build is some twenty times
        // slower, and looking at every grant would be another ten.
        assert!(each < Duration::from_millis(5), "{name}: {each:?}");
    }
}
