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
