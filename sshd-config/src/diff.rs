//! What a change does to a file, for a person: lines with `-` and `+`, three lines around them.

use std::fmt::Write as _;

use jit_ssh_terminal::LineDiff;

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
    let before = change.before.as_deref().unwrap_or_default();
    let after = change.after.as_deref().unwrap_or_default();
    let diff = LineDiff::new(before, after);
    for (mark, lines) in [
        ("    ", diff.lines_before(3)),
        ("  - ", diff.removed()),
        ("  + ", diff.added()),
        ("    ", diff.lines_after(3)),
    ] {
        for line in lines {
            let _ = writeln!(text, "{mark}{line}");
        }
    }
    text
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
