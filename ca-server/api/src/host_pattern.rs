//! The hosts of a CA: one rule for whoever writes their patterns down (the CA's configuration) and for
//! whoever acts by them (the client's `ssh` configuration).

/// A host pattern as `ssh_config` writes it, that names something of its own: a plain name, or with
/// wildcards a whole label of a domain behind them besides the top-level one (`*.corp.example`,
/// `db-*.example.com`), or two whole parts of an address before them (`10.1.*`). `*`, `*.com` and
/// `*a*` would be nearly every host there is, and its keys and account would be the CA's (A49, A50).
pub fn is_host_pattern(text: &str) -> bool {
    let plain = text.strip_prefix('!').unwrap_or(text);
    let is_safe = !plain.is_empty()
        && plain.len() <= 253
        && !plain.starts_with('-')
        && plain.bytes().any(|b| b.is_ascii_alphanumeric())
        && plain
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.:*?".contains(&b));
    let is_wild = |part: &str| part.contains(['*', '?']);
    // What is taken out may be as wide as it likes.
    is_safe
        && (text.starts_with('!')
            || !is_wild(plain)
            || is_of_a_domain(plain, is_wild)
            || is_of_a_network(plain, is_wild))
}

fn is_of_a_domain(pattern: &str, is_wild: impl Fn(&str) -> bool) -> bool {
    let behind: Vec<&str> = pattern
        .rsplit('.')
        .take_while(|label| !is_wild(label))
        .collect();
    let top_is_a_name = behind
        .first()
        .is_some_and(|top| top.bytes().any(|b| b.is_ascii_alphabetic()));
    top_is_a_name && behind.len() >= 2 && behind.iter().all(|label| !label.is_empty())
}

fn is_of_a_network(pattern: &str, is_wild: impl Fn(&str) -> bool) -> bool {
    let (separator, digits): (char, fn(&u8) -> bool) = if pattern.contains(':') {
        (':', u8::is_ascii_hexdigit)
    } else {
        ('.', u8::is_ascii_digit)
    };
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| digits(&b));
    let mut parts = pattern.split(separator).skip_while(|part| is_number(part));
    let before = pattern
        .split(separator)
        .take_while(|part| is_number(part))
        .count();
    before >= 2 && parts.all(|part| is_wild(part) || is_number(part))
}

/// What to write in place of a pattern that is refused.
pub const MEND: &str = "write a name, or wildcards with the domain or network that is yours beside \
                        them: `*.prod.example.com` or `10.1.*`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_of_hosts_that_are_anybodys_is_none() {
        for wide in [
            "",
            "*",
            "*.com",
            "web-*",
            "10.*",
            "fe80:*",
            "github.*",
            "-o.example.com",
        ] {
            assert!(!is_host_pattern(wide), "{wide}");
        }
        for word in [
            "a b.example.com",
            "*.example.com,*",
            "$(id).example.com",
            "a\"b",
            "%h",
        ] {
            assert!(!is_host_pattern(word), "{word}");
        }
        for own in [
            "db01",
            "*.prod.example.com",
            "web-*.example.com",
            "10.1.*",
            "!*.com",
        ] {
            assert!(is_host_pattern(own), "{own}");
        }
    }
}
