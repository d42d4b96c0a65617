//! Untrusted text made harmless: nothing that a CA, an identity provider, a certificate or a file
//! says can move the cursor, set a title, or turn the direction of writing (A44, A76).

use std::fmt::Write as _;

/// One line: control, direction and invisible characters become `\u{…}`, line ends too.
pub fn escape(text: &str) -> String {
    escaped(text, |_| false)
}

/// Several lines: as [`escape`], but line feeds stay.
pub fn escape_lines(text: &str) -> String {
    escaped(text, |c| c == '\n')
}

/// One line of JSON that is as harmless: what JSON leaves as it is, `\uXXXX` says as well.
pub fn json_line(value: &impl serde::Serialize) -> Result<String, serde_json::Error> {
    let text = serde_json::to_string(value)?;
    if !text.chars().any(is_dangerous) {
        return Ok(text);
    }
    // Outside of strings JSON is plain ASCII, so all that is replaced here stands in a string.
    let mut line = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_dangerous(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string does not fail.
                let _ = write!(line, "\\u{unit:04x}");
            }
        } else {
            line.push(c);
        }
    }
    Ok(line)
}

fn escaped(text: &str, keep: impl Fn(char) -> bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_dangerous(c) && !keep(c) {
            safe.extend(c.escape_unicode());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// C0, C1 and DEL; line and paragraph separators; characters that set direction or are not seen.
fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_sets_the_title_or_turns_the_line_is_shown_as_what_it_is() {
        assert_eq!(escape("a\u{1b}]0;x\u{7}b"), "a\\u{1b}]0;x\\u{7}b");
        assert_eq!(escape("nimda\u{202e}"), "nimda\\u{202e}");
        assert_eq!(escape("one\ntwo"), "one\\u{a}two");
        assert_eq!(escape_lines("one\ntwo\r"), "one\ntwo\\u{d}");
        assert_eq!(escape("Zoë 日本 \\"), "Zoë 日本 \\");
    }

    #[test]
    fn json_is_as_harmless_and_still_says_the_same() {
        let value = serde_json::json!({ "name": "a\u{9b}31m\u{202e}\u{e0041}\u{1b}" });
        let line = json_line(&value).unwrap();
        assert!(!line.chars().any(is_dangerous), "{line:?}");
        let back: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(back, value);
    }
}
