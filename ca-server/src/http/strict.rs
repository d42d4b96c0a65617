//! JSON from outside, read strictly: one value and nothing behind it, at most 32 levels deep, no
//! member twice (two readers would take different ones), no field that the type does not know.

use std::collections::HashSet;
use std::fmt;

use jit_ssh_api::problem::Kind;
use serde::Deserialize;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess};

use crate::http::problem::Failure;

/// Deepest nesting of a body.
pub(crate) const MAX_DEPTH: usize = 32;

/// Why a body is not taken; the text is for the caller.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JsonError {
    /// Too deep.
    #[error("the JSON is nested more than {MAX_DEPTH} levels deep")]
    Depth,
    /// A list, or no object at all.
    #[error("the body must be a JSON object, and this route takes no lists")]
    List,
    /// Anything else, with its place.
    #[error("the body is not the JSON that this route takes: {0}")]
    Shape(String),
}

impl From<JsonError> for Failure {
    fn from(error: JsonError) -> Self {
        let next = "docs/api.md shows the body of each route.";
        Failure::new(Kind::BadRequest, format!("{error}."), next)
    }
}

/// Reads a body of objects, strings, numbers and truths.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, JsonError> {
    // serde would take a list for an object whose members stand in their order.
    match scan(body) {
        Scan { lists: true, .. } => Err(JsonError::List),
        scan => read(body, &scan),
    }
}

/// The same for a body in which there may be lists.
pub(crate) fn parse_with_lists<T: DeserializeOwned>(body: &[u8]) -> Result<T, JsonError> {
    read(body, &scan(body))
}

fn read<T: DeserializeOwned>(body: &[u8], scan: &Scan) -> Result<T, JsonError> {
    if scan.depth > MAX_DEPTH {
        return Err(JsonError::Depth);
    }
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(JsonError::List);
    }
    let shape = |error: serde_json::Error| JsonError::Shape(without_values(&error));
    let mut reader = serde_json::Deserializer::from_slice(body);
    Unique.deserialize(&mut reader).map_err(shape)?;
    reader.end().map_err(shape)?;
    serde_json::from_slice(body).map_err(shape)
}

/// What brackets outside of strings tell of any bytes.
struct Scan {
    depth: usize,
    lists: bool,
}

fn scan(body: &[u8]) -> Scan {
    let mut scan = Scan {
        depth: 0,
        lists: false,
    };
    let (mut now, mut in_string, mut escaped) = (0usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                now += 1;
                scan.depth = scan.depth.max(now);
                scan.lists |= *byte == b'[';
            }
            b'}' | b']' if !in_string => now = now.saturating_sub(1),
            _ => {}
        }
    }
    scan
}

/// What serde says, unless it quotes a value: that could be a token (A83).
fn without_values(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if text.starts_with("invalid type") || text.starts_with("invalid value") {
        format!(
            "a value is of the wrong type at line {} column {}",
            error.line(),
            error.column()
        )
    } else {
        text.chars().take(200).collect()
    }
}

/// Reads any value and refuses an object with the same member twice.
struct Unique;

impl<'de> DeserializeSeed<'de> for Unique {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> de::Visitor<'de> for Unique {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Unique)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<Key<'de>>()? {
            if !seen.insert(key.0) {
                return Err(de::Error::custom("a member stands there twice"));
            }
            map.next_value_seed(Unique)?;
        }
        Ok(())
    }
}

/// A member's name, borrowed where it has no escapes.
#[derive(Deserialize, PartialEq, Eq, Hash)]
struct Key<'a>(#[serde(borrow)] std::borrow::Cow<'a, str>);

#[cfg(test)]
mod tests {
    use jit_ssh_api::admin::ExplainRequest;
    use jit_ssh_api::issue::CertificateRequest;
    use serde_json::Value;

    use super::{JsonError, parse, parse_with_lists};

    #[test]
    fn a_member_twice_is_refused_at_any_depth() {
        for body in [
            r#"{"role":"a","role":"b"}"#,
            r#"{"role":"a","r\u006fle":"b"}"#,
            r#"{"open":{"id_token":"a","id_token":"b","salt":"c"}}"#,
        ] {
            assert!(
                parse::<CertificateRequest>(body.as_bytes()).is_err(),
                "{body}"
            );
        }
        let body = br#"{"claims":{"x":{"a":1,"a":2}}}"#;
        assert!(parse_with_lists::<ExplainRequest>(body).is_err());
        let good = br#"{"claims":{"x":[{"a":1}]},"groups":["Ops"]}"#;
        assert!(parse_with_lists::<ExplainRequest>(good).is_ok());
    }

    #[test]
    fn a_field_that_nobody_knows_is_refused() {
        assert!(parse::<CertificateRequest>(br#"{"principals":["root"]}"#).is_err());
    }

    #[test]
    fn deep_nesting_is_refused_before_it_is_parsed() {
        let deep = |n: usize| format!("{}1{}", "{\"a\":".repeat(n), "}".repeat(n));
        assert!(parse::<Value>(deep(32).as_bytes()).is_ok());
        assert_eq!(parse::<Value>(deep(33).as_bytes()), Err(JsonError::Depth));
        assert_eq!(
            parse_with_lists::<Value>("[".repeat(100_000).as_bytes()),
            Err(JsonError::Depth)
        );
        assert!(parse::<Value>(br#"{"a":"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"[["}"#).is_ok());
    }

    #[test]
    fn a_list_is_not_taken_for_an_object() {
        for body in [
            r#"[]"#,
            r#"[null]"#,
            r#"{"open":["token","salt"]}"#,
            "1",
            "\"x\"",
            "null",
        ] {
            assert!(
                parse::<CertificateRequest>(body.as_bytes()).is_err(),
                "{body}"
            );
        }
        assert!(parse_with_lists::<ExplainRequest>(b"[]").is_err());
    }

    #[test]
    fn trailing_bytes_and_bad_utf8_are_refused() {
        for body in [
            &b"{} {}"[..],
            b"{}x",
            b"",
            b"{\"role\":\"\xff\"}",
            b"\xef\xbb\xbf{}",
        ] {
            assert!(parse::<CertificateRequest>(body).is_err(), "{body:?}");
        }
    }

    #[test]
    fn an_error_quotes_no_value() {
        let error = parse::<CertificateRequest>(br#"{"open":"eyJSECRET"}"#).unwrap_err();
        assert!(!error.to_string().contains("SECRET"), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(body: Vec<u8>) {
            let _ = parse::<CertificateRequest>(&body);
        }
    }
}
