//! A27, A34: what must never be a name.

use jit_ssh_api::reserved::{self, is_reserved};

use super::*;

/// Every byte, and letters of more than one.
fn characters() -> impl Iterator<Item = char> {
    let wide = [
        'а', 'ａ', 'ı', 'ß', '\u{202e}', '\u{200b}', '\u{feff}', '💣', '\u{ffff}',
    ];
    (0..=0xffu8).map(char::from).chain(wide)
}

#[test]
fn no_other_character_gets_into_a_role_name() {
    for c in characters() {
        let inside = c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert_eq!(RoleName::new(&format!("a{c}b")).is_ok(), inside, "{c:?}");
        assert_eq!(RoleName::new(&format!("a{c}")).is_ok(), inside, "{c:?}");
        assert_eq!(
            RoleName::new(&c.to_string()).is_ok(),
            c.is_ascii_lowercase(),
            "{c:?}"
        );
    }
    assert!(RoleName::new("").is_err());
    assert!(RoleName::new(&"a".repeat(63)).is_ok());
    assert!(RoleName::new(&"a".repeat(64)).is_err());
}

#[test]
fn no_other_character_gets_into_an_account_name() {
    for c in characters() {
        let inside = c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        assert_eq!(AccountName::new(&format!("a{c}b")).is_ok(), inside, "{c:?}");
        let first = c.is_ascii_lowercase() || c == '_';
        assert_eq!(AccountName::new(&c.to_string()).is_ok(), first, "{c:?}");
    }
    assert!(AccountName::new("").is_err());
    assert!(AccountName::new(&"a".repeat(32)).is_ok());
    assert!(AccountName::new(&"a".repeat(33)).is_err());
}

#[test]
fn no_such_character_gets_through_a_policy() {
    for c in characters() {
        let text = toml::Value::from(format!("a{c}b")).to_string();
        let inside = c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let role = format!("[roles.{text}]\naccounts = [\"x\"]\nmax_validity = \"5m\"");
        assert_eq!(
            Policy::parse(&role, &facts(&[IDP])).is_ok(),
            inside,
            "{c:?}\n{role}"
        );
        let account = format!("[roles.x]\naccounts = [{text}]\nmax_validity = \"5m\"");
        let inside = inside || c == '_';
        assert_eq!(
            Policy::parse(&account, &facts(&[IDP])).is_ok(),
            inside,
            "{c:?}\n{account}"
        );
    }
}

#[test]
fn principals_of_a_role_never_equal_an_account() {
    let role = RoleName::new("root").unwrap();
    let account = AccountName::new("alice").unwrap();
    for principal in [Principal::role(&role), Principal::role_of(&role, &account)] {
        assert!(AccountName::new(principal.as_str()).is_err());
        assert!(RoleName::new(principal.as_str()).is_err());
    }
    assert_eq!(
        Principal::role_of(&role, &account).as_str(),
        "role:root+alice"
    );
}

#[test]
fn list_of_reserved_accounts_is_sorted_and_searched() {
    for name in [
        "root",
        "daemon",
        "abrt",
        "zookeeper",
        "www-data",
        "sshd",
        "_x",
        "systemd-x",
    ] {
        assert!(is_reserved(&AccountName::new(name).unwrap()), "{name}");
    }
    for name in ["alice", "rooty", "roo", "system"] {
        assert!(!is_reserved(&AccountName::new(name).unwrap()), "{name}");
    }
    assert!(reserved::RESERVED.is_sorted());
    assert!(
        reserved::RESERVED
            .iter()
            .all(|name| AccountName::new(name).is_ok())
    );
}

#[test]
fn network_that_could_be_read_in_two_ways_is_none() {
    for good in [
        "10.0.0.0/8",
        "0.0.0.0/1",
        "192.168.1.1/32",
        "2001:db8::/32",
        "::1/128",
        "fe80::/10",
    ] {
        assert_eq!(Cidr::new(good).unwrap().to_string(), good);
    }
    for bad in [
        "",
        "/",
        "10.0.0.0",
        "10.0.0.0/",
        "/8",
        "10.0.0.0/0",
        "::/0",
        "10.0.0.0/33",
        "::/129",
        "10.0.0.1/8",
        "10.0.0.0/+8",
        "10.0.0.0/ 8",
        " 10.0.0.0/8",
        "10.0.0.0/8 ",
        "10.0.0.0/8,::/1",
        "!10.0.0.0/8",
        "010.0.0.0/8",
        "10.0.0/8",
        "10/8",
        "0x0a000000/8",
        "10.*/8",
        "::ffff:10.0.0.0/104",
        "2001:db8::1/32",
        "10.0.0.0/8/8",
        "10.0.0.0/256",
        "localhost/8",
        "fe80::%eth0/10",
    ] {
        assert!(Cidr::new(bad).is_err(), "{bad:?}");
    }
}
