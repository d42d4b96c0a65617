//! `/sign-in`: where a sign-in on another machine arrives. It shows who asked for it and prints what
//! to paste into that terminal; nothing is handed to anybody who merely waits (A15, A16). Only the
//! terminal that holds the PKCE verifier can use what is pasted. To look at the page changes nothing.
//!
//! In: the query that the issuer's redirect carries (`code`, `state`, `iss`, or `error`), and the
//! announcement that `POST /v1/sign-ins` made. Text of the query is shown nowhere but inside of the
//! base64url that is to be pasted; an `error` picks one of our own sentences (A86).

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jit_ssh_api::sign_in::Pasted;

use crate::http::Answer;
use crate::sign_in::Announced;
use crate::time::Timestamp;
use crate::web;

/// What the issuer's redirect says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Redirect<'a> {
    code: Option<Cow<'a, str>>,
    pub(crate) state: Option<Cow<'a, str>>,
    iss: Option<Cow<'a, str>>,
    error: Option<Cow<'a, str>>,
}

impl<'a> Redirect<'a> {
    /// Reads the query; none if a parameter stands there twice (RFC 6749 §3.1). Parameters that we
    /// do not know are left alone, as §4.1.2 says.
    pub(crate) fn parse(query: &'a str) -> Option<Self> {
        let mut redirect = Redirect::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let field = match name.as_ref() {
                "code" => &mut redirect.code,
                "state" => &mut redirect.state,
                "iss" => &mut redirect.iss,
                "error" => &mut redirect.error,
                _ => continue,
            };
            if field.replace(value).is_some() {
                return None;
            }
        }
        Some(redirect)
    }
}

/// The page for a redirect; `announced` is what its `state` belongs to.
pub(crate) fn page(redirect: Option<Redirect<'_>>, announced: Option<&Announced>) -> Answer {
    let Some(redirect) = redirect else {
        return message(400, "This link is not complete", NOT_A_REDIRECT);
    };
    let Some(announced) = announced else {
        return message(404, "This sign-in is not known here", UNKNOWN);
    };
    if redirect
        .iss
        .as_deref()
        .is_some_and(|iss| iss != announced.issuer)
    {
        return message(400, "Another provider answered", MIXED_UP);
    }
    if let Some(error) = &redirect.error {
        return message(200, "The sign-in did not succeed", told(error));
    }
    let (Some(code), Some(state)) = (redirect.code, redirect.state) else {
        return message(400, "This link is not complete", NOT_A_REDIRECT);
    };
    if code.is_empty() || code.len() > MAX_CODE {
        return message(400, "This link is not complete", NOT_A_REDIRECT);
    }
    let pasted = Pasted {
        code: code.into_owned(),
        state: state.into_owned(),
        iss: redirect.iss.map(Cow::into_owned),
    };
    let pasted = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&pasted).unwrap_or_default());
    let time = utc(announced.time);
    let address = announced
        .address
        .map_or_else(|| "this machine".to_owned(), |it| it.to_string());
    let values = [
        ("key", announced.key.as_str()),
        ("address", address.as_str()),
        ("time", time.as_str()),
        ("paste", pasted.as_str()),
    ];
    web::answer(200, web::fill(PASTE, &values))
}

/// `2026-11-23 09:15:00 UTC`.
fn utc(time: Timestamp) -> String {
    let seconds = i64::try_from(time.seconds()).unwrap_or(i64::MAX);
    chrono::DateTime::from_timestamp(seconds, 0)
        .map(|time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string())
        .unwrap_or_default()
}

fn message(status: u16, title: &str, text: &str) -> Answer {
    web::answer(
        status,
        web::fill(MESSAGE, &[("title", title), ("text", text)]),
    )
}

/// RFC 6749 §4.1.2.1 and OpenID Connect Core §3.1.2.6, in our words.
fn told(error: &str) -> &'static str {
    match error {
        "access_denied" => {
            "The identity provider says that access was denied: you declined, or your account is not \
             assigned to this application. Start again in your terminal, or ask who runs the \
             identity provider."
        }
        "login_required" | "interaction_required" | "consent_required" => {
            "The identity provider wants you to sign in there first. Start again in your terminal."
        }
        "temporarily_unavailable" | "server_error" => {
            "The identity provider has a fault of its own. Try again in a few minutes."
        }
        "unmet_authentication_requirements" => {
            "The identity provider asks for a stronger sign-in than your account has set up."
        }
        _ => {
            "The identity provider refused. Whoever runs it finds the reason in its log; start again \
             in your terminal once it is mended."
        }
    }
}

const UNKNOWN: &str = "No terminal announced it, or that was more than ten minutes ago. If you \
    followed a link that somebody sent you, close this page: it was not your sign-in. Otherwise start \
    again in your terminal.";
const NOT_A_REDIRECT: &str =
    "The identity provider's answer is missing or damaged. Start again in your terminal.";
const MIXED_UP: &str = "The answer came from another identity provider than the one that your \
    terminal asked. Nothing is shown; start again in your terminal.";

/// Longest authorization code that is printed.
const MAX_CODE: usize = 4096;

const PASTE: &str = include_str!("../../../templates/paste.html");
const MESSAGE: &str = include_str!("../../../templates/message.html");

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use http_body_util::BodyExt as _;
    use jit_ssh_api::sign_in::Pasted;

    use super::{Redirect, page};
    use crate::sign_in::Announced;
    use crate::time::Timestamp;

    fn announced() -> Announced {
        Announced {
            key: "SHA256:abc".to_owned(),
            address: Some("192.0.2.4".parse().unwrap()),
            time: Timestamp::from_seconds(1_795_000_000),
            issuer: "https://idp.example.com".to_owned(),
            expires: Timestamp::from_seconds(1_795_000_600),
        }
    }

    async fn html(query: &str, known: bool) -> (u16, String) {
        let announced = announced();
        let page = page(Redirect::parse(query), known.then_some(&announced));
        let status = page.status().as_u16();
        let bytes = page.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_page_says_who_asks_and_what_to_paste() {
        let (status, html) =
            html("code=C0DE&state=S&iss=https%3A%2F%2Fidp.example.com", true).await;
        assert_eq!(status, 200);
        assert!(
            html.contains("SHA256:abc") && html.contains("192.0.2.4"),
            "{html}"
        );
        let (_, rest) = html.split_once("id=\"paste\">").unwrap();
        let (text, _) = rest.split_once('<').unwrap();
        let pasted: Pasted =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap();
        assert_eq!((pasted.code.as_str(), pasted.state.as_str()), ("C0DE", "S"));
        assert!(!html.contains("<script"));
    }

    #[tokio::test]
    async fn a_sign_in_that_nobody_announced_shows_no_code() {
        let (status, html) = html("code=SECRETCODE&state=other", false).await;
        assert_eq!(status, 404);
        assert!(!html.contains("id=\"paste\""));
    }

    #[tokio::test]
    async fn another_issuers_answer_shows_no_code() {
        let (status, html) = html("code=C&state=S&iss=https%3A%2F%2Fevil.example", true).await;
        assert_eq!(status, 400);
        assert!(!html.contains("id=\"paste\"") && !html.contains("evil"));
    }

    #[tokio::test]
    async fn markup_in_the_query_is_never_reflected() {
        for query in [
            "error=%3Csvg+onload%3Dx%3E&state=S&error_description=%3Csvg+onload%3Dy%3E",
            "code=%3Csvg+onload%3Dx%3E&state=%3Csvg%3E",
            "code=a&code=%3Csvg%3E&state=S",
            "redirect=%2F%2Fevil&state=S",
            "",
            "%ff%fe=%00",
        ] {
            let (_, html) = html(query, true).await;
            assert!(
                !html.contains("<svg") && !html.contains("evil"),
                "{query}: {html}"
            );
        }
    }
}
