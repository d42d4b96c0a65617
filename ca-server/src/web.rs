//! The CA's pages. Plain HTML without a script: a template checked in, values put in escaped, and
//! headers that let the page load nothing, be framed by nobody and be kept nowhere (A86).

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Response, header};
use sha2::{Digest as _, Sha256};

use crate::http::{Answer, Body};

pub mod page {
    //! One file a page.
    pub(crate) mod paste;
}

/// A page as an answer.
pub(crate) fn answer(status: u16, html: String) -> Answer {
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "text/html; charset=utf-8")
        .header(header::CONTENT_SECURITY_POLICY, POLICY.as_str())
        .header(header::REFERRER_POLICY, "no-referrer")
        .header(header::X_FRAME_OPTIONS, "DENY")
        .body(Body::from(html))
        .unwrap_or_default()
}

/// Fills `{{name}}` of a template; each value is escaped, and none is looked at again.
pub(crate) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(template.len() + 1024);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        let Some((name, behind)) = after.split_once("}}") else {
            rest = after;
            break;
        };
        if name == "style" {
            out.push_str(STYLE);
        } else if let Some((_, value)) = values.iter().find(|(known, _)| *known == name) {
            escape(value, &mut out);
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// HTML's special characters; and control and direction-changing ones, which could make a line look
/// like another (A44).
fn escape(text: &str, out: &mut String) {
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                out.push('\u{fffd}');
            }
            letter if letter.is_control() => out.push('\u{fffd}'),
            letter => out.push(letter),
        }
    }
}

/// Nothing but our own style, by its hash.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
});

const STYLE: &str = include_str!("../templates/style.css");

#[cfg(test)]
mod tests {
    use super::{answer, fill};

    #[test]
    fn a_value_cannot_become_markup_or_another_placeholder() {
        let html = fill(
            "<p>{{a}}</p>{{b}}",
            &[("a", "<svg onload=x>'\"&{{b}}"), ("b", "B")],
        );
        assert_eq!(html, "<p>&lt;svg onload=x&gt;&#39;&quot;&amp;{{b}}</p>B");
        assert_eq!(
            fill("{{a}}", &[("a", "x\u{202e}y\u{1b}[31m")]),
            "x\u{fffd}y\u{fffd}[31m"
        );
    }

    #[test]
    fn a_page_loads_nothing_and_is_framed_by_nobody() {
        let page = answer(200, String::new());
        let policy = page.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'"));
        assert!(!policy.contains("unsafe"));
        assert_eq!(page.headers()["referrer-policy"], "no-referrer");
        assert_eq!(page.headers()["x-frame-options"], "DENY");
    }
}
