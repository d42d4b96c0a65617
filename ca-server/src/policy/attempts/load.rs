//! To have a policy load that cannot be kept, or that says something else than it seems to (A24).

use super::*;
use crate::policy::file::{GRANT, Keys, NAMED_USER, RIGHTS, ROLE, TEST, TOP, USER, USERNAME, WHO};

const GRANT_OPS: &str = "[[grants]]\ngroups = [\"Ops\"]\nroles = [\"production-observer\"]\n";

/// The faults of ROLES and what is added to it: line of the addition, kind.
fn faults(text: &str) -> Vec<(usize, Fault)> {
    let before = ROLES.lines().count();
    errors(&format!("{ROLES}{text}"))
        .iter()
        .map(|error| (error.line.saturating_sub(before), error.fault))
        .collect()
}

fn errors(text: &str) -> Vec<PolicyError> {
    match Policy::parse(text, &facts(&[IDP])) {
        Ok(_) => panic!("{text}\nloads"),
        Err(errors) => errors.iter().cloned().collect(),
    }
}

#[test]
fn empty_matcher_never_matches_everybody() {
    for matcher in [
        "groups = []",
        "groups = [\"\"]",
        "groups = [\" \"]",
        "groups = [\"Ops\", \"\"]",
        "users = []",
        "users = [{ subject = \"\" }]",
        "users = [{ subject = \" \" }]",
        "claims = {}",
        "claims = { department = \"\" }",
        "claims = { department = \" \" }",
        "claims = { \"\" = \"x\" }",
    ] {
        let text = format!("[[grants]]\n{matcher}\nroles = [\"production-admin\"]");
        assert_eq!(faults(&text), [(2, Fault::Empty)], "{matcher}");
        let text = format!("[[rights]]\n{matcher}\nmay = [\"audit\"]");
        assert_eq!(faults(&text), [(2, Fault::Empty)], "{matcher}");
    }
    assert_eq!(
        faults("[[grants]]\nroles = [\"production-admin\"]"),
        [(1, Fault::Missing)]
    );
    assert_eq!(
        faults("[[grants]]\ngroups = [\"Ops\"]\nroles = []"),
        [(3, Fault::Empty)]
    );
    assert_eq!(
        faults("[[grants]]\ngroups = [\"Ops\"]"),
        [(1, Fault::Missing)]
    );
    assert_eq!(
        faults("[[rights]]\ngroups = [\"Ops\"]\nmay = []"),
        [(3, Fault::Empty)]
    );
    assert_eq!(
        faults("[[rights]]\ngroups = [\"Ops\"]"),
        [(1, Fault::Missing)]
    );
}

#[test]
fn matcher_that_asks_in_a_way_that_is_not_exact_is_refused() {
    for (matcher, fault) in [
        ("groups = [\"*\"]", Fault::BadValue),
        ("groups = [\"Ops*\"]", Fault::BadValue),
        ("groups = [\" Ops\"]", Fault::BadValue),
        ("groups = [\"Ops\\n\"]", Fault::BadValue),
        ("groups = \"Ops\"", Fault::WrongType),
        ("groups = [1]", Fault::WrongType),
        ("groups = { Ops = true }", Fault::WrongType),
        ("users = \"alice@example.com\"", Fault::WrongType),
        ("users = [\"alice@example.com\"]", Fault::WrongType),
        ("users = [{ email = \"@example.com\" }]", Fault::BadValue),
        ("users = [{ email = \"*@example.com@\" }]", Fault::BadValue),
        ("users = [{ email = \"example.com\" }]", Fault::BadValue),
        (
            "users = [{ subject = \"a\", email = \"a@example.com\" }]",
            Fault::BadValue,
        ),
        ("users = [{}]", Fault::BadValue),
        ("users = [{ name = \"alice\" }]", Fault::UnknownKey),
        ("claims = { department = [\"a\", \"b\"] }", Fault::WrongType),
        ("claims = { department = { x = 1 } }", Fault::WrongType),
        ("claims = { level = 1.5 }", Fault::WrongType),
        ("claims = { day = 2026-01-01 }", Fault::WrongType),
        (
            "claims = { email = \"alice@example.com\" }",
            Fault::BadValue,
        ),
        ("claims = { groups = \"Ops\" }", Fault::BadValue),
        ("claims = { sub = \"x\" }", Fault::BadValue),
        ("claims = { iss = \"x\" }", Fault::BadValue),
        ("claims = { nonce = \"x\" }", Fault::BadValue),
        ("group = [\"Ops\"]", Fault::UnknownKey),
        ("Groups = [\"Ops\"]", Fault::UnknownKey),
        (
            "issuer = \"https://evil.example.com\"\ngroups = [\"Ops\"]",
            Fault::Issuer,
        ),
        (
            "issuer = \"https://idp.example.com/\"\ngroups = [\"Ops\"]",
            Fault::Issuer,
        ),
    ] {
        let text = format!("[[grants]]\n{matcher}\nroles = [\"production-admin\"]");
        let faults: Vec<Fault> = faults(&text).into_iter().map(|(_, fault)| fault).collect();
        assert!(faults.contains(&fault), "{matcher}: {faults:?}");
        assert!(faults.len() <= 2, "{matcher}: {faults:?}");
    }
}

#[test]
fn unknown_key_is_refused_wherever_it_stands() {
    for (kind, keys, text) in tables() {
        for misspelt in ["max_validty", "x", "", "Order", "\u{1b}[31m"] {
            let key = toml::Value::from(misspelt).to_string();
            let text = text.replace("KEY", &format!("{key} = 1"));
            let errors = errors(&text);
            assert!(
                errors.iter().any(|it| it.fault == Fault::UnknownKey),
                "{kind}: {errors:?}"
            );
            let told = errors.iter().map(ToString::to_string).collect::<String>();
            assert!(!told.contains('\u{1b}'), "{told:?}");
        }
        for later in keys.later {
            let text = text.replace("KEY", &format!("{later} = 1"));
            let errors = errors(&text);
            let found = errors.iter().find(|it| it.fault == Fault::NotSupportedYet);
            assert!(found.unwrap().what.contains(later), "{kind}: {errors:?}");
        }
    }
}

/// A policy of each table with a place for one more key.
fn tables() -> Vec<(&'static str, &'static Keys, String)> {
    let role = "accounts = [\"x\"]\nmax_validity = \"5m\"\n";
    let roles = format!("[roles.r]\n{role}");
    let grant = "groups = [\"Ops\"]\nroles = [\"r\"]\n";
    vec![
        ("top", &TOP, format!("KEY\n{roles}")),
        ("role", &ROLE, format!("[roles.r]\n{role}KEY")),
        (
            "username",
            &USERNAME,
            format!("{roles}[username]\nclaim = \"x\"\nKEY"),
        ),
        ("grant", &GRANT, format!("{roles}[[grants]]\n{grant}KEY")),
        (
            "rights",
            &RIGHTS,
            format!("{roles}[[rights]]\ngroups = [\"Ops\"]\nmay = [\"audit\"]\nKEY"),
        ),
        (
            "test",
            &TEST,
            format!("{roles}[[tests]]\nwho = {{}}\nmay_not = [\"r\"]\nKEY"),
        ),
        (
            "who",
            &WHO,
            format!("{roles}[[tests]]\nmay_not = [\"r\"]\n[tests.who]\nKEY"),
        ),
        (
            "user",
            &USER,
            format!("{roles}[[grants]]\nroles = [\"r\"]\nusers = [{{ subject = \"x\", KEY }}]"),
        ),
        (
            "table",
            &NAMED_USER,
            format!(
                "{roles}[username]\ntable = [{{ subject = \"x\", username = \"alice\", KEY }}]"
            ),
        ),
    ]
}

#[test]
fn policy_tables_load_without_the_extra_key() {
    let tables = tables();
    assert_eq!(tables.len(), 9);
    for (_, _, text) in tables {
        load(&text.replace(", KEY", "").replace("KEY", ""));
    }
}

#[test]
fn limit_out_of_bounds_is_refused() {
    for bad in [
        "",
        "0s",
        "0m",
        "15",
        "m",
        "15 m",
        "15M",
        "-5m",
        "+5m",
        "1.5h",
        "25h",
        "86401s",
        "1d",
        "15min",
        "5m ",
        "99999999999999999999s",
        "18446744073709551615h",
        "５m",
        "1h30m",
        "15µ",
    ] {
        let text = format!("[roles.x]\naccounts = [\"a\"]\nmax_validity = \"{bad}\"");
        assert_eq!(faults(&text), [(3, Fault::BadValue)], "{bad:?}");
        let text = format!(
            "[roles.x]\naccounts = [\"a\"]\nmax_validity = \"5m\"\nissuer_outage_grace = \"{bad}\""
        );
        assert_eq!(faults(&text), [(4, Fault::BadValue)], "{bad:?}");
    }
    for bad in ["15", "15.0", "true", "[\"15m\"]"] {
        let text = format!("[roles.x]\naccounts = [\"a\"]\nmax_validity = {bad}");
        assert_eq!(faults(&text), [(3, Fault::WrongType)], "{bad:?}");
    }
    for (good, seconds) in [
        ("1s", 1),
        ("90s", 90),
        ("015m", 900),
        ("8h", 28800),
        ("24h", 86400),
    ] {
        let policy = with(&format!(
            "[roles.x]\naccounts = [\"a\"]\nmax_validity = \"{good}\""
        ));
        assert_eq!(
            policy.role("x").unwrap().max_validity(),
            Duration::from_secs(seconds)
        );
    }
}

#[test]
fn role_that_is_not_whole_is_refused() {
    for (role, fault) in [
        ("max_validity = \"5m\"", Fault::Missing),
        ("accounts = [\"a\"]", Fault::Missing),
        ("accounts = []\nmax_validity = \"5m\"", Fault::Empty),
        (
            "accounts = [\"a\", \"a\"]\nmax_validity = \"5m\"",
            Fault::Twice,
        ),
        (
            "accounts = [\"Root\"]\nmax_validity = \"5m\"",
            Fault::BadValue,
        ),
        ("accounts = [\"*\"]\nmax_validity = \"5m\"", Fault::BadValue),
        (
            "accounts = [\"a,root\"]\nmax_validity = \"5m\"",
            Fault::BadValue,
        ),
        (
            "accounts = [\"{username}\"]\nmax_validity = \"5m\"",
            Fault::Missing,
        ),
        (
            "accounts = [\"{user}\"]\nmax_validity = \"5m\"",
            Fault::BadValue,
        ),
        (
            "accounts = [\"x-{username}\"]\nmax_validity = \"5m\"",
            Fault::BadValue,
        ),
        (
            "accounts = [\"a\"]\nmax_validity = \"5m\"\nsource = []",
            Fault::Empty,
        ),
        (
            "accounts = [\"a\"]\nmax_validity = \"5m\"\nsource = [\"10.0.0.1/8\"]",
            Fault::BadValue,
        ),
        (
            "accounts = [\"a\"]\nmax_validity = \"5m\"\nsource = [\"0.0.0.0/0\"]",
            Fault::BadValue,
        ),
        (
            "accounts = [\"a\"]\nmax_validity = \"5m\"\ndescription = \"a\\u001b\"",
            Fault::BadValue,
        ),
    ] {
        let faults: Vec<Fault> = faults(&format!("[roles.x]\n{role}"))
            .into_iter()
            .map(|(_, fault)| fault)
            .collect();
        assert_eq!(faults, [fault], "{role}");
    }
    let many: Vec<String> = (0..65).map(|n| format!("\"a{n}\"")).collect();
    let text = format!(
        "[roles.x]\naccounts = [{}]\nmax_validity = \"5m\"",
        many.join(", ")
    );
    assert_eq!(faults(&text), [(2, Fault::BadValue)]);
}

#[test]
fn permit_user_rc_is_never_given() {
    for extension in [
        "permit-user-rc",
        "no-touch-required",
        "permit-everything",
        "Permit-pty",
        "",
        "force-command",
        "permit-x11-forwarding",
        "source-address",
        "*",
    ] {
        let text = format!(
            "[roles.x]\naccounts = [\"a\"]\nmax_validity = \"5m\"\nextensions = [\"{extension}\"]"
        );
        assert_eq!(faults(&text), [(4, Fault::BadValue)], "{extension:?}");
    }
    let all: Vec<String> = Extension::ALL
        .iter()
        .map(|it| format!("\"{it}\""))
        .collect();
    let policy = with(&format!(
        "[roles.x]\naccounts = [\"a\"]\nmax_validity = \"5m\"\nextensions = [{}]",
        all.join(", ")
    ));
    assert_eq!(policy.role("x").unwrap().extensions().len(), 4);
}

#[test]
fn role_that_does_not_exist_is_refused_with_the_one_that_was_meant() {
    let text = format!("{ROLES}[[grants]]\ngroups = [\"Ops\"]\nroles = [\"production-obsever\"]");
    let errors = errors(&text);
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].fault, Fault::UnknownRole);
    assert_eq!(
        errors[0].suggestion.as_deref(),
        Some("Did you mean `production-observer`?")
    );
    assert_eq!(
        (errors[0].line, errors[0].column),
        (ROLES.lines().count() + 3, 10)
    );
    for text in [
        "order = [\"x\"]\n[roles.r]\naccounts = [\"a\"]\nmax_validity = \"5m\"",
        "[roles.r]\naccounts = [\"a\"]\nmax_validity = \"5m\"\n[[tests]]\nwho = {}\nmay_not = [\"x\"]",
    ] {
        assert_eq!(super::load::errors(text)[0].fault, Fault::UnknownRole);
    }
}

#[test]
fn policy_whose_own_test_fails_does_not_load() {
    for (test, message) in [
        (
            "may = [\"production-admin\"]",
            "expects the role production-admin, and the policy refuses",
        ),
        (
            "may_not = [\"production-observer\"]",
            "expects no role production-observer",
        ),
        (
            "accounts = []",
            "expects exactly the accounts [], and the policy opens [observer]",
        ),
        (
            "accounts = [\"observer\", \"admin\"]",
            "expects exactly the accounts [admin, observer]",
        ),
        (
            "rights = [\"audit\"]",
            "expects exactly the rights [audit], and the policy gives []",
        ),
    ] {
        let text = format!("{ROLES}{GRANT_OPS}[[tests]]\nwho = {{ groups = [\"Ops\"] }}\n{test}");
        let errors = errors(&text);
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].fault, Fault::TestFails);
        assert_eq!(errors[0].line, ROLES.lines().count() + 4);
        assert!(errors[0].what.contains(message), "{}", errors[0].what);
    }
    let good = format!(
        "{ROLES}{GRANT_OPS}[[tests]]\nwho = {{ groups = [\"Ops\"] }}\nmay = [\"production-observer\"]\n\
         may_not = [\"production-admin\"]\naccounts = [\"observer\"]\nrights = []"
    );
    assert!(load(&good).run_tests().is_empty());
    assert_eq!(load(&good).test_count(), 1);
}

#[test]
fn test_that_expects_nothing_or_of_nobody_is_refused() {
    assert_eq!(
        faults("[[tests]]\nwho = { groups = [\"Ops\"] }"),
        [(1, Fault::Missing)]
    );
    assert_eq!(
        faults("[[tests]]\nmay_not = [\"production-admin\"]"),
        [(1, Fault::Missing)]
    );
    assert_eq!(
        faults("[[tests]]\nwho = {}\nmay_not = []"),
        [(3, Fault::Empty)]
    );
    let text = "[[tests]]\nwho = {}\nsource = \"10.0.0.0/8\"\nmay_not = [\"production-admin\"]";
    assert_eq!(faults(text), [(3, Fault::BadValue)]);
}

#[test]
fn test_from_somewhere_is_asked_from_there() {
    let text = |from: &str, expected: &str| {
        format!(
            "[roles.near]\naccounts = [\"a\"]\nmax_validity = \"5m\"\nsource = [\"10.0.0.0/8\"]\n\
             [[grants]]\ngroups = [\"Ops\"]\nroles = [\"near\"]\n\
             [[tests]]\nwho = {{ groups = [\"Ops\"] }}\n{from}\n{expected} = [\"near\"]"
        )
    };
    load(&text("source = \"10.1.2.3\"", "may"));
    load(&text("source = \"11.1.2.3\"", "may_not"));
    load(&text("", "may"));
    assert_eq!(
        errors(&text("source = \"11.1.2.3\"", "may"))[0].fault,
        Fault::TestFails
    );
}

#[test]
fn what_an_issuer_can_never_say_is_refused() {
    let never = [
        "groups",
        "email",
        "amr",
        "acr",
        "acrs",
        "preferred_username",
    ]
    .map(str::to_owned);
    let silent = IssuerFact {
        issuer: IDP.into(),
        never_says: never.into(),
        ..IssuerFact::default()
    };
    let facts = IssuerFacts {
        issuers: vec![silent],
    };
    let roles = "[roles.r]\naccounts = [\"a\"]\nmax_validity = \"5m\"\n";
    for text in [
        "[[grants]]\nroles = [\"r\"]\ngroups = [\"Ops\"]",
        "[[grants]]\nroles = [\"r\"]\nusers = [{ email = \"a@example.com\" }]",
        "[[grants]]\nroles = [\"r\"]\nclaims = { amr = \"mfa\" }",
        "[[grants]]\nroles = [\"r\"]\nclaims = { acr = \"phr\" }",
        "[[grants]]\nroles = [\"r\"]\nclaims = { acrs = \"c1\" }",
        "[[rights]]\nmay = [\"audit\"]\ngroups = [\"Ops\"]",
        "[username]\nclaim = \"preferred_username\"",
        "[username]\nclaim = \"email\"\nstrip_domain = \"example.com\"",
        "[username]\ntable = [{ email = \"a@example.com\", username = \"a\" }]",
        "[[tests]]\nwho = { groups = [\"Ops\"] }\nmay_not = [\"r\"]",
        "[[tests]]\nwho = { email = \"a@example.com\" }\nmay_not = [\"r\"]",
        "[[tests]]\nwho = { claims = { amr = [\"mfa\"] } }\nmay_not = [\"r\"]",
    ] {
        let errors = Policy::parse(&format!("{roles}{text}"), &facts).unwrap_err();
        assert!(
            errors.iter().all(|it| it.fault == Fault::NeverSaid),
            "{text}\n{errors}"
        );
        assert_eq!(errors.iter().count(), 1, "{text}\n{errors}");
    }
    let text = "[[grants]]\nroles = [\"r\"]\nusers = [{ subject = \"00u1\" }]";
    assert!(Policy::parse(&format!("{roles}{text}"), &facts).is_ok());

    // The claim that groups come from never reaches the policy under its own name.
    for (path, claim, other) in [
        ("roles", "roles", "realm_access"),
        ("realm_access.roles", "realm_access", "roles"),
        (
            "https://acme.com/groups",
            "\"https://acme.com/groups\"",
            "roles",
        ),
    ] {
        let fact = IssuerFact {
            issuer: IDP.into(),
            groups_claim: Some(path.into()),
            ..IssuerFact::default()
        };
        let facts = IssuerFacts {
            issuers: vec![fact],
        };
        for text in [
            format!("[[grants]]\nroles = [\"r\"]\nclaims = {{ {claim} = \"Ops\" }}"),
            format!("[[rights]]\nmay = [\"audit\"]\nclaims = {{ {claim} = \"Ops\" }}"),
            format!("[[tests]]\nwho = {{ claims = {{ {claim} = [\"Ops\"] }} }}\nmay_not = [\"r\"]"),
            format!("[username]\nclaim = \"{}\"", claim.trim_matches('"')),
        ] {
            let errors = Policy::parse(&format!("{roles}{text}"), &facts).unwrap_err();
            assert_eq!(errors.iter().count(), 1, "{text}\n{errors}");
            let error = errors.iter().next().unwrap();
            assert_eq!(error.fault, Fault::NeverSaid, "{text}\n{errors}");
            assert_eq!(error.suggestion.as_deref(), Some("Use groups = [\"…\"]."));
        }
        for text in [
            "[[grants]]\nroles = [\"r\"]\ngroups = [\"Ops\"]".to_owned(),
            format!("[[grants]]\nroles = [\"r\"]\nclaims = {{ {other} = \"Ops\" }}"),
        ] {
            let loaded = Policy::parse(&format!("{roles}{text}"), &facts);
            assert!(loaded.is_ok(), "{path}: {text}");
        }
    }

    // Nor does anything that is the protocol's own.
    let protocol = crate::identity::provider::PROTOCOL;
    for claim in protocol {
        let text = format!("[[grants]]\nroles = [\"r\"]\nclaims = {{ {claim} = \"x\" }}");
        let loaded = Policy::parse(&format!("{roles}{text}"), &IssuerFacts::default());
        let checked = ["acr", "amr", "acrs"].contains(&claim);
        assert_eq!(loaded.is_ok(), checked, "{claim}");
    }
}

/// A policy that names the right would open nothing: the route is the socket's alone.
#[test]
fn the_right_to_a_backup_is_refused() {
    let roles = "[roles.r]\naccounts = [\"a\"]\nmax_validity = \"5m\"\n";
    for text in [
        "[[rights]]\ngroups = [\"Ops\"]\nmay = [\"audit\", \"backup\"]",
        "[[tests]]\nwho = { groups = [\"Ops\"] }\nrights = [\"backup\"]",
    ] {
        let errors = Policy::parse(&format!("{roles}{text}"), &facts(&[IDP])).unwrap_err();
        let told = errors.to_string();
        assert!(
            told.contains("backups are made on the CA's machine"),
            "{told}"
        );
    }
}

#[test]
fn one_of_several_issuers_must_be_named() {
    let text = format!(
        "{ROLES}{GRANT_OPS}[[rights]]\ngroups = [\"x\"]\nmay = [\"audit\"]\n\
        [username]\nclaim = \"x\"\n[[tests]]\nwho = {{}}\nmay_not = [\"production-admin\"]"
    );
    assert!(Policy::parse(&text, &facts(&[IDP])).is_ok());
    let errors = Policy::parse(&text, &facts(&[IDP, OTHER])).unwrap_err();
    assert_eq!(
        errors.iter().map(|it| it.fault).collect::<Vec<_>>(),
        [Fault::Issuer; 4]
    );
}

#[test]
fn bare_file_is_checked_against_the_issuers_that_it_names() {
    let nothing = IssuerFacts::default();
    assert!(Policy::parse(&format!("{ROLES}{GRANT_OPS}"), &nothing).is_ok());
    let policy = Policy::parse(&example(IDP, &[]), &nothing).unwrap();
    assert!(
        policy
            .decide(&person(&["Ops"]), &Ask::default(), NOW)
            .is_ok()
    );
    let policy = Policy::parse(&format!("{ROLES}{GRANT_OPS}"), &nothing).unwrap();
    assert!(
        policy
            .decide(&person(&["Ops"]), &Ask::default(), NOW)
            .is_err(),
        "no token is of it"
    );
}

#[test]
fn usernames_that_nobody_can_read_out_of_the_policy_are_refused() {
    let roles = "[roles.r]\naccounts = [\"{username}\"]\nmax_validity = \"5m\"\n";
    for (text, fault) in [
        ("[username]", Fault::Missing),
        ("[username]\nclaim = \"\"", Fault::Empty),
        ("[username]\nclaim = \"groups\"", Fault::BadValue),
        ("[username]\nclaim = \"email\"", Fault::Missing),
        (
            "[username]\nclaim = \"x\"\nstrip_domain = \"@example.com\"",
            Fault::BadValue,
        ),
        (
            "[username]\nclaim = \"x\"\nstrip_domain = \"Example.com\"",
            Fault::BadValue,
        ),
        (
            "[username]\nclaim = \"x\"\nstrip_domain = \"\"",
            Fault::BadValue,
        ),
        ("[username]\nclaim = \"x\"\ntable = []", Fault::Twice),
        ("[username]\ntable = []", Fault::Empty),
        ("[username]\ntable = [{ subject = \"x\" }]", Fault::Missing),
        (
            "[username]\ntable = [{ username = \"alice\" }]",
            Fault::BadValue,
        ),
        (
            "[username]\ntable = [{ subject = \"x\", username = \"Alice\" }]",
            Fault::BadValue,
        ),
        ("[username]\ntable = { x = \"alice\" }", Fault::WrongType),
        (
            "[username]\ntable = [{ subject = \"x\", username = \"a\" }, \
             { subject = \"x\", username = \"b\" }]",
            Fault::Twice,
        ),
        (
            "[[username]]\nclaim = \"x\"\n[[username]]\nclaim = \"y\"",
            Fault::Twice,
        ),
        ("username = \"claim\"", Fault::WrongType),
    ] {
        let text = if text.starts_with("username") {
            format!("{text}\n{roles}")
        } else {
            format!("{roles}{text}")
        };
        let faults: Vec<Fault> = errors(&text).iter().map(|it| it.fault).collect();
        assert!(faults.contains(&fault), "{text}: {faults:?}");
    }
}

#[test]
fn role_on_own_accounts_for_an_issuer_without_usernames_is_refused() {
    let text = format!(
        "[[username]]\nissuer = \"{OTHER}\"\nclaim = \"x\"\n\
         [roles.dev]\naccounts = [\"{{username}}\"]\nmax_validity = \"5m\"\n\
         [[grants]]\nissuer = \"{IDP}\"\ngroups = [\"Ops\"]\nroles = [\"dev\"]"
    );
    let errors = Policy::parse(&text, &facts(&[IDP, OTHER])).unwrap_err();
    assert_eq!(
        errors.iter().map(|it| it.fault).collect::<Vec<_>>(),
        [Fault::Missing]
    );
}

#[test]
fn rights_that_do_not_exist_yet_or_ever_are_refused() {
    for (right, fault) in [
        ("approve", Fault::NotSupportedYet),
        ("lock", Fault::BadValue),
        ("sessions", Fault::NotSupportedYet),
        ("*", Fault::BadValue),
        ("all", Fault::BadValue),
        ("Audit", Fault::BadValue),
        ("", Fault::BadValue),
    ] {
        let text = format!("[[rights]]\ngroups = [\"Ops\"]\nmay = [\"audit\", \"{right}\"]");
        assert_eq!(faults(&text), [(3, fault)], "{right:?}");
    }
}

#[test]
fn half_a_file_is_not_a_policy() {
    for text in [
        "",
        "\n",
        "# nothing",
        "order = []",
        "[roles]",
        "[[tests]]\nwho = {}",
    ] {
        assert!(Policy::parse(text, &facts(&[IDP])).is_err(), "{text:?}");
    }
    let whole = example(IDP, &[]);
    let whole = whole.as_bytes();
    for end in 0..whole.len() {
        let _ = Policy::parse_bytes(&whole[..end], &facts(&[IDP]));
    }
    let errors = Policy::parse_bytes(b"order = []\n# \xff", &facts(&[IDP])).unwrap_err();
    let error = errors.iter().next().unwrap();
    assert_eq!(
        (error.line, error.column, error.fault),
        (2, 3, Fault::Syntax)
    );
    let large = vec![b'#'; 5 * 1024 * 1024];
    assert!(Policy::parse_bytes(&large, &facts(&[IDP])).is_err());
    let deep = format!("a = {}", "[".repeat(100_000));
    assert!(Policy::parse(&deep, &facts(&[IDP])).is_err());
}

#[test]
fn all_faults_are_told_at_once_in_the_order_of_the_file() {
    let text = "order = [\"a\", \"x\"]\n[roles.a]\naccounts = [\"A\"]\nmax_validity = \"5 m\"\n\
                extensions = [\"permit-ptty\"]\n[[grants]]\ngroups = [\"\"]\nroles = [\"b\"]\n\
                [[rights]]\nmay = [\"adit\"]\n";
    let told = Policy::parse(text, &facts(&[IDP])).unwrap_err().to_string();
    assert_eq!(
        told,
        "line 1, column 15: `order` names \"x\", which is no role of this policy. A role that does \
         not exist would be granted to nobody.\n\
         line 3, column 13: \"A\" is no account: a name cannot begin with 'A'. Names and limits are \
         exact. Did you mean `a`?\n\
         line 4, column 16: `max_validity` cannot be \"5 m\". Names and limits are exact. Write a \
         whole number with s, m or h: \"15m\".\n\
         line 5, column 15: \"permit-ptty\" is no extension of a certificate. Names and limits are \
         exact. Did you mean `permit-pty`?\n\
         line 7, column 11: A group cannot be \"\". Whether that means nobody or everybody would be \
         a guess.\n\
         line 8, column 10: `grants[1]` names \"b\", which is no role of this policy. A role that \
         does not exist would be granted to nobody.\n\
         line 9, column 1: `rights[1]` says of nobody whom it is for. Nothing is implied in a \
         policy. Add groups = [\"…\"], users or claims.\n\
         line 10, column 8: \"adit\" is no right. Names and limits are exact. Did you mean `audit`?"
    );
}

#[test]
fn thousands_of_faults_are_capped_and_counted() {
    let text: String = (0..5000).map(|n| format!("key{n} = 1\n")).collect();
    let errors = Policy::parse(&text, &facts(&[IDP])).unwrap_err();
    assert_eq!(errors.iter().count(), error::MOST_ERRORS);
    assert!(errors.more() >= 4950);
    assert!(
        errors
            .to_string()
            .ends_with(&format!("and {} more", errors.more()))
    );
}

#[test]
fn digest_is_of_the_bytes() {
    let (one, two) = (load(ROLES), load(&format!("{ROLES}# x")));
    assert_ne!(one.digest(), two.digest());
    assert_eq!(one.digest().len(), 64);
    assert_eq!(one.text(), ROLES);
    assert_eq!(
        digest::of(b"abc"),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}

#[test]
fn example_loads_and_does_what_its_grants_say() {
    let policy = load(&example(IDP, &[]));
    assert_eq!(policy.test_count(), 3);
    let grant = granted(&policy, &person(&["Ops"]), &Ask::default());
    assert_eq!(grant.role().as_str(), "production-observer");
    assert_eq!(grant.validity(), Duration::from_secs(900));
    let grant = granted(&policy, &person(&["SRE"]), &Ask::default());
    assert_eq!(grant.validity(), Duration::from_secs(300));
    for grants in [
        vec!["Ops=production-observer:observer"],
        vec![
            "Ops=observer:observer,auditor",
            "SRE=admin:root",
            "Ops=admin:admin",
        ],
        vec!["Ops=dev:{username}", "Ops=ops:ops,alice"],
        vec![
            "a=\"b\\=x:y",
            "/Ops/EU=x:z",
            "Grüße 'x' # {}=x:y",
            "https://x/[y]=q:y",
        ],
    ] {
        let grants: Vec<ExampleGrant> = grants.iter().map(|text| text.parse().unwrap()).collect();
        let policy = load(&example(IDP, &grants));
        for grant in grants {
            let mut who = person(&[&grant.group]);
            who.claims.insert("preferred_username".into(), "zoe".into());
            assert!(gets(&policy, &who, grant.role.as_str()), "{grant:?}");
        }
        assert!(
            policy
                .decide(&person(&["other"]), &Ask::default(), NOW)
                .is_err()
        );
    }
}

#[test]
fn example_for_an_issuer_without_groups_names_people() {
    let never = ["groups", "preferred_username", "amr"]
        .map(str::to_owned)
        .into();
    let google = IssuerFacts {
        issuers: vec![IssuerFact {
            issuer: IDP.into(),
            never_says: never,
            ..IssuerFact::default()
        }],
    };
    for grants in [
        vec![],
        vec![
            "alice@example.com=production-observer:observer",
            "alice@example.com=dev:{username}",
        ],
        vec![
            "A.Smith+x@example.com=dev:{username}",
            "9@example.com=dev:{username}",
        ],
    ] {
        let grants: Vec<ExampleGrant> = grants.iter().map(|text| text.parse().unwrap()).collect();
        let text = example_for_people(IDP, &grants);
        let policy = Policy::parse(&text, &google).unwrap_or_else(|e| panic!("{text}\n{e}"));
        let mut who = person(&["alice@example.com"]);
        assert!(policy.decide(&who, &Ask::default(), NOW).is_err());
        let address = grants
            .first()
            .map_or("alice@example.com", |grant| &grant.group);
        who.email = email(address);
        assert!(policy.decide(&who, &Ask::default(), NOW).is_ok(), "{text}");
    }
    assert!(Policy::parse(&example(IDP, &[]), &google).is_err());
}

#[test]
fn grant_on_a_command_line_that_is_none_is_refused() {
    for bad in [
        "",
        "Ops",
        "Ops=",
        "=r:a",
        "Ops=r",
        "Ops=r:",
        "Ops=:a",
        "Ops=R:a",
        "Ops=r:A",
        "Ops=r:a,",
        "*=r:a",
        " Ops=r:a",
        "Ops=r:a b",
        "Ops=r:a:b",
        "O\nps=r:a",
        "Ops=r:{user}",
    ] {
        assert!(bad.parse::<ExampleGrant>().is_err(), "{bad:?}");
    }
}
