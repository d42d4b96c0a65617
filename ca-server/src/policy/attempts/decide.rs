//! To get what the policy does not give.

use serde_json::json;

use super::*;

#[test]
fn ops_become_observers_for_fifteen_minutes_and_nothing_more() {
    let grant = granted(&ops(), &person(&["Ops", "Staff"]), &Ask::default());
    assert_eq!(grant.role().as_str(), "production-observer");
    assert_eq!(texts(grant.principals()), ["role:production-observer"]);
    assert_eq!(texts(grant.accounts()), ["observer"]);
    assert_eq!(grant.validity(), Duration::from_secs(900));
    assert_eq!(
        grant
            .extensions()
            .iter()
            .map(|it| it.name())
            .collect::<Vec<_>>(),
        ["permit-pty"]
    );
    assert!(grant.source().is_empty() && grant.username().is_none());
    assert_eq!(grant.policy_digest(), ops().digest());
}

#[test]
fn somebody_without_the_group_reads_who_has_it() {
    let refusal = refused(&ops(), &person(&["Staff"]), &ask("production-observer"));
    assert_eq!(refusal.rule, "groups");
    assert_eq!(
        refusal.role.as_ref().unwrap().as_str(),
        "production-observer"
    );
    assert_eq!(
        refusal.reason,
        "Nothing that your sign-in says gives you the role production-observer."
    );
    assert_eq!(
        refusal.help,
        "Members of the group \"Ops\" get it: ask whoever manages groups at \
         https://idp.example.com."
    );
    let refusal = refused(&ops(), &person(&[]), &Ask::default());
    assert_eq!(
        refusal.reason,
        "Your sign-in came with no groups, and nothing else in it gives you a role."
    );
}

/// A23
#[test]
fn group_that_only_looks_like_the_one_granted_is_not_it() {
    let policy = with("[[grants]]\ngroups = [\"admins\"]\nroles = [\"production-admin\"]");
    assert!(gets(&policy, &person(&["admins"]), "production-admin"));
    for group in [
        "/admins",
        "admins/",
        "intern/admins",
        "/intern/admins",
        "admins-readonly",
        "Admins",
        "ADMINS",
        " admins",
        "admins ",
        "admin",
        "admins\0",
        "admins\n",
        "аdmins",
        "adm",
        "",
        "admins,other",
        "[\"admins\"]",
        "*",
    ] {
        assert!(
            !gets(&policy, &person(&[group]), "production-admin"),
            "{group:?}"
        );
    }
}

/// A23: the path of a nested group, and a group of that name.
#[test]
fn parent_or_child_of_a_granted_group_path_is_not_it() {
    let policy = with("[[grants]]\ngroups = [\"/test/lead\"]\nroles = [\"production-admin\"]");
    for group in [
        "/test",
        "/test/lead/x",
        "test/lead",
        "lead",
        "/test/leader",
        "/test/lead/",
    ] {
        assert!(
            !gets(&policy, &person(&[group]), "production-admin"),
            "{group:?}"
        );
    }
}

/// A20
#[test]
fn same_group_subject_or_address_at_another_issuer_is_somebody_else() {
    let text = format!(
        "{ROLES}
        [[grants]]
        issuer = \"{IDP}\"
        groups = [\"Ops\"]
        roles = [\"production-observer\"]
        [[grants]]
        issuer = \"{IDP}\"
        users = [{{ subject = \"00u1\" }}, {{ email = \"alice@example.com\" }}]
        roles = [\"production-admin\"]"
    );
    let policy = Policy::parse(&text, &facts(&[IDP, OTHER])).unwrap();
    let mut who = person(&["Ops"]);
    who.email = email("alice@example.com");
    assert!(gets(&policy, &who, "production-observer"));
    assert!(gets(&policy, &who, "production-admin"));
    for issuer in [
        OTHER,
        "https://idp.example.com/",
        "https://IDP.example.com",
        "",
    ] {
        who.issuer = Issuer::new(issuer);
        assert!(!gets(&policy, &who, "production-observer"), "{issuer}");
        assert!(!gets(&policy, &who, "production-admin"), "{issuer}");
    }
}

/// A20
#[test]
fn address_in_a_claim_or_a_group_is_not_a_verified_address() {
    let policy = with(
        "[[grants]]\nusers = [{ email = \"alice@example.com\" }]\nroles = [\"production-admin\"]",
    );
    let mut who = person(&["alice@example.com"]);
    who.subject = Subject::new("alice@example.com");
    who.claims
        .insert("email".into(), json!("alice@example.com"));
    who.claims.insert("email_verified".into(), json!(true));
    assert!(!gets(&policy, &who, "production-admin"));
    who.email = email("alice@EXAMPLE.com");
    assert!(
        gets(&policy, &who, "production-admin"),
        "domains have no case"
    );
}

/// A21
#[test]
fn address_that_only_resembles_the_granted_one_is_not_it() {
    let policy = with(
        "[[grants]]\nusers = [{ email = \"alice@example.com\" }]\nroles = [\"production-admin\"]",
    );
    for other in [
        "Alice@example.com",
        "alice@sub.example.com",
        "alice@exampleXcom",
        "malice@example.com",
        "alice+x@example.com",
        "alice@example.co",
        "alice@evilexample.com",
    ] {
        let mut who = person(&[]);
        who.email = email(other);
        assert!(!gets(&policy, &who, "production-admin"), "{other}");
    }
}

#[test]
fn subject_as_group_and_group_as_subject_do_not_count() {
    let policy = with(
        "[[grants]]\nusers = [{ subject = \"Ops\" }]\nroles = [\"production-admin\"]\n\
         [[grants]]\ngroups = [\"00u1\"]\nroles = [\"production-observer\"]",
    );
    assert!(!gets(&policy, &person(&["Ops"]), "production-admin"));
    assert!(!gets(&policy, &person(&["Ops"]), "production-observer"));
}

#[test]
fn claim_of_another_type_or_shape_does_not_match() {
    let policy = with(
        "[[grants]]\nclaims = { department = \"sre\", contractor = false, level = 3 }\n\
         roles = [\"production-admin\"]",
    );
    let good = || {
        let mut who = says("department", json!("sre"));
        who.claims.insert("contractor".into(), json!(false));
        who.claims.insert("level".into(), json!(3));
        who
    };
    assert!(gets(&policy, &good(), "production-admin"));
    let mut listed = good();
    listed
        .claims
        .insert("department".into(), json!(["dev", "sre"]));
    assert!(
        gets(&policy, &listed, "production-admin"),
        "a list that contains it"
    );
    for (claim, value) in [
        ("department", json!("SRE")),
        ("department", json!("sre ")),
        ("department", json!("")),
        ("department", json!(null)),
        ("department", json!({ "sre": true })),
        ("department", json!([["sre"]])),
        ("department", json!([])),
        ("department", json!("s,sre")),
        ("contractor", json!("false")),
        ("contractor", json!(0)),
        ("contractor", json!(null)),
        ("contractor", json!(true)),
        ("level", json!("3")),
        ("level", json!(3.5)),
        ("level", json!(4)),
        ("level", json!(true)),
        ("level", json!(-3)),
    ] {
        let mut who = good();
        who.claims.insert(claim.into(), value.clone());
        assert!(
            !gets(&policy, &who, "production-admin"),
            "{claim} = {value}"
        );
        who.claims.remove(claim);
        assert!(!gets(&policy, &who, "production-admin"), "without {claim}");
    }
}

#[test]
fn half_of_a_grant_with_two_conditions_is_not_enough() {
    let policy = with(
        "[[grants]]\ngroups = [\"Ops\"]\nusers = [{ subject = \"00u1\" }]\n\
         claims = { department = \"sre\" }\nroles = [\"production-admin\"]",
    );
    let mut who = person(&["Ops"]);
    who.claims.insert("department".into(), json!("sre"));
    assert!(gets(&policy, &who, "production-admin"));
    let mut other = who.clone();
    other.subject = Subject::new("00u2");
    assert!(!gets(&policy, &other, "production-admin"));
    let mut other = who.clone();
    other.groups.clear();
    assert!(!gets(&policy, &other, "production-admin"));
    let mut other = who;
    other.claims.clear();
    assert!(!gets(&policy, &other, "production-admin"));
}

#[test]
fn weak_sign_in_does_not_get_what_asks_for_a_strong_one() {
    let policy = with(
        "[[grants]]\ngroups = [\"Ops\"]\nclaims = { amr = \"hwk\", acr = \"phr\", acrs = \"c1\" }\n\
         roles = [\"production-admin\"]",
    );
    let mut who = person(&["Ops"]);
    who.claims.insert("amr".into(), json!(["hwk"]));
    who.claims.insert("acr".into(), json!("phr"));
    who.claims.insert("acrs".into(), json!(["c1"]));
    assert!(
        !gets(&policy, &who, "production-admin"),
        "only what identity has checked counts"
    );
    who.amr = vec!["pwd".into(), "hwk".into()];
    who.acr = Some("phr".into());
    assert!(!gets(&policy, &who, "production-admin"));
    who.acrs = vec!["c1".into()];
    assert!(gets(&policy, &who, "production-admin"));
}

/// A26
#[test]
fn decision_leaves_nothing_behind_for_the_next_person() {
    let policy = ops();
    let (in_it, out_of_it) = (person(&["Ops"]), person(&["Staff"]));
    for _ in 0..1000 {
        assert!(gets(&policy, &in_it, "production-observer"));
        assert!(!gets(&policy, &out_of_it, "production-observer"));
    }
    let mut left = in_it;
    left.groups.clear();
    assert!(
        !gets(&policy, &left, "production-observer"),
        "same person, group gone"
    );
}

/// A28
#[test]
fn asking_for_more_gives_no_more() {
    let policy = ops();
    let who = person(&["Ops"]);
    let plain = granted(&policy, &who, &ask("production-observer"));
    let year = Some(Duration::from_secs(365 * 24 * 3600));
    let greedy = Ask {
        validity: year,
        ..ask("production-observer")
    };
    assert_eq!(granted(&policy, &who, &greedy), plain);
    for account in [
        "root",
        "admin",
        "*",
        "",
        "observer,root",
        "observer root",
        "Observer",
        "role:x",
    ] {
        let greedy = Ask {
            account: Some(account.into()),
            ..ask("production-observer")
        };
        assert_eq!(
            refused(&policy, &who, &greedy).rule,
            "account",
            "{account:?}"
        );
        let greedy = Ask {
            account: Some(account.into()),
            ..Ask::default()
        };
        assert!(policy.decide(&who, &greedy, NOW).is_err(), "{account:?}");
    }
    for role in [
        "",
        "*",
        "PRODUCTION-OBSERVER",
        "production-observer ",
        "role:production-observer",
    ] {
        assert_eq!(refused(&policy, &who, &ask(role)).rule, "role", "{role:?}");
    }
}

#[test]
fn asking_for_less_is_kept() {
    let policy = ops();
    let who = person(&["Ops"]);
    let short = |millis| Ask {
        validity: Some(Duration::from_millis(millis)),
        ..Ask::default()
    };
    assert_eq!(
        granted(&policy, &who, &short(60_000)).validity(),
        Duration::from_secs(60)
    );
    assert_eq!(
        granted(&policy, &who, &short(1_999)).validity(),
        Duration::from_secs(1)
    );
    for nothing in [0, 1, 999] {
        assert_eq!(
            refused(&policy, &who, &short(nothing)).rule,
            "validity",
            "{nothing}"
        );
    }
}

#[test]
fn plain_ssh_takes_the_first_role_by_order_that_opens_the_account() {
    let policy = with(
        "[[grants]]\ngroups = [\"Ops\"]\nroles = [\"production-admin\", \"production-observer\"]",
    );
    let who = person(&["Ops"]);
    assert_eq!(
        granted(&policy, &who, &Ask::default()).role().as_str(),
        "production-observer"
    );
    let root = Ask {
        account: Some("root".into()),
        ..Ask::default()
    };
    assert_eq!(
        granted(&policy, &who, &root).role().as_str(),
        "production-admin"
    );
    let names: Vec<_> = policy
        .roles(&who, &root, NOW)
        .iter()
        .map(|(role, _)| role.name().to_string())
        .collect();
    assert_eq!(names, ["production-observer", "production-admin"]);
}

#[test]
fn account_of_a_role_that_is_not_held_names_who_holds_it() {
    let policy = with(
        "[[grants]]\ngroups = [\"Ops\"]\nroles = [\"production-observer\"]\n\
         [[grants]]\ngroups = [\"SRE\"]\nroles = [\"production-admin\"]",
    );
    let root = Ask {
        account: Some("root".into()),
        ..Ask::default()
    };
    let refusal = refused(&policy, &person(&["Ops"]), &root);
    assert_eq!(refusal.rule, "groups");
    assert_eq!(refusal.role.as_ref().unwrap().as_str(), "production-admin");
    assert!(
        refusal.help.contains("Members of the group \"SRE\" get it"),
        "{}",
        refusal.help
    );
}

const OWN: &str = "
[username]
claim = \"preferred_username\"
[roles.dev]
accounts = [\"{username}\"]
max_validity = \"1h\"
[roles.mixed]
accounts = [\"shared\", \"{username}\"]
max_validity = \"1h\"
[[grants]]
groups = [\"Staff\"]
roles = [\"dev\", \"mixed\"]
";

#[test]
fn own_account_is_in_the_principal_so_that_no_colleague_has_it() {
    let policy = load(OWN);
    let grant = granted(
        &policy,
        &says("preferred_username", json!("alice")),
        &ask("dev"),
    );
    assert_eq!(texts(grant.principals()), ["role:dev+alice"]);
    assert_eq!(texts(grant.accounts()), ["alice"]);
    assert_eq!(grant.username().unwrap().as_str(), "alice");
}

/// A27
#[test]
fn claim_that_is_no_plain_account_of_a_person_gives_none() {
    let policy = load(OWN);
    let names = [
        "root",
        "daemon",
        "nobody",
        "postgres",
        "www-data",
        "systemd-network",
        "_apt",
        "admin",
        "ubuntu",
        "-oProxyCommand=x",
        "../x",
        "a b",
        "a#b",
        "a,b",
        "a\nb",
        "a\0b",
        "Alice",
        "alice ",
        " alice",
        "alice@example.com",
        "a*",
        "a?",
        "älice",
        "аlice",
        "",
        "a:b",
        "a+b",
        "alice.smith",
        "0alice",
        "shared",
        "$(id)",
        "{username}",
        "%u",
    ];
    for name in names
        .map(str::to_owned)
        .into_iter()
        .chain(["a".repeat(33), "a".repeat(300)])
    {
        let who = says("preferred_username", json!(name));
        let refusal = refused(&policy, &who, &ask("dev"));
        assert_eq!(refusal.rule, "username", "{name:?}");
        assert!(!refusal.reason.chars().any(char::is_control), "{refusal:?}");
        assert!(refusal.reason.len() < 400, "{refusal:?}");
    }
    for value in [
        json!(["alice"]),
        json!(null),
        json!(1),
        json!({ "name": "alice" }),
    ] {
        let who = says("preferred_username", value);
        assert_eq!(refused(&policy, &who, &ask("dev")).rule, "username");
    }
    assert_eq!(
        refused(&policy, &person(&["Staff"]), &ask("dev")).rule,
        "username"
    );
}

#[test]
fn account_asked_for_narrows_a_role_with_several() {
    let policy = load(OWN);
    let who = says("preferred_username", json!("alice"));
    let for_account = |account: &str| Ask {
        account: Some(account.into()),
        ..ask("mixed")
    };
    let both = granted(&policy, &who, &ask("mixed"));
    assert_eq!(texts(both.principals()), ["role:mixed", "role:mixed+alice"]);
    let own = granted(&policy, &who, &for_account("alice"));
    assert_eq!(texts(own.principals()), ["role:mixed+alice"]);
    assert_eq!(texts(own.accounts()), ["alice"]);
    let shared = granted(&policy, &who, &for_account("shared"));
    assert_eq!(texts(shared.principals()), ["role:mixed"]);
    assert!(shared.username().is_none());
    assert_eq!(refused(&policy, &who, &for_account("bob")).rule, "account");
    // Without an own account the shared one is still there for those who name it.
    let nameless = person(&["Staff"]);
    assert_eq!(refused(&policy, &nameless, &ask("mixed")).rule, "username");
    assert!(
        refused(&policy, &nameless, &ask("mixed"))
            .help
            .contains("account shared")
    );
    let grant = granted(&policy, &nameless, &for_account("shared"));
    assert_eq!(texts(grant.principals()), ["role:mixed"]);
}

#[test]
fn domain_is_cut_off_only_when_it_is_exactly_that_one() {
    let text = OWN.replace(
        "claim = \"preferred_username\"",
        "claim = \"preferred_username\"\nstrip_domain = \"example.com\"",
    );
    let policy = load(&text);
    let grant = granted(
        &policy,
        &says("preferred_username", json!("alice@example.com")),
        &ask("dev"),
    );
    assert_eq!(texts(grant.accounts()), ["alice"]);
    for name in [
        "alice",
        "alice@",
        "@example.com",
        "alice@EXAMPLE.com",
        "alice@sub.example.com",
        "alice@evil.com@example.com",
        "alice@example.com@evil.com",
        "alice@evilexample.com",
        "alice@example.com.",
        "alice@example.com ",
        "root@example.com",
        "alice@еxample.com",
    ] {
        let who = says("preferred_username", json!(name));
        assert_eq!(
            refused(&policy, &who, &ask("dev")).rule,
            "username",
            "{name:?}"
        );
    }
}

#[test]
fn table_gives_only_those_who_stand_in_it_their_account() {
    let text = OWN.replace(
        "claim = \"preferred_username\"",
        "table = [{ subject = \"00u1\", username = \"alice\" }, \
         { email = \"bob@example.com\", username = \"bob\" }]",
    );
    let policy = load(&text);
    let mut who = says("preferred_username", json!("root"));
    assert_eq!(
        texts(granted(&policy, &who, &ask("dev")).accounts()),
        ["alice"]
    );
    who.subject = Subject::new("00u2");
    assert_eq!(refused(&policy, &who, &ask("dev")).rule, "username");
    who.email = email("bob@example.com");
    assert_eq!(
        texts(granted(&policy, &who, &ask("dev")).accounts()),
        ["bob"]
    );
    who.subject = Subject::new("bob@example.com");
    who.email = None;
    assert_eq!(
        refused(&policy, &who, &ask("dev")).rule,
        "username",
        "a subject is no address"
    );
}

#[test]
fn two_people_of_two_issuers_do_not_share_an_own_account_by_accident() {
    let text = "
        [[username]]
        issuer = \"https://idp.example.com\"
        claim = \"preferred_username\"
        [roles.dev]
        accounts = [\"{username}\", \"shared\"]
        max_validity = \"1h\"
        [[grants]]
        issuer = \"https://idp.example.com\"
        groups = [\"Staff\"]
        roles = [\"dev\"]
        [[grants]]
        issuer = \"https://other.example.com\"
        groups = [\"Staff\"]
        roles = [\"dev\"]";
    let policy = Policy::parse(text, &facts(&[IDP, OTHER])).unwrap();
    let mut who = says("preferred_username", json!("alice"));
    let alice = Ask {
        account: Some("alice".into()),
        ..ask("dev")
    };
    assert!(policy.decide(&who, &alice, NOW).is_ok());
    who.issuer = Issuer::new(OTHER);
    assert_eq!(refused(&policy, &who, &alice).rule, "username");
}

#[test]
fn simple_mode_puts_accounts_and_nothing_else_into_the_certificate() {
    let text = format!("principals = \"accounts\"\n{OWN}");
    let policy = load(&text);
    let who = says("preferred_username", json!("alice"));
    assert_eq!(
        texts(granted(&policy, &who, &ask("dev")).principals()),
        ["alice"]
    );
    assert_eq!(
        texts(granted(&policy, &who, &ask("mixed")).principals()),
        ["shared", "alice"]
    );
    let one = Ask {
        account: Some("alice".into()),
        ..ask("mixed")
    };
    assert_eq!(texts(granted(&policy, &who, &one).principals()), ["alice"]);
    let root = says("preferred_username", json!("root"));
    assert_eq!(refused(&policy, &root, &ask("dev")).rule, "username");
}

/// A58
#[test]
fn role_called_root_is_not_the_account_root() {
    let policy = load(
        "[roles.root]\naccounts = [\"observer\"]\nmax_validity = \"5m\"\n\
         [[grants]]\ngroups = [\"Ops\"]\nroles = [\"root\"]",
    );
    let grant = granted(&policy, &person(&["Ops"]), &Ask::default());
    assert_eq!(texts(grant.principals()), ["role:root"]);
    assert!(AccountName::new(grant.principals()[0].as_str()).is_err());
}

#[test]
fn ask_from_outside_of_the_roles_networks_is_refused() {
    let policy = with(
        "[roles.near]\naccounts = [\"observer\"]\nmax_validity = \"5m\"\n\
         source = [\"10.0.0.0/8\", \"2001:db8::/32\"]\n\
         [[grants]]\ngroups = [\"Ops\"]\nroles = [\"near\"]",
    );
    let from = |address: &str| Ask {
        source: Some(address.parse().unwrap()),
        ..ask("near")
    };
    let who = person(&["Ops"]);
    for inside in [
        "10.0.0.0",
        "10.255.255.255",
        "::ffff:10.1.2.3",
        "2001:db8::1",
    ] {
        let grant = granted(&policy, &who, &from(inside));
        let source: Vec<_> = grant.source().iter().map(ToString::to_string).collect();
        assert_eq!(source, ["10.0.0.0/8", "2001:db8::/32"]);
    }
    for outside in [
        "11.0.0.0",
        "9.255.255.255",
        "::ffff:11.0.0.1",
        "2001:db9::",
        "::1",
        "::10.1.2.3",
    ] {
        assert_eq!(
            refused(&policy, &who, &from(outside)).rule,
            "source",
            "{outside}"
        );
    }
    let unknown = refused(&policy, &who, &ask("near"));
    assert_eq!(unknown.rule, "source");
    assert_eq!(unknown.help, "Ask from 10.0.0.0/8 or 2001:db8::/32.");
    let stranger = refused(&policy, &person(&["Staff"]), &from("11.0.0.0"));
    assert_eq!(
        stranger.rule, "groups",
        "who does not have the role reads no network"
    );
    assert!(!format!("{stranger:?}").contains("10.0.0.0"));
}

#[test]
fn refusal_tells_nobody_of_other_people_values_or_issuers() {
    let text = format!(
        "{ROLES}
        [[grants]]
        issuer = \"{IDP}\"
        users = [{{ subject = \"secret-subject\" }}, {{ email = \"secret@example.com\" }}]
        roles = [\"production-observer\"]
        [[grants]]
        issuer = \"{IDP}\"
        claims = {{ secret_claim = \"secret-value\" }}
        roles = [\"production-observer\"]
        [[grants]]
        issuer = \"{OTHER}\"
        groups = [\"secret-group\"]
        roles = [\"production-observer\", \"production-admin\"]
        [[rights]]
        issuer = \"{IDP}\"
        groups = [\"secret-auditors\"]
        may = [\"audit\"]"
    );
    let policy = Policy::parse(&text, &facts(&[IDP, OTHER])).unwrap();
    let who = person(&["Staff"]);
    let mut told = format!("{:?}", policy.roles_answer(&who, &Ask::default(), NOW));
    for ask in [
        Ask::default(),
        ask("production-observer"),
        ask("production-admin"),
        ask("x"),
    ] {
        told.push_str(&format!("{:?}", refused(&policy, &who, &ask)));
    }
    assert!(
        !told.contains("secret") && !told.contains("other.example"),
        "{told}"
    );
    assert!(told.contains("by name or by claim"), "{told}");
}

#[test]
fn long_list_of_groups_is_cut_short_in_a_refusal() {
    let policy = with(
        "[[grants]]\ngroups = [\"A\", \"B\", \"C\", \"D\", \"E\"]\nroles = [\"production-admin\"]",
    );
    let help = refused(&policy, &person(&["Z"]), &ask("production-admin")).help;
    assert!(
        help.contains("one of the groups \"A\", \"B\", \"C\" or 2 more"),
        "{help}"
    );
}

#[test]
fn control_characters_of_an_ask_never_come_back() {
    let nasty = "\u{1b}]0;x\u{7}\u{202e}";
    let asks = [
        ask(nasty),
        Ask {
            account: Some(nasty.into()),
            ..Ask::default()
        },
    ];
    for ask in asks {
        let refusal = refused(&ops(), &person(&["Ops"]), &ask);
        let told = format!("{}{}", refusal.reason, refusal.help);
        assert!(!told.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{told:?}");
    }
}

#[test]
fn rights_open_nothing_else_and_roles_give_no_right() {
    let policy = with(
        "[[grants]]\ngroups = [\"Ops\"]\nroles = [\"production-observer\"]\n\
         [[rights]]\ngroups = [\"Security\"]\nmay = [\"audit\", \"logins\"]\n\
         [[rights]]\nusers = [{ subject = \"00u1\" }]\nmay = [\"keys\"]",
    );
    let rights = |who: &IdentityFacts| {
        policy
            .rights(who)
            .iter()
            .map(Right::name)
            .collect::<Vec<_>>()
    };
    let mut who = person(&["Ops"]);
    assert_eq!(rights(&who), ["keys"]);
    who.subject = Subject::new("00u2");
    assert!(policy.rights(&who).is_empty());
    let mut who = person(&["Security"]);
    assert_eq!(rights(&who), ["audit", "logins", "keys"]);
    assert!(policy.decide(&who, &Ask::default(), NOW).is_err());
    who.issuer = Issuer::new(OTHER);
    assert!(policy.rights(&who).is_empty());
}

#[test]
fn explaining_somebody_says_what_deciding_would() {
    use jit_ssh_api::admin::ExplainRequest;
    let policy = ops();
    let request = ExplainRequest {
        groups: vec!["Ops".into()],
        ..ExplainRequest::default()
    };
    let told = policy.explain(&request, NOW).unwrap();
    assert_eq!(told.policy, policy.digest());
    assert_eq!(
        told.roles,
        policy.roles_answer(&person(&["Ops"]), &Ask::default(), NOW)
    );
    assert!(told.roles.roles[0].refused.is_none());
    assert_eq!(told.roles.roles[1].refused.as_ref().unwrap().rule, "groups");
    let wrong = ExplainRequest {
        issuer: Some(OTHER.into()),
        ..request.clone()
    };
    assert!(matches!(
        policy.explain(&wrong, NOW),
        Err(ExplainError::UnknownIssuer(_))
    ));
    let wrong = ExplainRequest {
        email: Some("a@b@c".into()),
        ..request
    };
    assert!(matches!(
        policy.explain(&wrong, NOW),
        Err(ExplainError::Email(_))
    ));
}
