//! Queries of `GET` routes, read as strictly as bodies: no parameter twice, none that is not known.

use std::collections::BTreeMap;

use jit_ssh_api::problem::Kind;

use crate::http::problem::Failure;

/// All parameters; an error if one stands there twice or is too long.
pub(crate) fn pairs(query: &str) -> Result<BTreeMap<String, String>, Failure> {
    let mut pairs = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        if value.len() > MAX_VALUE {
            return Err(bad(format!("The parameter {name:?} is too long.")));
        }
        let (name, value) = (name.into_owned(), value.into_owned());
        if let Some(_first) = pairs.insert(name.clone(), value) {
            return Err(bad(format!("The parameter {name:?} stands there twice.")));
        }
    }
    Ok(pairs)
}

/// A whole number.
pub(crate) fn number(name: &str, value: &str) -> Result<u64, Failure> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { value.parse().ok() } else { None };
    number.ok_or_else(|| bad(format!("The parameter {name:?} is not a whole number.")))
}

/// `true` or `false`.
pub(crate) fn flag(name: &str, value: &str) -> Result<bool, Failure> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(bad(format!(
            "The parameter {name:?} is neither true nor false."
        ))),
    }
}

/// A parameter that the route does not know.
pub(crate) fn unknown(name: &str) -> Failure {
    let name: String = name.chars().take(50).collect();
    bad(format!("There is no parameter {name:?}."))
}

fn bad(detail: String) -> Failure {
    Failure::new(
        Kind::BadRequest,
        detail,
        "docs/api.md lists the parameters of each route.",
    )
}

const MAX_VALUE: usize = 512;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_parameter_twice_or_too_long_is_refused() {
        let of = |query: &str| pairs(query).ok();
        assert_eq!(of("a=1&b=%31").unwrap()["b"], "1");
        assert!(of("a=1&a=2").is_none());
        assert!(of("a=1&%61=1").is_none(), "the same name in other bytes");
        assert!(of(&format!("a={}", "x".repeat(MAX_VALUE))).is_some());
        assert!(of(&format!("a={}", "x".repeat(MAX_VALUE + 1))).is_none());
    }

    proptest! {
        /// Whatever a query says, it is read or refused; what is read, is bounded.
        #[test]
        fn any_query_is_read_or_refused(query in ".{0,200}", name in ".{0,40}", value in ".{0,40}") {
            for query in [query, format!("{name}={value}"), format!("{name}={value}&{name}={value}")] {
                for value in pairs(&query).unwrap_or_default().values() {
                    prop_assert!(value.len() <= MAX_VALUE);
                }
            }
            let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            prop_assert!(digits || number(&name, &value).is_err());
            prop_assert_eq!(flag(&name, &value).is_ok(), value == "true" || value == "false");
            let _ = unknown(&name);
        }

        #[test]
        fn a_whole_number_is_read_as_it_is(whole: u64) {
            prop_assert_eq!(number("limit", &whole.to_string()).ok(), Some(whole));
        }
    }
}
