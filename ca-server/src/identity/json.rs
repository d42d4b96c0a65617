//! JSON that everybody reads in one way: no member twice, at any level, and no deep nesting.
//!
//! In: bytes from an issuer or a token. Out: a value, or a refusal. Two parsers that take another
//! one of two equal members see two messages (A2); RFC 8259 §4 leaves open which one wins.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Nesting that a token or a document of an issuer needs at most (Keycloak's roles need three).
const DEPTH: u8 = 8;

/// Why a text is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// No JSON, a member twice, nested too deeply, or more than one value.
    #[error(
        "it is not plain JSON (line {line}, column {column}: syntax, nesting, or a member twice)"
    )]
    Syntax {
        /// Counted from one.
        line: usize,
        /// Counted from one.
        column: usize,
    },
    /// JSON, but no object.
    #[error("it is not a JSON object")]
    NotAnObject,
}

/// Reads one object.
pub(super) fn object(bytes: &[u8]) -> Result<Map<String, Value>, JsonError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict(DEPTH)
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| JsonError::Syntax {
            line: error.line(),
            column: error.column(),
        })?;
    match value {
        Value::Object(members) => Ok(members),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(JsonError::NotAnObject)
        }
    }
}

/// A value with so many levels left.
struct Strict(u8);

impl Strict {
    fn deeper<E: serde::de::Error>(&self) -> Result<u8, E> {
        self.0
            .checked_sub(1)
            .ok_or_else(|| E::custom("nested too deeply"))
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without a member twice")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let left = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(Strict(left))? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let left = self.deeper()?;
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(Strict(left))?;
            if map.insert(name, value).is_some() {
                return Err(A::Error::custom("a member twice"));
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A2
    #[test]
    fn a_member_twice_is_refused_at_any_level() {
        for text in [
            r#"{"sub":"a","sub":"root"}"#,
            r#"{"sub":"a","s\u0075b":"root"}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            r#"{"a":[{"b":1,"b":1}]}"#,
        ] {
            assert!(
                matches!(object(text.as_bytes()), Err(JsonError::Syntax { .. })),
                "{text}"
            );
        }
        assert!(object(br#"{"a":{"b":1},"c":{"b":1}}"#).is_ok());
    }

    /// A8, A87
    #[test]
    fn a_json_bomb_is_refused() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(object(deep.as_bytes()).is_err());
        assert!(object(br#"{"a":{"b":{"c":{"d":{"e":[1]}}}}}"#).is_ok());
        assert!(object(br#"{"a":[[[[[[[[1]]]]]]]]}"#).is_err());
    }

    /// A2, A4
    #[test]
    fn what_is_not_one_object_is_refused() {
        for text in [
            "",
            "{",
            "[]",
            "null",
            "\"a\"",
            "1",
            "{}{}",
            "{} x",
            "{\"a\":1e400}",
            "{a:1}",
        ] {
            assert!(object(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = object(&bytes);
        }

        /// What is taken here, serde_json takes as the same value.
        #[test]
        fn what_is_taken_means_the_same_to_other_parsers(text in r#"\{("[a-c]":[0-9\[\]{}",:a-c]{0,6},?){0,4}\}"#) {
            if let Ok(members) = object(text.as_bytes()) {
                let other: Value = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(Value::Object(members), other);
            }
        }
    }
}
