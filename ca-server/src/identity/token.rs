//! The shape of a token: one compact JWS and nothing else, looked at before anything is believed.
//!
//! In: text from the caller. Out: a [`Token`] whose segments are canonical base64url, whose header
//! asks for nothing but a known algorithm and a key's name, whose claims are an object in which no
//! member stands twice. Keeps the first half of invariant 3: header fields choose among known keys
//! and do nothing else; no JWE, no JSON serialisation (A1–A3, A8). Sources: RFC 7515 §4, §7.1,
//! RFC 8725 §3.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jit_ssh_api::MAX_TOKEN_BYTES;
use jit_ssh_api::hex;
use openidconnect::core::CoreGenderClaim;
use openidconnect::{
    ClaimsVerificationError, ClientId, EmptyAdditionalClaims, IdToken, IdTokenVerifier, IssuerUrl,
    JsonWebKeySet, Nonce, SignatureVerificationError,
};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::claims::LEEWAY;
use super::issuer::{Algorithm, IssuerConfig};
use super::json::{self, JsonError};
use super::keys::{Key, NoEncryption};
use crate::time::Timestamp;

/// A token of the right shape; nothing in it is believed yet.
pub(super) struct Token<'a> {
    /// The whole text.
    pub(super) compact: &'a str,
    /// Header and payload as they are signed.
    signing_input: &'a str,
    /// Which algorithm it says it is signed with.
    pub(super) algorithm: Algorithm,
    /// Which key it says it is signed with.
    pub(super) key_id: Option<String>,
    /// The payload.
    pub(super) claims: Map<String, Value>,
}

impl<'a> Token<'a> {
    /// Looks at the shape; the size comes first, before anything is split or decoded.
    pub(super) fn parse(compact: &'a str) -> Result<Self, TokenError> {
        if compact.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLarge {
                bytes: compact.len(),
            });
        }
        let mut segments = compact.split('.');
        let (Some(header), Some(payload), Some(signature), None) = (
            segments.next(),
            segments.next(),
            segments.next(),
            segments.next(),
        ) else {
            return Err(TokenError::NotThreeSegments);
        };
        let signing_input = compact
            .get(..header.len() + 1 + payload.len())
            .ok_or(TokenError::NotThreeSegments)?;
        decode(signature)?;
        let header = json::object(&decode(header)?).map_err(TokenError::Header)?;
        let (algorithm, key_id) = read_header(&header)?;
        let claims = json::object(&decode(payload)?).map_err(TokenError::Payload)?;
        Ok(Token {
            compact,
            signing_input,
            algorithm,
            key_id,
            claims,
        })
    }

    /// Whether one of `keys` signed it, and it is for `client_id` and not expired: openidconnect's
    /// verifier on our keys. It looks at neither `azp` nor `iat` (A6, A7), and takes times and
    /// audiences of several shapes: [`super::claims`] judges them again.
    pub(super) fn verify(
        &self,
        config: &IssuerConfig,
        client_id: &str,
        keys: Vec<Key>,
        now: Timestamp,
    ) -> Result<(), SignatureError> {
        if !config.algorithms.contains(&self.algorithm) {
            return Err(SignatureError::Algorithm(self.algorithm.name()));
        }
        let token: IdToken<EmptyAdditionalClaims, CoreGenderClaim, NoEncryption, Algorithm> =
            self.compact.parse().map_err(|error: serde_json::Error| {
                SignatureError::StandardClaim(short(&error.to_string()))
            })?;
        let issuer = IssuerUrl::new(config.issuer.to_string())
            .map_err(|_| SignatureError::Refused("issuer".to_owned()))?;
        let at = i64::try_from(now.minus(LEEWAY).millis())
            .ok()
            .and_then(chrono::DateTime::from_timestamp_millis)
            .ok_or_else(|| SignatureError::Refused("time".to_owned()))?;
        let client_id = ClientId::new(client_id.to_owned());
        // Never a confidential client: with a secret the library would take HS256 (A1).
        let verifier =
            IdTokenVerifier::new_public_client(client_id, issuer, JsonWebKeySet::new(keys))
                .set_allowed_algs([self.algorithm])
                .allow_all_jose_types()
                .set_time_fn(move || at);
        // The nonce is judged by `claims`, which tells an absent from another one.
        let nonce = |_: Option<&Nonce>| Ok(());
        match token.claims(&verifier, nonce) {
            Ok(_) => Ok(()),
            Err(ClaimsVerificationError::SignatureVerification(error)) => Err(match error {
                SignatureVerificationError::NoMatchingKey => SignatureError::UnknownKey,
                SignatureVerificationError::AmbiguousKeyId(_) => SignatureError::SeveralKeys,
                _ => SignatureError::Signature,
            }),
            Err(ClaimsVerificationError::Expired(_)) => Err(SignatureError::Expired),
            Err(error) => Err(SignatureError::Refused(short(&error.to_string()))),
        }
    }

    /// SHA-256 of what is signed, in hex: names a token that has no id of its own. The signature is
    /// left out, since the same token may have several.
    pub(super) fn digest(&self) -> String {
        hex(Sha256::digest(self.signing_input.as_bytes()))
    }
}

/// Why a text is no token that we read; every case is the caller's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Larger than [`MAX_TOKEN_BYTES`].
    #[error("it has {bytes} bytes, more than {MAX_TOKEN_BYTES}")]
    TooLarge {
        /// How large.
        bytes: usize,
    },
    /// Not exactly three segments: JSON serialisation, an encrypted token, something else.
    #[error("it is not a compact JWS of three segments")]
    NotThreeSegments,
    /// A segment that is empty, padded, or has stray bits at its end.
    #[error("a segment is not canonical base64url")]
    Encoding,
    /// The header is no plain JSON object.
    #[error("header: {0}")]
    Header(#[source] JsonError),
    /// The payload is no plain JSON object.
    #[error("claims: {0}")]
    Payload(#[source] JsonError),
    /// `alg` is missing, `none`, symmetric, or none that we know.
    #[error("signature algorithm `{0}` is not accepted")]
    Algorithm(String),
    /// A header member that would change what the token means.
    #[error("header member `{0}` is not accepted")]
    HeaderMember(&'static str),
    /// A `typ` other than `JWT`: an access token, a logout token, an event.
    #[error("it is a `{0}`, not an ID token")]
    Kind(String),
}

/// Why nobody whom we believe signed it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not in the issuer's list.
    #[error("signature algorithm {0} is not accepted from this issuer")]
    Algorithm(&'static str),
    /// The issuer publishes no key that it could mean.
    #[error("it is signed with a key that the identity provider does not publish")]
    UnknownKey,
    /// It names no key, or one that stands twice in the set.
    #[error("the identity provider publishes several keys that it could mean")]
    SeveralKeys,
    /// It does not verify.
    #[error("its signature does not hold")]
    Signature,
    /// Past its `exp`.
    #[error("it is expired")]
    Expired,
    /// A standard claim of another form than OpenID Connect Core 1.0 §5.1 gives it.
    #[error("a standard claim is not what it must be: {0}")]
    StandardClaim(String),
    /// Whatever else openidconnect has against it.
    #[error("{0}")]
    Refused(String),
}

/// One segment; exactly one text stands for the same bytes.
fn decode(segment: &str) -> Result<Vec<u8>, TokenError> {
    if segment.is_empty() {
        return Err(TokenError::Encoding);
    }
    // This engine refuses padding and non-zero bits behind the last byte.
    URL_SAFE_NO_PAD
        .decode(segment)
        .map_err(|_| TokenError::Encoding)
}

/// `jwk`, `jku`, `x5u`, `x5c` and all else are not even looked at: nothing is fetched (A3).
fn read_header(header: &Map<String, Value>) -> Result<(Algorithm, Option<String>), TokenError> {
    for name in ["crit", "b64", "zip", "enc", "cty", "p2c", "epk"] {
        if header.contains_key(name) {
            return Err(TokenError::HeaderMember(name));
        }
    }
    match header.get("typ") {
        None => {}
        Some(Value::String(typ)) if typ.eq_ignore_ascii_case("JWT") => {}
        Some(Value::String(typ)) => return Err(TokenError::Kind(short(typ))),
        Some(_) => return Err(TokenError::HeaderMember("typ")),
    }
    let key_id = match header.get("kid") {
        None => None,
        Some(Value::String(kid)) => Some(kid.clone()),
        Some(_) => return Err(TokenError::HeaderMember("kid")),
    };
    let name = header
        .get("alg")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let algorithm = Algorithm::parse(name).ok_or_else(|| TokenError::Algorithm(short(name)))?;
    Ok((algorithm, key_id))
}

/// A value from outside, short enough to be shown.
pub(super) fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token(header: &str, payload: &str) -> String {
        format!(
            "{}.{}.c2ln",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(payload)
        )
    }

    fn refusal(compact: &str) -> TokenError {
        Token::parse(compact).err().expect("refused")
    }

    #[test]
    fn a_plain_token_is_read() {
        for header in [
            r#"{"alg":"RS256","kid":"a","typ":"JWT"}"#,
            r#"{"alg":"RS256","kid":"a","typ":"jwt","x5t":"z"}"#,
            r#"{"alg":"RS256","kid":"a","jku":"http://127.0.0.1:1/","jwk":{"kty":"oct"},"x5u":"x"}"#,
        ] {
            let text = token(header, r#"{"sub":"a"}"#);
            let token = Token::parse(&text).unwrap();
            assert_eq!(token.algorithm, Algorithm::RS256);
            assert_eq!(token.key_id.as_deref(), Some("a"));
        }
    }

    /// A1
    #[test]
    fn symmetric_and_absent_algorithms_are_refused() {
        for alg in [
            "none", "nOnE", "None", "", "HS256", "HS384", "HS512", "rs256", "RS256 ", "ES256K",
            "dir",
        ] {
            let text = token(&format!(r#"{{"alg":"{alg}"}}"#), "{}");
            assert_eq!(refusal(&text), TokenError::Algorithm(alg.to_owned()));
        }
        for header in [
            "{}",
            r#"{"alg":null}"#,
            r#"{"alg":["RS256"]}"#,
            r#"{"ALG":"RS256"}"#,
        ] {
            assert_eq!(
                refusal(&token(header, "{}")),
                TokenError::Algorithm(String::new())
            );
        }
    }

    /// A2
    #[test]
    fn every_other_serialisation_is_refused() {
        let good = token(r#"{"alg":"RS256"}"#, r#"{"sub":"a"}"#);
        let (header, rest) = good.split_once('.').unwrap();
        let (payload, signature) = rest.split_once('.').unwrap();
        for text in [
            format!(
                r#"{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#
            ),
            format!("{good}.{signature}"),
            format!("{good}."),
            format!(".{good}"),
            format!("{header}.{payload}"),
            format!("{header}.{payload}."),
            format!("{header}..{signature}"),
            format!(".{payload}.{signature}"),
            format!("{good}\n"),
            format!(" {good}"),
            format!("{good}="),
            format!("{good}=="),
            format!("{header}.{payload}.c2ln+"),
            format!("{header}.{payload}.c2l/"),
            // Stray bits at the end: `YR` and `YQ` would both be "a".
            format!("{header}.{payload}.YR"),
            String::new(),
            "..".to_owned(),
        ] {
            assert!(
                matches!(
                    refusal(&text),
                    TokenError::NotThreeSegments | TokenError::Encoding
                ),
                "{text}"
            );
        }
        assert!(Token::parse(&format!("{header}.{payload}.YQ")).is_ok());
    }

    /// A2
    #[test]
    fn a_member_twice_in_header_or_claims_is_refused() {
        let text = token(r#"{"alg":"RS256","alg":"RS256"}"#, "{}");
        assert!(matches!(refusal(&text), TokenError::Header(_)));
        let text = token(r#"{"alg":"RS256"}"#, r#"{"sub":"a","sub":"root"}"#);
        assert!(matches!(refusal(&text), TokenError::Payload(_)));
    }

    /// A3
    #[test]
    fn a_header_that_gives_orders_is_refused() {
        for (member, value) in [
            ("crit", r#"["b64"]"#),
            ("crit", "[]"),
            ("crit", "null"),
            ("b64", "false"),
            ("zip", r#""DEF""#),
            ("enc", r#""A256GCM""#),
            ("cty", r#""JWT""#),
            ("typ", "7"),
            ("kid", "7"),
            ("kid", "null"),
        ] {
            let text = token(&format!(r#"{{"alg":"RS256","{member}":{value}}}"#), "{}");
            assert_eq!(refusal(&text), TokenError::HeaderMember(member), "{value}");
        }
    }

    /// A8
    #[test]
    fn another_kind_of_token_is_refused_by_its_header() {
        for typ in [
            "at+jwt",
            "application/at+jwt",
            "logout+jwt",
            "secevent+jwt",
            "JOSE",
            "",
            "JWTx",
        ] {
            let text = token(&format!(r#"{{"alg":"RS256","typ":"{typ}"}}"#), "{}");
            assert_eq!(refusal(&text), TokenError::Kind(typ.to_owned()));
        }
    }

    /// A8
    #[test]
    fn an_encrypted_token_is_refused() {
        let text = "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.a2V5.aXY.dGV4dA.dGFn";
        assert_eq!(refusal(text), TokenError::NotThreeSegments);
    }

    /// A8: ten megabytes of dots cost nothing.
    #[test]
    fn a_huge_token_is_refused_before_it_is_split() {
        let dots = ".".repeat(10_000_000);
        assert_eq!(refusal(&dots), TokenError::TooLarge { bytes: 10_000_000 });
        let large = token(
            r#"{"alg":"RS256"}"#,
            &format!(r#"{{"a":"{}"}}"#, "x".repeat(16_000)),
        );
        assert!(matches!(refusal(&large), TokenError::TooLarge { .. }));
    }

    proptest! {
        #[test]
        fn any_text_is_taken_without_a_panic(text in any::<String>()) {
            let _ = Token::parse(&text);
        }

        #[test]
        fn any_header_and_payload_are_taken_without_a_panic(
            header in prop::collection::vec(any::<u8>(), 0..60),
            payload in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let _ = Token::parse(&format!(
                "{}.{}.c2ln", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload)
            ));
        }
    }
}
