//! What a change does to a file, for a person: lines with `-` and `+`, three lines around them.

use std::fmt::Write as _;

use crate::files::Change;

/// The difference as text; empty where nothing changes.
pub(crate) fn render(change: &Change) -> String {
    if change.is_noop() {
        return String::new();
    }
    let path = change.path.display();
    let mut text = match (&change.before, &change.after) {
        (None, _) => format!("new file {path}\n"),
        (_, None) => format!("remove {path}\n"),
        _ => format!("change {path}\n"),
    };
    let before: Vec<&str> = change
        .before
        .as_deref()
        .unwrap_or_default()
        .lines()
        .collect();
    let after: Vec<&str> = change
        .after
        .as_deref()
        .unwrap_or_default()
        .lines()
        .collect();
    // The files are small and change in one place: what they share at both ends is context.
    let same_head = before
        .iter()
        .zip(&after)
        .take_while(|(a, b)| a == b)
        .count();
    let rest = before.len().min(after.len()) - same_head;
    let tails = before.iter().rev().zip(after.iter().rev());
    let same_tail = tails.take(rest).take_while(|(a, b)| a == b).count();

    let context = |text: &mut String, lines: &[&str]| {
        for line in lines {
            let _ = writeln!(text, "    {line}");
        }
    };
    context(
        &mut text,
        slice(&before, same_head.saturating_sub(3), same_head),
    );
    for line in slice(&before, same_head, before.len() - same_tail) {
        let _ = writeln!(text, "  - {line}");
    }
    for line in slice(&after, same_head, after.len() - same_tail) {
        let _ = writeln!(text, "  + {line}");
    }
    let tail = before.len() - same_tail;
    context(
        &mut text,
        slice(&before, tail, (tail + 3).min(before.len())),
    );
    text
}

fn slice<'a, 'b>(lines: &'b [&'a str], from: usize, to: usize) -> &'b [&'a str] {
    lines.get(from..to).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff(before: Option<&str>, after: Option<&str>) -> String {
        render(&Change {
            path: "/f".into(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        })
    }

    #[test]
    fn only_what_differs_is_marked() {
        assert_eq!(
            diff(Some("a\nb\nc\n"), Some("a\nB\nc\n")),
            "change /f\n    a\n  - b\n  + B\n    c\n"
        );
        assert_eq!(diff(None, Some("x\n")), "new file /f\n  + x\n");
        assert_eq!(diff(Some("x\n"), None), "remove /f\n  - x\n");
        assert_eq!(diff(Some("x\n"), Some("x\n")), "");
    }

    #[test]
    fn repeated_lines_do_not_overlap() {
        assert_eq!(
            diff(Some("a\n"), Some("a\na\n")),
            "change /f\n    a\n  + a\n"
        );
        assert_eq!(
            diff(Some("a\na\n"), Some("a\n")),
            "change /f\n    a\n  - a\n"
        );
    }
}
