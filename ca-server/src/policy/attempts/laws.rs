//! Laws, against a reference that knows no index: it asks every grant in turn.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

use jit_ssh_api::role::RolesAnswer;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::json;

use super::*;

const GROUPS: [&str; 4] = ["Ops", "SRE", "/Ops", "Staff"];
const SUBJECTS: [&str; 3] = ["00u1", "00u2", "Ops"];
const EMAILS: [&str; 2] = ["alice@example.com", "bob@example.com"];
const CLAIMS: [&str; 2] = ["department", "level"];
const ACCOUNTS: [&str; 3] = ["observer", "admin", "root"];

#[derive(Clone, Debug)]
struct GenRole {
    accounts: Vec<&'static str>,
    own: bool,
    seconds: u64,
    near: bool,
    extensions: Vec<Extension>,
}

#[derive(Clone, Debug)]
struct GenGrant {
    issuer: &'static str,
    groups: Vec<&'static str>,
    subjects: Vec<&'static str>,
    emails: Vec<&'static str>,
    claims: Vec<(&'static str, i64)>,
    roles: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Generated {
    roles: Vec<GenRole>,
    grants: Vec<GenGrant>,
    order: Vec<usize>,
    simple: bool,
}

fn roles() -> impl Strategy<Value = Vec<GenRole>> {
    let role = (
        subsequence(ACCOUNTS.to_vec(), 1..=3),
        any::<bool>(),
        1..=86_400u64,
        any::<bool>(),
        subsequence(Extension::ALL.to_vec(), 0..=4),
    )
        .prop_map(|(accounts, own, seconds, near, extensions)| GenRole {
            accounts,
            own,
            seconds,
            near,
            extensions,
        });
    prop::collection::vec(role, 1..5)
}

fn grants(roles: usize) -> impl Strategy<Value = Vec<GenGrant>> {
    let grant = (
        select(vec![IDP, OTHER]),
        subsequence(GROUPS.to_vec(), 0..=3),
        subsequence(SUBJECTS.to_vec(), 0..=2),
        subsequence(EMAILS.to_vec(), 0..=1),
        subsequence(CLAIMS.to_vec(), 0..=2),
        0..3i64,
        subsequence((0..roles).collect::<Vec<_>>(), 1..=roles),
    )
        .prop_map(
            |(issuer, groups, subjects, emails, claims, value, roles)| GenGrant {
                issuer,
                groups,
                subjects,
                emails,
                claims: claims.into_iter().map(|claim| (claim, value)).collect(),
                roles,
            },
        )
        .prop_filter("asks for something", |it| {
            !(it.groups.is_empty()
                && it.subjects.is_empty()
                && it.emails.is_empty()
                && it.claims.is_empty())
        });
    prop::collection::vec(grant, 0..8)
}

fn policies() -> impl Strategy<Value = Generated> {
    roles().prop_flat_map(|roles| {
        let places: Vec<usize> = (0..roles.len()).collect();
        let order = subsequence(places.clone(), 0..=places.len()).prop_shuffle();
        (grants(roles.len()), order, any::<bool>(), Just(roles)).prop_map(
            |(grants, order, simple, roles)| Generated {
                roles,
                grants,
                order,
                simple,
            },
        )
    })
}

fn people() -> impl Strategy<Value = IdentityFacts> {
    (
        select(vec![IDP, OTHER, "https://third.example.com"]),
        select(SUBJECTS.to_vec()),
        prop::option::of(select(EMAILS.to_vec())),
        subsequence(GROUPS.to_vec(), 0..=4),
        prop::option::of(0..3i64),
        prop::option::of(prop::collection::vec(0..3i64, 0..3)),
        select(vec!["alice", "bob", "root", "a b", ""]),
    )
        .prop_map(
            |(issuer, subject, email, groups, department, level, username)| {
                let mut who = person(&groups);
                who.issuer = Issuer::new(issuer);
                who.subject = Subject::new(subject);
                who.email = email.and_then(Email::parse);
                who.claims
                    .extend(department.map(|it| ("department".to_owned(), json!(it))));
                who.claims
                    .extend(level.map(|it| ("level".to_owned(), json!(it))));
                who.claims
                    .insert("preferred_username".into(), json!(username));
                who
            },
        )
}

fn asks() -> impl Strategy<Value = Ask> {
    (
        prop::option::of((0..5usize).prop_map(|place| format!("r{place}"))),
        prop::option::of(select(vec![
            "observer", "admin", "root", "alice", "bob", "x", "", "*",
        ])),
        prop::option::of(any::<u64>().prop_map(Duration::from_millis)),
        prop::option::of(any::<u32>().prop_map(|bits| std::net::IpAddr::V4(bits.into()))),
    )
        .prop_map(|(role, account, validity, source)| Ask {
            role,
            account: account.map(str::to_owned),
            validity,
            source,
        })
}

fn list<T: ToString>(all: &[T]) -> String {
    let all: Vec<String> = all
        .iter()
        .map(|it| format!("\"{}\"", it.to_string()))
        .collect();
    format!("[{}]", all.join(", "))
}

impl Generated {
    fn text(&self) -> String {
        let order: Vec<String> = self.order.iter().map(|place| format!("r{place}")).collect();
        let mut text = format!("order = {}\n", list(&order));
        if self.simple {
            text.push_str("principals = \"accounts\"\n");
        }
        for issuer in [IDP, OTHER] {
            let _ = writeln!(
                text,
                "[[username]]\nissuer = \"{issuer}\"\nclaim = \"preferred_username\""
            );
        }
        for (place, role) in self.roles.iter().enumerate() {
            let own = role.own.then_some("{username}");
            let accounts: Vec<&str> = role.accounts.iter().copied().chain(own).collect();
            let _ = writeln!(
                text,
                "[roles.r{place}]\naccounts = {}\nmax_validity = \"{}s\"\nextensions = {}",
                list(&accounts),
                role.seconds,
                list(&role.extensions)
            );
            if role.near {
                text.push_str("source = [\"0.0.0.0/1\"]\n");
            }
        }
        for grant in &self.grants {
            let roles: Vec<String> = grant
                .roles
                .iter()
                .map(|place| format!("r{place}"))
                .collect();
            let _ = writeln!(
                text,
                "[[grants]]\nissuer = \"{}\"\nroles = {}",
                grant.issuer,
                list(&roles)
            );
            if !grant.groups.is_empty() {
                let _ = writeln!(text, "groups = {}", list(&grant.groups));
            }
            let subjects = grant
                .subjects
                .iter()
                .map(|it| format!("{{ subject = \"{it}\" }}"));
            let emails = grant
                .emails
                .iter()
                .map(|it| format!("{{ email = \"{it}\" }}"));
            let users: Vec<String> = subjects.chain(emails).collect();
            if !users.is_empty() {
                let _ = writeln!(text, "users = [{}]", users.join(", "));
            }
            let claims: Vec<String> = grant
                .claims
                .iter()
                .map(|(name, value)| format!("{name} = {value}"))
                .collect();
            if !claims.is_empty() {
                let _ = writeln!(text, "claims = {{ {} }}", claims.join(", "));
            }
        }
        text
    }

    fn policy(&self) -> Policy {
        let text = self.text();
        Policy::parse(&text, &facts(&[IDP, OTHER]))
            .unwrap_or_else(|errors| panic!("{text}\n{errors}"))
    }

    /// The places in the policy's order.
    fn ordered(&self) -> Vec<usize> {
        let rest = (0..self.roles.len()).filter(|place| !self.order.contains(place));
        self.order.iter().copied().chain(rest).collect()
    }

    /// Whether some grant gives the role, asked one by one.
    fn grants(&self, who: &IdentityFacts, role: usize) -> bool {
        self.grants.iter().any(|grant| {
            let users = grant.subjects.is_empty() && grant.emails.is_empty();
            let said = |name: &str, value: i64| match who.claims.get(name) {
                Some(Value::Array(all)) => all.contains(&json!(value)),
                Some(one) => *one == json!(value),
                None => false,
            };
            grant.roles.contains(&role)
                && who.issuer.as_ref() == grant.issuer
                && (grant.groups.is_empty()
                    || grant.groups.iter().any(|group| who.groups.contains(*group)))
                && (users
                    || grant.subjects.contains(&who.subject.as_ref())
                    || who
                        .email
                        .as_ref()
                        .is_some_and(|it| grant.emails.contains(&it.as_ref())))
                && grant.claims.iter().all(|(name, value)| said(name, *value))
        })
    }

    /// Everything that the role could ever put into a certificate of that person.
    fn widest(&self, who: &IdentityFacts, role: usize) -> BTreeSet<String> {
        let gen_role = &self.roles[role];
        let own = match who.claims["preferred_username"].as_str() {
            Some(name @ ("alice" | "bob")) if gen_role.own => Some(name),
            _ => None,
        };
        if self.simple {
            gen_role
                .accounts
                .iter()
                .copied()
                .chain(own)
                .map(str::to_owned)
                .collect()
        } else {
            let own = own.map(|name| format!("role:r{role}+{name}"));
            [format!("role:r{role}")].into_iter().chain(own).collect()
        }
    }
}

fn place(grant: &Grant) -> usize {
    grant.role().as_str()[1..].parse().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whoever is told that the roles are as before would be told the same roles.
    #[test]
    fn roles_of_one_version_are_the_same(
        generated in policies(), other in policies(), people in [people(), people()],
        sources in [any::<u32>(), any::<u32>()],
    ) {
        let mut told: HashMap<String, RolesAnswer> = HashMap::new();
        for policy in [generated.policy(), other.policy()] {
            for (who, bits) in people.iter().flat_map(|who| sources.map(|bits| (who, bits))) {
                let ask = Ask {
                    source: Some(std::net::IpAddr::V4(bits.into())),
                    ..Ask::default()
                };
                for hosts in [vec![], vec!["*.example.com".to_owned()]] {
                    let version = policy.roles_version(who, &ask, &hosts);
                    let mut answer = policy.roles_answer(who, &ask, NOW);
                    answer.hosts = hosts;
                    if let Some(before) = told.insert(version, answer.clone()) {
                        prop_assert_eq!(before, answer);
                    }
                }
            }
        }
    }

    #[test]
    fn nothing_is_granted_that_no_grant_gives_and_everything_that_one_does(
        generated in policies(), who in people(),
    ) {
        let policy = generated.policy();
        let inside = Some("1.2.3.4".parse().unwrap());
        for role in 0..generated.roles.len() {
            // A fixed account: neither networks nor own accounts stand between.
            let account = Some(generated.roles[role].accounts[0].to_owned());
            let ask = Ask { source: inside, account, ..ask(&format!("r{role}")) };
            let decision = policy.decide(&who, &ask, NOW);
            prop_assert_eq!(decision.is_ok(), generated.grants(&who, role), "{:?}", decision);
            if let Err(refusal) = decision {
                prop_assert_eq!(refusal.rule, "groups");
                prop_assert!(!refusal.reason.is_empty() && !refusal.help.is_empty());
            }
        }
    }

    #[test]
    fn whatever_is_asked_no_more_is_given_than_the_role_has(
        generated in policies(), who in people(), ask in asks(),
    ) {
        let policy = generated.policy();
        if let Ok(grant) = policy.decide(&who, &ask, NOW) {
            let place = place(&grant);
            let role = &generated.roles[place];
            prop_assert!(generated.grants(&who, place));
            prop_assert!(ask.role.is_none_or(|asked| asked == grant.role().as_str()));
            let principals: BTreeSet<String> =
                grant.principals().iter().map(ToString::to_string).collect();
            prop_assert!(!principals.is_empty() && !grant.accounts().is_empty());
            prop_assert_eq!(principals.len(), grant.principals().len());
            prop_assert!(principals.is_subset(&generated.widest(&who, place)));
            prop_assert!(grant.validity() <= Duration::from_secs(role.seconds));
            prop_assert!(grant.validity() >= Duration::from_secs(1));
            if let Some(asked) = ask.validity {
                prop_assert!(grant.validity() <= asked);
            }
            let extensions: Vec<Extension> = grant.extensions().iter().copied().collect();
            prop_assert_eq!(&extensions, &role.extensions);
            prop_assert_eq!(!grant.source().is_empty(), role.near);
            if role.near {
                prop_assert!(ask.source.is_some_and(|it| grant.source()[0].contains(it)));
            }
            if let Some(asked) = &ask.account {
                prop_assert!(grant.accounts().iter().any(|it| it.as_str() == asked));
            }
            for principal in grant.principals() {
                let safe = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-:+".contains(c);
                prop_assert!(principal.as_str().chars().all(safe));
            }
        }
    }

    #[test]
    fn narrowing_an_ask_never_widens_what_is_given(
        generated in policies(), who in people(), ask in asks(), role in 0..5usize,
    ) {
        let policy = generated.policy();
        let wide = Ask { role: Some(format!("r{role}")), source: ask.source, ..Ask::default() };
        let narrow = Ask { account: ask.account, validity: ask.validity, ..wide.clone() };
        if let (Ok(wide), Ok(narrow)) =
            (policy.decide(&who, &wide, NOW), policy.decide(&who, &narrow, NOW))
        {
            prop_assert!(narrow.principals().iter().all(|it| wide.principals().contains(it)));
            prop_assert!(narrow.accounts().iter().all(|it| wide.accounts().contains(it)));
            prop_assert!(narrow.validity() <= wide.validity());
            prop_assert_eq!(narrow.extensions(), wide.extensions());
            prop_assert_eq!(narrow.source(), wide.source());
        }
    }

    #[test]
    fn one_more_group_takes_nothing_away(
        generated in policies(), who in people(), ask in asks(), group in select(GROUPS.to_vec()),
    ) {
        let policy = generated.policy();
        let ask = Ask { role: Some(ask.role.unwrap_or("r0".into())), ..ask };
        let mut more = who.clone();
        more.groups.insert(Group::new(group));
        if let Ok(before) = policy.decide(&who, &ask, NOW) {
            prop_assert_eq!(policy.decide(&more, &ask, NOW).unwrap(), before);
        }
    }

    #[test]
    fn first_role_is_the_first_that_asking_for_each_would_give(
        generated in policies(), who in people(), ask in asks(),
    ) {
        let policy = generated.policy();
        let ask = Ask { role: None, ..ask };
        let each = generated.ordered().into_iter().find_map(|role| {
            let ask = Ask { role: Some(format!("r{role}")), ..ask.clone() };
            policy.decide(&who, &ask, NOW).ok()
        });
        prop_assert_eq!(policy.decide(&who, &ask, NOW).ok(), each);
    }

    #[test]
    fn list_of_roles_says_what_asking_for_each_does(
        generated in policies(), who in people(), ask in asks(),
    ) {
        let policy = generated.policy();
        let roles = policy.roles(&who, &ask, NOW);
        let names: Vec<String> = roles.iter().map(|(role, _)| role.name().to_string()).collect();
        let ordered: Vec<String> =
            generated.ordered().iter().map(|place| format!("r{place}")).collect();
        prop_assert_eq!(names, ordered);
        for (role, decision) in roles {
            let ask = Ask { role: Some(role.name().to_string()), ..ask.clone() };
            prop_assert_eq!(decision, policy.decide(&who, &ask, NOW));
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Policy::parse_bytes(&bytes, &facts(&[IDP]));
    }

    #[test]
    fn any_text_of_policy_words_is_read_without_a_panic(
        words in prop::collection::vec(select(vec![
            "order", "principals", "username", "roles", "grants", "rights", "tests", "who", "may",
            "groups", "users", "claims", "accounts", "max_validity", "source", "issuer", "claim",
            "table", "=", "[", "]", "[[", "]]", "{", "}", ",", ".", "\n", "\"", "'", "\"x\"", "\"5m\"",
            "\"{username}\"", "1", "true", "x", "é", "\"\"\"", "#", "\\", "1979-05-27", "\u{feff}",
        ]), 0..60),
    ) {
        let _ = Policy::parse(&words.concat(), &facts(&[IDP]));
        let _ = Policy::parse(&words.join(" "), &IssuerFacts::default());
    }

    #[test]
    fn policy_with_a_piece_cut_out_loads_whole_or_not_at_all(
        generated in policies(), from in any::<prop::sample::Index>(), length in 1..40usize,
    ) {
        let text = generated.text();
        let from = from.index(text.len());
        let bytes = [&text.as_bytes()[..from], text.as_bytes().get(from + length..).unwrap_or(&[])];
        match Policy::parse_bytes(&bytes.concat(), &facts(&[IDP, OTHER])) {
            Ok(policy) => {
                for role in policy.all_roles() {
                    prop_assert!(!role.accounts().is_empty());
                    prop_assert!(role.max_validity() >= Duration::from_secs(1));
                    prop_assert!(role.max_validity() <= Duration::from_secs(24 * 3600));
                }
            }
            Err(errors) => prop_assert!(errors.iter().count() > 0),
        }
    }

    #[test]
    fn name_is_taken_exactly_when_it_is_of_its_charset(text in "[ -~\u{e9}]{0,40}") {
        let lower = |c: char| c.is_ascii_lowercase();
        let role = text.len() <= 63 && text.starts_with(lower)
            && text.chars().all(|c| lower(c) || c.is_ascii_digit() || c == '-');
        prop_assert_eq!(RoleName::new(&text).is_ok(), role);
        let account = text.len() <= 32 && text.starts_with(|c| lower(c) || c == '_')
            && text.chars().all(|c| lower(c) || c.is_ascii_digit() || c == '-' || c == '_');
        prop_assert_eq!(AccountName::new(&text).is_ok(), account);
    }

    #[test]
    fn network_contains_exactly_what_has_its_prefix(
        network in any::<u32>(), prefix in 1..=32u32, address in any::<u32>(),
    ) {
        let network = network >> (32 - prefix) << (32 - prefix);
        let cidr = Cidr::new(&format!("{}/{prefix}", std::net::Ipv4Addr::from(network))).unwrap();
        let inside = address >> (32 - prefix) == network >> (32 - prefix);
        prop_assert_eq!(cidr.contains(std::net::IpAddr::V4(address.into())), inside);
        let mapped = std::net::Ipv4Addr::from(address).to_ipv6_mapped();
        prop_assert_eq!(cidr.contains(mapped.into()), inside);
    }
}
