//! Tokens as a provider makes them, and as nobody should: header, claims and signature are all in
//! the test's hand.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::key::SigningKey;
use crate::clock;

/// A token before it is signed.
#[derive(Clone, Debug)]
pub struct Token {
    /// Header members.
    pub header: Map<String, Value>,
    /// Claims.
    pub claims: Map<String, Value>,
    key: SigningKey,
}

impl Token {
    /// A token of this key with these claims.
    pub fn new(key: &SigningKey, claims: Map<String, Value>) -> Self {
        let Value::Object(header) = json!({ "alg": key.algorithm(), "kid": key.kid, "typ": "JWT" })
        else {
            unreachable!("an object");
        };
        Token {
            header,
            claims,
            key: key.clone(),
        }
    }

    /// With another value for a claim.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// Without a claim.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// With another header member.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    /// Without a header member.
    #[must_use]
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// Signed by another key, whatever the header says.
    #[must_use]
    pub fn by(mut self, key: &SigningKey) -> Self {
        self.key = key.clone();
        self
    }

    /// As if it had been made that many seconds ago.
    #[must_use]
    pub fn aged(mut self, seconds: u64) -> Self {
        for name in ["iat", "nbf"] {
            if let Some(time) = self.claims.get(name).and_then(Value::as_u64) {
                self.claims.insert(name.to_owned(), json!(time - seconds));
            }
        }
        self
    }

    /// What is signed: `header.claims`.
    pub fn signing_input(&self) -> String {
        let encode =
            |map: &Map<String, Value>| URL_SAFE_NO_PAD.encode(serde_json::to_string(map).unwrap());
        format!("{}.{}", encode(&self.header), encode(&self.claims))
    }

    /// Compact serialisation, signed as the header's `alg` says.
    pub fn sign(&self) -> String {
        let algorithm = self.header.get("alg").and_then(Value::as_str);
        let input = self.signing_input();
        let signature = self
            .key
            .sign(algorithm.unwrap_or_default(), input.as_bytes());
        with_signature(&input, &signature)
    }

    /// Signed over a text of claims that no JSON library would write.
    pub fn sign_text(&self, claims: &str) -> String {
        let header = URL_SAFE_NO_PAD.encode(serde_json::to_string(&self.header).unwrap());
        self.sign_parts(&header, &URL_SAFE_NO_PAD.encode(claims))
    }

    /// Signed over a text of a header that no JSON library would write.
    pub fn sign_header_text(&self, header: &str) -> String {
        let claims = URL_SAFE_NO_PAD.encode(serde_json::to_string(&self.claims).unwrap());
        self.sign_parts(&URL_SAFE_NO_PAD.encode(header), &claims)
    }

    fn sign_parts(&self, header: &str, claims: &str) -> String {
        let algorithm = self.header.get("alg").and_then(Value::as_str);
        let input = format!("{header}.{claims}");
        let signature = self
            .key
            .sign(algorithm.unwrap_or_default(), input.as_bytes());
        with_signature(&input, &signature)
    }
}

/// `input.signature`
pub fn with_signature(input: &str, signature: &[u8]) -> String {
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Claims that every ID token has.
pub fn standard_claims(issuer: &str, subject: &str, audience: &str) -> Map<String, Value> {
    let now = clock::now();
    let Value::Object(claims) = json!({
        "iss": issuer,
        "sub": subject,
        "aud": audience,
        "iat": now,
        "exp": now + 300,
    }) else {
        unreachable!("an object");
    };
    claims
}
